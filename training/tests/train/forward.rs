//! A trainee computes what its model computes.

use crate::nets::{Net, images};
use hecc_ir::Shape;
use hecc_model::{AvgPool, Conv, Dense, LayerId, LayerKind, MaxPool, Model, Nonlinear};
use hecc_train::{Samples, Trainee};

/// Draws a layer for what there is.
type Draw = fn(&mut Net) -> LayerKind;

/// Share of the outputs by which a trainee may differ.
const TOLERANCE: f64 = 1e-4;

/// The network with two other outputs: the squared distance of its own from the expected
/// ones, and a limit of it.
fn judged(model: &Model, expected: &[f64], limit: f64) -> Model {
    let n = expected.len();
    let shift = expected.iter().map(|x| -x).collect();
    let weight = (0..2 * n).map(|at| if at < n { 1.0 } else { 0.0 }).collect();
    Net::of(model)
        .flat()
        .push("difference", LayerKind::Affine { scale: vec![1.0; n], shift })
        .polynomial("square", &[0.0, 0.0, 1.0])
        .push("distance", LayerKind::Dense(Dense { weight, bias: vec![0.0, limit] }))
        .finish()
}

/// Whether the trainee's outputs are near the expected ones.
fn is_near(model: &Model, input: &[f64], expected: &[f64], limit: f64) -> bool {
    let elements: Vec<f32> = input.iter().map(|&x| x as f32).collect();
    let shape = model.layer(LayerId(0)).shape.clone();
    let sample = Samples { shape, elements, labels: vec![1] };
    Trainee::new(judged(model, expected, limit)).accuracy(&sample).unwrap() == 1.0
}

/// Compares a trainee with its model on one input; also that a difference is seen.
fn assert_agrees(mut net: Net, what: &str) {
    let n_inputs = net.builder.shape(LayerId(0)).n_elements();
    let input = net.numbers(n_inputs, 1.0);
    let mut rng = net.rng.clone();
    let model = net.finish();
    let mut expected = model.logits(&input);
    let tolerance = TOLERANCE * expected.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
    let limit = tolerance * tolerance;
    assert!(is_near(&model, &input, &expected, limit), "{what}: {model:?} does not give {expected:?}");
    let place = rng.usize(0..expected.len());
    expected[place] += 5.0 * tolerance;
    assert!(!is_near(&model, &input, &expected, limit), "{what}: {expected:?} is no result of {model:?}");
}

fn random_conv(net: &mut Net) -> LayerKind {
    let n_channels = net.shape()[0];
    let divisors: Vec<usize> = (1..=n_channels).filter(|groups| n_channels.is_multiple_of(*groups)).collect();
    let groups = divisors[net.rng.usize(0..divisors.len())];
    let n_outputs = groups * net.rng.usize(1..3);
    let [rows, columns] = [0; 2].map(|_| net.rng.usize(1..4));
    let weight_shape = [n_outputs, n_channels / groups, rows, columns];
    let weight = net.numbers(weight_shape.iter().product(), 0.5);
    let bias = if net.rng.bool() { net.numbers(n_outputs, 0.5) } else { Vec::new() };
    let stride = [0; 2].map(|_| net.rng.usize(1..4));
    let padding = [0; 4].map(|_| net.rng.usize(0..4));
    let dilation = [0; 2].map(|_| net.rng.usize(1..3));
    LayerKind::Conv(Conv { weight, weight_shape, bias, stride, padding, dilation, groups })
}

fn random_dense(net: &mut Net, is_biased: bool) -> LayerKind {
    let (n_inputs, n_outputs) = (net.shape()[0], net.rng.usize(1..6));
    let bias = if is_biased { net.numbers(n_outputs, 0.5) } else { Vec::new() };
    LayerKind::Dense(Dense { weight: net.numbers(n_inputs * n_outputs, 0.5), bias })
}

/// Kernel, stride and padding of a pool.
fn random_window(net: &mut Net) -> ([usize; 2], [usize; 2], [usize; 4]) {
    let kernel = [0; 2].map(|_| net.rng.usize(1..4));
    let stride = [0; 2].map(|_| net.rng.usize(1..4));
    let padding = [0, 1, 2, 3].map(|side| net.rng.usize(0..kernel[side % 2]));
    (kernel, stride, padding)
}

fn random_avg(net: &mut Net, count_include_pad: bool) -> LayerKind {
    let (kernel, stride, padding) = random_window(net);
    LayerKind::AvgPool(AvgPool { kernel, stride, padding, count_include_pad })
}

fn random_max(net: &mut Net) -> LayerKind {
    let (kernel, stride, padding) = random_window(net);
    LayerKind::MaxPool(MaxPool { kernel, stride, padding })
}

fn random_affine(net: &mut Net) -> LayerKind {
    let n = net.shape()[0];
    LayerKind::Affine { scale: net.numbers(n, 2.0), shift: net.numbers(n, 1.0) }
}

fn random_polynomial(net: &mut Net) -> LayerKind {
    let n = net.rng.usize(1..6);
    LayerKind::Polynomial { coefficients: net.numbers(n, 1.0) }
}

/// Elements in another order, some of them twice and some not at all.
fn moved(mut net: Net) -> Net {
    let n: usize = net.shape().iter().product();
    let extents = vec![net.rng.usize(1..4), net.rng.usize(1..4), 2];
    let n_moved = extents.iter().product::<usize>();
    let source = (0..n_moved).map(|_| net.rng.usize(0..n)).collect();
    let stated = Some(Shape(extents));
    net.at = net.builder.push("move", LayerKind::Move { source }, &[net.at], stated).unwrap();
    net
}

/// The sum of a layer and one made of it.
fn added(net: Net) -> Net {
    let before = net.at;
    let mut net = net.nonlinear("other", Nonlinear::Tanh);
    net.at = net.builder.push("add", LayerKind::Add, &[before, net.at], None).unwrap();
    net
}

#[test]
fn each_layer_computes_what_the_model_says() {
    let kinds: [(&str, Draw); 6] = [
        ("convolution", random_conv),
        ("mean with padding", |net| random_avg(net, true)),
        ("mean without padding", |net| random_avg(net, false)),
        ("maximum", random_max),
        ("affine", random_affine),
        ("polynomial", random_polynomial),
    ];
    for (what, kind) in kinds {
        for seed in 0..40 {
            let mut net = Net::new(&[4, 6, 5], seed);
            let kind = kind(&mut net);
            assert_agrees(net.push(what, kind), what);
        }
    }
    for seed in 0..4 {
        for is_biased in [true, false] {
            let mut net = Net::new(&[7], seed);
            let kind = random_dense(&mut net, is_biased);
            assert_agrees(net.push("dense", kind), "dense");
        }
        assert_agrees(moved(Net::new(&[2, 4, 3], seed)), "move");
        assert_agrees(added(Net::new(&[2, 4, 3], seed)), "add");
    }
}

#[test]
fn each_activation_computes_what_the_model_says() {
    for function in Nonlinear::ALL {
        let net = Net::new(&[40], 3).push(
            "wide",
            LayerKind::Affine { scale: (0..40).map(f64::from).collect(), shift: vec![0.0; 40] },
        );
        assert_agrees(net.nonlinear("activation", function), function.name());
    }
}

#[test]
fn chains_of_layers_compute_what_the_model_says() {
    for seed in 0..40 {
        let mut net = Net::new(&[2, 8, 7], seed);
        for _ in 0..net.rng.usize(2..6) {
            let kind = match net.rng.usize(0..8) {
                0 | 1 => random_conv(&mut net),
                2 => random_avg(&mut net, seed % 2 == 0),
                3 => random_max(&mut net),
                4 => random_affine(&mut net),
                5 => LayerKind::Nonlinear(Nonlinear::ALL[net.rng.usize(0..5)]),
                6 => LayerKind::Polynomial { coefficients: net.numbers(3, 0.3) },
                _ => {
                    net = added(moved(net));
                    continue;
                }
            };
            net = net.try_push("layer", kind);
        }
        let mut net = net.flat();
        let kind = random_dense(&mut net, true);
        assert_agrees(net.push("dense", kind), "chain");
    }
}

/// More samples than are evaluated at once.
#[test]
fn every_sample_of_many_is_evaluated() {
    let model = Net::new(&[1, 6, 6], 4).conv("conv", 3).max_pool("pool").flat().dense("dense", 3).finish();
    let mut samples = images(600, 1);
    for index in 0..samples.len() {
        let input: Vec<f64> = samples.sample(index).iter().copied().map(f64::from).collect();
        samples.labels[index] = model.predict(&input);
    }
    let trainee = Trainee::new(model);
    assert_eq!(trainee.accuracy(&samples), Ok(1.0));
    samples.labels[..150].iter_mut().for_each(|label| *label = (*label + 1) % 3);
    assert_eq!(trainee.accuracy(&samples), Ok(0.75));
}

#[test]
fn the_first_of_equal_outputs_is_the_prediction() {
    let weight = vec![0.0; 36];
    let model =
        Net::new(&[12], 1).push("dense", LayerKind::Dense(Dense { weight, bias: Vec::new() })).finish();
    let sample = |label: usize| Samples { shape: [12].into(), elements: vec![0.5; 12], labels: vec![label] };
    let trainee = Trainee::new(model);
    assert_eq!([0, 1, 2].map(|label| trainee.accuracy(&sample(label)).unwrap()), [1.0, 0.0, 0.0]);
}
