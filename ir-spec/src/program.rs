//! The executable form of a leveled circuit and what a client must know of it.
//!
//! A [`Program`] is a circuit scheduled for an executor: rotations of one
//! ciphertext are grouped so that they share a decomposition (hoisting), sums
//! of plaintext products are one instruction so that they need no reduction
//! per term. A [`Manifest`] is all a client needs: parameters, layouts and
//! keys to make. It holds no weights.

mod check;
mod expected;
mod raise;
mod stats;

use crate::circuit::{CtType, Plain};
use crate::layout::Layout;
use crate::params::Params;
use crate::scale::{Level, Scale, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use check::{ProgramError, ProgramPlace, ProgramRule};
pub use expected::{Expected, MIN_TESTED_SLOTS, Promise, SlotRun};
pub use stats::OpCounts;

/// A virtual register; each is written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reg(pub u32);

/// A plaintext to encode: contents, level and scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlainUse {
    /// Index into [`Program::consts`].
    pub constant: u32,
    /// Level it is multiplied or added at.
    pub level: Level,
    /// Scale it is encoded at.
    pub scale: Scale,
}

/// One instruction. Types of registers are in [`Program::types`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Instr {
    /// Ciphertext `ct` of input `input`.
    Input {
        /// Register it writes.
        dst: Reg,
        /// Index into [`Manifest::inputs`].
        input: u32,
        /// Which of the input's ciphertexts.
        ct: u32,
    },
    /// An encryption of zero without noise.
    Zero {
        /// Register it writes.
        dst: Reg,
    },
    /// All rotations of one ciphertext at one level.
    Rotate {
        /// Register all of them read.
        src: Reg,
        /// Steps and the registers they write.
        #[serde(deserialize_with = "crate::limits::list::bounded")]
        outs: Vec<(Step, Reg)>,
    },
    /// Sum of products with plaintexts ([`Program::plains`]).
    InnerProduct {
        /// Register it writes.
        dst: Reg,
        /// Registers and their plaintexts, indices into [`Program::plains`].
        #[serde(deserialize_with = "crate::limits::list::bounded")]
        terms: Vec<(Reg, u32)>,
    },
    /// Sum of ciphertexts.
    Sum {
        /// Register it writes.
        dst: Reg,
        /// Registers to add.
        #[serde(deserialize_with = "crate::limits::list::bounded")]
        terms: Vec<Reg>,
    },
    /// Difference of two ciphertexts.
    Sub {
        /// Register it writes.
        dst: Reg,
        /// First operand.
        a: Reg,
        /// Second operand.
        b: Reg,
    },
    /// Negation.
    Neg {
        /// Register it writes.
        dst: Reg,
        /// Register it reads.
        src: Reg,
    },
    /// Sum with a plaintext.
    AddPlain {
        /// Register it writes.
        dst: Reg,
        /// Register it reads.
        src: Reg,
        /// Index into [`Program::plains`].
        plain: u32,
    },
    /// Product with a scalar, encoded at `scale` as one integer.
    MulScalar {
        /// Register it writes.
        dst: Reg,
        /// Register it reads.
        src: Reg,
        /// The factor.
        scalar: f64,
        /// Scale the factor is encoded at.
        scale: Scale,
    },
    /// Product of two ciphertexts (a square when they are the same register).
    Mul {
        /// Register it writes.
        dst: Reg,
        /// First operand.
        a: Reg,
        /// Second operand.
        b: Reg,
    },
    /// Degree 2 to degree 1.
    Relin {
        /// Register it writes.
        dst: Reg,
        /// Register it reads.
        src: Reg,
    },
    /// Division by the last prime.
    Rescale {
        /// Register it writes.
        dst: Reg,
        /// Register it reads.
        src: Reg,
    },
    /// Forgets primes down to the level of `dst`.
    DropLevel {
        /// Register it writes.
        dst: Reg,
        /// Register it reads.
        src: Reg,
    },
}

impl Instr {
    /// Registers it reads.
    pub fn reads(&self) -> Vec<Reg> {
        match self {
            Instr::Input { .. } | Instr::Zero { .. } => Vec::new(),
            Instr::InnerProduct { terms, .. } => terms.iter().map(|t| t.0).collect(),
            Instr::Sum { terms, .. } => terms.clone(),
            Instr::Sub { a, b, .. } | Instr::Mul { a, b, .. } => vec![*a, *b],
            Instr::Rotate { src, .. }
            | Instr::Neg { src, .. }
            | Instr::AddPlain { src, .. }
            | Instr::MulScalar { src, .. }
            | Instr::Relin { src, .. }
            | Instr::Rescale { src, .. }
            | Instr::DropLevel { src, .. } => vec![*src],
        }
    }

    /// Registers it writes.
    pub fn writes(&self) -> Vec<Reg> {
        match self {
            Instr::Rotate { outs, .. } => outs.iter().map(|o| o.1).collect(),
            Instr::Input { dst, .. }
            | Instr::Zero { dst }
            | Instr::InnerProduct { dst, .. }
            | Instr::Sum { dst, .. }
            | Instr::Sub { dst, .. }
            | Instr::Neg { dst, .. }
            | Instr::AddPlain { dst, .. }
            | Instr::MulScalar { dst, .. }
            | Instr::Mul { dst, .. }
            | Instr::Relin { dst, .. }
            | Instr::Rescale { dst, .. }
            | Instr::DropLevel { dst, .. } => vec![*dst],
        }
    }
}

/// Evaluation keys a program needs, each with the highest level it is used at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPlan {
    /// Galois keys by rotation step, in slots of the circuit: a key is for that many
    /// times [`Manifest::lanes`] slots of the ring.
    #[serde(deserialize_with = "crate::limits::list::bounded_map")]
    pub rotations: BTreeMap<Step, Level>,
    /// Relinearisation key.
    pub relin: Option<Level>,
}

/// One encrypted input or output as a client sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Name in the model.
    pub name: String,
    /// Placement of elements in slots.
    pub layout: Layout,
    /// Type of its ciphertexts.
    pub ty: CtType,
    /// Smallest and largest element of an input that is served, that is, allowed; expected bounds of an output.
    pub range: (f64, f64),
    /// Smallest and largest element of an input that the model declares, which may be more than is
    /// served; of an output as `range`.
    pub declared: (f64, f64),
    /// How it is known that values within `range` have room.
    pub basis: RangeBasis,
    /// Of an output, what its decryption shows; inputs have none.
    pub expected: Option<Expected>,
}

/// How it is known that a program has room for the values of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeBasis {
    /// Sample inputs, with a margin: others of the range may outgrow the modulus.
    Samples,
    /// A bound of what any input of the range gives: none outgrows the modulus.
    Bound,
}

/// What a client needs to make keys, encrypt and decrypt. Holds no weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the model.
    pub name: String,
    /// Ring parameters.
    pub params: Params,
    /// Inputs to encrypt.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub inputs: Vec<Port>,
    /// Outputs to decrypt.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub outputs: Vec<Port>,
    /// Evaluation keys to make.
    pub keys: KeyPlan,
}

impl Manifest {
    /// Slots of the circuit, which are those of its ports; without ports, of the ring.
    pub fn n_slots(&self) -> usize {
        let port = self.inputs.iter().chain(&self.outputs).next();
        port.map_or_else(|| self.params.n_slots(), |port| port.layout.n_slots)
    }

    /// Bits of the modulus that results are decrypted with; zero without outputs.
    pub fn base_bits(&self) -> f64 {
        let of_port = |port: &Port| self.params.log_q(port.ty.level);
        self.outputs.iter().filter_map(of_port).fold(0.0, f64::max)
    }

    /// How many independent runs one run of the program makes. Slot `s` of the circuit is
    /// the slots `s * lanes .. (s + 1) * lanes` of the ring, one for each of them.
    /// Expects a manifest that verifies.
    pub fn lanes(&self) -> usize {
        self.params.lanes(self.n_slots()).unwrap_or(1)
    }
}

/// A program for an executor: manifest, instructions, plaintexts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// What clients see.
    pub manifest: Manifest,
    /// Name of the profile of the machine it was compiled for. Any machine runs it, to the same bits.
    pub target: String,
    /// Plaintext contents.
    #[serde(deserialize_with = "crate::plain::bounded_arena")]
    pub consts: Vec<Plain>,
    /// Plaintexts to encode.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub plains: Vec<PlainUse>,
    /// Type of each register.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub types: Vec<CtType>,
    /// Instructions; a register is written before it is read.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub instrs: Vec<Instr>,
    /// Model layer of each instruction, an index into `sources`.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub source_of: Vec<u32>,
    /// Names of model layers.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub sources: Vec<String>,
    /// Registers of each output's ciphertexts.
    #[serde(deserialize_with = "crate::limits::list::bounded_lists")]
    pub outputs: Vec<Vec<Reg>>,
}
