//! Networks with as many channels as asked for.

use crate::nets::{Net, images, recipe, trained, vectors, weights};
use crate::prune::{learnt, pruned, pruning};
use hecc_model::{LayerKind, Model, Nonlinear};
use hecc_train::narrow::{Choice, NarrowError, check, narrow};
use hecc_train::prune::{ByCount, Score, blocks};
use hecc_train::{TrainError, Trainee};

fn choice(layer: &str, channels: usize) -> Choice {
    Choice { layer: layer.to_owned(), channels }
}

/// Two convolutions, the second in 2 groups, and a dense layer.
fn in_groups() -> Model {
    let mut net = Net::new(&[1, 6, 6], 3).conv("first", 8).nonlinear("relu", Nonlinear::Relu);
    let (weight, bias) = (net.numbers(4 * 4 * 9, 0.5), net.numbers(4, 0.1));
    let (stride, padding, dilation) = ([1, 1], [1, 1, 1, 1], [1, 1]);
    let conv =
        hecc_model::Conv { weight, weight_shape: [4, 4, 3, 3], bias, stride, padding, dilation, groups: 2 };
    net.push("second", LayerKind::Conv(conv))
        .polynomial("square", &[0.0, 0.0, 1.0])
        .flat()
        .dense("last", 3)
        .finish()
}

fn shape(model: &Model, name: &str) -> Vec<usize> {
    model.layers.iter().find(|layer| layer.name == name).unwrap().shape.0.clone()
}

#[test]
fn channels_that_matter_stay_in_order() {
    let mut model = learnt(1).model();
    let before = model.clone();
    // What reads the features but 3, 8 and 9 is small.
    let (read, _) = model.layers[3].kind.weights_and_bias_mut().unwrap();
    let matters = [3, 8, 9];
    read.iter_mut().enumerate().filter(|(at, _)| !matters.contains(&(at % 16))).for_each(|(_, w)| *w *= 1e-6);
    for score in [Score::Magnitude, Score::Taylor] {
        let mut trainee = Trainee::new(model.clone());
        narrow(&mut trainee, &vectors(64, 1), &[choice("first", 3)], score, 1).unwrap();
        let narrowed = trainee.model();
        assert_eq!((narrowed.check(), shape(&narrowed, "first")), (Ok(()), vec![3]));
        let rows = |model: &Model, rows: &[usize]| -> Vec<f64> {
            rows.iter().flat_map(|row| weights(model, "first")[row * 12..][..12].to_vec()).collect()
        };
        assert_eq!(weights(&narrowed, "first"), rows(&before, &matters));
    }
}

#[test]
fn groups_keep_as_many_channels_each() {
    let mut trainee = Trainee::new(in_groups());
    // The name of the activation names the channels too.
    let choices = [choice("relu", 4), choice("second", 2)];
    narrow(&mut trainee, &images(64, 1), &choices, Score::Magnitude, 1).unwrap();
    let model = trainee.model();
    assert_eq!(model.check(), Ok(()));
    assert_eq!((shape(&model, "first"), shape(&model, "second")), (vec![4, 6, 6], vec![2, 6, 6]));
    let LayerKind::Conv(conv) = &model.layers[3].kind else { panic!("{:?}", model.layers[3].kind) };
    assert_eq!((conv.groups, conv.weight_shape), (2, [2, 2, 3, 3]));
}

#[test]
fn weights_that_were_pruned_stay_zero() {
    let mut trainee = learnt(1);
    let n_zeros =
        |trainee: &Trainee| weights(&trainee.model(), "first").iter().filter(|w| **w == 0.0).count();
    let planner = ByCount(blocks(&trainee.model(), "first", &[1, 1]).unwrap());
    pruned(&mut trainee, &planner, &pruning(0.5, 1));
    narrow(&mut trainee, &vectors(64, 1), &[choice("first", 12)], Score::Magnitude, 1).unwrap();
    let before = n_zeros(&trainee);
    assert!(before > 0);
    trainee.fit(&vectors(160, 1), &recipe(2), None, &mut crate::nets::go_on).unwrap();
    assert_eq!(n_zeros(&trainee), before);
}

#[test]
fn a_narrower_network_learns_again() {
    let mut trainee = trained(in_groups(), &images(160, 1));
    narrow(&mut trainee, &images(160, 1), &[choice("first", 4)], Score::Taylor, 1).unwrap();
    trainee.fit(&images(160, 1), &recipe(8), None, &mut crate::nets::go_on).unwrap();
    assert!(trainee.accuracy(&images(200, 2)).unwrap() > 0.9);
}

#[test]
fn what_cannot_be_narrowed_is_refused() {
    let refused = |choices: &[Choice]| check(&in_groups(), choices).unwrap_err();
    let count = |layer: &str, channels: usize, n_units: usize| NarrowError::Count {
        layer: layer.to_owned(),
        channels,
        n_units,
        n_groups: 2,
    };
    assert_eq!(refused(&[choice("third", 2)]), NarrowError::Unknown("third".into()));
    assert_eq!(refused(&[choice("last", 2)]), NarrowError::Fixed("last".into()));
    assert_eq!(refused(&[choice("x", 1)]), NarrowError::Fixed("x".into()));
    for channels in [0, 3, 10, usize::MAX] {
        assert_eq!(refused(&[choice("first", channels)]), count("first", channels, 8));
    }
    assert_eq!(refused(&[choice("first", 4), choice("relu", 2)]), NarrowError::Twice("relu".into()));
    let mut trainee = Trainee::new(in_groups());
    let outcome = narrow(&mut trainee, &images(20, 1), &[choice("first", 3)], Score::Random, 1);
    assert_eq!(outcome, Err(TrainError::Narrow(count("first", 3, 8))));
    assert_eq!(trainee.model(), Trainee::new(in_groups()).model());
}
