//! Channels go only where the function stays.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{AvgPool, ModelBuilder};
use hecc_ir::Shape;

/// Weights without a pattern.
fn weights(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f64 / 1009.0 - 0.4).collect()
}

fn conv(n_in: usize, n_out: usize, padding: usize) -> LayerKind {
    LayerKind::Conv(Conv {
        weight: weights(n_in * n_out * 9, n_out),
        weight_shape: [n_out, n_in, 3, 3],
        bias: weights(n_out, 3),
        stride: [1; 2],
        padding: [padding; 4],
        dilation: [1; 2],
        groups: 1,
    })
}

fn dense(n_in: usize, n_out: usize) -> LayerKind {
    LayerKind::Dense(Dense { weight: weights(n_in * n_out, n_out), bias: Vec::new() })
}

/// conv a, affine, square, pool, the sum of conv b and conv c, flatten, dense d, square,
/// dense e.
fn model(padding: usize) -> Model {
    let mut builder = ModelBuilder::new();
    let mut push =
        |name, kind, operands: &[LayerId], shape| builder.push(name, kind, operands, shape).unwrap();
    let square = || LayerKind::Polynomial { coefficients: vec![0.3, 0.5, 1.0] };
    let pool = AvgPool { kernel: [2; 2], stride: [2; 2], padding: [0; 4], count_include_pad: true };
    let affine = LayerKind::Affine { scale: weights(6, 1), shift: weights(6, 2) };
    let x = push("x", LayerKind::Input { range: (-1.0, 1.0) }, &[], Some(Shape(vec![2, 10, 10])));
    let y = push("a", conv(2, 6, 1), &[x], None);
    let y = push("affine", affine, &[y], None);
    let y = push("act1", square(), &[y], None);
    let y = push("pool", LayerKind::AvgPool(pool), &[y], None);
    let b = push("b", conv(6, 4, padding), &[y], None);
    let c = push("c", conv(6, 4, padding), &[y], None);
    let y = push("sum", LayerKind::Add, &[b, c], None);
    let n = 4 * (3 + 2 * padding).pow(2);
    let y = push("flat", LayerKind::Move { source: (0..n).collect() }, &[y], Some(Shape(vec![n])));
    let y = push("d", dense(n, 12), &[y], None);
    let y = push("act2", square(), &[y], None);
    let y = push("e", dense(12, 5), &[y], None);
    builder.finish("narrow", y)
}

fn zero(model: &mut Model, name: &str, positions: impl Fn(usize) -> bool) {
    let layer = model.layers.iter_mut().find(|layer| layer.name == name).unwrap();
    let (weights, _) = layer.kind.weights_and_bias_mut().unwrap();
    weights.iter_mut().enumerate().filter(|(at, _)| positions(*at)).for_each(|(_, w)| *w = 0.0);
}

/// A sound model computes what another one does.
fn assert_same(model: &Model, other: &Model) {
    assert_eq!(other.check(), Ok(()));
    let input = weights(200, 5);
    for (expected, found) in model.logits(&input).iter().zip(other.logits(&input)) {
        assert!((expected - found).abs() < 1e-9 * expected.abs().max(1.0), "{found} for {expected}");
    }
}

/// Channels of the named layers of the narrowed model, which computes the same.
fn channels<const N: usize>(model: &Model, names: [&str; N]) -> [usize; N] {
    let narrowed = model.clone().narrowed();
    assert_same(model, &narrowed);
    names.map(|name| narrowed.layers.iter().find(|layer| layer.name == name).unwrap().shape.0[0])
}

#[test]
fn nothing_goes_that_is_of_use() {
    let model = model(1);
    assert_eq!(model.clone().narrowed(), model);
    let name = |id: &LayerId| model.layer(*id).name.as_str();
    let widths = model.widths();
    let names: Vec<Vec<&str>> = widths.iter().map(|w| w.layers.iter().map(name).collect()).collect();
    let expected = [vec!["a", "affine", "act1", "pool"], vec!["b", "c", "sum", "flat"], vec!["d", "act2"]];
    assert_eq!(names, expected);
}

#[test]
fn channels_that_nothing_reads_go() {
    let mut model = model(0);
    for name in ["b", "c"] {
        zero(&mut model, name, |at| at / 9 % 6 == 2);
    }
    zero(&mut model, "d", |at| at % 36 / 9 == 3);
    assert_eq!(channels(&model, ["a", "pool", "b", "c", "flat", "d"]), [5, 5, 3, 3, 27, 12]);
}

#[test]
fn a_channel_that_one_of_two_reads_stays() {
    let mut model = model(0);
    zero(&mut model, "b", |at| at / 9 % 6 == 2);
    assert_eq!(channels(&model, ["a"]), [6]);
}

#[test]
fn constant_channels_go_into_biases() {
    let mut model = model(0);
    zero(&mut model, "a", |at| at / 18 == 4);
    zero(&mut model, "d", |at| at / 36 < 2);
    assert_eq!(channels(&model, ["a", "d", "act2", "e"]), [5, 10, 10, 5]);
}

#[test]
fn a_constant_channel_beside_padding_stays() {
    let mut model = model(1);
    zero(&mut model, "a", |at| at / 18 == 4);
    assert_eq!(channels(&model, ["a"]), [6]);
}

#[test]
fn every_width_keeps_a_unit() {
    let mut model = model(0);
    ["b", "c", "d"].into_iter().for_each(|name| zero(&mut model, name, |_| true));
    assert_eq!(channels(&model, ["a", "b", "flat", "d", "e"]), [1, 1, 9, 1, 5]);
}

/// conv a, reshaped twice before conv b reads it; the first has fewer, the last more channels.
fn reshaped(is_prefix: bool) -> Model {
    let mut builder = ModelBuilder::new();
    let mut push =
        |name, kind, operands: &[LayerId], shape| builder.push(name, kind, operands, shape).unwrap();
    let order = |n: usize| LayerKind::Move { source: (0..n).collect() };
    let x = push("x", LayerKind::Input { range: (-1.0, 1.0) }, &[], Some(Shape(vec![2, 10, 10])));
    let mut a = conv(2, 2, 0);
    if let (LayerKind::Conv(conv), false) = (&mut a, is_prefix) {
        conv.weight[18..].fill(0.0);
    }
    let y = push("a", a, &[x], None);
    let y = match is_prefix {
        true => push("first", order(64), &[y], Some(Shape(vec![1, 8, 8]))),
        false => {
            let y = push("four", order(128), &[y], Some(Shape(vec![4, 8, 4])));
            push("eight", order(128), &[y], Some(Shape(vec![2, 8, 8])))
        }
    };
    let n = if is_prefix { 1 } else { 2 };
    let y = push("b", conv(n, 3, 0), &[y], None);
    builder.finish("reshaped", y)
}

#[test]
fn reshaped_channels_and_parts_of_them_keep_their_place() {
    assert_eq!(channels(&reshaped(true), ["a", "first"]), [2, 1]);
    assert_eq!(channels(&reshaped(false), ["b"]), [3]);
}

#[test]
fn without_the_weights_that_read_it_a_unit_goes() {
    let model = model(0);
    for width in model.widths() {
        let mut pruned = model.clone();
        for (layer, weights) in model.weights_reading(&width, width.n_units - 1) {
            let (values, _) = pruned.layers[layer.0].kind.weights_and_bias_mut().unwrap();
            weights.into_iter().for_each(|weight| values[weight as usize] = 0.0);
        }
        let narrowed = pruned.narrowed();
        let found = narrowed.widths().into_iter().find(|found| found.layers == width.layers).unwrap();
        assert_eq!(found.n_units, width.n_units - 1);
    }
}

#[test]
fn units_in_another_order_compute_the_same() {
    let model = model(1);
    let widths = model.widths();
    assert_eq!(widths.len(), 3);
    for width in widths {
        let order: Vec<usize> = (0..width.n_units).map(|unit| (unit * 5 + 1) % width.n_units).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..width.n_units), "{order:?} is an order");
        let permuted = model.clone().with_units(&width, &order);
        assert_ne!(permuted, model);
        assert_same(&model, &permuted);
    }
}

/// conv a, square, conv g in groups, conv h, flatten, dense d.
fn grouped() -> Model {
    let mut builder = ModelBuilder::new();
    let mut push =
        |name, kind, operands: &[LayerId], shape| builder.push(name, kind, operands, shape).unwrap();
    let mut halves = conv(3, 4, 0);
    if let LayerKind::Conv(conv) = &mut halves {
        conv.groups = 2;
    }
    let x = push("x", LayerKind::Input { range: (-1.0, 1.0) }, &[], Some(Shape(vec![2, 10, 10])));
    let y = push("a", conv(2, 6, 0), &[x], None);
    let y = push("square", LayerKind::Polynomial { coefficients: vec![0.0, 0.0, 1.0] }, &[y], None);
    let y = push("g", halves, &[y], None);
    let y = push("h", conv(4, 5, 0), &[y], None);
    let y = push("flat", LayerKind::Move { source: (0..80).collect() }, &[y], Some(Shape(vec![80])));
    let y = push("d", dense(80, 3), &[y], None);
    builder.finish("grouped", y)
}

/// Channels that groups read or compute go in as many of each group.
#[test]
fn channels_of_groups_go_from_all_groups_alike() {
    let mut model = grouped();
    let widths = model.widths();
    let groups: Vec<_> = widths.iter().map(|width| (width.n_units, width.n_groups)).collect();
    assert_eq!(groups, [(6, 2), (4, 2), (5, 1)]);
    // Nothing reads 2 of either group; 0 of the second group is a constant, of the first it is read.
    zero(&mut model, "g", |at| at / 9 % 3 == 2);
    zero(&mut model, "a", |at| at / 18 == 3);
    zero(&mut model, "h", |at| matches!(at / 9 % 4, 1 | 2));
    assert_eq!(channels(&model, ["a", "g", "h", "d"]), [4, 2, 5, 3]);
}

#[test]
fn a_channel_that_one_group_alone_could_lose_stays() {
    let mut model = grouped();
    zero(&mut model, "a", |at| at / 18 == 1);
    zero(&mut model, "h", |at| at / 9 % 4 == 3);
    zero(&mut model, "d", |at| at % 80 / 16 == 2);
    assert_eq!(channels(&model, ["a", "g", "h", "d"]), [6, 4, 4, 3]);
}

/// What a channel that stays for its group's sake would read goes.
#[test]
fn a_channel_that_stays_unread_reads_nothing() {
    let mut model = twice_grouped(1, 4);
    // The first channel of a is read by nothing, and alone reads the first of the channels before it.
    zero(&mut model, "g", |at| at / 54 < 6 && at / 9 % 6 == 0);
    zero(&mut model, "a", |at| at / 108 > 0 && at / 9 % 12 == 0);
    assert_eq!(channels(&model, ["first", "a", "g"]), [11, 24, 24]);
    let narrowed = model.narrowed();
    let LayerKind::Conv(a) = &narrowed.layers[2].kind else { unreachable!("a is a convolution") };
    assert!(a.weight[..99].iter().chain(&a.bias[..1]).all(|weight| *weight == 0.0));
}

#[test]
fn channels_change_places_within_groups() {
    let model = grouped();
    for (width, order) in model.widths().iter().zip([vec![2, 0, 1, 3, 5, 4], vec![1, 0, 2, 3]]) {
        let permuted = model.clone().with_units(width, &order);
        assert_ne!(permuted, model);
        assert_same(&model, &permuted);
    }
}

#[test]
#[should_panic(expected = "the width has the units")]
fn channels_do_not_change_groups() {
    let model = grouped();
    let _ = model.clone().with_units(&model.widths()[0], &[3, 1, 2, 0, 4, 5]);
}

/// conv a, conv g in `read` groups on top of it, conv h; a is in `computed` groups.
fn twice_grouped(computed: usize, read: usize) -> Model {
    let mut builder = ModelBuilder::new();
    let mut push =
        |name, kind, operands: &[LayerId], shape| builder.push(name, kind, operands, shape).unwrap();
    let in_groups = |groups: usize, n_in: usize| {
        let mut kind = conv(n_in / groups, 24, 0);
        if let LayerKind::Conv(conv) = &mut kind {
            conv.groups = groups;
        }
        kind
    };
    let x = push("x", LayerKind::Input { range: (-1.0, 1.0) }, &[], Some(Shape(vec![2, 10, 10])));
    let x = push("first", conv(2, 12, 1), &[x], None);
    let y = push("a", in_groups(computed, 12), &[x], None);
    let y = push("g", in_groups(read, 24), &[y], None);
    let y = push("h", conv(24, 5, 0), &[y], None);
    builder.finish("twice", y)
}

#[test]
fn groups_of_two_convolutions_stay_equal() {
    for (computed, read, n_groups, n_left) in [(2, 4, 4, 20), (4, 2, 4, 20), (2, 3, 6, 18)] {
        let mut model = twice_grouped(computed, read);
        let width = model.widths().into_iter().find(|width| width.n_units == 24).unwrap();
        assert_eq!(width.n_groups, n_groups);
        // Nothing reads the first unit of any group.
        for (layer, weights) in (0..n_groups)
            .flat_map(|group| model.weights_reading(&width, 24 / n_groups * group))
            .collect::<Vec<_>>()
        {
            let (values, _) = model.layers[layer.0].kind.weights_and_bias_mut().unwrap();
            weights.into_iter().for_each(|weight| values[weight as usize] = 0.0);
        }
        assert_eq!(channels(&model, ["a", "g"]), [n_left, 24], "{computed} and {read}");
    }
}

/// A channel of which each is a group of its own cannot go.
#[test]
fn channels_of_depthwise_convolutions_stay() {
    let mut each = conv(1, 6, 0);
    if let LayerKind::Conv(conv) = &mut each {
        conv.groups = 6;
    }
    let mut builder = ModelBuilder::new();
    let mut push =
        |name, kind, operands: &[LayerId], shape| builder.push(name, kind, operands, shape).unwrap();
    let x = push("x", LayerKind::Input { range: (-1.0, 1.0) }, &[], Some(Shape(vec![2, 10, 10])));
    let y = push("a", conv(2, 6, 0), &[x], None);
    let y = push("g", each, &[y], None);
    let y = push("h", conv(6, 5, 0), &[y], None);
    let mut model = builder.finish("depthwise", y);
    assert!(model.widths().is_empty());
    zero(&mut model, "h", |at| at / 9 % 6 == 3);
    assert_eq!(channels(&model, ["a", "g", "h"]), [6, 6, 5]);
}

/// conv a, conv b on top of it, their sum, conv c.
fn residual() -> Model {
    let mut builder = ModelBuilder::new();
    let mut push =
        |name, kind, operands: &[LayerId], shape| builder.push(name, kind, operands, shape).unwrap();
    let x = push("x", LayerKind::Input { range: (-1.0, 1.0) }, &[], Some(Shape(vec![2, 10, 10])));
    let a = push("a", conv(2, 6, 1), &[x], None);
    let b = push("b", conv(6, 6, 1), &[a], None);
    let sum = push("sum", LayerKind::Add, &[a, b], None);
    let y = push("c", conv(6, 3, 0), &[sum], None);
    builder.finish("residual", y)
}

#[test]
fn a_channel_of_a_residual_goes_with_both_that_compute_it() {
    let mut model = residual();
    for name in ["b", "c"] {
        zero(&mut model, name, |at| at / 9 % 6 == 4);
    }
    assert_eq!(channels(&model, ["a", "b", "sum", "c"]), [5, 5, 5, 3]);
}

#[test]
fn a_channel_that_a_residual_alone_reads_stays() {
    let mut model = residual();
    zero(&mut model, "b", |at| at / 9 % 6 == 4);
    assert_eq!(channels(&model, ["a", "b", "sum"]), [6, 6, 6]);
    let mut model = residual();
    zero(&mut model, "b", |at| at / 54 == 4);
    assert_eq!(channels(&model, ["a", "b", "sum"]), [6, 6, 6]);
}

/// dense d, an image of 4 channels, conv b.
fn dense_to_image() -> Model {
    let mut builder = ModelBuilder::new();
    let mut push =
        |name, kind, operands: &[LayerId], shape| builder.push(name, kind, operands, shape).unwrap();
    let x = push("x", LayerKind::Input { range: (-1.0, 1.0) }, &[], Some(Shape(vec![200])));
    let mut features = dense(200, 100);
    if let LayerKind::Dense(dense) = &mut features {
        dense.bias = weights(100, 7);
    }
    let y = push("d", features, &[x], None);
    let y = push("image", LayerKind::Move { source: (0..100).collect() }, &[y], Some(Shape(vec![4, 5, 5])));
    let y = push("b", conv(4, 3, 0), &[y], None);
    builder.finish("image", y)
}

#[test]
fn all_features_of_a_channel_go_with_it() {
    let mut model = dense_to_image();
    zero(&mut model, "b", |at| at / 9 % 4 == 1);
    assert_eq!(channels(&model, ["d", "image", "b"]), [75, 3, 3]);
}

/// Features that do not depend on the input differ from pixel to pixel, which no bias can be.
#[test]
fn constant_features_of_a_channel_stay() {
    let mut model = dense_to_image();
    zero(&mut model, "d", |at| at / 200 / 25 == 1);
    assert_eq!(channels(&model, ["d", "image", "b"]), [100, 4, 3]);
}
