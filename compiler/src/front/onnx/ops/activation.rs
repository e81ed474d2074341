//! Activations that are no polynomials, for models that training will change.

use super::super::import::{Flow, Importer, Value};
use super::super::node::{Failure, Node};
use super::super::polynomial::Polynomial;
use crate::diag::Diagnostic;
use crate::model::{LayerId, LayerKind, Nonlinear};

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

/// `a * b` where one is the sigmoid of the other; none if neither is. The
/// sigmoid's layer is left to its other readers.
pub(super) fn gated<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    a: Flow,
    b: Flow,
) -> Result<Option<Value>, Failure> {
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
