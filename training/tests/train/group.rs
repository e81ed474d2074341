//! Convolutions in groups.

use crate::nets::{Net, go_on, images, recipe, trained, weights};
use crate::prune::pruning;
use hecc_model::{Conv, LayerKind, Model, Nonlinear};
use hecc_train::group::{Checkpoint, Choice, Event, GroupError, Grouping, Shuffle, Step, check, group};
use hecc_train::prune::{ByCount, blocks, prune};
use hecc_train::{Flow, Recipe, Samples, TrainError, Trainee};
use serde_json::json;

/// Three convolutions with 8 channels each.
fn net(seed: u64) -> Model {
    Net::new(&[1, 6, 6], seed)
        .conv("first", 8)
        .nonlinear("relu1", Nonlinear::Relu)
        .avg_pool("pool")
        .conv("second", 8)
        .nonlinear("relu2", Nonlinear::Relu)
        .conv("third", 8)
        .nonlinear("relu3", Nonlinear::Relu)
        .flat()
        .dense("last", 3)
        .finish()
}

fn choice(layer: &str, groups: &[usize]) -> Choice {
    Choice { layer: layer.to_owned(), groups: groups.to_vec() }
}

/// A grouping that accepts anything and does not train.
fn plain(choices: &[Choice]) -> Grouping {
    let choices = choices.to_vec();
    Grouping { choices, shuffle: Shuffle::Never, min_accuracy: 0.0, between: recipe(0), last: recipe(0) }
}

fn grouped(trainee: &mut Trainee, grouping: &Grouping) -> Vec<Step> {
    let mut watch = |_: Event| Flow::Continue;
    group(trainee, [&images(160, 1), &images(200, 2)], grouping, None, &mut watch).unwrap()
}

fn conv<'m>(model: &'m Model, name: &str) -> &'m Conv {
    match &model.layers.iter().find(|layer| layer.name == name).unwrap().kind {
        LayerKind::Conv(conv) => conv,
        kind => panic!("{kind:?} is no convolution"),
    }
}

/// Makes the weights of a convolution zero between channels, of 8 and 8, that have none left.
fn cut(model: &mut Model, name: &str, is_left: impl Fn(usize, usize) -> bool) {
    let layer = model.layers.iter_mut().find(|layer| layer.name == name).unwrap();
    let (weights, _) = layer.kind.weights_and_bias_mut().unwrap();
    for (at, weight) in weights.iter_mut().enumerate().filter(|(at, _)| !is_left(at / 72, at / 9 % 8)) {
        assert!(at < 576);
        *weight = 0.0;
    }
}

fn assert_same(model: &Model, other: &Model) {
    assert_eq!(other.check(), Ok(()));
    let input: Vec<f64> = images(1, 5).elements.iter().map(|&x| f64::from(x)).collect();
    for (expected, found) in model.logits(&input).iter().zip(other.logits(&input)) {
        assert!((expected - found).abs() < 1e-6 * expected.abs().max(1.0), "{found} for {expected}");
    }
}

/// Groups that are there but hidden by the order of channels.
#[test]
fn hidden_groups_are_found_and_change_nothing() {
    let mut model = net(1);
    cut(&mut model, "second", |output, input| output * 3 % 4 == (input + 1) % 4);
    let mut trainee = Trainee::new(model.clone());
    let steps = grouped(&mut trainee, &plain(&[choice("second", &[4])]));
    assert_eq!((steps.len(), steps[0].groups, steps[0].share, steps[0].is_kept), (1, 4, 1.0, true));
    let found = trainee.model();
    let second = conv(&found, "second");
    assert_eq!((second.groups, second.weight_shape, second.weight.len()), (4, [8, 2, 3, 3], 144));
    assert_same(&model, &found);
}

/// What the order of channels is given by is left in order.
#[test]
fn the_channels_of_the_input_and_of_groups_keep_their_order() {
    let model = Net::new(&[4, 6, 6], 1).conv("first", 4).flat().dense("last", 3).finish();
    let mut trainee = Trainee::new(model.clone());
    let samples = Samples { shape: [4, 6, 6].into(), elements: vec![0.5; 288], labels: vec![0, 1] };
    let grouping = plain(&[choice("first", &[2])]);
    group(&mut trainee, [&samples; 2], &grouping, None, &mut |_| Flow::Continue).unwrap();
    let (before, after) = (weights(&model, "first"), trainee.model());
    let kernels: Vec<&[f64]> = before.chunks(9).collect();
    for (at, kernel) in weights(&after, "first").chunks(9).enumerate() {
        let (output, input) = (at / 2, at % 2);
        let found = (0..16).filter(|&place| kernels[place] == kernel);
        let columns: Vec<usize> = found.map(|place| place % 4).collect();
        assert_eq!(columns, [output / 2 * 2 + input], "kernels stay with their input");
    }
}

#[test]
fn training_makes_up_for_what_groups_lack() {
    let samples = images(160, 1);
    let dense = trained(net(1), &samples);
    let choices = [choice("second", &[4]), choice("third", &[8])];
    let mut losses: Vec<Vec<f64>> = Vec::new();
    let mut watch = |event: Event| {
        match event {
            Event::Training(now) if now.step == 1 && now.epoch == 0 => losses.push(vec![now.loss]),
            Event::Training(now) => losses.last_mut().unwrap().push(now.loss),
            Event::Step(_) | Event::Checkpoint(_) => {}
        }
        Flow::Continue
    };
    let taught = Recipe { distillation: 0.5, ..recipe(4) };
    let grouping = Grouping { between: taught.clone(), last: taught, ..plain(&choices) };
    let mut trainee = dense.clone();
    let samples = [&samples, &images(200, 2)];
    let steps = group(&mut trainee, samples, &grouping, None, &mut watch).unwrap();
    assert_eq!(losses.len(), 3);
    assert!(losses.iter().take(2).all(|losses| losses.last() < losses.first()), "{losses:?}");
    assert!(steps[1].accuracy > 0.9, "{steps:?}");
    assert!(trainee.accuracy(samples[1]).unwrap() >= steps[1].accuracy);
    assert_eq!([conv(&trainee.model(), "second").groups, conv(&trainee.model(), "third").groups], [4, 8]);
}

#[test]
fn fewer_groups_are_tried_until_one_keeps_the_accuracy() {
    let model = net(3);
    let all = [choice("second", &[8, 4, 2]), choice("third", &[4])];
    let mut trainee = Trainee::new(model.clone());
    let never = Grouping { min_accuracy: 1.0, ..plain(&all) };
    let steps = grouped(&mut trainee, &never);
    let tried: Vec<(&str, usize)> = steps.iter().map(|step| (step.layer.as_str(), step.groups)).collect();
    assert_eq!(tried, [("second", 8), ("second", 4), ("second", 2), ("third", 4)]);
    assert!(steps.iter().all(|step| !step.is_kept && step.share < 1.0));
    assert_eq!(trainee.model(), model);
    assert_eq!(grouped(&mut trainee, &plain(&all)).len(), 2);
}

/// The weights between channels, of 8 and 8, of one of 4 groups in order.
fn own(weights: &[f64]) -> Vec<f64> {
    let is_own = |at: usize| at / 72 / 2 == at / 9 % 8 / 2;
    weights.iter().enumerate().filter(|(at, _)| is_own(*at)).map(|(_, w)| *w).collect()
}

/// The gradient of a weight does not depend on whether there are zeros beside it.
#[test]
fn gradients_of_groups_are_those_of_the_dense_convolution() {
    let mut dense = net(1);
    cut(&mut dense, "second", |output, input| output / 2 == input / 2);
    let mut groups = dense.clone();
    let second = groups.layers.iter_mut().find(|layer| layer.name == "second").unwrap();
    if let LayerKind::Conv(conv) = &mut second.kind {
        (conv.weight, conv.weight_shape, conv.groups) = (own(&conv.weight), [8, 2, 3, 3], 4);
    }
    assert_same(&dense, &groups);
    let after_a_step = |model: &Model| {
        let mut trainee = Trainee::new(model.clone());
        let once = Recipe { batch: 60, ..recipe(1) };
        trainee.fit(&images(60, 1), &once, None, &mut go_on).unwrap();
        trainee.model()
    };
    let [from_dense, from_groups] = [&dense, &groups].map(after_a_step);
    // The first step of Adam moves every weight by the rate against the sign of its gradient.
    let assert_near = |expected: &[f64], found: &[f64]| {
        assert_eq!(expected.len(), found.len());
        assert!(expected.iter().zip(found).all(|(a, b)| (a - b).abs() < 1e-5));
    };
    assert_near(&own(weights(&from_dense, "second")), weights(&from_groups, "second"));
    assert_near(weights(&from_dense, "first"), weights(&from_groups, "first"));
    let moved = weights(&groups, "second").iter().zip(weights(&from_groups, "second"));
    assert!(moved.filter(|(a, b)| (*a - *b).abs() > 5e-3).count() > 140);
}

/// A convolution that reads the first channels of both groups before it in its first group.
#[test]
fn shuffled_channels_are_dealt_in_turn() {
    let mut model = net(1);
    cut(&mut model, "second", |output, input| output / 4 == input / 4);
    cut(&mut model, "third", |output, input| output / 4 == input % 4 / 2);
    let choices = [choice("second", &[2]), choice("third", &[2])];
    let mut apart = Trainee::new(model.clone());
    assert!(grouped(&mut apart, &plain(&choices))[1].share < 0.9);
    let mut trainee = Trainee::new(model.clone());
    let steps = grouped(&mut trainee, &Grouping { shuffle: Shuffle::Always, ..plain(&choices) });
    let found = trainee.model();
    assert_eq!(found.layers.len(), model.layers.len() + 3);
    let names: Vec<&str> = found.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names[6..10], ["third_shuffle1", "third_shuffle2", "third_shuffle3", "third"]);
    assert_eq!((steps[0].share, steps[1].share), (1.0, 1.0));
    assert_same(&model, &found);
}

/// Only after groups there is something to shuffle.
#[test]
fn groups_that_lose_accuracy_are_tried_shuffled_before_fewer_are() {
    let mut trainee = Trainee::new(net(1));
    let tried = |steps: &[Step]| -> Vec<(usize, bool)> {
        steps.iter().map(|step| (step.groups, step.is_shuffled)).collect()
    };
    let before = trainee.model();
    let strict = |layer: &str| Grouping {
        shuffle: Shuffle::WhereNeeded,
        min_accuracy: 1.0,
        ..plain(&[choice(layer, &[4, 2])])
    };
    assert_eq!(tried(&grouped(&mut trainee, &strict("second"))), [(4, false), (2, false)]);
    assert_eq!(trainee.model(), before);
    grouped(&mut trainee, &plain(&[choice("second", &[2])]));
    let steps = grouped(&mut trainee, &strict("third"));
    assert_eq!(tried(&steps), [(4, false), (4, true), (2, false), (2, true)]);
}

/// A pruned layer whose channels are permuted has its zeros elsewhere.
#[test]
fn weights_that_were_pruned_stay_zero() {
    let samples = images(160, 1);
    let mut trainee = trained(net(1), &samples);
    let groups = blocks(&trainee.model(), "first", &[1, 1, 3, 3]).unwrap();
    let halves = pruning(0.5, 1);
    prune(&mut trainee, &ByCount(groups), [&samples; 2], &halves, None, &mut |_| Flow::Continue).unwrap();
    let zeros = |model: &Model| weights(model, "first").iter().filter(|w| **w == 0.0).count();
    assert_eq!(zeros(&trainee.model()), 36);
    let before = trainee.model();
    grouped(&mut trainee, &Grouping { last: recipe(2), ..plain(&[choice("second", &[4])]) });
    assert_eq!(zeros(&trainee.model()), 36);
    assert_ne!(weights(&before, "first"), weights(&trainee.model(), "first"));
    assert!(!weights(&trainee.model(), "second").contains(&0.0));
}

/// Two convolutions, and the training at the end.
fn trying() -> Grouping {
    let choices = [choice("second", &[4, 2]), choice("third", &[8])];
    Grouping { between: recipe(2), last: recipe(2), min_accuracy: 0.9, ..plain(&choices) }
}

struct Outcome {
    model: Model,
    steps: Vec<Step>,
    checkpoints: Vec<Checkpoint>,
}

fn outcome(grouping: &Grouping, from: Option<&Checkpoint>) -> Result<Outcome, TrainError> {
    let mut trainee = Trainee::new(net(1));
    let (mut told, mut checkpoints) = (Vec::new(), Vec::new());
    let mut watch = |event: Event| {
        match event {
            Event::Training(_) => {}
            Event::Step(step) => told.push(step),
            Event::Checkpoint(checkpoint) => checkpoints.push(checkpoint),
        }
        Flow::Continue
    };
    let samples = [&images(90, 1), &images(60, 2)];
    let steps = group(&mut trainee, samples, grouping, from, &mut watch)?;
    assert_eq!(steps[from.map_or(0, |from| from.steps().len())..], told);
    Ok(Outcome { model: trainee.model(), steps, checkpoints })
}

#[test]
fn a_grouping_goes_on_after_any_epoch() {
    let grouping = trying();
    let whole = outcome(&grouping, None).unwrap();
    assert_eq!(whole.checkpoints.len(), 3 * whole.steps.len() + 2);
    assert!(whole.steps.iter().any(|step| step.is_kept), "{:?}", whole.steps);
    for (at, from) in whole.checkpoints.iter().enumerate() {
        let rest = outcome(&grouping, Some(from)).unwrap();
        assert_eq!(rest.model, whole.model, "from checkpoint {at}");
        assert_eq!(rest.steps, whole.steps);
        assert_eq!(rest.checkpoints, whole.checkpoints[at + 1..]);
    }
}

#[test]
fn broken_checkpoints_of_a_grouping_are_refused() {
    let grouping = trying();
    let whole = outcome(&grouping, None).unwrap();
    let sound = whole.checkpoints.iter().find(|from| from.steps().len() == 1).unwrap();
    let sound = serde_json::to_value(sound).unwrap();
    let is_kept = whole.steps[0].is_kept;
    let wrongs = [
        ("/steps", json!([])),
        ("/steps/0/layer", json!("third")),
        ("/steps/0/groups", json!(3)),
        ("/steps/0/is_shuffled", json!(true)),
        ("/steps/0/is_kept", json!(!is_kept)),
        ("/kept/weights", json!([])),
        ("/kept/weights/0/values", json!([1.0])),
    ];
    for (place, wrong) in wrongs {
        let mut broken = sound.clone();
        *broken.pointer_mut(place).unwrap() = wrong;
        let broken: Checkpoint = serde_json::from_value(broken).unwrap();
        let refused = outcome(&grouping, Some(&broken)).err();
        assert!(matches!(refused, Some(TrainError::Checkpoint(_))), "{place}: {refused:?}");
    }
}

#[test]
fn a_grouping_can_be_stopped_at_every_event() {
    let is_step = |event: &Event| matches!(event, Event::Step(_));
    let is_training = |event: &Event| matches!(event, Event::Training(_));
    let is_checkpoint = |event: &Event| matches!(event, Event::Checkpoint(_));
    let stops: [fn(&Event) -> bool; 3] = [is_step, is_training, is_checkpoint];
    for stop in stops {
        let (mut n_after, mut is_stopped) = (0, false);
        let mut watch = |event: Event| {
            n_after += usize::from(is_stopped);
            is_stopped |= stop(&event);
            if is_stopped { Flow::Stop } else { Flow::Continue }
        };
        let outcome = group(&mut Trainee::new(net(1)), [&images(40, 1); 2], &trying(), None, &mut watch);
        assert_eq!((outcome, n_after), (Err(TrainError::Stopped), 0));
    }
}

#[test]
fn what_cannot_be_grouped_is_refused() {
    let refused = |choices: &[Choice]| check(&net(1), choices).unwrap_err();
    let no_divisor = |groups: usize, inputs: usize, layer: &str| GroupError::NoDivisor {
        layer: layer.to_owned(),
        groups,
        inputs,
        outputs: 8,
    };
    assert_eq!(refused(&[choice("fourth", &[2])]), GroupError::UnknownLayer("fourth".into()));
    assert_eq!(refused(&[choice("last", &[2])]), GroupError::NoConvolution("last".into()));
    assert_eq!(refused(&[choice("second", &[3])]), no_divisor(3, 8, "second"));
    assert_eq!(refused(&[choice("first", &[2])]), no_divisor(2, 1, "first"));
    for groups in [0, 1, usize::MAX] {
        assert_eq!(refused(&[choice("second", &[2, groups])]), no_divisor(groups, 8, "second"));
    }
    assert_eq!(
        refused(&[choice("second", &[2]), choice("second", &[4])]),
        GroupError::Twice("second".into())
    );
    let mut trainee = Trainee::new(net(1));
    grouped(&mut trainee, &plain(&[choice("second", &[2])]));
    let again = check(&trainee.model(), &[choice("second", &[4])]);
    assert_eq!(again, Err(GroupError::Grouped { layer: "second".into(), groups: 2 }));
    let unfit = Grouping { min_accuracy: 1.5, ..plain(&[choice("third", &[2])]) };
    let outcome = group(&mut trainee, [&images(20, 1); 2], &unfit, None, &mut |_| Flow::Continue);
    assert_eq!(outcome, Err(TrainError::Setting { what: "the least accuracy", value: 1.5 }));
}
