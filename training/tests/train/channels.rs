//! Pruning of whole channels.

use crate::nets::{recipe, vectors};
use crate::prune::{learnt, pruned, pruning};
use hecc_model::Model;
use hecc_train::prune::{Checkpoint, Count, Event, Plan, Planner, Pruning, blocks, prune};
use hecc_train::{Flow, TrainError, Trainee};

/// Columns of the first layer cost one for every weight, in a narrower model a factor more.
struct ByWidth {
    factor: f64,
}

/// Channels are worth removing.
const CHEAP: ByWidth = ByWidth { factor: 1.0 };

/// The features that the first layer computes.
fn width(model: &Model) -> usize {
    model.layers[1].shape.0[0]
}

impl Planner for ByWidth {
    fn plan(&self, model: &Model) -> Plan {
        let groups = blocks(model, "first", &[16, 1]).unwrap();
        Plan { pricing: Box::new(Count::of(&groups)), groups }
    }

    fn cost_of(&self, model: &Model) -> Option<f64> {
        let weights = model.layers[1].kind.weights().unwrap();
        let n_left = weights.iter().filter(|weight| **weight != 0.0).count();
        Some(n_left as f64 * if width(model) < 16 { self.factor } else { 1.0 })
    }
}

/// A trained network half of whose features tell nothing.
fn half_idle() -> Trainee {
    let mut model = learnt(1).model();
    let (weights, _) = model.layers[3].kind.weights_and_bias_mut().unwrap();
    weights.iter_mut().step_by(2).for_each(|weight| *weight *= 1e-6);
    Trainee::new(model)
}

#[test]
fn channels_go_where_groups_would_cost_accuracy() {
    let mut trainee = half_idle();
    let (kept, _) = pruned(&mut trainee, &CHEAP, &pruning(0.125, 1));
    let (kept, model) = (kept.unwrap(), trainee.model());
    assert_eq!(width(&model), 8);
    assert_eq!((kept.cost, kept.sparsity, &kept.widths[..]), (0.125, 0.875, &[8][..]));
    assert!(kept.accuracy > 0.9, "{kept:?}");
    assert_eq!(model.check(), Ok(()));
    assert_eq!(trainee.accuracy(&vectors(200, 2)), Ok(kept.accuracy));
}

#[test]
fn channels_stay_where_that_saves_nothing() {
    let mut trainee = learnt(1);
    let (kept, _) = pruned(&mut trainee, &ByWidth { factor: 2.5 }, &pruning(0.9, 1));
    assert_eq!(width(&trainee.model()), 16);
    assert!(kept.unwrap().cost <= 0.9);
}

/// The model pruned in so many steps, and all checkpoints on the way.
fn pruned_from(n_steps: usize, from: Option<&Checkpoint>) -> (Result<Model, TrainError>, Vec<Checkpoint>) {
    let (mut trainee, mut checkpoints) = (half_idle(), Vec::new());
    let mut watch = |event| {
        if let Event::Checkpoint(checkpoint) = event {
            checkpoints.push(checkpoint);
        }
        Flow::Continue
    };
    let pruning = Pruning { last: recipe(1), ..pruning(0.125, n_steps) };
    let samples = [&vectors(160, 1), &vectors(200, 2)];
    let outcome = prune(&mut trainee, &CHEAP, samples, &pruning, from, &mut watch);
    (outcome.map(|_| trainee.model()), checkpoints)
}

#[test]
fn pruning_goes_on_from_every_checkpoint() {
    for n_steps in [1, 3] {
        let (whole, checkpoints) = pruned_from(n_steps, None);
        let whole = whole.unwrap();
        assert_eq!(checkpoints.len(), n_steps);
        assert!(width(&whole) < 16);
        for checkpoint in &checkpoints {
            let (model, _) = pruned_from(n_steps, Some(checkpoint));
            assert_eq!(model.as_ref(), Ok(&whole), "{:?}", checkpoint.steps());
        }
    }
}

#[test]
fn checkpoints_of_other_prunings_are_refused() {
    let (_, checkpoints) = pruned_from(3, None);
    let mut other = serde_json::to_value(&checkpoints[1]).unwrap();
    other["model"]["layers"].as_array_mut().unwrap().pop();
    let mut disordered = serde_json::to_value(&checkpoints[1]).unwrap();
    disordered["steps"].as_array_mut().unwrap().reverse();
    for broken in [other, disordered] {
        let broken: Checkpoint = serde_json::from_value(broken).unwrap();
        assert!(matches!(pruned_from(3, Some(&broken)).0, Err(TrainError::Checkpoint(_))));
    }
    let outcome = pruned_from(1, checkpoints.last()).0;
    assert!(matches!(outcome, Err(TrainError::Checkpoint(_))), "more steps than asked for: {outcome:?}");
}
