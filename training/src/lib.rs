//! Training for homomorphic inference.
//!
//! A [`Trainee`] is a model whose weights are tensors. [`Trainee::fit`] trains it on
//! [`Samples`], from labels and, where there is one, from a teacher; it can stop after any
//! epoch and go on from a [`Checkpoint`].
//! [`friendly`] replaces activations and maximum pools, which have no encrypted form, by
//! polynomials, means and convolutions. [`group`] puts convolutions into groups of channels.
//! [`narrow`] leaves layers as many channels as they are told, [`prune`] makes groups of weights zero and keeps them so. Nothing here knows of packings or
//! files: what to group, and groups of weights with their prices, come from the caller.

mod adam;
mod checkpoint;
mod error;
mod fit;
mod forward;
pub mod friendly;
pub mod group;
pub mod narrow;
pub mod prune;
mod samples;
mod trainee;

pub use checkpoint::Checkpoint;
pub use error::TrainError;
pub use fit::{Event, Flow, Progress, Recipe};
pub use samples::Samples;
pub use trainee::Trainee;
