//! The client half of an application: keeps the secret key, encrypts inputs
//! and decrypts results.
//!
//! ```text
//! embed_client model.hecm 127.0.0.1:7878 image.txt
//! ```
//!
//! Each file holds one input: on its first line the shape, such as `1 28 28`, then the elements,
//! row-major, separated by white space. The manifest must come from someone the client trusts: it says which
//! ring is used, and parameters below 128-bit security are refused.

use hecc_examples::{exit, receive, send};
use hecc_runtime::bundle::Question;
use hecc_runtime::client::Client;
use hecc_runtime::{Shape, Tensor};
use std::error::Error;
use std::io::{BufReader, BufWriter};
use std::net::TcpStream;
use std::process::ExitCode;
use std::str::FromStr;

/// Most memory to spend on evaluation keys; raise it for large models.
const MAX_KEYS: u64 = 16 << 30;

/// Largest bundle of results to accept.
const MAX_RESULTS: u64 = 256 << 20;

fn main() -> ExitCode {
    exit(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: embed_client MANIFEST ADDRESS INPUT...";
    let (manifest, address) = (args.next().ok_or(usage)?, args.next().ok_or(usage)?);
    let inputs = args.map(|path| read_tensor(&path)).collect::<Result<Vec<_>, _>>()?;

    // The secret key is made here and never sent. An application that runs
    // more than once saves it with `Client::save` and sends the evaluation
    // keys only the first time.
    let client = Client::from_manifest(&std::fs::read(manifest)?)?;
    let key_bytes = client.manifest().key_bytes();
    if key_bytes > MAX_KEYS {
        return Err(format!("the manifest asks for {} GiB of evaluation keys", key_bytes >> 30).into());
    }
    // Refused here: tensors of another shape, elements out of range.
    let encrypted = client.encrypt(&inputs)?;
    let question = Question::of(&encrypted)?;

    let stream = TcpStream::connect(address)?;
    let mut from_server = BufReader::new(stream.try_clone()?);
    let mut to_server = BufWriter::new(stream);
    let keys = client.eval_keys()?;
    println!("sending {} MiB of evaluation keys", keys.len() >> 20);
    send(&mut to_server, &keys)?;
    println!("sending {} KiB of encrypted inputs", encrypted.len() >> 10);
    send(&mut to_server, &encrypted)?;

    // Refused here: results of other inputs or keys, and what is no result of the program at all.
    let results = receive(&mut from_server, MAX_RESULTS)?;
    let tensors = client.decrypt_answer(&results, &question)?.remove(0);
    for (port, tensor) in client.manifest().outputs.iter().zip(tensors) {
        println!("{}: {}", port.name, list(&tensor));
    }
    Ok(())
}

fn read_tensor(path: &str) -> Result<Tensor, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let (shape, elements) = text.split_once('\n').unwrap_or((&text, ""));
    let shape = Shape(numbers(path, shape)?);
    Ok(Tensor::new(shape, numbers(path, elements)?).map_err(|error| format!("{path}: {error}"))?)
}

fn numbers<T: FromStr>(path: &str, text: &str) -> Result<Vec<T>, String> {
    let number = |word: &str| word.parse().map_err(|_| format!("{path}: `{word}` is not a number"));
    text.split_whitespace().map(number).collect()
}

/// Five digits of each, however small it is.
fn list(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.4e}")).collect::<Vec<_>>().join(" ")
}
