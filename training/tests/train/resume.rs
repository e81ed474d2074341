//! Work that stops and goes on ends as work that was never stopped.

use crate::fit::small;
use crate::friendly::{conversion, image_net};
use crate::nets::{go_on, images, recipe, trained, vectors, weights};
use crate::prune::{learnt, pruned, pruning};
use hecc_model::Model;
use hecc_train::friendly::{self, Comparison, Conversion, Pool, Replaced, convert};
use hecc_train::prune::{ByCount, blocks};
use hecc_train::{Checkpoint, Event, Flow, Recipe, Samples, TrainError, Trainee};
use serde_json::{Value, json};

/// Trains, from a checkpoint if there is one, and keeps all checkpoints on the way.
fn fitted(trainee: &mut Trainee, samples: &Samples, from: Option<&Checkpoint>) -> Vec<Checkpoint> {
    let mut checkpoints = Vec::new();
    let mut watch = |event: Event| {
        if let Event::Epoch(checkpoint) = event {
            checkpoints.push(checkpoint);
        }
        Flow::Continue
    };
    trainee.fit_from(samples, &recipe(4), None, from, &mut watch).unwrap();
    checkpoints
}

#[test]
fn training_goes_on_after_any_epoch() {
    let samples = images(70, 1);
    let mut whole = Trainee::new(small(1));
    let checkpoints = fitted(&mut whole, &samples, None);
    assert!(checkpoints.iter().map(Checkpoint::epoch).eq(1..=4));
    for from in &checkpoints {
        let mut rest = Trainee::new(small(1));
        let later = fitted(&mut rest, &samples, Some(from));
        assert_eq!(rest.model(), whole.model(), "after {} epochs", from.epoch());
        assert_eq!(later, checkpoints[from.epoch()..]);
    }
}

/// The order of samples, the rate and the momentum all depend on the epoch.
#[test]
fn a_training_that_goes_on_is_no_new_one() {
    let samples = images(70, 1);
    let from = fitted(&mut Trainee::new(small(1)), &samples, None).swap_remove(1);
    let mut stopped = Trainee::new(small(1));
    let mut until = |event| if event == Event::Epoch(from.clone()) { Flow::Stop } else { Flow::Continue };
    let outcome = stopped.fit_from(&samples, &recipe(4), None, None, &mut until);
    assert_eq!(outcome, Err(TrainError::Stopped));
    let [mut new, mut on] = [stopped.clone(), stopped];
    new.fit(&samples, &recipe(2), None, &mut go_on).unwrap();
    fitted(&mut on, &samples, Some(&from));
    assert_ne!(new.model(), on.model());
}

#[test]
fn weights_that_were_pruned_stay_zero_after_a_checkpoint() {
    let samples = vectors(120, 1);
    let mut whole = learnt(1);
    let groups = blocks(&whole.model(), "first", &[4, 3]).unwrap();
    pruned(&mut whole, &ByCount(groups), &pruning(0.5, 2));
    let mut rest = Trainee::new(whole.model());
    let checkpoints = fitted(&mut whole, &samples, None);
    fitted(&mut rest, &samples, Some(&checkpoints[0]));
    assert_eq!(rest.model(), whole.model());
    assert!(weights(&rest.model(), "first").contains(&0.0));
}

/// What has become of a conversion.
struct Converted {
    model: Model,
    compared: Vec<Comparison>,
    replaced: Vec<Replaced>,
    checkpoints: Vec<friendly::Checkpoint>,
}

/// A trained network, and samples for it.
fn start() -> (Trainee, Samples) {
    let samples = images(90, 1);
    (trained(image_net(), &samples), samples)
}

fn converted(pool: Pool, from: Option<&friendly::Checkpoint>) -> Result<Converted, TrainError> {
    let (mut trainee, samples) = start();
    let (mut compared, mut replaced, mut checkpoints) = (Vec::new(), Vec::new(), Vec::new());
    let mut watch = |event| {
        match event {
            friendly::Event::Replaced(layer) => replaced.push(layer),
            friendly::Event::Compared(comparison) => compared.push(comparison),
            friendly::Event::Training(_) => {}
            friendly::Event::Checkpoint(checkpoint) => checkpoints.push(checkpoint),
        }
        Flow::Continue
    };
    let mut conversion = Conversion { pool, ..conversion(2) };
    conversion.between.epochs = 2;
    let outcome = convert(&mut trainee, [&samples; 2], &conversion, from, &mut watch);
    if outcome.is_err() {
        assert_eq!(trainee.model(), start().0.model());
    }
    outcome.map(|()| Converted { model: trainee.model(), compared, replaced, checkpoints })
}

fn assert_goes_on(pool: Pool, n_checkpoints: usize) {
    let whole = converted(pool, None).unwrap();
    assert_eq!(whole.checkpoints.len(), n_checkpoints);
    for (at, from) in whole.checkpoints.iter().enumerate() {
        let rest = converted(pool, Some(from)).unwrap();
        assert_eq!(rest.model, whole.model, "from checkpoint {at}");
        assert_eq!((rest.compared, rest.replaced), (whole.compared.clone(), whole.replaced.clone()));
        assert_eq!(rest.checkpoints, whole.checkpoints[at + 1..]);
        assert!(whole.replaced.starts_with(from.replaced()));
    }
}

/// Pools, two activations, and the end.
#[test]
fn a_conversion_goes_on_after_any_epoch() {
    assert_goes_on(Pool::Mean, 2 + 2 * 2 + 3);
    assert_goes_on(Pool::Convolution, 2 + 2 * 2 + 3);
}

#[test]
fn a_conversion_goes_on_after_a_comparison() {
    assert_goes_on(Pool::Best, 1 + 2 * 2 + 3);
}

fn is_refused<T>(outcome: Result<T, TrainError>) -> bool {
    matches!(outcome, Err(TrainError::Checkpoint(_)))
}

#[test]
fn checkpoints_of_another_training_are_refused() {
    let samples = images(40, 1);
    let from = fitted(&mut Trainee::new(small(1)), &samples, None).swap_remove(2);
    let mut watch = |_: Event| panic!("nothing is trained");
    let mut short = Trainee::new(small(1));
    let recipe = Recipe { epochs: 2, ..recipe(2) };
    assert!(is_refused(short.fit_from(&samples, &recipe, None, Some(&from), &mut watch)));
    assert_eq!(short.model(), small(1));
    let mut other = Trainee::new(image_net());
    assert!(is_refused(other.fit_from(&samples, &crate::nets::recipe(4), None, Some(&from), &mut watch)));
    assert_eq!(other.model(), image_net());
}

/// Ways to break one tensor of a checkpoint.
fn broken_tensors() -> Vec<(&'static str, Value)> {
    vec![
        ("/values", json!([1.0])),
        ("/values/0", json!(1e300)),
        ("/is_trained", json!([true, false])),
        ("/momentum/n_steps", json!(0)),
        ("/momentum/first", json!([])),
        ("/momentum/second/0", json!(-1.0)),
    ]
}

#[test]
fn broken_checkpoints_of_a_training_are_refused() {
    let samples = images(40, 1);
    let sound = &fitted(&mut Trainee::new(small(1)), &samples, None)[0];
    let sound = serde_json::to_value(sound).unwrap();
    for (place, wrong) in broken_tensors() {
        let mut broken = sound.clone();
        *broken["weights"][1].pointer_mut(place).unwrap() = wrong;
        let broken: Checkpoint = serde_json::from_value(broken).unwrap();
        let mut trainee = Trainee::new(small(1));
        let mut watch = |_: Event| Flow::Continue;
        assert!(
            is_refused(trainee.fit_from(&samples, &recipe(4), None, Some(&broken), &mut watch)),
            "{place}"
        );
        assert_eq!(trainee.model(), small(1));
    }
}

#[test]
fn broken_checkpoints_of_a_conversion_are_refused() {
    let sound = &converted(Pool::Mean, None).unwrap().checkpoints[3];
    let sound = serde_json::to_value(sound).unwrap();
    let coefficients = "/replaced/1/by/Polynomial/coefficients";
    let wrongs = [
        ("/stage", json!(0)),
        ("/stage", json!(3)),
        ("/stage", json!(u64::MAX)),
        ("/replaced", json!([])),
        ("/replaced/0/layer", json!("missing")),
        ("/replaced/0/layer", json!("relu")),
        ("/replaced/1/by", json!("Mean")),
        ("/replaced/1/by/Polynomial/range", json!(-1.0)),
        (coefficients, json!([1.0, 0.0])),
        (coefficients, json!([])),
        (coefficients, json!(vec![1.0; 10])),
        (coefficients, json!([1.0, 2.0])),
        ("/training/epoch", json!(9)),
        ("/training/weights", json!([])),
    ];
    for (place, wrong) in wrongs {
        let mut broken = sound.clone();
        *broken.pointer_mut(place).unwrap() = wrong.clone();
        let broken: friendly::Checkpoint = serde_json::from_value(broken).unwrap();
        assert!(is_refused(converted(Pool::Mean, Some(&broken))), "{place}: {wrong}");
    }
}
