//! Pruning of whole channels.

use crate::nets::vectors;
use crate::prune::{learnt, pruned, pruning};
use hecc_model::{LayerKind, Model};
use hecc_train::prune::{Count, Plan, Planner, blocks};

/// Every weight of the first layer costs one, a factor more in a model with fewer channels.
struct ByWidth {
    factor: f64,
}

/// The features that the first layer computes.
fn width(model: &Model) -> usize {
    model.layers[1].shape.0[0]
}

impl Planner for ByWidth {
    fn plan(&self, model: &Model) -> Plan {
        let groups = blocks(model, "first", &[1, 1]).unwrap();
        Plan { pricing: Box::new(Count::of(&groups)), groups }
    }

    fn cost_of(&self, model: &Model) -> Option<f64> {
        let weights = model.layers[1].kind.weights().unwrap();
        Some(weights.iter().filter(|weight| **weight != 0.0).count() as f64 * self.factor)
    }
}

#[test]
fn channels_go_where_they_lose_less_than_groups() {
    let mut trainee = learnt(1);
    // Half of the features tell nothing.
    let mut model = trainee.model();
    if let LayerKind::Dense(dense) = &mut model.layers[3].kind {
        dense.weight.iter_mut().enumerate().filter(|(at, _)| at % 2 == 0).for_each(|(_, w)| *w *= 1e-6);
    }
    trainee = hecc_train::Trainee::new(model);
    let (kept, _) = pruned(&mut trainee, &ByWidth { factor: 0.95 }, &pruning(0.5, 1));
    let (kept, model) = (kept.unwrap(), trainee.model());
    assert_eq!((width(&model), kept.cost, kept.sparsity), (8, 0.5, 0.5));
    assert_eq!(model.check(), Ok(()));
    assert_eq!(trainee.accuracy(&vectors(200, 2)), Ok(kept.accuracy));
    assert!(kept.accuracy > 0.9, "{kept:?}");
}

#[test]
fn channels_stay_where_that_saves_nothing() {
    let mut trainee = learnt(1);
    let (kept, _) = pruned(&mut trainee, &ByWidth { factor: 2.0 }, &pruning(0.9, 1));
    assert_eq!(width(&trainee.model()), 16);
    assert!(kept.unwrap().cost <= 0.9);
}
