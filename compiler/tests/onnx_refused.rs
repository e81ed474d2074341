//! What is said about ONNX files that cannot be compiled.

#[path = "support/onnx.rs"]
mod support;

use hecc::diag::{Code, Diagnostics};
use hecc::front::{LoadOptions, onnx};
use prost::encoding::{WireType, encode_key, encode_varint};
use std::path::Path;
use std::time::Instant;
use support::{Tensor, float, int, ints, model, model_in, node, node_of, node_with, text};

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

/// Results of a node beyond the first are not computed, whatever reads them.
#[test]
fn further_results_are_refused_where_they_are_used() {
    let window = ints("kernel_shape", &[2, 2]);
    let parameters = ["s", "b", "m", "v"].map(|name| {
        let mut tensor = Tensor::new(name, &[2]);
        tensor.values = vec![1.0; 2];
        tensor
    });
    let norm =
        |outputs: &[&str]| node_of("BatchNormalization", "norm", &["x", "s", "b", "m", "v"], outputs, &[]);
    let dropout = |outputs: &[&str]| node_of("Dropout", "drop", &["x"], outputs, &[]);
    let pool = node_of("MaxPool", "pool", &["x"], &["a", "indices"], &[window]);
    let cases: [(Vec<Vec<u8>>, &str); 6] = [
        (
            vec![
                dropout(&["a", "mask"]),
                node_with("Cast", "cast", &["mask"], "c", &[int("to", 1)]),
                node("Mul", "mul", &["a", "c"], "y"),
            ],
            "y",
        ),
        (vec![dropout(&["a", "mask"])], "mask"),
        (vec![dropout(&["", "mask"]), node("Neg", "neg", &["mask"], "y")], "y"),
        (vec![norm(&["a", "mean"]), node("Add", "add", &["a", "mean"], "y")], "y"),
        (vec![pool, node("Shape", "shape", &["indices"], "i"), node("Reshape", "r", &["a", "i"], "y")], "y"),
        (
            vec![
                node_of("Neg", "neg", &["x"], &["a", "more"], &[]),
                node("Add", "add", &["more", "more"], "y"),
            ],
            "y",
        ),
    ];
    let options = LoadOptions { accept_unfriendly: true, ..LoadOptions::default() };
    let messages = cases
        .map(|(nodes, output)| refused_with(&model(&nodes, &parameters, &[1, 2, 4, 4], output), &options));
    insta::assert_snapshot!(messages.join("\n---\n"));
}

#[test]
fn operators_in_training_form_are_refused() {
    let parameters = ["s", "b", "m", "v"].map(|name| {
        let mut tensor = Tensor::new(name, &[2]);
        tensor.values = vec![1.0; 2];
        tensor
    });
    let mut mode = Tensor::new("mode", &[]);
    mode.values = vec![1.0];
    let constants = parameters.into_iter().chain([mode]).collect::<Vec<_>>();
    let norm = |outputs: &[&str], settings: &[Vec<u8>]| {
        node_of("BatchNormalization", "norm", &["x", "s", "b", "m", "v"], outputs, settings)
    };
    let cases = [
        (9, norm(&["y", "m2", "v2", "m3", "v3"], &[])),
        (14, norm(&["y", "m2", "v2"], &[int("training_mode", 1)])),
        (8, norm(&["y"], &[int("spatial", 0)])),
        (13, node("Dropout", "drop", &["x", "", "mode"], "y")),
        (13, node("Dropout", "drop", &["x", "", "x"], "y")),
    ];
    let messages =
        cases.map(|(opset, node)| refused(&model_in(opset, &[node], &constants, &[1, 2, 4, 4], "y")));
    insta::assert_snapshot!(messages.join("\n---\n"));
}

/// Settings and operands that contradict tensors, or that the operator does not have.
#[test]
fn settings_that_contradict_tensors_are_refused() {
    let window = || ints("kernel_shape", &[2, 2]);
    let conv = |settings: &[Vec<u8>]| node_with("Conv", "n", &["x", "w"], "y", settings);
    let pool = |settings: &[Vec<u8>]| node_with("AveragePool", "n", &["x"], "y", settings);
    let reshape = |shape: &str, settings: &[Vec<u8>]| node_with("Reshape", "n", &["x", shape], "y", settings);
    let pad = |settings: &[Vec<u8>]| {
        [
            node_with("Pad", "p", &["x"], "p", settings),
            node_with("AveragePool", "n", &["p"], "y", &[window()]),
        ]
    };
    let single = [
        conv(&[ints("kernel_shape", &[3, 3])]),
        conv(&[int("group", 2)]),
        conv(&[int("group", -1)]),
        conv(&[ints("strides", &[0, 1])]),
        conv(&[ints("dilations", &[i64::MAX, 1])]),
        conv(&[ints("pads", &[1, 1])]),
        conv(&[ints("pads", &[-1, 0, 0, 0])]),
        conv(&[text("auto_pad", "SAME_UPPER"), ints("pads", &[1, 1, 1, 1])]),
        conv(&[ints("strides", &[2, 2]), ints("strides", &[1, 1])]),
        conv(&[int("strides", 2)]),
        conv(&[int("fused", 1)]),
        node("Conv", "n", &["x", "w", "list"], "y"),
        node("Conv", "n", &["x", "w", "", "x"], "y"),
        pool(&[int("kernel_shape", 2)]),
        pool(&[ints("kernel_shape", &[2])]),
        pool(&[window(), ints("pads", &[2, 2, 2, 2])]),
        node_with("Gemm", "n", &["x", "m"], "y", &[int("transA", 1)]),
        node_with("Flatten", "n", &["x"], "y", &[int("axis", 7)]),
        node_with("Flatten", "n", &["x"], "y", &[ints("axis", &[2])]),
        reshape("zero", &[int("allowzero", 1)]),
        reshape("list", &[]),
        reshape("w", &[]),
        node("Reshape", "n", &["x"], "y"),
        node_with("Squeeze", "n", &["x", "axes"], "y", &[ints("axes", &[0])]),
        node("Squeeze", "n", &["x", "axes"], "y"),
        node("Unsqueeze", "n", &["x"], "y"),
        node_with("Transpose", "n", &["x"], "y", &[ints("perm", &[0, 1, 1, 2])]),
        node_with("Transpose", "n", &["x"], "y", &[ints("perm", &[0, -1, 2, 3])]),
        node_with("Cast", "n", &["x"], "y", &[]),
        node("Pow", "n", &["x", "w"], "y"),
        node("Sum", "n", &["b", "b"], "y"),
    ];
    let pads = [
        pad(&[ints("pads", &[0, 0, 1, 1])]),
        pad(&[ints("pads", &[0, 1, 0, 0, 0, 0, 0, 0])]),
        pad(&[ints("pads", &[0, 0, -1, 0, 0, 0, 0, 0])]),
        pad(&[ints("pads", &[0, 0, 1, 0, 0, 0, 0, 0]), float("value", 0.5)]),
        pad(&[ints("pads", &[0, 0, 1, 0, 0, 0, 0, 0]), text("mode", "reflect")]),
        [
            node_with("Pad", "p", &["x"], "p", &[ints("pads", &[0, 0, 1, 0, 0, 0, 0, 0])]),
            node("Neg", "n", &["p"], "y"),
        ],
    ];
    let constants = [
        Tensor::new("w", &[2, 2, 2, 2]),
        Tensor::new("m", &[32, 3]),
        Tensor::new("b", &[2]),
        Tensor::list("zero", &[1, 0, -1]),
        Tensor::list("list", &[3, -5, 4]),
        Tensor::list("axes", &[1]),
    ];
    let graphs = single.into_iter().map(|node| vec![node]).chain(pads.map(Vec::from));
    let messages: Vec<String> = graphs
        .map(|nodes| refused(&model_in(9, &nodes, &constants, &[1, 2, 4, 4], "y")))
        .map(|message| message.lines().filter(|line| !line.contains("│")).collect::<Vec<_>>().join("\n"))
        .collect();
    insta::assert_snapshot!(messages.join("\n"));
}

/// Channels are the second axis, behind the batch: not those of a tensor that lost its batch.
#[test]
fn normalisation_without_a_batch_is_refused() {
    let mut constants = ["s", "b", "m", "v"].map(|name| Tensor::new(name, &[4])).to_vec();
    constants.iter_mut().for_each(|tensor| tensor.values = vec![1.0, 2.0, 3.0, 4.0]);
    constants.push(Tensor::list("shape", &[2, 4]));
    let nodes = [
        node("Reshape", "lost", &["x", "shape"], "r"),
        node("BatchNormalization", "norm", &["r", "s", "b", "m", "v"], "y"),
    ];
    insta::assert_snapshot!(refused(&model(&nodes, &constants, &[1, 8], "y")));
}

#[test]
fn constants_and_names_are_defined_once() {
    let nodes = [node("Add", "a", &["x", "c"], "d"), node("Neg", "n", &["d"], "c")];
    let twice = [Tensor::new("c", &[4]), Tensor::new("c", &[1])];
    insta::assert_snapshot!(refused(&model(&nodes, &twice, &[1, 4], "d")));
    insta::assert_snapshot!(refused(&model(&[node("Neg", "n", &["x"], "y")], &[], &[1 << 40, 4], "y")));
}

/// Operands that are left out keep their places.
#[test]
fn slices_with_steps_are_refused() {
    let nodes = [
        node("Slice", "s", &["list", "from", "to", "", "steps"], "shape"),
        node("Reshape", "r", &["x", "shape"], "y"),
    ];
    let constants = [
        Tensor::list("list", &[1, 2, 2, 4]),
        Tensor::list("from", &[0]),
        Tensor::list("to", &[4]),
        Tensor::list("steps", &[2]),
    ];
    insta::assert_snapshot!(refused(&model(&nodes, &constants, &[1, 4], "y")));
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

/// Nothing is encrypted of a network whose input is a constant.
#[test]
fn models_without_inputs_are_told_to_have_one() {
    let constants = [Tensor::new("x", &[1, 4]), Tensor::new("w", &[4, 2])];
    let said = refused(&model(&[node("MatMul", "fc", &["x", "w"], "y")], &constants, &[1, 4], "y"));
    assert!(said.contains("the model has 0 inputs"), "{said}");
    assert!(
        said.contains("export the network with its input as one of the graph, not as a constant"),
        "{said}"
    );
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

/// The code of the first refusal.
fn code(bytes: &[u8]) -> Code {
    let mut diagnostics = Diagnostics::new();
    let model = onnx::import(Path::new("net.onnx"), bytes, &LoadOptions::default(), &mut diagnostics);
    assert!(model.is_none(), "the model should be refused");
    diagnostics.iter().next().expect("there is a refusal").code
}

/// Extents of a tensor without elements whose other extents have more elements than can be counted.
const UNCOUNTABLE: [i64; 3] = [0, 1 << 40, 1 << 40];

#[test]
fn extents_that_cannot_be_counted_are_refused() {
    let turned = [node("Transpose", "t", &["c"], "t"), node("Add", "a", &["x", "t"], "y")];
    let flat = [node("Flatten", "f", &["c"], "f"), node("Add", "a", &["x", "f"], "y")];
    for constant in [Tensor::new("c", &UNCOUNTABLE), Tensor::new("c", &[1 << 40, 0, 1 << 40])] {
        for nodes in [&turned, &flat] {
            let bytes = model(nodes, std::slice::from_ref(&constant), &[1, 4], "y");
            assert_eq!(code(&bytes), Code::MalformedFile);
        }
    }
    let filled = [
        node("ConstantOfShape", "c", &["s"], "c"),
        node("Transpose", "t", &["c"], "t"),
        node("Add", "a", &["x", "t"], "y"),
    ];
    let shape = Tensor::list("s", &UNCOUNTABLE);
    assert_eq!(code(&model(&filled, std::slice::from_ref(&shape), &[1, 4], "y")), Code::UnsupportedOp);
    let reshaped = [
        node_with("Reshape", "r", &["c", "s"], "r", &[int("allowzero", 1)]),
        node("Transpose", "t", &["r"], "t"),
        node("Add", "a", &["x", "t"], "y"),
    ];
    let constants = [Tensor::new("c", &[0]), shape];
    assert_eq!(code(&model(&reshaped, &constants, &[1, 4], "y")), Code::ShapeMismatch);
}

/// A row for each of very many outputs has no elements, but a bias for each would have.
#[test]
fn weights_without_elements_have_no_outputs() {
    let nodes = [node("Gemm", "fc", &["x", "w", "b"], "y")];
    let constants = [Tensor::new("w", &[0, 1 << 40]), Tensor::new("b", &[])];
    assert_eq!(code(&model(&nodes, &constants, &[1, 4], "y")), Code::ShapeMismatch);
}

/// A file whose one node has so many settings without content.
fn hollow(n_settings: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let settings = [0x2a, 0].repeat(n_settings);
    let mut header = Vec::new();
    encode_key(1, WireType::LengthDelimited, &mut header);
    encode_varint(settings.len() as u64, &mut header);
    encode_key(7, WireType::LengthDelimited, &mut file);
    encode_varint((header.len() + settings.len()) as u64, &mut file);
    [file, header, settings].concat()
}

#[test]
fn messages_without_content_are_counted_before_they_are_read() {
    assert_eq!(code(&hollow(8_000_000)), Code::FileTooLarge);
    // Few are read, and found to make no model.
    assert_eq!(code(&hollow(10)), Code::OnnxVersion);
}

#[test]
fn high_powers_of_many_constants_are_refused_at_once() {
    const N: i64 = 1 << 22;
    let mut exponent = Tensor::new("e", &[]);
    exponent.values = vec![31.0];
    let nodes = [
        node("Mul", "square", &["x", "x"], "s"),
        node("Mul", "scale", &["s", "c"], "m"),
        node("Pow", "power", &["m", "e"], "y"),
    ];
    let bytes = model(&nodes, &[Tensor::new("c", &[1, N]), exponent], &[1, N], "y");
    let start = Instant::now();
    assert_eq!(code(&bytes), Code::TensorTooLarge);
    assert!(start.elapsed().as_secs() < 20, "took {:?}", start.elapsed());
}
