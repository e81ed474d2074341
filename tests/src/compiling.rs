//! Compiling for rings that are too small to be secure, so that tests are
//! quick and tensors fill several ciphertexts.

use crate::models::tensor_for;
use hecc::cost::default_target;
use hecc::model::Model;
use hecc::pipeline::{CompileError, Compiled, Options, compile};
use hecc_ir::SecurityLevel;
use hecc_ir::target::{RingCost, Target};

/// Options for ciphertexts of `n_slots`, of any precision: what is tested is
/// the meaning.
pub fn options_for(n_slots: usize) -> Options {
    Options {
        security: SecurityLevel::Insecure,
        precision: f64::INFINITY,
        target: target_for(n_slots),
        ..Options::default()
    }
}

/// Compiles for ciphertexts of `n_slots`, calibrated on one input.
///
/// # Errors
/// As [`compile`].
pub fn compile_small(model: &Model, n_slots: usize, sample: &[f64]) -> Result<Compiled, CompileError> {
    compile(model, &Options { samples: vec![tensor_for(model, sample)], ..options_for(n_slots) })
}

/// The default target with one ring of `2 * n_slots` instead of its own.
pub fn target_for(n_slots: usize) -> Target {
    let target = default_target();
    let smallest = target.rings.first().expect("the default target has rings").clone();
    let ring = RingCost { ring_degree: 2 * n_slots, ..smallest };
    Target { rings: vec![ring], ..target }
}
