//! Computes what does not depend on the encrypted input: constants and the
//! arithmetic on shapes that exporters spell out.

use super::import::{Importer, Value};
use super::node::{Failure, Node, axis};
use super::ops::reshape::{new_shape, permutation};
use super::tensor::TensorReader;
use crate::diag::{Code, Diagnostic};
use crate::front::weights::Tensor;
use crate::model::{MAX_ELEMENTS, permuted};
use hecc_ir::Shape;
use std::{path::Path, sync::Arc};

/// The elements as integers.
pub(super) fn integers(tensor: &Tensor) -> Vec<i64> {
    tensor.values.iter().map(|&v| v as i64).collect()
}

/// The value of a node, if it is one of those computed here and does not
/// depend on the encrypted input.
pub(super) fn fold<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Option<Value>, Failure> {
    let tensor = match node.op() {
        "Constant" => constant(importer, node)?,
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
    Ok(Some(Value::Constant(Arc::new(finite(node, tensor)?))))
}

/// Operands by their place; those that are left out are none.
type Operands = [Option<Arc<Tensor>>];

/// The operands, if all are known.
fn constants<'a>(
    importer: &Importer<'a>,
    node: Node<'a>,
) -> Result<Option<Vec<Option<Arc<Tensor>>>>, Failure> {
    let mut operands = Vec::new();
    for n in 0..node.proto.input.len() {
        if n > 0 && node.input(n).is_empty() {
            operands.push(None);
            continue;
        }
        match importer.operand(node, n)? {
            Value::Constant(tensor) => operands.push(Some(tensor)),
            Value::Flow(_) | Value::Padded(_) => return Ok(None),
            Value::Unknown => return Err(Failure::Operand),
        }
    }
    match operands.is_empty() {
        true => Err(node.problem(Code::UndefinedValue, "the node has no operands").into()),
        false => Ok(Some(operands)),
    }
}

fn compute<'a>(importer: &Importer<'a>, node: Node<'a>, operands: &Operands) -> Result<Tensor, Failure> {
    let x = operand(node, operands, 0)?;
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
        "Cast" => cast(node, x)?,
        "Neg" => map(x, |v| -v),
        "Sqrt" => map(x, f64::sqrt),
        "ReduceProd" => product(node, x, operands)?,
        "Gather" => gather(node, x, operand(node, operands, 1)?)?,
        "Concat" => concat(node, operands)?,
        "Slice" => slice(node, operands)?,
        "ConstantOfShape" => constant_of_shape(node, x)?,
        "Add" => zip(node, x, operand(node, operands, 1)?, |a, b| a + b)?,
        "Sub" => zip(node, x, operand(node, operands, 1)?, |a, b| a - b)?,
        "Mul" => zip(node, x, operand(node, operands, 1)?, |a, b| a * b)?,
        "Pow" => zip(node, x, operand(node, operands, 1)?, f64::powf)?,
        "Div" if x.integral => zip(node, x, operand(node, operands, 1)?, |a, b| (a / b).trunc())?,
        "Div" => zip(node, x, operand(node, operands, 1)?, |a, b| a / b)?,
        _ => x.clone(),
    })
}

fn operand<'t>(node: Node<'_>, operands: &'t Operands, n: usize) -> Result<&'t Tensor, Diagnostic> {
    let operand = operands.get(n).and_then(Option::as_deref);
    operand
        .ok_or_else(|| node.problem(Code::UndefinedValue, format!("`{}` lacks operand {}", node.op(), n + 1)))
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

/// To floating point, to truth values, or to integers that hold the numbers.
fn cast(node: Node<'_>, x: &Tensor) -> Result<Tensor, Diagnostic> {
    let (least, largest) = match node.int("to", 0) {
        1 | 10 | 11 | 16 => return Ok(Tensor { integral: false, ..x.clone() }),
        9 => return Ok(Tensor { integral: true, ..map(x, |v| f64::from(u8::from(v != 0.0))) }),
        2 => (0.0, f64::from(u8::MAX)),
        3 => (f64::from(i8::MIN), f64::from(i8::MAX)),
        4 => (0.0, f64::from(u16::MAX)),
        5 => (f64::from(i16::MIN), f64::from(i16::MAX)),
        6 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        // Larger ones are not exact here.
        7 => (-MAX_EXACT, MAX_EXACT),
        12 => (0.0, f64::from(u32::MAX)),
        13 => (0.0, MAX_EXACT),
        _ => return Err(unsupported(node)),
    };
    match x.values.iter().all(|v| (least..=largest).contains(&v.trunc())) {
        true => Ok(Tensor { integral: true, ..map(x, f64::trunc) }),
        false => Err(unsupported(node)),
    }
}

/// Up to here, every integer is a number of double precision.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The product of a list.
fn product(node: Node<'_>, x: &Tensor, operands: &Operands) -> Result<Tensor, Diagnostic> {
    let axes = match (node.ints("axes"), operands.get(1).and_then(Option::as_deref)) {
        (Some(axes), None) => axes.to_vec(),
        (None, Some(axes)) => integers(axes),
        (None, None) => vec![0],
        (Some(_), Some(_)) => return Err(unsupported(node)),
    };
    if x.shape.len() != 1 || !matches!(axes[..], [0 | -1]) {
        return Err(unsupported(node));
    }
    let shape = if node.int("keepdims", 1) == 0 { Vec::new() } else { vec![1] };
    Ok(Tensor { shape, values: vec![x.values.iter().product()], integral: x.integral })
}

fn constant<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Tensor, Failure> {
    if node.proto.attribute.len() != 1 {
        return Err(unsupported(node).into());
    }
    if let Some(tensor) = node.tensor("value") {
        return Ok(importer.reader.read(tensor, node.output())?);
    }
    if node.has("value_int") {
        let values = vec![node.int("value_int", 0) as f64];
        return Ok(Tensor { shape: vec![], values, integral: true });
    }
    if node.has("value_float") {
        let values = vec![node.float("value_float", 0.0)];
        return Ok(Tensor { shape: vec![], values, integral: false });
    }
    if let Some(values) = node.ints("value_ints") {
        return Ok(list(values.iter().map(|&v| v as f64).collect()));
    }
    if let Some(values) = node.floats("value_floats") {
        let values = values.iter().map(|&v| f64::from(v)).collect();
        return Ok(Tensor { integral: false, ..list(values) });
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
        Value::Padded(_) | Value::Unknown => return Err(Failure::Operand),
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
    if !indices.integral {
        return Err(node.problem(Code::BadParameter, "the indices are no integers").into());
    }
    let element = |&index: &i64| axis(node, index, x.values.len()).map(|at| x.values[at]);
    let values: Result<Vec<f64>, Diagnostic> = integers(indices).iter().map(element).collect();
    Ok(Tensor { shape: indices.shape.clone(), values: values?, integral: x.integral })
}

fn concat(node: Node<'_>, operands: &Operands) -> Result<Tensor, Failure> {
    let operands: Vec<&Tensor> = operands.iter().flatten().map(|tensor| &**tensor).collect();
    if operands.iter().any(|tensor| tensor.shape.len() != 1) || !matches!(node.int("axis", 0), 0 | -1) {
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
fn slice(node: Node<'_>, operands: &Operands) -> Result<Tensor, Failure> {
    let x = operand(node, operands, 0)?;
    let given = |n: usize, setting: &str| {
        let operand = operands.get(n).and_then(Option::as_deref).map(integers);
        node.ints(setting).map(<[i64]>::to_vec).or(operand)
    };
    let bound = |n: usize, setting: &str| match given(n, setting)?[..] {
        [bound] => Some(bound),
        [..] => None,
    };
    let is_first = given(3, "axes").is_none_or(|axes| matches!(axes[..], [0 | -1]));
    let is_whole = given(4, "steps").is_none_or(|steps| steps == [1]);
    let is_list = x.shape.len() == 1 && is_first && is_whole;
    let (Some(start), Some(end), true) = (bound(1, "starts"), bound(2, "ends"), is_list) else {
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
        // One element is never stored elsewhere.
        Some(tensor) if tensor.data_location != 0 => return Err(unsupported(node).into()),
        Some(tensor) => TensorReader::new(Path::new(""), node.file).read(tensor, node.output())?,
        None => Tensor { shape: vec![], values: vec![0.0], integral: false },
    };
    let extents: Option<Vec<usize>> = integers(x).iter().map(|&d| usize::try_from(d).ok()).collect();
    let n = extents.as_deref().and_then(Shape::count).filter(|&n| n <= MAX_ELEMENTS);
    match (extents, n, &fill.values[..]) {
        (Some(shape), Some(n), &[value]) if x.shape.len() == 1 => {
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
        (_, &[b]) if y.shape.len() <= x.shape.len() => return Ok(Tensor { integral, ..map(x, |a| f(a, b)) }),
        (&[a], _) if x.shape.len() <= y.shape.len() => return Ok(Tensor { integral, ..map(y, |b| f(a, b)) }),
        (_, _) => return Err(unsupported(node).into()),
    };
    Ok(Tensor { shape: x.shape.clone(), values, integral })
}
