//! Primes that admit a number-theoretic transform of a given ring.

/// The prime nearest to `2^log2` that is one modulo twice the ring degree, is
/// below `2^max_bits` and not in `taken`; `None` when there is none within a
/// factor of two.
pub fn nearest_ntt_prime(log2: f64, ring_degree: usize, max_bits: u32, taken: &[u64]) -> Option<u64> {
    let order = 2 * ring_degree as u64;
    // Nothing between the bound and what exceeds it need be looked at.
    let target = log2.min(f64::from(max_bits)).exp2();
    let start = (target / order as f64).round() as u64;
    let bounds = (target / 2.0) as u64..=((target * 2.0) as u64).min(1 << max_bits);
    let pairs = (0..=start).map(|k| [start + k, start - k].map(|multiple| multiple * order + 1));
    let usable = |c: &u64| bounds.contains(c) && !taken.contains(c) && is_prime(*c);
    let nearest = |pair: [u64; 2]| {
        pair.into_iter().filter(usable).min_by(|a, b| distance(*a, target).total_cmp(&distance(*b, target)))
    };
    pairs.take_while(|pair| pair[1] >= *bounds.start()).find_map(nearest)
}

fn distance(candidate: u64, target: f64) -> f64 {
    (candidate as f64 - target).abs()
}

/// True for a prime that is one modulo twice the ring degree.
pub fn is_ntt_prime(candidate: u64, ring_degree: usize) -> bool {
    candidate % (2 * ring_degree as u64) == 1 && is_prime(candidate)
}

/// Deterministic Miller-Rabin: these bases decide every 64-bit number
/// (Sorenson, Webster, "Strong pseudoprimes to twelve prime bases", 2015).
pub fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 || BASES.iter().any(|&p| n.is_multiple_of(p)) {
        return BASES.contains(&n);
    }
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    let witnesses_prime = |base: u64| {
        let first = pow_mod(base, odd, n);
        let mut squares = std::iter::successors(Some(first), |&x| Some(mul_mod(x, x, n))).take(twos as usize);
        first == 1 || squares.any(|x| x == n - 1)
    };
    BASES.into_iter().all(witnesses_prime)
}

fn mul_mod(a: u64, b: u64, n: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(n)) as u64
}

fn pow_mod(base: u64, mut exponent: u64, n: u64) -> u64 {
    let (mut result, mut power) = (1, base % n);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul_mod(result, power, n);
        }
        power = mul_mod(power, power, n);
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest_prime_that_is_free() {
        let first = nearest_ntt_prime(30.0, 8192, 50, &[]).expect("there is one");
        let second = nearest_ntt_prime(30.0, 8192, 50, &[first]).expect("there is another");
        assert!(is_prime(first) && is_prime(second) && first != second);
        assert!(first % 16384 == 1 && distance(first, 30f64.exp2()) <= distance(second, 30f64.exp2()));
    }

    #[test]
    fn tells_primes_from_composites() {
        assert!(is_prime(2) && is_prime(0xffff_ffff_ffff_ffc5));
        assert!(!is_prime(1) && !is_prime(3_215_031_751) && !is_prime(341_550_071_728_321));
    }
}
