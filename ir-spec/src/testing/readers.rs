//! What every reader promises for any bytes: it returns, and what it accepts
//! is written and read back as it was. Fuzz targets and replay tests call these.

use crate::artifact::{Kind, read_manifest, read_program, write_manifest, write_program};
use crate::text;

/// Bytes before the checksum of a file, and before its payload.
const CHECKED: usize = 15;
const HEADER: usize = 19;

/// Reads a circuit from text.
///
/// # Panics
/// If an accepted circuit does not survive a round trip.
pub fn ir_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(circuit) = text::parse(text) {
        assert_eq!(text::parse(&text::print(&circuit)), Ok(circuit), "text survives a round trip");
    }
}

/// Reads a program from a file, as it is and with a matching header.
///
/// # Panics
/// If an accepted program does not survive a round trip.
pub fn program(data: &[u8]) {
    for file in [data.to_vec(), sealed(data, Kind::Program)] {
        if let Ok(program) = read_program(&file) {
            assert_eq!(read_program(&write_program(&program)), Ok(program), "programs survive a round trip");
        }
    }
}

/// Reads a manifest from a file, as it is and with a matching header.
///
/// # Panics
/// If an accepted manifest does not survive a round trip.
pub fn manifest(data: &[u8]) {
    for file in [data.to_vec(), sealed(data, Kind::Manifest)] {
        if let Ok(manifest) = read_manifest(&file) {
            assert_eq!(
                read_manifest(&write_manifest(&manifest)),
                Ok(manifest),
                "manifests survive a round trip"
            );
        }
    }
}

/// The payload of a file behind a header that fits it, so that mutations reach
/// what lies behind the checksum.
fn sealed(data: &[u8], kind: Kind) -> Vec<u8> {
    let payload = data.get(HEADER..).unwrap_or(data);
    let mut file = b"HECA".to_vec();
    file.push(kind.tag());
    file.extend_from_slice(&kind.format().to_le_bytes());
    file.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&file[..CHECKED]);
    hasher.update(payload);
    file.extend_from_slice(&hasher.finalize().to_le_bytes());
    file.extend_from_slice(payload);
    file
}
