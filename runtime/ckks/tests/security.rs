//! Parameters below 128-bit security are refused unless asked for by name.

#![allow(clippy::unwrap_used)] // A refusal fails the test.

use hecc_ckks::*;

/// Rings with their bounds for 128, 192 and 256 bits, ternary secret, classical attacks: Bossuat et al.
/// (2024), table 5.2. Written down here again, so that a slip in the engine's table shows.
const BOUNDS: [(usize, [u32; 3]); 6] = [
    (2048, [53, 36, 27]),
    (4096, [106, 73, 56]),
    (8192, [214, 147, 114]),
    (16384, [430, 297, 230]),
    (32768, [868, 597, 462]),
    (65536, [1747, 1199, 929]),
];
const LEVELS: [SecurityLevel; 3] =
    [SecurityLevel::Classical128, SecurityLevel::Classical192, SecurityLevel::Classical256];

/// Rings, levels and bounds that leave room for two primes.
fn bounds() -> impl Iterator<Item = (usize, SecurityLevel, u32)> {
    let all = BOUNDS
        .into_iter()
        .flat_map(|(ring, row)| LEVELS.into_iter().zip(row).map(move |(l, b)| (ring, l, b)));
    all.filter(|&(_, _, bound)| bound > 50)
}

/// A chain of nearly `log_qp` bits in equal primes, of which one is special.
fn params(ring_degree: usize, security: SecurityLevel, log_qp: u32) -> Params {
    let count = log_qp.div_ceil(58).max(2);
    let mut q = primes::below(log_qp / count, ring_degree, count as usize, &[]).unwrap();
    let p = vec![q.pop().unwrap()];
    Params { ring_degree, q, p, digit_limbs: 1, security }
}

/// The least chain of equal primes that is wider than `bound`.
fn too_wide(ring_degree: usize, security: SecurityLevel, bound: u32) -> Params {
    let mut wider = (bound + 1..).map(|log_qp| params(ring_degree, security, log_qp));
    wider.find(|params| params.log_qp() > f64::from(bound)).unwrap()
}

#[test]
fn every_bound_is_kept() {
    for (ring_degree, security, bound) in bounds() {
        let mut params = too_wide(ring_degree, security, bound);
        let excess = params.log_qp() - f64::from(bound);
        assert!(excess < 60.0, "{excess} bits too many");
        match Context::new(&params) {
            Err(Error::Insecure { bound: b, ring_degree: n, level, .. }) => {
                assert_eq!((n, level, b), (ring_degree, security, bound))
            }
            other => panic!("{other:?}"),
        }
        params.security = SecurityLevel::Insecure;
        if ring_degree <= 8192 {
            assert!(Context::new(&params).is_ok());
        }
    }
}

#[test]
fn chains_up_to_the_bound_are_accepted() {
    for (ring_degree, security, bound) in bounds().filter(|&(ring_degree, _, _)| ring_degree <= 16384) {
        let params = params(ring_degree, security, bound);
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
        Params { ring_degree, q, p, digit_limbs: 1, security: SecurityLevel::Classical128 }
    };
    assert!(matches!(Context::new(&least(1024)), Err(Error::Insecure { bound: 26, .. })));
    for ring_degree in [16, 256, 512] {
        let refused = Error::NoSecureParams { ring_degree, level: SecurityLevel::Classical128 };
        assert_eq!(Context::new(&least(ring_degree)).unwrap_err(), refused);
    }
}
