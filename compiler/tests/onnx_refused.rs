//! What is said about ONNX files that cannot be compiled.

#[path = "support/onnx.rs"]
mod support;

use hecc::diag::Diagnostics;
use hecc::front::{LoadOptions, onnx};
use std::path::Path;
use support::{Tensor, float, int, ints, model, node, node_with, text};

fn refused(bytes: &[u8]) -> String {
    refused_with(bytes, &LoadOptions::default())
}

fn refused_with(bytes: &[u8], options: &LoadOptions) -> String {
    let mut diagnostics = Diagnostics::new();
    let model = onnx::import(Path::new("net.onnx"), bytes, options, &mut diagnostics);
    assert!(model.is_none(), "the model should be refused");
    diagnostics.render(false)
}

#[test]
fn unfriendly_operators_are_all_reported() {
    let nodes = [
        node("Conv", "conv1", &["x", "w"], "a"),
        node("Relu", "relu1", &["a"], "b"),
        node_with("MaxPool", "pool1", &["b"], "c", &[ints("kernel_shape", &[2, 2])]),
        node("Flatten", "flatten", &["c"], "d"),
        node("Gemm", "fc", &["d", "fc"], "e"),
        node("Celluloid", "odd", &["e"], "f"),
        node("Mull", "typo", &["e", "e"], "g"),
        node("Softmax", "softmax", &["e"], "y"),
        node("Sum", "join", &["f", "g", "y"], "z"),
    ];
    let constants = [Tensor::new("w", &[2, 1, 3, 3]), Tensor::new("fc", &[8, 3])];
    insta::assert_snapshot!(refused(&model(&nodes, &constants, &[1, 1, 6, 6], "z")));
}

#[test]
fn what_training_cannot_replace_is_refused_always() {
    let window = ints("kernel_shape", &[2, 2]);
    let pool = |name: &str, settings: &[Vec<u8>]| {
        let settings = [std::slice::from_ref(&window), settings].concat();
        node_with("MaxPool", name, &["x"], name, &settings)
    };
    let nodes = [
        pool("gaps", &[ints("dilations", &[2, 2])]),
        pool("rounded", &[ints("strides", &[3, 3]), int("ceil_mode", 1)]),
        pool("columns", &[int("storage_order", 1)]),
        node("MaxPool", "unstated", &["x"], "unstated"),
        node_with("Gelu", "gelu", &["x"], "gelu", &[text("approximate", "cubic")]),
        node_with("Swish", "swish", &["x"], "swish", &[float("alpha", 2.0)]),
        node("LeakyRelu", "leaky", &["x"], "leaky"),
        node("Sigmoid", "gate", &["leaky"], "gate"),
        node("Mul", "gated", &["x", "gate"], "gated"),
        node("Sum", "join", &["gaps", "rounded", "columns", "unstated", "gelu", "swish", "gated"], "y"),
    ];
    let options = LoadOptions { accept_unfriendly: true, ..LoadOptions::default() };
    insta::assert_snapshot!(refused_with(&model(&nodes, &[], &[1, 1, 6, 6], "y"), &options));
}

#[test]
fn mistakes_in_the_graph_are_reported() {
    let loop_nodes = [
        node("Add", "one", &["x", "b"], "a"),
        node("Mul", "two", &["a", "a"], "b"),
        node("Add", "three", &["b", "x"], "y"),
    ];
    insta::assert_snapshot!(refused(&model(&loop_nodes, &[], &[1, 4], "y")));
    let missing = [node("Gemm", "fc", &["x", "nowhere"], "y"), node("Neg", "n", &["y"], "y")];
    insta::assert_snapshot!(refused(&model(&missing, &[], &[1, 4], "y")));
    let no_output = [node("Neg", "n", &["x"], "y")];
    insta::assert_snapshot!(refused(&model(&no_output, &[], &[1, 4], "z")));
    insta::assert_snapshot!(refused(&model(&no_output, &[], &[1, 4, -1], "y")));
}

#[test]
fn wrong_shapes_and_settings_are_reported() {
    let nodes = [
        node("Gemm", "image", &["x", "fc"], "a"),
        node_with("Conv", "groups", &["x", "w"], "b", &[int("group", 2)]),
        node_with("Conv", "far", &["x", "w"], "c", &[ints("dilations", &[9, 9])]),
        node_with("AveragePool", "ceil", &["x"], "d", &[ints("kernel_shape", &[4, 4]), int("ceil_mode", 1)]),
        node("Add", "bias", &["x", "fc"], "e"),
        node("Mul", "gate", &["x", "ok"], "f"),
        node_with("Conv", "ok", &["x", "one"], "ok", &[]),
        node_with("Transpose", "turn", &["x"], "h", &[ints("perm", &[0, 1])]),
        node("Div", "inverse", &["x", "x"], "i"),
        node("Concat", "join", &["a", "b", "c", "d", "e", "f", "h", "i"], "y"),
    ];
    let constants =
        [Tensor::new("w", &[2, 1, 3, 3]), Tensor::new("fc", &[8, 3]), Tensor::new("one", &[1, 1, 1, 1])];
    let mut strided = nodes.to_vec();
    strided[3] = node_with(
        "AveragePool",
        "ceil",
        &["x"],
        "d",
        &[ints("kernel_shape", &[4, 4]), ints("strides", &[3, 3]), int("ceil_mode", 1)],
    );
    insta::assert_snapshot!(refused(&model(&strided, &constants, &[1, 1, 6, 6], "y")));
}

#[test]
fn damaged_constants_are_reported() {
    let nodes = [node("Gemm", "fc", &["x", "w"], "a"), node("Add", "b", &["a", "b"], "y")];
    let mut nan = Tensor::new("w", &[4, 2]);
    nan.values[5] = f32::NAN;
    let mut short = Tensor::new("b", &[2]);
    short.values.pop();
    insta::assert_snapshot!(refused(&model(&nodes, &[nan, short], &[1, 4], "y")));
    let mut outside = Tensor::new("w", &[4, 2]);
    outside.location = Some("../../etc/passwd".to_owned());
    let mut absent = Tensor::new("b", &[2]);
    absent.location = Some("net.onnx.data".to_owned());
    insta::assert_snapshot!(refused(&model(&nodes, &[outside, absent], &[1, 4], "y")));
    insta::assert_snapshot!(refused(b"\x08\x07not a model"));
}
