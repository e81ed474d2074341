//! Activations that are no polynomials, for models that training will change.

use super::super::import::{Flow, Importer, Value};
use super::super::node::{Failure, Node};
use super::super::polynomial::{Coefficient, Polynomial};
use crate::diag::Diagnostic;
use crate::model::{LayerId, LayerKind, Nonlinear};
use std::f64::consts::FRAC_1_SQRT_2;

/// How far the factor within GELU's `Erf` may be from the exact one, for constants of few bits.
const FACTOR_TOLERANCE: f64 = 1e-3;

/// An activation of every element of the operand.
pub(super) fn nonlinear<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let function = function(node)?;
    let (x, shape) = importer.layer(node, 0)?;
    apply(importer, node, function, x, shape)
}

fn function(node: Node<'_>) -> Result<Nonlinear, Diagnostic> {
    match node.op() {
        "Relu" => Ok(Nonlinear::Relu),
        "Sigmoid" => Ok(Nonlinear::Sigmoid),
        "Tanh" => Ok(Nonlinear::Tanh),
        "Gelu" if matches!(node.text("approximate"), b"" | b"none" | b"tanh") => Ok(Nonlinear::Gelu),
        "Gelu" => Err(node.unsupported("this approximation", "choose `none` or `tanh`")),
        "Swish" if node.float("alpha", 1.0) == 1.0 => Ok(Nonlinear::Silu),
        "Swish" => Err(node.unsupported("an alpha other than one", "use SiLU, or another activation")),
        other => unreachable!("`{other}` is accepted but not built"),
    }
}

fn apply<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    function: Nonlinear,
    x: LayerId,
    shape: Vec<usize>,
) -> Result<Value, Failure> {
    let base = importer.push(node, LayerKind::Nonlinear(function), &[x], None)?;
    Ok(Value::Flow(Flow { base, polynomial: Polynomial::identity(), shape, exclusive: true }))
}

/// `erf(x / sqrt 2)`, of which only GELU can be made. A layer stands for it that must not
/// be needed in the end; `None` where the operand is another.
pub(super) fn erf<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Option<Value>, Failure> {
    let flow = importer.flow(node, 0)?;
    match multiple(&flow) {
        Some(factor) if (factor - FRAC_1_SQRT_2).abs() < FACTOR_TOLERANCE => {
            let base = importer.push(node, LayerKind::Nonlinear(Nonlinear::Gelu), &[flow.base], None)?;
            importer.erfs.insert(base, node);
            let polynomial = Polynomial::identity();
            Ok(Some(Value::Flow(Flow { base, polynomial, shape: flow.shape, exclusive: false })))
        }
        Some(_) | None => Ok(None),
    }
}

/// The factor, if the value is a multiple of its layer.
fn multiple(flow: &Flow) -> Option<f64> {
    match flow.polynomial.as_uniform()?[..] {
        [0.0, factor] => Some(factor),
        [..] => None,
    }
}

/// `x * (1 + erf(x / sqrt 2))`, which is twice GELU, of multiples of both.
fn gelu<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    x: &Flow,
    gate: &Flow,
) -> Result<Option<Value>, Failure> {
    let is_gate = importer.erfs.contains_key(&gate.base) && importer.builder.inputs(gate.base) == [x.base];
    let factors = multiple(x).zip(gate.polynomial.as_uniform()).filter(|_| is_gate);
    let factor = match factors.as_ref().map(|(x, gate)| (*x, &gate[..])) {
        Some((x, [one, erf])) if one == erf => 2.0 * x * one,
        Some(_) | None => return Ok(None),
    };
    let Value::Flow(flow) = apply(importer, node, Nonlinear::Gelu, x.base, x.shape.clone())? else {
        return Ok(None);
    };
    let n = importer.builder.shape(flow.base).n_elements();
    let polynomial = flow.polynomial.mul(&Polynomial::constant(Coefficient::uniform(factor)), n);
    Ok(Some(Value::Flow(Flow { polynomial, ..flow })))
}

/// `a * b` where one is the sigmoid of the other, or one and the error function of the
/// other; none if neither is. The layers of these are left to their other readers.
pub(super) fn gated<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    a: Flow,
    b: Flow,
) -> Result<Option<Value>, Failure> {
    for (x, gate) in [(&a, &b), (&b, &a)] {
        if let Some(found) = gelu(importer, node, x, gate)? {
            return Ok(Some(found));
        }
    }
    let x = match (is_gate(importer, &b, &a), is_gate(importer, &a, &b)) {
        (true, _) => a,
        (false, true) => b,
        (false, false) => return Ok(None),
    };
    apply(importer, node, Nonlinear::Silu, x.base, x.shape).map(Some)
}

/// Whether `gate` is the sigmoid of `x`.
fn is_gate(importer: &Importer<'_>, gate: &Flow, x: &Flow) -> bool {
    let is_sigmoid = *importer.builder.kind(gate.base) == LayerKind::Nonlinear(Nonlinear::Sigmoid);
    let are_layers = gate.polynomial.is_identity() && x.polynomial.is_identity();
    is_sigmoid && are_layers && importer.builder.inputs(gate.base) == [x.base]
}
