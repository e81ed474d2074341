//! Matrices of convolutions. Their rows are made when they are asked for: a weight stands
//! in one row for each pixel of a result.

use crate::model::{AvgPool, Conv};
use std::ops::Range;

/// A convolution as a matrix from images `[c, h, w]` to images `[c, h, w]`, row-major.
#[derive(Clone, Debug)]
pub(super) struct Convolution {
    input: [usize; 3],
    output: [usize; 3],
    in_per_group: usize,
    out_per_group: usize,
    /// `[output channel, input channel of its group, y, x]`, row-major.
    weights: Vec<f64>,
    axes: [Axis; 2],
    n_nonzeros: usize,
}

/// How a window moves along rows or columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Before the first pixel; behind the last there is as much as results reach.
    padding: usize,
}

impl Axis {
    /// Taps that read a pixel and no padding, of the window at a position.
    fn taps(self, position: usize, extent: usize) -> Range<usize> {
        let start = position * self.stride;
        let first = self.padding.saturating_sub(start).div_ceil(self.dilation);
        let end = (extent + self.padding).saturating_sub(start).div_ceil(self.dilation).min(self.kernel);
        first.min(end)..end
    }

    fn pixel(self, position: usize, tap: usize) -> usize {
        position * self.stride + tap * self.dilation - self.padding
    }

    /// Positions below `n` at which a tap reads a pixel.
    fn n_uses(self, tap: usize, n: usize, extent: usize) -> usize {
        (0..n).filter(|&position| self.taps(position, extent).contains(&tap)).count()
    }

    /// Windows side by side that cover everything.
    fn tiles(self, n: usize, extent: usize) -> bool {
        let Axis { kernel, stride, dilation, padding } = self;
        kernel == stride && (dilation, padding) == (1, 0) && n * stride == extent
    }

    /// This window over means of `tile` pixels each, in pixels.
    fn over(self, tile: Axis) -> Axis {
        let times = |n: usize| n.saturating_mul(tile.stride);
        Axis {
            kernel: times(self.kernel),
            stride: times(self.stride),
            dilation: 1,
            padding: times(self.padding),
        }
    }
}

impl Convolution {
    /// Of a layer from `input` to `output`.
    pub(super) fn of(conv: &Conv, input: [usize; 3], output: [usize; 3]) -> Convolution {
        let [out_channels, in_per_group, kernel_h, kernel_w] = conv.weight_shape;
        let axis = |axis: usize, kernel: usize| Axis {
            kernel,
            stride: conv.stride[axis],
            dilation: conv.dilation[axis],
            padding: conv.padding[axis],
        };
        let uncounted = Convolution {
            input,
            output,
            in_per_group,
            out_per_group: out_channels / conv.groups,
            weights: conv.weight.clone(),
            axes: [axis(0, kernel_h), axis(1, kernel_w)],
            n_nonzeros: 0,
        };
        uncounted.counted()
    }

    /// Of a pool whose windows are full.
    pub(super) fn of_pool(pool: &AvgPool, input: [usize; 3], output: [usize; 3]) -> Convolution {
        let [kernel_h, kernel_w] = pool.kernel;
        let mean = 1.0 / (kernel_h * kernel_w) as f64;
        let depthwise = Conv {
            weight: vec![mean; input[0] * kernel_h * kernel_w],
            weight_shape: [input[0], 1, kernel_h, kernel_w],
            bias: Vec::new(),
            stride: pool.stride,
            padding: [0; 4],
            dilation: [1; 2],
            groups: input[0],
        };
        Convolution::of(&depthwise, input, output)
    }

    fn counted(mut self) -> Convolution {
        let [uses_y, uses_x] = [0, 1].map(|axis| {
            let count = |tap| self.axes[axis].n_uses(tap, self.output[axis + 1], self.input[axis + 1]);
            (0..self.axes[axis].kernel).map(count).collect::<Vec<usize>>()
        });
        let uses = uses_y.iter().flat_map(|y| uses_x.iter().map(move |x| y * x)).cycle();
        let used = self.weights.iter().zip(uses).filter(|(weight, _)| **weight != 0.0);
        self.n_nonzeros = used.map(|(_, uses)| uses).sum();
        self
    }

    pub(super) fn n_rows(&self) -> usize {
        self.output.iter().product()
    }

    pub(super) fn n_cols(&self) -> usize {
        self.input.iter().product()
    }

    pub(super) fn n_nonzeros(&self) -> usize {
        self.n_nonzeros
    }

    /// As [`Matrix::row`](super::Matrix::row).
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let [_, height, width] = self.output;
        let (channel, y, x) = (row / (height * width), row / width % height, row % width);
        let ([_, in_height, in_width], [axis_y, axis_x]) = (self.input, self.axes);
        let (taps_y, taps_x) = (axis_y.taps(y, in_height), axis_x.taps(x, in_width));
        let first_in = channel / self.out_per_group * self.in_per_group;
        let lines = (0..self.in_per_group).flat_map(move |i| taps_y.clone().map(move |tap| (i, tap)));
        let entries = lines.flat_map(move |(i, tap_y)| {
            let weights = ((channel * self.in_per_group + i) * axis_y.kernel + tap_y) * axis_x.kernel;
            let cols = ((first_in + i) * in_height + axis_y.pixel(y, tap_y)) * in_width;
            let entry = move |tap: usize| (cols + axis_x.pixel(x, tap), self.weights[weights + tap]);
            taps_x.clone().map(entry)
        });
        entries.filter(|(_, weight)| *weight != 0.0)
    }

    /// With row `r` multiplied by `factor(r)`, when that is the same for all pixels of a channel.
    pub(super) fn scale_rows(&self, factor: impl Fn(usize) -> f64) -> Option<Convolution> {
        let plane = self.output[1] * self.output[2];
        let of_channel = |channel: usize| {
            let first = factor(channel * plane);
            (channel * plane..(channel + 1) * plane).all(|row| factor(row) == first).then_some(first)
        };
        let factors = (0..self.output[0]).map(of_channel).collect::<Option<Vec<f64>>>()?;
        let mut scaled = self.clone();
        let of_one = self.weights.len() / self.output[0].max(1);
        for (weights, factor) in scaled.weights.chunks_mut(of_one.max(1)).zip(factors) {
            weights.iter_mut().for_each(|weight| *weight *= factor);
        }
        Some(scaled.counted())
    }

    /// The convolution that applies `tiles` and then this one, when `tiles` reads every pixel once, channel
    /// by channel, as pools do.
    pub(super) fn after(&self, tiles: &Convolution) -> Option<Convolution> {
        let covers = |axis: usize| tiles.axes[axis].tiles(tiles.output[axis + 1], tiles.input[axis + 1]);
        let by_channel = (tiles.in_per_group, tiles.out_per_group) == (1, 1);
        let is_dense = self.axes.iter().all(|axis| axis.dilation == 1);
        if !(by_channel && is_dense && covers(0) && covers(1)) || self.input != tiles.output {
            return None;
        }
        let axes = [0, 1].map(|axis| self.axes[axis].over(tiles.axes[axis]));
        let ([here_y, here_x], [tile_y, tile_x]) = (self.axes, tiles.axes);
        let weight = |index: usize| {
            let (line, x) = (index / axes[1].kernel, index % axes[1].kernel);
            let (pair, y) = (line / axes[0].kernel, line % axes[0].kernel);
            let (channel, i) = (pair / self.in_per_group, pair % self.in_per_group);
            let read = channel / self.out_per_group * self.in_per_group + i;
            let outer = (pair * here_y.kernel + y / tile_y.kernel) * here_x.kernel + x / tile_x.kernel;
            let inner = (read * tile_y.kernel + y % tile_y.kernel) * tile_x.kernel + x % tile_x.kernel;
            self.weights[outer] * tiles.weights[inner]
        };
        let n_weights = self.weights.len() * tile_y.kernel * tile_x.kernel;
        let weights = (0..n_weights).map(weight).collect();
        let Convolution { output, in_per_group, out_per_group, n_nonzeros, .. } = *self;
        let input = tiles.input;
        Some(Convolution { input, output, in_per_group, out_per_group, weights, axes, n_nonzeros }.counted())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::matrix::Matrix;
    use super::*;

    /// A convolution of 4 channels in 2 groups, with zero weights among others.
    fn conv(input: [usize; 3], output: [usize; 3], [stride, dilation, padding]: [usize; 3]) -> Convolution {
        let weight = (0..6 * 2 * 9).map(|i| (i % 7) as f64 - 2.0).collect();
        let conv = Conv {
            weight,
            weight_shape: [6, 2, 3, 3],
            bias: Vec::new(),
            stride: [stride; 2],
            padding: [padding; 4],
            dilation: [dilation; 2],
            groups: 2,
        };
        Convolution::of(&conv, input, output)
    }

    fn pool(kernel: [usize; 2], input: [usize; 3]) -> Convolution {
        let pool = AvgPool { kernel, stride: kernel, padding: [0; 4], count_include_pad: true };
        let output = [input[0], input[1] / kernel[0], input[2] / kernel[1]];
        Convolution::of_pool(&pool, input, output)
    }

    fn listed(conv: &Convolution) -> Matrix {
        Matrix::from_rows(conv.n_cols(), (0..conv.n_rows()).map(|row| conv.row(row).collect()))
    }

    fn rows(matrix: &Matrix) -> Vec<Vec<(usize, f64)>> {
        (0..matrix.n_rows()).map(|row| matrix.row(row).collect()).collect()
    }

    #[test]
    fn nonzeros_are_those_of_the_rows() {
        let shapes = [([4, 5, 7], [6, 5, 7], [1, 1, 1]), ([4, 9, 8], [6, 3, 2], [2, 2, 0])];
        for (input, output, moves) in shapes {
            let conv = conv(input, output, moves);
            assert_eq!(conv.n_nonzeros(), listed(&conv).n_nonzeros());
            assert!((0..conv.n_rows()).all(|row| conv.row(row).is_sorted_by_key(|entry| entry.0)));
        }
    }

    #[test]
    fn scaled_channels_are_scaled_rows() {
        let conv = conv([4, 5, 7], [6, 5, 7], [1, 1, 1]);
        let by_channel = |row: usize| (row / 35) as f64 - 1.0;
        let scaled = conv.scale_rows(by_channel).unwrap();
        assert_eq!(rows(&listed(&scaled)), rows(&listed(&conv).scale_rows(by_channel)));
        assert_eq!(scaled.n_nonzeros(), listed(&scaled).n_nonzeros());
        assert!(conv.scale_rows(|row| row as f64).is_none());
    }

    #[test]
    fn a_convolution_after_a_pool_is_one() {
        for (kernel, moves, output) in [([2, 3], [1, 1, 1], [6, 4, 4]), ([3, 2], [2, 1, 0], [6, 1, 1])] {
            let tiles = pool(kernel, [4, 4 * kernel[0], 4 * kernel[1]]);
            let conv = conv([4, 4, 4], output, moves);
            let both = conv.after(&tiles).unwrap();
            assert_eq!(rows(&listed(&both)), rows(&listed(&conv).after(&listed(&tiles))));
        }
        let overhanging = pool([2, 2], [4, 9, 8]);
        assert!(conv([4, 4, 4], [6, 4, 4], [1, 1, 1]).after(&overhanging).is_none());
    }
}
