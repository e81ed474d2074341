//! The negacyclic number-theoretic transform of one prime.
//!
//! `tfhe-ntt` does it, which picks vector instructions at run time. Values come out
//! in bit-reversed order of the exponents of one root of unity, on which
//! automorphisms rely, so that the order is checked. A transform of our own in
//! AVX-512 IFMA, levels fused in registers and two limbs side by side, made a whole
//! rotation 1.00 to 1.06 times as fast (N = 8192 and 16384, Zen 5): not enough to
//! keep it.
//!
//! Where there is no IFMA, primes below 2^31 are transformed in half words, twice as many
//! to a vector and with products that AVX2 has. There and back with the words between, that is 2.7
//! to 3.6 times as fast as in words (N = 4096 to 32768, Zen 4 without AVX-512). Both
//! forms use the same root, so that values are the same on every machine.

use crate::error::Error;
use crate::kernels;
use crate::modulus::{Factor, Modulus};
use crate::simd::{Fma, Roots, Vectors};
use tfhe_ntt::{prime32, prime64};

/// Both directions for one prime.
pub(crate) enum Transform {
    Words(prime64::Plan),
    HalfWords(prime32::Plan),
    Doubles(Fma, Roots),
}

/// Primes below this have a fast transform in half words.
const HALF_WORD: u64 = 1 << 31;

impl Transform {
    /// Prepares a prime that is 1 modulo 2N.
    ///
    /// # Errors
    /// [`Error::Prime`] for any other.
    pub fn new(m: &Modulus, degree: usize) -> Result<Transform, Error> {
        let refuse = |reason| Error::Prime { prime: m.p, reason };
        let transform = match m.vectors {
            Vectors::Fma(fma) => Transform::in_doubles(fma, m, degree),
            Vectors::Avx2(_) if m.p < HALF_WORD => Transform::in_half_words(m.p, degree),
            Vectors::None | Vectors::Sums(_) | Vectors::Avx2(_) | Vectors::Ifma(_) => {
                Transform::in_words(m.p, degree)
            }
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

    fn in_half_words(p: u64, degree: usize) -> Option<Transform> {
        prime32::Plan::try_new(degree, u32::try_from(p).ok()?).map(Transform::HalfWords)
    }

    fn in_doubles(fma: Fma, m: &Modulus, degree: usize) -> Option<Transform> {
        let root = root_of_unity(m, degree)?;
        Some(Transform::Doubles(fma, fma.roots(m, degree, root)))
    }

    /// Coefficients to values.
    pub fn forward(&self, limb: &mut [u64]) {
        match self {
            Transform::Words(plan) => plan.fwd(limb),
            Transform::HalfWords(plan) => in_half_words(limb, |halves| plan.fwd(halves)),
            Transform::Doubles(fma, roots) => fma.forward(roots, limb),
        }
    }

    /// Values to coefficients times `N · factor`.
    pub fn inverse(&self, m: &Modulus, limb: &mut [u64], factor: Factor) {
        match self {
            Transform::Words(plan) => plan.inv(limb),
            Transform::HalfWords(plan) => in_half_words(limb, |halves| plan.inv(halves)),
            Transform::Doubles(fma, roots) => return fma.inverse(roots, limb, factor),
        }
        kernels::scale(m, limb, factor);
    }

    /// Whether the values of X are the odd powers of the first in bit-reversed order.
    fn is_bit_reversed(&self, m: &Modulus, degree: usize) -> bool {
        let mut values = vec![0; degree];
        values[1] = 1;
        self.forward(&mut values);
        let (root, square) = (values[0], m.mul(values[0], values[0]));
        let shift = degree.leading_zeros() + 1;
        let powers = std::iter::successors(Some(root), |&power| Some(m.mul(power, square)));
        (0..degree).zip(powers).all(|(i, power)| values[i.reverse_bits() >> shift] == power)
    }
}

/// The root of unity of order 2N that all forms use: square roots of -1, each that of Tonelli and Shanks.
///
/// All are powers of a generator of the group of order 2^s, where p - 1 = 2^s · q. Of its power e they take power
/// (e·(q + 1) + r) / 2, with the least r that -e·q leaves modulo 2^s.
fn root_of_unity(m: &Modulus, degree: usize) -> Option<u64> {
    let s = (m.p - 1).trailing_zeros();
    let (q, mask) = ((m.p - 1) >> s, (1u64 << s) - 1);
    let n_roots = degree.checked_ilog2().filter(|&n_roots| n_roots < s)?;
    let generator = m.pow((2..m.p.min(1 << 10)).find(|&x| m.pow(x, m.p / 2) == m.p - 1)?, q);
    let square_root = |e: u64| e.wrapping_mul(q.div_ceil(2)) + (e.wrapping_mul(q).wrapping_neg() & mask) / 2;
    let power = (0..n_roots).fold(1 << (s - 1), |e, _| square_root(e) & mask);
    Some(m.pow(generator, power))
}

/// Words that are narrowed or widened at a time.
const BLOCK: usize = 8;

/// Works on words below 2^32 as half words. They lie in the first half of the words meanwhile, so that no other
/// memory holds what may be secret. The number of words is a multiple of a block.
fn in_half_words(words: &mut [u64], work: impl FnOnce(&mut [u32])) {
    const HALF: usize = BLOCK / 2;
    let n_blocks = words.len() / BLOCK;
    for block in 0..n_blocks {
        let wide = &words[block * BLOCK..][..BLOCK];
        let narrow: [u32; BLOCK] = std::array::from_fn(|i| wide[i] as u32);
        words[block * HALF..][..HALF].copy_from_slice(&bytemuck::cast::<_, [u64; HALF]>(narrow));
    }
    work(bytemuck::cast_slice_mut(&mut words[..n_blocks * HALF]));
    for block in (0..n_blocks).rev() {
        let narrow: &[u32] = bytemuck::cast_slice(&words[block * HALF..][..HALF]);
        let wide: [u64; BLOCK] = std::array::from_fn(|i| u64::from(narrow[i]));
        words[block * BLOCK..][..BLOCK].copy_from_slice(&wide);
    }
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
        let half_words = (p < HALF_WORD).then(|| Transform::in_half_words(p, degree).unwrap());
        let words = Transform::in_words(p, degree).unwrap();
        [words].into_iter().chain(half_words).chain(doubles).collect()
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
            let results = forms(p, degree).into_iter().map(|form| {
                let (mut forward, mut back) = (limb.clone(), limb.clone());
                form.forward(&mut forward);
                form.inverse(&m, &mut back, m.factor(seed));
                [forward, back]
            });
            let results: Vec<_> = results.collect();
            results[1..].iter().for_each(|result| assert_eq!(result, &results[0]));
        }
    }
}
