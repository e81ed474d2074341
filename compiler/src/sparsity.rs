//! Linear layers as sparse matrices, and a model as their alternation with
//! activations.
//!
//! Everything linear (convolution, dense, pool, batch norm, residual sum, data
//! movement) becomes a [`Matrix`] that holds non-zero weights only; neighbours
//! are composed. What is left is a [`Network`]: linear nodes and activations.

mod composition;
mod convolution;
mod layers;
mod matrix;
mod network;

pub(crate) use layers::layer_matrix;
pub use matrix::Matrix;
pub(crate) use network::compose;
pub use network::{Activation, Factor, Linear, Network, Node, NodeId, NodeKind, Pool, Term};
