//! Models at the edge of what a model can be, and the bugs they once showed.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use hecc::model::{AvgPool, Dense, LayerId, LayerKind, Model, ModelBuilder};
use hecc::pipeline::{CompileError, Options, compile};
use hecc_ir::{Shape, Tensor, eval, verify};
use hecc_tests::compiling::options_for;
use hecc_tests::models::{input_for, tensor_for, values};

struct Draft(ModelBuilder);

impl Draft {
    fn new(extents: &[usize]) -> (Draft, LayerId) {
        let mut draft = Draft(ModelBuilder::new());
        let input = LayerKind::Input { range: (-1.0, 1.0) };
        let x = draft.0.push("x", input, &[], Some(Shape(extents.to_vec()))).unwrap();
        (draft, x)
    }

    fn push(&mut self, kind: LayerKind, operands: &[LayerId]) -> LayerId {
        self.0.push("layer", kind, operands, None).unwrap()
    }

    fn dense(&mut self, x: LayerId, n_out: usize, kept: impl Fn(usize, usize) -> bool) -> LayerId {
        let n_in = self.0.shape(x).n_elements();
        let weight = values(n_in * n_out, 3).into_iter().enumerate();
        let weight = weight.map(|(i, w)| if kept(i / n_in, i % n_in) { w } else { 0.0 }).collect();
        self.push(LayerKind::Dense(Dense { weight, bias: Vec::new() }), &[x])
    }

    fn poly(&mut self, x: LayerId, coefficients: &[f64]) -> LayerId {
        self.push(LayerKind::Polynomial { coefficients: coefficients.to_vec() }, &[x])
    }

    fn movement(&mut self, x: LayerId, source: Vec<usize>, extents: &[usize]) -> LayerId {
        self.0.push("move", LayerKind::Move { source }, &[x], Some(Shape(extents.to_vec()))).unwrap()
    }

    fn finish(self, output: LayerId) -> Model {
        self.0.finish("corner", output)
    }
}

/// Every stage verifies and computes the model, for few and for many slots.
fn assert_compiles(model: &Model) {
    for n_slots in [16, 256] {
        let input = input_for(model, 7);
        let options =
            Options { precision: 1e-4, samples: vec![tensor_for(model, &input)], ..options_for(n_slots) };
        let compiled = compile(model, &options).unwrap();
        verify(&compiled.lowered).unwrap();
        verify(&compiled.leveled).unwrap();
        compiled.program.verify().unwrap();
        for (x, y) in
            eval(&compiled.leveled, std::slice::from_ref(&input))[0].iter().zip(model.logits(&input))
        {
            assert!((x - y).abs() <= 1e-9, "{x} for {y} with {n_slots} slots");
        }
    }
}

#[test]
fn the_output_is_the_input() {
    let (draft, x) = Draft::new(&[40]);
    assert_compiles(&draft.finish(x));
}

#[test]
fn the_output_is_zero() {
    let (mut draft, x) = Draft::new(&[40]);
    let y = draft.dense(x, 3, |_, _| false);
    assert_compiles(&draft.finish(y));
}

#[test]
fn the_output_is_constant() {
    let (mut draft, x) = Draft::new(&[4]);
    let y = draft.poly(x, &[0.25]);
    assert_compiles(&draft.finish(y));
}

#[test]
fn the_output_is_a_square() {
    let (mut draft, x) = Draft::new(&[4]);
    let y = draft.poly(x, &[0.0, 0.0, 1.0]);
    assert_compiles(&draft.finish(y));
}

/// Every degree, with all coefficients and with the leading one alone.
#[test]
fn polynomials_of_every_degree() {
    for degree in 1..=9 {
        for others in [0.0, 0.5] {
            let (mut draft, x) = Draft::new(&[4]);
            let mut coefficients = vec![others; degree];
            coefficients.push(1.0);
            let y = draft.poly(x, &coefficients);
            assert_compiles(&draft.finish(y));
        }
    }
}

/// Some output ciphertexts are products, others constants.
#[test]
fn ciphertexts_of_one_output_have_one_type() {
    let (mut draft, x) = Draft::new(&[8]);
    let y = draft.dense(x, 40, |row, _| row < 16);
    let bias = LayerKind::Affine { scale: vec![1.0; 40], shift: vec![0.5; 40] };
    let z = draft.push(bias, &[y]);
    assert_compiles(&draft.finish(z));
}

/// The first ciphertext goes through a square, the second past it.
#[test]
fn ciphertexts_of_one_input_have_one_type() {
    let (mut draft, x) = Draft::new(&[32]);
    let first = draft.dense(x, 4, |_, col| col < 16);
    let squared = draft.poly(first, &[0.0, 0.0, 1.0]);
    let deep = draft.dense(squared, 4, |_, _| true);
    let past = draft.movement(x, vec![16, 17, 18, 19], &[4]);
    let sum = draft.push(LayerKind::Add, &[deep, past]);
    assert_compiles(&draft.finish(sum));
}

/// A product that a square and a later sum read, at different levels.
#[test]
fn skips_cross_levels() {
    let (mut draft, x) = Draft::new(&[8]);
    let shared = draft.dense(x, 8, |_, _| true);
    let squared = draft.poly(shared, &[0.1, 0.5, 1.0]);
    let deep = draft.dense(squared, 8, |_, _| true);
    let sum = draft.push(LayerKind::Add, &[deep, shared]);
    let again = draft.poly(sum, &[0.0, 0.25, 0.0, 0.125]);
    let last = draft.push(LayerKind::Add, &[again, shared]);
    assert_compiles(&draft.finish(last));
}

/// The shift of one activation must not reach what else reads its operand.
#[test]
fn activations_share_an_operand() {
    let (mut draft, x) = Draft::new(&[8]);
    let shared = draft.dense(x, 8, |_, _| true);
    let first = draft.poly(shared, &[0.0, 1.0, 1.0]);
    let second = draft.poly(shared, &[0.0, -1.0, 1.0]);
    let sum = draft.push(LayerKind::Add, &[first, second]);
    let last = draft.push(LayerKind::Add, &[sum, shared]);
    assert_compiles(&draft.finish(last));
}

/// A slice from the front is no reshape.
#[test]
fn a_prefix_is_moved() {
    let (mut draft, x) = Draft::new(&[40]);
    let y = draft.movement(x, (0..30).collect(), &[30]);
    assert_compiles(&draft.finish(y));
}

/// Neighbours of a reshaped image are not where they were.
#[test]
fn pools_follow_reshapes() {
    let (mut draft, x) = Draft::new(&[4, 2, 2]);
    let squared = draft.poly(x, &[0.0, 0.0, 1.0]);
    let reshaped = draft.movement(squared, (0..16).collect(), &[1, 4, 4]);
    let pool = AvgPool { kernel: [2, 2], stride: [2, 2], padding: [0; 4], count_include_pad: false };
    let pooled = draft.push(LayerKind::AvgPool(pool), &[reshaped]);
    let flat = draft.movement(pooled, (0..4).collect(), &[4]);
    let y = draft.dense(flat, 3, |_, _| true);
    assert_compiles(&draft.finish(y));
}

/// As many elements along other axes are no sample of the model.
#[test]
fn samples_of_another_shape_are_refused() {
    let (mut draft, x) = Draft::new(&[2, 4, 4]);
    let y = draft.poly(x, &[0.0, 0.0, 1.0]);
    let model = draft.finish(y);
    let sample = |shape: [usize; 3]| Tensor::new(shape, values(32, 1)).unwrap();
    let compiled = |shape| compile(&model, &Options { samples: vec![sample(shape)], ..options_for(32) });
    assert!(compiled([2, 4, 4]).is_ok());
    let refused = CompileError::SampleShape { expected: [2, 4, 4].into(), found: [4, 4, 2].into() };
    assert_eq!(compiled([4, 4, 2]).unwrap_err(), refused);
}

#[test]
fn more_levels_than_any_ring_has_are_refused() {
    let (mut draft, mut x) = Draft::new(&[4]);
    for _ in 0..100 {
        x = draft.poly(x, &[0.0, 0.0, 1.0]);
    }
    let refused = compile(&draft.finish(x), &Options::default()).unwrap_err();
    assert!(matches!(refused, CompileError::TooDeep { depth: 100, .. }), "{refused:?}");
}
