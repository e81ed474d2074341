//! Computes what does not depend on the encrypted input: constants and the
//! arithmetic on shapes that exporters spell out.

use super::import::{Importer, Value};
use super::node::{Failure, Node, axis};
use super::ops::reshape::{new_shape, permutation};
use super::tensor::TensorReader;
use crate::diag::{Code, Diagnostic};
use crate::front::weights::Tensor;
use crate::model::{MAX_ELEMENTS, permuted};
use std::{path::Path, sync::Arc};

/// The elements as integers.
pub(super) fn integers(tensor: &Tensor) -> Vec<i64> {
    tensor.values.iter().map(|&v| v as i64).collect()
}

/// The value of a node, if it is one of those computed here and does not
/// depend on the encrypted input.
pub(super) fn fold<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Option<Value>, Failure> {
    let tensor = match node.op() {
        "Constant" => constant(node)?,
        "Shape" => shape_of(node, importer.operand(node, 0)?)?,
        "Identity" | "Dropout" | "Cast" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose"
        | "Gather" | "Concat" | "Slice" | "ConstantOfShape" | "Add" | "Sub" | "Mul" | "Div" | "Pow"
        | "Neg" | "Sqrt" | "ReduceProd" => {
            let Some(operands) = constants(importer, node)? else { return Ok(None) };
            compute(importer, node, &operands)?
        }
        _ => return Ok(None),
    };
    importer.spend(node, tensor.values.len())?;
    Ok(Some(Value::Constant(Arc::new(tensor))))
}

/// The operands, if all are known.
fn constants<'a>(importer: &Importer<'a>, node: Node<'a>) -> Result<Option<Vec<Arc<Tensor>>>, Failure> {
    let mut operands = Vec::new();
    for n in 0..node.proto.input.len() {
        if node.input(n).is_empty() {
            continue;
        }
        match importer.operand(node, n)? {
            Value::Constant(tensor) => operands.push(tensor),
            Value::Flow(_) => return Ok(None),
            Value::Unknown => return Err(Failure::Operand),
        }
    }
    match operands.is_empty() {
        true => Err(node.problem(Code::UndefinedValue, "the node has no operands").into()),
        false => Ok(Some(operands)),
    }
}

fn compute<'a>(importer: &Importer<'a>, node: Node<'a>, operands: &[Arc<Tensor>]) -> Result<Tensor, Failure> {
    let x = &*operands[0];
    Ok(match node.op() {
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => {
            Tensor { shape: new_shape(importer, node, &x.shape)?, ..x.clone() }
        }
        "Transpose" => {
            let order = permutation(node, x.shape.len())?;
            let values = permuted(&x.shape, &order).iter().map(|&s| x.values[s]).collect();
            let shape = order.iter().map(|&axis| x.shape[axis]).collect();
            Tensor { shape, values, integral: x.integral }
        }
        "Cast" => cast(node, x),
        "Neg" => map(x, |v| -v),
        "Sqrt" => map(x, f64::sqrt),
        "ReduceProd" => list(vec![x.values.iter().product()]),
        "Gather" => gather(node, x, second(node, operands)?)?,
        "Concat" => concat(node, operands)?,
        "Slice" => slice(node, operands)?,
        "ConstantOfShape" => constant_of_shape(node, x)?,
        "Add" => zip(node, x, second(node, operands)?, |a, b| a + b)?,
        "Sub" => zip(node, x, second(node, operands)?, |a, b| a - b)?,
        "Mul" => zip(node, x, second(node, operands)?, |a, b| a * b)?,
        "Pow" => zip(node, x, second(node, operands)?, f64::powf)?,
        "Div" if x.integral => zip(node, x, second(node, operands)?, |a, b| (a / b).trunc())?,
        "Div" => zip(node, x, second(node, operands)?, |a, b| a / b)?,
        _ => x.clone(),
    })
}

fn second<'t>(node: Node<'_>, operands: &'t [Arc<Tensor>]) -> Result<&'t Tensor, Diagnostic> {
    operands.get(1).map(|tensor| &**tensor).ok_or_else(|| {
        node.problem(Code::UndefinedValue, format!("`{}` lacks its second operand", node.op()))
    })
}

fn unsupported(node: Node<'_>) -> Diagnostic {
    let title = format!("`{}` of constants in this form is not supported", node.op());
    node.problem(Code::UnsupportedOp, title)
        .help("simplify the model, for example with onnxsim, before compiling")
}

fn list(values: Vec<f64>) -> Tensor {
    Tensor { shape: vec![values.len()], values, integral: true }
}

fn map(x: &Tensor, f: impl Fn(f64) -> f64) -> Tensor {
    Tensor { values: x.values.iter().map(|&v| f(v)).collect(), ..x.clone() }
}

fn cast(node: Node<'_>, x: &Tensor) -> Tensor {
    let integral = !matches!(node.int("to", 1), 1 | 10 | 11 | 16);
    Tensor { integral, ..map(x, |v| if integral { v.trunc() } else { v }) }
}

fn constant(node: Node<'_>) -> Result<Tensor, Failure> {
    if let Some(tensor) = node.tensor("value") {
        let mut reader = TensorReader::new(Path::new(""), node.file);
        return Ok(reader.read(tensor, node.output())?);
    }
    if node.has("value_int") {
        let values = vec![node.int("value_int", 0) as f64];
        return Ok(Tensor { shape: vec![], values, integral: true });
    }
    if node.has("value_float") {
        let values = vec![node.float("value_float", 0.0)];
        return finite(node, Tensor { shape: vec![], values, integral: false });
    }
    if let Some(values) = node.ints("value_ints") {
        return Ok(list(values.iter().map(|&v| v as f64).collect()));
    }
    if let Some(values) = node.floats("value_floats") {
        let values = values.iter().map(|&v| f64::from(v)).collect();
        return finite(node, Tensor { integral: false, ..list(values) });
    }
    Err(unsupported(node).into())
}

fn finite(node: Node<'_>, tensor: Tensor) -> Result<Tensor, Failure> {
    match tensor.values.iter().all(|v| v.is_finite()) {
        true => Ok(tensor),
        false => Err(node.problem(Code::NotFinite, "a constant is NaN or infinite").into()),
    }
}

/// The `Shape` operator, with the range of axes that newer versions allow.
fn shape_of(node: Node<'_>, operand: Value) -> Result<Tensor, Failure> {
    let shape = match operand {
        Value::Constant(tensor) => tensor.shape.clone(),
        Value::Flow(flow) => flow.shape,
        Value::Unknown => return Err(Failure::Operand),
    };
    let rank = shape.len() as i64;
    let position = |given: i64| {
        let from_front = if given < 0 { given.saturating_add(rank) } else { given };
        from_front.clamp(0, rank) as usize
    };
    let (start, end) = (position(node.int("start", 0)), position(node.int("end", rank)));
    let part = shape.get(start..end).unwrap_or(&[]);
    Ok(list(part.iter().map(|&d| d as f64).collect()))
}

fn gather(node: Node<'_>, x: &Tensor, indices: &Tensor) -> Result<Tensor, Failure> {
    if x.shape.len() != 1 || node.int("axis", 0) != 0 {
        return Err(unsupported(node).into());
    }
    let element = |&index: &i64| axis(node, index, x.values.len()).map(|at| x.values[at]);
    let values: Result<Vec<f64>, Diagnostic> = integers(indices).iter().map(element).collect();
    Ok(Tensor { shape: indices.shape.clone(), values: values?, integral: x.integral })
}

fn concat(node: Node<'_>, operands: &[Arc<Tensor>]) -> Result<Tensor, Failure> {
    if operands.iter().any(|tensor| tensor.shape.len() != 1) {
        return Err(unsupported(node).into());
    }
    let n: usize = operands.iter().map(|tensor| tensor.values.len()).sum();
    if n > MAX_ELEMENTS {
        return Err(unsupported(node).into());
    }
    let values = operands.iter().flat_map(|tensor| tensor.values.iter().copied()).collect();
    Ok(Tensor { integral: operands[0].integral, ..list(values) })
}

/// A contiguous part of a list.
fn slice(node: Node<'_>, operands: &[Arc<Tensor>]) -> Result<Tensor, Failure> {
    let x = &*operands[0];
    let bound = |operand: usize, setting: &str| match node.ints(setting) {
        Some(&[bound]) => Some(bound),
        Some(_) => None,
        None => operands.get(operand).filter(|t| t.values.len() == 1).map(|t| t.values[0] as i64),
    };
    let step = bound(4, "steps").unwrap_or(1);
    let (Some(start), Some(end), 1, 1) = (bound(1, "starts"), bound(2, "ends"), x.shape.len(), step) else {
        return Err(unsupported(node).into());
    };
    let n = x.values.len() as i64;
    let position = |given: i64| {
        let from_front = if given < 0 { given.saturating_add(n) } else { given };
        from_front.clamp(0, n) as usize
    };
    let part = x.values.get(position(start)..position(end)).unwrap_or(&[]);
    Ok(Tensor { integral: x.integral, ..list(part.to_vec()) })
}

fn constant_of_shape(node: Node<'_>, x: &Tensor) -> Result<Tensor, Failure> {
    let fill = match node.tensor("value") {
        Some(tensor) => TensorReader::new(Path::new(""), node.file).read(tensor, node.output())?,
        None => Tensor { shape: vec![], values: vec![0.0], integral: false },
    };
    let extents: Option<Vec<usize>> = integers(x).iter().map(|&d| usize::try_from(d).ok()).collect();
    let product = |shape: &Vec<usize>| shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let n = extents.as_ref().and_then(product).filter(|&n| n <= MAX_ELEMENTS);
    match (extents, n, fill.values.first()) {
        (Some(shape), Some(n), Some(&value)) => {
            Ok(Tensor { shape, values: vec![value; n], integral: fill.integral })
        }
        (_, _, _) => Err(unsupported(node).into()),
    }
}

/// Element by element; one operand may be a single number.
fn zip(node: Node<'_>, x: &Tensor, y: &Tensor, f: impl Fn(f64, f64) -> f64) -> Result<Tensor, Failure> {
    let integral = x.integral && y.integral;
    let values = match (&x.values[..], &y.values[..]) {
        (a, b) if x.shape == y.shape => a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect(),
        (_, &[b]) => return Ok(Tensor { integral, ..map(x, |a| f(a, b)) }),
        (&[a], _) => return Ok(Tensor { integral, ..map(y, |b| f(a, b)) }),
        (_, _) => return Err(unsupported(node).into()),
    };
    Ok(Tensor { shape: x.shape.clone(), values, integral })
}
