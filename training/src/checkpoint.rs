//! Checkpoints: what a training is at the end of an epoch, as plain data.
//!
//! A checkpoint holds the weights, which of them stay zero, and the momentum of the
//! optimiser. The order of samples and the learning rate follow from the number of the
//! epoch, so a training that goes on from a checkpoint ends with the same weights, bit for
//! bit, as one that was never stopped.

use crate::TrainError;
use crate::adam::Momentum;
use crate::trainee::{Trainee, Weight, floats, tensor};
use burn_tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// A training between two epochs. It may come from outside: whoever goes on from it checks
/// that it fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Epochs that are over.
    pub(crate) epoch: usize,
    /// By the trainee's tensors, in their order.
    weights: Vec<Numbers>,
}

/// One tensor of weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Numbers {
    values: Vec<f32>,
    /// Which of them are trained; none for all.
    is_trained: Option<Vec<bool>>,
    /// None before the first step.
    momentum: Option<Momentum>,
}

impl Checkpoint {
    /// Epochs of the training that are over.
    pub fn epoch(&self) -> usize {
        self.epoch
    }
}

impl Trainee {
    /// The trainee after so many epochs.
    pub(crate) fn checkpoint(&self, epoch: usize) -> Checkpoint {
        Checkpoint { epoch, weights: self.weights.iter().map(Numbers::of).collect() }
    }

    /// Becomes what it was at a checkpoint.
    ///
    /// # Errors
    /// When the checkpoint is none of this network. The trainee is then as it was.
    pub(crate) fn restore(&mut self, from: &Checkpoint) -> Result<(), TrainError> {
        if from.weights.len() != self.weights.len() {
            return Err(TrainError::Checkpoint("it has weights of other layers"));
        }
        let pairs = self.weights.iter().zip(&from.weights);
        let restored: Result<Vec<Weight>, TrainError> =
            pairs.map(|(weight, numbers)| numbers.restored(weight, &self.device)).collect();
        self.weights = restored?;
        Ok(())
    }
}

impl Numbers {
    fn of(weight: &Weight) -> Numbers {
        let is_trained = |mask: &Tensor<1>| floats(mask).iter().map(|x| *x != 0.0).collect();
        Numbers {
            values: floats(&weight.values),
            is_trained: weight.mask.as_ref().map(is_trained),
            momentum: weight.momentum.clone(),
        }
    }

    fn restored(&self, weight: &Weight, device: &Device) -> Result<Weight, TrainError> {
        let n = weight.values.dims()[0];
        let mask = self.is_trained.as_ref().map(|is_trained| {
            let mask: Vec<f32> = is_trained.iter().map(|is| f32::from(u8::from(*is))).collect();
            restored(&mask, n, device)
        });
        Ok(Weight {
            layer: weight.layer,
            role: weight.role,
            values: restored(&self.values, n, device)?,
            mask: mask.transpose()?,
            momentum: self.momentum.as_ref().map(|momentum| momentum.restored(n)).transpose()?,
        })
    }
}

impl Momentum {
    /// The same, if it can be that of `n` numbers.
    fn restored(&self, n: usize) -> Result<Momentum, TrainError> {
        if self.n_steps == 0 || self.second.iter().any(|x| *x < 0.0) {
            return Err(TrainError::Checkpoint("its momentum is impossible"));
        }
        is_sound(&self.first, n)?;
        is_sound(&self.second, n)?;
        Ok(self.clone())
    }
}

/// A tensor of `n` numbers.
fn restored(values: &[f32], n: usize, device: &Device) -> Result<Tensor<1>, TrainError> {
    is_sound(values, n)?;
    Ok(tensor(values.to_vec(), device))
}

/// Whether there are `n` numbers.
fn is_sound(values: &[f32], n: usize) -> Result<(), TrainError> {
    if values.len() != n {
        return Err(TrainError::Checkpoint("a layer has another number of weights"));
    }
    match values.iter().all(|x| x.is_finite()) {
        true => Ok(()),
        false => Err(TrainError::Checkpoint("it holds NaN or an infinite number")),
    }
}
