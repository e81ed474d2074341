//! Division of a layer's weights into blocks.

use super::Group;
use hecc_model::{LayerId, Model};
use std::collections::BTreeMap;

/// Why weights cannot be divided into blocks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// No layer of that name.
    #[error("there is no layer `{0}`")]
    UnknownLayer(String),
    /// The layer has no weights.
    #[error("layer `{0}` has no weights")]
    NoWeights(String),
    /// The block has another number of axes than the weights.
    #[error("the weights of `{layer}` have shape {}, the block has {found} extents", extents(.shape))]
    Rank {
        /// The layer.
        layer: String,
        /// Shape of its weights.
        shape: Vec<usize>,
        /// Extents of the block.
        found: usize,
    },
    /// An extent of zero.
    #[error("a block of layer `{0}` has an extent of zero")]
    Empty(String),
}

/// A shape as users write it.
fn extents(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

/// Divides the weights of a layer into blocks of a shape, `[out, in, rows, columns]` for
/// convolutions and `[out, in]` for dense layers. Blocks at the ends are smaller where
/// the shape does not divide that of the weights.
///
/// # Errors
/// When there is no such layer or the block does not fit it.
pub fn blocks(model: &Model, layer: &str, block: &[usize]) -> Result<Vec<Group>, BlockError> {
    let found = model.layers.iter().position(|known| known.name == layer);
    let id = LayerId(found.ok_or_else(|| BlockError::UnknownLayer(layer.to_owned()))?);
    let shape = model.layer(id).weight_shape().ok_or_else(|| BlockError::NoWeights(layer.to_owned()))?;
    if shape.len() != block.len() {
        return Err(BlockError::Rank { layer: layer.to_owned(), shape, found: block.len() });
    }
    if block.contains(&0) {
        return Err(BlockError::Empty(layer.to_owned()));
    }
    let mut groups: BTreeMap<Vec<usize>, Vec<u32>> = BTreeMap::new();
    for weight in 0..shape.iter().product::<usize>() {
        let mut rest = weight;
        let mut place = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            place[axis] = rest % shape[axis] / block[axis];
            rest /= shape[axis];
        }
        groups.entry(place).or_default().push(weight as u32);
    }
    Ok(groups.into_values().map(|weights| Group { layer: id, weights }).collect())
}
