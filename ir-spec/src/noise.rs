//! How much error each operation adds, from the ring parameters alone.
//!
//! Errors are standard deviations of the real part of a slot, in encoded
//! units: divide by a ciphertext's scale to get slot units. A polynomial whose
//! N coefficients are independent with variance v has complex slots of variance
//! N v, half of it real. Products with the secret use its average over slots.
//! Formulas follow Kim, Papadimitriou, Polyakov, "Approximate Homomorphic
//! Encryption with Reduced Approximation Error" (2022), sections 3 and 4, for
//! a uniform ternary secret.

use crate::params::Params;
use crate::scale::Level;

/// The larger of two errors, and NaN if one is: comparisons alone would lose it.
pub fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Width of the error distribution of fresh encryptions and keys.
pub const SIGMA: f64 = 3.2;

/// Variance of rounding to an integer.
const ROUNDING: f64 = 1.0 / 12.0;

/// Variance of rounding up or down at random, as often as the fraction says, where fractions are even.
const DITHERED: f64 = 1.0 / 6.0;

/// Variance of a uniform ternary secret's coefficients.
const SECRET: f64 = 2.0 / 3.0;

/// Error estimates for one ring.
#[derive(Clone, Debug)]
pub struct NoiseModel {
    ring_degree: f64,
    log_q: Vec<f64>,
    log_p: f64,
    digit_limbs: usize,
}

impl NoiseModel {
    /// Reads what matters from the parameters.
    pub fn new(params: &Params) -> NoiseModel {
        NoiseModel {
            ring_degree: params.ring_degree as f64,
            log_q: params.q.iter().map(|&q| (q as f64).log2()).collect(),
            log_p: params.p.iter().map(|&p| (p as f64).log2()).sum(),
            digit_limbs: params.digit_limbs.max(1),
        }
    }

    /// A fresh encryption under the secret key: its error and the rounding of
    /// the encoding.
    pub fn fresh(&self) -> f64 {
        self.slot_std(SIGMA * SIGMA).hypot(self.encode(self.ring_degree as usize / 2))
    }

    /// Rounding of a plaintext whose slots repeat with `period`: only every
    /// `n_slots / period`-th coefficient is non-zero.
    ///
    /// A constant is rounded to the nearest integer, others up or down at random, so that errors are those of noise
    /// whatever is encoded. Real slots are polynomials with a\[k\] = -a\[N - k\], and rounding keeps
    /// that: it leaves slots real, so that their real parts have all of its
    /// variance, that of one free coefficient and `period - 1` pairs.
    pub fn encode(&self, period: usize) -> f64 {
        let rounding = if period > 1 { DITHERED } else { ROUNDING };
        ((2.0 * period as f64 - 1.0) * rounding).sqrt()
    }

    /// Relative rounding of a scalar encoded as one integer, in units of the
    /// integer.
    pub fn scalar(&self) -> f64 {
        ROUNDING.sqrt()
    }

    /// Rounding of a rescale of a ciphertext of the given degree.
    pub fn rescale(&self, degree: u8) -> f64 {
        let secret = SECRET * self.ring_degree;
        let square = if degree > 1 { 2.0 * secret * secret } else { 0.0 };
        self.slot_std(ROUNDING * (1.0 + secret + square))
    }

    /// A rotation or relinearisation at `level`: key errors times digits,
    /// divided by the special primes, and the rounding of that division.
    pub fn key_switch(&self, level: Level) -> f64 {
        let limbs = &self.log_q[..level.n_limbs().min(self.log_q.len())];
        let digit = |primes: &[f64]| (2.0 * (primes.iter().sum::<f64>() - self.log_p)).exp2();
        let digits: f64 = limbs.chunks(self.digit_limbs).map(digit).sum();
        let switched = self.slot_std(self.ring_degree * ROUNDING * SIGMA * SIGMA * digits);
        switched.hypot(self.rescale(1))
    }

    /// The largest of `n` errors of standard deviation `std` is below this in
    /// 19 runs of 20. Rounding errors are multiplied by the secret's value at
    /// each slot, which is normal and complex, so their tail is that of a
    /// Laplace distribution.
    pub fn largest_of(&self, n: usize, std: f64) -> f64 {
        std * (20.0 * n.max(1) as f64).ln() / std::f64::consts::SQRT_2
    }

    /// Base-2 logarithm of the modulus at `level`.
    pub fn log_modulus(&self, level: Level) -> f64 {
        self.log_q.iter().take(level.n_limbs()).sum()
    }

    fn slot_std(&self, coefficient_variance: f64) -> f64 {
        (self.ring_degree / 2.0 * coefficient_variance).sqrt()
    }
}
