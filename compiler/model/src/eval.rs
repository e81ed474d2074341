//! Plain evaluation of a model in `f64`: what the encrypted program must agree
//! with.

use crate::{AvgPool, Conv, Dense, LayerKind, MaxPool, Model};
use hecc_ir::Shape;

impl Model {
    /// Values of all layers, in order, for one input (row-major).
    ///
    /// # Panics
    /// If the model does not pass [`Model::check`] or `input` does not have as
    /// many elements as the input layer.
    pub fn eval(&self, input: &[f64]) -> Vec<Vec<f64>> {
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let operand = |n: usize| &values[layer.inputs[n].0];
            let operand_shape = |n: usize| &self.layer(layer.inputs[n]).shape;
            let value = match &layer.kind {
                LayerKind::Input { .. } => {
                    assert_eq!(input.len(), layer.shape.n_elements(), "input must fit the model");
                    input.to_vec()
                }
                LayerKind::Conv(conv) => eval_conv(conv, operand(0), operand_shape(0), &layer.shape),
                LayerKind::Dense(dense) => eval_dense(dense, operand(0)),
                LayerKind::AvgPool(pool) => eval_pool(pool, operand(0), operand_shape(0), &layer.shape),
                LayerKind::Affine { scale, shift } => eval_affine(scale, shift, operand(0)),
                LayerKind::Polynomial { coefficients } => {
                    operand(0).iter().map(|&x| horner(coefficients, x)).collect()
                }
                LayerKind::MaxPool(pool) => eval_max(pool, operand(0), operand_shape(0), &layer.shape),
                LayerKind::Nonlinear(function) => operand(0).iter().map(|&x| function.value(x)).collect(),
                LayerKind::Add => operand(0).iter().zip(operand(1)).map(|(a, b)| a + b).collect(),
                LayerKind::Move { source } => source.iter().map(|&s| operand(0)[s]).collect(),
            };
            values.push(value);
        }
        values
    }

    /// The value of the output layer.
    ///
    /// # Panics
    /// As [`Model::eval`].
    pub fn logits(&self, input: &[f64]) -> Vec<f64> {
        self.eval(input).swap_remove(self.output.0)
    }

    /// Index of the largest output.
    ///
    /// # Panics
    /// As [`Model::eval`].
    pub fn predict(&self, input: &[f64]) -> usize {
        let logits = self.logits(input);
        let largest = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a)));
        largest.expect("an output has at least one element")
    }
}

/// Value of `c0 + c1 x + c2 x^2 + ...`.
fn horner(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

fn eval_dense(dense: &Dense, x: &[f64]) -> Vec<f64> {
    let bias = |o: usize| dense.bias.get(o).copied().unwrap_or(0.0);
    let rows = dense.weight.chunks_exact(x.len()).enumerate();
    rows.map(|(o, row)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias(o)).collect()
}

fn eval_affine(scale: &[f64], shift: &[f64], x: &[f64]) -> Vec<f64> {
    let per_channel = x.len() / scale.len();
    let channels = x.chunks_exact(per_channel).zip(scale.iter().zip(shift));
    channels.flat_map(|(x, (scale, shift))| x.iter().map(move |x| x * scale + shift)).collect()
}

/// Positions `o` of a window for which `o * stride + offset - before` lies
/// within `0..extent`, and there are `n` positions in all.
fn inside(n: usize, stride: usize, offset: usize, before: usize, extent: usize) -> std::ops::Range<usize> {
    let first = before.saturating_sub(offset).div_ceil(stride);
    let end = (extent + before).saturating_sub(offset).div_ceil(stride);
    first.min(n)..end.min(n).max(first.min(n))
}

/// Adds `weight * x[..]`, shifted by one tap of a window, to a result plane.
struct Tap<'a> {
    x: &'a [f64],
    extent: [usize; 2],
    result: [usize; 2],
    stride: [usize; 2],
    before: [usize; 2],
    offset: [usize; 2],
}

impl Tap<'_> {
    fn add_to(&self, plane: &mut [f64], weight: f64) {
        let [height, width] = self.extent;
        let rows = inside(self.result[0], self.stride[0], self.offset[0], self.before[0], height);
        let columns = inside(self.result[1], self.stride[1], self.offset[1], self.before[1], width);
        if columns.is_empty() {
            return;
        }
        for row in rows {
            let source_row = row * self.stride[0] + self.offset[0] - self.before[0];
            let first = columns.start * self.stride[1] + self.offset[1] - self.before[1];
            let source = &self.x[source_row * width + first..(source_row + 1) * width];
            let target = &mut plane[row * self.result[1]..][columns.clone()];
            for (t, x) in target.iter_mut().zip(source.iter().step_by(self.stride[1])) {
                *t += weight * x;
            }
        }
    }
}

fn extents(shape: &Shape) -> (usize, [usize; 2]) {
    (shape.0[0], [shape.0[1], shape.0[2]])
}

fn eval_conv(conv: &Conv, x: &[f64], x_shape: &Shape, shape: &Shape) -> Vec<f64> {
    let (out, result) = extents(shape);
    let (_, extent) = extents(x_shape);
    let [_, per_group, kernel_rows, kernel_columns] = conv.weight_shape;
    let (area, result_area) = (extent[0] * extent[1], result[0] * result[1]);
    let mut values = vec![0.0; out * result_area];
    for (o, plane) in values.chunks_exact_mut(result_area).enumerate() {
        plane.fill(conv.bias.get(o).copied().unwrap_or(0.0));
        let group = o / (out / conv.groups);
        for i in 0..per_group {
            let channel = &x[(group * per_group + i) * area..][..area];
            for (tap, &weight) in window(conv, o, i, kernel_rows * kernel_columns).iter().enumerate() {
                let taps = [tap / kernel_columns, tap % kernel_columns];
                let offset = [taps[0] * conv.dilation[0], taps[1] * conv.dilation[1]];
                let before = [conv.padding[0], conv.padding[1]];
                Tap { x: channel, extent, result, stride: conv.stride, before, offset }.add_to(plane, weight);
            }
        }
    }
    values
}

/// Weights of output channel `o` for the `i`-th input channel of its group.
fn window(conv: &Conv, o: usize, i: usize, n_taps: usize) -> &[f64] {
    &conv.weight[(o * conv.weight_shape[1] + i) * n_taps..][..n_taps]
}

fn eval_pool(pool: &AvgPool, x: &[f64], x_shape: &Shape, shape: &Shape) -> Vec<f64> {
    let (_, extent) = extents(x_shape);
    let (channels, result) = extents(shape);
    let area = extent[0] * extent[1];
    let inverse = inverse_counts(pool, extent, result);
    let mut values = vec![0.0; channels * inverse.len()];
    for (c, plane) in values.chunks_exact_mut(inverse.len()).enumerate() {
        add_window(pool, &x[c * area..][..area], extent, result, plane);
        plane.iter_mut().zip(&inverse).for_each(|(v, inverse)| *v *= inverse);
    }
    values
}

fn add_window(pool: &AvgPool, x: &[f64], extent: [usize; 2], result: [usize; 2], plane: &mut [f64]) {
    let before = [pool.padding[0], pool.padding[1]];
    for tap in 0..pool.kernel[0] * pool.kernel[1] {
        let offset = [tap / pool.kernel[1], tap % pool.kernel[1]];
        Tap { x, extent, result, stride: pool.stride, before, offset }.add_to(plane, 1.0);
    }
}

fn eval_max(pool: &MaxPool, x: &[f64], x_shape: &Shape, shape: &Shape) -> Vec<f64> {
    let (_, [height, width]) = extents(x_shape);
    let (channels, [rows, columns]) = extents(shape);
    let inside = |at: usize, axis: usize, extent: usize| {
        let start = at * pool.stride[axis];
        let before = pool.padding[axis];
        start.saturating_sub(before)..(start + pool.kernel[axis] - before).min(extent)
    };
    let mut values = Vec::with_capacity(channels * rows * columns);
    for pixel in 0..channels * rows * columns {
        let (channel, row, column) = (pixel / (rows * columns), pixel / columns % rows, pixel % columns);
        let plane = &x[channel * height * width..][..height * width];
        let window = inside(row, 0, height).flat_map(|y| &plane[y * width..][inside(column, 1, width)]);
        values.push(window.copied().fold(f64::NEG_INFINITY, f64::max));
    }
    values
}

/// One over the number of elements that each window averages.
fn inverse_counts(pool: &AvgPool, extent: [usize; 2], result: [usize; 2]) -> Vec<f64> {
    if pool.count_include_pad {
        return vec![1.0 / (pool.kernel[0] * pool.kernel[1]) as f64; result[0] * result[1]];
    }
    let mut counts = vec![0.0; result[0] * result[1]];
    add_window(pool, &vec![1.0; extent[0] * extent[1]], extent, result, &mut counts);
    counts.iter().map(|count| 1.0 / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_padded_dilated_convolution_matches_its_definition() {
        let conv = Conv {
            weight: (0..2 * 2 * 3 * 2).map(|w| w as f64 - 5.0).collect(),
            weight_shape: [2, 2, 3, 2],
            bias: vec![0.5, -1.5],
            stride: [2, 1],
            padding: [2, 0, 1, 3],
            dilation: [1, 2],
            groups: 1,
        };
        let x_shape = Shape(vec![2, 5, 4]);
        let x: Vec<f64> = (0..40).map(|v| (v * 7 % 11) as f64).collect();
        let kind = LayerKind::Conv(conv.clone());
        let shape = crate::result_shape(&kind, &[&x_shape], None).unwrap();
        assert_eq!(shape, Shape(vec![2, 3, 5]));
        let found = eval_conv(&conv, &x, &x_shape, &shape);
        for (index, &value) in found.iter().enumerate() {
            let (o, row, column) = (index / 15, index / 5 % 3, index % 5);
            assert_eq!(value, by_definition(&conv, &x, o, row, column), "element {index}");
        }
    }

    fn by_definition(conv: &Conv, x: &[f64], o: usize, row: usize, column: usize) -> f64 {
        let mut sum = conv.bias[o];
        for (i, r, c) in (0..12).map(|k| (k / 6, k / 2 % 3, k % 2)) {
            let y = (row * 2 + r) as isize - 2;
            let z = (column + c * 2) as isize;
            if (0..5).contains(&y) && (0..4).contains(&z) {
                let at = (i * 5 + y as usize) * 4 + z as usize;
                sum += conv.weight[((o * 2 + i) * 3 + r) * 2 + c] * x[at];
            }
        }
        sum
    }

    #[test]
    fn the_largest_element_is_none_of_the_padding() {
        let pool = MaxPool { kernel: [2, 2], stride: [2, 1], padding: [1, 0, 0, 1] };
        let (x_shape, x) = (Shape(vec![1, 3, 2]), [-4.0, -8.0, -3.0, -2.0, -7.0, -5.0]);
        let shape = crate::result_shape(&LayerKind::MaxPool(pool.clone()), &[&x_shape], None).unwrap();
        assert_eq!(shape, Shape(vec![1, 2, 2]));
        assert_eq!(eval_max(&pool, &x, &x_shape, &shape), [-4.0, -8.0, -2.0, -2.0]);
    }

    #[test]
    fn padding_counts_only_when_asked() {
        let shape = Shape(vec![1, 2, 2]);
        let mut pool =
            AvgPool { kernel: [2, 2], stride: [2, 2], padding: [1, 1, 1, 1], count_include_pad: false };
        let x = [4.0, 8.0, 12.0, 16.0];
        assert_eq!(eval_pool(&pool, &x, &shape, &shape), x);
        pool.count_include_pad = true;
        assert_eq!(eval_pool(&pool, &x, &shape, &shape), [1.0, 2.0, 3.0, 4.0]);
    }
}
