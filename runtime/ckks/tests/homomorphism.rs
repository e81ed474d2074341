//! Every operation does to encrypted slots what it says it does to plain ones.

#![allow(clippy::unwrap_used)] // A refusal fails the test.

mod common;

use common::*;
use hecc_ckks::*;
use proptest::prelude::*;

/// Noise of a fresh ciphertext and of a key switch at scale 2^40, N = 256.
const TOLERANCE: f64 = 1e-7;

#[test]
fn linear_operations() {
    let world = World::new(Shape::SMALL);
    let n = world.ctx.n_slots();
    let (a, b) = (values(n, 1), values(n, 2));
    let ct_a = world.encrypt(&a, world.top());
    let ct_b = world.encrypt(&b, world.top());
    let ev = &world.evaluator;
    let check = |ct: Ciphertext, op: fn(f64, f64) -> f64| {
        assert_close(&world.decrypt(&ct), &zip(&a, &b, op), TOLERANCE)
    };
    check(ev.add(&ct_a, &ct_b).unwrap(), |a, b| a + b);
    check(ev.sub(&ct_a, &ct_b).unwrap(), |a, b| a - b);
    check(ev.neg(&ct_a).unwrap(), |a, _| -a);
    check(ev.sum(&[&ct_a, &ct_b, &ct_a, &ct_a]).unwrap(), |a, b| 3.0 * a + b);
    check(ev.add_plain(&ct_a, &world.encode(&b, world.top())).unwrap(), |a, b| a + b);
    check(ev.mul_plain(&ct_a, &world.encode(&b, world.top())).unwrap(), |a, b| a * b);
    check(ev.mul_scalar(&ct_a, -2.5, 8.0).unwrap(), |a, _| -2.5 * a);
    check(ev.drop_level(&ct_a, 1).unwrap(), |a, _| a);
    let zero = Ciphertext::zero(&world.ctx, world.top(), ct_a.scale_log2()).unwrap();
    check(ev.add(&zero, &ct_b).unwrap(), |_, b| b);
}

#[test]
fn operands_meet_at_the_lower_level() {
    let world = World::new(Shape::SMALL);
    let (a, b) = (values(128, 1), values(128, 2));
    let (high, low) = (world.encrypt(&a, 3), world.encrypt(&b, 1));
    let sum = world.evaluator.add(&high, &low).unwrap();
    assert_eq!(sum.level(), 1);
    assert_close(&world.decrypt(&sum), &zip(&a, &b, |a, b| a + b), TOLERANCE);
    let product = world.evaluator.mul_plain(&high, &world.encode(&b, 2)).unwrap();
    assert_eq!(product.level(), 2);
    assert_close(&world.decrypt(&product), &zip(&a, &b, |a, b| a * b), TOLERANCE);
}

#[test]
fn inner_product_is_a_sum_of_products() {
    let world = World::new(Shape::SMALL);
    let terms: Vec<_> = (0..70).map(|i| (values(128, i), values(128, 100 + i))).collect();
    let cts: Vec<_> = terms.iter().map(|(a, _)| world.encrypt(a, 3)).collect();
    let pts: Vec<_> = terms.iter().map(|(_, b)| world.encode(b, 3)).collect();
    let pairs: Vec<_> = cts.iter().zip(&pts).collect();
    let got = world.evaluator.inner_product(&pairs).unwrap();
    let expected =
        terms.iter().fold(vec![0.0; 128], |sum, (a, b)| zip(&sum, &zip(a, b, |a, b| a * b), |x, y| x + y));
    assert_close(&world.decrypt(&got), &expected, 20.0 * TOLERANCE);
    let one_by_one: Vec<_> =
        pairs.iter().map(|(ct, pt)| world.evaluator.mul_plain(ct, pt).unwrap()).collect();
    let sum = world.evaluator.sum(&one_by_one.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(got, sum);
}

#[test]
fn products_down_the_whole_chain() {
    for digit_limbs in 1..=3 {
        for (bits, special_bits) in [(40, 50), (30, 31), (55, 60)] {
            let shape = Shape { bits, digit_limbs, special_bits, n_limbs: 5, ..Shape::SMALL };
            let mut world = World::new(shape);
            let relin = world.keygen.relin_key(world.top()).unwrap();
            let mut expected = values(128, 5);
            let mut ct = world.encrypt(&expected, world.top());
            let tolerance = 2f64.powi(14 - bits as i32);
            while ct.level() > 1 {
                let product = world.evaluator.square(&ct).unwrap();
                expected = zip(&expected, &expected, |a, b| a * b);
                assert_close(&world.decrypt(&product), &expected, tolerance);
                let product = world.evaluator.relin(&product, &relin).unwrap();
                assert_close(&world.decrypt(&product), &expected, tolerance);
                ct = world.evaluator.rescale(&product).unwrap();
                assert_close(&world.decrypt(&ct), &expected, tolerance);
            }
        }
    }
}

#[test]
fn rotation_is_to_the_left() {
    for digit_limbs in 1..=3 {
        let mut world = World::new(Shape { digit_limbs, ..Shape::SMALL });
        let a = values(128, 1);
        let steps = [1, 2, 5, 64, 127];
        let keys = world.keygen.eval_keys(None, &steps.map(|step| (step, 3))).unwrap().galois;
        for level in 0..=3 {
            let ct = world.encrypt(&a, level);
            for step in steps {
                let got = world.evaluator.rotate(&ct, step, &keys).unwrap();
                assert_close(&world.decrypt(&got), &rotated(&a, step), TOLERANCE);
            }
            assert_eq!(
                world.evaluator.rotate(&ct, 128, &keys).unwrap(),
                world.evaluator.drop_level(&ct, level).unwrap()
            );
        }
    }
}

#[test]
fn hoisted_rotations_equal_single_ones() {
    let mut world = World::new(Shape::SMALL);
    let steps = [3, 0, 9, 1, 3, 17, 40, 100, 77, 50, 60, 90]; // More than one group of keys.
    let keys = world.keygen.eval_keys(None, &steps.map(|step| (step, 3))).unwrap().galois;
    let ct = world.encrypt(&values(128, 1), 3);
    let together = world.evaluator.rotate_many(&ct, &steps, &keys).unwrap();
    for (step, got) in steps.into_iter().zip(&together) {
        assert_eq!(got, &world.evaluator.rotate(&ct, step, &keys).unwrap());
    }
}

#[test]
fn truncated_keys_serve_their_level_and_below() {
    for digit_limbs in 1..=3 {
        let mut world = World::new(Shape { digit_limbs, n_limbs: 6, ..Shape::SMALL });
        let keys = world.keygen.eval_keys(Some(3), &[(7, 3)]).unwrap();
        assert!(keys.byte_size() < world.keygen.eval_keys(Some(5), &[(7, 5)]).unwrap().byte_size());
        let a = values(128, 1);
        for level in 1..=3 {
            let ct = world.encrypt(&a, level);
            let square = world.evaluator.square(&ct).unwrap();
            let square = world.evaluator.relin(&square, keys.relin_key().unwrap()).unwrap();
            assert_close(&world.decrypt(&square), &zip(&a, &a, |a, b| a * b), TOLERANCE);
            let turned = world.evaluator.rotate(&ct, 7, &keys.galois).unwrap();
            assert_close(&world.decrypt(&turned), &rotated(&a, 7), TOLERANCE);
        }
        let high = world.encrypt(&a, 4);
        let refused = Error::KeyLevel { key: 3, ciphertext: 4 };
        assert_eq!(world.evaluator.rotate(&high, 7, &keys.galois), Err(refused.clone()));
        let square = world.evaluator.square(&high).unwrap();
        assert_eq!(world.evaluator.relin(&square, keys.relin_key().unwrap()), Err(refused));
    }
}

#[test]
fn public_key_encrypts() {
    let mut world = World::new(Shape::SMALL);
    let key = world.keygen.public_key();
    let a = values(128, 1);
    for level in [0, 3] {
        let ct = key.encrypt(&world.ctx, &world.encode(&a, level)).unwrap();
        assert_close(&world.decrypt(&ct), &a, 10.0 * TOLERANCE);
    }
}

#[test]
fn wrong_key_decrypts_to_garbage() {
    let world = World::new(Shape::SMALL);
    let a = values(128, 1);
    let ct = world.encrypt(&a, 2);
    let other = KeyGenerator::insecure_from_seed(&world.ctx, 8);
    let pt = other.secret_key().decrypt(&ct).unwrap();
    let got = world.encoder.decode(&pt, world.scale).unwrap();
    assert!(max_error(&got, &a) > 1e6);
}

#[test]
fn fresh_encryptions_differ_and_decrypt() {
    let world = World::new(Shape::SMALL);
    let a = values(128, 1);
    let pt = world.encode(&a, 3);
    let encrypt = || world.keygen.secret_key().encrypt(&pt).unwrap();
    assert_ne!(encrypt(), encrypt());
    assert_close(&world.decrypt(&encrypt()), &a, TOLERANCE);
}

#[test]
fn results_do_not_depend_on_threads() {
    let run = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let mut world = World::new(Shape { digit_limbs: 2, ..Shape::SMALL });
            let keys = world.keygen.eval_keys(Some(3), &[(1, 3), (2, 3)]).unwrap();
            let ct = world.encrypt(&values(128, 1), 3);
            let turned = world.evaluator.rotate_many(&ct, &[1, 2], &keys.galois).unwrap();
            let product = world.evaluator.mul(&turned[0], &turned[1]).unwrap();
            let product = world.evaluator.relin(&product, keys.relin_key().unwrap()).unwrap();
            let result = world.evaluator.rescale(&product).unwrap();
            let slots = world.decrypt(&result);
            (result, slots)
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

#[test]
fn misuse_is_refused() {
    let mut world = World::new(Shape::SMALL);
    let keys = world.keygen.eval_keys(None, &[(1, 3)]).unwrap();
    let relin = world.keygen.relin_key(3).unwrap();
    let ct = world.encrypt(&[0.25], 0);
    let ev = &world.evaluator;
    let square = ev.square(&ct).unwrap();
    assert_eq!(ev.rescale(&ct), Err(Error::NoPrimeLeft));
    assert_eq!(ev.drop_level(&ct, 2), Err(Error::LevelRises { from: 0, to: 2 }));
    assert_eq!(ev.rotate(&ct, 2, &keys.galois), Err(Error::MissingGaloisKey { step: 2 }));
    assert_eq!(keys.relin_key(), Err(Error::MissingRelinKey));
    assert_eq!(ev.sum(&[]), Err(Error::Empty("sum")));
    assert_eq!(ev.inner_product(&[]), Err(Error::Empty("inner_product")));
    assert_eq!(ev.mul(&square, &square), Err(Error::Degree { op: "mul", wanted: 1, got: 2 }));
    assert_eq!(ev.add(&square, &ct), Err(Error::Degree { op: "add", wanted: 2, got: 1 }));
    assert_eq!(ev.relin(&ct, &relin), Err(Error::Degree { op: "relin", wanted: 2, got: 1 }));
    assert_eq!(world.keygen.relin_key(4).unwrap_err(), Error::NoSuchLevel { level: 4, max: 3 });
    let other = World::new(Shape { n_limbs: 3, ..Shape::SMALL });
    assert_eq!(world.evaluator.add(&ct, &other.encrypt(&[0.25], 0)), Err(Error::ForeignContext));
    assert_eq!(
        other.evaluator.relin(&other.evaluator.square(&other.encrypt(&[0.25], 0)).unwrap(), &relin),
        Err(Error::ForeignContext)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn random_circuits(
        log_degree in 5u32..9,
        bits in prop::sample::select(vec![28u32, 35, 45, 52, 58]),
        digit_limbs in 1usize..=3,
        step: usize,
        seed in 0u64..1000,
    ) {
        let ring_degree = 1 << log_degree;
        let mut world = World::new(Shape { ring_degree, bits, n_limbs: 4, digit_limbs, special_bits: 60.min(bits + 2) });
        let n = world.ctx.n_slots();
        let step = step % n;
        let keys = world.keygen.eval_keys(Some(3), &[(step, 3)]).unwrap();
        let (a, b) = (values(n, seed), values(n, seed + 1));
        let ev = &world.evaluator;
        let (ct_a, ct_b) = (world.encrypt(&a, 3), world.encrypt(&b, 3));
        let product = ev.relin(&ev.mul(&ct_a, &ct_b).unwrap(), keys.relin_key().unwrap()).unwrap();
        let turned = ev.rotate(&ev.rescale(&product).unwrap(), step, &keys.galois).unwrap();
        let result = ev.rescale(&ev.mul_plain(&turned, &world.encode(&b, 2)).unwrap()).unwrap();
        let expected = zip(&rotated(&zip(&a, &b, |a, b| a * b), step), &b, |a, b| a * b);
        assert_close(&world.decrypt(&result), &expected, 2f64.powi(15 - bits as i32));
    }
}
