//! Zeros cost nothing, and no map costs more than its diagonals taken one by
//! one.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use hecc::cost::Nominal;
use hecc::model::{Conv, Dense, LayerKind, Model, ModelBuilder};
use hecc::pipeline::Compiled;
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

fn compiled(model: &Model) -> Compiled {
    compile_small(model, N_SLOTS, &input_for(model, 0)).unwrap()
}

fn counts(model: &Model) -> OpCounts {
    compiled(model).program.op_counts()
}

/// What the planner expects a model of one layer to take, nanoseconds.
fn planned(model: &Model) -> f64 {
    compiled(model).plan.cost_ns
}

/// Diagonals of a map between contiguous layouts: result ciphertext, operand
/// ciphertext, step.
fn diagonals(matrix: &Matrix) -> BTreeSet<(usize, usize, usize)> {
    let entries = (0..matrix.n_rows()).flat_map(|row| matrix.row(row).map(move |(col, _)| (row, col)));
    let place = |(row, col): (usize, usize)| {
        (row / N_SLOTS, col / N_SLOTS, (N_SLOTS + col % N_SLOTS - row % N_SLOTS) % N_SLOTS)
    };
    entries.map(place).collect()
}

/// What a model of one layer takes in nanoseconds, every diagonal between
/// contiguous layouts on its own. Products are of rotations for the better half,
/// or the rotations are divided first.
fn price_of_diagonals(model: &Model) -> f64 {
    let network = Network::of(model);
    let NodeKind::Linear(linear) = &network.node(network.output).kind else { panic!("one linear layer") };
    let matrix = &linear.terms[0].factors[0].matrix;
    let keys = diagonals(matrix);
    let rotated: BTreeSet<_> = keys.iter().filter(|key| key.2 != 0).map(|key| (key.1, key.2)).collect();
    let operands: BTreeSet<_> = rotated.iter().map(|key| key.0).collect();
    let is_extended = 2 * keys.iter().filter(|key| key.2 != 0).count() >= keys.len();

    let ring = target_for(N_SLOTS).rings.remove(0);
    let nominal = Nominal::new(&ring, 1);
    let (ops, level, below) = (nominal.ops(), nominal.level(1), nominal.level(0));
    let basis = if is_extended { Basis::Extended } else { Basis::Reduced };
    let n_divisions = if is_extended { 0 } else { 2 * rotated.len() };
    operands.len() as f64 * ops.decompose(level)
        + rotated.len() as f64 * (ops.apply_key(level) + ops.gather(level, basis))
        + n_divisions as f64 * ops.divide(level)
        + keys.len() as f64 * ops.mul_plain(level, basis)
        + matrix.n_rows().div_ceil(N_SLOTS) as f64 * ops.rescale(below, Basis::Extended)
}

fn assert_beats_diagonals(model: &Model) {
    let (diagonals, found) = (price_of_diagonals(model), planned(model));
    assert!(found <= diagonals * (1.0 + ROUNDING), "{found} for {diagonals} ns");
}

/// Prices are sums of floating-point numbers, in whatever order.
const ROUNDING: f64 = 1e-9;

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

    // Small enough for the planner to count every diagonal.
    #[test]
    fn zeros_never_cost(n_in in 1usize..100, n_out in 1usize..40, tile in 1usize..20, seed: u64) {
        let mask = values(10_000, seed);
        let pruned = planned(&dense(n_in, n_out, |row, col| mask[(row / tile * 97 + col / tile) % mask.len()] > 0.0));
        let full = planned(&dense(n_in, n_out, |_, _| true));
        prop_assert!(pruned <= full * (1.0 + ROUNDING), "{} of {} ns", pruned, full);
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
