//! Gaussian integers of large width, as sums of narrow ones.
//!
//! For coprime a and b and independent discrete Gaussians x and y of width s,
//! ax + by is a discrete Gaussian of width s·sqrt(a² + b²) up to a distance of
//! about ε, as long as s is at least sqrt(2)·max(a, b) times the smoothing
//! parameter of the integers for ε (Micciancio and Peikert, "Hardness of SIS and
//! LWE with small parameters", 2013, theorem 3.3; applied to sampling in
//! constant time by Micciancio and Walter, "Gaussian sampling over the integers:
//! efficient, generic, constant-time", 2017). Widths square with each step, so a
//! few dozen narrow samples make one of any width, by integer arithmetic alone.

use super::Prng;
use crate::error::Error;
use zeroize::Zeroizing;

/// A discrete Gaussian on the integers, drawn without branches on what is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct WideGaussian {
    /// Coprime factors (a, b), from the narrowest sum to the widest.
    sums: Vec<(i64, i64)>,
    sigma: f64,
}

/// Width of [`Prng::gaussian`].
const NARROW: f64 = 3.2;

/// Sums that reach the first width from which any other is near.
const FIRST: [(i64, i64); 3] = [(1, 1), (2, 1), (4, 3)];

/// A sample is below 128 times the width, which has to fit a word.
const WIDEST: f64 = (1u64 << 56) as f64;

impl WideGaussian {
    /// A standard deviation of `sigma` or more: at most 1 % more from 2^16 on,
    /// and never below 50. `None` unless `sigma` is a number from 0 to 2^56.
    pub fn at_least(sigma: f64) -> Option<WideGaussian> {
        (0.0..=WIDEST).contains(&sigma).then(|| WideGaussian::reach(sigma))
    }

    fn reach(sigma: f64) -> WideGaussian {
        let first = WideGaussian { sums: FIRST.to_vec(), sigma: FIRST.iter().fold(NARROW, widened) };
        if sigma <= first.sigma {
            return first;
        }
        let mut below = WideGaussian::reach((2.0 * sigma).sqrt());
        let mut a = (sigma / below.sigma / 2f64.sqrt()) as i64;
        while widened(below.sigma, &(a, a - 1)) < sigma {
            a += 1;
        }
        below.sigma = widened(below.sigma, &(a, a - 1));
        below.sums.push((a, a - 1));
        below
    }

    /// The standard deviation.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// Independent samples, wiped on drop; each magnitude is below 128 times the width.
    ///
    /// # Errors
    /// [`Error::Entropy`].
    pub fn sample(&self, n: usize) -> Result<Zeroizing<Vec<i64>>, Error> {
        Ok(self.draw(&mut Prng::from_entropy()?, n))
    }

    pub(super) fn draw(&self, rng: &mut Prng, n: usize) -> Zeroizing<Vec<i64>> {
        Zeroizing::new((0..n).map(|_| self.draw_one(rng)).collect())
    }

    fn draw_one(&self, rng: &mut Prng) -> i64 {
        let mut terms = rng.gaussian(1 << self.sums.len());
        let mut n_terms = terms.len();
        for (a, b) in &self.sums {
            n_terms /= 2;
            for i in 0..n_terms {
                terms[i] = a * terms[2 * i] + b * terms[2 * i + 1];
            }
        }
        terms[0]
    }
}

/// Width of ax + by.
fn widened(sigma: f64, &(a, b): &(i64, i64)) -> f64 {
    sigma * (a as f64).hypot(b as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smoothing parameter for ε = 2^-60 as a standard deviation, by
    /// Micciancio and Regev, "Worst-case to average-case reductions based on
    /// Gaussian measures" (2007), lemma 3.3.
    fn smoothing() -> f64 {
        use std::f64::consts::PI;
        ((2.0 * (1.0 + 60f64.exp2())).ln() / PI / (2.0 * PI)).sqrt()
    }

    #[test]
    fn every_sum_is_of_terms_that_are_wide_enough() {
        let gcd = |a: i64, b: i64| (1..=b).rev().find(|d| a % d == 0 && b % d == 0).unwrap();
        for log in 0..=112 {
            let wide = WideGaussian::at_least(f64::from(log).exp2().sqrt()).unwrap();
            let mut sigma = NARROW;
            for &(a, b) in &wide.sums {
                assert!(sigma >= 2f64.sqrt() * a as f64 * smoothing(), "{a} of {sigma}");
                assert!(a - b == 1 || gcd(a, b) == 1);
                sigma = widened(sigma, &(a, b));
            }
            assert_eq!(sigma, wide.sigma());
            assert!(wide.sums.len() <= 9);
        }
    }

    #[test]
    fn widths_are_reached_closely() {
        for log in 0..560 {
            let sigma = (f64::from(log) / 10.0).exp2();
            let excess = WideGaussian::at_least(sigma).unwrap().sigma() / sigma;
            assert!(excess >= 1.0);
            assert!(excess <= if log >= 160 { 1.01 } else { 50.7 }, "{sigma} by {excess}");
        }
    }

    #[test]
    fn samples_fit_a_word() {
        let wide = WideGaussian::at_least(WIDEST).unwrap();
        let largest = wide.sums.iter().fold(29.0, |max, &(a, b)| max * (a + b) as f64);
        assert!(largest < (1u64 << 63) as f64 && largest < 128.0 * wide.sigma(), "{largest:e}");
    }

    #[test]
    fn impossible_widths_are_refused() {
        for sigma in [-1.0, f64::NAN, f64::INFINITY, 2.0 * WIDEST] {
            assert_eq!(WideGaussian::at_least(sigma), None, "{sigma}");
        }
    }
}
