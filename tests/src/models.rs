//! Random small models.
//!
//! A model is decoded from a list of numbers, so that shrinking the list
//! shrinks the model; every list decodes to a model that passes its checks.
//! Weights are scaled by fan-in and polynomials have small coefficients, so
//! that values stay near 1.

use hecc::model::{AvgPool, Conv, Dense, LayerId, LayerKind, Model, ModelBuilder};
use hecc_ir::{Shape, Tensor};
use proptest::prelude::*;

/// Most elements of a value inside a random model.
const MAX_ELEMENTS: usize = 400;
/// Most levels that the activations on a path take.
const MAX_ACTIVATION_DEPTH: u32 = 5;
/// Least magnitude of a leading coefficient.
const MIN_LEADING: f64 = 0.25;

/// Models of up to about eight layers.
pub fn models() -> impl Strategy<Value = Model> {
    proptest::collection::vec(any::<u32>(), 3..64).prop_map(|choices| model_from(&choices))
}

/// The model a list of choices stands for.
pub fn model_from(choices: &[u32]) -> Model {
    let mut decoder = Decoder { choices: choices.iter(), builder: ModelBuilder::new(), depth: Vec::new() };
    decoder.input();
    while decoder.choices.len() > 0 {
        decoder.layer();
    }
    let output = decoder.operand();
    decoder.builder.finish("random", output)
}

/// Reproducible numbers from -1 to 1.
pub fn values(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Reproducible input of a model.
pub fn input_for(model: &Model, seed: u64) -> Vec<f64> {
    let (input, (low, high)) = model.input();
    let n = model.layer(input).shape.n_elements();
    values(n, seed).into_iter().map(|x| low + (high - low) * (x + 1.0) / 2.0).collect()
}

/// Such elements as an input of a model.
pub fn tensor_for(model: &Model, values: &[f64]) -> Tensor {
    let (input, _) = model.input();
    let shape = model.layer(input).shape.clone();
    Tensor::new(shape, values.to_vec()).expect("as many elements as the input has")
}

struct Decoder<'a> {
    choices: std::slice::Iter<'a, u32>,
    builder: ModelBuilder,
    /// Levels of activations up to each layer.
    depth: Vec<u32>,
}

impl Decoder<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.choices.next().map_or(0, |&choice| choice as usize % bound)
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn numbers(&mut self, n: usize) -> Vec<f64> {
        let seed = self.below(1 << 31) as u64;
        values(n, seed)
    }

    fn input(&mut self) {
        let shape: &[usize] = match self.below(4) {
            0 => &[[3], [10], [33], [100]][self.below(4)],
            _ => {
                &[[1, 4, 4], [1, 6, 6], [2, 5, 3], [3, 4, 4], [2, 7, 7], [4, 8, 8], [5, 3, 3]][self.below(7)]
            }
        };
        let range = self.pick(&[(-1.0, 1.0), (0.0, 1.0)]);
        self.push(LayerKind::Input { range }, &[], Some(Shape(shape.to_vec())));
    }

    /// Adds a layer unless it is impossible, too large or too deep.
    fn push(&mut self, kind: LayerKind, operands: &[LayerId], stated: Option<Shape>) {
        let below = operands.iter().map(|id| self.depth[id.0]).max().unwrap_or(0);
        let depth = below + levels(&kind);
        let shapes: Vec<&Shape> = operands.iter().map(|&id| self.builder.shape(id)).collect();
        let Ok(shape) = hecc::model::result_shape(&kind, &shapes, stated.as_ref()) else { return };
        if depth > MAX_ACTIVATION_DEPTH || shape.n_elements() > MAX_ELEMENTS {
            return;
        }
        self.builder.push("layer", kind, operands, stated).expect("the shape was computed");
        self.depth.push(depth);
    }

    /// Mostly the last layer, else an earlier one.
    fn operand(&mut self) -> LayerId {
        let n = self.depth.len();
        let back = self.pick(&[0, 0, 0, 0, 0, 1, 2, 3]);
        LayerId(n - 1 - back.min(n - 1))
    }

    fn layer(&mut self) {
        let x = self.operand();
        match self.below(16) {
            0..=3 => self.conv(x),
            4..=6 => self.dense(x),
            7 | 8 => self.pool(x),
            9 => self.affine(x),
            10..=12 => self.polynomial(x),
            13 => self.add(x),
            _ => self.movement(x),
        }
    }

    fn extents(&self, x: LayerId) -> Vec<usize> {
        self.builder.shape(x).0.clone()
    }

    /// Weights with a pattern of zeros: none, scattered, blocks, a tail, all.
    fn weights(&mut self, n: usize, fan_in: usize) -> Vec<f64> {
        let size = 1.5 / (fan_in.max(1) as f64).sqrt();
        let pattern = self.below(9);
        let block = 1 + self.below(12);
        let kept = |i: usize| match pattern {
            0..=3 => true,
            4 => i.is_multiple_of(block),
            5 => (i / block).is_multiple_of(2),
            6 => i < n / 3,
            7 => i >= n / 2,
            _ => false,
        };
        let numbers = self.numbers(n);
        numbers.into_iter().enumerate().map(|(i, x)| if kept(i) { x * size } else { 0.0 }).collect()
    }

    fn bias(&mut self, n: usize) -> Vec<f64> {
        if self.below(2) == 0 { Vec::new() } else { self.numbers(n) }
    }

    fn conv(&mut self, x: LayerId) {
        let &[channels, ..] = self.extents(x).as_slice() else { return };
        let groups = self.pick(&[1, 1, 1, channels]);
        let out = groups * (1 + self.below(4));
        let kernel = self.pick(&[[3, 3], [1, 1], [2, 2], [2, 3], [3, 1], [5, 5]]);
        let weight_shape = [out, channels / groups, kernel[0], kernel[1]];
        let conv = Conv {
            weight: self.weights(weight_shape.iter().product(), channels / groups * kernel[0] * kernel[1]),
            weight_shape,
            bias: self.bias(out),
            stride: self.pick(&[[1, 1], [1, 1], [2, 2], [1, 2], [3, 1]]),
            padding: self.pick(&[[0; 4], [0; 4], [1; 4], [2, 0, 1, 2]]),
            dilation: self.pick(&[[1, 1], [1, 1], [1, 1], [2, 1]]),
            groups,
        };
        self.push(LayerKind::Conv(conv), &[x], None);
    }

    fn dense(&mut self, x: LayerId) {
        let x = self.flattened(x);
        let n = self.builder.shape(x).n_elements();
        let outputs = self.pick(&[1, 3, 10, 16, 30, 70]);
        let dense = Dense { weight: self.weights(n * outputs, n), bias: self.bias(outputs) };
        self.push(LayerKind::Dense(dense), &[x], None);
    }

    fn flattened(&mut self, x: LayerId) -> LayerId {
        let n = self.builder.shape(x).n_elements();
        if self.extents(x).len() == 1 {
            return x;
        }
        self.push(LayerKind::Move { source: (0..n).collect() }, &[x], Some(Shape(vec![n])));
        LayerId(self.depth.len() - 1)
    }

    fn pool(&mut self, x: LayerId) {
        let pool = AvgPool {
            kernel: self.pick(&[[2, 2], [2, 2], [3, 3], [1, 2], [3, 2], [1, 1]]),
            stride: self.pick(&[[2, 2], [2, 2], [1, 1], [3, 3], [2, 1]]),
            padding: self.pick(&[[0; 4], [0; 4], [0, 1, 0, 0], [1; 4]]),
            count_include_pad: self.below(2) == 1,
        };
        self.push(LayerKind::AvgPool(pool), &[x], None);
    }

    fn affine(&mut self, x: LayerId) {
        let Some(&channels) = self.extents(x).first() else { return };
        let scale = match self.below(3) {
            0 => vec![-0.5; channels],
            1 => self.weights(channels, 1),
            _ => self.numbers(channels),
        };
        let shift = if self.below(2) == 0 { vec![0.0; channels] } else { self.numbers(channels) };
        self.push(LayerKind::Affine { scale, shift }, &[x], None);
    }

    fn polynomial(&mut self, x: LayerId) {
        let degree = self.pick(&[2, 2, 2, 2, 1, 3, 4, 5, 6, 7, 0]);
        let mut coefficients = match self.below(3) {
            0 => vec![0.0; degree + 1],
            1 => self.numbers(degree + 1),
            _ => self.weights(degree + 1, 2),
        };
        let leading = &mut coefficients[degree];
        *leading = if *leading == 0.0 { 1.0 } else { MIN_LEADING.max(leading.abs()).copysign(*leading) };
        self.push(LayerKind::Polynomial { coefficients }, &[x], None);
    }

    fn add(&mut self, x: LayerId) {
        let alike: Vec<LayerId> = (0..self.depth.len())
            .map(LayerId)
            .filter(|&y| self.builder.shape(y) == self.builder.shape(x))
            .collect();
        let y = self.pick(&alike);
        self.push(LayerKind::Add, &[x, y], None);
    }

    /// Reshapes, permutes, selects or repeats elements.
    fn movement(&mut self, x: LayerId) {
        let n = self.builder.shape(x).n_elements();
        let identity: Vec<usize> = (0..n).collect();
        let (source, extents) = match self.below(6) {
            0 => (identity, vec![n]),
            1 => (identity, self.image_of(n)),
            2 => (identity.into_iter().rev().collect(), self.extents(x)),
            3 => (identity.iter().map(|i| i * 7 % n).collect(), self.image_of(n)),
            4 => (identity[..n.div_ceil(2)].to_vec(), vec![n.div_ceil(2)]),
            _ => (identity.iter().flat_map(|&i| [i, i]).collect(), self.image_of(2 * n)),
        };
        self.push(LayerKind::Move { source }, &[x], Some(Shape(extents)));
    }

    /// Extents of an image of `n` elements.
    fn image_of(&mut self, n: usize) -> Vec<usize> {
        let widths: Vec<usize> = [1, 2, 3, 4, 5, 6, 8].into_iter().filter(|w| n.is_multiple_of(*w)).collect();
        let width = self.pick(&widths);
        let heights: Vec<usize> =
            [1, 2, 3, 4, 5, 6, 8].into_iter().filter(|h| (n / width).is_multiple_of(*h)).collect();
        let height = self.pick(&heights);
        vec![n / width / height, height, width]
    }
}

fn levels(kind: &LayerKind) -> u32 {
    match kind {
        LayerKind::Polynomial { coefficients } => (coefficients.len() - 1).next_power_of_two().ilog2(),
        LayerKind::Input { .. }
        | LayerKind::Conv(_)
        | LayerKind::Dense(_)
        | LayerKind::AvgPool(_)
        | LayerKind::Affine { .. }
        | LayerKind::MaxPool(_)
        | LayerKind::Nonlinear(_)
        | LayerKind::Add
        | LayerKind::Move { .. } => 0,
    }
}
