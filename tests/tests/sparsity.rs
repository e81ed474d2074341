//! Zeros cost nothing, and no map costs more than its diagonals taken one by
//! one.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use hecc::cost::Nominal;
use hecc::model::{Conv, Dense, LayerKind, Model, ModelBuilder};
use hecc::sparsity::{Matrix, Network, NodeKind};
use hecc_ir::target::Basis;
use hecc_ir::{OpCounts, Shape};
use hecc_tests::compiling::{compile_small, target_for};
use hecc_tests::models::{input_for, values};
use proptest::prelude::*;
use std::collections::BTreeSet;

const N_SLOTS: usize = 64;

/// A model of one layer behind an input of the given shape.
fn one_layer(extents: &[usize], kind: LayerKind) -> Model {
    let mut builder = ModelBuilder::new();
    let input = LayerKind::Input { range: (-1.0, 1.0) };
    let x = builder.push("x", input, &[], Some(Shape(extents.to_vec()))).unwrap();
    let y = builder.push("y", kind, &[x], None).unwrap();
    builder.finish("one layer", y)
}

fn dense(n_in: usize, n_out: usize, kept: impl Fn(usize, usize) -> bool) -> Model {
    let mut weight = values(n_in * n_out, 1);
    for (i, w) in weight.iter_mut().enumerate() {
        *w *= f64::from(u8::from(kept(i / n_in, i % n_in)));
    }
    one_layer(&[n_in], LayerKind::Dense(Dense { weight, bias: Vec::new() }))
}

fn conv(channels: usize, out: usize, kept: impl Fn(usize, usize) -> bool) -> Model {
    let weight_shape = [out, channels, 3, 3];
    let mut weight = values(out * channels * 9, 2);
    for (i, w) in weight.iter_mut().enumerate() {
        *w *= f64::from(u8::from(kept(i / (9 * channels), i / 9 % channels)));
    }
    let (bias, stride, padding, dilation) = (Vec::new(), [1, 1], [1; 4], [1, 1]);
    one_layer(
        &[channels, 4, 4],
        LayerKind::Conv(Conv { weight, weight_shape, bias, stride, padding, dilation, groups: 1 }),
    )
}

fn counts(model: &Model) -> OpCounts {
    compile_small(model, N_SLOTS, &input_for(model, 0)).unwrap().program.op_counts()
}

/// Price of decompositions, key switches and products at one level, nanoseconds.
fn price(decompositions: usize, rotations: usize, products: usize) -> f64 {
    let ring = target_for(N_SLOTS).rings.remove(0);
    let nominal = Nominal::new(&ring, 1);
    let level = nominal.level(1);
    let product = nominal.ops().mul_plain(level, Basis::Extended);
    decompositions as f64 * nominal.ops().decompose(level)
        + rotations as f64 * nominal.ops().apply_key(level)
        + products as f64 * product
}

/// What plans may seem to lose here: they are chosen by prices of divisions,
/// additions and reading too, which outweigh a rotation at most.
fn slack() -> f64 {
    price(1, 1, 0)
}

fn price_of(counts: &OpCounts) -> f64 {
    price(counts.hoisted_groups, counts.rotations, counts.mul_plain + counts.mul_scalar)
}

/// Price of the matrix of a one-layer model, every diagonal between contiguous
/// layouts on its own. A result of zeros takes a product for its scale.
fn price_of_diagonals(model: &Model) -> f64 {
    let network = Network::of(model);
    let NodeKind::Linear(linear) = &network.node(network.output).kind else { panic!("one linear layer") };
    let matrix: &Matrix = &linear.terms[0].factors[0].matrix;
    let entries = (0..matrix.n_rows()).flat_map(|row| matrix.row(row).map(move |(col, _)| (row, col)));
    let place = |(row, col): (usize, usize)| {
        (row / N_SLOTS, col / N_SLOTS, (N_SLOTS + col % N_SLOTS - row % N_SLOTS) % N_SLOTS)
    };
    let keys: BTreeSet<_> = entries.map(place).collect();
    let rotated: BTreeSet<_> = keys.iter().filter(|key| key.2 != 0).map(|key| (key.1, key.2)).collect();
    let results: BTreeSet<_> = keys.iter().map(|key| key.0).collect();
    let zeros = matrix.n_rows().div_ceil(N_SLOTS) - results.len();
    let operands: BTreeSet<_> = rotated.iter().map(|key| key.0).collect();
    price(operands.len(), rotated.len(), keys.len() + zeros)
}

fn assert_beats_diagonals(model: &Model) {
    let (diagonals, found) = (price_of_diagonals(model), counts(model));
    assert!(price_of(&found) <= diagonals + slack(), "{found:?} for {diagonals} ns");
}

#[test]
fn a_layer_of_zeros_needs_nothing() {
    for model in [dense(40, 20, |_, _| false), conv(4, 4, |_, _| false)] {
        assert_eq!(counts(&model), OpCounts::default());
    }
}

#[test]
fn zero_blocks_save_rotations_and_products() {
    let (full, half) =
        (counts(&dense(64, 64, |_, _| true)), counts(&dense(64, 64, |row, col| row / 8 == col / 8)));
    assert!(half.rotations < full.rotations && half.mul_plain < full.mul_plain, "{half:?} of {full:?}");
    let (full, half) = (counts(&conv(4, 4, |_, _| true)), counts(&conv(4, 4, |out, channel| out == channel)));
    assert!(half.rotations < full.rotations && half.mul_plain < full.mul_plain, "{half:?} of {full:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn zeros_never_cost(n_in in 1usize..100, n_out in 1usize..100, tile in 1usize..20, seed: u64) {
        let mask = values(10_000, seed);
        let pruned = counts(&dense(n_in, n_out, |row, col| mask[(row / tile * 97 + col / tile) % mask.len()] > 0.0));
        let full = counts(&dense(n_in, n_out, |_, _| true));
        prop_assert!(price_of(&pruned) <= price_of(&full) + slack(), "{:?} of {:?}", pruned, full);
    }

    #[test]
    fn dense_layers_beat_their_diagonals(n_in in 1usize..150, n_out in 1usize..150) {
        assert_beats_diagonals(&dense(n_in, n_out, |_, _| true));
    }

    #[test]
    fn convolutions_beat_their_diagonals(channels in 1usize..8, out in 1usize..8, seed: u64) {
        let mask = values(64, seed);
        assert_beats_diagonals(&conv(channels, out, |_, _| true));
        assert_beats_diagonals(&conv(channels, out, |o, c| o == c || mask[o * 8 + c] > 0.5));
    }
}
