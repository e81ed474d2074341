//! Models that are written in the model language read as the same models.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use hecc::diag::Diagnostics;
use hecc::front::hec::{self, WriteError, to_hec, to_npz};
use hecc::front::weights::TensorFile;
use hecc::front::{LoadOptions, load};
use hecc::model::{AvgPool, Conv, Dense, LayerId, LayerKind, MaxPool, Model, ModelBuilder, Nonlinear};
use hecc_ir::Shape;
use std::path::{Path, PathBuf};

/// The model that a model's text and weights read as.
fn rewritten(model: &Model) -> Model {
    let text = to_hec(model, "w.npz").unwrap();
    let weights = TensorFile::parse("w.npz", &to_npz(model)).unwrap();
    let options = LoadOptions { accept_unfriendly: true, ..LoadOptions::default() };
    let mut diagnostics = Diagnostics::new();
    let mut read = |path: &str| {
        assert_eq!(path, "w.npz");
        Ok(weights.clone())
    };
    let again = hec::translate("written.hec", &text, &mut read, &options, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics}\n{text}");
    again.unwrap()
}

/// Everything but names.
fn assert_same_layers(found: &Model, expected: &Model) {
    assert_eq!(found.layers.len(), expected.layers.len());
    assert_eq!(found.output, expected.output);
    for (found, expected) in found.layers.iter().zip(&expected.layers) {
        let same = found.kind == expected.kind;
        assert!(same, "`{}` is written as another layer than `{}`", found.name, expected.name);
        assert_eq!((&found.inputs, &found.shape), (&expected.inputs, &expected.shape));
    }
}

fn models_in(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "hec" || e == "onnx")).collect();
    paths.sort();
    paths
}

#[test]
fn files_survive_being_written() {
    let paths = [models_in("../examples/models"), models_in("tests/fixtures")].concat();
    assert!(paths.len() > 30);
    for path in paths {
        let model = load(&path, &LoadOptions::default()).unwrap_or_else(|d| panic!("{d}"));
        let again = rewritten(&model);
        assert_same_layers(&again, &model);
        assert_eq!(again, rewritten(&again), "{}", path.display());
        if path.extension().is_some_and(|e| e == "hec") {
            assert_eq!(again, model);
        }
    }
}

/// Appends layers, each to the last one.
struct Chain {
    builder: ModelBuilder,
    last: LayerId,
}

impl Chain {
    fn new(shape: &[usize], range: (f64, f64)) -> Chain {
        let mut builder = ModelBuilder::new();
        let shape = Some(Shape(shape.to_vec()));
        let last = builder.push("x", LayerKind::Input { range }, &[], shape).unwrap();
        Chain { builder, last }
    }

    fn then(mut self, name: &str, kind: LayerKind) -> Chain {
        self.last = self.builder.push(name, kind, &[self.last], None).unwrap();
        self
    }

    fn moved(mut self, name: &str, source: Vec<usize>, shape: &[usize]) -> Chain {
        let shape = Some(Shape(shape.to_vec()));
        self.last = self.builder.push(name, LayerKind::Move { source }, &[self.last], shape).unwrap();
        self
    }

    fn finish(self, name: &str) -> Model {
        self.builder.finish(name, self.last)
    }
}

/// Every kind of layer, with settings other than the defaults, numbers that are
/// long in decimal and names that the language cannot spell.
fn all_kinds() -> Model {
    let numbers = |n: usize| (0..n).map(|i| (i as f64 * 0.37).sin() / 3.0).collect::<Vec<_>>();
    let conv = Conv {
        weight: numbers(4 * 9),
        weight_shape: [4, 1, 3, 3],
        bias: vec![0.5, -0.25, -0.0, 1e10],
        stride: [1, 2],
        padding: [1, 1, 2, 0],
        dilation: [2, 1],
        groups: 2,
    };
    let max_pool = MaxPool { kernel: [3, 3], stride: [1, 1], padding: [1; 4] };
    let avg_pool =
        AvgPool { kernel: [2, 1], stride: [2, 1], padding: [1, 0, 1, 0], count_include_pad: false };
    let mut chain = Chain::new(&[2, 6, 6], (-1.5e-7, 1e22))
        .then("/conv/Conv", LayerKind::Conv(conv))
        .then("conv.Conv", LayerKind::MaxPool(max_pool))
        .then("conv_Conv", LayerKind::AvgPool(avg_pool))
        .then("norm", LayerKind::Affine { scale: numbers(4), shift: vec![0.0, 1.0, 2.0, 3.0] });
    for function in Nonlinear::ALL {
        chain = chain.then("output", LayerKind::Nonlinear(function));
    }
    let shape = chain.builder.shape(chain.last).clone();
    let [channels, rows, columns] = shape.0[..] else { panic!("{shape} is no image") };
    let last_first = hecc::model::permuted(&shape.0, &[2, 0, 1]);
    let n = shape.n_elements();
    chain
        .then("square", LayerKind::Polynomial { coefficients: vec![0.0, 0.0, 1.0] })
        .then("poly", LayerKind::Polynomial { coefficients: vec![1.0 / 3.0, -1e-300, 2.5] })
        .moved("turned", last_first, &[columns, channels, rows])
        .moved("wide", (0..n).collect(), &[1, n, 1])
        .moved("1", (0..n).collect(), &[n])
        .then("fc", LayerKind::Dense(Dense { weight: vec![0.125; 3 * n], bias: Vec::new() }))
        .finish("all kinds")
}

#[test]
fn every_kind_survives_being_written() {
    let mut model = all_kinds();
    assert_same_layers(&rewritten(&model), &model);
    insta::assert_snapshot!(to_hec(&model, "w.npz").unwrap());
    assert_eq!(to_npz(&model), to_npz(&model));
    let again = rewritten(&model);
    for (layer, again) in model.layers.iter_mut().zip(again.layers) {
        layer.name = again.name;
    }
    model.name = "all_kinds".to_owned();
    assert_eq!(rewritten(&model), model);
}

#[test]
fn weights_take_as_few_bytes_as_they_need() {
    let n_bytes = |weights: &dyn Fn(usize) -> f64| {
        let dense = Dense { weight: (0..4096).map(weights).collect(), bias: Vec::new() };
        let model = Chain::new(&[64], (0.0, 1.0)).then("fc", LayerKind::Dense(dense)).finish("m");
        to_npz(&model).len()
    };
    // Of 32 bits nearly all differ; compression finds little in them.
    let single = |i: usize| f64::from((i as f32 * 0.7).sin());
    let double = |i: usize| (i as f64 * 0.7).sin();
    assert!((3 * 4096..5 * 4096).contains(&n_bytes(&single)), "{}", n_bytes(&single));
    assert!((7 * 4096..9 * 4096).contains(&n_bytes(&double)), "{}", n_bytes(&double));
    let sparse = |i: usize| if i.is_multiple_of(50) { single(i) } else { 0.0 };
    assert!(n_bytes(&sparse) < 1024, "{}", n_bytes(&sparse));
}

#[test]
fn a_model_without_weights_names_no_file() {
    let relu = LayerKind::Nonlinear(Nonlinear::Relu);
    let model = Chain::new(&[2], (0.0, 1.0)).then("y", relu).finish("m");
    let text = "model m {\n  input x: [2] in 0..1\n  y = relu(x)\n  output y\n}\n";
    assert_eq!(to_hec(&model, "w.npz").unwrap(), text);
    assert_eq!(rewritten(&model), model);
}

#[test]
fn what_the_language_cannot_express_is_an_error() {
    let model = Chain::new(&[3], (0.0, 1.0)).moved("turn", vec![2, 1, 0], &[3]).finish("m");
    let error = to_hec(&model, "w.npz").unwrap_err();
    assert_eq!(error, WriteError::Move { layer: "turn".to_owned() });
    let quoted = to_hec(&model, "a\"b.npz").unwrap_err();
    assert_eq!(quoted, WriteError::WeightsFile("a\"b.npz".to_owned()));
    let coefficients = vec![0.1; 400_000];
    let long = Chain::new(&[3], (0.0, 1.0)).then("p", LayerKind::Polynomial { coefficients }).finish("m");
    assert!(matches!(to_hec(&long, "w.npz"), Err(WriteError::TooLong(_))));
}
