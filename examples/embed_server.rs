//! The server half of an application: evaluates a compiled model on encrypted
//! inputs and sees neither them nor the results.
//!
//! ```text
//! embed_server model.hecp 127.0.0.1:7878
//! ```
//!
//! For each connection it receives the client's evaluation keys, then answers
//! every bundle of inputs with a bundle of results. Any frame that is not what
//! it should be ends the connection with a message; the server goes on.

use hecc_examples::{exit, receive, send};
use hecc_runtime::server::{Server, Session};
use std::error::Error;
use std::io::{BufReader, BufWriter, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

/// Largest bundle of evaluation keys to accept; raise it for large models.
const MAX_KEYS: u64 = 8 << 30;

/// Largest bundle of inputs to accept.
const MAX_INPUTS: u64 = 256 << 20;

fn main() -> ExitCode {
    exit(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: embed_server PROGRAM ADDRESS";
    let (program, address) = (args.next().ok_or(usage)?, args.next().ok_or(usage)?);

    // Verifies the program and encodes its weights, once for all clients.
    let server = Server::load(&std::fs::read(program)?)?;
    let listener = TcpListener::bind(address)?;
    println!("serving `{}` on {}", server.manifest().name, listener.local_addr()?);

    for stream in listener.incoming() {
        if let Err(error) = stream.map_err(Into::into).and_then(|stream| serve(&server, stream)) {
            eprintln!("connection ended: {error}");
        }
    }
    Ok(())
}

/// One client, from its keys to the end of its stream.
fn serve(server: &Server, stream: TcpStream) -> Result<(), Box<dyn Error>> {
    let mut from_client = BufReader::new(stream.try_clone()?);
    let mut to_client = BufWriter::new(stream);

    // Refused here: damaged keys, keys for another program, missing keys.
    let session = server.session(&receive(&mut from_client, MAX_KEYS)?)?;
    loop {
        let inputs = match receive(&mut from_client, MAX_INPUTS) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            received => received?,
        };
        send(&mut to_client, &answer(&session, &inputs)?)?;
    }
}

fn answer(session: &Session, inputs: &[u8]) -> Result<Vec<u8>, hecc_runtime::Error> {
    let reply = session.eval(inputs)?;
    let mebibytes = reply.cost.memory.peak >> 20;
    println!("evaluated in {:.2?}, {mebibytes} MiB of memory at most", reply.cost.wall);
    Ok(reply.bundle)
}
