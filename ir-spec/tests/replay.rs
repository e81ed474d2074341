//! Replays the seeds of the fuzz targets, and a fixed number of mutations of each.
//!
//! Seeds of file formats are compared with what is written now; set
//! `HECC_BLESS` to write them anew after a format number was raised.

use hecc_ir::testing::{program_of, readers};
use hecc_ir::{text, write_manifest, write_program};
use std::fs;
use std::path::{Path, PathBuf};

const MUTATIONS: u64 = 400;

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
}

/// Runs a reader on every seed of its target and on mutations of it.
fn replay(target: &str, read: fn(&[u8])) {
    let mut files: Vec<_> = fs::read_dir(seeds(target))
        .expect("targets have seeds")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has seeds");
    for file in files {
        let seed = fs::read(file).expect("seeds can be read");
        read(&seed);
        (0..MUTATIONS).for_each(|number| read(&mutated(&seed, number)));
    }
}

/// A few edits, decided by `number`: bytes changed, removed or repeated.
fn mutated(seed: &[u8], number: u64) -> Vec<u8> {
    let mut state = number;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % bound.max(1)
    };
    let mut bytes = seed.to_vec();
    for _ in 0..1 + number % 4 {
        let at = below(bytes.len());
        let end = (at + below(16)).min(bytes.len());
        match below(4) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << below(8)),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            _ => {
                let room = bytes.len() - (end - at);
                bytes.copy_within(at..end, below(room));
            }
        }
    }
    bytes
}

#[test]
fn texts() {
    replay("ir_text", readers::ir_text);
}

#[test]
fn programs() {
    replay("program", readers::program);
}

#[test]
fn manifests() {
    replay("manifest", readers::manifest);
}

#[test]
fn seeds_have_the_current_format() {
    let circuit = text::parse(include_str!("circuits/square.heir")).unwrap();
    let program = program_of(&circuit);
    let expected = [("program", write_program(&program)), ("manifest", write_manifest(&program.manifest))];
    for (target, bytes) in expected {
        let path = seeds(target).join("square.bin");
        if std::env::var_os("HECC_BLESS").is_some() {
            fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "{target} files change only with their format number");
    }
}
