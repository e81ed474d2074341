//! Conversion of a trained network into one with an encrypted form.
//!
//! Maximum pools become mean pools, then activations become polynomials one after
//! the other, each fitted to its function over the values that occur. After every
//! replacement the network is trained on, with the original as teacher, and is held
//! within the range that the polynomials were fitted for.

use crate::TrainError;
use crate::fit::{Flow, Progress, Recipe};
use crate::samples::Samples;
use crate::trainee::{Trainee, batch_tensor, floats, keep_degree};
use hecc_model::{AvgPool, LayerId, LayerKind, MaxPool, Nonlinear};

/// How to convert.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// Degree of the polynomials.
    pub degree: usize,
    /// Training after each replacement.
    pub between: Recipe,
    /// Training at the end.
    pub last: Recipe,
}

impl Default for Conversion {
    fn default() -> Conversion {
        let between = Recipe { epochs: 1, distillation: 0.5, ..Recipe::default() };
        Conversion { degree: 2, last: Recipe { epochs: 3, ..between.clone() }, between }
    }
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A layer was replaced.
    Replaced {
        /// Its name.
        layer: String,
        /// Largest magnitude that the polynomial was fitted for; none for pools.
        range: Option<f64>,
        /// Coefficients, constant first; none for pools.
        coefficients: Vec<f64>,
    },
    /// Training goes on.
    Training(Progress),
}

/// Replaces all layers without encrypted form and trains the network to make up for it.
///
/// # Errors
/// As [`Trainee::fit`], and when the degree is less than 2 or more than [`MAX_DEGREE`]. The
/// trainee is then as it was.
pub fn convert(
    trainee: &mut Trainee,
    samples: &Samples,
    conversion: &Conversion,
    watch: &mut dyn FnMut(Event) -> Flow,
) -> Result<(), TrainError> {
    if !(2..=MAX_DEGREE).contains(&conversion.degree) {
        return Err(TrainError::Setting { what: "the degree", value: conversion.degree as f64 });
    }
    samples.fit(&trainee.model)?;
    [&conversion.between, &conversion.last].into_iter().try_for_each(Recipe::check)?;
    let teacher = trainee.clone();
    let converted = convert_from(trainee, &teacher, samples, conversion, watch);
    if converted.is_err() {
        *trainee = teacher;
    }
    converted
}

fn convert_from(
    trainee: &mut Trainee,
    teacher: &Trainee,
    samples: &Samples,
    conversion: &Conversion,
    watch: &mut dyn FnMut(Event) -> Flow,
) -> Result<(), TrainError> {
    let calibration = calibration(samples, conversion.between.seed);
    if replace_pools(trainee, watch)? {
        train(trainee, samples, &conversion.between, teacher, watch)?;
    }
    for id in nonlinear_layers(trainee) {
        replace_activation(trainee, id, &calibration, conversion.degree, watch)?;
        train(trainee, samples, &conversion.between, teacher, watch)?;
    }
    train(trainee, samples, &conversion.last, teacher, watch)
}

/// Largest degree that is fitted.
pub const MAX_DEGREE: usize = 8;

/// Samples that show which values occur.
const N_CALIBRATION: usize = 512;
/// Share of values within the range; outliers would make the fit bad for all others.
const COVERED: f64 = 0.999;

fn calibration(samples: &Samples, seed: u64) -> Samples {
    let share = (N_CALIBRATION as f64 / samples.len() as f64).min(1.0);
    samples.split(share, seed).1
}

fn train(
    trainee: &mut Trainee,
    samples: &Samples,
    recipe: &Recipe,
    teacher: &Trainee,
    watch: &mut dyn FnMut(Event) -> Flow,
) -> Result<(), TrainError> {
    trainee.fit(samples, recipe, Some(teacher), &mut |progress| watch(Event::Training(progress)))
}

fn report(watch: &mut dyn FnMut(Event) -> Flow, event: Event) -> Result<(), TrainError> {
    match watch(event) {
        Flow::Continue => Ok(()),
        Flow::Stop => Err(TrainError::Stopped),
    }
}

/// True when there was any.
fn replace_pools(trainee: &mut Trainee, watch: &mut dyn FnMut(Event) -> Flow) -> Result<bool, TrainError> {
    let pools = trainee.model.layers.iter().enumerate().filter_map(|(index, layer)| match &layer.kind {
        LayerKind::MaxPool(pool) => Some((LayerId(index), pool.clone())),
        _ => None,
    });
    let pools: Vec<(LayerId, MaxPool)> = pools.collect();
    for (id, MaxPool { kernel, stride, padding }) in &pools {
        let (kernel, stride, padding) = (*kernel, *stride, *padding);
        let mean = AvgPool { kernel, stride, padding, count_include_pad: false };
        trainee.replace(*id, LayerKind::AvgPool(mean));
        let layer = trainee.model.layer(*id).name.clone();
        report(watch, Event::Replaced { layer, range: None, coefficients: Vec::new() })?;
    }
    Ok(!pools.is_empty())
}

fn nonlinear_layers(trainee: &Trainee) -> Vec<LayerId> {
    let is_nonlinear = |id: &LayerId| matches!(trainee.model.layer(*id).kind, LayerKind::Nonlinear(_));
    (0..trainee.model.layers.len()).map(LayerId).filter(is_nonlinear).collect()
}

fn replace_activation(
    trainee: &mut Trainee,
    id: LayerId,
    calibration: &Samples,
    degree: usize,
    watch: &mut dyn FnMut(Event) -> Flow,
) -> Result<(), TrainError> {
    let LayerKind::Nonlinear(function) = trainee.model.layer(id).kind else { return Ok(()) };
    let values = trainee.forward(&trainee.values(), batch_tensor(calibration, &trainee.device));
    let operand = trainee.model.layer(id).inputs[0];
    let mut seen: Vec<f64> = floats(&values[operand.0]).into_iter().map(f64::from).collect();
    seen.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let range = seen[((seen.len() - 1) as f64 * COVERED) as usize].abs().max(MIN_RANGE);
    seen.retain(|x| x.abs() <= range);
    let coefficients = fit_polynomial(function, &seen, range, degree);
    trainee.replace(id, LayerKind::Polynomial { coefficients: coefficients.clone() });
    trainee.limits.push((id, range));
    let layer = trainee.model.layer(id).name.clone();
    report(watch, Event::Replaced { layer, range: Some(range), coefficients })
}

/// A range that is nearly a point has no best polynomial.
const MIN_RANGE: f64 = 1e-3;
/// Weight of points spread evenly over the range, against those that occur.
const EVEN_SHARE: f64 = 0.1;
const N_EVEN: usize = 256;

/// The polynomial, constant first, with the least mean squared error over the values
/// that occur and, with less weight, the whole range.
fn fit_polynomial(function: Nonlinear, seen: &[f64], range: f64, degree: usize) -> Vec<f64> {
    let even = (0..N_EVEN).map(|i| range * (2.0 * i as f64 / (N_EVEN - 1) as f64 - 1.0));
    let weighted = seen.iter().map(|&x| (x, (1.0 - EVEN_SHARE) / seen.len().max(1) as f64));
    let points = weighted.chain(even.map(|x| (x, EVEN_SHARE / N_EVEN as f64)));
    // Normal equations in x / range, whose powers are of one size.
    let n = degree + 1;
    let mut rows = vec![vec![0.0; n + 1]; n];
    for (x, weight) in points {
        let (t, y) = (x / range, function.value(x));
        let powers: Vec<f64> = (0..n).map(|k| t.powi(k as i32)).collect();
        for (row, power) in rows.iter_mut().zip(&powers) {
            row.iter_mut().zip(&powers).for_each(|(sum, other)| *sum += weight * power * other);
            row[n] += weight * power * y;
        }
    }
    let solution = solve(rows);
    let mut coefficients: Vec<f64> =
        solution.iter().enumerate().map(|(k, c)| c / range.powi(k as i32)).collect();
    keep_degree(&mut coefficients);
    coefficients
}

/// Solves a symmetric positive system, rows with their right side, by elimination with
/// the largest pivot.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let n = rows.len();
    for column in 0..n {
        let largest = (column..n).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        rows.swap(column, largest.unwrap_or(column));
        let pivot = rows[column].clone();
        for row in (0..n).filter(|&row| row != column) {
            let factor = rows[row][column] / pivot[column];
            rows[row].iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_near_relu_is_found() {
        let seen: Vec<f64> = (0..1000).map(|i| f64::from(i) / 250.0 - 2.0).collect();
        let fitted = fit_polynomial(Nonlinear::Relu, &seen, 2.0, 2);
        // Least squares on [-r, r]: 3r/32 + x/2 + 15/(32 r) x^2.
        for (found, expected) in fitted.iter().zip([3.0 * 2.0 / 32.0, 0.5, 15.0 / 64.0]) {
            assert!((found - expected).abs() < 0.01, "{found} for {expected}");
        }
    }

    #[test]
    fn higher_degrees_come_closer() {
        let seen: Vec<f64> = (0..1000).map(|i| f64::from(i) / 125.0 - 4.0).collect();
        let error = |degree: usize| {
            let fitted = fit_polynomial(Nonlinear::Gelu, &seen, 4.0, degree);
            let value = |x: f64| fitted.iter().rev().fold(0.0, |sum, c| sum * x + c);
            seen.iter().map(|&x| (value(x) - Nonlinear::Gelu.value(x)).powi(2)).sum::<f64>()
        };
        assert!(error(4) < error(2) / 4.0 && error(8) < error(4) / 4.0);
    }
}
