//! The hecc compiler: from a model description to an executable HE program.
//!
//! A model passes through the modules in one direction: [`front`] reads it,
//! [`sparsity`] makes it sparse maps and activations, [`packing`] places it in
//! slots, [`lower`] emits the circuit, [`rewrite`] makes it cheaper, [`schedule`] gives it
//! levels and ring parameters, [`emit`] writes the program. [`validate`] compares circuits
//! before and after a pass. [`pipeline::compile`] is that list.
//!
//! With the feature `cli` there are also the commands, whose parts `hecc-prepare` shares.

// The commands name the library as every other user does.
#[cfg(feature = "cli")]
extern crate self as hecc;

#[cfg(feature = "cli")]
pub mod cli;
pub mod cost;
pub mod diag;
pub mod emit;
pub mod front;
pub mod lower;
pub mod packing;
pub mod pipeline;
pub mod rewrite;
pub mod schedule;
pub mod sparsity;
pub mod validate;

pub use hecc_model as model;
