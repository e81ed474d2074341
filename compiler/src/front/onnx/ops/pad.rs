//! Zeros around images.

use super::super::fold::integers;
use super::super::import::{Importer, Padded, Value};
use super::super::node::{Failure, Node, axis};
use crate::diag::Code;

/// Zeros around images. They become padding of the convolution or pool that reads them.
pub(super) fn pad<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let mut flow = importer.flow(node, 0)?;
    let pads = pads(importer, node, flow.shape.len())?;
    flow.exclusive = importer.stays_exclusive(node, 0, &flow);
    if pads.iter().all(|pads| *pads == [0, 0]) {
        return Ok(Value::Flow(flow));
    }
    if !matches!(node.text("mode"), b"" | b"constant") {
        return Err(node.unsupported("this mode", "pad with zeros").into());
    }
    let value = match importer.optional(node, 2)? {
        Some(value) => value.values.iter().fold(0.0, |largest, v| f64::max(largest, v.abs())),
        None => node.float("value", 0.0),
    };
    if value != 0.0 {
        return Err(node.unsupported("a value other than zero", "pad with zeros").into());
    }
    let side = |pad: i64| usize::try_from(pad).ok().filter(|&pad| pad <= MAX_MARGIN);
    let [[0, 0], [0, 0], [top, bottom], [left, right]] = pads[..] else {
        return Err(node.unsupported("these pads", "pad the height and width of images").into());
    };
    let margin = [top, left, bottom, right].map(side);
    let [Some(top), Some(left), Some(bottom), Some(right)] = margin else {
        return Err(node.unsupported("negative or very large pads", "pad with a few zeros").into());
    };
    Ok(Value::Padded(Padded { flow, margin: [top, left, bottom, right] }))
}

/// Most zeros at a side of an image.
const MAX_MARGIN: usize = 1 << 16;

/// Elements added before and after each axis.
fn pads<'a>(importer: &Importer<'a>, node: Node<'a>, rank: usize) -> Result<Vec<[i64; 2]>, Failure> {
    let given = match (node.ints("pads"), importer.optional(node, 1)?) {
        (Some(given), None) => given.to_vec(),
        (None, Some(given)) if given.integral => integers(&given),
        (_, _) => {
            return Err(node.problem(Code::BadParameter, "the node has no `pads`, or no integers").into());
        }
    };
    let axes = match importer.optional(node, 3)? {
        Some(axes) => integers(&axes).iter().map(|&at| axis(node, at, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect::<Vec<usize>>(),
    };
    if given.len() != 2 * axes.len() {
        let title = format!("`pads` are {} numbers for {} axes", given.len(), axes.len());
        return Err(node.problem(Code::BadParameter, title).help("two numbers belong to each axis").into());
    }
    let mut pads = vec![[0, 0]; rank];
    for (at, &axis) in axes.iter().enumerate() {
        if axes[..at].contains(&axis) {
            return Err(node.problem(Code::BadParameter, format!("axis {axis} is padded twice")).into());
        }
        pads[axis] = [given[at], given[at + axes.len()]];
    }
    Ok(pads)
}
