//! Samples and settings that make no sense.

use crate::nets::{go_on, recipe, two_layers, vectors};
use hecc_train::friendly::{self, Conversion, MAX_DEGREE, convert};
use hecc_train::prune::{self, ByCount, Pruning, Schedule, Score, blocks, prune};
use hecc_train::{Flow, Recipe, Samples, TrainError, Trainee};

/// What a training is refused for; the weights stay what they were.
fn refused(samples: &Samples, recipe: &Recipe) -> TrainError {
    let mut trainee = Trainee::new(two_layers(1));
    let error = trainee.fit(samples, recipe, None, &mut go_on).unwrap_err();
    assert_eq!(trainee.model(), two_layers(1));
    error
}

fn none() -> Samples {
    Samples { shape: [12].into(), elements: Vec::new(), labels: Vec::new() }
}

fn with_label(label: usize) -> Samples {
    let mut samples = vectors(20, 1);
    samples.labels[7] = label;
    samples
}

fn is_setting(error: &TrainError, name: &str, number: f64) -> bool {
    matches!(error, TrainError::Setting { what, value } if what.contains(name)
        && (*value == number || value.is_nan() && number.is_nan()))
}

#[test]
fn labels_beyond_the_outputs_are_refused() {
    let expected = TrainError::Label { sample: 7, label: 3, n_classes: 3 };
    assert_eq!(refused(&with_label(3), &recipe(1)), expected);
    assert_eq!(Trainee::new(two_layers(1)).accuracy(&with_label(3)), Err(expected));
    assert!(with_label(2).fit(&two_layers(1)).is_ok());
}

#[test]
fn samples_of_another_size_are_refused() {
    let samples = Samples { shape: [6].into(), elements: vec![0.0; 12], labels: vec![0, 1] };
    let expected = TrainError::Shape { expected: [12].into(), found: [6].into() };
    assert_eq!(refused(&samples, &recipe(1)), expected);
    assert_eq!(Trainee::new(two_layers(1)).accuracy(&samples), Err(expected));
}

#[test]
fn training_on_nothing_is_refused() {
    let expected = TrainError::TooFew { needed: 1, found: 0 };
    assert_eq!(refused(&none(), &recipe(1)), expected);
    assert_eq!(Trainee::new(two_layers(1)).accuracy(&none()), Err(expected));
}

#[test]
fn recipes_out_of_range_are_refused() {
    let assert_refused = |recipe: Recipe, name: &str, value: f64| {
        let error = refused(&vectors(20, 1), &recipe);
        assert!(is_setting(&error, name, value), "{error:?} for {recipe:?}");
    };
    assert_refused(Recipe { batch: 0, ..recipe(1) }, "batch", 0.0);
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_refused(Recipe { rate, ..recipe(1) }, "rate", rate);
    }
    for distillation in [-0.1, 2.0, f64::NAN] {
        assert_refused(Recipe { distillation, ..recipe(1) }, "teacher", distillation);
    }
}

#[test]
fn degrees_out_of_range_are_refused() {
    for degree in [0, 1, MAX_DEGREE + 1, 99] {
        let mut trainee = Trainee::new(two_layers(1));
        let conversion = Conversion { degree, ..Conversion::default() };
        let mut watch = |_: friendly::Event| Flow::Continue;
        let error = convert(&mut trainee, [&vectors(20, 1); 2], &conversion, None, &mut watch).unwrap_err();
        assert!(is_setting(&error, "degree", degree as f64), "{error:?} for {degree}");
        assert_eq!(trainee.model(), two_layers(1));
    }
}

#[test]
fn conversion_refuses_samples_that_do_not_fit() {
    let mut watch = |_: friendly::Event| Flow::Continue;
    let mut trainee = Trainee::new(two_layers(1));
    for samples in [[&with_label(9), &vectors(20, 1)], [&vectors(20, 1), &with_label(9)]] {
        let outcome = convert(&mut trainee, samples, &Conversion::default(), None, &mut watch);
        assert_eq!(outcome, Err(TrainError::Label { sample: 7, label: 9, n_classes: 3 }));
    }
}

#[test]
fn prunings_out_of_range_are_refused() {
    let sound = || Pruning {
        target: 0.5,
        steps: 2,
        schedule: Schedule::Linear,
        score: Score::Magnitude,
        min_accuracy: 0.0,
        retries: 0,
        between: recipe(1),
        last: recipe(1),
    };
    let assert_refused = |pruning: Pruning, name: &str, value: f64| {
        let mut trainee = Trainee::new(two_layers(1));
        let groups = blocks(&two_layers(1), "first", &[1, 12]).unwrap();
        let samples = vectors(20, 1);
        let mut watch = |_: prune::Event| Flow::Continue;
        let samples = [&samples, &samples];
        let outcome = prune(&mut trainee, &ByCount(groups), samples, &pruning, None, &mut watch);
        let error = outcome.unwrap_err();
        assert!(is_setting(&error, name, value), "{error:?} for {pruning:?}");
        assert_eq!(trainee.model(), two_layers(1));
    };
    for target in [1.0, -0.1, f64::NAN] {
        assert_refused(Pruning { target, ..sound() }, "target", target);
    }
    assert_refused(Pruning { steps: 0, ..sound() }, "steps", 0.0);
    for min_accuracy in [-0.1, 1.1, f64::NAN] {
        assert_refused(Pruning { min_accuracy, ..sound() }, "accuracy", min_accuracy);
    }
}
