//! Replays the seeds of the fuzz targets of this crate, and mutations of each.
//!
//! Seeds of file formats are compared with what is written now; set
//! `HECC_BLESS` to write them anew after a format number was raised.

use hecc_ir::testing::{Replayed, program_of, readers, replay};
use hecc_ir::{text, write_manifest, write_program};
use std::fs;
use std::path::{Path, PathBuf};

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
}

/// Panics unless seeds are accepted, and mutations come as far as this many different refusals.
fn assert_reaches(replayed: &Replayed, n_refusals: usize) {
    assert_eq!(replayed.refused_seeds, [], "seeds are accepted");
    assert!(replayed.n_accepted > 0, "some mutations are accepted");
    assert!(replayed.refusals.len() >= n_refusals, "{:#?}", replayed.refusals);
}

#[test]
fn texts() {
    assert_reaches(&replay(&seeds("ir_text"), readers::ir_text), 9);
}

#[test]
fn programs() {
    assert_reaches(&replay(&seeds("program"), readers::program), 20);
}

#[test]
fn manifests() {
    assert_reaches(&replay(&seeds("manifest"), readers::manifest), 14);
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
