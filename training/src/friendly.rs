//! Conversion of a trained network into one with an encrypted form.
//!
//! Maximum pools become mean pools or convolutions, then activations become polynomials one
//! after the other, each fitted to its function over the values that occur. After every
//! replacement the network is trained on, with the original as teacher, and is held
//! within the range that the polynomials were fitted for.
//!
//! A conversion is a list of stages, each of which replaces something and trains. It can
//! stop after any epoch and go on from a [`Checkpoint`].

mod polynomial;
mod pools;
mod replace;

pub use pools::{Comparison, MARGIN, Pool};

use crate::TrainError;
use crate::fit::{self, Flow, Progress, Recipe, go_on};
use crate::samples::Samples;
use crate::trainee::Trainee;
use hecc_model::LayerId;
use serde::{Deserialize, Serialize};

/// How to convert.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// Degree of the polynomials.
    pub degree: usize,
    /// What becomes of maximum pools.
    pub pool: Pool,
    /// Training after each replacement.
    pub between: Recipe,
    /// Training at the end.
    pub last: Recipe,
}

impl Default for Conversion {
    fn default() -> Conversion {
        let between = Recipe { epochs: 1, distillation: 0.5, ..Recipe::default() };
        let last = Recipe { epochs: 3, ..between.clone() };
        Conversion { degree: 2, pool: Pool::Mean, between, last }
    }
}

/// A layer that was replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replaced {
    /// Its name.
    pub layer: String,
    /// What stands in its place.
    pub by: Replacement,
}

/// What stands in the place of a layer, as it is before training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Replacement {
    /// The mean of the windows of a maximum pool.
    Mean,
    /// A convolution of each channel over the windows of a maximum pool without padding; at
    /// first their mean.
    Convolution,
    /// A polynomial, for an activation.
    Polynomial {
        /// Largest magnitude that it was fitted for.
        range: f64,
        /// Coefficients, constant first.
        coefficients: Vec<f64>,
    },
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It was found out what should become of maximum pools. A conversion that goes on from
    /// a checkpoint first tells of this and of layers replaced before it.
    Compared(Comparison),
    /// A layer was replaced.
    Replaced(Replaced),
    /// Training goes on.
    Training(Progress),
    /// The conversion can go on from here another time.
    Checkpoint(Checkpoint),
}

/// A conversion between two epochs. It may come from outside: whoever goes on from it
/// checks that it fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    comparison: Option<Comparison>,
    /// Layers that were replaced, in order.
    replaced: Vec<Replaced>,
    /// Stages that are over.
    stage: usize,
    /// The training of this stage.
    training: crate::Checkpoint,
}

impl Checkpoint {
    /// Layers that were replaced.
    pub fn replaced(&self) -> &[Replaced] {
        &self.replaced
    }
}

/// Replaces all layers without encrypted form and trains the network to make up for it,
/// from a checkpoint of the same conversion if there is one. The samples are those to train
/// on and those that are held back to compare what pools may become.
///
/// # Errors
/// As [`Trainee::fit_from`], and when the degree is less than 2 or more than
/// [`MAX_DEGREE`]. The trainee is then as it was.
pub fn convert(
    trainee: &mut Trainee,
    samples: [&Samples; 2],
    conversion: &Conversion,
    from: Option<&Checkpoint>,
    watch: &mut dyn FnMut(Event) -> Flow,
) -> Result<(), TrainError> {
    if !(2..=MAX_DEGREE).contains(&conversion.degree) {
        return Err(TrainError::Setting { what: "the degree", value: conversion.degree as f64 });
    }
    samples.into_iter().try_for_each(|samples| samples.fit(&trainee.model))?;
    [&conversion.between, &conversion.last].into_iter().try_for_each(Recipe::check)?;
    let teacher = trainee.clone();
    let stages = stages(trainee);
    let mut work = Work {
        trainee,
        teacher: &teacher,
        samples: samples[0],
        held_back: samples[1],
        conversion,
        comparison: None,
        replaced: Vec::new(),
        watch,
    };
    let converted = work.run(&stages, from);
    if converted.is_err() {
        *trainee = teacher;
    }
    converted
}

/// Largest degree that is fitted.
pub const MAX_DEGREE: usize = 8;
/// Samples that show which values occur.
const N_CALIBRATION: usize = 512;

/// What is replaced before a training.
enum Stage {
    /// All maximum pools.
    Pools(Vec<LayerId>),
    /// An activation.
    Activation(LayerId),
    /// Nothing is left.
    Last,
}

impl Stage {
    fn layers(&self) -> &[LayerId] {
        match self {
            Stage::Pools(pools) => pools,
            Stage::Activation(id) => std::slice::from_ref(id),
            Stage::Last => &[],
        }
    }
}

fn stages(trainee: &Trainee) -> Vec<Stage> {
    let pools = replace::layers(trainee, replace::is_pool);
    let activations = replace::layers(trainee, replace::is_activation);
    let pools = Some(pools).filter(|pools| !pools.is_empty()).map(Stage::Pools);
    let activations = activations.into_iter().map(Stage::Activation);
    pools.into_iter().chain(activations).chain([Stage::Last]).collect()
}

/// A conversion on its way.
struct Work<'a> {
    trainee: &'a mut Trainee,
    teacher: &'a Trainee,
    samples: &'a Samples,
    held_back: &'a Samples,
    conversion: &'a Conversion,
    comparison: Option<Comparison>,
    replaced: Vec<Replaced>,
    watch: &'a mut dyn FnMut(Event) -> Flow,
}

impl Work<'_> {
    fn run(&mut self, stages: &[Stage], from: Option<&Checkpoint>) -> Result<(), TrainError> {
        if let Some(from) = from {
            self.replay(stages, from)?;
        }
        for (number, stage) in stages.iter().enumerate().skip(from.map_or(0, |from| from.stage)) {
            let from = match from.filter(|from| from.stage == number) {
                Some(from) => Some(from.training.clone()),
                None => self.prepare(number, stage)?,
            };
            self.train(number, stage, from.as_ref())?;
        }
        Ok(())
    }

    /// Replaces what had been replaced at a checkpoint: the layers of all stages up to the
    /// one that it is in.
    fn replay(&mut self, stages: &[Stage], from: &Checkpoint) -> Result<(), TrainError> {
        from.comparison.clone().map_or(Ok(()), |comparison| self.compared(comparison))?;
        from.replaced.iter().try_for_each(|replaced| self.replace(replaced.clone()))?;
        let n_begun = from.stage.saturating_add(1);
        let is_friendly = |id: &LayerId| self.trainee.model.layer(*id).kind.is_he_friendly();
        let (begun, left) = stages.split_at_checked(n_begun).unwrap_or_default();
        let is_between = begun.iter().flat_map(Stage::layers).all(is_friendly)
            && !left.iter().flat_map(Stage::layers).any(is_friendly);
        match is_between && !begun.is_empty() {
            true => Ok(()),
            false => Err(TrainError::Checkpoint("it is at no stage of this conversion")),
        }
    }

    /// Replaces what a stage is for; where that took its training, this is over.
    fn prepare(&mut self, number: usize, stage: &Stage) -> Result<Option<crate::Checkpoint>, TrainError> {
        match stage {
            Stage::Pools(pools) => return self.prepare_pools(number, pools),
            Stage::Activation(id) => {
                let (seen, degree) = (self.calibration(), self.conversion.degree);
                self.replace(replace::polynomial(self.trainee, *id, &seen, degree))?;
            }
            Stage::Last => {}
        }
        Ok(None)
    }

    fn calibration(&self) -> Samples {
        let share = (N_CALIBRATION as f64 / self.samples.len() as f64).min(1.0);
        self.samples.split(share, self.conversion.between.seed).1
    }

    fn replace(&mut self, replaced: Replaced) -> Result<(), TrainError> {
        replace::replace(self.trainee, &replaced)?;
        self.replaced.push(replaced.clone());
        go_on((self.watch)(Event::Replaced(replaced)))
    }

    /// The training of a stage.
    fn train(
        &mut self,
        number: usize,
        stage: &Stage,
        from: Option<&crate::Checkpoint>,
    ) -> Result<(), TrainError> {
        let recipe = match stage {
            Stage::Pools(_) | Stage::Activation(_) => &self.conversion.between,
            Stage::Last => &self.conversion.last,
        };
        let (comparison, replaced, watch) = (&self.comparison, &self.replaced, &mut *self.watch);
        let mut watch = |event| match event {
            fit::Event::Step(now) => watch(Event::Training(now)),
            fit::Event::Epoch(training) => {
                let (comparison, replaced) = (comparison.clone(), replaced.clone());
                watch(Event::Checkpoint(Checkpoint { comparison, replaced, stage: number, training }))
            }
        };
        self.trainee.fit_from(self.samples, recipe, Some(self.teacher), from, &mut watch)
    }
}
