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
use crate::simd::Vectors;
use tfhe_ntt::{prime32, prime64};

/// Both directions for one prime.
pub(crate) enum Transform {
    Words(prime64::Plan),
    HalfWords(prime32::Plan),
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

    /// Coefficients to values.
    pub fn forward(&self, limb: &mut [u64]) {
        match self {
            Transform::Words(plan) => plan.fwd(limb),
            Transform::HalfWords(plan) => in_half_words(limb, |halves| plan.fwd(halves)),
        }
    }

    /// Values to coefficients times `N · factor`.
    pub fn inverse(&self, m: &Modulus, limb: &mut [u64], factor: Factor) {
        self.inverse_unscaled(limb);
        kernels::scale(m, limb, factor);
    }

    /// Values to coefficients times `N`.
    fn inverse_unscaled(&self, limb: &mut [u64]) {
        match self {
            Transform::Words(plan) => plan.inv(limb),
            Transform::HalfWords(plan) => in_half_words(limb, |halves| plan.inv(halves)),
        }
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

    proptest! {
        /// What one machine transforms, another reads.
        #[test]
        fn both_forms_agree(bits in 20u32..=31, log_degree in 5u32..=12, seed: u64) {
            let degree = 1 << log_degree;
            let p = primes::below(bits, degree, 1, &[]).unwrap()[0];
            let mut words: Vec<u64> =
                (0..degree as u64).map(|i| i.wrapping_mul(seed | 1).wrapping_add(seed) % p).collect();
            let forms = [Transform::in_words(p, degree).unwrap(), Transform::in_half_words(p, degree).unwrap()];
            for step in [Transform::forward, Transform::inverse_unscaled] {
                let mut results = forms.each_ref().map(|form| {
                    let mut limb = words.clone();
                    step(form, &mut limb);
                    limb
                });
                prop_assert_eq!(&results[0], &results[1]);
                words = std::mem::take(&mut results[0]);
            }
        }
    }
}
