//! What the runnable programs share: how they end, and frames, the pieces of a byte stream that
//! two programs exchange. A frame is its length, eight bytes little-endian,
//! and its contents.

use std::error::Error;
use std::io::{self, Read, Write};
use std::process::ExitCode;

/// How a program ends: quietly, or with its error on standard error.
pub fn exit(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Sends one frame.
///
/// # Errors
/// When the stream fails.
pub fn send(stream: &mut impl Write, contents: &[u8]) -> io::Result<()> {
    stream.write_all(&(contents.len() as u64).to_le_bytes())?;
    stream.write_all(contents)?;
    stream.flush()
}

/// Receives one frame; memory grows with what arrives, not with what is announced.
///
/// # Errors
/// When the stream fails or ends early, or the frame is longer than `limit`.
pub fn receive(stream: &mut impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    stream.read_exact(&mut length).map_err(closed)?;
    let length = u64::from_le_bytes(length);
    if length > limit {
        let message = format!("a frame of {length} bytes, more than the {limit} allowed here");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut contents = Vec::new();
    stream.take(length).read_to_end(&mut contents)?;
    if (contents.len() as u64) < length {
        return Err(closed(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(contents)
}

/// Says in words what an early end means.
fn closed(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the other side closed the connection"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_way() {
        let mut stream = Vec::new();
        send(&mut stream, b"first").unwrap();
        send(&mut stream, b"").unwrap();
        let mut stream = stream.as_slice();
        assert_eq!(receive(&mut stream, 5).unwrap(), b"first");
        assert_eq!(receive(&mut stream, 5).unwrap(), b"");
    }

    #[test]
    fn long_and_cut_frames_are_refused() {
        let mut stream = Vec::new();
        send(&mut stream, b"first").unwrap();
        assert_eq!(receive(&mut stream.as_slice(), 4).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let cut = receive(&mut &stream[..9], 9).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }
}
