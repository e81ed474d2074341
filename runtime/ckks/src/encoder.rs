//! Real vectors to plaintexts and back: the canonical embedding.
//!
//! Slot j is the value of the polynomial at ζ^(5^j), ζ = exp(iπ/N) (Cheon, Kim,
//! Kim, Song, "Homomorphic encryption for arithmetic of approximate numbers",
//! 2017, section 3). The exponents 5^j are those that are 1 modulo 4, which
//! makes it one complex transform of N/2 points. A vector of period m is a
//! polynomial in X^(N/2m) and takes a transform of m points.

use crate::ciphertext::Plaintext;
use crate::context::Context;
use crate::error::Error;
use crate::garner::Garner;
use crate::kernels;
use rustfft::num_complex::Complex64;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

/// Encodes and decodes for one ring.
#[derive(Clone)]
pub struct Encoder {
    ctx: Arc<Context>,
    /// Transforms of 1, 2, 4, … points: values to coefficients, and back.
    analysis: Vec<Arc<dyn Fft<f64>>>,
    synthesis: Arc<dyn Fft<f64>>,
    /// ζ^k for k below the slot count.
    twist: Arc<[Complex64]>,
    /// Slot j is transform point (5^j - 1) / 4.
    point_of: Arc<[u32]>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoder").field(&self.ctx).finish()
    }
}

impl Encoder {
    /// Prepares the transforms of a ring.
    pub fn new(ctx: &Arc<Context>) -> Encoder {
        let n_slots = ctx.n_slots();
        let mut planner = FftPlanner::new();
        let angle = |k| PI * k as f64 / ctx.ring_degree() as f64;
        let mask = 2 * ctx.ring_degree() - 1;
        let powers = std::iter::successors(Some(1), |power| Some((power * 5) & mask));
        Encoder {
            ctx: ctx.clone(),
            analysis: (0..=n_slots.ilog2()).map(|log| planner.plan_fft_forward(1 << log)).collect(),
            synthesis: planner.plan_fft_inverse(n_slots),
            twist: (0..n_slots).map(|k| Complex64::from_polar(1.0, angle(k))).collect(),
            point_of: powers.take(n_slots).map(|power: usize| (power / 4) as u32).collect(),
        }
    }

    /// Encodes `values`, repeated to fill the slots, times `scale`.
    ///
    /// The number of values must be a power of two up to the slot count.
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
        let coefficients = self.coefficients(values, scale);
        let largest = largest_of(&coefficients);
        check_fits(&self.ctx, largest, level)?;
        let residues = Rounded::new(&coefficients, largest);
        Ok(Plaintext::from_limbs(&self.ctx, level, scale.log2(), extended, |prime, limb| {
            self.transform(&residues, prime, limb);
        }))
    }

    /// The slots of a plaintext divided by `scale`.
    ///
    /// # Errors
    /// [`Error::ForeignContext`], [`Error::Scale`].
    pub fn decode(&self, pt: &Plaintext, scale: f64) -> Result<Vec<f64>, Error> {
        self.ctx.check_owns(pt.fingerprint)?;
        check_scale(scale)?;
        let n_slots = self.ctx.n_slots();
        let coefficients = Garner::new(&self.ctx, pt.level).reconstruct(&self.ctx, &pt.words(&self.ctx));
        let (real, imaginary) = coefficients.split_at(n_slots);
        let parts = real.iter().zip(imaginary).zip(self.twist.iter());
        let mut points: Vec<Complex64> =
            parts.map(|((&re, &im), twist)| Complex64::new(re, im) / scale * twist).collect();
        self.synthesis.process(&mut points);
        Ok(self.point_of.iter().map(|&point| points[point as usize].re).collect())
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

    /// The 2m coefficients that a vector of m values has, at equal distances.
    fn coefficients(&self, values: &[f64], scale: f64) -> Vec<f64> {
        let (period, gap) = (values.len(), self.ctx.n_slots() / values.len());
        let mut points = vec![Complex64::ZERO; period];
        for (&value, &point) in values.iter().zip(self.point_of.iter()) {
            points[point as usize & (period - 1)].re = value;
        }
        self.analysis[period.ilog2() as usize].process(&mut points);
        let factor = scale / period as f64;
        let untwist = |(k, point): (usize, &Complex64)| point * self.twist[k * gap].conj() * factor;
        points = points.iter().enumerate().map(untwist).collect();
        points.iter().map(|c| c.re).chain(points.iter().map(|c| c.im)).collect()
    }

    /// Spreads coefficients over the ring, modulo a prime, and transforms them. A
    /// constant polynomial has the same value everywhere.
    fn transform(&self, coefficients: &Rounded, prime: usize, limb: &mut [u64]) {
        let modulus = &self.ctx.moduli()[prime];
        let gap = limb.len() / coefficients.len();
        if gap == 1 {
            coefficients.reduce(modulus, limb);
        } else {
            let mut packed = vec![0; coefficients.len()];
            coefficients.reduce(modulus, &mut packed);
            if packed.len() == 2 {
                return limb.fill(packed[0]);
            }
            limb.fill(0);
            limb.iter_mut().step_by(gap).zip(packed).for_each(|(out, word)| *out = word);
        }
        self.ctx.forward(prime, limb);
    }
}

/// Rounded coefficients; the first two are shifted to be positive.
enum Rounded {
    Narrow(Vec<u64>),
    Word(Vec<u64>),
    Wide(Vec<i128>),
}

impl Rounded {
    const NARROW_SHIFT: u64 = 1 << 51;
    const WORD_SHIFT: u64 = 1 << 62;

    fn new(coefficients: &[f64], largest: f64) -> Rounded {
        if largest < (Rounded::NARROW_SHIFT - 1) as f64 {
            Rounded::Narrow(coefficients.iter().map(|&c| round_shifted(c)).collect())
        } else if largest < (Rounded::WORD_SHIFT - 1) as f64 {
            let shift = |c: &f64| (c.round() as i64).wrapping_add(Rounded::WORD_SHIFT as i64) as u64;
            Rounded::Word(coefficients.iter().map(shift).collect())
        } else {
            Rounded::Wide(coefficients.iter().map(|c| c.round() as i128).collect())
        }
    }

    fn len(&self) -> usize {
        match self {
            Rounded::Narrow(words) | Rounded::Word(words) => words.len(),
            Rounded::Wide(words) => words.len(),
        }
    }

    fn reduce(&self, m: &crate::modulus::Modulus, out: &mut [u64]) {
        match self {
            // Short vectors may not fill the blocks of the vector kernels.
            Rounded::Narrow(words) => {
                let wide = !words.len().is_multiple_of(crate::simd::BLOCK);
                kernels::reduce_offset(m, out, words, m.reduce(Rounded::NARROW_SHIFT), wide);
            }
            Rounded::Word(words) => {
                kernels::reduce_offset(m, out, words, m.reduce(Rounded::WORD_SHIFT), true);
            }
            Rounded::Wide(words) => {
                out.iter_mut().zip(words).for_each(|(out, &word)| *out = m.reduce_signed(word));
            }
        }
    }
}

/// round(c) + 2^51 for |c| < 2^51: adding 3·2^51 leaves it in the mantissa.
fn round_shifted(c: f64) -> u64 {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    (c + MAGIC).to_bits() & ((1 << 52) - 1)
}

/// The largest magnitude; infinite when a coefficient is not finite.
fn largest_of(coefficients: &[f64]) -> f64 {
    match coefficients.iter().all(|c| c.is_finite()) {
        true => coefficients.iter().fold(0.0, |max: f64, c| max.max(c.abs())),
        false => f64::INFINITY,
    }
}

pub(crate) fn check_scale(scale: f64) -> Result<(), Error> {
    match scale.is_finite() && scale > 0.0 {
        true => Ok(()),
        false => Err(Error::Scale(scale)),
    }
}

/// Coefficients are kept below this many bits.
const MAX_BITS: f64 = 126.0;

/// Refuses integers that a level's modulus cannot tell apart.
pub(crate) fn check_fits(ctx: &Context, largest: f64, level: usize) -> Result<(), Error> {
    let needed = (largest + 1.0).log2() + 1.0;
    let available = ctx.log_q(level).min(MAX_BITS);
    match needed <= available {
        true => Ok(()),
        false => Err(Error::Overflow { needed, available, level }),
    }
}
