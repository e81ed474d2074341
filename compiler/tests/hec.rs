//! The model language: models it builds and what it says about mistakes.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use hecc::diag::Diagnostics;
use hecc::front::weights::TensorFile;
use hecc::front::{LoadOptions, data::DataSet, hec, load};
use hecc::model::{LayerKind, MaxPool, Model, Nonlinear};
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A small weights file: `w` [2,1,3,3], `b` [2], `fc` [3,32] and `nan` [2,2].
fn small_weights() -> TensorFile {
    use safetensors::{Dtype, tensor::TensorView};
    let tensor =
        |n: usize| -> Vec<u8> { (0..n).flat_map(|i| ((i % 7) as f32 - 3.0).to_le_bytes()).collect() };
    let nan: Vec<u8> = [1.0, 2.0, f32::NAN, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let (w, b, fc) = (tensor(18), tensor(2), tensor(96));
    let view = |shape: &[usize], bytes| TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
    let tensors = [
        ("w", view(&[2, 1, 3, 3], &w)),
        ("b", view(&[2], &b)),
        ("fc", view(&[3, 32], &fc)),
        ("nan", view(&[2, 2], &nan)),
    ];
    TensorFile::parse("small.safetensors", &safetensors::serialize(tensors, None).unwrap()).unwrap()
}

fn translate(text: &str) -> (Option<Model>, Diagnostics) {
    translate_with(text, &LoadOptions::default())
}

fn translate_with(text: &str, options: &LoadOptions) -> (Option<Model>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let mut read = |_: &str| Ok(small_weights());
    let model = hec::translate("test.hec", text, &mut read, options, &mut diagnostics);
    assert_eq!(model.is_none(), diagnostics.has_errors());
    (model, diagnostics)
}

fn refused(text: &str) -> String {
    let (model, diagnostics) = translate(text);
    assert!(model.is_none());
    diagnostics.render(false)
}

#[test]
fn both_forms_of_the_examples_are_the_same_network() {
    let data = DataSet::read(&repository().join("examples/data/mnist_test_sample.npz")).unwrap();
    for name in ["mlp", "lola", "lenet5"] {
        let read = |extension: &str| {
            let path = repository().join(format!("examples/models/{name}.{extension}"));
            load(&path, &LoadOptions::default()).unwrap_or_else(|d| panic!("{d}"))
        };
        let (text, onnx) = (read("hec"), read("onnx"));
        assert_eq!(text.name, name);
        for sample in &data.samples {
            for (a, b) in text.logits(sample).iter().zip(onnx.logits(sample)) {
                assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{name}: {a} for {b}");
            }
        }
    }
}

/// Channels of the convolutions, and features that the first dense layer reads.
#[test]
fn networks_to_be_grouped_have_the_shapes_of_their_paper() {
    let shapes = |name: &str| {
        let options = LoadOptions { accept_unfriendly: true, ..LoadOptions::default() };
        let path = repository().join(format!("examples/grouped/{name}.hec"));
        let model = load(&path, &options).unwrap_or_else(|d| panic!("{d}"));
        let stem = name.rsplit('/').next().unwrap();
        assert_eq!((model.name.as_str(), &model.layer(model.output).shape.0[..]), (stem, &[10][..]));
        let convs = model.layers.iter().filter(|layer| matches!(layer.kind, LayerKind::Conv(_)));
        let flat = model.layers.iter().find(|layer| layer.name == "flat").unwrap();
        convs.chain([flat]).map(|layer| layer.shape.0[0]).collect::<Vec<usize>>()
    };
    assert_eq!(shapes("lenet"), [64, 32, 32]);
    assert_eq!(shapes("vgg5"), [64, 128, 128, 8192]);
    assert_eq!(shapes("hefnet"), [256, 128, 64, 64, 256]);
    for step in ["dense", "grouped", "pruned"] {
        assert_eq!(shapes(&format!("lenet/{step}/lenet"))[1..], [32, 32]);
    }
    assert_eq!(shapes("vgg5/pruned/vgg5"), [16, 32, 32, 2048]);
    assert_eq!(shapes("hefnet/dense/hefnet"), [256, 128, 64, 64, 256]);
    assert_eq!(shapes("hefnet/pruned/hefnet"), [32, 64, 32, 32, 128]);
}

#[test]
fn every_layer_computes() {
    let (model, diagnostics) = translate(
        "model all {
           weights \"w.npz\"
           input x: [1, 6, 6] in -1..1   # a comment
           c = conv(x, weight = \"w\", bias = \"b\", stride = 1, padding = [0, 0, 0, 0])
           n = batch_norm(c, mean = [0.5, 1], var = [4, 1], gamma = 2, eps = 0)
           a = affine(n, scale = [1, 2], shift = -1)
           s = square(a)
           r = add(s, c)   // another
           p = avg_pool(r, kernel = 3, stride = 1, padding = 1, count_include_pad = false)
           t = transpose(p, [1, 2, 0])
           u = reshape(t, [32])
           d = dense(u, weight = \"fc\")
           q = poly(d, [1, -0.5, 0.25])
           output q
         }",
    );
    assert!(diagnostics.is_empty(), "{diagnostics}");
    let model = model.unwrap();
    assert_eq!(model.input().1, (-1.0, 1.0));
    assert_eq!(model.check(), Ok(()));
    let x: Vec<f64> = (0..36).map(|i| (i as f64 * 0.7).sin()).collect();
    let values = model.eval(&x);
    let (conv, norm, affine) = (&values[1], &values[2], &values[3]);
    assert!((norm[0] - (conv[0] - 0.5)).abs() < 1e-12);
    assert!((norm[16] - (conv[16] - 1.0) * 2.0).abs() < 1e-12);
    assert!((affine[16] - (norm[16] * 2.0 - 1.0)).abs() < 1e-12);
    assert!((values[5][3] - (affine[3] * affine[3] + conv[3])).abs() < 1e-12);
    assert_eq!(values[7][1], values[6][16]);
}

/// Reads layers without encrypted form too.
const ACCEPTING: LoadOptions = LoadOptions { input_range: None, accept_unfriendly: true };

#[test]
fn layers_without_encrypted_form_are_read_if_accepted() {
    let text = "model unfriendly {
      input x: [1, 6, 6] in -1..1
      a = relu(x)
      b = max_pool(a, kernel = [3, 2])
      c = sigmoid(b)
      d = max_pool(c, kernel = 2, stride = 1, padding = [1, 0, 0, 1])
      e = tanh(d)
      f = silu(e)
      g = gelu(f)
      output g
    }";
    let (model, diagnostics) = translate_with(text, &ACCEPTING);
    assert!(diagnostics.is_empty(), "{diagnostics}");
    let model = model.unwrap();
    let pool = |kernel, stride, padding| LayerKind::MaxPool(MaxPool { kernel, stride, padding });
    let kinds = [
        LayerKind::Nonlinear(Nonlinear::Relu),
        pool([3, 2], [3, 2], [0; 4]),
        LayerKind::Nonlinear(Nonlinear::Sigmoid),
        pool([2, 2], [1, 1], [1, 0, 0, 1]),
        LayerKind::Nonlinear(Nonlinear::Tanh),
        LayerKind::Nonlinear(Nonlinear::Silu),
        LayerKind::Nonlinear(Nonlinear::Gelu),
    ];
    assert!(model.layers[1..].iter().map(|layer| &layer.kind).eq(&kinds));
    insta::assert_snapshot!(refused(text));
}

#[test]
fn mistakes_in_layers_without_encrypted_form_are_reported() {
    let text = "model unfriendly {
  input x: [1, 6, 6] in -1..1
  a = relu(x, 6)
  b = max_pool(x, stride = 2)
  c = max_pool(x, kernel = 2, padding = 2)
  d = max_pool(x, kernel = 2, count_include_pad = true)
  e = rellu(x)
  f = leaky_relu(x)
  output f
}
";
    let (model, diagnostics) = translate_with(text, &ACCEPTING);
    assert!(model.is_none());
    insta::assert_snapshot!(diagnostics.render(false));
}

#[test]
fn random_weights_follow_the_seed() {
    let text = |seed: u32| {
        format!(
            "model bench {{
               weights random(seed = {seed})
               input x: [3, 8, 8] in 0..1
               c = conv(x, out_channels = 4, kernel = 3, padding = 1)
               b = batch_norm(c)
               g = global_avg_pool(square)
               output g
             }}"
        )
        .replace("global_avg_pool(square)", "global_avg_pool(b)")
    };
    let model = |seed| translate(&text(seed)).0.unwrap();
    assert_eq!(model(7), model(7));
    assert_ne!(model(7), model(8));
}

#[test]
fn syntax_errors_are_reported_together() {
    insta::assert_snapshot!(refused(
        "model broken {
  weights \"w.npz\"
  inptu x: [1, 6, 6] in 0..1
  a = square(x
  b = conv(a, weight = \"w\", stride = $)
  c = square a
  output c
}
"
    ));
    insta::assert_snapshot!(refused("model broken"));
    insta::assert_snapshot!(refused("model a {\n  weights \"unclosed\n}\n"));
}

#[test]
fn meaning_errors_are_reported_together() {
    insta::assert_snapshot!(refused(
        "model wrong {
  weights \"w.npz\"
  input image: [1, 6, 6] in 0..1
  input again: [1, 6, 6]
  c1 = cnov(image, weight = \"w\")
  c2 = conv(image, weight = \"W\", paddding = 1)
  c3 = conv(image, weight = \"wx\")
  a  = relu(imge)
  m  = max_pool(image, kernel = 2)
  d  = dense(image, weight = \"fc\")
  e  = conv(image, weight = \"w\", stride = 0)
  f  = add(image)
  g  = poly(image, [1, 0])
  g  = square(image)
  h  = square(c1)
}
"
    ));
}

#[test]
fn shape_errors_show_the_shapes() {
    insta::assert_snapshot!(refused(
        "model shapes {
  weights \"w.npz\"
  input image: [1, 6, 6] in 0..1
  c = conv(image, weight = \"w\")
  k = conv(image, weight = \"w\", dilation = 3)
  r = add(image, c)
  v = flatten(image)
  d = dense(v, weight = \"fc\")
  n = dense(v, weight = \"nan\")
  t = transpose(c, [0, 1])
  u = reshape(c, [5, 5])
  b = conv(image, weight = \"w\", bias = [1, 2, 3])
  output d
}
"
    ));
    insta::assert_snapshot!(refused("model big { input x: [70000, 70000] in 1..0; output x }"));
}

#[test]
fn unused_layers_are_a_warning() {
    let (model, diagnostics) = translate("model m {\n  input x: [2]\n  y = square(x)\n  output x\n}");
    assert_eq!(model.unwrap().layers.len(), 1);
    insta::assert_snapshot!(diagnostics.render(false));
}

#[test]
fn missing_files_name_both_places() {
    let path = repository().join("examples/models/mlp.hec");
    let text = std::fs::read_to_string(path).unwrap().replace("mlp.npz", "nowhere.npz");
    let mut diagnostics = Diagnostics::new();
    let options = LoadOptions::default();
    assert!(hec::load_text(Path::new("models/mlp.hec"), &text, &options, &mut diagnostics).is_none());
    insta::assert_snapshot!(diagnostics.render(false));
}
