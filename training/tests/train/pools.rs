//! What becomes of maximum pools.

use crate::friendly::{conversion, image_net};
use crate::nets::{Net, images};
use hecc_model::{LayerKind, MaxPool, Model};
use hecc_train::friendly::{Comparison, Conversion, Event, MARGIN, Pool, Replacement, convert};
use hecc_train::{Flow, Recipe, Samples, TrainError, Trainee};

/// The model after conversion, the kinds of replacements, and the comparison if there was one.
fn converted(
    model: Model,
    samples: [&Samples; 2],
    conversion: &Conversion,
) -> (Trainee, Vec<Replacement>, Option<Comparison>) {
    let mut trainee = Trainee::new(model);
    let (mut replaced, mut compared) = (Vec::new(), None);
    let mut watch = |event| {
        match event {
            Event::Compared(comparison) => compared = Some(comparison),
            Event::Replaced(layer) => replaced.push(layer.by),
            Event::Training(_) | Event::Checkpoint(_) => {}
        }
        Flow::Continue
    };
    convert(&mut trainee, samples, conversion, None, &mut watch).unwrap();
    (trainee, replaced, compared)
}

/// A conversion that does not train.
fn untrained(pool: Pool) -> Conversion {
    let still = Recipe { epochs: 0, ..Recipe::default() };
    Conversion { pool, between: still.clone(), last: still, degree: 2 }
}

/// A pool of other strides than its kernel, over several channels.
fn pool_net(padding: [usize; 4]) -> Model {
    let pool = MaxPool { kernel: [3, 2], stride: [1, 2], padding };
    Net::new(&[3, 5, 6], 1).push("pool", LayerKind::MaxPool(pool)).flat().dense("dense", 3).finish()
}

fn random_samples(shape: [usize; 3]) -> Samples {
    let mut rng = fastrand::Rng::with_seed(3);
    let elements = (0..4 * shape.iter().product::<usize>()).map(|_| rng.f32() - 0.5).collect();
    Samples { shape: shape.into(), elements, labels: vec![0, 1, 2, 0] }
}

#[test]
fn a_convolution_starts_as_the_mean() {
    let samples = random_samples([3, 5, 6]);
    let model_of = |pool| converted(pool_net([0; 4]), [&samples; 2], &untrained(pool)).0.model();
    let [mean, convolution] = [Pool::Mean, Pool::Convolution].map(model_of);
    let LayerKind::Conv(conv) = &convolution.layers[1].kind else { panic!("{convolution:?}") };
    assert_eq!((conv.weight_shape, conv.groups), ([3, 1, 3, 2], 3));
    convolution.check().unwrap();
    for index in 0..samples.len() {
        let input: Vec<f64> = samples.sample(index).iter().copied().map(f64::from).collect();
        for (a, b) in mean.logits(&input).iter().zip(convolution.logits(&input)) {
            assert!((a - b).abs() < 1e-6, "{a} and {b}");
        }
    }
}

/// At the edge, the mean divides by fewer elements; a convolution cannot.
#[test]
fn a_pool_with_padding_becomes_a_mean_whatever_is_asked_for() {
    let samples = random_samples([3, 5, 6]);
    for pool in [Pool::Mean, Pool::Convolution, Pool::Best] {
        let (_, replaced, compared) = converted(pool_net([1, 0, 1, 0]), [&samples; 2], &untrained(pool));
        assert_eq!((replaced, compared), (vec![Replacement::Mean], None));
    }
}

/// Which corner of a window is bright says the class: means of windows are all alike.
fn corners(n: usize, seed: u64) -> Samples {
    let mut rng = fastrand::Rng::with_seed(seed);
    let labels: Vec<usize> = (0..n).map(|_| rng.usize(0..3)).collect();
    let mut elements = Vec::new();
    for label in &labels {
        let is_bright = |at: usize| (at / 6 % 2 * 2 + at % 2) == *label;
        elements.extend((0..36).map(|at| f32::from(u8::from(is_bright(at))) + 0.2 * (rng.f32() - 0.5)));
    }
    Samples { shape: [1, 6, 6].into(), elements, labels }
}

fn best() -> Conversion {
    let between = Recipe { epochs: 15, rate: 3e-2, distillation: 0.0, ..conversion(2).between };
    Conversion { pool: Pool::Best, between, ..conversion(2) }
}

#[test]
fn the_convolution_is_taken_where_the_mean_cannot_tell() {
    let model = Net::new(&[1, 6, 6], 2).max_pool("pool").flat().dense("dense", 3).finish();
    let (trainee, replaced, compared) = converted(model, [&corners(240, 1), &corners(200, 2)], &best());
    let Comparison { mean, convolution } = compared.unwrap();
    assert!(convolution > 0.9 && mean < 0.6, "{convolution} and {mean}");
    assert_eq!(replaced, [Replacement::Convolution]);
    assert!(matches!(trainee.model().layers[1].kind, LayerKind::Conv(_)));
    assert!(trainee.accuracy(&corners(200, 3)).unwrap() > 0.9);
}

#[test]
fn the_mean_is_taken_where_it_is_as_good() {
    let samples = [&images(240, 1), &images(200, 2)];
    let (trainee, replaced, compared) = converted(image_net(), samples, &best());
    let Comparison { mean, convolution } = compared.unwrap();
    assert!(mean > 0.9 && convolution <= mean + MARGIN, "{convolution} and {mean}");
    assert_eq!(replaced[0], Replacement::Mean);
    assert!(trainee.model().layers.iter().any(|layer| matches!(layer.kind, LayerKind::AvgPool(_))));
}

/// What was tried and not taken leaves no trace.
#[test]
fn the_best_is_what_would_have_been_asked_for() {
    let samples = [&images(120, 1), &images(100, 2)];
    let (chosen, ..) = converted(image_net(), samples, &best());
    let (asked, ..) = converted(image_net(), samples, &Conversion { pool: Pool::Mean, ..best() });
    assert_eq!(chosen.model(), asked.model());
}

#[test]
fn a_comparison_can_be_stopped() {
    let mut trainee = Trainee::new(image_net());
    let mut n_after = 0;
    let mut watch = |event: Event| {
        n_after += 1;
        assert!(matches!(event, Event::Training(_)));
        Flow::Stop
    };
    let outcome = convert(&mut trainee, [&images(40, 1); 2], &best(), None, &mut watch);
    assert_eq!((outcome, n_after), (Err(TrainError::Stopped), 1));
    assert_eq!(trainee.model(), image_net());
}
