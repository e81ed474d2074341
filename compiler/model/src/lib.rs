//! A neural network as the compiler sees it: layers with shapes and weights.
//!
//! Front ends build a [`Model`], everything after them reads it. Layers are in
//! dependency order. Tensors have no batch axis: an image is
//! `[channels, height, width]`, a vector `[features]`.

mod builder;
mod eval;
mod fold;
mod narrow;
mod nonlinear;
mod shape;

pub use builder::ModelBuilder;
pub use fold::permuted;
pub use hecc_ir::Shape;
pub use narrow::Width;
pub use nonlinear::Nonlinear;
pub use shape::{MAX_ELEMENTS, ShapeError, result_shape, within_limits};

use serde::{Deserialize, Serialize};

/// Handle of a layer; index into [`Model::layers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LayerId(pub usize);

/// A network with one encrypted input and one encrypted output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name for files and messages.
    pub name: String,
    /// Layers, operands before users; the first is the input.
    pub layers: Vec<Layer>,
    /// The layer whose value is the prediction.
    pub output: LayerId,
}

/// One layer and the shape of its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Unique name, for messages and circuit dumps.
    pub name: String,
    /// What it computes.
    pub kind: LayerKind,
    /// Layers it reads.
    pub inputs: Vec<LayerId>,
    /// Shape of its result.
    pub shape: Shape,
}

/// What a layer computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LayerKind {
    /// The encrypted input; every element lies within `range`.
    Input {
        /// Smallest and largest element.
        range: (f64, f64),
    },
    /// Cross-correlation over `[channels, height, width]`.
    Conv(Conv),
    /// Matrix-vector product over a flat vector.
    Dense(Dense),
    /// Mean over windows.
    AvgPool(AvgPool),
    /// `x * scale[c] + shift[c]` per channel (the first axis): batch
    /// normalisation at inference, products and sums with constants.
    Affine {
        /// Factor per channel.
        scale: Vec<f64>,
        /// Summand per channel.
        shift: Vec<f64>,
    },
    /// `c0 + c1 x + c2 x^2 + ...` on every element.
    Polynomial {
        /// Coefficients, constant first; the last is not zero.
        coefficients: Vec<f64>,
    },
    /// Largest element of windows. Has no encrypted form.
    MaxPool(MaxPool),
    /// A function of every element that is no polynomial. Has no encrypted form.
    Nonlinear(Nonlinear),
    /// Element-wise sum of two layers of equal shape.
    Add,
    /// Moves elements without computing: element `i` of the result is element
    /// `source[i]` of the operand (row-major). Flatten and reshape are the
    /// identity, transpose is not.
    Move {
        /// Source element of each result element.
        source: Vec<usize>,
    },
}

/// A convolution; weights are row-major `[out, in / groups, kh, kw]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Weights.
    pub weight: Vec<f64>,
    /// Shape of `weight`.
    pub weight_shape: [usize; 4],
    /// One summand per output channel; empty for none.
    pub bias: Vec<f64>,
    /// Rows and columns the window moves by.
    pub stride: [usize; 2],
    /// Zeros added: top, left, bottom, right.
    pub padding: [usize; 4],
    /// Distance between taps.
    pub dilation: [usize; 2],
    /// Independent groups of channels.
    pub groups: usize,
}

/// A fully connected layer; weights are row-major `[out, in]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dense {
    /// Weights.
    pub weight: Vec<f64>,
    /// One summand per output; empty for none.
    pub bias: Vec<f64>,
}

/// An average pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AvgPool {
    /// Window rows and columns.
    pub kernel: [usize; 2],
    /// Rows and columns the window moves by.
    pub stride: [usize; 2],
    /// Zeros added: top, left, bottom, right.
    pub padding: [usize; 4],
    /// Whether padded zeros count in the mean.
    pub count_include_pad: bool,
}

/// A maximum pool; padding never is the largest element.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaxPool {
    /// Window rows and columns.
    pub kernel: [usize; 2],
    /// Rows and columns the window moves by.
    pub stride: [usize; 2],
    /// Elements added: top, left, bottom, right.
    pub padding: [usize; 4],
}

impl LayerKind {
    /// Whether the layer has an encrypted form.
    pub fn is_he_friendly(&self) -> bool {
        !matches!(self, LayerKind::MaxPool(_) | LayerKind::Nonlinear(_))
    }
}

impl Model {
    /// The layer behind a handle.
    pub fn layer(&self, id: LayerId) -> &Layer {
        &self.layers[id.0]
    }

    /// The input layer and its range.
    pub fn input(&self) -> (LayerId, (f64, f64)) {
        let found = self.layers.iter().enumerate().find_map(|(i, layer)| match layer.kind {
            LayerKind::Input { range } => Some((LayerId(i), range)),
            _ => None,
        });
        found.expect("a model has an input layer")
    }
}
