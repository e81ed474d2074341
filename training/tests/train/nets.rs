//! Small networks and small data.

use hecc_ir::Shape;
use hecc_model::{AvgPool, Conv, Dense, LayerId, LayerKind, MaxPool, Model, ModelBuilder, Nonlinear};
use hecc_train::{Flow, Progress, Recipe, Samples, Trainee};

/// A chain of layers under construction, with weights from a seed.
pub struct Net {
    pub builder: ModelBuilder,
    pub at: LayerId,
    pub rng: fastrand::Rng,
}

impl Net {
    pub fn new(extents: &[usize], seed: u64) -> Net {
        let mut builder = ModelBuilder::new();
        let range = LayerKind::Input { range: (-1.0, 1.0) };
        let at = builder.push("x", range, &[], Some(Shape(extents.to_vec()))).unwrap();
        Net { builder, at, rng: fastrand::Rng::with_seed(seed) }
    }

    /// The layers of a model, to be added to.
    pub fn of(model: &Model) -> Net {
        let mut builder = ModelBuilder::new();
        for layer in &model.layers {
            let stated = Some(layer.shape.clone());
            builder.push(&layer.name, layer.kind.clone(), &layer.inputs, stated).unwrap();
        }
        Net { builder, at: model.output, rng: fastrand::Rng::with_seed(0) }
    }

    pub fn shape(&self) -> &[usize] {
        &self.builder.shape(self.at).0
    }

    pub fn finish(self) -> Model {
        self.builder.finish("small", self.at)
    }

    /// Adds a layer where it fits.
    pub fn try_push(mut self, name: &str, kind: LayerKind) -> Net {
        self.at = self.builder.push(name, kind, &[self.at], None).unwrap_or(self.at);
        self
    }

    pub fn push(self, name: &str, kind: LayerKind) -> Net {
        let before = self.at;
        let after = self.try_push(name, kind);
        assert_ne!(before, after.at, "{name} does not fit");
        after
    }

    /// Numbers of `f32` up to a magnitude, none of them zero.
    pub fn numbers(&mut self, n: usize, largest: f64) -> Vec<f64> {
        let draw = |rng: &mut fastrand::Rng| (rng.f64() * 2.0 - 1.0) * largest;
        (0..n).map(|_| f64::from(draw(&mut self.rng) as f32)).collect()
    }

    pub fn flat(mut self) -> Net {
        let n = self.shape().iter().product();
        let kind = LayerKind::Move { source: (0..n).collect() };
        self.at = self.builder.push("flat", kind, &[self.at], Some(Shape(vec![n]))).unwrap();
        self
    }

    pub fn dense(mut self, name: &str, n_outputs: usize) -> Net {
        let n_inputs = self.shape()[0];
        let weight = self.numbers(n_outputs * n_inputs, (3.0 / n_inputs as f64).sqrt());
        let bias = self.numbers(n_outputs, 0.1);
        self.push(name, LayerKind::Dense(Dense { weight, bias }))
    }

    /// A convolution that keeps the extents of images.
    pub fn conv(mut self, name: &str, n_channels: usize) -> Net {
        let weight_shape = [n_channels, self.shape()[0], 3, 3];
        let n = weight_shape.iter().product();
        let weight = self.numbers(n, (3.0 * n_channels as f64 / n as f64).sqrt());
        let (stride, padding, dilation) = ([1, 1], [1, 1, 1, 1], [1, 1]);
        let bias = self.numbers(n_channels, 0.1);
        let conv = Conv { weight, weight_shape, bias, stride, padding, dilation, groups: 1 };
        self.push(name, LayerKind::Conv(conv))
    }

    pub fn affine(mut self, name: &str) -> Net {
        let n = self.shape()[0];
        let (scale, shift) = (self.numbers(n, 2.0), self.numbers(n, 0.5));
        self.push(name, LayerKind::Affine { scale, shift })
    }

    pub fn nonlinear(self, name: &str, function: Nonlinear) -> Net {
        self.push(name, LayerKind::Nonlinear(function))
    }

    pub fn polynomial(self, name: &str, coefficients: &[f64]) -> Net {
        self.push(name, LayerKind::Polynomial { coefficients: coefficients.to_vec() })
    }

    pub fn max_pool(self, name: &str) -> Net {
        self.push(name, LayerKind::MaxPool(MaxPool { kernel: [2, 2], stride: [2, 2], padding: [0; 4] }))
    }

    pub fn avg_pool(self, name: &str) -> Net {
        let count_include_pad = true;
        let pool = AvgPool { kernel: [2, 2], stride: [2, 2], padding: [0; 4], count_include_pad };
        self.push(name, LayerKind::AvgPool(pool))
    }
}

/// Two dense layers for [`vectors`].
pub fn two_layers(seed: u64) -> Model {
    Net::new(&[12], seed).dense("first", 16).nonlinear("relu", Nonlinear::Relu).dense("second", 3).finish()
}

/// Images `[1, 6, 6]` of noise; the class says which two rows are bright.
pub fn images(n: usize, seed: u64) -> Samples {
    samples(n, &[1, 6, 6], seed, |at, label| if at / 12 == label { 0.5 } else { 0.0 })
}

/// Vectors of noise, of which only the element at the label is large.
pub fn vectors(n: usize, seed: u64) -> Samples {
    samples(n, &[12], seed, |at, label| if at == label { 1.0 } else { 0.0 })
}

fn samples(n: usize, shape: &[usize], seed: u64, element: impl Fn(usize, usize) -> f32) -> Samples {
    let mut rng = fastrand::Rng::with_seed(seed);
    let labels: Vec<usize> = (0..n).map(|_| rng.usize(0..3)).collect();
    let n_elements: usize = shape.iter().product();
    let places = labels.iter().flat_map(|&label| (0..n_elements).map(move |at| (at, label)));
    let elements = places.map(|(at, label)| element(at, label) + 0.5 * (rng.f32() - 0.5)).collect();
    Samples { shape: Shape(shape.to_vec()), elements, labels }
}

/// A recipe that learns either kind of data.
pub fn recipe(epochs: usize) -> Recipe {
    Recipe { epochs, batch: 16, rate: 1e-2, ..Recipe::default() }
}

pub fn go_on(_: Progress) -> Flow {
    Flow::Continue
}

/// A trainee that has learnt some samples.
pub fn trained(model: Model, samples: &Samples) -> Trainee {
    let mut trainee = Trainee::new(model);
    trainee.fit(samples, &recipe(6), None, &mut go_on).unwrap();
    trainee
}

/// The weights of a convolution or dense layer.
pub fn weights<'a>(model: &'a Model, name: &str) -> &'a [f64] {
    let layer = model.layers.iter().find(|layer| layer.name == name).unwrap();
    match &layer.kind {
        LayerKind::Conv(conv) => &conv.weight,
        LayerKind::Dense(dense) => &dense.weight,
        kind => panic!("{kind:?} has no weights"),
    }
}
