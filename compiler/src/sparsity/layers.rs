//! The matrix of each linear layer kind.

use super::convolution::Convolution;
use super::matrix::Matrix;
use crate::model::{AvgPool, Dense, LayerId, LayerKind, Model};

/// Matrix of a layer of `model` if it were of this kind, with the same shapes; the identity
/// for what acts on each element alone.
pub(crate) fn layer_matrix(model: &Model, id: LayerId, kind: &LayerKind) -> Matrix {
    let layer = model.layer(id);
    let input = &model.layer(layer.inputs[0]).shape;
    match kind {
        LayerKind::Conv(conv) => {
            Matrix::of_convolution(Convolution::of(conv, image(&input.0), image(&layer.shape.0)))
        }
        LayerKind::Dense(dense) => dense_matrix(dense, input.n_elements()),
        LayerKind::AvgPool(pool) if pool.padding == [0; 4] => {
            Matrix::of_convolution(Convolution::of_pool(pool, image(&input.0), image(&layer.shape.0)))
        }
        LayerKind::AvgPool(pool) => pool_matrix(pool, &input.0, &layer.shape.0),
        LayerKind::Move { source } => Matrix::identity(input.n_elements()).select_rows(source),
        _ => Matrix::identity(input.n_elements()),
    }
}

/// `[c, h, w]` of an image.
fn image(shape: &[usize]) -> [usize; 3] {
    shape.try_into().expect("convolutions and pools are of images")
}

/// Matrix of a dense layer.
fn dense_matrix(dense: &Dense, n_inputs: usize) -> Matrix {
    let rows = dense.weight.chunks(n_inputs.max(1));
    Matrix::from_rows(n_inputs, rows.map(|row| row.iter().copied().enumerate().collect()))
}

/// Matrix of an average pool from `input` `[c, h, w]` to `output` `[c, h, w]`.
fn pool_matrix(pool: &AvgPool, input: &[usize], output: &[usize]) -> Matrix {
    let row = |index: usize| {
        let [channel, y, x] = unravel(index, output);
        let inside: Vec<usize> = triples(1, pool.kernel[0], pool.kernel[1])
            .filter_map(|(_, ky, kx)| {
                let row = tap(y, pool.stride[0], ky, pool.padding[0], input[1])?;
                let col = tap(x, pool.stride[1], kx, pool.padding[1], input[2])?;
                Some((channel * input[1] + row) * input[2] + col)
            })
            .collect();
        let counted = if pool.count_include_pad { pool.kernel[0] * pool.kernel[1] } else { inside.len() };
        inside.into_iter().map(|col| (col, 1.0 / counted as f64)).collect()
    };
    Matrix::from_rows(input.iter().product(), (0..output.iter().product()).map(row))
}

/// Input coordinate that a window at `position` reads, unless it is padding.
fn tap(position: usize, stride: usize, offset: usize, padding: usize, extent: usize) -> Option<usize> {
    (position * stride + offset).checked_sub(padding).filter(|&at| at < extent)
}

fn unravel(index: usize, shape: &[usize]) -> [usize; 3] {
    let plane = shape[1] * shape[2];
    [index / plane, index % plane / shape[2], index % shape[2]]
}

fn triples(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}
