//! How important weights are.

use crate::TrainError;
use crate::samples::Samples;
use crate::trainee::{Role, Trainee, floats};
use hecc_model::{LayerId, Model, Width};
use std::collections::BTreeMap;

/// How important weights are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Score {
    /// The square of the weight.
    Magnitude,
    /// The square of what the loss would change by to first order, mean over batches.
    #[default]
    Taylor,
    /// Nothing: groups go at random.
    Random,
}

/// Of each layer with weights, of each weight.
pub(crate) struct Scores(BTreeMap<LayerId, Vec<f64>>);

impl Scores {
    /// Those of a layer's weights.
    pub fn of(&self, layer: LayerId) -> &[f64] {
        &self.0[&layer]
    }

    /// The units of a group of a width, those of least score first. A unit has the scores of the weights
    /// that read it.
    pub fn order(&self, model: &Model, width: &Width, group: usize) -> Vec<usize> {
        let score = |unit: usize| -> f64 {
            let reading = model.weights_reading(width, unit).into_iter();
            reading
                .flat_map(|(layer, weights)| weights.into_iter().map(move |w| self.0[&layer][w as usize]))
                .sum()
        };
        let mut order: Vec<(f64, usize)> = width.group(group).map(|unit| (score(unit), unit)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        order.into_iter().map(|(_, unit)| unit).collect()
    }
}

/// Samples that scores are taken from, by batch.
const BATCHES: usize = 64;
const BATCH: usize = 32;

impl Score {
    /// Scores of all weights of a network.
    pub(crate) fn of(self, trainee: &Trainee, samples: &Samples, seed: u64) -> Result<Scores, TrainError> {
        let mut scores: Vec<Vec<f64>> = match self {
            Score::Magnitude => trainee.weights.iter().map(|w| squares(&floats(&w.values))).collect(),
            Score::Taylor => taylor(trainee, samples, seed)?,
            Score::Random => {
                let mut rng = fastrand::Rng::with_seed(seed);
                let random = |n: usize, rng: &mut fastrand::Rng| (0..n).map(|_| rng.f64()).collect();
                trainee.weights.iter().map(|w| random(w.values.dims()[0], &mut rng)).collect()
            }
        };
        let kernels = trainee.weights.iter().zip(&mut scores).filter(|(w, _)| w.role == Role::Kernel);
        Ok(Scores(kernels.map(|(weight, scores)| (weight.layer, std::mem::take(scores))).collect()))
    }
}

fn squares(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x).powi(2)).collect()
}

/// Mean over batches of the squared product of weight and gradient, of every tensor.
fn taylor(trainee: &Trainee, samples: &Samples, seed: u64) -> Result<Vec<Vec<f64>>, TrainError> {
    let mut order: Vec<usize> = (0..samples.len()).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut order);
    let mut scores: Vec<Vec<f64>> =
        trainee.weights.iter().map(|weight| vec![0.0; weight.values.dims()[0]]).collect();
    for batch in order.chunks(BATCH).take(BATCHES) {
        let leaves = trainee.leaves();
        let gradients = trainee.gradients(&leaves, &samples.select(batch), 0.0, None)?.gradients;
        for ((weight, leaf), scores) in trainee.weights.iter().zip(&leaves).zip(&mut scores) {
            let Some(gradient) = leaf.grad(&gradients) else { continue };
            let change = floats(&(gradient * weight.values.clone()));
            scores.iter_mut().zip(change).for_each(|(sum, x)| *sum += f64::from(x).powi(2));
        }
    }
    Ok(scores)
}
