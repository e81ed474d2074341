//! Training by gradient descent.

use crate::nets::{Net, go_on, images, recipe, trained, vectors, weights};
use hecc_model::{Dense, LayerKind, Model, Nonlinear};
use hecc_train::{Flow, Progress, Recipe, Samples, TrainError, Trainee};

/// A network with every kind of number that is trained.
pub fn small(seed: u64) -> Model {
    Net::new(&[1, 6, 6], seed)
        .conv("conv", 4)
        .affine("affine")
        .nonlinear("relu", Nonlinear::Relu)
        .avg_pool("pool")
        .polynomial("polynomial", &[0.125, 1.0, 0.25])
        .flat()
        .dense("dense", 3)
        .finish()
}

/// The model after training, and the reports on the way.
fn fitted(model: Model, samples: &Samples, recipe: &Recipe) -> (Trainee, Vec<Progress>) {
    let (mut trainee, mut reports) = (Trainee::new(model), Vec::new());
    let mut watch = |progress| {
        reports.push(progress);
        Flow::Continue
    };
    trainee.fit(samples, recipe, None, &mut watch).unwrap();
    (trainee, reports)
}

/// The model when training is stopped at one step, counted from 1, of an epoch.
fn stopped_at(epoch: usize, step: usize) -> Model {
    let mut trainee = Trainee::new(small(1));
    let mut watch = |progress: Progress| match (progress.epoch, progress.step) == (epoch, step) {
        true => Flow::Stop,
        false => Flow::Continue,
    };
    let outcome = trainee.fit(&images(64, 1), &recipe(4), None, &mut watch);
    assert_eq!(outcome, Err(TrainError::Stopped));
    trainee.model()
}

fn is_finite(model: &Model) -> bool {
    ["first", "second"].iter().all(|layer| weights(model, layer).iter().all(|x| x.is_finite()))
}

#[test]
fn an_untouched_trainee_is_its_model() {
    let model = small(3);
    assert_eq!(Trainee::new(model.clone()).model(), model);
}

#[test]
fn training_lowers_the_loss_and_holds_for_new_samples() {
    let held_out = images(300, 2);
    let before = Trainee::new(small(1)).accuracy(&held_out).unwrap();
    let (trainee, reports) = fitted(small(1), &images(240, 1), &recipe(6));
    let loss_of = |epoch: usize| reports.iter().rfind(|report| report.epoch == epoch).unwrap().loss;
    assert!(loss_of(5) < loss_of(0) / 2.0, "{} after {}", loss_of(5), loss_of(0));
    let (first, last) = (reports[0].accuracy, reports[reports.len() - 1].accuracy);
    assert!(first < 0.9 && last > 0.9 && last <= 1.0, "{last} of the samples after {first} of a batch");
    let after = trainee.accuracy(&held_out).unwrap();
    assert!(after > 0.9 && before < 0.7, "{after} after {before}");
}

#[test]
fn every_step_is_reported_in_order() {
    let (_, reports) = fitted(small(1), &images(50, 1), &recipe(3));
    let found: Vec<(usize, usize, usize)> =
        reports.iter().map(|report| (report.epoch, report.step, report.n_steps)).collect();
    let expected: Vec<(usize, usize, usize)> =
        (0..3).flat_map(|epoch| (1..=4).map(move |step| (epoch, step, 4))).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_kind_of_number_is_trained() {
    let before = small(1);
    let after = fitted(before.clone(), &images(64, 1), &recipe(1)).0.model();
    let differ = |a: &[f64], b: &[f64]| a.iter().zip(b).any(|(a, b)| a != b);
    for (before, after) in before.layers.iter().zip(&after.layers) {
        let is_trained = match (&before.kind, &after.kind) {
            (LayerKind::Conv(a), LayerKind::Conv(b)) => {
                differ(&a.weight, &b.weight) && differ(&a.bias, &b.bias)
            }
            (LayerKind::Dense(a), LayerKind::Dense(b)) => {
                differ(&a.weight, &b.weight) && differ(&a.bias, &b.bias)
            }
            (
                LayerKind::Affine { scale, shift },
                LayerKind::Affine { scale: new_scale, shift: new_shift },
            ) => differ(scale, new_scale) && differ(shift, new_shift),
            (LayerKind::Polynomial { coefficients: a }, LayerKind::Polynomial { coefficients: b }) => {
                differ(a, b)
            }
            (a, b) => a == b,
        };
        assert!(is_trained, "{after:?}");
    }
}

/// The first step of the optimiser is as long as its rate.
#[test]
fn coefficients_move_a_tenth_as_far_as_weights() {
    let before = small(1);
    let samples = images(32, 1);
    let after = fitted(before.clone(), &samples, &Recipe { batch: 32, ..recipe(1) }).0.model();
    let furthest = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let moved = furthest(weights(&before, "dense"), weights(&after, "dense"));
    assert!((moved - 1e-2).abs() < 1e-4, "{moved}");
    let coefficients = |model: &Model| match &model.layers[5].kind {
        LayerKind::Polynomial { coefficients } => coefficients.clone(),
        kind => panic!("{kind:?} is no polynomial"),
    };
    let moved = furthest(&coefficients(&before), &coefficients(&after));
    assert!((moved - 1e-3).abs() < 1e-5, "{moved}");
}

#[test]
fn one_seed_gives_one_model() {
    let model_of = |seed: u64| {
        let recipe = Recipe { seed, ..recipe(2) };
        fitted(small(1), &images(100, 1), &recipe).0.model()
    };
    assert_eq!(model_of(1), model_of(1));
    assert_ne!(model_of(1), model_of(7));
}

/// Training goes on from the weights alone, also on a copy.
#[test]
fn training_on_is_training_a_new_trainee_of_the_model() {
    let samples = images(100, 1);
    let (mut on, _) = fitted(small(1), &samples, &recipe(1));
    let (fresh, _) = fitted(on.model(), &samples, &recipe(2));
    on.fit(&samples, &recipe(2), None, &mut go_on).unwrap();
    assert_eq!(on.model(), fresh.model());
}

#[test]
fn no_epochs_change_nothing() {
    let (trainee, reports) = fitted(small(1), &images(20, 1), &recipe(0));
    assert_eq!((trainee.model(), reports), (small(1), Vec::new()));
}

#[test]
fn a_teacher_is_imitated_against_wrong_labels() {
    let (samples, held_out) = (images(240, 1), images(300, 2));
    let teacher = trained(small(1), &samples);
    let wrong = Samples { labels: vec![0; samples.len()], ..samples };
    let accuracy_with = |distillation: f64| {
        let mut student = Trainee::new(small(9));
        let recipe = Recipe { distillation, ..recipe(6) };
        student.fit(&wrong, &recipe, Some(&teacher), &mut go_on).unwrap();
        student.accuracy(&held_out).unwrap()
    };
    let (taught, untaught) = (accuracy_with(1.0), accuracy_with(0.0));
    assert!(taught > 0.9 && untaught < 0.5, "{taught} with a teacher, {untaught} without");
}

#[test]
fn training_that_is_stopped_keeps_the_last_whole_epoch() {
    assert_eq!(stopped_at(0, 3), small(1));
    let first = stopped_at(1, 1);
    assert_ne!(first, small(1));
    assert_eq!(stopped_at(1, 4), first);
    let second = stopped_at(2, 2);
    assert_ne!(second, first);
    assert_eq!(stopped_at(2, 3), second);
}

/// A dense layer, two squares, and another dense layer.
fn squares(largest: f64) -> Model {
    let mut net = Net::new(&[12], 5);
    let weight = net.numbers(48, largest);
    net.push("first", LayerKind::Dense(Dense { weight, bias: Vec::new() }))
        .polynomial("square", &[0.0, 0.0, 1.0])
        .polynomial("fourth", &[0.0, 0.0, 1.0])
        .dense("second", 3)
        .finish()
}

#[test]
fn the_layer_that_overflows_is_named() {
    let mut trainee = Trainee::new(squares(1e12));
    let outcome = trainee.fit(&vectors(40, 1), &recipe(2), None, &mut go_on);
    assert_eq!(outcome, Err(TrainError::Diverged { layer: "fourth".into() }));
    assert_eq!(trainee.model(), squares(1e12));
}

#[test]
fn a_rate_that_is_too_high_leaves_the_weights_of_before() {
    let mut trainee = Trainee::new(squares(0.5));
    let recipe = Recipe { rate: 1e8, ..recipe(3) };
    let mut n_steps = 0;
    let mut watch = |_| {
        n_steps += 1;
        Flow::Continue
    };
    let outcome = trainee.fit(&vectors(40, 1), &recipe, None, &mut watch);
    assert!(matches!(&outcome, Err(TrainError::Diverged { layer }) if layer == "fourth"), "{outcome:?}");
    assert_eq!(n_steps, 1);
    assert_eq!(trainee.model(), squares(0.5));
    assert!(is_finite(&trainee.model()));
}
