//! Operators that only move elements.

use super::super::fold::integers;
use super::super::import::{Flow, Importer, Value};
use super::super::node::{Failure, Node, axis};
use super::super::polynomial::Polynomial;
use crate::diag::{Code, Diagnostic, list};
use crate::model::{LayerKind, permuted};
use hecc_ir::Shape;

/// A flow in another shape: a layer of its own if a sample's shape changes.
pub(super) fn reshape<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let flow = importer.flow(node, 0)?;
    let shape = new_shape(importer, node, &flow.shape)?;
    if importer.batch > 1 && shape.first() != Some(&importer.batch) {
        return Err(mixes_batch(node).into());
    }
    let sample = Shape(importer.sample_shape(&shape));
    if sample == *importer.builder.shape(flow.base) {
        let exclusive = importer.stays_exclusive(node, 0, &flow);
        return Ok(Value::Flow(Flow { shape, exclusive, ..flow }));
    }
    let (base, _) = importer.layer(node, 0)?;
    let source = (0..sample.n_elements()).collect();
    move_to(importer, node, base, source, shape)
}

fn move_to<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    base: crate::model::LayerId,
    source: Vec<usize>,
    shape: Vec<usize>,
) -> Result<Value, Failure> {
    importer.spend(node, source.len())?;
    let sample = Shape(importer.sample_shape(&shape));
    let base = importer.push(node, LayerKind::Move { source }, &[base], Some(sample))?;
    Ok(Value::Flow(Flow { base, polynomial: Polynomial::identity(), shape, exclusive: true }))
}

fn mixes_batch(node: Node<'_>) -> Diagnostic {
    let title = "elements of different samples are mixed";
    let help = "keep the batch the first axis, or export with a batch of one";
    node.problem(Code::UnsupportedOp, title).help(help)
}

/// Shape of a `Flatten`, `Reshape`, `Squeeze` or `Unsqueeze` node's result.
pub(in super::super) fn new_shape<'a>(
    importer: &Importer<'a>,
    node: Node<'a>,
    old: &[usize],
) -> Result<Vec<usize>, Failure> {
    match node.op() {
        "Flatten" => Ok(flatten(node, old)?),
        "Squeeze" => Ok(squeeze(node, old, stated(importer, node, "axes")?)?),
        "Unsqueeze" => Ok(unsqueeze(node, old, required(node, "axes", stated(importer, node, "axes")?)?)?),
        _ => Ok(reshaped(node, old, required(node, "shape", stated(importer, node, "shape")?)?)?),
    }
}

/// A list that newer operator sets take as an operand, older ones as a setting.
fn stated<'a>(importer: &Importer<'a>, node: Node<'a>, name: &str) -> Result<Option<Vec<i64>>, Failure> {
    let problem = |title: String| node.problem(Code::BadParameter, title).help("export the model again");
    match (node.ints(name), importer.optional(node, 1)?) {
        (Some(_), Some(_)) => {
            Err(problem(format!("`{name}` is given as a setting and as an operand")).into())
        }
        (Some(given), None) => Ok(Some(given.to_vec())),
        (None, Some(tensor)) if tensor.integral && tensor.shape.len() <= 1 => Ok(Some(integers(&tensor))),
        (None, Some(_)) => Err(problem(format!("`{}` is no list of integers", node.input(1))).into()),
        (None, None) => Ok(None),
    }
}

/// A list that has to be there.
fn required(node: Node<'_>, name: &str, given: Option<Vec<i64>>) -> Result<Vec<i64>, Diagnostic> {
    given.ok_or_else(|| {
        let title = format!("`{}` lacks `{name}`", node.op());
        node.problem(Code::UndefinedValue, title).help("export the model again")
    })
}

fn flatten(node: Node<'_>, old: &[usize]) -> Result<Vec<usize>, Diagnostic> {
    let given = node.int("axis", 1);
    let at = match given == old.len() as i64 {
        true => old.len(),
        false => axis(node, given, old.len())?,
    };
    Ok(vec![count(node, &old[..at])?, count(node, &old[at..])?])
}

/// Elements along some of a tensor's axes.
fn count(node: Node<'_>, extents: &[usize]) -> Result<usize, Diagnostic> {
    Shape::count(extents).ok_or_else(|| {
        let title = format!("the extents {} have too many elements", list(extents));
        node.problem(Code::TensorTooLarge, title)
    })
}

fn squeeze(node: Node<'_>, old: &[usize], axes: Option<Vec<i64>>) -> Result<Vec<usize>, Diagnostic> {
    let mut dropped: Vec<bool> = old.iter().map(|&d| axes.is_none() && d == 1).collect();
    for given in axes.unwrap_or_default() {
        let at = axis(node, given, old.len())?;
        if old[at] != 1 {
            let title = format!("axis {at} of {} is not one", Shape(old.to_vec()));
            return Err(node.problem(Code::ShapeMismatch, title));
        }
        dropped[at] = true;
    }
    Ok(old.iter().zip(dropped).filter(|(_, dropped)| !dropped).map(|(&d, _)| d).collect())
}

fn unsqueeze(node: Node<'_>, old: &[usize], axes: Vec<i64>) -> Result<Vec<usize>, Diagnostic> {
    const MAX_RANK: usize = 16;
    let rank = old.len() + axes.len();
    if rank > MAX_RANK {
        return Err(node.problem(Code::BadParameter, format!("a tensor of rank {rank}")));
    }
    let mut added = vec![false; rank];
    for given in axes {
        let at = axis(node, given, rank)?;
        if std::mem::replace(&mut added[at], true) {
            return Err(node.problem(Code::BadParameter, format!("axis {at} is added twice")));
        }
    }
    let mut rest = old.iter().copied();
    let extent = |added| if added { 1 } else { rest.next().expect("as many as are not added") };
    Ok(added.into_iter().map(extent).collect())
}

fn reshaped(node: Node<'_>, old: &[usize], target: Vec<i64>) -> Result<Vec<usize>, Diagnostic> {
    let copies_zero = node.int("allowzero", 0) == 0;
    let misfit = || {
        let (old, target) = (Shape(old.to_vec()), list(&target));
        let title = format!("a tensor of shape {old} cannot take shape {target}");
        node.problem(Code::ShapeMismatch, title)
    };
    let mut shape = Vec::with_capacity(target.len());
    for (at, &extent) in target.iter().enumerate() {
        shape.push(match extent {
            0 if copies_zero => *old.get(at).ok_or_else(misfit)?,
            -1 => 1,
            _ => usize::try_from(extent).map_err(|_| misfit())?,
        });
    }
    let n = count(node, old)?;
    let stated = Shape::count(&shape).ok_or_else(misfit)?;
    let open: Vec<usize> = (0..target.len()).filter(|&at| target[at] == -1).collect();
    match open[..] {
        [] if stated == n => Ok(shape),
        [at] if stated > 0 && n % stated == 0 => {
            shape[at] = n / stated;
            Ok(shape)
        }
        [..] => Err(misfit()),
    }
}

/// A flow with its axes permuted.
pub(super) fn transpose<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let (base, old) = importer.layer(node, 0)?;
    let order = permutation(node, old.len())?;
    if importer.batch > 1 && order.first() != Some(&0) {
        return Err(mixes_batch(node).into());
    }
    let shape: Vec<usize> = order.iter().map(|&axis| old[axis]).collect();
    let n_batch = if importer.batch > 1 { 1 } else { 0 };
    let sample_order: Vec<usize> = order[n_batch..].iter().map(|&axis| axis - n_batch).collect();
    let source = permuted(&old[n_batch..], &sample_order);
    if source.iter().enumerate().all(|(at, &s)| at == s)
        && importer.sample_shape(&shape) == importer.builder.shape(base).0
    {
        let flow = Flow { shape, exclusive: false, ..importer.flow(node, 0)? };
        return Ok(Value::Flow(flow));
    }
    move_to(importer, node, base, source, shape)
}

/// Where each axis of the result comes from.
pub(in super::super) fn permutation(node: Node<'_>, rank: usize) -> Result<Vec<usize>, Diagnostic> {
    let Some(given) = node.ints("perm") else { return Ok((0..rank).rev().collect()) };
    let order: Option<Vec<usize>> = given.iter().map(|&a| usize::try_from(a).ok()).collect();
    let is_permutation = |order: &Vec<usize>| {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        sorted.into_iter().eq(0..rank)
    };
    order.filter(is_permutation).ok_or_else(|| {
        let title = format!("{} does not permute {rank} axes", list(given));
        node.problem(Code::BadParameter, title)
    })
}
