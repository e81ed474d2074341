//! Labelled samples in memory.

use crate::TrainError;
use hecc_model::{Model, Shape};

/// Labelled samples of equal shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Shape of one sample.
    pub shape: Shape,
    /// All samples one after the other, row-major.
    pub elements: Vec<f32>,
    /// Class of each sample.
    pub labels: Vec<usize>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Elements of one sample.
    pub fn n_elements(&self) -> usize {
        self.shape.n_elements()
    }

    /// Samples that have all of their elements.
    fn n_whole(&self) -> usize {
        self.elements.len() / self.n_elements().max(1)
    }

    /// One sample.
    pub fn sample(&self, index: usize) -> &[f32] {
        &self.elements[index * self.n_elements()..][..self.n_elements()]
    }

    /// The samples of some indices, in their order.
    pub fn select(&self, indices: &[usize]) -> Samples {
        Samples {
            shape: self.shape.clone(),
            elements: indices.iter().flat_map(|&index| self.sample(index)).copied().collect(),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
        }
    }

    /// Two parts at random: `share` (0 to 1) of the samples, at least one if there is any,
    /// is the second.
    pub fn split(&self, share: f64, seed: u64) -> (Samples, Samples) {
        let mut order: Vec<usize> = (0..self.len()).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut order);
        let n_second = ((self.len() as f64 * share).round() as usize).max(1).min(self.len());
        let (second, first) = order.split_at_mut(n_second);
        [&mut *second, &mut *first].into_iter().for_each(|part| part.sort_unstable());
        (self.select(first), self.select(second))
    }

    /// Whether there are samples, inputs of a model with outputs of it as labels.
    ///
    /// # Errors
    /// [`TrainError::TooFew`], [`TrainError::Shape`] or [`TrainError::Label`].
    pub fn fit(&self, model: &Model) -> Result<(), TrainError> {
        if self.is_empty() || self.elements.len() != self.n_elements() * self.len() {
            return Err(TrainError::TooFew { needed: self.len().max(1), found: self.n_whole() });
        }
        let (input, _) = model.input();
        let expected = &model.layer(input).shape;
        if expected.check(&self.shape).is_err() {
            return Err(TrainError::Shape { expected: expected.clone(), found: self.shape.clone() });
        }
        let n_classes = model.layer(model.output).shape.n_elements();
        match self.labels.iter().position(|&label| label >= n_classes) {
            Some(sample) => Err(TrainError::Label { sample, label: self.labels[sample], n_classes }),
            None => Ok(()),
        }
    }
}
