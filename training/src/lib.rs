//! Training for homomorphic inference.
//!
//! A [`Trainee`] is a model whose weights are tensors. [`Trainee::fit`] trains it on
//! [`Samples`], from labels and, where there is one, from a teacher.
//! [`friendly`] replaces activations and maximum pools, which have no encrypted form, by
//! polynomials and means. [`prune`] makes groups of weights zero and keeps them
//! so. Nothing here knows of packings or files: groups and their prices come from the
//! caller.

mod error;
mod fit;
mod forward;
pub mod friendly;
pub mod prune;
mod samples;
mod trainee;

pub use error::TrainError;
pub use fit::{Flow, Progress, Recipe};
pub use samples::Samples;
pub use trainee::Trainee;
