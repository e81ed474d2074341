//! What becomes of maximum pools.

use super::replace::{self, is_plain};
use super::{Checkpoint, Event, Replaced, Replacement, Work};
use crate::TrainError;
use crate::fit::go_on;
use crate::trainee::Trainee;
use hecc_model::{LayerId, LayerKind};
use serde::{Deserialize, Serialize};

/// What becomes of maximum pools. Those with padding become means in any case, since a
/// convolution cannot divide by the number of elements that a window has at the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pool {
    /// The mean of their windows.
    #[default]
    Mean,
    /// A convolution of every channel over the same windows, which starts as their mean
    /// and is trained.
    Convolution,
    /// Either, all alike: both are trained, and the convolutions stay if they are right on
    /// more of the samples held back, by more than [`MARGIN`].
    Best,
}

/// Share of the samples held back by which convolutions have to be better than means to be
/// taken: means never cost more to compute, and cannot learn the samples by heart.
pub const MARGIN: f64 = 0.0025;

/// Shares of the samples held back that are right after the training of either.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// With means.
    pub mean: f64,
    /// With convolutions.
    pub convolution: f64,
}

impl Comparison {
    fn winner(&self) -> Pool {
        if self.convolution > self.mean + MARGIN { Pool::Convolution } else { Pool::Mean }
    }
}

impl Work<'_> {
    /// Replaces all maximum pools; after a comparison their training is over.
    pub(super) fn prepare_pools(
        &mut self,
        stage: usize,
        pools: &[LayerId],
    ) -> Result<Option<crate::Checkpoint>, TrainError> {
        let has_choice = pools.iter().any(|id| by(self.trainee, *id, Pool::Best) != Replacement::Mean);
        if self.conversion.pool == Pool::Best && has_choice {
            return self.compare_pools(stage, pools).map(Some);
        }
        self.replace_pools(pools, self.conversion.pool)?;
        Ok(None)
    }

    fn replace_pools(&mut self, pools: &[LayerId], pool: Pool) -> Result<(), TrainError> {
        pools.iter().try_for_each(|id| self.replace(replaced(self.trainee, *id, pool)))
    }

    /// Takes what is more accurate, with its training.
    fn compare_pools(&mut self, stage: usize, pools: &[LayerId]) -> Result<crate::Checkpoint, TrainError> {
        let (with_means, mean) = self.try_pools(pools, Pool::Mean)?;
        let (with_convolutions, convolution) = self.try_pools(pools, Pool::Convolution)?;
        let comparison = Comparison { mean, convolution };
        let winner = comparison.winner();
        self.compared(comparison)?;
        self.replace_pools(pools, winner)?;
        *self.trainee = if winner == Pool::Mean { with_means } else { with_convolutions };
        let training = self.trainee.checkpoint(self.conversion.between.epochs);
        let (comparison, replaced) = (self.comparison.clone(), self.replaced.clone());
        let checkpoint = Checkpoint { comparison, replaced, stage, training: training.clone() };
        go_on((self.watch)(Event::Checkpoint(checkpoint)))?;
        Ok(training)
    }

    /// A copy of the trainee with its pools replaced and trained, and its accuracy.
    fn try_pools(&mut self, pools: &[LayerId], pool: Pool) -> Result<(Trainee, f64), TrainError> {
        let mut trainee = self.trainee.clone();
        for id in pools {
            let replaced = replaced(&trainee, *id, pool);
            replace::replace(&mut trainee, &replaced)?;
        }
        let (recipe, watch) = (&self.conversion.between, &mut *self.watch);
        trainee.fit(self.samples, recipe, Some(self.teacher), &mut |now| watch(Event::Training(now)))?;
        let accuracy = trainee.accuracy(self.held_back)?;
        Ok((trainee, accuracy))
    }

    pub(super) fn compared(&mut self, comparison: Comparison) -> Result<(), TrainError> {
        self.comparison = Some(comparison.clone());
        go_on((self.watch)(Event::Compared(comparison)))
    }
}

fn replaced(trainee: &Trainee, id: LayerId, pool: Pool) -> Replaced {
    Replaced { layer: trainee.model.layer(id).name.clone(), by: by(trainee, id, pool) }
}

fn by(trainee: &Trainee, id: LayerId, pool: Pool) -> Replacement {
    let is_whole = matches!(&trainee.model.layer(id).kind, LayerKind::MaxPool(max) if is_plain(max));
    match pool {
        Pool::Convolution | Pool::Best if is_whole => Replacement::Convolution,
        Pool::Mean | Pool::Convolution | Pool::Best => Replacement::Mean,
    }
}
