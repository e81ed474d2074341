//! Real networks on real digits under real encryption.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use hecc::front::data::DataSet;
use hecc::front::{LoadOptions, load};
use hecc::model::Model;
use hecc::pipeline::{Options, compile};
use hecc_ir::SecurityLevel;
use hecc_tests::encrypted::Connected;
use hecc_tests::models::tensor_for;
use std::path::{Path, PathBuf};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn model(file: &str) -> Model {
    load(&examples().join("models").join(file), &LoadOptions::default()).unwrap()
}

fn digits() -> DataSet {
    DataSet::read(&examples().join("data/mnist_test_sample.npz")).unwrap()
}

fn argmax(values: &[f64]) -> usize {
    (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap()
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |max: f64, x| max.max(x.abs()))
}

/// Encrypted predictions equal plain ones, with 128-bit security.
fn assert_predicts(file: &str, n_digits: usize) {
    let (model, data) = (model(file), digits());
    let samples = data.samples[..8].iter().map(|sample| tensor_for(&model, sample)).collect();
    let options = Options { samples, ..Options::default() };
    let program = compile(&model, &options).unwrap().program;
    assert_eq!(program.manifest.params.security, SecurityLevel::Classical128);
    let connected = Connected::new(&program);
    for sample in &data.samples[..n_digits] {
        let (expected, found) = (model.logits(sample), connected.predict(sample));
        let error = largest(expected.iter().zip(&found).map(|(a, b)| a - b));
        assert!(error < 1e-3 * largest(expected.iter().copied()), "{file}: error {error}");
        assert_eq!(argmax(&found), argmax(&expected), "{file}");
    }
}

#[test]
fn mlp() {
    assert_predicts("mlp.onnx", 3);
}

#[test]
fn lola() {
    assert_predicts("lola.hec", 3);
}

#[test]
fn lenet5() {
    assert_predicts("lenet5.onnx", 1);
}

#[test]
fn pruned_lenet() {
    assert_predicts("../lenet/pruned/lenet.hec", 2);
}

#[test]
fn grouped_lenet() {
    assert_predicts("../grouped/lenet/pruned/lenet.hec", 2);
}

/// What is written differs in names alone, so what is computed does not.
#[test]
fn both_forms_of_a_model_cost_the_same() {
    for name in ["mlp", "lola"] {
        let compiled =
            |extension: &str| compile(&model(&format!("{name}.{extension}")), &Options::default()).unwrap();
        let (onnx, hec) = (compiled("onnx").program, compiled("hec").program);
        assert_eq!(onnx.instrs, hec.instrs, "{name}");
        assert_eq!(onnx.manifest.params, hec.manifest.params, "{name}");
        assert_eq!(onnx.manifest.keys, hec.manifest.keys, "{name}");
    }
}
