//! Products with constant matrices, and batch normalisation.

use super::super::import::{Importer, Value};
use super::super::node::{Failure, Node};
use super::super::polynomial::{Coefficient, Polynomial};
use super::pointwise;
use crate::diag::Code;
use crate::front::weights::Tensor;
use crate::model::{Dense, LayerKind};
use hecc_ir::Shape;

/// `alpha * x * w + beta * c`.
pub(super) fn gemm<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    if node.int("transA", 0) != 0 {
        return Err(node.unsupported("transA", "transpose the weights instead").into());
    }
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    let weight = matrix(importer, node, node.int("transB", 0) == 0)?;
    let outputs = weight.shape[0];
    let bias = match importer.optional(node, 2)? {
        Some(bias) => row(node, &bias, outputs)?.iter().map(|b| b * beta).collect(),
        None => Vec::new(),
    };
    let values: Vec<f64> = weight.values.iter().map(|w| w * alpha).collect();
    dense(importer, node, values, weight.shape[1], bias)
}

/// `x * w`.
pub(super) fn mat_mul<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let weight = matrix(importer, node, true)?;
    dense(importer, node, weight.values, weight.shape[1], Vec::new())
}

/// The second operand as `[out, in]`; in the file it is `[in, out]` if
/// `inputs_first`.
fn matrix<'a>(importer: &mut Importer<'a>, node: Node<'a>, inputs_first: bool) -> Result<Tensor, Failure> {
    importer.flow(node, 0)?;
    let given = importer.constant(node, 1)?;
    let (&[rows, columns], false) = (&given.shape[..], given.values.is_empty()) else {
        let title = format!("the weight `{}` has shape {}", node.input(1), show(&given.shape));
        return Err(node.problem(Code::ShapeMismatch, title).help("expected a matrix").into());
    };
    importer.spend(node, given.values.len())?;
    if !inputs_first {
        return Ok((*given).clone());
    }
    let values = (0..given.values.len()).map(|i| given.values[i % rows * columns + i / rows]);
    let values = values.collect();
    Ok(Tensor { shape: vec![columns, rows], values, integral: given.integral })
}

fn dense<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    weight: Vec<f64>,
    inputs: usize,
    bias: Vec<f64>,
) -> Result<Value, Failure> {
    let (x, shape) = importer.layer(node, 0)?;
    if let [found] = importer.builder.shape(x).0[..]
        && found != inputs
    {
        let title = format!("the weight `{}` takes {inputs} features, {found} arrive", node.input(1));
        return Err(node.problem(Code::ShapeMismatch, title).into());
    }
    let kind = LayerKind::Dense(Dense { weight, bias });
    let layer = importer.push(node, kind, &[x], None)?;
    match (importer.fresh(layer), shape.len()) {
        // A vector without a batch stays one.
        (Value::Flow(mut flow), 1) => {
            flow.shape.remove(0);
            Ok(Value::Flow(flow))
        }
        (value, _) => Ok(value),
    }
}

/// A summand per output from any shape that broadcasts to one row.
fn row(node: Node<'_>, bias: &Tensor, outputs: usize) -> Result<Vec<f64>, Failure> {
    match bias.values.len() {
        1 => Ok(vec![bias.values[0]; outputs]),
        n if n == outputs && bias.shape.last() == Some(&n) => Ok(bias.values.clone()),
        _ => {
            let title = format!("a bias of shape {} for {outputs} outputs", show(&bias.shape));
            Err(node.problem(Code::ShapeMismatch, title).into())
        }
    }
}

fn show(shape: &[usize]) -> Shape {
    Shape(shape.to_vec())
}

/// `(x - mean) / sqrt(variance + epsilon) * gamma + beta`, by channel.
pub(super) fn batch_normalization<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    if node.int("spatial", 1) == 0 {
        return Err(node.unsupported("spatial = 0", "normalise by channel").into());
    }
    let flow = importer.flow(node, 0)?;
    let [batch, channels, ..] = flow.shape[..] else {
        let title =
            format!("`BatchNormalization` of a tensor of shape {}, without channels", show(&flow.shape));
        return Err(node.problem(Code::ShapeMismatch, title).help("expected [batch, channels, ...]").into());
    };
    if batch != importer.batch {
        let title = format!("the first axis of {} is not the batch of {}", show(&flow.shape), importer.batch);
        return Err(node.problem(Code::ShapeMismatch, title).help("keep the batch the first axis").into());
    }
    let mut parameters = Vec::new();
    for operand in 1..=4 {
        let values = importer.constant(node, operand)?;
        if values.values.len() != channels {
            let name = node.input(operand);
            let title = format!("`{name}` has {} elements for {channels} channels", values.values.len());
            return Err(node.problem(Code::ShapeMismatch, title).into());
        }
        parameters.push(values);
    }
    let epsilon = node.float("epsilon", 1e-5);
    let at = |operand: usize, channel: usize| parameters[operand].values[channel];
    let scale: Vec<f64> = (0..channels).map(|c| at(0, c) / (at(3, c) + epsilon).sqrt()).collect();
    let shift: Vec<f64> = (0..channels).map(|c| at(1, c) - at(2, c) * scale[c]).collect();
    if scale.iter().chain(&shift).any(|v| !v.is_finite()) {
        let title = "the variance is not positive";
        return Err(node.problem(Code::BadParameter, title).into());
    }
    let affine = Polynomial::affine(Coefficient::blocks(scale), Coefficient::blocks(shift));
    pointwise::substitute(importer, node, flow, &affine)
}
