//! Seeds of the fuzz targets for bundles lead behind what is checked first.
//!
//! Set `HECC_BLESS` to write them anew after a format number was raised.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used)]

#[path = "../../fuzz/fuzz_targets/halves/mod.rs"]
mod halves;

use halves::HALVES;
use hecc_runtime::Error;
use hecc_runtime::client::Client;
use std::path::{Path, PathBuf};

/// Bytes of a bundle before its payload.
const HEADER: usize = 71;

fn path(seed: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(seed)
}

/// A bundle of a kind with the payload that is a seed. `bundle` is one to make the seed of.
fn sealed(kind: u8, seed: &str, bundle: impl Fn() -> Vec<u8>) -> Vec<u8> {
    if std::env::var_os("HECC_BLESS").is_some() {
        std::fs::write(path(seed), &bundle()[HEADER..]).unwrap();
    }
    HALVES.sealed(kind, &std::fs::read(path(seed)).unwrap())
}

#[test]
fn sealed_seeds_are_read() {
    let inputs = || HALVES.client.encrypt(&[vec![0.5; 8].into()]).unwrap();
    let keys = sealed(1, "keys/eval.bin", || HALVES.client.eval_keys().unwrap());
    assert!(HALVES.server.session(&keys).is_ok());
    let asked = sealed(2, "bundle/inputs.bin", inputs);
    assert!(HALVES.session.eval(&asked).is_ok());
    let answered = sealed(3, "bundle/results.bin", || HALVES.session.eval(&inputs()).unwrap().bundle);
    // It may be of another key: what it holds is no bundle's concern.
    assert!(!matches!(HALVES.client.decrypt(&answered), Err(Error::Bundle(_))));
    let secret = sealed(4, "keys/secret.bin", || HALVES.client.save().to_vec());
    assert!(Client::load_insecure(HALVES.client.manifest(), &secret).is_ok());
}
