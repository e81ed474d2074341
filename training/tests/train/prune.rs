//! Pruning of groups of weights.

use crate::nets::{Net, go_on, images, recipe, trained, two_layers, vectors, weights};
use hecc_model::{LayerKind, Model, Nonlinear};
use hecc_train::prune::{
    ByCount, Count, Event, Group, Planner, Pricing, Pruning, Schedule, Score, Step, blocks, prune,
};
use hecc_train::{Flow, Samples, TrainError, Trainee};

pub fn pruning(target: f64, steps: usize) -> Pruning {
    let between = recipe(1);
    let (schedule, score, last) = (Schedule::Cubic, Score::Taylor, recipe(0));
    Pruning { target, steps, schedule, score, min_accuracy: 0.0, retries: 0, between, last }
}

/// Prunes on vectors; returns the state kept and all states on the way.
pub fn pruned(trainee: &mut Trainee, planner: &dyn Planner, pruning: &Pruning) -> (Option<Step>, Vec<Step>) {
    let mut steps = Vec::new();
    let mut watch = |event| {
        if let Event::Step(step) = event {
            steps.push(step);
        }
        Flow::Continue
    };
    let samples = [&vectors(160, 1), &vectors(200, 2)];
    let kept = prune(trainee, planner, samples, pruning, None, &mut watch).unwrap();
    (kept, steps)
}

pub fn learnt(seed: u64) -> Trainee {
    trained(two_layers(seed), &vectors(160, 1))
}

/// The weights of a group.
fn members(model: &Model, group: &Group) -> Vec<f64> {
    let all = weights(model, &model.layer(group.layer).name);
    group.weights.iter().map(|&weight| all[weight as usize]).collect()
}

pub fn is_left(model: &Model, groups: &[Group]) -> Vec<bool> {
    groups.iter().map(|group| members(model, group).iter().any(|x| *x != 0.0)).collect()
}

/// Weights in the groups that are left.
fn cost(groups: &[Group], is_left: &[bool]) -> f64 {
    let mut count = Count::of(groups);
    (0..groups.len()).filter(|&group| !is_left[group]).for_each(|group| count.remove(group));
    count.cost()
}

/// Share of the weights of some layers that are zero.
fn sparsity(model: &Model, layers: &[&str]) -> f64 {
    let all: Vec<f64> = layers.iter().flat_map(|layer| weights(model, layer).to_vec()).collect();
    all.iter().filter(|x| **x == 0.0).count() as f64 / all.len() as f64
}

/// The first layer without the weights at every third place.
fn with_holes(mut model: Model) -> Model {
    if let LayerKind::Dense(dense) = &mut model.layers[1].kind {
        dense.weight.iter_mut().step_by(3).for_each(|x| *x = 0.0);
    }
    model
}

#[test]
fn groups_that_are_removed_stay_zero() {
    let mut trainee = learnt(1);
    let groups = blocks(&trainee.model(), "first", &[2, 3]).unwrap();
    let (kept, steps) = pruned(&mut trainee, &ByCount(groups.clone()), &pruning(0.3, 4));
    let kept = kept.unwrap();
    assert_eq!((steps.len(), steps.last()), (4, Some(&kept)));
    let left = is_left(&trainee.model(), &groups);
    let n_left = left.iter().filter(|left| **left).count();
    assert_eq!(kept.cost, n_left as f64 / 32.0);
    assert!((1.0 - kept.cost - kept.sparsity).abs() < 1e-12);
    trainee.fit(&vectors(100, 3), &recipe(2), None, &mut go_on).unwrap();
    assert_eq!(is_left(&trainee.model(), &groups), left);
    assert_eq!(sparsity(&trainee.model(), &["first"]), kept.sparsity);
    assert_eq!(sparsity(&trainee.model(), &["second"]), 0.0);
}

/// The target is reached, and no more is removed than its last group; one group stays.
#[test]
fn the_cost_falls_to_the_target() {
    for target in [0.0, 0.25, 0.5, 0.9] {
        let mut trainee = learnt(1);
        let groups = blocks(&trainee.model(), "first", &[1, 4]).unwrap();
        let (kept, _) = pruned(&mut trainee, &ByCount(groups.clone()), &pruning(target, 3));
        let (found, expected) = (kept.unwrap().cost, f64::max(target, 1.0 / 48.0));
        assert!(found <= expected && found > expected - 1.0 / 48.0, "{found} for {target}");
    }
}

#[test]
fn every_schedule_ends_at_the_same_cost() {
    let costs_of = |schedule: Schedule| -> Vec<f64> {
        let mut trainee = learnt(1);
        let groups = blocks(&trainee.model(), "first", &[1, 1]).unwrap();
        let pruning = Pruning { schedule, ..pruning(0.25, 4) };
        let (_, steps) = pruned(&mut trainee, &ByCount(groups.clone()), &pruning);
        assert!(steps.iter().map(|step| (step.step, step.n_steps)).eq((1..=4).map(|step| (step, 4))));
        steps.iter().map(|step| step.cost).collect()
    };
    assert_eq!(costs_of(Schedule::OneShot), [0.25; 4]);
    // Each step removes a share of 192 weights, down to a whole number of them.
    assert_eq!(costs_of(Schedule::Linear), [156.0, 120.0, 84.0, 48.0].map(|n| n / 192.0));
    assert_eq!(costs_of(Schedule::Cubic), [108.0, 66.0, 50.0, 48.0].map(|n| n / 192.0));
}

#[test]
fn groups_of_several_layers_are_pruned_together() {
    let model = Net::new(&[1, 6, 6], 1)
        .conv("conv", 6)
        .nonlinear("relu", Nonlinear::Relu)
        .avg_pool("pool")
        .flat()
        .dense("dense", 3)
        .finish();
    let (train, validation) = (images(160, 1), images(200, 2));
    let mut trainee = trained(model, &train);
    let mut groups = blocks(&trainee.model(), "conv", &[1, 1, 3, 3]).unwrap();
    groups.extend(blocks(&trainee.model(), "dense", &[3, 9]).unwrap());
    let samples = [&train, &validation];
    let mut watch = |_| Flow::Continue;
    let kept = prune(&mut trainee, &ByCount(groups.clone()), samples, &pruning(0.42, 3), None, &mut watch);
    let kept = kept.unwrap().unwrap();
    let left = is_left(&trainee.model(), &groups);
    assert_eq!(kept.cost, cost(&groups, &left) / cost(&groups, &vec![true; groups.len()]));
    assert!(kept.cost <= 0.42 && kept.accuracy > 0.9, "{kept:?}");
    assert!(left[..6].contains(&true) && left[6..].contains(&true), "{left:?}");
    assert_eq!(kept.sparsity, sparsity(&trainee.model(), &["conv", "dense"]));
    assert_eq!(kept.accuracy, trainee.accuracy(&validation).unwrap());
}

#[test]
fn a_group_is_left_while_one_of_its_weights_is() {
    let mut trainee = learnt(1);
    let mut groups = blocks(&trainee.model(), "first", &[1, 12]).unwrap();
    groups.extend(blocks(&trainee.model(), "first", &[16, 1]).unwrap());
    let (kept, _) = pruned(&mut trainee, &ByCount(groups.clone()), &pruning(0.3, 3));
    let kept = kept.unwrap();
    let left = is_left(&trainee.model(), &groups);
    assert_eq!(kept.cost, cost(&groups, &left) / 384.0);
    assert_eq!(kept.sparsity, sparsity(&trainee.model(), &["first"]));
    // What is left of the layer is some rows by some columns.
    let [n_rows, n_columns] =
        [&left[..16], &left[16..]].map(|part| part.iter().filter(|left| **left).count());
    assert_eq!(1.0 - kept.sparsity, (n_rows * n_columns) as f64 / 192.0);
}

#[test]
fn weights_that_were_zero_stay_zero() {
    let model = with_holes(learnt(1).model());
    let mut trainee = Trainee::new(model.clone());
    let groups = blocks(&model, "first", &[4, 12]).unwrap();
    let (kept, _) = pruned(&mut trainee, &ByCount(groups.clone()), &pruning(0.5, 2));
    let (first, kept) = (weights(&model, "first"), kept.unwrap());
    let after = trainee.model();
    assert!(
        first.iter().zip(weights(&after, "first")).all(|(before, after)| *before != 0.0 || *after == 0.0)
    );
    // Half of the rows, and a third of the other half.
    assert!((kept.sparsity - 2.0 / 3.0).abs() < 1e-12, "{kept:?}");
}

#[test]
fn the_last_state_that_is_accurate_enough_is_kept() {
    let mut trainee = learnt(1);
    let groups = blocks(&trainee.model(), "first", &[1, 1]).unwrap();
    let schedule = Schedule::Linear;
    let pruning = Pruning { schedule, min_accuracy: 0.9, ..pruning(0.0, 12) };
    let (kept, steps) = pruned(&mut trainee, &ByCount(groups.clone()), &pruning);
    let kept = kept.unwrap();
    let [.., before, last] = &steps[..] else { panic!("{steps:?}") };
    assert!(before.accuracy >= 0.9 && last.accuracy < 0.9, "{steps:?}");
    assert_eq!(&kept, before);
    assert_eq!(trainee.accuracy(&vectors(200, 2)), Ok(kept.accuracy));
    assert_eq!(sparsity(&trainee.model(), &["first"]), kept.sparsity);
}

#[test]
fn a_network_that_cannot_be_pruned_is_left_alone() {
    let mut trainee = learnt(1);
    let before = trainee.model();
    let groups = blocks(&before, "first", &[1, 12]).unwrap();
    let pruning = Pruning { schedule: Schedule::OneShot, min_accuracy: 0.9, ..pruning(0.0, 3) };
    let (kept, steps) = pruned(&mut trainee, &ByCount(groups.clone()), &pruning);
    assert_eq!((kept, steps.len()), (None, 1));
    assert_eq!(trainee.model(), before);
    trainee.fit(&vectors(100, 3), &recipe(1), None, &mut go_on).unwrap();
    assert_eq!(sparsity(&trainee.model(), &["first"]), 0.0);
}

#[test]
fn one_seed_gives_one_pruning() {
    let model_of = |score: Score| {
        let mut trainee = learnt(1);
        let groups = blocks(&trainee.model(), "first", &[2, 2]).unwrap();
        let pruning = Pruning { score, ..pruning(0.4, 3) };
        pruned(&mut trainee, &ByCount(groups.clone()), &pruning);
        trainee.model()
    };
    for score in [Score::Taylor, Score::Magnitude, Score::Random] {
        assert_eq!(model_of(score), model_of(score));
    }
}

/// Prunes in three steps until an event, and returns what came of it.
fn stopped(samples: &Samples, stop: fn(&Event) -> bool) -> (Result<Option<Step>, TrainError>, Trainee) {
    let mut trainee = learnt(1);
    let groups = blocks(&trainee.model(), "first", &[1, 12]).unwrap();
    let mut watch = |event: Event| if stop(&event) { Flow::Stop } else { Flow::Continue };
    let outcome = prune(&mut trainee, &ByCount(groups), [samples; 2], &pruning(0.25, 3), None, &mut watch);
    (outcome, trainee)
}

#[test]
fn pruning_that_is_stopped_after_a_step_keeps_it() {
    let samples = vectors(100, 4);
    let (outcome, trainee) = stopped(&samples, |event| matches!(event, Event::Step(step) if step.step == 2));
    let step = outcome.unwrap().unwrap();
    assert_eq!(step.step, 2);
    assert_eq!(sparsity(&trainee.model(), &["first"]), step.sparsity);
    assert_eq!(trainee.accuracy(&samples), Ok(step.accuracy));
}

#[test]
fn pruning_that_is_stopped_in_training_says_so() {
    let samples = vectors(100, 4);
    let (outcome, _) = stopped(&samples, |event| matches!(event, Event::Training(_)));
    assert_eq!(outcome, Err(TrainError::Stopped));
}

#[test]
fn what_is_kept_is_trained_once_more() {
    let mut trainee = learnt(1);
    let groups = blocks(&trainee.model(), "first", &[1, 12]).unwrap();
    let pruning = Pruning { last: recipe(3), ..pruning(0.25, 2) };
    let (kept, steps) = pruned(&mut trainee, &ByCount(groups.clone()), &pruning);
    let kept = kept.unwrap();
    assert!(kept.accuracy >= steps[1].accuracy, "{kept:?}");
    assert_eq!(trainee.accuracy(&vectors(200, 2)), Ok(kept.accuracy));
    let left = is_left(&trainee.model(), &groups);
    assert_eq!(left.iter().filter(|left| **left).count(), 4);
}
