//! Why training stops.

use crate::group::GroupError;
use crate::narrow::NarrowError;
use hecc_model::Shape;
use thiserror::Error;

/// Why training cannot start or go on.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TrainError {
    /// A label that the model has no output for.
    #[error("sample {sample} has label {label}, the model has {n_classes} outputs")]
    Label {
        /// Position of the sample.
        sample: usize,
        /// Its label.
        label: usize,
        /// Outputs of the model.
        n_classes: usize,
    },
    /// Samples that are no inputs of the model.
    #[error("samples have shape {found}, the model takes {expected}")]
    Shape {
        /// Shape of the model's input.
        expected: Shape,
        /// Shape of a sample.
        found: Shape,
    },
    /// Nothing to learn from.
    #[error("there are {found} samples, training needs at least {needed}")]
    TooFew {
        /// Samples needed.
        needed: usize,
        /// Samples there are.
        found: usize,
    },
    /// A loss that is no number. The weights are those before the epoch.
    #[error("the loss is not a number any more: layer `{layer}` is the first that is not finite")]
    Diverged {
        /// First layer with a value that is not finite.
        layer: String,
    },
    /// A group of weights that the model does not have.
    #[error("group {group} names weights that layer `{layer}` does not have")]
    Group {
        /// Position of the group.
        group: usize,
        /// The layer that it names.
        layer: String,
    },
    /// A convolution that cannot be grouped.
    #[error(transparent)]
    Ungroupable(#[from] GroupError),
    /// A layer that cannot have so many channels.
    #[error(transparent)]
    Narrow(#[from] NarrowError),
    /// A setting that makes no sense.
    #[error("{what} of {value} is out of range")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A checkpoint of another training.
    #[error("the checkpoint does not fit: {0}")]
    Checkpoint(&'static str),
    /// The caller asked to stop.
    #[error("training was stopped")]
    Stopped,
}
