//! The hecc compiler: from a model description to an executable HE program.
pub mod cost;
pub mod diag;
pub mod front;
pub mod lower;
pub mod model;
pub mod packing;
pub mod schedule;
pub mod sparsity;
