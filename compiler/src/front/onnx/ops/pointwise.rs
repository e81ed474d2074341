//! Sums, products and powers, element by element.

use super::super::import::{Flow, Importer, Value};
use super::super::node::{Failure, Node};
use super::super::polynomial::{Coefficient, Polynomial};
use super::activation;
use crate::diag::{Code, Diagnostic};
use crate::front::weights::Tensor;
use crate::model::LayerKind;
use hecc_ir::Shape;

/// Highest degree that products are written out to.
const MAX_DEGREE: usize = 63;
/// Highest degree that a power of a sum is written out to; beyond it, the sum
/// becomes a layer of its own.
const MAX_EXPANDED: usize = 8;
/// Largest tensor that constants other than by channel may be combined with.
const MAX_ELEMENTWISE: usize = 1 << 22;

/// `p(x)` where the operand is `x`.
pub(super) fn substitute<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    mut flow: Flow,
    affine: &Polynomial,
) -> Result<Value, Failure> {
    let zero = Coefficient::uniform(0.0);
    let [scale, shift] = [1_usize, 0].map(|power| affine.coefficients.get(power).unwrap_or(&zero).clone());
    flow.exclusive = importer.stays_exclusive(node, 0, &flow);
    let scaled = multiplied(importer, node, flow, &Polynomial::constant(scale))?;
    added(importer, node, scaled, &Polynomial::constant(shift)).map(Value::Flow)
}

/// A flow times a polynomial of the same layer. The work is accounted for before it is done.
fn multiplied<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    flow: Flow,
    factor: &Polynomial,
) -> Result<Flow, Failure> {
    let n = importer.builder.shape(flow.base).n_elements();
    importer.spend(node, flow.polynomial.product_work(factor, n))?;
    Ok(Flow { polynomial: flow.polynomial.mul(factor, n), ..flow })
}

/// A flow plus a polynomial of the same layer, accounted for likewise.
fn added<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    flow: Flow,
    summand: &Polynomial,
) -> Result<Flow, Failure> {
    let n = importer.builder.shape(flow.base).n_elements();
    importer.spend(node, flow.polynomial.sum_work(summand, n))?;
    Ok(Flow { polynomial: flow.polynomial.add(summand, n), ..flow })
}

/// The operands of a binary operator, of which at least one is a flow.
enum Operands {
    FlowConstant(Flow, Coefficient),
    ConstantFlow(Coefficient, Flow),
    Flows(Flow, Flow),
}

fn operands<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Operands, Failure> {
    match (importer.operand(node, 0)?, importer.operand(node, 1)?) {
        (Value::Flow(mut x), Value::Constant(c)) => {
            x.exclusive = importer.stays_exclusive(node, 0, &x);
            let c = broadcast(importer, node, &x, &c)?;
            Ok(Operands::FlowConstant(x, c))
        }
        (Value::Constant(c), Value::Flow(mut x)) => {
            x.exclusive = importer.stays_exclusive(node, 1, &x);
            let c = broadcast(importer, node, &x, &c)?;
            Ok(Operands::ConstantFlow(c, x))
        }
        (Value::Flow(x), Value::Flow(y)) => {
            if x.shape != y.shape {
                let (a, b) = (Shape(x.shape), Shape(y.shape));
                let title = format!("`{}` of shapes {a} and {b}", node.op());
                let help = "encrypted operands must have equal shapes";
                return Err(node.problem(Code::ShapeMismatch, title).help(help).into());
            }
            Ok(Operands::Flows(x, y))
        }
        (Value::Constant(_), Value::Constant(_)) => {
            let title = format!("`{}` of two constants is not computed", node.op());
            let help = "simplify the model, for example with onnxsim, before compiling";
            Err(node.problem(Code::UnsupportedOp, title).help(help).into())
        }
        (Value::Flow(_) | Value::Constant(_) | Value::Padded(_) | Value::Unknown, _) => Err(Failure::Operand),
    }
}

/// A constant as a number per block of a flow's elements.
fn broadcast<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    flow: &Flow,
    constant: &Tensor,
) -> Result<Coefficient, Failure> {
    if let [value] = constant.values[..]
        && constant.shape.len() <= flow.shape.len()
    {
        return Ok(Coefficient::uniform(value));
    }
    let mismatch = || {
        let (c, x) = (Shape(constant.shape.clone()), Shape(flow.shape.clone()));
        let title = format!("a constant of shape {c} does not broadcast to {x}");
        let help = "constants must be scalars, by channel, or shaped like one sample";
        Failure::from(node.problem(Code::ShapeMismatch, title).help(help))
    };
    let missing = flow.shape.len().checked_sub(constant.shape.len()).ok_or_else(mismatch)?;
    let mut shape = vec![1; missing];
    shape.extend(&constant.shape);
    let n_batch = if importer.batch > 1 { 1 } else { 0 };
    let fits = |(axis, (c, x)): (usize, (&usize, &usize))| *c == 1 || (c == x && axis >= n_batch);
    if !shape.iter().zip(&flow.shape).enumerate().all(fits) {
        return Err(mismatch());
    }
    // Axes after the last that varies make up one block.
    let n_varying = shape.iter().rposition(|&c| c > 1).map_or(0, |last| last + 1);
    let extents = &flow.shape[n_batch.min(n_varying)..n_varying];
    let Some(n_blocks) = Shape::count(extents).filter(|&n| n <= MAX_ELEMENTWISE) else {
        let title = "a constant differs in too many elements";
        return Err(node.problem(Code::TensorTooLarge, title).into());
    };
    importer.spend(node, n_blocks)?;
    Ok(Coefficient::blocks(repeat(constant, &shape[n_batch.min(n_varying)..n_varying], extents)))
}

/// Elements of `constant` (of shape `from`) spread over `to`.
fn repeat(constant: &Tensor, from: &[usize], to: &[usize]) -> Vec<f64> {
    let n: usize = to.iter().product();
    let source = |mut at: usize| {
        let (mut index, mut stride) = (0, 1);
        for (&c, &extent) in from.iter().zip(to).rev() {
            index += if c == 1 { 0 } else { at % extent * stride };
            stride *= c;
            at /= extent;
        }
        constant.values[index]
    };
    (0..n).map(source).collect()
}

/// `a + b + ...`.
pub(super) fn sum<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    if node.proto.input.len() != 2 {
        return Err(node.unsupported("other than two operands", "write it as `Add` nodes").into());
    }
    match operands(importer, node)? {
        Operands::FlowConstant(x, c) | Operands::ConstantFlow(c, x) => {
            added(importer, node, x, &Polynomial::constant(c)).map(Value::Flow)
        }
        Operands::Flows(x, y) => flow_sum(importer, node, x, y),
    }
}

/// `a - b`.
pub(super) fn difference<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let minus = Polynomial::constant(Coefficient::uniform(-1.0));
    match operands(importer, node)? {
        Operands::FlowConstant(x, c) => {
            let negative = Coefficient::blocks(c.values.iter().map(|v| -v).collect());
            added(importer, node, x, &Polynomial::constant(negative)).map(Value::Flow)
        }
        Operands::ConstantFlow(c, x) => {
            let negative = multiplied(importer, node, x, &minus)?;
            added(importer, node, negative, &Polynomial::constant(c)).map(Value::Flow)
        }
        Operands::Flows(x, y) => {
            let mut negative = multiplied(importer, node, y, &minus)?;
            negative.exclusive = importer.stays_exclusive(node, 1, &negative);
            flow_sum(importer, node, x, negative)
        }
    }
}

fn flow_sum<'a>(importer: &mut Importer<'a>, node: Node<'a>, x: Flow, y: Flow) -> Result<Value, Failure> {
    if x.base == y.base {
        let sum = added(importer, node, x, &y.polynomial)?;
        return Ok(Value::Flow(Flow { exclusive: false, ..sum }));
    }
    let shape = x.shape.clone();
    let a = importer.materialise(node, &operand_name(node, 0), x)?.base;
    let b = importer.materialise(node, &operand_name(node, 1), y)?.base;
    let base = importer.push(node, LayerKind::Add, &[a, b], None)?;
    Ok(Value::Flow(Flow { base, polynomial: Polynomial::identity(), shape, exclusive: true }))
}

/// Name for a layer that an operand of a node needs.
fn operand_name(node: Node<'_>, n: usize) -> String {
    node.input(n).to_owned()
}

/// `a * b`.
pub(super) fn product<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    match operands(importer, node)? {
        Operands::FlowConstant(x, c) | Operands::ConstantFlow(c, x) => {
            multiplied(importer, node, x, &Polynomial::constant(c)).map(Value::Flow)
        }
        Operands::Flows(x, _) if node.input(0) == node.input(1) => raise(importer, node, x, 2),
        Operands::Flows(x, y) if x.base != y.base => {
            activation::gated(importer, node, x, y)?.ok_or_else(|| two_values(node).into())
        }
        Operands::Flows(x, y) => {
            let degree = x.polynomial.degree() + y.polynomial.degree();
            if degree > MAX_DEGREE {
                return Err(too_high(node, degree).into());
            }
            let product = multiplied(importer, node, x, &y.polynomial)?;
            Ok(Value::Flow(Flow { exclusive: false, ..product }))
        }
    }
}

fn two_values(node: Node<'_>) -> Diagnostic {
    let title = "two different encrypted values are multiplied";
    let help = "only polynomials of one value, such as x * x, are supported; gates and attention are not";
    node.problem(Code::EncryptedProduct, title).help(help)
}

fn too_high(node: Node<'_>, degree: usize) -> Diagnostic {
    let title = format!("a polynomial of degree {degree}");
    let help = format!("the limit is {MAX_DEGREE}; encrypted depth grows with the degree");
    node.problem(Code::BadParameter, title).help(help)
}

/// `a / c`.
pub(super) fn quotient<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let Operands::FlowConstant(x, c) = operands(importer, node)? else {
        let title = "division by an encrypted value";
        let help = "multiply by a constant, or approximate the reciprocal by a polynomial";
        return Err(node.problem(Code::NotHeFriendly, title).help(help).into());
    };
    if c.values.contains(&0.0) {
        return Err(node.problem(Code::BadParameter, "division by zero").into());
    }
    let inverse = Coefficient::blocks(c.values.iter().map(|v| 1.0 / v).collect());
    multiplied(importer, node, x, &Polynomial::constant(inverse)).map(Value::Flow)
}

/// `-a`.
pub(super) fn negation<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let flow = importer.flow(node, 0)?;
    let minus = Polynomial::affine(Coefficient::uniform(-1.0), Coefficient::uniform(0.0));
    substitute(importer, node, flow, &minus)
}

/// `a` to a constant, natural power.
pub(super) fn power<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let flow = importer.flow(node, 0)?;
    let exponents = importer.constant(node, 1)?;
    let natural = |&e: &f64| (1.0..=MAX_DEGREE as f64).contains(&e) && e.fract() == 0.0;
    match exponents.values[..] {
        [exponent] if natural(&exponent) && exponents.shape.len() <= flow.shape.len() => {
            raise(importer, node, flow, exponent as usize)
        }
        [..] => {
            let title = match exponents.values[..] {
                [exponent] => format!("an encrypted value to the power {exponent}"),
                ref all => format!("an encrypted value to {} different powers", all.len()),
            };
            let help = format!("exponents may be one whole number from 1 to {MAX_DEGREE}");
            Err(node.problem(Code::NotHeFriendly, title).help(help).into())
        }
    }
}

/// A power of operand 0. A sum that would be written out to a high degree, or
/// to factors by channel, becomes a layer first.
fn raise<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    mut flow: Flow,
    exponent: usize,
) -> Result<Value, Failure> {
    let degree = flow.polynomial.degree() * exponent;
    let highest = if flow.polynomial.is_monomial() { MAX_DEGREE } else { MAX_EXPANDED };
    let is_linear = flow.polynomial.degree() == 1 && !flow.polynomial.is_identity();
    flow.exclusive = importer.stays_exclusive(node, 0, &flow);
    if degree > highest || (is_linear && importer.is_worth_a_layer(&flow)) {
        flow = importer.materialise(node, node.input(0), flow)?;
        importer.values.insert(node.input(0), Value::Flow(flow.clone()));
    }
    let factor = flow.polynomial.clone();
    for _ in 1..exponent {
        flow = multiplied(importer, node, flow, &factor)?;
    }
    Ok(Value::Flow(Flow { exclusive: false, ..flow }))
}
