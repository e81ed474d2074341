//! Convolutions and pools.

use super::super::fold::integers;
use super::super::import::{Importer, Value};
use super::super::node::{Failure, Node, axis};
use crate::diag::{Code, Diagnostic, list};
use crate::model::{AvgPool, Conv, LayerId, LayerKind, MaxPool};
use hecc_ir::Shape;

/// A convolution with constant weights.
pub(super) fn conv<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let (x, margin) = padded_image(importer, node)?;
    let weight = importer.constant(node, 1)?;
    let weight_shape: [usize; 4] = weight.shape[..].try_into().map_err(|_| {
        let title = format!("the weight has shape {}", Shape(weight.shape.clone()));
        node.problem(Code::ShapeMismatch, title).help("only two-dimensional convolutions are supported")
    })?;
    let bias = bias(importer, node, weight_shape[0])?;
    importer.spend(node, weight.values.len())?;
    let (stride, dilation) = (node.sizes("strides", 1)?, node.sizes("dilations", 1)?);
    let [_, _, rows, columns] = weight_shape;
    if node.has("kernel_shape") && node.sizes("kernel_shape", 1)? != [rows, columns] {
        let title = format!("`kernel_shape` is not that of the weight, {rows}x{columns}");
        return Err(node.problem(Code::ShapeMismatch, title).help("export the model again").into());
    }
    let reach =
        |kernel: usize, dilation: usize| kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1);
    let window = [reach(rows, dilation[0]), reach(columns, dilation[1])];
    let padding = added(margin, padding(node, &grown(importer, x, margin), window, stride)?);
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let weight = weight.values.clone();
    let conv = Conv { weight, weight_shape, bias, stride, padding, dilation, groups };
    let layer = importer.push(node, LayerKind::Conv(conv), &[x], None)?;
    Ok(importer.fresh(layer))
}

/// A summand per channel; none where there is no bias.
fn bias<'a>(importer: &Importer<'a>, node: Node<'a>, channels: usize) -> Result<Vec<f64>, Failure> {
    let Some(bias) = importer.optional(node, 2)? else { return Ok(Vec::new()) };
    if bias.shape != [channels] {
        let title = format!("a bias of shape {} for {channels} channels", Shape(bias.shape.clone()));
        return Err(node.problem(Code::ShapeMismatch, title).help("export the model again").into());
    }
    Ok(bias.values.clone())
}

/// The operand as `[channels, height, width]`.
fn image<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<LayerId, Failure> {
    let (layer, shape) = importer.layer(node, 0)?;
    as_image(importer, node, layer, shape)
}

/// The same, and the zeros that are to be added around.
fn padded_image<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<(LayerId, [usize; 4]), Failure> {
    let (layer, shape, margin) = importer.padded_layer(node, 0)?;
    Ok((as_image(importer, node, layer, shape)?, margin))
}

/// Extents of an image with zeros around it.
fn grown(importer: &Importer<'_>, x: LayerId, [top, left, bottom, right]: [usize; 4]) -> [usize; 3] {
    let extents = &importer.builder.shape(x).0;
    let grow = |along: usize, before: usize, after: usize| {
        extents[along].saturating_add(before).saturating_add(after)
    };
    [extents[0], grow(1, top, bottom), grow(2, left, right)]
}

fn added(a: [usize; 4], b: [usize; 4]) -> [usize; 4] {
    std::array::from_fn(|side| a[side].saturating_add(b[side]))
}

fn as_image(
    importer: &Importer<'_>,
    node: Node<'_>,
    layer: LayerId,
    shape: Vec<usize>,
) -> Result<LayerId, Failure> {
    match shape.len() == 4 && shape[0] == importer.batch {
        true => Ok(layer),
        false => {
            let title = format!("`{}` is given a tensor of shape {}", node.op(), Shape(shape));
            let help = "only images [batch, channels, height, width] are supported";
            Err(node.problem(Code::ShapeMismatch, title).help(help).into())
        }
    }
}

/// Zeros at top, left, bottom and right.
fn padding(
    node: Node<'_>,
    image: &[usize],
    window: [usize; 2],
    stride: [usize; 2],
) -> Result<[usize; 4], Diagnostic> {
    let covered = |along: usize| {
        let steps = image[along + 1].div_ceil(stride[along].max(1)).saturating_sub(1);
        steps.saturating_mul(stride[along]).saturating_add(window[along])
    };
    let same = |along: usize| {
        let total = covered(along).saturating_sub(image[along + 1]);
        (total / 2, total - total / 2)
    };
    let is_same = matches!(node.text("auto_pad"), b"SAME_UPPER" | b"SAME_LOWER");
    if is_same && (0..2).any(|along| covered(along) < image[along + 1]) {
        // Systems disagree whether elements are cut off at both ends then.
        return Err(
            node.unsupported("this auto_pad with strides beyond the kernel", "state the padding as `pads`")
        );
    }
    let computed = match node.text("auto_pad") {
        b"" | b"NOTSET" => return node.sizes("pads", 0),
        b"VALID" => [0; 4],
        b"SAME_UPPER" => [same(0).0, same(1).0, same(0).1, same(1).1],
        b"SAME_LOWER" => [same(0).1, same(1).1, same(0).0, same(1).0],
        _ => return Err(node.unsupported("this auto_pad", "state the padding as `pads`")),
    };
    match node.has("pads") && node.sizes("pads", 0)? != computed {
        true => Err(node
            .problem(Code::BadParameter, "`pads` and `auto_pad` contradict each other")
            .help("state one")),
        false => Ok(computed),
    }
}

/// The windows of a pool.
struct Windows {
    /// Rows and columns of a window.
    kernel: [usize; 2],
    /// Rows and columns that it moves by.
    stride: [usize; 2],
    /// Elements added at top, left, bottom and right.
    padding: [usize; 4],
}

impl Windows {
    /// As the settings of a pool of images of these extents say.
    fn of(node: Node<'_>, extents: &[usize]) -> Result<Windows, Diagnostic> {
        if !node.has("kernel_shape") {
            return Err(node.problem(Code::BadParameter, "the pool has no `kernel_shape`"));
        }
        let kernel: [usize; 2] = node.sizes("kernel_shape", 1)?;
        let stride = node.sizes("strides", 1)?;
        if node.sizes::<2>("dilations", 1)? != [1, 1] {
            return Err(node.unsupported("dilations", "use a pool without gaps"));
        }
        let padding = padding(node, extents, kernel, stride)?;
        let windows = Windows { kernel, stride, padding };
        if node.int("ceil_mode", 0) != 0 && !windows.are_exact(extents) {
            let help = "choose a kernel and stride that divide the image, or ceil_mode = False";
            return Err(node.unsupported("ceil_mode", help));
        }
        Ok(windows)
    }

    /// One window, over all of an image.
    fn all(importer: &Importer<'_>, x: LayerId) -> Windows {
        let extents = &importer.builder.shape(x).0;
        let kernel = [extents[1], extents[2]];
        Windows { kernel, stride: kernel, padding: [0; 4] }
    }

    /// Whether windows end where the image does, so that rounding has no effect.
    fn are_exact(&self, extents: &[usize]) -> bool {
        (0..2).all(|along| {
            let padded = extents[along + 1]
                .saturating_add(self.padding[along])
                .saturating_add(self.padding[along + 2]);
            let room = padded.checked_sub(self.kernel[along]);
            room.is_some_and(|room| room.checked_rem(self.stride[along]) == Some(0))
        })
    }

    fn mean(self, count_include_pad: bool) -> LayerKind {
        let Windows { kernel, stride, padding } = self;
        LayerKind::AvgPool(AvgPool { kernel, stride, padding, count_include_pad })
    }

    fn largest(self) -> LayerKind {
        let Windows { kernel, stride, padding } = self;
        LayerKind::MaxPool(MaxPool { kernel, stride, padding })
    }
}

/// A mean over windows.
pub(super) fn average_pool<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let (x, margin) = padded_image(importer, node)?;
    let windows = Windows::of(node, &grown(importer, x, margin))?;
    let counts_own = node.int("count_include_pad", 0) != 0;
    let pool = match (margin, windows.padding) {
        ([0, 0, 0, 0], _) => windows.mean(counts_own),
        // What `Pad` adds are elements like all others.
        (_, own) if counts_own || own == [0; 4] => {
            Windows { padding: added(margin, own), ..windows }.mean(true)
        }
        (_, _) => {
            let help = "count all zeros with count_include_pad = 1, or pad in one place";
            return Err(node.unsupported("padding that counts and padding that does not", help).into());
        }
    };
    let layer = importer.push(node, pool, &[x], None)?;
    Ok(importer.fresh(layer))
}

/// The largest element of windows.
pub(super) fn max_pool<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let x = image(importer, node)?;
    if node.int("storage_order", 0) != 0 {
        return Err(node.unsupported("storage_order", "use row-major order, which is 0").into());
    }
    let pool = Windows::of(node, &importer.builder.shape(x).0)?.largest();
    let layer = importer.push(node, pool, &[x], None)?;
    Ok(importer.fresh(layer))
}

/// The largest element of each channel.
pub(super) fn global_max_pool<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let x = image(importer, node)?;
    let pool = Windows::all(importer, x).largest();
    let layer = importer.push(node, pool, &[x], None)?;
    Ok(importer.fresh(layer))
}

/// A mean over all of each channel.
pub(super) fn global_average_pool<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let x = image(importer, node)?;
    let layer = mean_layer(importer, node, x)?;
    Ok(importer.fresh(layer))
}

fn mean_layer<'a>(importer: &mut Importer<'a>, node: Node<'a>, x: LayerId) -> Result<LayerId, Failure> {
    importer.push(node, Windows::all(importer, x).mean(true), &[x], None)
}

/// A mean over height and width.
pub(super) fn reduce_mean<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    let x = image(importer, node)?;
    let given = match (node.ints("axes"), importer.optional(node, 1)?) {
        (Some(_), Some(_)) => {
            let title = "`axes` are given as a setting and as an operand";
            return Err(node.problem(Code::BadParameter, title).help("export the model again").into());
        }
        (Some(axes), None) => axes.to_vec(),
        (None, Some(axes)) => integers(&axes),
        (None, None) => Vec::new(),
    };
    let axes: Result<Vec<_>, _> = given.iter().map(|&a| axis(node, a, 4)).collect();
    let mut axes = axes?;
    axes.sort_unstable();
    if axes != [2, 3] {
        let help = "only means over height and width, axes 2 and 3, are supported";
        return Err(node.unsupported(&format!("axes {}", list(&given)), help).into());
    }
    let layer = mean_layer(importer, node, x)?;
    if node.int("keepdims", 1) != 0 {
        return Ok(importer.fresh(layer));
    }
    let channels = importer.builder.shape(layer).0[0];
    let kind = LayerKind::Move { source: (0..channels).collect() };
    let flat = importer.push(node, kind, &[layer], Some(Shape(vec![channels])))?;
    Ok(importer.fresh(flat))
}
