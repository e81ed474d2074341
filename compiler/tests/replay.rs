//! Replays the seeds of the fuzz targets of front ends, and mutations of each.

#[path = "../../fuzz/fuzz_targets/readers/mod.rs"]
mod readers;

use hecc::diag::Diagnostics;
use hecc_ir::testing::replay;
use std::path::Path;

/// Panics unless seeds are accepted, and mutations come as far as this many different refusals.
fn assert_reaches(target: &str, read: fn(&[u8]) -> Result<(), Diagnostics>, n_refusals: usize) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let replayed = replay(&seeds, read);
    assert_eq!(replayed.refused_seeds, [], "seeds are accepted");
    assert!(replayed.n_accepted > 0, "some mutations are accepted");
    assert!(replayed.refusals.len() >= n_refusals, "{:#?}", replayed.refusals);
}

#[test]
fn graphs() {
    assert_reaches("onnx", readers::onnx, 12);
}

#[test]
fn model_texts() {
    assert_reaches("hec", readers::hec, 18);
}

#[test]
fn archives() {
    assert_reaches("weights", readers::weights, 4);
}

#[test]
fn digits() {
    assert_reaches("idx", readers::idx, 10);
}

#[test]
fn pictures() {
    assert_reaches("cifar", readers::cifar, 3);
}
