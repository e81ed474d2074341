//! The canonical embedding: slots to the coefficients of their polynomial.
//!
//! Slot j is the value of the polynomial at ζ^(5^j), ζ = exp(iπ/N) (Cheon, Kim,
//! Kim, Song, "Homomorphic encryption for arithmetic of approximate numbers",
//! 2017, section 3). The exponents 5^j are those that are 1 modulo 4, which
//! makes it one complex transform of N/2 points. A vector of period m is a
//! polynomial in X^(N/2m) and takes a transform of m points.
//!
//! Values may be secret: they stay in memory that is wiped, and nothing branches on them.

use crate::buffer::Buffer;
use num_complex::Complex64;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The embedding for one number of slots.
#[derive(Clone)]
pub struct Embedding {
    /// Transforms of 1, 2, 4, … points.
    analysis: Vec<Arc<dyn Fft<f64>>>,
    /// ζ^k for k below the slot count.
    pub(crate) twist: Arc<[Complex64]>,
    /// Slot j is transform point (5^j - 1) / 4.
    pub(crate) point_of: Arc<[u32]>,
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedding").field("n_slots", &self.point_of.len()).finish_non_exhaustive()
    }
}

impl Embedding {
    /// Prepares the transforms for ciphertexts of `n_slots`, a power of two.
    pub fn new(n_slots: usize) -> Embedding {
        let mut planner = FftPlanner::new();
        let angle = |k| PI * k as f64 / (2 * n_slots) as f64;
        let mask = 4 * n_slots - 1;
        let powers = std::iter::successors(Some(1), |power| Some((power * 5) & mask));
        Embedding {
            analysis: (0..=n_slots.ilog2()).map(|log| planner.plan_fft_forward(1 << log)).collect(),
            twist: (0..n_slots).map(|k| Complex64::from_polar(1.0, angle(k))).collect(),
            point_of: powers.take(n_slots).map(|power: usize| (power / 4) as u32).collect(),
        }
    }

    /// The largest magnitude among the coefficients of the polynomial with these slots, repeated to fill
    /// a ciphertext, in slot units; infinite when one is not finite. It is what has to stay below half of the modulus, divided
    /// by the scale.
    ///
    /// # Panics
    /// If the number of values is no power of two up to the slot count.
    pub fn largest_coefficient(&self, values: &[f64]) -> f64 {
        assert!(values.len().is_power_of_two() && values.len() <= self.point_of.len(), "slots repeat");
        largest_of(bytemuck::cast_slice(&self.coefficients(values, 1.0)))
    }

    /// The 2m coefficients that a vector of m values has, at equal distances, as
    /// the bits of floating-point numbers.
    pub(crate) fn coefficients(&self, values: &[f64], scale: f64) -> Zeroizing<Buffer> {
        let (period, gap) = (values.len(), self.point_of.len() / values.len());
        let mut memory = Buffer::wiped_scratch(2 * period);
        let points = complex(&mut memory);
        for (&value, &point) in values.iter().zip(self.point_of.iter()) {
            points[point as usize & (period - 1)] = Complex64::new(value, 0.0);
        }
        transform_points(&*self.analysis[period.ilog2() as usize], points);
        let mut coefficients = Buffer::wiped_scratch(2 * period);
        let (real, imaginary) = coefficients.split_at_mut(period);
        let factor = scale / period as f64;
        for (k, (point, (re, im))) in points.iter().zip(real.iter_mut().zip(imaginary)).enumerate() {
            let c = point * self.twist[k * gap].conj() * factor;
            (*re, *im) = (c.re.to_bits(), c.im.to_bits());
        }
        coefficients
    }
}

pub(crate) fn complex(words: &mut [u64]) -> &mut [Complex64] {
    bytemuck::cast_slice_mut(words)
}

pub(crate) fn transform_points(fft: &dyn Fft<f64>, points: &mut [Complex64]) {
    let mut scratch = Buffer::wiped_scratch(2 * fft.get_inplace_scratch_len());
    fft.process_with_scratch(points, complex(&mut scratch));
}

/// The largest magnitude; infinite when a coefficient is not finite.
pub(crate) fn largest_of(coefficients: &[f64]) -> f64 {
    match coefficients.iter().all(|c| c.is_finite()) {
        true => coefficients.iter().fold(0.0, |max: f64, c| max.max(c.abs())),
        false => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 64;

    fn largest(values: &[f64]) -> f64 {
        Embedding::new(N).largest_coefficient(values)
    }

    #[test]
    fn slots_of_one_sign_reach_their_mean() {
        let values: Vec<f64> = (0..N).map(|i| (i % 5) as f64).collect();
        let mean = values.iter().sum::<f64>() / N as f64;
        assert!((largest(&values) - mean).abs() < 1e-12 * mean);
        assert!((largest(&[-3.0]) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn no_coefficient_exceeds_the_mean_magnitude() {
        for seed in 0..50u64 {
            let value = |i: u64| ((i * 37 + seed * 101) % 61) as f64 - 30.0;
            let values: Vec<f64> = (0..N as u64).map(value).collect();
            let mean = values.iter().map(|x| x.abs()).sum::<f64>() / N as f64;
            let found = largest(&values);
            assert!(found <= mean * (1.0 + 1e-12) && found >= mean / N as f64, "{found} of {mean}");
        }
    }

    #[test]
    fn what_is_not_finite_has_no_bound() {
        assert_eq!(largest(&[f64::NAN, 0.0]), f64::INFINITY);
    }
}
