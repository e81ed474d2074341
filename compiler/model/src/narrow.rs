//! Networks without the channels and features that zero weights have made useless.
//!
//! Layers without weights pass channels on one by one, so all that lie between two layers
//! with weights share them: a *width*. A unit of a width is a channel of its images and the
//! elements that the channel becomes in its vectors. It goes when nothing reads it, or when it
//! does not depend on the input and its readers' biases can take what it is. Where convolutions in
//! groups compute or read a width, as many units go from each group.

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
    /// Equal runs of units, in order, that have to stay equal: 1 unless convolutions in groups compute or
    /// read them.
    pub n_groups: usize,
}

impl Width {
    /// The units of a group.
    pub fn group(&self, group: usize) -> Range<usize> {
        let size = self.n_units / self.n_groups;
        group * size..(group + 1) * size
    }

    /// Whether as many units of each group are named, group by group.
    fn is_even(&self, units: &[usize]) -> bool {
        let size = units.len() / self.n_groups;
        let is_of_group = |(at, unit): (usize, &usize)| self.group(at / size).contains(unit);
        size > 0 && units.len().is_multiple_of(self.n_groups) && units.iter().enumerate().all(is_of_group)
    }
}

/// Weights of one layer, `[out, in / groups, taps]`.
#[derive(Clone, Copy)]
struct Extents {
    out: usize,
    /// Inputs of one group.
    input: usize,
    taps: usize,
    groups: usize,
}

/// What a unit is for every input: a value per channel, by layer.
type Constants = BTreeMap<LayerId, Vec<f64>>;

impl Model {
    /// All widths whose units can be removed: not the input's, the output's, what is moved about, nor what
    /// has no more units than groups, as before and after depthwise convolutions.
    pub fn widths(&self) -> Vec<Width> {
        let ties = Ties::of(self);
        let mut members: BTreeMap<usize, Vec<LayerId>> = BTreeMap::new();
        for id in 0..self.layers.len() {
            members.entry(ties.classes.find(id)).or_default().push(LayerId(id));
        }
        let fixed: BTreeSet<usize> = ties.fixed.iter().map(|id| ties.classes.find(*id)).collect();
        let mut grouped: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (id, groups) in &ties.groups {
            grouped.entry(ties.classes.find(*id)).or_default().push(*groups);
        }
        let free = members.into_iter().filter(|(class, _)| !fixed.contains(class));
        let widths = free.filter_map(|(class, layers)| {
            let first_axes: Option<Vec<usize>> =
                layers.iter().map(|id| self.layer(*id).shape.0.first().copied()).collect();
            let first_axes = first_axes?;
            let n_units = first_axes.iter().copied().min().filter(|n| *n > 0)?;
            let groups = grouped.get(&class).map_or(&[][..], Vec::as_slice);
            let is_common = |n: &usize| groups.iter().all(|groups| n.is_multiple_of(*groups));
            let n_groups = (1..=n_units).find(is_common)?;
            let is_even = n_units.is_multiple_of(n_groups) && (n_groups == 1 || n_units > n_groups);
            let is_whole = first_axes.iter().all(|n| n.is_multiple_of(n_units));
            (is_whole && is_even).then_some(Width { layers, n_units, n_groups })
        });
        widths.collect()
    }

    /// The weights that read a unit, by layer.
    pub fn weights_reading(&self, width: &Width, unit: usize) -> Vec<(LayerId, Vec<u32>)> {
        self.readers(width).map(|(id, extents)| (id, extents.weights_reading(width, unit))).collect()
    }

    /// The model with some units of a width alone, in the order given. With all of them, in any
    /// order within each group, it computes the same.
    ///
    /// # Panics
    /// If the width is none of [`Model::widths`], or has no such units, as many in each group, group by group.
    pub fn with_units(mut self, width: &Width, units: &[usize]) -> Model {
        assert!(width.is_even(units), "the width has the units");
        self.keep(width, units);
        self
    }

    /// The model without its useless units; input and output stay as they are, and every width
    /// keeps a unit of each group. Readers take in what is constant even where it stays for its group's sake.
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
        let is_of_use = keeps.clone();
        level(&mut keeps, width);
        let mut is_news = false;
        for unit in (0..width.n_units).filter(|&unit| keeps[unit] && !is_of_use[unit]) {
            is_news |= self.silence(width, unit);
        }
        if keeps.contains(&false) {
            let units: Vec<usize> = (0..width.n_units).filter(|&unit| keeps[unit]).collect();
            self.keep(width, &units);
            is_news = true;
        }
        is_news
    }

    /// Computes a unit that nothing reads with zero weights, so that it reads nothing either; false when
    /// it does already.
    fn silence(&mut self, width: &Width, unit: usize) -> bool {
        let mut is_news = false;
        for &id in &width.layers {
            let layer = &self.layers[id.0];
            let channels = part(layer.shape.0[0], width, unit);
            let Some(extents) = extents(layer) else { continue };
            let computing = extents.weights_computing(channels.clone());
            let Some((weights, bias)) = self.layers[id.0].kind.weights_and_bias_mut() else { continue };
            is_news |= computing.iter().any(|&at| weights[at as usize] != 0.0);
            computing.into_iter().for_each(|at| weights[at as usize] = 0.0);
            bias.iter_mut().skip(channels.start).take(channels.len()).for_each(|bias| *bias = 0.0);
        }
        is_news
    }

    fn is_unread(&self, width: &Width, unit: usize) -> bool {
        self.readers(width).all(|(id, extents)| {
            let weights = self.layer(id).kind.weights().unwrap_or_default();
            let read = extents.weights_reading(width, unit);
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
                let computing = extents.weights_computing(channels.clone());
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
            let (rows, columns) = extents.reading(width, unit);
            let Some((weights, bias)) = self.layers[id.0].kind.weights_and_bias_mut() else { continue };
            bias.resize(extents.out, 0.0);
            for (out, bias) in bias.iter_mut().enumerate().take(rows.end).skip(rows.start) {
                for (column, value) in columns.clone().zip(value) {
                    let taps = &mut weights[(out * extents.input + column) * extents.taps..][..extents.taps];
                    *bias += taps.iter().sum::<f64>() * value;
                    taps.fill(0.0);
                }
            }
        }
        is_absorbed
    }

    /// Keeps some units of a width alone, in the order given.
    fn keep(&mut self, width: &Width, units: &[usize]) {
        let readers: Vec<(LayerId, Extents)> = self.readers(width).collect();
        for (id, extents) in readers {
            let Extents { out, input, taps, groups } = extents;
            let per_unit = input * groups / width.n_units;
            let kept: Vec<Vec<usize>> = units
                .chunks(units.len() / groups)
                .map(|units| units.iter().map(|unit| unit % (width.n_units / groups)).collect())
                .collect();
            let kind = &mut self.layers[id.0].kind;
            if let Some((weights, _)) = kind.weights_and_bias_mut() {
                let rows = weights.chunks(input * taps).enumerate();
                *weights = rows
                    .flat_map(|(at, row)| parts(row, &kept[at / (out / groups)], per_unit * taps))
                    .collect();
            }
            if let LayerKind::Conv(conv) = kind {
                conv.weight_shape[1] = per_unit * units.len() / groups;
            }
        }
        width.layers.iter().for_each(|id| self.layers[id.0].keep(units, width.n_units));
    }
}

impl Layer {
    /// Keeps some of `n` equal parts along the first axis, in the order given.
    fn keep(&mut self, units: &[usize], n: usize) {
        let channels = self.shape.0[0] / n;
        self.shape.0[0] = channels * units.len();
        match &mut self.kind {
            LayerKind::Conv(conv) => {
                conv.weight = parts(&conv.weight, units, conv.weight.len() / n);
                conv.bias = parts(&conv.bias, units, channels);
                conv.weight_shape[0] = self.shape.0[0];
            }
            LayerKind::Dense(dense) => {
                dense.weight = parts(&dense.weight, units, dense.weight.len() / n);
                dense.bias = parts(&dense.bias, units, channels);
            }
            LayerKind::Affine { scale, shift } => {
                *scale = parts(scale, units, channels);
                *shift = parts(shift, units, channels);
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

/// Keeps as many units of every group as the group that keeps most, and one at least.
fn level(keeps: &mut [bool], width: &Width) {
    let count = |keeps: &[bool]| keeps.iter().filter(|keeps| **keeps).count();
    let groups = || (0..width.n_groups).map(|group| width.group(group));
    let most = groups().map(|group| count(&keeps[group])).max().unwrap_or(0).max(1);
    for group in groups() {
        let missing = most - count(&keeps[group.clone()]);
        keeps[group].iter_mut().filter(|keeps| !**keeps).take(missing).for_each(|keeps| *keeps = true);
    }
}

/// The chunks of `len` values at some places; none of no values.
fn parts(values: &[f64], places: &[usize], len: usize) -> Vec<f64> {
    let chunk = |&place: &usize| values.chunks(len).nth(place).unwrap_or_default();
    places.iter().flat_map(chunk).copied().collect()
}

/// The channels or features of a unit, of `n` in all.
fn part(n: usize, width: &Width, unit: usize) -> Range<usize> {
    let per_unit = n / width.n_units;
    unit * per_unit..(unit + 1) * per_unit
}

fn extents(layer: &Layer) -> Option<Extents> {
    let shape = layer.weight_shape()?;
    let groups = match &layer.kind {
        LayerKind::Conv(conv) => conv.groups,
        _ => 1,
    };
    Some(Extents { out: shape[0], input: shape[1], taps: shape[2..].iter().product(), groups })
}

impl Extents {
    /// Outputs that read a unit, and as which of the inputs of their group.
    fn reading(self, width: &Width, unit: usize) -> (Range<usize>, Range<usize>) {
        let n_read = width.n_units / self.groups;
        let (group, place) = (unit / n_read, unit % n_read);
        let (rows, columns) = (self.out / self.groups, self.input / n_read);
        (group * rows..(group + 1) * rows, place * columns..(place + 1) * columns)
    }

    fn weights_reading(self, width: &Width, unit: usize) -> Vec<u32> {
        let (outputs, inputs) = self.reading(width, unit);
        self.weights(outputs, inputs)
    }

    fn weights_computing(self, channels: Range<usize>) -> Vec<u32> {
        self.weights(channels, 0..self.input)
    }

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
    /// Layers whose channels a convolution computes or reads in so many groups.
    groups: Vec<(usize, usize)>,
}

impl Ties {
    fn of(model: &Model) -> Ties {
        let classes = UnionFind::new(model.layers.len());
        let mut ties = Ties { classes, fixed: vec![model.output.0], groups: Vec::new() };
        for (id, layer) in model.layers.iter().enumerate() {
            let operands = layer.inputs.iter().map(|operand| operand.0);
            match &layer.kind {
                LayerKind::Input { .. } => ties.fixed.push(id),
                LayerKind::Conv(conv) => {
                    ties.groups.extend(operands.chain([id]).map(|layer| (layer, conv.groups)));
                }
                LayerKind::Dense(_) => {}
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
mod tests;
