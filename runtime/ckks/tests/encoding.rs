//! Encoding keeps slots, and refuses what it cannot keep.

#![allow(clippy::unwrap_used)] // A refusal fails the test.

mod common;

use common::*;
use hecc_ckks::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn slots_survive(
        log_degree in 4u32..11,
        log_period in 0u32..10,
        log_scale in 20.0f64..110.0,
        magnitude in -10i32..10,
        seed in 0u64..1000,
    ) {
        let world = World::new(Shape { ring_degree: 1 << log_degree, ..Shape::SMALL });
        let size = 2f64.powi(magnitude);
        let a: Vec<f64> = values(1 << log_period.min(log_degree - 1), seed).iter().map(|x| x * size).collect();
        let scale = log_scale.exp2();
        let pt = world.encoder.encode(&a, world.top(), scale).unwrap();
        let got = world.encoder.decode(&pt, scale).unwrap();
        let rounding = world.ctx.ring_degree() as f64 / scale;
        assert_close(&got, &a, rounding + size * 1e-13);
    }
}

#[test]
fn every_way_of_rounding_is_exact_on_integers() {
    let world = World::new(Shape { n_limbs: 4, ..Shape::SMALL });
    for log_scale in [10, 50, 52, 61, 63, 90, 120] {
        let scale = f64::from(log_scale).exp2();
        for value in [-1.0, 1.0, 0.75] {
            let pt = world.encoder.encode(&[value], 3, scale).unwrap();
            assert_eq!(world.encoder.decode(&pt, scale).unwrap()[5], value, "2^{log_scale}");
            let pt = world.encoder.encode(&[value, value], 3, scale).unwrap();
            assert_close(&world.encoder.decode(&pt, scale).unwrap(), &[value], 1e-14);
        }
    }
}

/// Rounded to nearest, all coefficients would become zero.
#[test]
fn vectors_of_small_coefficients_are_kept() {
    let world = World::new(Shape { ring_degree: 1 << 11, ..Shape::SMALL });
    let n_slots = world.ctx.n_slots();
    for (slot, coefficient) in [(3, 0.2), (700, 0.3), (1023, 0.45)] {
        let mut sparse = vec![0.0; n_slots];
        sparse[slot] = 1.0;
        let scale = coefficient * n_slots as f64;
        let pt = world.encoder.encode(&sparse, world.top(), scale).unwrap();
        let got = world.encoder.decode_complex(&pt, scale).unwrap();
        let deviation = (n_slots as f64 / 3.0).sqrt() / scale;
        assert_close(&got.real, &sparse, 6.0 * deviation);
        assert_close(&got.imaginary, &vec![0.0; n_slots], 1e-9);
        assert_eq!(pt, world.encoder.encode(&sparse, world.top(), scale).unwrap());
    }
}

#[test]
fn unusable_values_are_refused() {
    let world = World::new(Shape::SMALL);
    let encode = |values: &[f64], level, scale| world.encoder.encode(values, level, scale).map(|_| ());
    assert_eq!(encode(&[], 0, 1.0), Err(Error::ValueCount { len: 0, n_slots: 128 }));
    assert_eq!(encode(&[1.0; 3], 0, 1.0), Err(Error::ValueCount { len: 3, n_slots: 128 }));
    assert_eq!(encode(&[1.0; 256], 0, 1.0), Err(Error::ValueCount { len: 256, n_slots: 128 }));
    assert_eq!(encode(&[1.0, f64::NAN], 0, 1.0), Err(Error::NotFinite { index: 1 }));
    assert_eq!(encode(&[1.0], 9, 1.0), Err(Error::NoSuchLevel { level: 9, max: 3 }));
    assert!(matches!(encode(&[1.0], 0, 2f64.powi(40)), Err(Error::Overflow { .. })));
    assert!(encode(&[1.0], 1, 2f64.powi(40)).is_ok());
    assert!(matches!(encode(&[1e300, 1e300], 3, 1e300), Err(Error::Overflow { .. })));
    assert!(matches!(encode(&[1e308; 128], 3, 1.0), Err(Error::Overflow { .. })));
    assert!(matches!(encode(&[1.0], 3, f64::NAN), Err(Error::Scale(_))));
    assert_eq!(encode(&[1.0], 3, -1.0), Err(Error::Scale(-1.0)));
}

#[test]
fn parameters_are_checked() {
    let good = Shape { ring_degree: 4096, bits: 30, n_limbs: 2, special_bits: 36, digit_limbs: 1 }.params();
    let with = |change: fn(&mut Params)| {
        let mut params = good.clone();
        change(&mut params);
        Context::new(&params).map(|_| ())
    };
    assert_eq!(with(|p| p.security = SecurityLevel::Classical128), Ok(()));
    assert!(matches!(with(|p| p.ring_degree = 12), Err(Error::RingDegree(12))));
    assert!(matches!(with(|p| p.ring_degree = 1 << 17), Err(Error::RingDegree(_))));
    assert!(matches!(with(|p| p.q.clear()), Err(Error::Count { .. })));
    assert!(matches!(with(|p| p.p.clear()), Err(Error::Count { .. })));
    assert!(matches!(with(|p| p.digit_limbs = 0), Err(Error::Count { .. })));
    assert!(matches!(with(|p| p.digit_limbs = 3), Err(Error::Count { .. })));
    assert!(matches!(with(|p| p.q[1] = p.q[0]), Err(Error::Prime { .. })));
    assert!(matches!(with(|p| p.q[1] = p.p[0]), Err(Error::Prime { .. })));
    assert!(matches!(with(|p| p.q[1] = 65537 * 8192 + 1), Err(Error::Prime { .. })));
    assert!(matches!(with(|p| p.q[1] = 8192 * 3 + 1), Err(Error::Prime { .. })));
    assert!(matches!(with(|p| p.q[1] = u64::MAX), Err(Error::Prime { .. })));
    assert!(matches!(with(|p| p.q[1] = 0), Err(Error::Prime { .. })));
}

#[test]
fn insecure_parameters_need_their_name() {
    let mut params =
        Shape { ring_degree: 4096, bits: 36, n_limbs: 3, special_bits: 36, digit_limbs: 1 }.params();
    params.security = SecurityLevel::Classical128;
    assert!(matches!(Context::new(&params), Err(Error::Insecure { bound: 106, ring_degree: 4096, .. })));
    params.security = SecurityLevel::Insecure;
    assert!(Context::new(&params).is_ok());
    let mut small = Shape::SMALL.params();
    small.security = SecurityLevel::Classical128;
    assert_eq!(
        Context::new(&small).map(|_| ()),
        Err(Error::NoSecureParams { ring_degree: 256, level: SecurityLevel::Classical128 })
    );
}

#[test]
fn secrets_are_not_printed() {
    let world = World::new(Shape::SMALL);
    assert_eq!(format!("{:?}", world.keygen.secret_key()), "SecretKey(..)");
    assert_eq!(format!("{:?}", world.keygen), "KeyGenerator(..)");
}
