//! The negacyclic number-theoretic transform of one prime.
//!
//! `tfhe-ntt` does it, which picks vector instructions at run time. Values come out
//! in bit-reversed order of the exponents of one root of unity, on which
//! automorphisms rely, so that the order is checked. A transform of our own in
//! AVX-512 IFMA, levels fused in registers and two limbs side by side, made a whole
//! rotation 1.00 to 1.06 times as fast (N = 8192 and 16384, Zen 5): not enough to
//! keep it.
//!
//! Where there is no IFMA, primes below 2^50 are transformed in doubles ([`crate::simd`]). That is 3.0 to 3.6 times
//! as fast as the library's form for AVX2, and no slower than its form in half words for primes below 2^31 (N = 8192 to
//! 32768, both with AVX2 alone on a processor of the fifth generation of Xeon). Both
//! forms use the same root, so that values are the same on every machine.

use crate::error::Error;
use crate::kernels;
use crate::modulus::{Factor, Modulus};
use crate::simd::{Fma, Roots, Vectors};
use tfhe_ntt::prime64;

/// Both directions for one prime.
pub(crate) enum Transform {
    Words(prime64::Plan),
    Doubles(Fma, Roots),
}

impl Transform {
    /// Prepares a prime that is 1 modulo 2N.
    ///
    /// # Errors
    /// [`Error::Prime`] for any other.
    pub fn new(m: &Modulus, degree: usize) -> Result<Transform, Error> {
        let refuse = |reason| Error::Prime { prime: m.p, reason };
        let doubles = match m.vectors {
            Vectors::Avx2(_) => Fma::detect(),
            Vectors::Fma(fma) => Some(fma),
            Vectors::None | Vectors::Sums(_) | Vectors::Ifma(_) => None,
        };
        let transform = match doubles {
            Some(fma) => Transform::in_doubles(fma, m, degree),
            None => Transform::in_words(m.p, degree),
        };
        let transform = transform.ok_or(refuse("it has no transform"))?;
        match transform.is_bit_reversed(m, degree) {
            true => Ok(transform),
            false => Err(refuse("its transform has an unknown order")),
        }
    }

    fn in_words(p: u64, degree: usize) -> Option<Transform> {
        prime64::Plan::try_new(degree, p).map(Transform::Words)
    }

    fn in_doubles(fma: Fma, m: &Modulus, degree: usize) -> Option<Transform> {
        let root = root_of_unity(m, degree)?;
        Some(Transform::Doubles(fma, fma.roots(m, degree, root)))
    }

    /// Coefficients to values.
    pub fn forward(&self, limb: &mut [u64]) {
        match self {
            Transform::Words(plan) => plan.fwd(limb),
            Transform::Doubles(fma, roots) => fma.forward(roots, limb),
        }
    }

    /// Values to coefficients times `N · factor`.
    pub fn inverse(&self, m: &Modulus, limb: &mut [u64], factor: Factor) {
        match self {
            Transform::Words(plan) => {
                plan.inv(limb);
                kernels::scale(m, limb, factor);
            }
            Transform::Doubles(fma, roots) => fma.inverse(roots, limb, factor),
        }
    }

    /// Whether the values of X are the odd powers of the root in bit-reversed order.
    fn is_bit_reversed(&self, m: &Modulus, degree: usize) -> bool {
        let mut values = vec![0; degree];
        values[1] = 1;
        self.forward(&mut values);
        let Some(root) = root_of_unity(m, degree) else { return false };
        let (square, shift) = (m.mul(root, root), degree.leading_zeros() + 1);
        let powers = std::iter::successors(Some(root), |&power| Some(m.mul(power, square)));
        (0..degree).zip(powers).all(|(i, power)| values[i.reverse_bits() >> shift] == power)
    }
}

/// The root of unity of order 2N that all forms use: square roots of -1, each that of Tonelli and Shanks.
///
/// All are powers of a generator of the group of order 2^s, where p - 1 = 2^s · q. Of its power e they take power
/// (e·(q + 1) + r) / 2, with the least r that -e·q leaves modulo 2^s.
pub(crate) fn root_of_unity(m: &Modulus, degree: usize) -> Option<u64> {
    let s = (m.p - 1).trailing_zeros();
    let (q, mask) = ((m.p - 1) >> s, (1u64 << s) - 1);
    let n_roots = degree.checked_ilog2().filter(|&n_roots| n_roots < s)?;
    let generator = m.pow((2..m.p.min(1 << 10)).find(|&x| m.pow(x, m.p / 2) == m.p - 1)?, q);
    let square_root = |e: u64| e.wrapping_mul(q.div_ceil(2)) + (e.wrapping_mul(q).wrapping_neg() & mask) / 2;
    let power = (0..n_roots).fold(1 << (s - 1), |e, _| square_root(e) & mask);
    Some(m.pow(generator, power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primes;
    use proptest::prelude::*;

    /// All forms that take a prime.
    fn forms(p: u64, degree: usize) -> Vec<Transform> {
        let m = Modulus::with(p, Vectors::None);
        let doubles = Fma::detect().filter(|_| Fma::PRIMES.contains(&p));
        let doubles = doubles.map(|fma| Transform::in_doubles(fma, &m, degree).unwrap());
        let words = Transform::in_words(p, degree).unwrap();
        [words].into_iter().chain(doubles).collect()
    }

    /// Forward, and back with a factor.
    fn assert_forms_agree(m: &Modulus, limb: &[u64], factor: u64) {
        let results = forms(m.p, limb.len()).into_iter().map(|form| {
            let (mut forward, mut back) = (limb.to_vec(), limb.to_vec());
            form.forward(&mut forward);
            form.inverse(m, &mut back, m.factor(factor));
            [forward, back]
        });
        let results: Vec<_> = results.collect();
        results[1..].iter().for_each(|result| assert_eq!(result, &results[0], "{} {}", m.p, limb.len()));
    }

    /// As wide as they come, and in all degrees.
    #[test]
    fn roots_are_those_of_the_library() {
        for log_degree in 5..=16 {
            for bits in [24, 31, 40, 50, 60] {
                let degree = 1 << log_degree;
                let p = primes::below(bits, degree, 1, &[]).unwrap()[0];
                let m = Modulus::with(p, Vectors::None);
                let mut values = vec![0; degree];
                values[1] = 1;
                Transform::in_words(p, degree).unwrap().forward(&mut values);
                assert_eq!(root_of_unity(&m, degree), Some(values[0]), "{p} {degree}");
            }
        }
    }

    /// Sums grow most in the longest transforms of the widest primes that put reductions off, or do not.
    #[test]
    fn forms_agree_where_sums_grow_most() {
        let degree = 1 << 16;
        for bits in [35, 36, 47, 48, 49, 50] {
            let p = primes::below(bits, degree, 1, &[]).unwrap()[0];
            let m = Modulus::with(p, Vectors::None);
            for period in [1, 2, 3, 1 << 10] {
                let limb: Vec<u64> = (0..degree as u64).map(|i| i / period % 2 * (p - 1)).collect();
                assert_forms_agree(&m, &limb, p - 1);
            }
            assert_forms_agree(&m, &vec![p - 1; degree], p - 1);
        }
    }

    proptest! {
        /// What one machine transforms, another reads.
        #[test]
        fn all_forms_agree(bits in 20u32..=60, log_degree in 5u32..=13, seed: u64, extremes: bool) {
            let degree = 1 << log_degree;
            let p = primes::below(bits, degree, 1, &[]).unwrap()[0];
            let m = Modulus::with(p, Vectors::None);
            let residue = |i: u64| {
                let scrambled = i.wrapping_add(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(29);
                if extremes { scrambled % 2 * (p - 1) } else { scrambled % p }
            };
            let limb: Vec<u64> = (0..degree as u64).map(residue).collect();
            assert_forms_agree(&m, &limb, seed);
        }
    }
}
