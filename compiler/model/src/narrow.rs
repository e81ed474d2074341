//! Networks without the channels and features that zero weights have made useless.
//!
//! Layers without weights pass channels on one by one, so all that lie between two layers
//! with weights share them: a *width*. A unit of a width is a channel of its images and the
//! elements that the channel becomes in its vectors. It goes when nothing reads it, or when it
//! does not depend on the input and its readers' biases can take what it is.

use crate::{Conv, Dense, Layer, LayerId, LayerKind, Model};
use petgraph::unionfind::UnionFind;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::repeat_n;
use std::ops::Range;

/// Layers that have their channels in common, from where weights compute them to where
/// weights read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Width {
    /// The layers, ascending.
    pub layers: Vec<LayerId>,
    /// Channels, or features of vectors.
    pub n_units: usize,
}

/// Weights of one layer, `[out, in, taps]`.
#[derive(Clone, Copy)]
struct Extents {
    out: usize,
    input: usize,
    taps: usize,
}

/// What a unit is for every input: a value per channel, by layer.
type Constants = BTreeMap<LayerId, Vec<f64>>;

impl Model {
    /// All widths whose units can be removed: not the input's, the output's, nor what is
    /// moved about or convolved in groups.
    pub fn widths(&self) -> Vec<Width> {
        let ties = Ties::of(self);
        let mut members: BTreeMap<usize, Vec<LayerId>> = BTreeMap::new();
        for id in 0..self.layers.len() {
            members.entry(ties.classes.find(id)).or_default().push(LayerId(id));
        }
        let fixed: BTreeSet<usize> = ties.fixed.iter().map(|id| ties.classes.find(*id)).collect();
        let free = members.into_iter().filter(|(class, _)| !fixed.contains(class));
        let widths = free.filter_map(|(_, layers)| {
            let first_axes: Option<Vec<usize>> =
                layers.iter().map(|id| self.layer(*id).shape.0.first().copied()).collect();
            let first_axes = first_axes?;
            let n_units = first_axes.iter().copied().min().filter(|n| *n > 0)?;
            first_axes.iter().all(|n| n.is_multiple_of(n_units)).then_some(Width { layers, n_units })
        });
        widths.collect()
    }

    /// The weights that read a unit, by layer.
    pub fn weights_reading(&self, width: &Width, unit: usize) -> Vec<(LayerId, Vec<u32>)> {
        let read = |(id, extents): (LayerId, Extents)| {
            (id, extents.weights(0..extents.out, part(extents.input, width, unit)))
        };
        self.readers(width).map(read).collect()
    }

    /// The model without its useless units; input and output stay as they are, and every width
    /// keeps a unit.
    pub fn narrowed(mut self) -> Model {
        while self.widths().iter().any(|width| self.remove_useless(width)) {}
        self
    }

    /// Layers with weights that read a width.
    fn readers<'a>(&'a self, width: &'a Width) -> impl Iterator<Item = (LayerId, Extents)> + 'a {
        let layers = (0..self.layers.len()).map(LayerId);
        let readers = layers.filter(|id| self.layer(*id).inputs.iter().any(|id| width.layers.contains(id)));
        readers.filter_map(|id| Some((id, extents(self.layer(id))?)))
    }

    /// Removes the useless units of a width; false when it has none.
    fn remove_useless(&mut self, width: &Width) -> bool {
        let mut keeps = vec![true; width.n_units];
        for (unit, keeps) in keeps.iter_mut().enumerate() {
            *keeps = !self.is_unread(width, unit)
                && self.constants(width, unit).is_none_or(|values| !self.absorb(width, unit, &values));
        }
        keeps[0] |= !keeps.contains(&true);
        let is_news = keeps.contains(&false);
        if is_news {
            self.keep(width, &keeps);
        }
        is_news
    }

    fn is_unread(&self, width: &Width, unit: usize) -> bool {
        self.readers(width).all(|(id, extents)| {
            let weights = self.layer(id).kind.weights().unwrap_or_default();
            let read = extents.weights(0..extents.out, part(extents.input, width, unit));
            read.iter().all(|&weight| weights[weight as usize] == 0.0)
        })
    }

    /// What a unit is if it is the same for every input.
    fn constants(&self, width: &Width, unit: usize) -> Option<Constants> {
        let mut values = Constants::new();
        for &id in &width.layers {
            let value = self.constant(id, width, unit, &values)?;
            values.insert(id, value);
        }
        Some(values)
    }

    /// The value of a unit per channel of a layer, if it is the same for every input and
    /// at every pixel.
    fn constant(&self, id: LayerId, width: &Width, unit: usize, values: &Constants) -> Option<Vec<f64>> {
        let layer = self.layer(id);
        let channels = part(layer.shape.0[0], width, unit);
        let operand = || values.get(layer.inputs.first()?).cloned();
        let map = |f: &dyn Fn(f64) -> f64| Some(operand()?.into_iter().map(f).collect());
        match &layer.kind {
            LayerKind::Conv(Conv { weight, bias, .. }) | LayerKind::Dense(Dense { weight, bias }) => {
                let extents = extents(layer)?;
                let computing = extents.weights(channels.clone(), 0..extents.input);
                let is_zero = computing.iter().all(|&at| weight[at as usize] == 0.0);
                is_zero.then(|| channels.map(|channel| bias.get(channel).copied().unwrap_or(0.0)).collect())
            }
            LayerKind::Polynomial { coefficients } => {
                map(&|x| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c))
            }
            LayerKind::Nonlinear(function) => map(&|x| function.value(x)),
            LayerKind::AvgPool(pool) if pool.padding == [0; 4] => operand(),
            LayerKind::MaxPool(pool) if pool.padding == [0; 4] => operand(),
            LayerKind::Affine { scale, shift } => {
                let values = operand()?.into_iter().zip(channels);
                Some(values.map(|(x, channel)| x * scale[channel] + shift[channel]).collect())
            }
            // From a channel to its pixels; pixels may differ, so not back.
            LayerKind::Move { .. } => {
                let values = operand()?;
                let is_whole = channels.len().is_multiple_of(values.len());
                let n_pixels = channels.len() / values.len();
                is_whole.then(|| values.into_iter().flat_map(|x| repeat_n(x, n_pixels)).collect())
            }
            LayerKind::AvgPool(_) | LayerKind::MaxPool(_) | LayerKind::Input { .. } | LayerKind::Add => None,
        }
    }

    /// Adds a constant unit to the biases of its readers; false, and nothing done, when
    /// they cannot take it.
    fn absorb(&mut self, width: &Width, unit: usize, values: &Constants) -> bool {
        let readers: Vec<(LayerId, Extents)> = self.readers(width).collect();
        let takes = |(id, _): &(LayerId, Extents)| {
            let layer = self.layer(*id);
            let value = &values[&layer.inputs[0]];
            // Padding is zero, whatever the channel is.
            let is_padded = matches!(&layer.kind, LayerKind::Conv(conv) if conv.padding != [0; 4]);
            value.iter().all(|x| if is_padded { *x == 0.0 } else { x.is_finite() })
        };
        let is_absorbed = readers.iter().all(takes);
        for (id, extents) in readers.into_iter().filter(|_| is_absorbed) {
            let value = &values[&self.layer(id).inputs[0]];
            let columns = part(extents.input, width, unit);
            let Some((weights, bias)) = self.layers[id.0].kind.weights_and_bias_mut() else { continue };
            bias.resize(extents.out, 0.0);
            for (out, bias) in bias.iter_mut().enumerate() {
                for (column, value) in columns.clone().zip(value) {
                    let taps = &mut weights[(out * extents.input + column) * extents.taps..][..extents.taps];
                    *bias += taps.iter().sum::<f64>() * value;
                    taps.fill(0.0);
                }
            }
        }
        is_absorbed
    }

    /// Keeps some units of a width alone.
    fn keep(&mut self, width: &Width, keeps: &[bool]) {
        let n_kept = keeps.iter().filter(|keeps| **keeps).count();
        let readers: Vec<(LayerId, Extents)> = self.readers(width).collect();
        for (id, extents) in readers {
            let per_unit = extents.input / width.n_units;
            let kind = &mut self.layers[id.0].kind;
            if let Some((weights, _)) = kind.weights_and_bias_mut() {
                let rows = weights.chunks(extents.input * extents.taps);
                *weights = rows.flat_map(|row| kept(row, keeps, per_unit * extents.taps)).collect();
            }
            if let LayerKind::Conv(conv) = kind {
                conv.weight_shape[1] = per_unit * n_kept;
            }
        }
        width.layers.iter().for_each(|id| self.layers[id.0].keep(keeps, n_kept));
    }
}

impl Layer {
    /// Keeps `n_kept` of equal parts along the first axis.
    fn keep(&mut self, keeps: &[bool], n_kept: usize) {
        let channels = self.shape.0[0] / keeps.len();
        self.shape.0[0] = channels * n_kept;
        match &mut self.kind {
            LayerKind::Conv(conv) => {
                conv.weight = kept(&conv.weight, keeps, conv.weight.len() / keeps.len());
                conv.bias = kept(&conv.bias, keeps, channels);
                conv.weight_shape[0] = self.shape.0[0];
            }
            LayerKind::Dense(dense) => {
                dense.weight = kept(&dense.weight, keeps, dense.weight.len() / keeps.len());
                dense.bias = kept(&dense.bias, keeps, channels);
            }
            LayerKind::Affine { scale, shift } => {
                *scale = kept(scale, keeps, channels);
                *shift = kept(shift, keeps, channels);
            }
            LayerKind::Move { source } => *source = (0..self.shape.n_elements()).collect(),
            LayerKind::Input { .. }
            | LayerKind::AvgPool(_)
            | LayerKind::MaxPool(_)
            | LayerKind::Polynomial { .. }
            | LayerKind::Nonlinear(_)
            | LayerKind::Add => {}
        }
    }
}

/// The chunks of `len` values that are kept.
fn kept(values: &[f64], keeps: &[bool], len: usize) -> Vec<f64> {
    let chunks = values.chunks(len).zip(keeps).filter(|(_, keeps)| **keeps);
    chunks.flat_map(|(chunk, _)| chunk).copied().collect()
}

/// The channels or features of a unit, of `n` in all.
fn part(n: usize, width: &Width, unit: usize) -> Range<usize> {
    let per_unit = n / width.n_units;
    unit * per_unit..(unit + 1) * per_unit
}

fn extents(layer: &Layer) -> Option<Extents> {
    let shape = layer.weight_shape()?;
    Some(Extents { out: shape[0], input: shape[1], taps: shape[2..].iter().product() })
}

impl Extents {
    /// Positions of the weights of some outputs and inputs.
    fn weights(self, outputs: Range<usize>, inputs: Range<usize>) -> Vec<u32> {
        let row = move |out: usize| {
            let first = (out * self.input + inputs.start) * self.taps;
            first..first + inputs.len() * self.taps
        };
        outputs.flat_map(row).map(|weight| weight as u32).collect()
    }
}

/// Which layers share their channels.
struct Ties {
    classes: UnionFind<usize>,
    /// Layers whose channels cannot go.
    fixed: Vec<usize>,
}

impl Ties {
    fn of(model: &Model) -> Ties {
        let mut ties = Ties { classes: UnionFind::new(model.layers.len()), fixed: vec![model.output.0] };
        for (id, layer) in model.layers.iter().enumerate() {
            let operands = layer.inputs.iter().map(|operand| operand.0);
            match &layer.kind {
                LayerKind::Input { .. } => ties.fixed.push(id),
                LayerKind::Conv(conv) if conv.groups > 1 => ties.fixed.extend(operands.chain([id])),
                LayerKind::Conv(_) | LayerKind::Dense(_) => {}
                LayerKind::Move { source } if !is_identity(source, model.layer(layer.inputs[0])) => {
                    ties.fixed.extend(operands.chain([id]));
                }
                LayerKind::AvgPool(_)
                | LayerKind::Affine { .. }
                | LayerKind::Polynomial { .. }
                | LayerKind::MaxPool(_)
                | LayerKind::Nonlinear(_)
                | LayerKind::Add
                | LayerKind::Move { .. } => operands.for_each(|operand| {
                    ties.classes.union(operand, id);
                }),
            }
        }
        ties
    }
}

/// Whether a move of a layer's elements leaves them in order.
fn is_identity(source: &[usize], operand: &Layer) -> bool {
    source.iter().copied().eq(0..operand.shape.n_elements())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{AvgPool, ModelBuilder};
    use hecc_ir::Shape;

    /// Weights without a pattern.
    fn weights(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f64 / 1009.0 - 0.4).collect()
    }

    fn conv(n_in: usize, n_out: usize, padding: usize) -> LayerKind {
        LayerKind::Conv(Conv {
            weight: weights(n_in * n_out * 9, n_out),
            weight_shape: [n_out, n_in, 3, 3],
            bias: weights(n_out, 3),
            stride: [1; 2],
            padding: [padding; 4],
            dilation: [1; 2],
            groups: 1,
        })
    }

    fn dense(n_in: usize, n_out: usize) -> LayerKind {
        LayerKind::Dense(Dense { weight: weights(n_in * n_out, n_out), bias: Vec::new() })
    }

    /// conv a, affine, square, pool, the sum of conv b and conv c, flatten, dense d, square,
    /// dense e.
    fn model(padding: usize) -> Model {
        let mut builder = ModelBuilder::new();
        let mut push =
            |name, kind, operands: &[LayerId], shape| builder.push(name, kind, operands, shape).unwrap();
        let square = || LayerKind::Polynomial { coefficients: vec![0.3, 0.5, 1.0] };
        let pool = AvgPool { kernel: [2; 2], stride: [2; 2], padding: [0; 4], count_include_pad: true };
        let affine = LayerKind::Affine { scale: weights(6, 1), shift: weights(6, 2) };
        let x = push("x", LayerKind::Input { range: (-1.0, 1.0) }, &[], Some(Shape(vec![2, 10, 10])));
        let y = push("a", conv(2, 6, 1), &[x], None);
        let y = push("affine", affine, &[y], None);
        let y = push("act1", square(), &[y], None);
        let y = push("pool", LayerKind::AvgPool(pool), &[y], None);
        let b = push("b", conv(6, 4, padding), &[y], None);
        let c = push("c", conv(6, 4, padding), &[y], None);
        let y = push("sum", LayerKind::Add, &[b, c], None);
        let n = 4 * (3 + 2 * padding).pow(2);
        let y = push("flat", LayerKind::Move { source: (0..n).collect() }, &[y], Some(Shape(vec![n])));
        let y = push("d", dense(n, 12), &[y], None);
        let y = push("act2", square(), &[y], None);
        let y = push("e", dense(12, 5), &[y], None);
        builder.finish("narrow", y)
    }

    fn zero(model: &mut Model, name: &str, positions: impl Fn(usize) -> bool) {
        let layer = model.layers.iter_mut().find(|layer| layer.name == name).unwrap();
        let (weights, _) = layer.kind.weights_and_bias_mut().unwrap();
        weights.iter_mut().enumerate().filter(|(at, _)| positions(*at)).for_each(|(_, w)| *w = 0.0);
    }

    /// Channels of the named layers of the narrowed model, which computes the same.
    fn channels<const N: usize>(model: &Model, names: [&str; N]) -> [usize; N] {
        let narrowed = model.clone().narrowed();
        assert_eq!(narrowed.check(), Ok(()));
        let input = weights(200, 5);
        for (expected, found) in model.logits(&input).iter().zip(narrowed.logits(&input)) {
            assert!((expected - found).abs() < 1e-9 * expected.abs().max(1.0), "{found} for {expected}");
        }
        names.map(|name| narrowed.layers.iter().find(|layer| layer.name == name).unwrap().shape.0[0])
    }

    #[test]
    fn nothing_goes_that_is_of_use() {
        let model = model(1);
        assert_eq!(model.clone().narrowed(), model);
        let name = |id: &LayerId| model.layer(*id).name.as_str();
        let widths = model.widths();
        let names: Vec<Vec<&str>> = widths.iter().map(|w| w.layers.iter().map(name).collect()).collect();
        let expected =
            [vec!["a", "affine", "act1", "pool"], vec!["b", "c", "sum", "flat"], vec!["d", "act2"]];
        assert_eq!(names, expected);
    }

    #[test]
    fn channels_that_nothing_reads_go() {
        let mut model = model(0);
        for name in ["b", "c"] {
            zero(&mut model, name, |at| at / 9 % 6 == 2);
        }
        zero(&mut model, "d", |at| at % 36 / 9 == 3);
        assert_eq!(channels(&model, ["a", "pool", "b", "c", "flat", "d"]), [5, 5, 3, 3, 27, 12]);
    }

    #[test]
    fn a_channel_that_one_of_two_reads_stays() {
        let mut model = model(0);
        zero(&mut model, "b", |at| at / 9 % 6 == 2);
        assert_eq!(channels(&model, ["a"]), [6]);
    }

    #[test]
    fn constant_channels_go_into_biases() {
        let mut model = model(0);
        zero(&mut model, "a", |at| at / 18 == 4);
        zero(&mut model, "d", |at| at / 36 < 2);
        assert_eq!(channels(&model, ["a", "d", "act2", "e"]), [5, 10, 10, 5]);
    }

    #[test]
    fn a_constant_channel_beside_padding_stays() {
        let mut model = model(1);
        zero(&mut model, "a", |at| at / 18 == 4);
        assert_eq!(channels(&model, ["a"]), [6]);
    }

    #[test]
    fn every_width_keeps_a_unit() {
        let mut model = model(0);
        ["b", "c", "d"].into_iter().for_each(|name| zero(&mut model, name, |_| true));
        assert_eq!(channels(&model, ["a", "b", "flat", "d", "e"]), [1, 1, 9, 1, 5]);
    }

    /// conv a, reshaped twice before conv b reads it; the first has fewer, the last more channels.
    fn reshaped(is_prefix: bool) -> Model {
        let mut builder = ModelBuilder::new();
        let mut push =
            |name, kind, operands: &[LayerId], shape| builder.push(name, kind, operands, shape).unwrap();
        let order = |n: usize| LayerKind::Move { source: (0..n).collect() };
        let x = push("x", LayerKind::Input { range: (-1.0, 1.0) }, &[], Some(Shape(vec![2, 10, 10])));
        let mut a = conv(2, 2, 0);
        if let (LayerKind::Conv(conv), false) = (&mut a, is_prefix) {
            conv.weight[18..].fill(0.0);
        }
        let y = push("a", a, &[x], None);
        let y = match is_prefix {
            true => push("first", order(64), &[y], Some(Shape(vec![1, 8, 8]))),
            false => {
                let y = push("four", order(128), &[y], Some(Shape(vec![4, 8, 4])));
                push("eight", order(128), &[y], Some(Shape(vec![2, 8, 8])))
            }
        };
        let n = if is_prefix { 1 } else { 2 };
        let y = push("b", conv(n, 3, 0), &[y], None);
        builder.finish("reshaped", y)
    }

    #[test]
    fn reshaped_channels_and_parts_of_them_keep_their_place() {
        assert_eq!(channels(&reshaped(true), ["a", "first"]), [2, 1]);
        assert_eq!(channels(&reshaped(false), ["b"]), [3]);
    }

    #[test]
    fn without_the_weights_that_read_it_a_unit_goes() {
        let model = model(0);
        for width in model.widths() {
            let mut pruned = model.clone();
            for (layer, weights) in model.weights_reading(&width, width.n_units - 1) {
                let (values, _) = pruned.layers[layer.0].kind.weights_and_bias_mut().unwrap();
                weights.into_iter().for_each(|weight| values[weight as usize] = 0.0);
            }
            let narrowed = pruned.narrowed();
            let found = narrowed.widths().into_iter().find(|found| found.layers == width.layers).unwrap();
            assert_eq!(found.n_units, width.n_units - 1);
        }
    }
}
