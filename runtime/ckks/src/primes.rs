//! Primes that are 1 modulo 2N, which the number-theoretic transform needs.

use crate::error::Error;

/// Deterministic Miller-Rabin for every 64-bit integer.
///
/// The first twelve primes as bases decide all n < 3.3e24 (Sorenson and
/// Webster, "Strong pseudoprimes to twelve prime bases", 2015).
pub fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    if let Some(base) = BASES.iter().find(|&base| n.is_multiple_of(*base)) {
        return n == *base;
    }
    BASES.iter().all(|&base| passes_miller_rabin(n, base))
}

fn passes_miller_rabin(n: u64, base: u64) -> bool {
    let shift = (n - 1).trailing_zeros();
    let mut x = pow(base, (n - 1) >> shift, n);
    if x == 1 || x == n - 1 {
        return true;
    }
    (1..shift).any(|_| {
        x = mul(x, x, n);
        x == n - 1
    })
}

fn mul(a: u64, b: u64, n: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(n)) as u64
}

fn pow(base: u64, mut exponent: u64, n: u64) -> u64 {
    let (mut square, mut result) = (base % n, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, square, n);
        }
        square = mul(square, square, n);
        exponent >>= 1;
    }
    result
}

/// The `count` transform-friendly primes nearest to 2^`bits`, nearest first,
/// without those in `avoid`.
///
/// They lie on both sides of 2^`bits`, so that a scale of 2^`bits` stays close
/// to what rescaling divides by.
///
/// # Errors
/// [`Error::NotEnoughPrimes`] when fewer exist within a quarter of 2^`bits`.
pub fn near(bits: u32, ring_degree: usize, count: usize, avoid: &[u64]) -> Result<Vec<u64>, Error> {
    collect(bits, ring_degree, count, avoid, |k| if k % 2 == 0 { k / 2 } else { -(k / 2) - 1 })
}

/// The `count` largest transform-friendly primes below 2^`bits`, largest first,
/// without those in `avoid`. Primes below 2^50 take the fastest kernels.
///
/// # Errors
/// [`Error::NotEnoughPrimes`] when fewer exist within a quarter of 2^`bits`.
pub fn below(bits: u32, ring_degree: usize, count: usize, avoid: &[u64]) -> Result<Vec<u64>, Error> {
    collect(bits, ring_degree, count, avoid, |k| -k - 1)
}

/// Walks the candidates 2^bits + 1 + 2N·offset(k).
fn collect(
    bits: u32,
    ring_degree: usize,
    count: usize,
    avoid: &[u64],
    offset: impl Fn(i64) -> i64,
) -> Result<Vec<u64>, Error> {
    let modulus = 2 * ring_degree as u64;
    let base = (1i64 << bits.clamp(2, 61)) + 1;
    let n_candidates = (base / 4 / modulus as i64).min(1 << 20);
    let found: Vec<u64> = (0..n_candidates)
        .map(|k| (base + modulus as i64 * offset(k)) as u64)
        .filter(|candidate| !avoid.contains(candidate) && is_prime(*candidate))
        .take(count)
        .collect();
    match found.len() == count {
        true => Ok(found),
        false => Err(Error::NotEnoughPrimes { found: found.len(), wanted: count, bits, modulus }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_trial_division() {
        for n in 0..5000u64 {
            let expected = n >= 2 && (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0);
            assert_eq!(is_prime(n), expected, "{n}");
        }
        assert!(is_prime((1 << 61) - 1));
        assert!(!is_prime(3_215_031_751));
        assert!(!is_prime(u64::MAX));
    }

    #[test]
    fn nearest_primes_surround_the_power_of_two() {
        let primes = near(40, 8192, 6, &[]).unwrap();
        assert!(primes.iter().any(|&p| p > 1 << 40) && primes.iter().any(|&p| p < 1 << 40));
        assert!(primes.iter().all(|p| p % 16384 == 1));
        let rest = near(40, 8192, 5, &primes[..1]).unwrap();
        assert_eq!(rest, primes[1..]);
        assert!(below(50, 8192, 3, &[]).unwrap().iter().all(|&p| p < 1 << 50));
        assert!(near(20, 65536, 50, &[]).is_err());
    }
}
