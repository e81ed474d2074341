//! Convolutions in groups.
//!
//! Where ciphertexts hold one channel of every group (Ran et al. 2023, SpENCNN), a convolution in
//! groups needs no rotations between channels. One convolution after the other is put into as many
//! groups as the caller asks for: channels are permuted so that groups keep the largest
//! weights, the weights between groups go, and the network is trained on with the original as
//! teacher. What does not keep the accuracy is undone, then tried with channels shuffled between groups, then in
//! fewer groups where the caller names them.
//!
//! Grouping can stop after any epoch and go on from a [`Checkpoint`].

mod assign;
mod regroup;

pub use regroup::GroupError;

use crate::TrainError;
use crate::fit::{self, Flow, Progress, Recipe, go_on};
use crate::samples::Samples;
use crate::trainee::Trainee;
use hecc_model::Model;
use serde::{Deserialize, Serialize};

/// What a convolution may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub layer: String,
    /// Numbers of groups, tried in this order until one keeps the accuracy.
    pub groups: Vec<usize>,
}

/// When a convolution in groups that follows another mixes channels of different groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shuffle {
    /// Never.
    Never,
    /// Where a number of groups does not keep the accuracy without, before fewer are tried.
    #[default]
    WhereNeeded,
    /// Always.
    Always,
}

/// How to group.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouping {
    /// The convolutions, in the order in which they are grouped.
    pub choices: Vec<Choice>,
    /// When channels that come out of groups are dealt to the groups of the next
    /// convolution in turn, instead of the same ones staying together.
    pub shuffle: Shuffle,
    /// Share of the validation samples that must stay right.
    pub min_accuracy: f64,
    /// Training of each try.
    pub between: Recipe,
    /// Training at the end.
    pub last: Recipe,
}

/// A convolution that was tried in groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub layer: String,
    /// Its groups.
    pub groups: usize,
    /// Whether channels are shuffled before it.
    pub is_shuffled: bool,
    /// Share of its squared weights that are within groups.
    pub share: f64,
    /// Share of validation samples that are right after training.
    pub accuracy: f64,
    /// Whether that is enough.
    pub is_kept: bool,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A try is over.
    Step(Step),
    /// Training goes on.
    Training(Progress),
    /// The grouping can go on from here another time.
    Checkpoint(Checkpoint),
}

/// A grouping between two epochs. It may come from outside: whoever goes on from it checks
/// that it fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Tries that are over.
    steps: Vec<Step>,
    /// Weights after those that were kept.
    kept: crate::Checkpoint,
    /// The training of what comes next: another try, or the end.
    training: Option<crate::Checkpoint>,
}

impl Checkpoint {
    /// The tries that are over.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// Whether the convolutions are there and can be in so many groups.
///
/// # Errors
/// For the first one that cannot.
pub fn check(model: &Model, choices: &[Choice]) -> Result<(), GroupError> {
    for (at, Choice { layer, groups }) in choices.iter().enumerate() {
        if choices[..at].iter().any(|other| other.layer == *layer) {
            return Err(GroupError::Twice(layer.clone()));
        }
        groups.iter().try_for_each(|&groups| regroup::find(model, layer, groups).map(|_| ()))?;
    }
    Ok(())
}

/// Puts convolutions into groups as long as that keeps the accuracy, from a checkpoint of the same
/// grouping if there is one; returns all tries. Channels may stand in another order then, and where they are
/// shuffled the model has layers more. Weights that were pruned stay zero.
/// The samples are those to train on and those to validate with.
///
/// # Errors
/// As [`Trainee::fit_from`], and when a setting makes no sense or a convolution cannot be
/// grouped so. The trainee is then in the last state that kept the accuracy.
pub fn group(
    trainee: &mut Trainee,
    samples: [&Samples; 2],
    grouping: &Grouping,
    from: Option<&Checkpoint>,
    watch: &mut dyn FnMut(Event) -> Flow,
) -> Result<Vec<Step>, TrainError> {
    grouping.check(&trainee.model)?;
    samples.into_iter().try_for_each(|samples| samples.fit(&trainee.model))?;
    let teacher = trainee.clone();
    let (kept, steps) = match from {
        Some(from) => (grouping.kept(trainee, from)?, from.steps.clone()),
        None => (trainee.clone(), Vec::new()),
    };
    let mut work = Work { teacher: &teacher, samples, grouping, kept, steps, watch };
    let done = work.run(from.and_then(|from| from.training.clone()));
    *trainee = work.kept;
    done.map(|()| work.steps)
}

impl Grouping {
    fn check(&self, model: &Model) -> Result<(), TrainError> {
        check(model, &self.choices)?;
        if !(0.0..=1.0).contains(&self.min_accuracy) {
            return Err(TrainError::Setting { what: "the least accuracy", value: self.min_accuracy });
        }
        [&self.between, &self.last].into_iter().try_for_each(Recipe::check)
    }

    /// What to try after some steps, if anything, on the network that they kept.
    fn next(&self, steps: &[Step], kept: &Trainee) -> Option<Try<'_>> {
        let model = kept.model();
        let is_left = |choice: &&Choice| !steps.iter().any(|step| step.is_kept && step.layer == choice.layer);
        let is_new = |next: &Try| steps.iter().all(|step| step.attempt() != *next);
        self.choices
            .iter()
            .filter(is_left)
            .find_map(|choice| self.tries(choice, &model).into_iter().find(is_new))
    }

    /// All tries of a convolution, in order.
    fn tries<'a>(&self, Choice { layer, groups }: &'a Choice, model: &Model) -> Vec<Try<'a>> {
        let shuffles: &[bool] = match (self.shuffle, regroup::follows_groups(model, layer)) {
            (Shuffle::Never, _) | (_, false) => &[false],
            (Shuffle::WhereNeeded, true) => &[false, true],
            (Shuffle::Always, true) => &[true],
        };
        let tries =
            |&groups: &usize| shuffles.iter().map(move |&is_shuffled| Try { layer, groups, is_shuffled });
        groups.iter().flat_map(tries).collect()
    }

    /// What had been kept of a trainee at a checkpoint.
    fn kept(&self, trainee: &Trainee, from: &Checkpoint) -> Result<Trainee, TrainError> {
        let mut kept = trainee.clone();
        for (at, step) in from.steps.iter().enumerate() {
            let is_next = self.next(&from.steps[..at], &kept) == Some(step.attempt());
            if !is_next || step.is_kept != (step.accuracy >= self.min_accuracy) {
                return Err(TrainError::Checkpoint("its steps are none of this grouping"));
            }
            if step.is_kept {
                (kept, _) = step.attempt().grouped(&kept)?;
            }
        }
        kept.restore(&from.kept)?;
        Ok(kept)
    }
}

/// A convolution, and how it is put into groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Try<'a> {
    layer: &'a str,
    groups: usize,
    is_shuffled: bool,
}

impl Step {
    fn attempt(&self) -> Try<'_> {
        Try { layer: &self.layer, groups: self.groups, is_shuffled: self.is_shuffled }
    }
}

impl Try<'_> {
    /// The network with the convolution in groups, before training, and the share of its weights
    /// that are left.
    fn grouped(self, trainee: &Trainee) -> Result<(Trainee, f64), TrainError> {
        let (model, share) = regroup::regrouped(trainee.model(), self.layer, self.groups, self.is_shuffled)?;
        Ok((trainee.regrouped(model), share))
    }
}

/// A grouping on its way.
struct Work<'a> {
    teacher: &'a Trainee,
    samples: [&'a Samples; 2],
    grouping: &'a Grouping,
    /// The network with all that kept the accuracy.
    kept: Trainee,
    steps: Vec<Step>,
    watch: &'a mut dyn FnMut(Event) -> Flow,
}

impl Work<'_> {
    /// Tries all that is left, then trains what was kept.
    fn run(&mut self, mut training: Option<crate::Checkpoint>) -> Result<(), TrainError> {
        let grouping = self.grouping;
        while let Some(next) = grouping.next(&self.steps, &self.kept) {
            self.step(next, training.take().as_ref())?;
        }
        self.finish(training.as_ref())
    }

    fn step(&mut self, next: Try, from: Option<&crate::Checkpoint>) -> Result<(), TrainError> {
        let (mut trainee, share) = next.grouped(&self.kept)?;
        let accuracy = self.train(&mut trainee, &self.grouping.between, from)?;
        let is_kept = accuracy >= self.grouping.min_accuracy;
        let Try { layer, groups, is_shuffled } = next;
        let step = Step { layer: layer.to_owned(), groups, is_shuffled, share, accuracy, is_kept };
        self.steps.push(step.clone());
        if is_kept {
            self.kept = trainee;
        }
        go_on((self.watch)(Event::Step(step)))?;
        let checkpoint =
            Checkpoint { steps: self.steps.clone(), kept: self.kept.checkpoint(0), training: None };
        go_on((self.watch)(Event::Checkpoint(checkpoint)))
    }

    /// Trains what was kept once more, where that does it good.
    fn finish(&mut self, from: Option<&crate::Checkpoint>) -> Result<(), TrainError> {
        let last = self.steps.iter().rev().find(|step| step.is_kept);
        let Some(before) = last.map(|step| step.accuracy) else { return Ok(()) };
        let mut trainee = self.kept.clone();
        if self.train(&mut trainee, &self.grouping.last, from)? >= before {
            self.kept = trainee;
        }
        Ok(())
    }

    /// Trains with checkpoints; returns the accuracy.
    fn train(
        &mut self,
        trainee: &mut Trainee,
        recipe: &Recipe,
        from: Option<&crate::Checkpoint>,
    ) -> Result<f64, TrainError> {
        let [train, validation] = self.samples;
        let (steps, kept, watch) = (&self.steps, self.kept.checkpoint(0), &mut *self.watch);
        let mut watch = |event| match event {
            fit::Event::Step(now) => watch(Event::Training(now)),
            fit::Event::Epoch(training) => {
                let (steps, kept, training) = (steps.clone(), kept.clone(), Some(training));
                watch(Event::Checkpoint(Checkpoint { steps, kept, training }))
            }
        };
        trainee.fit_from(train, recipe, Some(self.teacher), from, &mut watch)?;
        trainee.forget_momentum();
        trainee.accuracy(validation)
    }
}
