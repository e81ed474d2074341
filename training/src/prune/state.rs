//! Which weights and groups are left under one plan, and which go next.

use super::Group;
use super::plan::{Plan, Pricing};
use super::score::Scores;
use crate::trainee::{Role, Trainee, floats, tensor};
use hecc_model::{LayerId, Model};
use std::collections::BTreeMap;

/// Share of a step's reduction after which savings are looked at anew.
const ROUND: f64 = 0.2;
/// How far below the cost that is asked for a step may end, as a share of it.
pub(super) const OVERSHOOT: f64 = 0.1;

/// A plan with what is left of it.
pub(super) struct State {
    groups: Vec<Group>,
    pub pricing: Box<dyn Pricing>,
    /// Weights that are left of each group.
    n_alive: Vec<usize>,
    layers: BTreeMap<LayerId, LayerState>,
}

/// A layer that has groups.
struct LayerState {
    alive: Vec<bool>,
    /// Groups that are left.
    n_left: usize,
    /// Groups of weight `w`: `members[starts[w]..starts[w + 1]]`.
    starts: Vec<usize>,
    members: Vec<usize>,
}

/// Groups to remove, what that saves and the loss to expect from it.
struct Removal {
    bundle: Vec<usize>,
    saving: f64,
    loss: f64,
}

impl State {
    /// Weights that are zero already are not left.
    pub fn new(trainee: &Trainee, plan: Plan) -> State {
        let Plan { groups, pricing } = plan;
        let kernels = trainee.weights.iter().filter(|weight| weight.role == Role::Kernel);
        let layers = kernels.filter_map(|weight| {
            let mut of_layer =
                groups.iter().enumerate().filter(|(_, group)| group.layer == weight.layer).peekable();
            of_layer.peek()?;
            let alive = floats(&weight.values).iter().map(|x| *x != 0.0).collect();
            Some((weight.layer, LayerState::new(alive, of_layer)))
        });
        let layers: BTreeMap<LayerId, LayerState> = layers.collect();
        let n_alive = |group: &Group| {
            let alive = &layers[&group.layer].alive;
            group.weights.iter().filter(|&&weight| alive[weight as usize]).count()
        };
        let n_alive: Vec<usize> = groups.iter().map(n_alive).collect();
        let mut state = State { groups, pricing, n_alive, layers };
        for group in (0..state.groups.len()).filter(|&group| state.n_alive[group] == 0).collect::<Vec<_>>() {
            state.forget(group);
        }
        state
    }

    /// Share of the weights that a model has in layers with groups that is not left.
    pub fn sparsity(&self, model: &Model) -> f64 {
        let weights = |layer: &LayerId| model.layer(*layer).kind.weights().map_or(0, <[f64]>::len);
        let n: usize = self.layers.keys().map(weights).sum();
        let n_alive = self.layers.values().flat_map(|layer| &layer.alive).filter(|alive| **alive).count();
        (n - n_alive) as f64 / n.max(1) as f64
    }

    /// Removes what saves most for its loss, in rounds. Scores add up the better the less
    /// is removed at once, so nothing goes that saves more than is asked for while
    /// something else does.
    pub fn remove_down_to(&mut self, target: f64, scores: &Scores) {
        loop {
            let cost = self.pricing.cost();
            if cost <= target {
                return;
            }
            let goal = (cost - (cost - target) * ROUND).max(target);
            let ranked = self.ranked(scores);
            if !self.remove_some(&ranked, goal, target) && !self.remove_smallest(&ranked, target) {
                return;
            }
        }
    }

    /// Bundles that save anything, those first that save most for their loss.
    fn ranked(&mut self, scores: &Scores) -> Vec<Removal> {
        let cost = self.pricing.cost();
        let bundles = self.pricing.bundles().into_iter();
        let mut ranked: Vec<Removal> = bundles
            .filter_map(|bundle| {
                let saving = cost - self.pricing.cost_without(&bundle);
                (saving > 0.0).then(|| Removal { loss: self.loss(&bundle, scores), saving, bundle })
            })
            .collect();
        let worth = |removal: &Removal| removal.saving / removal.loss.max(f64::MIN_POSITIVE);
        ranked.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then_with(|| a.bundle.cmp(&b.bundle)));
        ranked
    }

    /// Makes the weights that are not left zero, for good.
    pub fn mask(&self, trainee: &mut Trainee) {
        let device = trainee.device.clone();
        for weight in trainee.weights.iter_mut().filter(|weight| weight.role == Role::Kernel) {
            let Some(LayerState { alive, .. }) = self.layers.get(&weight.layer) else { continue };
            let mask = tensor(alive.iter().map(|alive| f32::from(u8::from(*alive))).collect(), &device);
            weight.values = weight.values.clone() * mask.clone();
            weight.mask = Some(mask);
        }
    }

    /// Loss to expect without some groups.
    fn loss(&self, bundle: &[usize], scores: &Scores) -> f64 {
        let weights = bundle.iter().flat_map(|&group| {
            let Group { layer, weights } = &self.groups[group];
            weights.iter().map(move |&weight| (*layer, weight as usize))
        });
        let alive = weights.filter(|(layer, weight)| self.layers[layer].alive[*weight]);
        // Groups of a bundle may overlap.
        let mut seen: Vec<(LayerId, usize)> = alive.collect();
        seen.sort_unstable();
        seen.dedup();
        seen.into_iter().map(|(layer, weight)| scores.of(layer)[weight]).sum()
    }

    /// Removes bundles in order until the cost is down to `goal`, none that brings it below
    /// `floor`; false when there was none to remove.
    fn remove_some(&mut self, ranked: &[Removal], goal: f64, floor: f64) -> bool {
        let mut is_news = false;
        for Removal { bundle, .. } in ranked {
            if self.pricing.cost_without(bundle) < floor || self.empties_a_layer(bundle) {
                continue;
            }
            self.remove(bundle);
            is_news = true;
            if self.pricing.cost() <= goal {
                break;
            }
        }
        is_news
    }

    /// Removes what saves least, and of that what ranks first, where all saves more than is
    /// asked for; false when there is nothing, or all of it saves far too much.
    fn remove_smallest(&mut self, ranked: &[Removal], target: f64) -> bool {
        let removable = ranked.iter().filter(|removal| !self.empties_a_layer(&removal.bundle));
        let Some(smallest) = removable.min_by(|a, b| a.saving.total_cmp(&b.saving)) else {
            return false;
        };
        let is_close = self.pricing.cost_without(&smallest.bundle) >= target * (1.0 - OVERSHOOT);
        if is_close {
            self.remove(&smallest.bundle);
        }
        is_close
    }

    fn remove(&mut self, bundle: &[usize]) {
        for &group in bundle {
            let layer = self.groups[group].layer;
            for at in 0..self.groups[group].weights.len() {
                let weight = self.groups[group].weights[at] as usize;
                let state = self.layers.get_mut(&layer).expect("layers of groups have weights");
                if std::mem::replace(&mut state.alive[weight], false) {
                    for of in state.starts[weight]..state.starts[weight + 1] {
                        let member = self.layers[&layer].members[of];
                        self.n_alive[member] -= 1;
                        if self.n_alive[member] == 0 {
                            self.forget(member);
                        }
                    }
                }
            }
        }
    }

    /// No weight of the group is left.
    fn forget(&mut self, group: usize) {
        self.pricing.remove(group);
        let layer = self.groups[group].layer;
        self.layers.get_mut(&layer).expect("layers of groups have weights").n_left -= 1;
    }

    /// True when no group of some layer would be left: what passes through it would be
    /// lost, whatever the scores say.
    fn empties_a_layer(&self, bundle: &[usize]) -> bool {
        let mut n_gone: BTreeMap<LayerId, usize> = BTreeMap::new();
        for &group in bundle.iter().filter(|&&group| self.n_alive[group] > 0) {
            *n_gone.entry(self.groups[group].layer).or_default() += 1;
        }
        n_gone.into_iter().any(|(layer, n)| self.layers[&layer].n_left <= n)
    }
}

impl LayerState {
    fn new<'a>(alive: Vec<bool>, groups: impl Iterator<Item = (usize, &'a Group)>) -> LayerState {
        let groups: Vec<(usize, &Group)> = groups.collect();
        let mut starts = vec![0; alive.len() + 1];
        let weights =
            || groups.iter().flat_map(|(id, group)| group.weights.iter().map(|w| (*w as usize, *id)));
        weights().for_each(|(weight, _)| starts[weight + 1] += 1);
        (1..starts.len()).for_each(|weight| starts[weight] += starts[weight - 1]);
        let (mut next, mut members) = (starts.clone(), vec![0; starts[alive.len()]]);
        for (weight, id) in weights() {
            members[next[weight]] = id;
            next[weight] += 1;
        }
        LayerState { alive, n_left: groups.len(), starts, members }
    }
}
