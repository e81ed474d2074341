//! ONNX files of both PyTorch exporters compute what PyTorch computes.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

#[path = "support/onnx.rs"]
#[allow(dead_code)]
mod support;

use hecc::diag::{Code, Diagnostics};
use hecc::front::{LoadOptions, data::DataSet, load, onnx, weights::TensorFile};
use hecc::model::{LayerKind, Model, Nonlinear};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn load_or_explain(path: &Path) -> Model {
    load(path, &LoadOptions::default()).unwrap_or_else(|d: Diagnostics| panic!("{}", d.render(false)))
}

fn numbers(record: &Value, key: &str) -> Vec<f64> {
    record[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let close = (found - expected).abs() <= 2e-5 * expected.abs().max(1.0);
        assert!(close, "{what}: {found} for {expected}");
    }
}

fn kinds(model: &Model) -> Vec<&'static str> {
    let kind = |kind: &LayerKind| match kind {
        LayerKind::Input { .. } => "input",
        LayerKind::Conv(_) => "conv",
        LayerKind::Dense(_) => "dense",
        LayerKind::AvgPool(_) => "pool",
        LayerKind::Affine { .. } => "affine",
        LayerKind::Polynomial { .. } => "polynomial",
        LayerKind::Add => "add",
        LayerKind::Move { .. } => "move",
        LayerKind::MaxPool(_) => "max_pool",
        LayerKind::Nonlinear(function) => function.name(),
    };
    model.layers.iter().map(|layer| kind(&layer.kind)).collect()
}

#[test]
fn both_exporters_agree_with_pytorch() {
    let mut n_seen = 0;
    for entry in std::fs::read_dir(fixture("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "onnx") {
            continue;
        }
        let model = load_or_explain(&path);
        let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let found = model.logits(&numbers(&record, "x"));
        assert_close(&found, &numbers(&record, "y"), &path.display().to_string());
        n_seen += 1;
    }
    assert_eq!(n_seen, 25);
}

#[test]
fn activations_and_normalisation_become_few_layers() {
    let expected = [
        ("lenet", "input affine conv polynomial pool conv polynomial move dense"),
        ("view", "input conv polynomial pool move dense polynomial dense"),
        ("mean", "input conv polynomial pool move dense"),
        ("mlp", "input dense polynomial dense"),
        ("moves", "input conv move dense polynomial dense"),
    ];
    for (name, layers) in expected {
        for exporter in ["script", "script_dynamic", "dynamo", "dynamo_dynamic"] {
            let model = load_or_explain(&fixture(&format!("{name}_{exporter}.onnx")));
            let found = kinds(&model).join(" ").replace("move move", "move").replace("dense affine", "dense");
            assert_eq!(found, layers, "{name}_{exporter}");
        }
    }
}

/// A network exported for `batch` samples at a time, with element-wise,
/// channel-wise and scalar constants.
fn batched(batch: i64) -> Model {
    use support::{Tensor, ints, node, node_with};
    let target = Tensor::list("target", &[batch, -1]);
    let nodes = [
        node("Sub", "centre", &["x", "mean"], "c"),
        node("Conv", "conv", &["c", "w"], "a"),
        node("Mul", "by_channel", &["channel", "a"], "b"),
        node("Mul", "squared", &["b", "b"], "s"),
        node_with("Transpose", "last", &["s"], "t", &[ints("perm", &[0, 2, 3, 1])]),
        node("Reshape", "flat", &["t", "target"], "f"),
        node("MatMul", "fc", &["f", "m"], "g"),
        node("Add", "bias", &["g", "b2"], "y"),
    ];
    let constants = [
        Tensor::new("mean", &[1, 4, 4]),
        Tensor::new("w", &[2, 1, 3, 3]),
        Tensor::new("channel", &[2, 1, 1]),
        target,
        Tensor::new("m", &[8, 3]),
        Tensor::new("b2", &[3]),
    ];
    let bytes = support::model(&nodes, &constants, &[batch, 1, 4, 4], "y");
    let mut diagnostics = Diagnostics::new();
    let options = LoadOptions::default();
    let model = onnx::import(Path::new("batched.onnx"), &bytes, &options, &mut diagnostics);
    model.unwrap_or_else(|| panic!("{diagnostics}"))
}

#[test]
fn the_batch_that_a_model_was_exported_for_does_not_matter() {
    let one = batched(1);
    assert_eq!(one, batched(5));
    assert_eq!(kinds(&one).join(" "), "input move affine move conv polynomial move move dense");
    let x: Vec<f64> = (0..16).map(|i| i as f64 / 16.0).collect();
    let constant = |i: usize| (i % 5) as f64 - 2.0;
    let conv = |o: usize, row: usize, column: usize| -> f64 {
        let tap = |k: usize| (row + k / 3) * 4 + column + k % 3;
        (0..9).map(|k| constant(o * 9 + k) * (x[tap(k)] - constant(tap(k)))).sum()
    };
    let flat = |i: usize| (conv(i % 2, i / 4, i / 2 % 2) * constant(i % 2)).powi(2);
    for (o, found) in one.logits(&x).iter().enumerate() {
        let sum: f64 = (0..8).map(|i| flat(i) * constant(i * 3 + o)).sum();
        assert!((found - sum - constant(o)).abs() < 1e-9);
    }
}

/// A model that is in memory.
fn imported(bytes: &[u8]) -> Model {
    let mut diagnostics = Diagnostics::new();
    let model = onnx::import(Path::new("net.onnx"), bytes, &LoadOptions::default(), &mut diagnostics);
    model.unwrap_or_else(|| panic!("{diagnostics}"))
}

/// An average pool of 2x2 behind what PyTorch writes before it at old operator sets.
fn padded_pool(opset: i64, pad: Vec<u8>, lists: &[support::Tensor]) -> Model {
    use support::{ints, node, node_with};
    let window = [ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    let nodes = [
        node("Mul", "two", &["x", "c"], "t"),
        pad,
        node_with("AveragePool", "pool", &["p"], "a", &window),
        node("Flatten", "flat", &["a"], "y"),
    ];
    let mut c = support::Tensor::new("c", &[1]);
    c.values = vec![2.0];
    let constants = std::iter::once(c).chain(lists.iter().cloned()).collect::<Vec<_>>();
    imported(&support::model_in(opset, &nodes, &constants, &[-1, 1, 4, 4], "y"))
}

/// In every spelling: a setting, an operand, an operand for some axes.
fn pads(opset: i64, pads: &[i64]) -> (Vec<u8>, Vec<support::Tensor>) {
    use support::{Tensor, ints, node, node_with, text};
    match opset {
        ..11 => (
            node_with("Pad", "pad", &["t"], "p", &[text("mode", "constant"), ints("pads", pads)]),
            Vec::new(),
        ),
        11..18 => (node("Pad", "pad", &["t", "pads"], "p"), vec![Tensor::list("pads", pads)]),
        _ => {
            let images = [pads[2], pads[3], pads[6], pads[7]];
            let axes = [Tensor::list("pads", &images), Tensor::list("axes", &[-2, 3])];
            (node("Pad", "pad", &["t", "pads", "", "axes"], "p"), axes.into())
        }
    }
}

#[test]
fn pads_of_no_zeros_are_nothing() {
    for opset in [7, 9, 11, 13, 18] {
        let (pad, lists) = pads(opset, &[0; 8]);
        let model = padded_pool(opset, pad, &lists);
        assert_eq!(kinds(&model).join(" "), "input affine pool move");
        let x: Vec<f64> = (0..16).map(f64::from).collect();
        let sums = [0, 2, 8, 10].map(|at| x[at] + x[at + 1] + x[at + 4] + x[at + 5]);
        assert_eq!(model.logits(&x), sums.map(|sum| sum / 2.0));
    }
    let edge = support::node_with(
        "Pad",
        "pad",
        &["t"],
        "p",
        &[support::text("mode", "edge"), support::ints("pads", &[0; 8])],
    );
    assert_eq!(padded_pool(9, edge, &[]).logits(&[1.0; 16]), [2.0; 4]);
}

/// Zeros of a `Pad` are elements of the mean.
#[test]
fn pads_before_pools_count() {
    for opset in [7, 9, 11, 13, 18] {
        let (pad, lists) = pads(opset, &[0, 0, 1, 1, 0, 0, 1, 1]);
        let found = padded_pool(opset, pad, &lists).logits(&(0..16).map(f64::from).collect::<Vec<_>>());
        assert_eq!(found, [0.0, 1.5, 1.5, 6.0, 15.0, 9.0, 6.0, 13.5, 7.5], "{opset}");
    }
}

/// A `Pad` before a convolution is the convolution's own padding.
#[test]
fn pads_before_convolutions_are_theirs() {
    use support::{Tensor, ints, node_with};
    let constants = || [Tensor::new("w", &[2, 1, 3, 3])];
    let apart = [
        node_with("Pad", "pad", &["x"], "p", &[ints("pads", &[0, 0, 1, 0, 0, 0, 2, 1])]),
        node_with("Conv", "c", &["p", "w"], "y", &[ints("pads", &[0, 1, 0, 0])]),
    ];
    let whole = [node_with("Conv", "c", &["x", "w"], "y", &[ints("pads", &[1, 1, 2, 1])])];
    let model = |nodes: &[Vec<u8>]| imported(&support::model_in(9, nodes, &constants(), &[1, 1, 5, 5], "y"));
    assert_eq!(model(&apart), model(&whole));
}

/// A network of every layer that training replaces, with SiLU as PyTorch spells
/// it and as one operator.
fn unfriendly() -> Vec<u8> {
    use support::{Tensor, float, int, ints, node, node_with, text};
    let window = [ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2]), int("ceil_mode", 1)];
    let same = [ints("kernel_shape", &[3, 3]), text("auto_pad", "SAME_UPPER")];
    let nodes = [
        node("Conv", "conv", &["x", "w"], "a"),
        node("Relu", "relu", &["a"], "b"),
        node_with("MaxPool", "pool", &["b"], "c", &window),
        node_with("MaxPool", "same", &["c"], "d", &same),
        node("Mul", "half", &["d", "by_channel"], "e"),
        node("Sigmoid", "sigmoid", &["e"], "s"),
        node("Mul", "silu", &["s", "e"], "f"),
        node_with("Swish", "swish", &["f"], "g", &[float("alpha", 1.0)]),
        node("Tanh", "tanh", &["g"], "h"),
        node_with("Gelu", "gelu", &["h"], "i", &[text("approximate", "tanh")]),
        node("Sigmoid", "last", &["i"], "j"),
        node("GlobalMaxPool", "largest", &["j"], "k"),
        node("Flatten", "flatten", &["k"], "y"),
    ];
    let constants = [Tensor::new("w", &[2, 1, 3, 3]), Tensor::new("by_channel", &[2, 1, 1])];
    support::model(&nodes, &constants, &[1, 1, 6, 6], "y")
}

#[test]
fn layers_without_encrypted_form_are_read_if_accepted() {
    let options = LoadOptions { accept_unfriendly: true, ..LoadOptions::default() };
    let mut diagnostics = Diagnostics::new();
    let model = onnx::import(Path::new("net.onnx"), &unfriendly(), &options, &mut diagnostics);
    let model = model.unwrap_or_else(|| panic!("{diagnostics}"));
    assert_eq!(model.check(), Ok(()));
    let expected = "input conv relu max_pool max_pool affine silu silu tanh gelu sigmoid max_pool move";
    assert_eq!(kinds(&model).join(" "), expected);
    let x: Vec<f64> = (0..36).map(|i| (i as f64 * 0.7).sin()).collect();
    let values = model.eval(&x);
    let scaled = &values[5];
    for (found, x) in values[6].iter().zip(scaled) {
        assert!((found - x / (1.0 + (-x).exp())).abs() < 1e-12, "{found} for {x}");
    }
    let padding = |layer: usize| match &model.layers[layer].kind {
        LayerKind::MaxPool(pool) => pool.padding,
        _ => unreachable!("layer {layer} is a max pool"),
    };
    assert_eq!([padding(3), padding(4)], [[0; 4], [1; 4]]);
}

/// GELU spelt by `Erf`, halved at one of three places.
fn spelt_gelu(halved: usize, factor: f32) -> Result<Model, Diagnostics> {
    use support::{Tensor, node};
    let constant = |name, value| {
        let mut tensor = Tensor::new(name, &[1]);
        tensor.values = vec![value];
        tensor
    };
    let half = |at: usize| constant(["h0", "h1", "h2"][at], if at == halved { 0.5 } else { 1.0 });
    let nodes = [
        node("MatMul", "fc", &["x", "m"], "p"),
        node("Add", "bias", &["p", "b"], "a"),
        node("Div", "inner", &["a", "root"], "i"),
        node("Erf", "erf", &["i"], "e"),
        node("Add", "plus", &["e", "one"], "g"),
        node("Mul", "half_gate", &["g", "h0"], "gh"),
        node("Mul", "half_x", &["h1", "a"], "ah"),
        node("Mul", "gate", &["ah", "gh"], "f"),
        node("Mul", "half", &["f", "h2"], "y"),
    ];
    let constants = [
        Tensor::new("m", &[4, 3]),
        Tensor::new("b", &[3]),
        constant("root", factor),
        constant("one", 1.0),
        half(0),
        half(1),
        half(2),
    ];
    let bytes = support::model(&nodes, &constants, &[1, 4], "y");
    let options = LoadOptions { accept_unfriendly: true, ..LoadOptions::default() };
    let mut diagnostics = Diagnostics::new();
    onnx::import(Path::new("gelu.onnx"), &bytes, &options, &mut diagnostics).ok_or(diagnostics)
}

#[test]
fn gelu_spelt_by_the_error_function_is_one_layer() {
    for halved in 0..3 {
        let model = spelt_gelu(halved, std::f32::consts::SQRT_2).unwrap_or_else(|d| panic!("{d}"));
        assert_eq!(kinds(&model).join(" "), "input dense gelu");
        let values = model.eval(&[0.1, -0.2, 0.3, 0.5]);
        for (found, x) in values[2].iter().zip(&values[1]) {
            assert!((found - Nonlinear::Gelu.value(*x)).abs() < 1e-12);
        }
    }
}

#[test]
fn other_error_functions_are_refused() {
    assert_eq!(spelt_gelu(0, 2.0).unwrap_err().iter().next().unwrap().code, Code::NotHeFriendly);
    // Without the summand of one, it is no GELU.
    use support::{Tensor, node};
    let mut root = Tensor::new("root", &[1]);
    root.values = vec![std::f32::consts::SQRT_2];
    let nodes = [
        node("Div", "inner", &["x", "root"], "i"),
        node("Erf", "erf", &["i"], "e"),
        node("Neg", "n", &["e"], "y"),
    ];
    let bytes = support::model(&nodes, &[root], &[1, 4], "y");
    let options = LoadOptions { accept_unfriendly: true, ..LoadOptions::default() };
    let mut diagnostics = Diagnostics::new();
    assert_eq!(onnx::import(Path::new("erf.onnx"), &bytes, &options, &mut diagnostics), None);
    let codes: Vec<Code> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes, [Code::NotHeFriendly]);
}

#[test]
fn example_models_agree_with_their_reference() {
    let data = DataSet::read(&repository().join("examples/data/mnist_test_sample.npz")).unwrap();
    let labels = data.labels.as_ref().unwrap().classes("labels", 10).unwrap();
    for name in ["mlp", "lola", "lenet5"] {
        let models = repository().join("examples/models");
        let model = load_or_explain(&models.join(format!("{name}.onnx")));
        data.fits(&model).unwrap();
        let weights = TensorFile::read(&models.join(format!("{name}.npz"))).unwrap();
        let reference = weights.get("ref_logits").unwrap();
        for (sample, expected) in data.samples.iter().zip(reference.values.chunks(10)) {
            let found = model.logits(sample);
            let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-4, "{name} is off by {off}");
        }
        let right = data.samples.iter().zip(labels).filter(|(x, y)| model.predict(x) == **y).count();
        assert!(right >= 98, "{name} finds {right} of 100 digits");
    }
}
