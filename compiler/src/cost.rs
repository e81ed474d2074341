//! Prices packed operations before the circuit exists.
//!
//! Packing decides among layouts while ring parameters are not chosen yet, so
//! it prices with nominal ones: a chain of the network's depth at the ring
//! degree under consideration. Costs come from the target's measurements.

use hecc_ir::circuit::{Circuit, Op, Value};
use hecc_ir::params::{Params, SecurityLevel};
use hecc_ir::scale::Level;
use hecc_ir::target::{OpCost, RingCost, Target};

/// Measured costs of the engine on the machine it was developed on.
pub const DEFAULT_TARGET: &str = include_str!("../targets/ckks-cpu.json");

/// The shipped target profile.
pub fn default_target() -> Target {
    serde_json::from_str(DEFAULT_TARGET).expect("the shipped target profile is valid")
}

/// Nominal parameters of one network at one ring degree.
#[derive(Clone, Debug)]
pub struct Nominal {
    ring: RingCost,
    params: Params,
}

/// Ciphertext limbs below the levels a network uses.
const NOMINAL_BASE_LIMBS: usize = 2;
const NOMINAL_PRIME: u64 = 1 << 30;
const NOMINAL_DIGIT_LIMBS: usize = 2;

impl Nominal {
    /// Prices a network of `depth` levels on one ring.
    pub fn new(ring: &RingCost, depth: usize) -> Nominal {
        let ring_degree = ring.ring_degree;
        let params = Params {
            ring_degree,
            q: vec![NOMINAL_PRIME; depth + NOMINAL_BASE_LIMBS],
            p: vec![NOMINAL_PRIME; NOMINAL_DIGIT_LIMBS],
            digit_limbs: NOMINAL_DIGIT_LIMBS,
            security: SecurityLevel::Insecure,
        };
        Nominal { ring: ring.clone(), params }
    }

    /// Prices of single operations.
    pub fn ops(&self) -> OpCost<'_> {
        OpCost { ring: &self.ring, params: &self.params }
    }

    /// The level of a value from which `remaining` levels are still needed.
    pub fn level(&self, remaining: usize) -> Level {
        Level((remaining + NOMINAL_BASE_LIMBS - 1) as u32)
    }
}

/// Price of a circuit with rescales in place, nanoseconds on one thread.
/// Rotations of one value share a decomposition.
pub fn price(circuit: &Circuit, level_of: impl Fn(Value) -> Option<Level>, ops: &OpCost<'_>) -> f64 {
    let mut total = 0.0;
    let mut decomposed = std::collections::HashSet::new();
    for value in circuit.values() {
        let Some(level) = level_of(value) else { continue };
        total += match &circuit.node(value).op {
            Op::Input { .. } | Op::Zero | Op::DropLevel(..) => 0.0,
            Op::Add(values) => (values.len() - 1) as f64 * ops.add(level),
            Op::Sub(..) | Op::Neg(_) | Op::AddPlain(..) => ops.add(level),
            Op::Mul(..) => ops.mul(level),
            Op::MulPlain(..) | Op::MulScalar(..) => ops.mul_plain(level),
            Op::Rotate(a, _) if decomposed.insert((*a, level)) => ops.rotate(level),
            Op::Rotate(..) => ops.apply_key(level),
            Op::Rescale(_) => ops.rescale(level),
            Op::Relin(_) => ops.relin(level),
        };
    }
    total
}
