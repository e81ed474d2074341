//! Real vectors to plaintexts and back, by the canonical embedding.
//!
//! Values and coefficients may be secret: they stay in memory that is wiped, and
//! nothing branches on them but the refusal of values that cannot be encoded.

use crate::buffer::Buffer;
use crate::ciphertext::Plaintext;
use crate::context::Context;
use crate::embedding::{Embedding, complex, largest_of, transform_points};
use crate::error::Error;
use crate::garner::Garner;
use crate::kernels;
use crate::modulus::Modulus;
use hecc_security::MAX_ENCODED_BITS;
use num_complex::Complex64;
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rustfft::{Fft, FftPlanner};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Encodes and decodes for one ring.
#[derive(Clone)]
pub struct Encoder {
    ctx: Arc<Context>,
    embedding: Embedding,
    /// Coefficients to values.
    synthesis: Arc<dyn Fft<f64>>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoder").field(&self.ctx).finish()
    }
}

/// Slots of a decrypted plaintext and its largest coefficient. Wiped on drop.
///
/// What was encoded is real: imaginary parts are error, or a sign that this is no result
/// of what was encoded.
pub struct Decoded {
    /// Real parts of the slots.
    pub real: Zeroizing<Vec<f64>>,
    /// Imaginary parts of the slots.
    pub imaginary: Zeroizing<Vec<f64>>,
    /// The largest magnitude of a coefficient, divided by the scale. It is at most half of the
    /// level's modulus divided by the scale; beyond that coefficients wrap around.
    pub largest_coefficient: f64,
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoded(..)")
    }
}

impl Encoder {
    /// Prepares the transforms of a ring.
    pub fn new(ctx: &Arc<Context>) -> Encoder {
        let n_slots = ctx.n_slots();
        Encoder {
            ctx: ctx.clone(),
            embedding: Embedding::new(n_slots),
            synthesis: FftPlanner::new().plan_fft_inverse(n_slots),
        }
    }

    /// Encodes `values`, repeated to fill the slots, times `scale`.
    ///
    /// The number of values must be a power of two up to the slot count. One value makes
    /// a constant polynomial, which takes no memory and is cheap to multiply with.
    ///
    /// # Errors
    /// [`Error::ValueCount`], [`Error::NotFinite`], [`Error::NoSuchLevel`],
    /// [`Error::Scale`], and [`Error::Overflow`] when a coefficient exceeds the modulus of the level.
    pub fn encode(&self, values: &[f64], level: usize, scale: f64) -> Result<Plaintext, Error> {
        self.encode_modulo(values, level, scale, false)
    }

    /// As [`Encoder::encode`], for products with extended ciphertexts too: it takes
    /// more memory, by the special primes.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_extended(&self, values: &[f64], level: usize, scale: f64) -> Result<Plaintext, Error> {
        self.encode_modulo(values, level, scale, true)
    }

    fn encode_modulo(
        &self,
        values: &[f64],
        level: usize,
        scale: f64,
        extended: bool,
    ) -> Result<Plaintext, Error> {
        self.check_values(values)?;
        self.ctx.check_level(level)?;
        check_scale(scale)?;
        let mut coefficients = self.embedding.coefficients(values, scale);
        let largest = largest_of(bytemuck::cast_slice(&coefficients));
        check_fits(&self.ctx, largest, level)?;
        if values.len() == 1 {
            let integer = round_wide(f64::from_bits(coefficients[0]));
            return Ok(Plaintext::constant(&self.ctx, integer, level, scale.log2()));
        }
        dither(&mut coefficients, draws_for(values, scale));
        let residues = Rounded::new(coefficients, largest);
        Ok(Plaintext::from_limbs(&self.ctx, level, scale.log2(), extended, |prime, limb| {
            self.transform(&residues, prime, limb);
        }))
    }

    /// The slots of a plaintext divided by `scale`.
    ///
    /// # Errors
    /// [`Error::ForeignContext`], [`Error::Scale`].
    pub fn decode(&self, pt: &Plaintext, scale: f64) -> Result<Vec<f64>, Error> {
        Ok(std::mem::take(&mut *self.decode_complex(pt, scale)?.real))
    }

    /// As [`Encoder::decode`], with what else the polynomial shows.
    ///
    /// # Errors
    /// As [`Encoder::decode`].
    pub fn decode_complex(&self, pt: &Plaintext, scale: f64) -> Result<Decoded, Error> {
        self.ctx.check_owns(pt.fingerprint)?;
        check_scale(scale)?;
        let n_slots = self.ctx.n_slots();
        let coefficients = Garner::new(&self.ctx, pt.level).reconstruct(&self.ctx, &pt.words(&self.ctx));
        let largest_coefficient = largest_of(&coefficients) / scale;
        let (real, imaginary) = coefficients.split_at(n_slots);
        let parts = real.iter().zip(imaginary).zip(self.embedding.twist.iter());
        let mut memory = Buffer::wiped_scratch(2 * n_slots);
        let points = complex(&mut memory);
        for (point, ((&re, &im), twist)) in points.iter_mut().zip(parts) {
            *point = Complex64::new(re, im) / scale * twist;
        }
        transform_points(&*self.synthesis, points);
        let slots = || self.embedding.point_of.iter().map(|&point| points[point as usize]);
        Ok(Decoded {
            real: Zeroizing::new(slots().map(|slot| slot.re).collect()),
            imaginary: Zeroizing::new(slots().map(|slot| slot.im).collect()),
            largest_coefficient,
        })
    }

    fn check_values(&self, values: &[f64]) -> Result<(), Error> {
        let n_slots = self.ctx.n_slots();
        if !values.len().is_power_of_two() || values.len() > n_slots {
            return Err(Error::ValueCount { len: values.len(), n_slots });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(Error::NotFinite { index }),
            None => Ok(()),
        }
    }

    /// Spreads coefficients over the ring, modulo a prime, and transforms them.
    fn transform(&self, coefficients: &Rounded, prime: usize, limb: &mut [u64]) {
        let modulus = &self.ctx.moduli()[prime];
        let gap = limb.len() / coefficients.len();
        if gap == 1 {
            coefficients.reduce(modulus, limb);
        } else {
            let mut packed = Buffer::wiped_scratch(coefficients.len());
            coefficients.reduce(modulus, &mut packed);
            limb.fill(0);
            limb.iter_mut().step_by(gap).zip(packed.iter()).for_each(|(out, &word)| *out = word);
        }
        self.ctx.forward(prime, limb);
    }
}

/// Adds to the bits of each coefficient a number between -1/2 and 1/2, so that the nearest integer is above it as often as its
/// fraction says.
///
/// Without that, the errors of a vector of few or regular elements are no noise: coefficients below 1/2 all become
/// zero, and the vector with them. So that slots stay real, coefficients k and N - k, which are each other's negatives, take
/// numbers that are.
/// Source: Gray and Stockham, "Dithered quantizers" (1993), for errors that do not depend on what is rounded.
fn dither(coefficients: &mut [u64], mut draws: SplitMix64) {
    let (low, high) = coefficients.split_at_mut(coefficients.len() / 2);
    let add = |bits: &mut u64, x: f64| *bits = (f64::from_bits(*bits) + x).to_bits();
    add(&mut low[0], uniform(&mut draws));
    for (coefficient, mirrored) in low.iter_mut().skip(1).zip(high.iter_mut().rev()) {
        let x = uniform(&mut draws);
        add(coefficient, x);
        add(mirrored, -x);
    }
}

/// Draws that follow from values and scale alone, for the same plaintext on every machine.
fn draws_for(values: &[f64], scale: f64) -> SplitMix64 {
    let start = SplitMix64::seed_from_u64;
    start(values.iter().fold(scale.to_bits(), |seed, value| start(seed ^ value.to_bits()).next_u64()))
}

/// A number between -1/2 and 1/2, both excluded.
fn uniform(draws: &mut SplitMix64) -> f64 {
    ((draws.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64 - 0.5
}

/// Coefficients rounded to integers.
struct Rounded {
    words: Zeroizing<Buffer>,
    width: Width,
}

/// How many bits the largest coefficient takes; the first two forms hold them
/// shifted to be positive.
enum Width {
    /// Below 2^51.
    Narrow,
    /// Below 2^62.
    Word,
    /// As double words.
    Wide,
}

impl Rounded {
    const NARROW_SHIFT: u64 = 1 << 51;
    const WORD_SHIFT: u64 = 1 << 62;

    /// From the bits of numbers, of which the largest is given.
    fn new(mut bits: Zeroizing<Buffer>, largest: f64) -> Rounded {
        let width = if largest < (Rounded::NARROW_SHIFT - 2) as f64 {
            bits.iter_mut().for_each(|c| *c = round_shifted(f64::from_bits(*c)));
            Width::Narrow
        } else if largest < (Rounded::WORD_SHIFT - 1) as f64 {
            let shifted = |c| (round_word(c) as u64).wrapping_add(Rounded::WORD_SHIFT);
            bits.iter_mut().for_each(|c| *c = shifted(f64::from_bits(*c)));
            Width::Word
        } else {
            let mut wide = Buffer::wiped_scratch(2 * bits.len());
            let words: &mut [i128] = bytemuck::cast_slice_mut(&mut wide);
            words.iter_mut().zip(bits.iter()).for_each(|(word, &c)| *word = round_wide(f64::from_bits(c)));
            bits = wide;
            Width::Wide
        };
        Rounded { words: bits, width }
    }

    fn len(&self) -> usize {
        match self.width {
            Width::Narrow | Width::Word => self.words.len(),
            Width::Wide => self.words.len() / 2,
        }
    }

    fn reduce(&self, m: &Modulus, out: &mut [u64]) {
        match self.width {
            Width::Narrow => {
                kernels::reduce_offset(m, out, &self.words, m.reduce(Rounded::NARROW_SHIFT), false);
            }
            Width::Word => {
                kernels::reduce_offset(m, out, &self.words, m.reduce(Rounded::WORD_SHIFT), true);
            }
            Width::Wide => {
                let words: &[i128] = bytemuck::cast_slice(&self.words);
                out.iter_mut().zip(words).for_each(|(out, &word)| *out = m.reduce_signed(word));
            }
        }
    }
}

/// 3·2^51: what is added to it lands rounded in the low bits of the mantissa.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// round(c) + 2^51 for |c| < 2^51.
fn round_shifted(c: f64) -> u64 {
    (c + MAGIC).to_bits() & ((1 << 52) - 1)
}

/// round(c) for |c| < 2^63. A library's rounding may branch on its argument.
fn round_word(c: f64) -> i64 {
    let whole = c as i64;
    whole + (c - whole as f64 + MAGIC - MAGIC) as i64
}

/// round(c) for |c| < 2^126.
fn round_wide(c: f64) -> i128 {
    const HALF: f64 = (1u64 << 63) as f64;
    let high = (c / HALF) as i64;
    (i128::from(high) << 63) + i128::from(round_word(c - high as f64 * HALF))
}

pub(crate) fn check_scale(scale: f64) -> Result<(), Error> {
    match scale.is_finite() && scale > 0.0 {
        true => Ok(()),
        false => Err(Error::Scale(scale)),
    }
}

/// Refuses integers that a level's modulus cannot tell apart.
pub(crate) fn check_fits(ctx: &Context, largest: f64, level: usize) -> Result<(), Error> {
    let needed = (largest + 1.0).log2() + 1.0;
    let available = ctx.log_q(level).min(MAX_ENCODED_BITS);
    match needed <= available {
        true => Ok(()),
        false => Err(Error::Overflow { needed, available, level }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Halves may go to either side.
    #[test]
    fn rounding_finds_the_nearest_integer() {
        let magnitudes =
            [0.0, 0.3, 0.5, 0.7, 1.5, 2.5, 1e9 + 0.25, 2f64.powi(50) + 0.75, 2f64.powi(51) - 1.5];
        let wide = [2f64.powi(51) + 0.5, 2f64.powi(53) + 2.0, 2f64.powi(62) - 512.0];
        let widest = [2f64.powi(63), 2f64.powi(63) * 1.5, 2f64.powi(100) * 1.37, 2f64.powi(125) * 1.99];
        let near = |rounded: i128, c: f64| (rounded as f64 - c).abs() <= 0.5;
        for sign in [1.0, -1.0] {
            for c in magnitudes.map(|c| c * sign) {
                assert!(near(round_shifted(c) as i128 - (1 << 51), c), "{c}");
            }
            for c in magnitudes.into_iter().chain(wide).map(|c| c * sign) {
                assert!(near(i128::from(round_word(c)), c), "{c}");
            }
            for c in magnitudes.into_iter().chain(wide).chain(widest).map(|c| c * sign) {
                assert!(near(round_wide(c), c), "{c}");
            }
        }
        assert_eq!(round_wide(2f64.powi(100) * 1.5), 3 << 99);
    }
}
