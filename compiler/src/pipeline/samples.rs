//! Which of many samples calibration looks at.

use crate::model::{LayerKind, Model};
use rayon::prelude::*;
use std::collections::BTreeSet;

/// Samples that are compiled for, at most, beside those with the smallest and the largest element.
const MAX_SAMPLES: usize = 16;
/// Products that finding them may take.
const MAX_PRODUCTS: usize = 1 << 29;

/// Which samples show how large values become, in order, as far as evaluating the model on many of them tells: for each layer
/// the one with the largest values, the ones with the smallest output and the smallest and the largest
/// element, and the first others. All of them, where they are few.
///
/// Expects samples with as many elements as the model's input.
pub fn representative(model: &Model, samples: &[Vec<f64>]) -> Vec<usize> {
    if samples.len() <= MAX_SAMPLES {
        return (0..samples.len()).collect();
    }
    let n_evaluated = (MAX_PRODUCTS / n_products(model).max(1)).clamp(MAX_SAMPLES, samples.len());
    let evaluated: Vec<usize> = (0..n_evaluated).map(|i| i * samples.len() / n_evaluated).collect();
    let sizes: Vec<Vec<f64>> = evaluated.par_iter().map(|&i| layer_sizes(model, &samples[i])).collect();
    let largest = |of: &dyn Fn(usize) -> f64| {
        let best = (0..sizes.len()).max_by(|&a, &b| of(a).total_cmp(&of(b)).then(b.cmp(&a)));
        evaluated[best.expect("samples were evaluated")]
    };
    let by_layer = (0..model.layers.len()).rev().map(|layer| largest(&|i| sizes[i][layer]));
    let smallest_output = largest(&|i| -sizes[i][model.output.0]);
    let mut chosen = BTreeSet::new();
    let candidates = std::iter::once(smallest_output).chain(by_layer).chain(0..samples.len());
    for index in candidates {
        if chosen.len() < MAX_SAMPLES {
            chosen.insert(index);
        }
    }
    chosen.extend([extreme(samples, -1.0), extreme(samples, 1.0)]);
    chosen.into_iter().collect()
}

/// The sample with the largest element times a sign.
fn extreme(samples: &[Vec<f64>], sign: f64) -> usize {
    let largest = |i: usize| samples[i].iter().map(|x| x * sign).fold(f64::NEG_INFINITY, f64::max);
    let best = (0..samples.len()).max_by(|&a, &b| largest(a).total_cmp(&largest(b)).then(b.cmp(&a)));
    best.expect("there is a sample")
}

/// The largest magnitude in every layer.
fn layer_sizes(model: &Model, sample: &[f64]) -> Vec<f64> {
    let largest = |values: &Vec<f64>| values.iter().fold(0.0f64, |max, x| max.max(x.abs()));
    model.eval(sample).iter().map(largest).collect()
}

/// Products that evaluating a model takes, about.
fn n_products(model: &Model) -> usize {
    let of_layer = |index: usize| {
        let layer = &model.layers[index];
        let pixels = || layer.shape.0.iter().skip(1).product::<usize>();
        match &layer.kind {
            LayerKind::Conv(conv) => conv.weight.len() * pixels(),
            LayerKind::Dense(dense) => dense.weight.len(),
            LayerKind::AvgPool(pool) => layer.shape.n_elements() * pool.kernel[0] * pool.kernel[1],
            LayerKind::MaxPool(pool) => layer.shape.n_elements() * pool.kernel[0] * pool.kernel[1],
            LayerKind::Polynomial { coefficients } => layer.shape.n_elements() * coefficients.len(),
            LayerKind::Input { .. }
            | LayerKind::Affine { .. }
            | LayerKind::Nonlinear(_)
            | LayerKind::Add
            | LayerKind::Move { .. } => layer.shape.n_elements(),
        }
    };
    (0..model.layers.len()).map(of_layer).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LayerId, ModelBuilder};
    use hecc_ir::Shape;

    fn squares() -> Model {
        let mut builder = ModelBuilder::new();
        let range = (-9.0, 9.0);
        let shape = Some(Shape(vec![2]));
        let x = builder.push("x", LayerKind::Input { range }, &[], shape).expect("it is sound");
        let coefficients = vec![0.0, 0.0, 1.0];
        let y = builder.push("y", LayerKind::Polynomial { coefficients }, &[x], None).expect("it is sound");
        let _: LayerId = y;
        builder.finish("squares", y)
    }

    #[test]
    fn the_samples_that_matter_are_found_among_many() {
        let mut samples = vec![vec![0.5, 0.5]; 100];
        samples[40] = vec![-3.0, 0.5];
        samples[60] = vec![2.0, 0.5];
        samples[90] = vec![0.0, 0.1];
        let found = representative(&squares(), &samples);
        assert!(found.len() <= MAX_SAMPLES + 2, "{found:?}");
        for index in [0, 40, 60, 90] {
            assert!(found.contains(&index), "{index}");
        }
    }

    #[test]
    fn few_samples_are_all_taken() {
        let samples = vec![vec![0.5, 0.5]; MAX_SAMPLES];
        assert_eq!(representative(&squares(), &samples), Vec::from_iter(0..MAX_SAMPLES));
    }
}
