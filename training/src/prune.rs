//! Iterative pruning of groups of weights.
//!
//! A group is a set of weights that are worth removing together; groups may overlap. What
//! the groups that are left cost is for the caller to say. In every step
//! those go that save most for the loss they are expected to cause, and the network is
//! trained on with what is left, from the full learning rate again.

use crate::TrainError;
use crate::fit::{Flow, Progress, Recipe};
use crate::samples::Samples;
use crate::trainee::{Role, Trainee, floats, tensor};
use hecc_model::{LayerId, LayerKind, Model};
use std::collections::BTreeMap;

/// Weights of one layer that become zero together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The layer.
    pub layer: LayerId,
    /// Positions in its weights, row-major.
    pub weights: Vec<u32>,
}

/// What groups cost.
pub trait Pricing {
    /// Cost of a network with these groups left, in any unit.
    fn cost(&self, is_left: &[bool]) -> f64;

    /// Sets of groups that may be worth more together than one by one.
    fn bundles(&self, is_left: &[bool]) -> Vec<Vec<usize>>;
}

/// Every group costs as many as it has weights.
pub struct ByCount(Vec<usize>);

impl ByCount {
    /// For some groups.
    pub fn of(groups: &[Group]) -> ByCount {
        ByCount(groups.iter().map(|group| group.weights.len()).collect())
    }
}

impl Pricing for ByCount {
    fn cost(&self, is_left: &[bool]) -> f64 {
        let left = self.0.iter().zip(is_left).filter(|(_, is_left)| **is_left);
        left.map(|(n, _)| *n).sum::<usize>() as f64
    }

    fn bundles(&self, is_left: &[bool]) -> Vec<Vec<usize>> {
        singles(is_left)
    }
}

/// Each group that is left by itself.
pub fn singles(is_left: &[bool]) -> Vec<Vec<usize>> {
    (0..is_left.len()).filter(|&group| is_left[group]).map(|group| vec![group]).collect()
}

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

/// Samples that scores are taken from, by batch.
const SCORE_BATCHES: usize = 64;
const SCORE_BATCH: usize = 32;
/// Distance between the seeds of attempts.
const RETRY_SEED: u64 = 1 << 32;
/// How far below the cost that is asked for a step may end, as a share of it.
const OVERSHOOT: f64 = 0.1;
/// Share of a step's reduction after which savings are looked at anew.
const ROUND: f64 = 0.2;

/// Prunes until the target or the least accuracy is reached; returns the state kept.
/// Every layer keeps a group.
/// Weights that are zero in layers with groups stay zero.
///
/// # Errors
/// As [`Trainee::fit`], and when a setting makes no sense or a group is none of the
/// model's. The trainee is then in the last state that kept the accuracy.
pub fn prune(
    trainee: &mut Trainee,
    groups: &[Group],
    pricing: &dyn Pricing,
    samples: [&Samples; 2],
    pruning: &Pruning,
    watch: &mut dyn FnMut(Event) -> Flow,
) -> Result<Option<Step>, TrainError> {
    pruning.check()?;
    samples.into_iter().try_for_each(|samples| samples.fit(&trainee.model))?;
    check_groups(&trainee.model, groups)?;
    let teacher = trainee.clone();
    let mut state = State::new(trainee, groups, pricing);
    let start = pricing.cost(&state.is_left);
    if start.is_nan() || start <= 0.0 {
        return Err(TrainError::Setting { what: "the cost of all groups", value: start });
    }
    let (mut kept, mut reached) = (trainee.clone(), None);
    for step in 1..=pruning.steps {
        let now = state.step(trainee, &teacher, samples, pruning, (step, start), watch);
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

/// Whether all groups name weights that there are.
fn check_groups(model: &Model, groups: &[Group]) -> Result<(), TrainError> {
    let n_weights = |layer: LayerId| {
        let kind = model.layers.get(layer.0).map(|layer| &layer.kind);
        kind.and_then(LayerKind::weights).map_or(0, <[f64]>::len)
    };
    let is_foreign = |group: &Group| {
        let n_weights = n_weights(group.layer);
        n_weights == 0 || group.weights.iter().any(|&weight| weight as usize >= n_weights)
    };
    match groups.iter().position(is_foreign) {
        Some(group) => {
            let layer = model.layers.get(groups[group].layer.0).map(|layer| layer.name.clone());
            Err(TrainError::Group { group, layer: layer.unwrap_or_default() })
        }
        None => Ok(()),
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

/// Which weights and groups are left.
struct State<'a> {
    groups: &'a [Group],
    pricing: &'a dyn Pricing,
    is_left: Vec<bool>,
    /// Of each layer that has groups, of each weight.
    alive: BTreeMap<LayerId, Vec<bool>>,
    scores: BTreeMap<LayerId, Vec<f64>>,
}

impl<'a> State<'a> {
    /// Weights that are zero already are not left.
    fn new(trainee: &Trainee, groups: &'a [Group], pricing: &'a dyn Pricing) -> State<'a> {
        let kernels = trainee.weights.iter().filter(|weight| weight.role == Role::Kernel);
        let has_groups = |layer: LayerId| groups.iter().any(|group| group.layer == layer);
        let alive = kernels
            .filter(|weight| has_groups(weight.layer))
            .map(|weight| (weight.layer, floats(&weight.values).iter().map(|x| *x != 0.0).collect()));
        let mut state = State {
            groups,
            pricing,
            is_left: vec![true; groups.len()],
            alive: alive.collect(),
            scores: BTreeMap::new(),
        };
        state.update();
        state
    }

    /// Removes groups down to the cost of one step, of so much at the start, and trains.
    fn step(
        &mut self,
        trainee: &mut Trainee,
        teacher: &Trainee,
        [train, validation]: [&Samples; 2],
        pruning: &Pruning,
        (step, start): (usize, f64),
        watch: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<Step, TrainError> {
        let n_steps = pruning.steps;
        let share = 1.0 - pruning.schedule.done(step, n_steps) * (1.0 - pruning.target);
        self.score(trainee, train, pruning)?;
        self.remove_down_to(start * share);
        self.mask(trainee);
        let recipe = if step == n_steps { &pruning.last } else { &pruning.between };
        let mut accuracy = 0.0;
        for attempt in 0..=pruning.retries {
            let recipe =
                Recipe { seed: recipe.seed.wrapping_add(attempt as u64 * RETRY_SEED), ..recipe.clone() };
            let mut watch = |progress| watch(Event::Training(progress));
            trainee.fit(train, &recipe, Some(teacher), &mut watch)?;
            accuracy = trainee.accuracy(validation)?;
            if accuracy >= pruning.min_accuracy {
                break;
            }
        }
        let cost = self.pricing.cost(&self.is_left) / start;
        Ok(Step { step, n_steps, cost, sparsity: self.sparsity(), accuracy })
    }

    /// A group is left while one of its weights is.
    fn update(&mut self) {
        for (is_left, group) in self.is_left.iter_mut().zip(self.groups) {
            let alive = &self.alive[&group.layer];
            *is_left = group.weights.iter().any(|&weight| alive[weight as usize]);
        }
    }

    fn sparsity(&self) -> f64 {
        let n: usize = self.alive.values().map(Vec::len).sum();
        let n_zero = self.alive.values().flatten().filter(|alive| !**alive).count();
        n_zero as f64 / n.max(1) as f64
    }

    fn score(&mut self, trainee: &Trainee, samples: &Samples, pruning: &Pruning) -> Result<(), TrainError> {
        let mut scores: Vec<Vec<f64>> = match pruning.score {
            Score::Magnitude => trainee.weights.iter().map(|w| squares(&floats(&w.values))).collect(),
            Score::Taylor => taylor(trainee, samples, pruning.between.seed)?,
            Score::Random => {
                let mut rng = fastrand::Rng::with_seed(pruning.between.seed);
                let random = |n: usize, rng: &mut fastrand::Rng| (0..n).map(|_| rng.f64()).collect();
                trainee.weights.iter().map(|w| random(w.values.dims()[0], &mut rng)).collect()
            }
        };
        let kernels = trainee.weights.iter().zip(&mut scores).filter(|(w, _)| w.role == Role::Kernel);
        self.scores = kernels.map(|(weight, scores)| (weight.layer, std::mem::take(scores))).collect();
        Ok(())
    }

    /// Loss to expect without some groups.
    fn loss(&self, bundle: &[usize]) -> f64 {
        let weights = bundle.iter().flat_map(|&group| {
            let Group { layer, weights } = &self.groups[group];
            weights.iter().map(move |&weight| (*layer, weight as usize))
        });
        let alive = weights.filter(|(layer, weight)| self.alive[layer][*weight]);
        // Groups of a bundle may overlap.
        let mut seen: Vec<(LayerId, usize)> = alive.collect();
        seen.sort_unstable();
        seen.dedup();
        seen.into_iter().map(|(layer, weight)| self.scores[&layer][weight]).sum()
    }

    fn remove(&mut self, bundle: &[usize]) {
        for &group in bundle {
            let Group { layer, weights } = &self.groups[group];
            let alive = self.alive.get_mut(layer).expect("layers of groups have weights");
            weights.iter().for_each(|&weight| alive[weight as usize] = false);
        }
        self.update();
    }

    /// Removes what saves most for its loss, in rounds. Scores add up the better the less
    /// is removed at once, so nothing goes that saves more than is asked for while
    /// something else does.
    fn remove_down_to(&mut self, target: f64) {
        loop {
            let cost = self.pricing.cost(&self.is_left);
            if cost <= target {
                return;
            }
            let goal = (cost - (cost - target) * ROUND).max(target);
            let ranked = self.ranked(cost);
            if !self.remove_some(&ranked, goal, target) && !self.remove_smallest(&ranked, target) {
                return;
            }
        }
    }

    /// Removes bundles in order until the cost is down to `goal`, none that brings it below
    /// `floor`; false when there was none to remove.
    fn remove_some(&mut self, ranked: &[Vec<usize>], goal: f64, floor: f64) -> bool {
        let mut is_news = false;
        for bundle in ranked {
            if self.pricing.cost(&self.without(bundle)) < floor || self.empties_a_layer(bundle) {
                continue;
            }
            self.remove(bundle);
            is_news = true;
            if self.pricing.cost(&self.is_left) <= goal {
                break;
            }
        }
        is_news
    }

    /// Removes what saves least, and of that what ranks first, where all saves more than is
    /// asked for; false when there is nothing, or all of it saves far too much.
    fn remove_smallest(&mut self, ranked: &[Vec<usize>], target: f64) -> bool {
        let removable = ranked.iter().filter(|bundle| !self.empties_a_layer(bundle));
        let priced = removable.rev().map(|bundle| (self.pricing.cost(&self.without(bundle)), bundle));
        let smallest = priced.max_by(|a, b| a.0.total_cmp(&b.0));
        let close = smallest.filter(|(cost, _)| *cost >= target * (1.0 - OVERSHOOT));
        close.map(|(_, bundle)| bundle.clone()).inspect(|bundle| self.remove(bundle)).is_some()
    }

    fn without(&self, bundle: &[usize]) -> Vec<bool> {
        let mut without = self.is_left.clone();
        bundle.iter().for_each(|&group| without[group] = false);
        without
    }

    /// True when no group of some layer would be left: what passes through it would be
    /// lost, whatever the scores say.
    fn empties_a_layer(&self, bundle: &[usize]) -> bool {
        let mut n_left: BTreeMap<LayerId, usize> = BTreeMap::new();
        let left = self.groups.iter().zip(&self.is_left).filter(|(_, is_left)| **is_left);
        left.for_each(|(group, _)| *n_left.entry(group.layer).or_default() += 1);
        for &group in bundle.iter().filter(|&&group| self.is_left[group]) {
            *n_left.entry(self.groups[group].layer).or_default() -= 1;
        }
        n_left.values().any(|n| *n == 0)
    }

    /// Bundles that save anything, those first that save most for their loss.
    fn ranked(&self, cost: f64) -> Vec<Vec<usize>> {
        let bundles = self.pricing.bundles(&self.is_left).into_iter();
        let mut ranked: Vec<(f64, Vec<usize>)> = bundles
            .filter_map(|bundle| {
                let saving = cost - self.pricing.cost(&self.without(&bundle));
                (saving > 0.0).then(|| (saving / self.loss(&bundle).max(f64::MIN_POSITIVE), bundle))
            })
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        ranked.into_iter().map(|(_, bundle)| bundle).collect()
    }

    /// Makes the weights that are not left zero, for good.
    fn mask(&self, trainee: &mut Trainee) {
        let device = trainee.device.clone();
        for weight in trainee.weights.iter_mut().filter(|weight| weight.role == Role::Kernel) {
            let Some(alive) = self.alive.get(&weight.layer) else { continue };
            let mask = tensor(alive.iter().map(|alive| f32::from(u8::from(*alive))).collect(), &device);
            weight.values = weight.values.clone() * mask.clone();
            weight.mask = Some(mask);
        }
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
    for batch in order.chunks(SCORE_BATCH).take(SCORE_BATCHES) {
        let leaves = trainee.leaves();
        let (_, gradients) = trainee.gradients(&leaves, &samples.select(batch), 0.0, None)?;
        for ((weight, leaf), scores) in trainee.weights.iter().zip(&leaves).zip(&mut scores) {
            let Some(gradient) = leaf.grad(&gradients) else { continue };
            let change = floats(&(gradient * weight.values.clone()));
            scores.iter_mut().zip(change).for_each(|(sum, x)| *sum += f64::from(x).powi(2));
        }
    }
    Ok(scores)
}

/// Why weights cannot be divided into blocks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// No layer of that name.
    #[error("there is no layer `{0}`")]
    UnknownLayer(String),
    /// The layer has no weights.
    #[error("layer `{0}` has no weights")]
    NoWeights(String),
    /// The block has another number of axes than the weights.
    #[error("the weights of `{layer}` have shape {shape:?}, the block has {found} extents")]
    Rank {
        /// The layer.
        layer: String,
        /// Shape of its weights.
        shape: Vec<usize>,
        /// Extents of the block.
        found: usize,
    },
    /// An extent of zero.
    #[error("a block of layer `{0}` has an extent of zero")]
    Empty(String),
}

/// Divides the weights of a layer into blocks of a shape, `[out, in, rows, columns]` for
/// convolutions and `[out, in]` for dense layers. Blocks at the ends are smaller where
/// the shape does not divide that of the weights.
///
/// # Errors
/// When there is no such layer or the block does not fit it.
pub fn blocks(model: &Model, layer: &str, block: &[usize]) -> Result<Vec<Group>, BlockError> {
    let found = model.layers.iter().position(|known| known.name == layer);
    let id = LayerId(found.ok_or_else(|| BlockError::UnknownLayer(layer.to_owned()))?);
    let shape = model.layer(id).weight_shape().ok_or_else(|| BlockError::NoWeights(layer.to_owned()))?;
    if shape.len() != block.len() {
        return Err(BlockError::Rank { layer: layer.to_owned(), shape, found: block.len() });
    }
    if block.contains(&0) {
        return Err(BlockError::Empty(layer.to_owned()));
    }
    let mut groups: BTreeMap<Vec<usize>, Vec<u32>> = BTreeMap::new();
    for weight in 0..shape.iter().product::<usize>() {
        let mut rest = weight;
        let mut place = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            place[axis] = rest % shape[axis] / block[axis];
            rest /= shape[axis];
        }
        groups.entry(place).or_default().push(weight as u32);
    }
    Ok(groups.into_values().map(|weights| Group { layer: id, weights }).collect())
}
