//! Adam (Kingma, Ba 2015), in place.
//!
//! One pass over the numbers, where operations on tensors would make a new tensor each: for
//! layers of many millions of weights those take longer than the gradients.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How slowly the mean of gradients, and that of their squares, change.
const DECAY: [f64; 2] = [0.9, 0.999];
/// Keeps steps bounded where gradients vanish.
const EPSILON: f64 = 1e-5;
/// Numbers that one thread takes at once.
const PIECE: usize = 1 << 14;

/// What is remembered of earlier gradients of some numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Momentum {
    pub n_steps: u32,
    /// Mean of the gradients.
    pub first: Vec<f32>,
    /// Mean of their squares.
    pub second: Vec<f32>,
}

impl Momentum {
    /// Of `n` numbers before the first step.
    pub fn new(n: usize) -> Momentum {
        Momentum { n_steps: 0, first: vec![0.0; n], second: vec![0.0; n] }
    }

    /// Moves all numbers a step against their gradients.
    pub fn step(&mut self, values: &mut [f32], gradients: &[f32], rate: f64) {
        self.n_steps = self.n_steps.saturating_add(1);
        let n_steps = i32::try_from(self.n_steps).unwrap_or(i32::MAX);
        let [first, second] = DECAY.map(|decay| 1.0 - decay.powi(n_steps));
        let factor = (rate * second.sqrt() / first) as f32;
        let epsilon = (EPSILON * second.sqrt()) as f32;
        let pieces = values.par_chunks_mut(PIECE).zip(gradients.par_chunks(PIECE));
        let means = self.first.par_chunks_mut(PIECE).zip(self.second.par_chunks_mut(PIECE));
        pieces.zip(means).for_each(|((values, gradients), (first, second))| {
            let means = first.iter_mut().zip(second);
            for ((value, gradient), (first, second)) in values.iter_mut().zip(gradients).zip(means) {
                *first = mean(*first, *gradient, DECAY[0]);
                *second = mean(*second, gradient * gradient, DECAY[1]);
                *value -= factor * *first / (second.sqrt() + epsilon);
            }
        });
    }
}

fn mean(before: f32, now: f32, decay: f64) -> f32 {
    before * decay as f32 + now * (1.0 - decay) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first steps, by hand: both means are those of one gradient, whatever its size.
    #[test]
    fn the_first_step_is_the_rate() {
        let mut momentum = Momentum::new(3);
        let mut values = [1.0, 1.0, 1.0];
        momentum.step(&mut values, &[0.5, -20.0, 0.0], 0.01);
        let expected = [0.99, 1.01, 1.0];
        assert!(values.iter().zip(expected).all(|(found, x)| (found - x).abs() < 1e-6), "{values:?}");
        assert_eq!(momentum.n_steps, 1);
    }

    /// Two steps of 0.1 against gradients 1 and 3.
    #[test]
    fn later_steps_follow_the_means() {
        let mut momentum = Momentum::new(1);
        let mut values = [0.0];
        momentum.step(&mut values, &[1.0], 0.1);
        momentum.step(&mut values, &[3.0], 0.1);
        let first = (0.9 * 0.1 + 0.1 * 3.0) / (1.0 - 0.81);
        let second: f64 = (0.999 * 0.001 + 0.001 * 9.0) / (1.0 - 0.999 * 0.999);
        let expected = -0.1 - 0.1 * first / second.sqrt();
        assert!((f64::from(values[0]) - expected).abs() < 1e-5, "{} for {expected}", values[0]);
    }

    #[test]
    fn a_minimum_is_found_by_all_numbers() {
        let n = 3 * PIECE + 5;
        let mut values = vec![1.0f32; n];
        let mut momentum = Momentum::new(n);
        for _ in 0..200 {
            let gradients: Vec<f32> = values.iter().map(|x| 2.0 * (x - 0.25)).collect();
            momentum.step(&mut values, &gradients, 0.02);
        }
        assert!(values.iter().all(|x| (x - 0.25).abs() < 0.02));
    }
}
