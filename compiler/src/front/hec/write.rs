//! Writes a model in the model language, and its weights as a NumPy archive.
//!
//! The tensors of a layer are called as the layer with the argument after a dot,
//! such as `conv1.weight`. Reading both gives the layers back, with equal kinds,
//! shapes and numbers; only names that the language cannot spell change.

use super::MAX_TEXT;
use super::names::{identifier, identifiers};
use crate::front::weights::{NamedTensor, npz_archive};
use crate::model::{AvgPool, Conv, Layer, LayerId, LayerKind, MaxPool, Model, permuted};
use hecc_ir::Shape;
use std::fmt::Display;

/// Why a model has no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A layer moves elements other than by a reshape or a transpose.
    #[error("layer `{layer}` moves elements in a way that the model language cannot express")]
    Move {
        /// Name of the layer.
        layer: String,
    },
    /// The path of the weights holds a quote or the end of a line.
    #[error("the path `{0}` of the weights cannot stand in quotes")]
    WeightsFile(String),
    /// The text is longer than front ends read.
    #[error("the model takes a text of {0} bytes, the limit is {MAX_TEXT}")]
    TooLong(usize),
}

/// The text of a `.hec` file whose weights are in `weights_file`, a path as seen
/// from the text. Expects a sound model whose values have at least one axis, as
/// front ends make them. Layers that the output does not depend on are written
/// too, but left out with a warning by whoever reads them.
pub fn to_hec(model: &Model, weights_file: &str) -> Result<String, WriteError> {
    if weights_file.contains(['"', '\n']) {
        return Err(WriteError::WeightsFile(weights_file.to_owned()));
    }
    let names = layer_names(model);
    let mut lines = vec![format!("model {} {{", identifier(&model.name))];
    if model.layers.iter().any(|layer| !tensors(layer).is_empty()) {
        lines.push(format!("  weights \"{weights_file}\""));
    }
    for (layer, name) in model.layers.iter().zip(&names) {
        lines.push(format!("  {}", statement(model, layer, name, &names)?));
    }
    lines.push(format!("  output {}\n}}\n", names[model.output.0]));
    let text = lines.join("\n");
    if text.len() > MAX_TEXT { Err(WriteError::TooLong(text.len())) } else { Ok(text) }
}

/// The tensors that the text of [`to_hec`] names, as the bytes of an `.npz`
/// file: of 32-bit floats where these hold every element of a tensor exactly, of
/// 64-bit ones elsewhere.
pub fn to_npz(model: &Model) -> Vec<u8> {
    let names = layer_names(model);
    let layers = model.layers.iter().zip(&names);
    let named = layers.flat_map(|(layer, name)| {
        tensors(layer).into_iter().map(move |t| NamedTensor { name: format!("{name}.{}", t.name), ..t })
    });
    npz_archive(&named.collect::<Vec<_>>())
}

fn layer_names(model: &Model) -> Vec<String> {
    identifiers(model.layers.iter().map(|layer| layer.name.as_str()))
}

/// What the weights file holds of a layer, called as the arguments of its call.
fn tensors(layer: &Layer) -> Vec<NamedTensor<'_>> {
    match (layer.kind.parameters(), layer.weight_shape()) {
        (Some([weight, bias]), Some(shape)) => weight_and_bias(shape, weight, bias),
        (Some([scale, shift]), None) => vec![vector("scale", scale), vector("shift", shift)],
        (None, _) => Vec::new(),
    }
}

fn vector<'m>(name: &str, values: &'m [f64]) -> NamedTensor<'m> {
    NamedTensor { name: name.to_owned(), shape: vec![values.len()], values }
}

/// A bias that is empty is none.
fn weight_and_bias<'m>(shape: Vec<usize>, weight: &'m [f64], bias: &'m [f64]) -> Vec<NamedTensor<'m>> {
    let weight = NamedTensor { shape, ..vector("weight", weight) };
    let bias = (!bias.is_empty()).then(|| vector("bias", bias));
    std::iter::once(weight).chain(bias).collect()
}

/// The line of a layer.
fn statement(model: &Model, layer: &Layer, name: &str, names: &[String]) -> Result<String, WriteError> {
    let (function, settings) = match &layer.kind {
        LayerKind::Input { range: (low, high) } => {
            let (low, high) = (number(*low), number(*high));
            return Ok(format!("input {name}: {} in {low}..{high}", list(&layer.shape.0)));
        }
        LayerKind::Conv(conv) => ("conv", conv_settings(conv)),
        LayerKind::Dense(_) => ("dense", Vec::new()),
        LayerKind::AvgPool(pool) => ("avg_pool", average_settings(pool)),
        LayerKind::MaxPool(pool) => ("max_pool", max_settings(pool)),
        LayerKind::Affine { .. } => ("affine", Vec::new()),
        LayerKind::Polynomial { coefficients } if coefficients[..] == [0.0, 0.0, 1.0] => {
            ("square", Vec::new())
        }
        LayerKind::Polynomial { coefficients } => {
            ("poly", vec![list(&coefficients.iter().map(|&c| number(c)).collect::<Vec<_>>())])
        }
        LayerKind::Nonlinear(function) => (function.name(), Vec::new()),
        LayerKind::Add => ("add", Vec::new()),
        LayerKind::Move { source } => {
            let x = &model.layer(layer.inputs[0]).shape;
            let moved = movement(source, x, &layer.shape);
            moved.ok_or_else(|| WriteError::Move { layer: layer.name.clone() })?
        }
    };
    let operands = layer.inputs.iter().map(|&LayerId(operand)| names[operand].clone());
    let weights = tensors(layer).into_iter().map(|t| format!("{0} = \"{name}.{0}\"", t.name));
    let arguments: Vec<String> = operands.chain(weights).chain(settings).collect();
    Ok(format!("{name} = {function}({})", arguments.join(", ")))
}

fn conv_settings(conv: &Conv) -> Vec<String> {
    let stride = unless([1; 2], "stride", conv.stride);
    let padding = unless([0; 4], "padding", conv.padding);
    let dilation = unless([1; 2], "dilation", conv.dilation);
    let groups = unless([1], "groups", [conv.groups]);
    [stride, padding, dilation, groups].into_iter().flatten().collect()
}

fn average_settings(pool: &AvgPool) -> Vec<String> {
    let excluded = (!pool.count_include_pad).then(|| "count_include_pad = false".to_owned());
    pool_settings(pool.kernel, pool.stride, pool.padding).into_iter().chain(excluded).collect()
}

fn max_settings(pool: &MaxPool) -> Vec<String> {
    pool_settings(pool.kernel, pool.stride, pool.padding)
}

fn pool_settings(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 4]) -> Vec<String> {
    let window = Some(setting("kernel", kernel));
    let optional = [unless(kernel, "stride", stride), unless([0; 4], "padding", padding)];
    window.into_iter().chain(optional.into_iter().flatten()).collect()
}

/// A setting that has another value than the default.
fn unless<const N: usize>(default: [usize; N], name: &str, found: [usize; N]) -> Option<String> {
    (found != default).then(|| setting(name, found))
}

/// Sizes, or one for all if they are equal.
fn setting<const N: usize>(name: &str, sizes: [usize; N]) -> String {
    match sizes.iter().all(|&size| size == sizes[0]) {
        true => format!("{name} = {}", sizes[0]),
        false => format!("{name} = {}", list(&sizes)),
    }
}

fn list(items: &[impl Display]) -> String {
    format!("[{}]", items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// The shortest decimal that reads as the same number.
fn number(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Function and settings that move elements so, if there are any.
fn movement(source: &[usize], x: &Shape, result: &Shape) -> Option<(&'static str, Vec<String>)> {
    let stays = source.iter().copied().eq(0..x.n_elements());
    match (stays, result.0.len()) {
        (true, 1) => Some(("flatten", Vec::new())),
        (true, 2..) => Some(("reshape", vec![list(&result.0)])),
        (_, _) => permutation(source, &x.0, &result.0).map(|axes| ("transpose", vec![list(&axes)])),
    }
}

/// The old axis that each new one is, if elements move by such a permutation.
fn permutation(source: &[usize], old: &[usize], new: &[usize]) -> Option<Vec<usize>> {
    if old.len() != new.len() {
        return None;
    }
    let (from, to) = (strides(old), strides(new));
    let mut free: Vec<usize> = (0..old.len()).collect();
    let mut axes = Vec::new();
    for (&extent, &step) in new.iter().zip(&to) {
        // An axis shows in where the second element along it comes from.
        let comes_from = |axis: usize| extent == 1 || source.get(step) == Some(&from[axis]);
        let at = free.iter().position(|&axis| old[axis] == extent && comes_from(axis))?;
        axes.push(free.remove(at));
    }
    (permuted(old, &axes) == source).then_some(axes)
}

/// Distance of neighbours along each axis of a row-major tensor.
fn strides(extents: &[usize]) -> Vec<usize> {
    let after = |axis: usize| extents[axis + 1..].iter().product();
    (0..extents.len()).map(after).collect()
}
