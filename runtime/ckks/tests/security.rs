//! Parameters below 128-bit security are refused unless asked for by name.

#![allow(clippy::unwrap_used)] // A refusal fails the test.

use hecc_ckks::*;

/// Homomorphic Encryption Standard (2018), table 1, ternary secret, classical
/// 128 bits; the last row from Bossuat et al. (2024), table 5.2. Written down
/// here again, so that a slip in the engine's table shows.
const STANDARD: [(usize, u32); 7] =
    [(1024, 27), (2048, 54), (4096, 109), (8192, 218), (16384, 438), (32768, 881), (65536, 1747)];

/// A chain of nearly `log_qp` bits in equal primes, of which one is special.
fn params(ring_degree: usize, log_qp: u32) -> Params {
    let count = log_qp.div_ceil(58).max(2);
    let mut q = primes::below(log_qp / count, ring_degree, count as usize, &[]).unwrap();
    let p = vec![q.pop().unwrap()];
    Params { ring_degree, q, p, digit_limbs: 1, security: Security::Classical128 }
}

/// The least chain of equal primes that is wider than `bound`.
fn too_wide(ring_degree: usize, bound: u32) -> Params {
    let mut wider = (bound + 1..).map(|log_qp| params(ring_degree, log_qp));
    wider.find(|params| params.log_qp() > f64::from(bound)).unwrap()
}

#[test]
fn every_row_of_the_standard_is_kept() {
    for (ring_degree, bound) in STANDARD.into_iter().skip(1) {
        let mut params = too_wide(ring_degree, bound);
        let excess = params.log_qp() - f64::from(bound);
        assert!(excess < 60.0, "{excess} bits too many");
        match Context::new(&params) {
            Err(Error::Insecure { bound: b, ring_degree: n, .. }) => assert_eq!((n, b), (ring_degree, bound)),
            other => panic!("{other:?}"),
        }
        params.security = Security::InsecureByName;
        if ring_degree <= 8192 {
            assert!(Context::new(&params).is_ok());
        }
    }
}

#[test]
fn chains_up_to_the_bound_are_accepted() {
    for (ring_degree, bound) in [(2048, 54), (4096, 109), (8192, 218), (16384, 438)] {
        let params = params(ring_degree, bound);
        assert!(params.log_qp() > f64::from(bound) - 9.0, "{}", params.log_qp());
        assert!(Context::new(&params).is_ok());
    }
}

/// A ring of 1024 has no room for two primes, and smaller rings none at all.
#[test]
fn small_rings_are_never_secure() {
    let least = |ring_degree: usize| {
        let mut q = primes::near(20, ring_degree, 2, &[]).unwrap();
        let p = vec![q.pop().unwrap()];
        Params { ring_degree, q, p, digit_limbs: 1, security: Security::Classical128 }
    };
    assert!(matches!(Context::new(&least(1024)), Err(Error::Insecure { bound: 27, .. })));
    for ring_degree in [16, 256, 512] {
        assert_eq!(Context::new(&least(ring_degree)).unwrap_err(), Error::NoSecureParams(ring_degree));
    }
}
