//! Divisions by the special modulus that are put off: every way to do them later
//! gives what doing them at once gives.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Shape, World, assert_close, rotated, values, zip};
use hecc_ckks::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const TOLERANCE: f64 = 1e-6;
const N_SLOTS: usize = 128;

fn shapes() -> impl Iterator<Item = Shape> {
    let wide = Shape { bits: 52, special_bits: 55, ..Shape::SMALL };
    (1..=3).map(|digit_limbs| Shape { digit_limbs, ..Shape::SMALL }).chain([wide])
}

/// A world, Galois keys for some steps and an encryption of some values.
fn setting(shape: Shape, steps: &[usize]) -> (World, GaloisKeys, Vec<f64>, Ciphertext) {
    let mut world = World::new(shape);
    let rotations: Vec<_> = steps.iter().map(|&step| (step, 3)).collect();
    let keys = world.keygen.eval_keys(None, &rotations).unwrap().galois;
    let x = values(N_SLOTS, 1);
    let ct = world.encrypt(&x, 3);
    (world, keys, x, ct)
}

#[test]
fn every_operation_takes_extended_operands() {
    for shape in shapes() {
        let (mut world, keys, x, ct) = setting(shape, &[5, 9]);
        let relin = world.keygen.relin_key(3).unwrap();
        let ev = &world.evaluator;
        let turned = ev.rotate_many_extended(&ct, &[5], &keys).unwrap().remove(0);
        assert!(turned.is_extended() && !ev.reduce(&turned).unwrap().is_extended());
        let r = rotated(&x, 5);
        let check =
            |got: &Ciphertext, expected: &[f64]| assert_close(&world.decrypt(got), expected, TOLERANCE);
        check(&turned, &r);
        check(&ev.add(&turned, &ct).unwrap(), &zip(&r, &x, |a, b| a + b));
        check(&ev.sub(&ct, &turned).unwrap(), &zip(&x, &r, |a, b| a - b));
        check(&ev.neg(&turned).unwrap(), &r.iter().map(|v| -v).collect::<Vec<_>>());
        let pt = world.encode(&x, 3);
        check(&ev.add_plain(&turned, &pt).unwrap(), &zip(&r, &x, |a, b| a + b));
        check(&ev.mul_plain(&turned, &pt).unwrap(), &zip(&r, &x, |a, b| a * b));
        check(&ev.mul_scalar(&turned, 0.5, 1024.0).unwrap(), &r.iter().map(|v| v / 2.0).collect::<Vec<_>>());
        check(&ev.relin(&ev.mul(&turned, &ct).unwrap(), &relin).unwrap(), &zip(&r, &x, |a, b| a * b));
        check(&ev.square(&turned).unwrap(), &zip(&r, &r, |a, b| a * b));
        check(&ev.drop_level(&turned, 1).unwrap(), &r);
        check(&ev.rotate(&turned, 9, &keys).unwrap(), &rotated(&x, 14));
        let low = world.encrypt(&x, 1);
        check(&ev.add(&turned, &low).unwrap(), &zip(&r, &x, |a, b| a + b));
        check(&ev.rescale(&ev.mul_plain(&turned, &pt).unwrap()).unwrap(), &zip(&r, &x, |a, b| a * b));
        let copy = Ciphertext::from_bytes(&world.ctx, &turned.to_bytes(&world.ctx).unwrap()).unwrap();
        check(&copy, &r);
    }
}

#[test]
fn products_stay_extended_and_are_rescaled_in_one_division() {
    for shape in shapes() {
        let (world, keys, x, ct) = setting(shape, &[1, 2, 3]);
        let turned = world.evaluator.rotate_many_extended(&ct, &[0, 1, 2, 3], &keys).unwrap();
        let encode = |seed| world.encoder.encode_extended(&values(N_SLOTS, seed), 3, world.scale).unwrap();
        let plains: Vec<Plaintext> = (10..18).map(encode).collect();
        let rows: Vec<Vec<_>> = plains.chunks(4).map(|row| turned.iter().zip(row).collect()).collect();
        let together = world.evaluator.inner_products(&rows).unwrap();
        for (i, (got, row)) in together.iter().zip(&rows).enumerate() {
            assert!(got.is_extended());
            assert_eq!(got, &world.evaluator.inner_product(row).unwrap());
            let expected = (0..4).fold(vec![0.0; N_SLOTS], |sum, step| {
                let weights = values(N_SLOTS, 10 + 4 * i as u64 + step as u64);
                zip(&sum, &zip(&weights, &rotated(&x, step), |a, b| a * b), |a, b| a + b)
            });
            let rescaled = world.evaluator.rescale(got).unwrap();
            assert!(!rescaled.is_extended() && rescaled.level() == 2);
            assert_close(&world.decrypt(&rescaled), &expected, TOLERANCE);
            let apart = world.evaluator.rescale(&world.evaluator.reduce(got).unwrap()).unwrap();
            assert_close(&world.decrypt(&apart), &expected, TOLERANCE);
        }
    }
}

#[test]
fn rescaling_to_a_level_equals_single_rescales() {
    for shape in shapes() {
        let (world, keys, x, ct) = setting(shape, &[5]);
        let raised = world.evaluator.mul_scalar(&ct, 1.0, world.scale * world.scale).unwrap();
        let single = (0..2).fold(raised.clone(), |ct, _| world.evaluator.rescale(&ct).unwrap());
        let both = world.evaluator.rescale_to(&raised, 1).unwrap();
        assert_eq!(both.level(), 1);
        assert!((both.scale_log2() - single.scale_log2()).abs() < 1e-9);
        assert_close(&world.decrypt(&both), &x, TOLERANCE);
        let turned = world.evaluator.rotate_many_extended(&raised, &[5], &keys).unwrap().remove(0);
        assert_close(
            &world.decrypt(&world.evaluator.rescale_to(&turned, 1).unwrap()),
            &rotated(&x, 5),
            TOLERANCE,
        );
        assert!(world.evaluator.rescale_to(&both, 2).is_err());
        assert_eq!(world.evaluator.rescale_to(&both, 1).unwrap(), both);
    }
}

#[test]
fn powers_of_two_and_levels_cost_nothing() {
    let (world, _, x, ct) = setting(Shape::SMALL, &[]);
    let product = world.evaluator.mul_power_of_two(&ct, -3);
    assert_close(&world.decrypt(&product), &x.iter().map(|v| v / 8.0).collect::<Vec<_>>(), TOLERANCE);
    let dropped = world.evaluator.drop_level(&ct, 1).unwrap();
    assert_close(&world.decrypt(&dropped), &x, TOLERANCE);
    assert_eq!(dropped.byte_size(), ct.byte_size(), "shared");
    let low = world.evaluator.drop_level(&ct, 0).unwrap();
    assert_eq!(low.byte_size(), ct.byte_size() / 4, "not worth keeping the rest alive");
}

#[test]
fn linear_maps_multiply_by_their_matrix() {
    let steps: Vec<usize> = vec![0, 1, 3, 8, 9, 11, 40, 64, 65, 127];
    let diagonals: BTreeMap<usize, Vec<f64>> =
        steps.iter().map(|&step| (step, values(N_SLOTS, 100 + step as u64))).collect();
    for n_babies in [1, 8, N_SLOTS] {
        let world = World::new(Shape::SMALL);
        let map = LinearMap::encode(&world.encoder, &diagonals, n_babies, 3, world.scale).unwrap();
        let (world, keys, x, ct) = setting(Shape::SMALL, &map.steps());
        let got = world.evaluator.rescale(&world.evaluator.linear_map(&ct, &map, &keys).unwrap()).unwrap();
        let expected = diagonals.iter().fold(vec![0.0; N_SLOTS], |sum, (&step, weights)| {
            zip(&sum, &zip(weights, &rotated(&x, step), |a, b| a * b), |a, b| a + b)
        });
        assert_close(&world.decrypt(&got), &expected, TOLERANCE);
    }
    let world = World::new(Shape::SMALL);
    assert!(LinearMap::encode(&world.encoder, &BTreeMap::new(), 1, 3, world.scale).is_err());
}

#[test]
fn plaintexts_in_memory_of_others_act_like_their_own() {
    let (world, _, _, ct) = setting(Shape::SMALL, &[]);
    for extended in [false, true] {
        let weights = values(N_SLOTS, 2);
        let pt = match extended {
            true => world.encoder.encode_extended(&weights, 2, world.scale).unwrap(),
            false => world.encode(&weights, 2),
        };
        let memory: Vec<u8> = [&[1; 13], pt.bytes().unwrap()].concat();
        let end = memory.len();
        let view = |start| {
            Plaintext::view(&world.ctx, Arc::new(memory.clone()), start, 2, pt.scale_log2(), extended)
        };
        assert_eq!(view(13).unwrap(), pt);
        assert_eq!(view(13).unwrap().byte_size(), 0);
        assert_eq!(
            world.evaluator.mul_plain(&ct, &view(13).unwrap()).unwrap(),
            world.evaluator.mul_plain(&ct, &pt).unwrap()
        );
        assert!([14, end, usize::MAX].into_iter().all(|start| view(start).is_err()));
    }
}
