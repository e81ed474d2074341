//! Puts a layer with an encrypted form in the place of one without.

use super::polynomial::fit_polynomial;
use super::{MAX_DEGREE, Replaced, Replacement};
use crate::TrainError;
use crate::samples::Samples;
use crate::trainee::{Trainee, batch_tensor, floats};
use hecc_model::{AvgPool, Conv, LayerId, LayerKind, MaxPool};

/// Share of values within the range; outliers would make the fit bad for all others.
const COVERED: f64 = 0.999;
/// A range that is nearly a point has no best polynomial.
const MIN_RANGE: f64 = 1e-3;

/// The layers of some kind, in order.
pub(super) fn layers(trainee: &Trainee, is_meant: fn(&LayerKind) -> bool) -> Vec<LayerId> {
    let layers = trainee.model.layers.iter().enumerate();
    layers.filter(|(_, layer)| is_meant(&layer.kind)).map(|(index, _)| LayerId(index)).collect()
}

pub(super) fn is_pool(kind: &LayerKind) -> bool {
    matches!(kind, LayerKind::MaxPool(_))
}

pub(super) fn is_activation(kind: &LayerKind) -> bool {
    matches!(kind, LayerKind::Nonlinear(_))
}

/// Replaces a layer, now or as it was done before a checkpoint.
///
/// # Errors
/// When the checkpoint names a layer that is not there or cannot be replaced so.
pub(super) fn replace(trainee: &mut Trainee, replaced: &Replaced) -> Result<(), TrainError> {
    let found = trainee.model.layers.iter().position(|layer| layer.name == replaced.layer);
    let id = LayerId(found.ok_or(TrainError::Checkpoint("it names a layer that is not there"))?);
    match (&trainee.model.layer(id).kind, &replaced.by) {
        (LayerKind::MaxPool(pool), Replacement::Mean) => {
            let mean = mean(pool);
            trainee.replace(id, LayerKind::AvgPool(mean));
        }
        (LayerKind::MaxPool(pool), Replacement::Convolution) if is_plain(pool) => {
            let operand = trainee.model.layer(id).inputs[0];
            let convolution = convolution(pool, trainee.model.layer(operand).shape.0[0]);
            trainee.replace(id, LayerKind::Conv(convolution));
        }
        (LayerKind::Nonlinear(_), Replacement::Polynomial { range, coefficients })
            if is_sound(*range, coefficients) =>
        {
            trainee.replace(id, LayerKind::Polynomial { coefficients: coefficients.clone() });
            trainee.limits.push((id, *range));
        }
        (_, _) => return Err(TrainError::Checkpoint("it replaces a layer by what cannot stand for it")),
    }
    Ok(())
}

/// The mean of the same windows, without their padding.
fn mean(pool: &MaxPool) -> AvgPool {
    let MaxPool { kernel, stride, padding } = *pool;
    AvgPool { kernel, stride, padding, count_include_pad: false }
}

/// Whether all windows are whole: a convolution cannot divide by fewer elements at the edge.
pub(super) fn is_plain(pool: &MaxPool) -> bool {
    pool.padding == [0; 4]
}

/// The mean of the same windows as a convolution of every channel. It needs no summands:
/// those of the layers around it do for them.
fn convolution(pool: &MaxPool, n_channels: usize) -> Conv {
    let MaxPool { kernel, stride, padding } = *pool;
    let [rows, columns] = kernel;
    let share = 1.0 / (rows * columns) as f64;
    Conv {
        weight: vec![share; n_channels * rows * columns],
        weight_shape: [n_channels, 1, rows, columns],
        bias: Vec::new(),
        stride,
        padding,
        dilation: [1, 1],
        groups: n_channels,
    }
}

fn is_sound(range: f64, coefficients: &[f64]) -> bool {
    let is_finite = coefficients.iter().all(|c| c.is_finite());
    let has_degree = coefficients.last().is_some_and(|leading| *leading != 0.0);
    (range > 0.0 && range.is_finite()) && is_finite && has_degree && coefficients.len() <= MAX_DEGREE + 1
}

/// The polynomial that is nearest to an activation, not yet replaced, on the values that reach it.
pub(super) fn polynomial(trainee: &Trainee, id: LayerId, calibration: &Samples, degree: usize) -> Replaced {
    let LayerKind::Nonlinear(function) = trainee.model.layer(id).kind else {
        panic!("stages replace activations once");
    };
    let values = trainee.forward(&trainee.values(), batch_tensor(calibration, &trainee.device));
    let operand = trainee.model.layer(id).inputs[0];
    let mut seen: Vec<f64> = floats(&values[operand.0]).into_iter().map(f64::from).collect();
    seen.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let range = seen[((seen.len() - 1) as f64 * COVERED) as usize].abs().max(MIN_RANGE);
    seen.retain(|x| x.abs() <= range);
    let coefficients = fit_polynomial(function, &seen, range, degree);
    let layer = trainee.model.layer(id).name.clone();
    Replaced { layer, by: Replacement::Polynomial { range, coefficients } }
}
