//! Random valid circuits, for property tests of this crate and its users.
//!
//! A circuit is decoded from a list of numbers, so that shrinking the list
//! shrinks the circuit. Every list decodes to a circuit that verifies; contents
//! are at most 1 in magnitude and products at most three deep, so that plain
//! evaluation stays small.

mod decode;
mod leveled;
mod program;
#[cfg(feature = "text")]
pub mod readers;
mod replay;

use crate::circuit::{Circuit, Stage};
use crate::program::Program;
use decode::Decoder;
use proptest::prelude::*;

pub use program::program_of;
pub use replay::{Replayed, replay};

/// Circuits of one stage, up to about fifty values.
pub fn circuits(stage: Stage) -> impl Strategy<Value = Circuit> {
    proptest::collection::vec(any::<u32>(), 0..240).prop_map(move |choices| circuit_from(stage, &choices))
}

/// Circuits of either stage.
pub fn any_circuits() -> impl Strategy<Value = Circuit> {
    prop_oneof![circuits(Stage::Abstract), circuits(Stage::Leveled)]
}

/// Programs of leveled circuits.
pub fn programs() -> impl Strategy<Value = Program> {
    circuits(Stage::Leveled).prop_map(|circuit| program_of(&circuit))
}

/// The circuit a list of choices stands for.
pub fn circuit_from(stage: Stage, choices: &[u32]) -> Circuit {
    Decoder::new(stage, choices).finish()
}

/// Input tensors for a circuit: elements from -1 to 1, decided by `seed`.
pub fn inputs_for(circuit: &Circuit, seed: u64) -> Vec<Vec<f64>> {
    let mut state = seed;
    let mut element = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 32) as f64 / f64::from(1u32 << 31) - 1.0
    };
    circuit.inputs.iter().map(|input| input.layout.home.iter().map(|_| element()).collect()).collect()
}
