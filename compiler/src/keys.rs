//! Collects the evaluation keys a program needs, each only up to the highest
//! level it is used at.

use hecc_ir::circuit::{Circuit, Op};
use hecc_ir::program::KeyPlan;

/// Keys of a leveled circuit.
pub fn plan_keys(circuit: &Circuit) -> KeyPlan {
    let mut keys = KeyPlan::default();
    for value in circuit.values() {
        let level = circuit.ty(value).level;
        match circuit.node(value).op {
            Op::Rotate(_, step) => {
                let highest = keys.rotations.entry(step).or_insert(level);
                *highest = level.max(*highest);
            }
            Op::Relin(_) => keys.relin = keys.relin.max(Some(level)),
            Op::Input { .. }
            | Op::Zero
            | Op::Add(_)
            | Op::Sub(..)
            | Op::Neg(_)
            | Op::AddPlain(..)
            | Op::Mul(..)
            | Op::MulPlain(..)
            | Op::MulScalar(..)
            | Op::Rescale(_)
            | Op::DropLevel(..) => {}
        }
    }
    keys
}
