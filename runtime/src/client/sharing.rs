//! Decrypted values made fit to be shared.
//!
//! The error of an exact decryption depends on the secret key, so that shared
//! results can give the key away (Li and Micciancio, "On the security of
//! homomorphic encryption on approximate numbers", 2021). [`Sharing::Flood`]
//! hides the error under noise, with a proof; [`Sharing::Round`] cuts it off,
//! which usually hides it.
//!
//! What is added depends on a bound of the error that the caller answers for.
//! Security holds for results of the agreed program on inputs for which that
//! bound is true, and against nobody who can make a client decrypt anything else.

use crate::Error;
use hecc_ckks::WideGaussian;
use zeroize::{Zeroize, Zeroizing};

/// How the error in decrypted values is hidden.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sharing {
    /// Adds Gaussian noise of standard deviation
    /// `sqrt(12 · releases · n) · 2^(bits/2) · error` to each of the n elements.
    ///
    /// This is the Gaussian mechanism of Li, Micciancio, Schultz and Sorrell,
    /// "Securing approximate homomorphic encryption using differential privacy"
    /// (2022), which gives `bits` of statistical security in their sense: what is
    /// shared in all releases together is within `2^(-bits/2) / 6.9` in
    /// statistical distance of values that never knew the key.
    Flood {
        /// Bound of the error of every element, as an absolute value.
        error: f64,
        /// Statistical security.
        bits: u32,
        /// Results that will be shared under one key; the same one again counts again.
        releases: u64,
    },
    /// Rounds to multiples of a power of two that is `2^bits · error` or more.
    ///
    /// An element within `error` of the middle between two multiples still
    /// tells which side its error put it on: up to one in `2^(bits-1)` does.
    /// There is no proof.
    Round {
        /// Bound of the error of every element, as an absolute value.
        error: f64,
        /// How much coarser than the error the multiples are.
        bits: u32,
    },
}

/// Values that may be shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// One row-major tensor for each output.
    pub tensors: Vec<Vec<f64>>,
    /// What it cost.
    pub loss: Loss,
}

/// Precision given up by sharing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// All shared values are multiples of this.
    pub step: f64,
    /// Standard deviation of the noise in each; zero when rounded.
    pub noise_std: f64,
}

impl Loss {
    /// The error that most shared values have at most, besides that of the exact ones: half a step and some standard deviations.
    pub fn error(&self) -> f64 {
        self.step / 2.0 + N_DEVIATIONS * self.noise_std
    }
}

/// Noise is this many standard deviations or less in all but one of several hundred values.
const N_DEVIATIONS: f64 = 3.0;

/// Steps of flooded values are this much finer than the error, so that rounding
/// to them costs next to nothing.
const FINER_BITS: i32 = 10;

impl Sharing {
    /// What sharing `n_elements` values at once will cost.
    ///
    /// # Errors
    /// [`Error::Sharing`] when the error is no positive number, a count is
    /// zero, or so much is asked for that nothing of the values would be left.
    pub fn loss(&self, n_elements: usize) -> Result<Loss, Error> {
        Ok(self.grid(n_elements)?.loss())
    }

    /// The bound of the error that it hides, as it was given.
    pub(crate) fn error(&self) -> f64 {
        match *self {
            Sharing::Flood { error, .. } | Sharing::Round { error, .. } => error,
        }
    }

    /// Hides the errors of tensors, in place.
    pub(crate) fn apply(&self, mut tensors: Zeroizing<Vec<Vec<f64>>>) -> Result<Shared, Error> {
        let grid = self.grid(tensors.iter().map(Vec::len).sum())?;
        tensors.iter_mut().try_for_each(|tensor| grid.apply(tensor))?;
        Ok(Shared { tensors: std::mem::take(&mut *tensors), loss: grid.loss() })
    }

    fn grid(&self, n_elements: usize) -> Result<Grid, Error> {
        match *self {
            Sharing::Flood { error, bits, releases } => flood(error, bits, releases, n_elements),
            Sharing::Round { error, bits } => round(error, bits),
        }
    }
}

fn flood(error: f64, bits: u32, releases: u64, n_elements: usize) -> Result<Grid, Error> {
    check(error, bits)?;
    if releases == 0 {
        return Err(Error::Sharing("the number of releases must be one or more"));
    }
    let step = power_of_two(error.log2().floor() - f64::from(FINER_BITS))?;
    // Rounding may move two values apart by one step more.
    let distance = (error / step + 1.0) * (n_elements.max(1) as f64).sqrt();
    let sigma = (12.0 * releases as f64).sqrt() * (f64::from(bits) / 2.0).exp2() * distance;
    let noise = WideGaussian::at_least(sigma).ok_or(Error::Sharing(
        "the noise would leave nothing of the values: ask for fewer bits or releases",
    ))?;
    Ok(Grid { step, noise: Some(noise) })
}

fn round(error: f64, bits: u32) -> Result<Grid, Error> {
    check(error, bits)?;
    let step = power_of_two((error.log2() + f64::from(bits)).ceil())?;
    Ok(Grid { step, noise: None })
}

fn check(error: f64, bits: u32) -> Result<(), Error> {
    match (error.is_finite() && error > 0.0, bits > 0) {
        (false, _) => Err(Error::Sharing("the error must be a positive number")),
        (true, false) => Err(Error::Sharing("the number of bits must be one or more")),
        (true, true) => Ok(()),
    }
}

/// Quotients by it, and products with it, are exact.
fn power_of_two(log2: f64) -> Result<f64, Error> {
    let step = log2.exp2();
    match step.is_normal() && step.recip().is_normal() {
        true => Ok(step),
        false => Err(Error::Sharing("the error is too large or too small a number")),
    }
}

/// Multiples of a step, and the noise in steps.
struct Grid {
    step: f64,
    noise: Option<WideGaussian>,
}

impl Grid {
    fn loss(&self) -> Loss {
        let noise_std = self.noise.as_ref().map_or(0.0, |noise| noise.sigma() * self.step);
        Loss { step: self.step, noise_std }
    }

    /// Integers from here on: floating-point noise would have gaps that depend
    /// on the value (Mironov, "On significance of the least significant bits for
    /// differential privacy", 2012).
    fn apply(&self, values: &mut [f64]) -> Result<(), Error> {
        let mut noise = match &self.noise {
            Some(gaussian) => gaussian.sample(values.len())?,
            None => Zeroizing::new(vec![0; values.len()]),
        };
        // No branch for one value: whether one of them is too large tells little, and is told anyway.
        let fits = values.iter().fold(true, |all, value| all & ((value / self.step).abs() < MOST_STEPS));
        if !fits {
            noise.zeroize();
            return Err(Error::Sharing(
                "a value is too large to be shared in steps so small: state a larger error",
            ));
        }
        for (value, noise) in values.iter_mut().zip(noise.iter()) {
            *value = nearest(*value / self.step).saturating_add(*noise) as f64 * self.step;
        }
        noise.zeroize();
        Ok(())
    }
}

/// Values may be as many steps: with noise on them they are still integers that a word holds.
const MOST_STEPS: f64 = (1u64 << 62) as f64;

/// The nearest integer, without branches; the last one for values beyond it.
fn nearest(x: f64) -> i64 {
    (x + 0.5f64.copysign(x)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: Sharing = Sharing::Flood { error: 1e-6, bits: 30, releases: 1000 };

    fn shared(sharing: Sharing, values: Vec<f64>) -> Shared {
        sharing.apply(Zeroizing::new(vec![values])).unwrap()
    }

    #[test]
    fn values_too_large_for_the_steps_are_refused() {
        let round = Sharing::Round { error: 1e-15, bits: 1 };
        for sharing in [round, Sharing::Flood { error: 1e-18, bits: 30, releases: 1 }] {
            let shared = |value: f64| sharing.apply(Zeroizing::new(vec![vec![value, 1e-9]]));
            assert!(shared(1e-6).is_ok());
            assert!([1e6, -1e6, f64::NAN].into_iter().all(|value| shared(value).is_err()));
        }
    }

    #[test]
    fn loss_covers_what_is_added() {
        for sharing in [FLOOD, Sharing::Round { error: 1e-6, bits: 10 }] {
            let Shared { tensors, loss } = shared(sharing, vec![0.75; 10_000]);
            let n_beyond = tensors[0].iter().filter(|value| (*value - 0.75).abs() > loss.error()).count();
            assert!(n_beyond < 60, "{sharing:?}: {n_beyond}");
        }
        assert_eq!(Loss { step: 0.5, noise_std: 2.0 }.error(), 6.25);
    }

    #[test]
    fn noise_has_the_stated_width() {
        let expected = (12.0 * 1000.0 * 10.0f64).sqrt() * 15f64.exp2() * 1e-6;
        let loss = FLOOD.loss(10).unwrap();
        assert!((1.0..1.02).contains(&(loss.noise_std / expected)), "{loss:?}");
        assert!(loss.step < 1e-9);
    }

    /// Against the normal distribution in bins of a fifth of the width. With this
    /// many bins and samples, chi-square beyond 80 has probability 10^-6.
    #[test]
    fn noise_is_gaussian_around_the_value() {
        let n = 100_000;
        let Shared { tensors, loss } = shared(FLOOD, vec![0.75; n]);
        let mut counts = [0.0; 30];
        for value in &tensors[0] {
            let bin = ((value - 0.75) / loss.noise_std * 5.0).floor() + 15.0;
            counts[bin.clamp(0.0, 29.0) as usize] += 1.0;
        }
        let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let mass = |from: f64, to: f64| {
            let middle = |i: u32| from + (to - from) * (f64::from(i) + 0.5) / 1000.0;
            (0..1000).map(|i| density(middle(i))).sum::<f64>() * (to - from) / 1000.0
        };
        let bounds = |bin: usize| match bin {
            0 => (-12.0, -2.8),
            29 => (2.8, 12.0),
            bin => ((bin as f64 - 15.0) / 5.0, (bin as f64 - 14.0) / 5.0),
        };
        let expected = |bin: usize| n as f64 * mass(bounds(bin).0, bounds(bin).1);
        let statistic: f64 = (0..30).map(|bin| (counts[bin] - expected(bin)).powi(2) / expected(bin)).sum();
        assert!(statistic < 80.0, "{statistic}");
    }

    #[test]
    fn shared_values_are_multiples_of_the_step() {
        for sharing in [FLOOD, Sharing::Round { error: 1e-6, bits: 10 }] {
            let Shared { tensors, loss } = shared(sharing, vec![0.1, -7.3, 0.0, 1e6]);
            assert!(tensors[0].iter().all(|value| (value / loss.step).fract() == 0.0));
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_and_hides_what_is_finer() {
        let sharing = Sharing::Round { error: 1e-6, bits: 10 };
        let step = sharing.loss(4).unwrap().step;
        assert!((1.0..=2.0).contains(&(step / (1024.0 * 1e-6))));
        let exact = [0.3, -0.3, 12.0, 0.0];
        let around = |error: f64| shared(sharing, exact.iter().map(|x| x + error).collect()).tensors;
        assert_eq!(around(1e-6), around(-1e-6));
        assert!(around(0.0)[0].iter().zip(exact).all(|(x, y)| (x - y).abs() <= step / 2.0));
    }

    #[test]
    fn nearest_integers_round_halves_away_and_saturate() {
        let cases =
            [(0.0, 0), (0.49, 0), (0.5, 1), (-0.5, -1), (-2.4, -2), (1e300, i64::MAX), (-1e300, i64::MIN)];
        for (x, expected) in cases {
            assert_eq!(nearest(x), expected, "{x}");
        }
    }

    #[test]
    fn senseless_wishes_are_refused() {
        let flood = |error, bits, releases| Sharing::Flood { error, bits, releases }.loss(10);
        for error in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-320] {
            assert!(flood(error, 30, 1).is_err(), "{error}");
            assert!(Sharing::Round { error, bits: 10 }.loss(10).is_err(), "{error}");
        }
        assert!(flood(1e-6, 0, 1).is_err());
        assert!(flood(1e-6, 30, 0).is_err());
        assert!(flood(1e-6, 100, 1).is_err());
        assert!(flood(1e-6, u32::MAX, u64::MAX).is_err());
        assert!(Sharing::Round { error: 1.0, bits: u32::MAX }.loss(10).is_err());
        assert!(flood(1e-6, 60, 1 << 20).is_ok());
    }
}
