//! One convolution of a model in groups.

use super::assign::{Free, assign, order};
use hecc_model::{Conv, Layer, LayerId, LayerKind, Model, Width, permuted};

/// Why a convolution cannot be grouped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// No layer of that name.
    #[error("there is no layer `{0}`")]
    UnknownLayer(String),
    /// A layer of another kind.
    #[error("layer `{0}` is no convolution")]
    NoConvolution(String),
    /// Groups of groups.
    #[error("layer `{layer}` has {groups} groups already")]
    Grouped {
        /// The layer.
        layer: String,
        /// Its groups.
        groups: usize,
    },
    /// A number of groups, 2 or more, has to divide both numbers of channels.
    #[error("layer `{layer}` has {inputs} input and {outputs} output channels: {groups} groups cannot be")]
    NoDivisor {
        /// The layer.
        layer: String,
        /// Groups asked for.
        groups: usize,
        /// Its input channels.
        inputs: usize,
        /// Its output channels.
        outputs: usize,
    },
    /// A layer that is to be grouped in two ways.
    #[error("layer `{0}` is named twice")]
    Twice(String),
}

/// The convolution of a name, if it can be in so many groups.
pub(super) fn find(model: &Model, name: &str, n_groups: usize) -> Result<LayerId, GroupError> {
    let found = model.layers.iter().position(|layer| layer.name == name);
    let id = LayerId(found.ok_or_else(|| GroupError::UnknownLayer(name.to_owned()))?);
    let layer = name.to_owned();
    let LayerKind::Conv(conv) = &model.layer(id).kind else { return Err(GroupError::NoConvolution(layer)) };
    if conv.groups > 1 {
        return Err(GroupError::Grouped { layer, groups: conv.groups });
    }
    let [outputs, inputs, ..] = conv.weight_shape;
    match n_groups > 1 && inputs.is_multiple_of(n_groups) && outputs.is_multiple_of(n_groups) {
        true => Ok(id),
        false => Err(GroupError::NoDivisor { layer, groups: n_groups, inputs, outputs }),
    }
}

/// A model with a convolution in groups, and the share of its squared weights that are left.
/// Channels before and after it stand in another order where that keeps more. With `shuffles`
/// those that come out of groups are dealt to the new ones in turn.
pub(super) fn regrouped(
    mut model: Model,
    name: &str,
    n_groups: usize,
    shuffles: bool,
) -> Result<(Model, f64), GroupError> {
    let mut id = find(&model, name, n_groups)?;
    let n_before = groups_before(&model, id);
    if shuffles && n_before > 1 {
        id = shuffle(&mut model, id, n_before);
    }
    let conv = dense(&model, id);
    let [inputs, outputs] = sides(&model, id);
    let free = Free { inputs: inputs.is_some(), outputs: outputs.is_some() };
    let groups = assign(conv, n_groups, free);
    for (width, groups) in [(inputs, groups.inputs), (outputs, groups.outputs)] {
        if let Some(width) = width {
            model = model.with_units(&width, &order(&groups));
        }
    }
    let share = cut(&mut model, id, n_groups);
    Ok((model, share))
}

/// Whether the channels that a convolution reads come out of groups.
pub(super) fn follows_groups(model: &Model, name: &str) -> bool {
    let found = model.layers.iter().position(|layer| layer.name == name);
    found.is_some_and(|at| groups_before(model, LayerId(at)) > 1)
}

fn dense(model: &Model, id: LayerId) -> &Conv {
    match &model.layer(id).kind {
        LayerKind::Conv(conv) => conv,
        kind => unreachable!("{kind:?} was found to be a convolution"),
    }
}

/// The widths that a convolution reads and writes, where their channels may stand in any
/// order: none where groups, moves or the ends of the network fix it, nor where both are one.
fn sides(model: &Model, id: LayerId) -> [Option<Width>; 2] {
    let widths = model.widths();
    let ends = [model.layer(id).inputs[0], id];
    let sides = ends.map(|end| {
        let n_channels = model.layer(end).shape.0[0];
        let is_free = |width: &&Width| {
            width.layers.contains(&end) && width.n_units == n_channels && width.n_groups == 1
        };
        widths.iter().find(is_free).cloned()
    });
    if sides[0] == sides[1] { [None, None] } else { sides }
}

/// Drops the weights between channels of different groups; returns the share of the squares
/// that is left.
fn cut(model: &mut Model, id: LayerId, n_groups: usize) -> f64 {
    let LayerKind::Conv(conv) = &mut model.layers[id.0].kind else {
        unreachable!("the layer is a convolution")
    };
    let [outputs, inputs, rows, columns] = conv.weight_shape;
    let (per_group, len) = (inputs / n_groups, inputs / n_groups * rows * columns);
    let own = |(output, row): (usize, &[f64])| row[output * n_groups / outputs * len..][..len].to_vec();
    let left: Vec<f64> = conv.weight.chunks(inputs * rows * columns).enumerate().flat_map(own).collect();
    let squares = |weights: &[f64]| weights.iter().map(|w| w * w).sum::<f64>();
    let (all, kept) = (squares(&conv.weight), squares(&left));
    conv.weight = left;
    conv.weight_shape[1] = per_group;
    conv.groups = n_groups;
    if all == 0.0 { 1.0 } else { kept / all }
}

/// Groups of the convolution whose channels reach a layer one by one, through convolutions of
/// single channels too; 1 where there is none.
fn groups_before(model: &Model, id: LayerId) -> usize {
    let mut at = model.layer(id).inputs[0];
    loop {
        let layer = model.layer(at);
        match &layer.kind {
            LayerKind::Conv(conv) if conv.groups == layer.shape.0[0] && conv.weight_shape[1] == 1 => {}
            LayerKind::Conv(conv) => return conv.groups,
            LayerKind::AvgPool(_)
            | LayerKind::MaxPool(_)
            | LayerKind::Affine { .. }
            | LayerKind::Polynomial { .. }
            | LayerKind::Nonlinear(_) => {}
            LayerKind::Input { .. } | LayerKind::Dense(_) | LayerKind::Add | LayerKind::Move { .. } => {
                return 1;
            }
        }
        at = layer.inputs[0];
    }
}

/// Moves that a shuffle consists of.
const N_MOVES: usize = 3;

/// Puts a shuffle (Zhang et al. 2018, ShuffleNet) before a convolution: of channels in groups, the
/// first of every group comes first, then the second. It is a reshape, a transpose and a reshape, which model
/// files can spell. The convolution goes on reading what it read. Returns where it is now.
fn shuffle(model: &mut Model, conv: LayerId, n_groups: usize) -> LayerId {
    let operand = model.layer(conv).inputs[0];
    let name = model.layer(conv).name.clone();
    let image = model.layer(operand).shape.clone();
    let (n, [height, width]) = (image.n_elements(), [image.0[1], image.0[2]]);
    let split = vec![n_groups, image.0[0] / n_groups, height, width];
    let swapped = vec![split[1], split[0], height, width];
    let swap = permuted(&split, &[1, 0, 2, 3]);
    let moves = [(split, (0..n).collect()), (swapped, swap), (image.0, (0..n).collect())];
    let is_behind = |id: &&mut LayerId| **id >= conv;
    let references = model.layers.iter_mut().flat_map(|layer| &mut layer.inputs).chain([&mut model.output]);
    references.filter(is_behind).for_each(|id| id.0 += N_MOVES);
    for (number, (extents, source)) in moves.into_iter().enumerate() {
        let at = conv.0 + number;
        let input = if number == 0 { operand } else { LayerId(at - 1) };
        let name = free_name(model, &format!("{name}_shuffle"));
        let mut shape = model.layer(operand).shape.clone();
        shape.0 = extents;
        let layer = Layer { name, kind: LayerKind::Move { source }, inputs: vec![input], shape };
        model.layers.insert(at, layer);
    }
    let moved = LayerId(conv.0 + N_MOVES);
    model.layers[moved.0].inputs = vec![LayerId(moved.0 - 1)];
    if let LayerKind::Conv(conv) = &mut model.layers[moved.0].kind {
        let [_, inputs, rows, columns] = conv.weight_shape;
        let sources = permuted(&[n_groups, inputs / n_groups], &[1, 0]);
        let kernels: Vec<&[f64]> = conv.weight.chunks(rows * columns).collect();
        let rows = kernels.chunks(inputs).flat_map(|row| sources.iter().map(|&source| row[source]));
        conv.weight = rows.flatten().copied().collect();
    }
    moved
}

/// A name that no layer has.
fn free_name(model: &Model, name: &str) -> String {
    let numbered = (1..).map(|number| format!("{name}{number}"));
    let mut free = numbered.filter(|name| model.layers.iter().all(|layer| layer.name != *name));
    free.next().expect("there are more numbers than layers")
}
