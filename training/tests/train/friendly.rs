//! Conversion of trained networks into ones with an encrypted form.

use crate::nets::{Net, go_on, images, recipe, trained, vectors};
use crate::prune::{is_left, learnt, pruned, pruning};
use hecc_model::{LayerKind, Model, Nonlinear};
use hecc_train::friendly::{Conversion, Event, Pool, Replaced, Replacement, convert};
use hecc_train::prune::{ByCount, blocks};
use hecc_train::{Flow, Recipe, Samples, TrainError, Trainee};

pub fn conversion(degree: usize) -> Conversion {
    let between = Recipe { distillation: 0.5, ..recipe(1) };
    let last = Recipe { epochs: 3, ..between.clone() };
    Conversion { degree, pool: Pool::Mean, between, last }
}

pub fn image_net() -> Model {
    Net::new(&[1, 6, 6], 2)
        .conv("conv", 4)
        .nonlinear("relu", Nonlinear::Relu)
        .max_pool("pool")
        .flat()
        .dense("first", 12)
        .nonlinear("second relu", Nonlinear::Relu)
        .dense("second", 3)
        .finish()
}

fn vector_net(function: Nonlinear) -> Model {
    Net::new(&[12], 3).dense("first", 16).nonlinear("activation", function).dense("second", 3).finish()
}

fn is_friendly(model: &Model) -> bool {
    model.layers.iter().all(|layer| layer.kind.is_he_friendly())
}

/// Converts and returns what was replaced.
fn converted(trainee: &mut Trainee, samples: &Samples, degree: usize) -> Vec<Replaced> {
    let mut replaced = Vec::new();
    let mut watch = |event| {
        if let Event::Replaced(layer) = event {
            replaced.push(layer);
        }
        Flow::Continue
    };
    convert(trainee, [samples; 2], &conversion(degree), None, &mut watch).unwrap();
    replaced
}

/// Converts a network that has learnt its samples, and compares what it has learnt.
fn assert_converts(model: Model, [samples, held_out]: [&Samples; 2], degree: usize) -> Vec<Replaced> {
    let mut trainee = trained(model, samples);
    let before = trainee.accuracy(held_out).unwrap();
    let replaced = converted(&mut trainee, samples, degree);
    let after = trainee.accuracy(held_out).unwrap();
    assert!(before > 0.9 && after > before - 0.1, "{after} after {before}");
    assert!(is_friendly(&trainee.model()));
    trainee.model().check().unwrap();
    replaced
}

/// Range and coefficients.
fn polynomial(replaced: &Replaced) -> (f64, &[f64]) {
    match &replaced.by {
        Replacement::Polynomial { range, coefficients } => (*range, coefficients),
        other => panic!("{other:?} is no polynomial"),
    }
}

/// Root mean square of a function over `-range..range`.
fn size(range: f64, function: impl Fn(f64) -> f64) -> f64 {
    let places = (-50..=50).map(|at| range * f64::from(at) / 50.0);
    (places.map(|x| function(x).powi(2)).sum::<f64>() / 101.0).sqrt()
}

#[test]
fn a_convolutional_network_becomes_friendly_and_stays_right() {
    let replaced = assert_converts(image_net(), [&images(240, 1), &images(300, 2)], 2);
    let names: Vec<&str> = replaced.iter().map(|replaced| replaced.layer.as_str()).collect();
    assert_eq!(names, ["pool", "relu", "second relu"]);
    assert_eq!(replaced[0].by, Replacement::Mean);
    let is_quadratic = |(range, coefficients): (f64, &[f64])| range > 0.0 && coefficients.len() == 3;
    assert!(replaced[1..].iter().all(|replaced| is_quadratic(polynomial(replaced))));
}

#[test]
fn every_activation_becomes_a_polynomial_near_it() {
    for function in Nonlinear::ALL {
        for degree in [2, 4, 8] {
            let samples = [&vectors(240, 1), &vectors(300, 2)];
            let replaced = assert_converts(vector_net(function), samples, degree);
            let [only] = &replaced[..] else { panic!("{replaced:?}") };
            let (range, coefficients) = polynomial(only);
            assert_eq!((only.layer.as_str(), coefficients.len()), ("activation", degree + 1));
            let value = |x: f64| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
            let error = size(range, |x| value(x) - function.value(x));
            let whole = size(range, |x| function.value(x));
            assert!(error < 0.2 * whole, "{function:?} of degree {degree}: {error} of {whole}");
        }
    }
}

/// Magnitudes of what the activation is applied to.
fn operands(model: &Model, samples: &Samples) -> Vec<f64> {
    let operands = (0..samples.len()).flat_map(|index| {
        let input: Vec<f64> = samples.sample(index).iter().copied().map(f64::from).collect();
        model.eval(&input).swap_remove(1)
    });
    operands.map(f64::abs).collect()
}

#[test]
fn the_reported_range_covers_nearly_all_operands() {
    let samples = vectors(240, 1);
    let mut trainee = trained(vector_net(Nonlinear::Gelu), &samples);
    let operands = operands(&trainee.model(), &samples);
    let range = polynomial(&converted(&mut trainee, &samples, 4)[0]).0;
    let n_beyond = operands.iter().filter(|x| **x > range * (1.0 + 1e-5)).count();
    assert!(n_beyond * 500 < operands.len(), "{n_beyond} of {}", operands.len());
    assert!(operands.iter().any(|x| *x >= range * (1.0 - 1e-5)), "{range} is beyond all operands");
}

/// Means take the windows of the maximum pools, without their padding.
#[test]
fn a_maximum_becomes_the_mean_of_the_same_window() {
    let mut trainee = Trainee::new(image_net());
    let mut conversion = conversion(2);
    (conversion.between.epochs, conversion.last.epochs) = (0, 0);
    convert(&mut trainee, [&images(40, 1); 2], &conversion, None, &mut |_| Flow::Continue).unwrap();
    let (before, after) = (image_net(), trainee.model());
    let windows = before.layers.iter().zip(&after.layers).filter_map(|(a, b)| match (&a.kind, &b.kind) {
        (LayerKind::MaxPool(a), LayerKind::AvgPool(b)) => Some((a.clone(), b.clone())),
        (a, b) => {
            assert!(a == b || matches!(b, LayerKind::Polynomial { .. }), "{b:?} for {a:?}");
            None
        }
    });
    let windows: Vec<_> = windows.collect();
    assert_eq!(windows.len(), 1);
    let (max, mean) = &windows[0];
    assert_eq!((max.kernel, max.stride, max.padding), (mean.kernel, mean.stride, mean.padding));
    assert!(!mean.count_include_pad);
}

#[test]
fn training_holds_the_operands_of_a_polynomial_where_it_was_fitted() {
    let samples = vectors(240, 1);
    let mut trainee = trained(vector_net(Nonlinear::Relu), &samples);
    let range = polynomial(&converted(&mut trainee, &samples, 2)[0]).0;
    // A copy of the model knows of no range.
    let free = Trainee::new(trainee.model());
    let [held, free] = [trainee, free].map(|mut trainee| {
        trainee.fit(&samples, &Recipe { rate: 5e-2, ..recipe(20) }, None, &mut go_on).unwrap();
        operands(&trainee.model(), &samples).into_iter().fold(0.0, f64::max)
    });
    assert!(held < 1.4 * range && free > 1.8 * range, "{held} and {free} for {range}");
}

#[test]
fn weights_that_were_pruned_stay_zero() {
    let samples = vectors(120, 1);
    let mut trainee = learnt(1);
    let groups = blocks(&trainee.model(), "first", &[4, 3]).unwrap();
    pruned(&mut trainee, &ByCount(groups.clone()), &pruning(0.5, 2));
    let left = is_left(&trainee.model(), &groups);
    assert_eq!(converted(&mut trainee, &samples, 2).len(), 1);
    assert_eq!(is_left(&trainee.model(), &groups), left);
}

#[test]
fn a_conversion_that_is_done_finds_nothing_to_replace() {
    let samples = vectors(120, 1);
    let mut trainee = trained(vector_net(Nonlinear::Relu), &samples);
    assert_eq!(converted(&mut trainee, &samples, 2).len(), 1);
    let once = trainee.model();
    assert_eq!(converted(&mut trainee, &samples, 2), []);
    assert_ne!(trainee.model(), once);
}

#[test]
fn one_seed_gives_one_conversion() {
    let samples = images(120, 1);
    let model_of = || {
        let mut trainee = Trainee::new(image_net());
        let replaced = converted(&mut trainee, &samples, 2);
        (trainee.model(), replaced)
    };
    assert_eq!(model_of(), model_of());
}

#[test]
fn conversion_can_be_stopped_at_every_event() {
    let is_pool = |event: &Event| matches!(event, Event::Replaced(it) if it.by == Replacement::Mean);
    let is_polynomial = |event: &Event| matches!(event, Event::Replaced(it) if it.by != Replacement::Mean);
    let is_training = |event: &Event| matches!(event, Event::Training(_));
    let is_checkpoint = |event: &Event| matches!(event, Event::Checkpoint(_));
    let stops: [fn(&Event) -> bool; 4] = [is_pool, is_polynomial, is_training, is_checkpoint];
    for stop in stops {
        let mut n_after = 0;
        let mut is_stopped = false;
        let mut watch = |event: Event| {
            n_after += usize::from(is_stopped);
            is_stopped |= stop(&event);
            if is_stopped { Flow::Stop } else { Flow::Continue }
        };
        let mut trainee = Trainee::new(image_net());
        let outcome = convert(&mut trainee, [&images(40, 1); 2], &conversion(2), None, &mut watch);
        assert_eq!((outcome, n_after), (Err(TrainError::Stopped), 0));
    }
}
