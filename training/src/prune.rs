//! Iterative pruning of groups of weights.
//!
//! A group is a set of weights that are worth removing together; groups may overlap. Which
//! groups there are and what those cost that are left is for a [`Planner`] to say. It is asked
//! anew in every step, since what is left may be computed in another way. In every step
//! those groups, or whole channels, go that save most for the loss they are expected to cause,
//! and the network is trained on with what is left, from the full learning rate again.

mod blocks;
mod channels;
mod plan;
mod score;
mod state;

pub use blocks::{BlockError, blocks};
pub use plan::{ByCount, Count, Plan, Planner, Pricing, singles};
pub use score::Score;

use crate::TrainError;
use crate::fit::{Flow, Progress, Recipe};
use crate::samples::Samples;
use crate::trainee::Trainee;
use hecc_model::{LayerId, LayerKind, Model};
use state::{OVERSHOOT, State};

/// Weights of one layer that become zero together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The layer.
    pub layer: LayerId,
    /// Positions in its weights, row-major.
    pub weights: Vec<u32>,
}

/// How fast the cost falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// All at once.
    OneShot,
    /// The same in every step.
    Linear,
    /// Fast at first, when much is superfluous.
    #[default]
    Cubic,
}

impl Schedule {
    /// Share of the whole reduction that is done after `step` of `n` steps.
    fn done(self, step: usize, n: usize) -> f64 {
        let left = 1.0 - step as f64 / n as f64;
        match self {
            Schedule::OneShot => 1.0,
            Schedule::Linear => 1.0 - left,
            Schedule::Cubic => 1.0 - left.powi(3),
        }
    }
}

/// How to prune.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruning {
    /// Cost at the end, as a share of that at the start; as near as groups allow.
    pub target: f64,
    /// Steps to get there.
    pub steps: usize,
    /// How the cost falls.
    pub schedule: Schedule,
    /// How important weights are.
    pub score: Score,
    /// Share of the validation samples that must stay right: the last state at which
    /// they do is the result.
    pub min_accuracy: f64,
    /// Times that a step which falls below that is trained again before it is given up.
    pub retries: usize,
    /// Training after each step.
    pub between: Recipe,
    /// Training after the last one.
    pub last: Recipe,
}

/// State after one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Number of the step, from 1.
    pub step: usize,
    /// Steps in all.
    pub n_steps: usize,
    /// Cost as a share of that at the start.
    pub cost: f64,
    /// Share of the weights of all layers with groups that are zero.
    pub sparsity: f64,
    /// Units of each of the network's widths, where channels may go.
    pub widths: Vec<usize>,
    /// Share of validation samples that are right.
    pub accuracy: f64,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step is over.
    Step(Step),
    /// Training goes on.
    Training(Progress),
}

/// Distance between the seeds of attempts.
const RETRY_SEED: u64 = 1 << 32;

/// Prunes until the target or the least accuracy is reached; returns the state kept.
/// Every layer keeps a group. Weights that are zero in layers with groups stay zero, and where
/// the planner prices models with fewer channels the trainee loses useless ones.
///
/// # Errors
/// As [`Trainee::fit`], and when a setting makes no sense or a group is none of the
/// model's. The trainee is then in the last state that kept the accuracy.
pub fn prune(
    trainee: &mut Trainee,
    planner: &dyn Planner,
    samples: [&Samples; 2],
    pruning: &Pruning,
    watch: &mut dyn FnMut(Event) -> Flow,
) -> Result<Option<Step>, TrainError> {
    pruning.check()?;
    samples.into_iter().try_for_each(|samples| samples.fit(&trainee.model))?;
    let start = checked_plan(planner, &trainee.model())?.pricing.cost();
    if start.is_nan() || start <= 0.0 {
        return Err(TrainError::Setting { what: "the cost of all groups", value: start });
    }
    let teacher = trainee.clone();
    let work = Work { planner, teacher: &teacher, samples, pruning, start };
    let (mut kept, mut reached) = (trainee.clone(), None);
    for step in 1..=pruning.steps {
        let now = work.step(trainee, step, watch);
        let now = match now {
            Ok(now) => now,
            Err(error) => {
                *trainee = kept;
                return Err(error);
            }
        };
        let flow = watch(Event::Step(now.clone()));
        if now.accuracy < pruning.min_accuracy {
            break;
        }
        (kept, reached) = (trainee.clone(), Some(now));
        if flow == Flow::Stop {
            break;
        }
    }
    *trainee = kept;
    Ok(reached)
}

/// A plan whose groups name weights that there are.
fn checked_plan(planner: &dyn Planner, model: &Model) -> Result<Plan, TrainError> {
    let plan = planner.plan(model);
    let n_weights = |layer: LayerId| {
        let kind = model.layers.get(layer.0).map(|layer| &layer.kind);
        kind.and_then(LayerKind::weights).map_or(0, <[f64]>::len)
    };
    let is_foreign = |group: &Group| {
        let n_weights = n_weights(group.layer);
        n_weights == 0 || group.weights.iter().any(|&weight| weight as usize >= n_weights)
    };
    match plan.groups.iter().position(is_foreign) {
        Some(group) => {
            let layer = model.layers.get(plan.groups[group].layer.0).map(|layer| layer.name.clone());
            Err(TrainError::Group { group, layer: layer.unwrap_or_default() })
        }
        None => Ok(plan),
    }
}

impl Pruning {
    fn check(&self) -> Result<(), TrainError> {
        let settings = [
            ("the target", self.target, (0.0..1.0).contains(&self.target)),
            ("the number of steps", self.steps as f64, self.steps > 0),
            ("the least accuracy", self.min_accuracy, (0.0..=1.0).contains(&self.min_accuracy)),
        ];
        if let Some((what, value, _)) = settings.into_iter().find(|(_, _, is_sound)| !is_sound) {
            return Err(TrainError::Setting { what, value });
        }
        [&self.between, &self.last].into_iter().try_for_each(Recipe::check)
    }
}

/// What all steps have in common.
struct Work<'a> {
    planner: &'a dyn Planner,
    /// The network at the start.
    teacher: &'a Trainee,
    /// To train on, to validate with.
    samples: [&'a Samples; 2],
    pruning: &'a Pruning,
    /// Cost at the start.
    start: f64,
}

impl Work<'_> {
    /// Removes what one step is to remove, and trains.
    fn step(
        &self,
        trainee: &mut Trainee,
        step: usize,
        watch: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<Step, TrainError> {
        let n_steps = self.pruning.steps;
        let done = self.pruning.schedule.done(step, n_steps);
        let target = self.start * (1.0 - done * (1.0 - self.pruning.target));
        let mut state = self.narrow(trainee, target)?;
        state.remove_down_to(target);
        state.mask(trainee);
        let accuracy = self.train(trainee, step, watch)?;
        let cost = state.pricing.cost() / self.start;
        let sparsity = state.sparsity(&self.teacher.model);
        let widths = trainee.model.widths().iter().map(|width| width.n_units).collect();
        Ok(Step { step, n_steps, cost, sparsity, widths, accuracy })
    }

    /// Removes channels while that is better than removing groups, and then says what groups
    /// there are.
    fn narrow(&self, trainee: &mut Trainee, target: f64) -> Result<State, TrainError> {
        loop {
            let model = trainee.model();
            let plan = checked_plan(self.planner, &model)?;
            let scores = self.pruning.score.of(trainee, self.samples[0], self.pruning.between.seed)?;
            let mut state = State::new(trainee, plan, scores);
            let cost = state.pricing.cost();
            if cost <= target {
                return Ok(state);
            }
            let costs = (cost, target * (1.0 - OVERSHOOT));
            let ranked = state.ranked();
            match channels::narrower(&model, self.planner, &state.scores, costs, &ranked) {
                Some(narrower) => {
                    let limits = std::mem::take(&mut trainee.limits);
                    *trainee = Trainee { limits, ..Trainee::new(narrower) };
                }
                None => return Ok(state),
            }
        }
    }

    /// Trains until the network is accurate enough or has been given all attempts; returns
    /// the accuracy.
    fn train(
        &self,
        trainee: &mut Trainee,
        step: usize,
        watch: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<f64, TrainError> {
        let Pruning { between, last, .. } = self.pruning;
        let recipe = if step == self.pruning.steps { last } else { between };
        let [train, validation] = self.samples;
        let mut accuracy = 0.0;
        for attempt in 0..=self.pruning.retries {
            let seed = recipe.seed.wrapping_add(attempt as u64 * RETRY_SEED);
            let recipe = Recipe { seed, ..recipe.clone() };
            let mut watch = |progress| watch(Event::Training(progress));
            trainee.fit(train, &recipe, Some(self.teacher), &mut watch)?;
            accuracy = trainee.accuracy(validation)?;
            if accuracy >= self.pruning.min_accuracy {
                break;
            }
        }
        Ok(accuracy)
    }
}
