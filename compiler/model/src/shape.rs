//! Shapes of layers: the one place where they are computed and checked.
//!
//! [`result_shape`] is what front ends call while they build a model,
//! [`Model::check`] repeats it for a finished one.

use crate::{Conv, Dense, LayerId, LayerKind, Model};
use hecc_ir::Shape;
use std::collections::HashSet;

/// Most elements a value inside a network may have.
pub const MAX_ELEMENTS: usize = 1 << 26;
/// Largest stride, padding or dilation.
pub const MAX_STEP: usize = 1 << 16;

/// Why a layer is impossible.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ShapeError {
    /// Wrong number of operands.
    #[error("expects {expected} operands, has {found}")]
    Arity {
        /// Operands it takes.
        expected: usize,
        /// Operands it was given.
        found: usize,
    },
    /// Operand of the wrong rank.
    #[error("expects {expected}, is given a tensor of shape {found}")]
    Rank {
        /// The form it takes, in words.
        expected: &'static str,
        /// What it was given.
        found: Shape,
    },
    /// Weights and operand disagree.
    #[error("{what}: expected {expected}, found {found}")]
    Extent {
        /// Which extent.
        what: &'static str,
        /// Value that would fit.
        expected: usize,
        /// Value there is.
        found: usize,
    },
    /// The window does not fit the padded image.
    #[error("window of {window} along the {axis} exceeds the padded extent {extent}")]
    Window {
        /// `height` or `width`.
        axis: &'static str,
        /// Extent of the dilated window.
        window: usize,
        /// Extent of the padded image.
        extent: usize,
    },
    /// Two operands should have equal shapes.
    #[error("shapes {0} and {1} differ")]
    Differ(Shape, Shape),
    /// A setting that must be positive or bounded is not.
    #[error("{what} of {value} is out of range")]
    Parameter {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: usize,
    },
    /// A value beyond [`MAX_ELEMENTS`].
    #[error("a tensor of shape {0} has more than {MAX_ELEMENTS} elements")]
    TooLarge(Shape),
    /// More weights in all than a model may have.
    #[error("takes the model beyond {0} weights and moved elements")]
    TooManyWeights(usize),
    /// A number is NaN or infinite.
    #[error("{0} holds NaN or an infinite number")]
    NotFinite(&'static str),
    /// A polynomial without a leading coefficient.
    #[error("the leading coefficient must not be zero")]
    LeadingZero,
    /// An input range that is empty or unbounded.
    #[error("the input range {0}..{1} is empty or unbounded")]
    Range(f64, f64),
    /// The stated shape is not the computed one.
    #[error("is said to have shape {stated} but has {computed}")]
    Stated {
        /// In the model.
        stated: Shape,
        /// From its operands.
        computed: Shape,
    },
    /// Reads a layer that does not come before it.
    #[error("reads a layer that does not come before it")]
    Order,
    /// Two layers share a name.
    #[error("another layer has the same name")]
    Name,
}

/// Shape of what `kind` computes from operands of the given shapes. `stated`
/// is the shape of kinds that choose their own (inputs and moves) and must
/// agree with the computed one for the rest if it is given.
pub fn result_shape(
    kind: &LayerKind,
    operands: &[&Shape],
    stated: Option<&Shape>,
) -> Result<Shape, ShapeError> {
    arity(kind, operands)?;
    let computed = match (kind, operands) {
        (LayerKind::Input { range }, _) => input_shape(*range, stated)?,
        (LayerKind::Conv(conv), [x, ..]) => conv_shape(conv, x)?,
        (LayerKind::Dense(dense), [x, ..]) => dense_shape(dense, x)?,
        (LayerKind::AvgPool(pool), [x, ..]) => pool_shape(pool.kernel, pool.stride, pool.padding, x)?,
        (LayerKind::MaxPool(pool), [x, ..]) => pool_shape(pool.kernel, pool.stride, pool.padding, x)?,
        (LayerKind::Nonlinear(_), [x, ..]) => (*x).clone(),
        (LayerKind::Affine { scale, shift }, [x, ..]) => affine_shape(scale, shift, x)?,
        (LayerKind::Polynomial { coefficients }, [x, ..]) => polynomial_shape(coefficients, x)?,
        (LayerKind::Add, [a, b, ..]) => add_shape(a, b)?,
        (LayerKind::Move { source }, [x, ..]) => move_shape(source, x, stated)?,
        (_, _) => unreachable!("arity was checked"),
    };
    within_limits(&computed)?;
    match stated {
        Some(stated) if *stated != computed => Err(ShapeError::Stated { stated: stated.clone(), computed }),
        Some(_) | None => Ok(computed),
    }
}

impl LayerKind {
    /// Operands this kind takes.
    pub fn n_operands(&self) -> usize {
        match self {
            LayerKind::Input { .. } => 0,
            LayerKind::Add => 2,
            LayerKind::Conv(_)
            | LayerKind::Dense(_)
            | LayerKind::AvgPool(_)
            | LayerKind::Affine { .. }
            | LayerKind::Polynomial { .. }
            | LayerKind::MaxPool(_)
            | LayerKind::Nonlinear(_)
            | LayerKind::Move { .. } => 1,
        }
    }
}

fn arity(kind: &LayerKind, operands: &[&Shape]) -> Result<(), ShapeError> {
    match kind.n_operands() == operands.len() {
        true => Ok(()),
        false => Err(ShapeError::Arity { expected: kind.n_operands(), found: operands.len() }),
    }
}

/// Refuses empty tensors and tensors beyond [`MAX_ELEMENTS`].
pub fn within_limits(shape: &Shape) -> Result<(), ShapeError> {
    if shape.0.contains(&0) {
        return Err(ShapeError::Parameter { what: "extent", value: 0 });
    }
    match shape.checked_elements() {
        Some(n) if n <= MAX_ELEMENTS => Ok(()),
        Some(_) | None => Err(ShapeError::TooLarge(shape.clone())),
    }
}

fn input_shape(range: (f64, f64), stated: Option<&Shape>) -> Result<Shape, ShapeError> {
    let (low, high) = range;
    if !(low.is_finite() && high.is_finite() && low < high) {
        return Err(ShapeError::Range(low, high));
    }
    Ok(stated.expect("an input states its shape").clone())
}

fn move_shape(source: &[usize], x: &Shape, stated: Option<&Shape>) -> Result<Shape, ShapeError> {
    let stated = stated.expect("a move states its shape");
    within_limits(stated)?;
    equal("elements of the result", source.len(), stated.n_elements())?;
    match source.iter().find(|&&s| s >= x.n_elements()) {
        Some(&value) => Err(ShapeError::Parameter { what: "source element", value }),
        None => Ok(stated.clone()),
    }
}

fn image(x: &Shape) -> Result<[usize; 3], ShapeError> {
    let expected = "an image [channels, height, width]";
    x.0.as_slice().try_into().map_err(|_| ShapeError::Rank { expected, found: x.clone() })
}

fn conv_shape(conv: &Conv, x: &Shape) -> Result<Shape, ShapeError> {
    let [channels, height, width] = image(x)?;
    let [out, per_group, kernel_rows, kernel_columns] = conv.weight_shape;
    positive("groups", &[conv.groups])?;
    positive("weight extent", &conv.weight_shape)?;
    within_limits(&Shape(conv.weight_shape.to_vec()))?;
    equal("input channels", per_group.saturating_mul(conv.groups), channels)?;
    if out % conv.groups != 0 {
        return Err(ShapeError::Parameter { what: "groups", value: conv.groups });
    }
    equal("number of weights", conv.weight_shape.iter().product(), conv.weight.len())?;
    bias_fits(&conv.bias, out)?;
    finite("the weight", &conv.weight)?;
    positive("dilation", &conv.dilation)?;
    let [top, left, bottom, right] = conv.padding;
    let rows = Axis { name: "height", extent: height, before: top, after: bottom };
    let columns = Axis { name: "width", extent: width, before: left, after: right };
    let window_rows = dilated(kernel_rows, conv.dilation[0]);
    let window_columns = dilated(kernel_columns, conv.dilation[1]);
    let result_rows = rows.windows(window_rows, conv.stride[0])?;
    Ok(Shape(vec![out, result_rows, columns.windows(window_columns, conv.stride[1])?]))
}

fn pool_shape(
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
    x: &Shape,
) -> Result<Shape, ShapeError> {
    let [channels, height, width] = image(x)?;
    positive("kernel", &kernel)?;
    let [top, left, bottom, right] = padding;
    // A window that lies wholly in the padding has no mean, and no largest element.
    for (padding, kernel) in [(top.max(bottom), kernel[0]), (left.max(right), kernel[1])] {
        if padding >= kernel {
            return Err(ShapeError::Parameter { what: "padding", value: padding });
        }
    }
    let rows = Axis { name: "height", extent: height, before: top, after: bottom };
    let columns = Axis { name: "width", extent: width, before: left, after: right };
    let result_rows = rows.windows(kernel[0], stride[0])?;
    Ok(Shape(vec![channels, result_rows, columns.windows(kernel[1], stride[1])?]))
}

fn dense_shape(dense: &Dense, x: &Shape) -> Result<Shape, ShapeError> {
    let [features] = x.0[..] else {
        return Err(ShapeError::Rank { expected: "a vector [features]", found: x.clone() });
    };
    let outputs = dense.weight.len() / features.max(1);
    equal("number of weights", outputs * features, dense.weight.len())?;
    positive("number of weights", &[dense.weight.len()])?;
    bias_fits(&dense.bias, outputs)?;
    finite("the weight", &dense.weight)?;
    Ok(Shape(vec![outputs]))
}

fn affine_shape(scale: &[f64], shift: &[f64], x: &Shape) -> Result<Shape, ShapeError> {
    let Some(&channels) = x.0.first() else {
        return Err(ShapeError::Rank { expected: "at least one axis", found: x.clone() });
    };
    equal("factors", channels, scale.len())?;
    equal("summands", channels, shift.len())?;
    finite("the scale", scale)?;
    finite("the shift", shift)?;
    Ok(x.clone())
}

fn polynomial_shape(coefficients: &[f64], x: &Shape) -> Result<Shape, ShapeError> {
    finite("the polynomial", coefficients)?;
    match coefficients.last() {
        Some(&leading) if leading != 0.0 => Ok(x.clone()),
        Some(_) | None => Err(ShapeError::LeadingZero),
    }
}

fn add_shape(a: &Shape, b: &Shape) -> Result<Shape, ShapeError> {
    match a == b {
        true => Ok(a.clone()),
        false => Err(ShapeError::Differ(a.clone(), b.clone())),
    }
}

/// One axis of an image with its padding.
struct Axis {
    name: &'static str,
    extent: usize,
    before: usize,
    after: usize,
}

impl Axis {
    /// Positions of a window that moves by `stride`.
    fn windows(&self, window: usize, stride: usize) -> Result<usize, ShapeError> {
        positive("stride", &[stride])?;
        for value in [self.before, self.after] {
            if value > MAX_STEP {
                return Err(ShapeError::Parameter { what: "padding", value });
            }
        }
        let extent = self.extent + self.before + self.after;
        match extent.checked_sub(window) {
            Some(room) => Ok(room / stride + 1),
            None => Err(ShapeError::Window { axis: self.name, window, extent }),
        }
    }
}

fn dilated(kernel: usize, dilation: usize) -> usize {
    (kernel - 1).saturating_mul(dilation).saturating_add(1)
}

fn positive(what: &'static str, values: &[usize]) -> Result<(), ShapeError> {
    match values.iter().find(|&&value| value == 0) {
        Some(&value) => Err(ShapeError::Parameter { what, value }),
        None => Ok(()),
    }
}

fn equal(what: &'static str, expected: usize, found: usize) -> Result<(), ShapeError> {
    match expected == found {
        true => Ok(()),
        false => Err(ShapeError::Extent { what, expected, found }),
    }
}

fn bias_fits(bias: &[f64], outputs: usize) -> Result<(), ShapeError> {
    finite("the bias", bias)?;
    match bias.is_empty() {
        true => Ok(()),
        false => equal("length of the bias", outputs, bias.len()),
    }
}

fn finite(what: &'static str, values: &[f64]) -> Result<(), ShapeError> {
    match values.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err(ShapeError::NotFinite(what)),
    }
}

impl Model {
    /// Every broken promise of a model: shapes, weights, order, names.
    pub fn check(&self) -> Result<(), Vec<(LayerId, ShapeError)>> {
        let mut names = HashSet::new();
        let mut problems = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            let mut report = |error| problems.push((LayerId(i), error));
            if !names.insert(layer.name.as_str()) {
                report(ShapeError::Name);
            }
            if layer.inputs.iter().any(|input| input.0 >= i) {
                report(ShapeError::Order);
                continue;
            }
            let operands: Vec<_> = layer.inputs.iter().map(|&id| &self.layer(id).shape).collect();
            if let Err(error) = result_shape(&layer.kind, &operands, Some(&layer.shape)) {
                report(error);
            }
        }
        if self.output.0 >= self.layers.len() {
            problems.push((self.output, ShapeError::Order));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}
