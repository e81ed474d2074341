//! Replays seeds of fuzz targets with mutations, and tells how far the reader let them come.
//!
//! A reader that refuses everything at its door passes every replay. So a replay reports which
//! seeds were refused and how many different refusals mutations met: tests hold a floor on them.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

/// Mutations of each seed.
const MUTATIONS: u64 = 400;

/// How far seeds and their mutations came.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Seeds the reader refuses, with its reason.
    pub refused_seeds: Vec<(PathBuf, String)>,
    /// Mutations the reader accepts.
    pub n_accepted: usize,
    /// Different reasons for which mutations are refused: messages without their numbers and names.
    pub refusals: BTreeSet<String>,
}

/// Runs a reader on every file of a folder and on a fixed number of mutations of each.
///
/// # Panics
/// If the folder cannot be read or is empty, and wherever `read` does.
pub fn replay<E: Display>(folder: &Path, read: impl Fn(&[u8]) -> Result<(), E>) -> Replayed {
    let files = fs::read_dir(folder).expect("targets have a folder of seeds");
    let mut files: Vec<PathBuf> = files.flatten().map(|entry| entry.path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has seeds", folder.display());
    let mut replayed = Replayed::default();
    for file in files {
        let seed = fs::read(&file).expect("seeds can be read");
        if let Err(reason) = read(&seed) {
            replayed.refused_seeds.push((file, reason.to_string()));
        }
        for number in 0..MUTATIONS {
            match read(&mutated(&seed, number)) {
                Ok(()) => replayed.n_accepted += 1,
                Err(reason) => drop(replayed.refusals.insert(shape(&reason.to_string()))),
            }
        }
    }
    replayed
}

/// The words of a message's first line that are plain letters, and so the same whatever the input.
fn shape(message: &str) -> String {
    let head = message.lines().next().unwrap_or_default();
    let is_plain = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || ",.;:".contains(c));
    head.split_whitespace().filter(is_plain).collect::<Vec<_>>().join(" ")
}

/// A few edits, decided by `number`: bits flipped, bytes removed, repeated or moved.
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
