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
use crate::fit::{Flow, Progress, Recipe, go_on};
use crate::samples::Samples;
use crate::trainee::Trainee;
use channels::Narrowing;
use hecc_model::{Layer, LayerId, LayerKind, Model};
use score::Scores;
use serde::{Deserialize, Serialize};
use state::{OVERSHOOT, State};
use std::mem::discriminant;

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
    /// Training of what is kept at the end.
    pub last: Recipe,
}

/// State after one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// It is looked for what can go.
    Planning,
    /// Training goes on.
    Training(Progress),
    /// The pruning can go on from here another time.
    Checkpoint(Checkpoint),
}

/// A pruning between two steps. It may come from outside: whoever goes on from it checks that
/// it fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    steps: Vec<Step>,
    model: Model,
}

impl Checkpoint {
    /// The steps that are over.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The model after them.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The state after them, in a pruning of a trainee.
    fn kept(&self, trainee: &Trainee, pruning: &Pruning) -> Result<Kept, TrainError> {
        let is_narrower = |(layer, original): (&Layer, &Layer)| {
            let what = |layer: &Layer| (layer.name.clone(), layer.inputs.clone(), layer.shape.0.len());
            what(layer) == what(original) && discriminant(&layer.kind) == discriminant(&original.kind)
        };
        let (model, original) = (&self.model, &trainee.model);
        let is_same = model.layers.len() == original.layers.len()
            && model.output == original.output
            && model.layers.iter().zip(&original.layers).all(is_narrower)
            && [model.input().0, model.output].map(|id| &model.layer(id).shape)
                == [original.input().0, original.output].map(|id| &original.layer(id).shape);
        if !is_same || model.check().is_err() {
            return Err(TrainError::Checkpoint("it is of another network"));
        }
        let in_order = self.steps.iter().map(|step| step.step).eq(1..=self.steps.len());
        match self.steps.last() {
            Some(step) if in_order && self.steps.len() <= pruning.steps => {
                Ok(Kept { trainee: trainee.with_model(model.clone()), step: Some(step.clone()) })
            }
            Some(_) | None => Err(TrainError::Checkpoint("its steps are not in order")),
        }
    }
}

/// Samples that tell what channels are worth.
const N_LOSS: usize = 512;
/// Accuracy that a narrower network may lack: it has fewer weights to train, which tells later.
const MARGIN: f64 = 1e-3;
/// Losses that differ by less are equal.
const LEAST_LOSS: f64 = 1e-6;
/// Distance between the seeds of attempts.
const RETRY_SEED: u64 = 1 << 32;

/// Prunes until the target or the least accuracy is reached, from a checkpoint of the same
/// pruning if there is one; returns the state kept.
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
    from: Option<&Checkpoint>,
    watch: &mut dyn FnMut(Event) -> Flow,
) -> Result<Option<Step>, TrainError> {
    pruning.check()?;
    samples.into_iter().try_for_each(|samples| samples.fit(&trainee.model))?;
    let start = State::new(trainee, checked_plan(planner, &trainee.model())?).pricing.cost();
    if start.is_nan() || start <= 0.0 {
        return Err(TrainError::Setting { what: "the cost of all groups", value: start });
    }
    let teacher = trainee.clone();
    let narrows = planner.cost_of(&trainee.model()).is_some();
    let work = Work { planner, teacher: &teacher, samples, pruning, start, narrows };
    let mut kept = match from {
        Some(from) => from.kept(trainee, pruning)?,
        None => Kept { trainee: trainee.clone(), step: None },
    };
    let mut steps = from.map_or_else(Vec::new, |from| from.steps.clone());
    let done = work.run(&mut kept, &mut steps, watch).and_then(|flow| match flow {
        Flow::Continue => work.finish(&mut kept, watch),
        Flow::Stop => Ok(()),
    });
    *trainee = kept.trainee;
    done.map(|()| kept.step)
}

/// The last state that is accurate enough.
struct Kept {
    trainee: Trainee,
    step: Option<Step>,
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
    /// Whether channels may go.
    narrows: bool,
}

/// One way to take a step.
struct Attempt {
    trainee: Trainee,
    state: State,
    accuracy: f64,
}

impl Work<'_> {
    /// Takes all steps, as long as they keep the accuracy; says whether to go on after them.
    fn run(
        &self,
        kept: &mut Kept,
        steps: &mut Vec<Step>,
        watch: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<Flow, TrainError> {
        for step in steps.len() + 1..=self.pruning.steps {
            let (trainee, now) = self.step(&kept.trainee, step, watch)?;
            let flow = watch(Event::Step(now.clone()));
            if now.accuracy < self.pruning.min_accuracy {
                return Ok(flow);
            }
            steps.push(now.clone());
            *kept = Kept { trainee, step: Some(now) };
            go_on(watch(Event::Checkpoint(Checkpoint {
                steps: steps.clone(),
                model: kept.trainee.model(),
            })))?;
            if flow == Flow::Stop {
                return Ok(flow);
            }
        }
        Ok(Flow::Continue)
    }

    /// Trains what is kept once more, where that does it good.
    fn finish(&self, kept: &mut Kept, watch: &mut dyn FnMut(Event) -> Flow) -> Result<(), TrainError> {
        let (Some(step), true) = (&mut kept.step, self.pruning.last.epochs > 0) else { return Ok(()) };
        let mut trainee = kept.trainee.clone();
        State::new(&trainee, checked_plan(self.planner, &trainee.model())?).mask(&mut trainee);
        let accuracy = self.train(&mut trainee, &self.pruning.last, watch)?;
        if accuracy >= step.accuracy {
            (step.accuracy, kept.trainee) = (accuracy, trainee);
        }
        Ok(())
    }

    /// Removes what one step is to remove, and trains. What channels are worth shows only
    /// afterwards, so both are tried: groups alone, and channels for half of the way before them.
    fn step(
        &self,
        trainee: &Trainee,
        step: usize,
        watch: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<(Trainee, Step), TrainError> {
        let done = self.pruning.schedule.done(step, self.pruning.steps);
        let target = self.start * (1.0 - done * (1.0 - self.pruning.target));
        let mut best = self.attempt(trainee.clone(), target, watch)?;
        go_on(watch(Event::Planning))?;
        if let Some(narrower) = self.narrower(trainee, target)? {
            match self.attempt(narrower, target, watch) {
                Ok(other) if other.accuracy >= best.accuracy - MARGIN => best = other,
                Ok(_) | Err(TrainError::Diverged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Attempt { mut trainee, state, mut accuracy } = best;
        for attempt in 1..=self.pruning.retries {
            if accuracy < self.pruning.min_accuracy {
                let between = &self.pruning.between;
                let seed = between.seed.wrapping_add(attempt as u64 * RETRY_SEED);
                accuracy = self.train(&mut trainee, &Recipe { seed, ..between.clone() }, watch)?;
            }
        }
        self.drop_useless(&mut trainee);
        let widths = trainee.model.widths().iter().map(|width| width.n_units).collect();
        let now = Step {
            step,
            n_steps: self.pruning.steps,
            cost: state.pricing.cost() / self.start,
            sparsity: state.sparsity(&self.teacher.model),
            widths,
            accuracy,
        };
        Ok((trainee, now))
    }

    /// Removes groups and trains.
    fn attempt(
        &self,
        mut trainee: Trainee,
        target: f64,
        watch: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<Attempt, TrainError> {
        go_on(watch(Event::Planning))?;
        let state = self.remove_groups(&mut trainee, target)?;
        let accuracy = self.train(&mut trainee, &self.pruning.between, watch)?;
        Ok(Attempt { trainee, state, accuracy })
    }

    /// Removes groups down to a cost.
    fn remove_groups(&self, trainee: &mut Trainee, target: f64) -> Result<State, TrainError> {
        let mut state = State::new(trainee, checked_plan(self.planner, &trainee.model())?);
        state.remove_down_to(target, &self.scores(trainee)?);
        state.mask(trainee);
        Ok(state)
    }

    /// Removes channels that nothing reads, or that do not depend on the input.
    fn drop_useless(&self, trainee: &mut Trainee) {
        if self.narrows {
            *trainee = trainee.with_model(trainee.model().narrowed());
        }
    }

    /// The network without channels, half of the way down to a cost; nothing where none can go.
    fn narrower(&self, trainee: &Trainee, target: f64) -> Result<Option<Trainee>, TrainError> {
        let Some(mut cost) = self.planner.cost_of(&trainee.model()) else { return Ok(None) };
        let goal = (cost + target) / 2.0;
        let mut narrower = None;
        while cost > goal {
            let next = self.narrower_by_one(narrower.as_ref().unwrap_or(trainee), cost, target)?;
            let Some((next, after)) = next else { break };
            (narrower, cost) = (Some(next), after);
        }
        Ok(narrower)
    }

    /// The network, which costs so much, without those channels of one width that save most for
    /// their loss, and what it costs then.
    fn narrower_by_one(
        &self,
        trainee: &Trainee,
        cost: f64,
        target: f64,
    ) -> Result<Option<(Trainee, f64)>, TrainError> {
        let costs = (target * (1.0 - OVERSHOOT), cost);
        let scores = self.scores(trainee)?;
        let narrowings = channels::narrowings(&trainee.model(), self.planner, &scores, costs);
        let before = self.loss(trainee)?;
        let mut best: Option<(f64, Trainee, f64)> = None;
        for Narrowing { model, cost: after } in narrowings {
            let narrower = trainee.with_model(model);
            let loss = self.loss(&narrower)?;
            if !loss.is_finite() {
                continue;
            }
            let worth = (cost - after) / (loss - before).max(LEAST_LOSS);
            if best.as_ref().is_none_or(|(most, ..)| worth > *most) {
                best = Some((worth, narrower, after));
            }
        }
        Ok(best.map(|(_, narrower, after)| (narrower, after)))
    }

    fn scores(&self, trainee: &Trainee) -> Result<Scores, TrainError> {
        self.pruning.score.of(trainee, self.samples[0], self.pruning.between.seed)
    }

    /// Mean loss on some of the samples.
    fn loss(&self, trainee: &Trainee) -> Result<f64, TrainError> {
        let n = N_LOSS.min(self.samples[0].len());
        trainee.loss(&self.samples[0].select(&(0..n).collect::<Vec<usize>>()))
    }

    /// Trains; returns the accuracy.
    fn train(
        &self,
        trainee: &mut Trainee,
        recipe: &Recipe,
        watch: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<f64, TrainError> {
        let [train, validation] = self.samples;
        let mut watch = |progress| watch(Event::Training(progress));
        trainee.fit(train, recipe, Some(self.teacher), &mut watch)?;
        trainee.accuracy(validation)
    }
}
