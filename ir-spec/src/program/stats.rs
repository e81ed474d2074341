//! What circuits and programs consist of: the numbers optimisations are judged by.

use super::{Instr, KeyPlan, Manifest, Port, Program, Reg};
use crate::circuit::{Circuit, Op};
use crate::scale::Level;
use crate::size::Sizes;
use std::collections::HashSet;
use std::ops::AddAssign;

/// How many operations of each kind run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpCounts {
    /// Rotations by a step other than zero.
    pub rotations: usize,
    /// Groups of rotations that share one decomposition.
    pub hoisted_groups: usize,
    /// Relinearisations.
    pub relins: usize,
    /// Rotations and relinearisations: applications of an evaluation key.
    pub key_switches: usize,
    /// Products with a plaintext.
    pub mul_plain: usize,
    /// Products with a scalar.
    pub mul_scalar: usize,
    /// Products of two ciphertexts.
    pub mul_ct: usize,
    /// Additions and subtractions of two ciphertexts; a sum of n terms is n - 1.
    pub adds: usize,
    /// Sums with a plaintext.
    pub add_plain: usize,
    /// Negations.
    pub negs: usize,
    /// Rescales.
    pub rescales: usize,
    /// Level drops.
    pub drop_levels: usize,
}

impl AddAssign for OpCounts {
    fn add_assign(&mut self, other: OpCounts) {
        self.rotations += other.rotations;
        self.hoisted_groups += other.hoisted_groups;
        self.relins += other.relins;
        self.key_switches += other.key_switches;
        self.mul_plain += other.mul_plain;
        self.mul_scalar += other.mul_scalar;
        self.mul_ct += other.mul_ct;
        self.adds += other.adds;
        self.add_plain += other.add_plain;
        self.negs += other.negs;
        self.rescales += other.rescales;
        self.drop_levels += other.drop_levels;
    }
}

impl Instr {
    /// What this instruction consists of; all products of an inner product count as with
    /// plaintexts.
    pub fn op_counts(&self) -> OpCounts {
        let none = OpCounts::default();
        match self {
            Instr::Input { .. } | Instr::Zero { .. } => none,
            Instr::Rotate { outs, .. } => {
                let rotations = outs.iter().filter(|(step, _)| !step.is_zero()).count();
                OpCounts { rotations, key_switches: rotations, hoisted_groups: rotations.min(1), ..none }
            }
            Instr::InnerProduct { terms, .. } => {
                OpCounts { mul_plain: terms.len(), adds: terms.len().saturating_sub(1), ..none }
            }
            Instr::Sum { terms, .. } => OpCounts { adds: terms.len().saturating_sub(1), ..none },
            Instr::Sub { .. } => OpCounts { adds: 1, ..none },
            Instr::Neg { .. } => OpCounts { negs: 1, ..none },
            Instr::AddPlain { .. } => OpCounts { add_plain: 1, ..none },
            Instr::MulScalar { .. } => OpCounts { mul_scalar: 1, ..none },
            Instr::Mul { .. } => OpCounts { mul_ct: 1, ..none },
            Instr::Relin { .. } => OpCounts { relins: 1, key_switches: 1, ..none },
            Instr::Rescale { .. } => OpCounts { rescales: 1, ..none },
            Instr::DropLevel { .. } => OpCounts { drop_levels: 1, ..none },
        }
    }
}

impl Program {
    /// What all instructions together consist of.
    pub fn op_counts(&self) -> OpCounts {
        let mut total = OpCounts::default();
        self.instrs.iter().for_each(|instr| total += self.counts_of(instr));
        total
    }

    /// What one instruction consists of; products with uniform plaintexts are products
    /// with scalars. Expects constants in range.
    pub fn counts_of(&self, instr: &Instr) -> OpCounts {
        let mut counts = instr.op_counts();
        if let Instr::InnerProduct { terms, .. } = instr {
            counts.mul_scalar = terms.iter().filter(|term| self.is_uniform(term.1)).count();
            counts.mul_plain -= counts.mul_scalar;
        }
        counts
    }

    /// Whether all slots of a plaintext are equal, by its index in [`Program::plains`].
    pub fn is_uniform(&self, plain: u32) -> bool {
        self.consts[self.plains[plain as usize].constant as usize].uniform().is_some()
    }

    /// Rescales on the longest path. Expects a program that verifies.
    pub fn depth(&self) -> usize {
        let mut depth_of = vec![0; self.types.len()];
        for instr in &self.instrs {
            let below = instr.reads().into_iter().map(|Reg(reg)| depth_of[reg as usize]).max().unwrap_or(0);
            let depth = below + instr.op_counts().rescales;
            instr.writes().into_iter().for_each(|Reg(reg)| depth_of[reg as usize] = depth);
        }
        depth_of.into_iter().max().unwrap_or(0)
    }

    /// The evaluation keys its instructions need, each with the highest level
    /// it is used at. Expects registers in range.
    pub fn required_keys(&self) -> KeyPlan {
        let mut keys = KeyPlan::default();
        for instr in &self.instrs {
            if let Instr::Rotate { src, outs } = instr {
                let level = self.types[src.0 as usize].level;
                for (step, _) in outs.iter().filter(|(step, _)| !step.is_zero()) {
                    let highest = keys.rotations.entry(*step).or_insert(level);
                    *highest = level.max(*highest);
                }
            }
            if let Instr::Relin { src, .. } = instr {
                keys.relin = keys.relin.max(Some(self.types[src.0 as usize].level));
            }
        }
        keys
    }
}

/// Words per coefficient and prime in tables of transforms and in the secret, and per coefficient in tables
/// of the encoder.
const RING_WORDS: u64 = 5;
const ENCODER_WORDS: u64 = 8;

impl Manifest {
    /// Memory that the planned evaluation keys take where they are used, in bytes. Expects sound params; saturates.
    pub fn key_bytes(&self) -> u64 {
        self.sum_of_keys(|level| Sizes(&self.params).key(level))
    }

    /// Bytes of the planned evaluation keys as they travel. Expects sound params; saturates.
    pub fn sent_key_bytes(&self) -> u64 {
        self.sum_of_keys(|level| Sizes(&self.params).sent_key(level))
    }

    /// Memory that making the planned evaluation keys takes, in bytes: all of them as they travel, and one where it
    /// is made. Expects sound params; saturates.
    pub fn keygen_bytes(&self) -> u64 {
        let levels = self.keys.rotations.values().copied().chain(self.keys.relin);
        let largest = levels.map(|level| 2 * Sizes(&self.params).key(level) as u64).max().unwrap_or(0);
        self.sent_key_bytes().saturating_add(largest)
    }

    /// Memory that a client takes before it has any key, in bytes: tables of its ring, and the secret. Expects
    /// sound params.
    pub fn ring_bytes(&self) -> u64 {
        let n_primes = (self.params.q.len() + self.params.p.len()) as u64;
        (RING_WORDS * n_primes + ENCODER_WORDS) * self.limb_bytes(1)
    }

    fn sum_of_keys(&self, bytes: impl Fn(Level) -> usize) -> u64 {
        let levels = self.keys.rotations.values().copied().chain(self.keys.relin);
        levels.map(|level| bytes(level) as u64).fold(0, u64::saturating_add)
    }

    /// Memory that one ciphertext for every place in every input and output
    /// takes, in bytes. Expects sound params; saturates.
    pub fn port_bytes(&self) -> u64 {
        let ports = self.inputs.iter().chain(&self.outputs);
        ports.map(|port| self.bytes_of(port)).fold(0, u64::saturating_add)
    }

    /// Memory that the ciphertexts of one input or output take, in bytes. Expects sound params; saturates.
    pub fn bytes_of(&self, port: &Port) -> u64 {
        let polys = (port.layout.n_cts as u64).saturating_mul(u64::from(port.ty.degree) + 1);
        polys.saturating_mul(self.limb_bytes(port.ty.level.n_limbs() as u64))
    }

    fn limb_bytes(&self, n_limbs: u64) -> u64 {
        n_limbs.saturating_mul(self.params.ring_degree as u64 * size_of::<u64>() as u64)
    }
}

impl Op {
    /// Whether its result has the scale of a product.
    pub fn is_product(&self) -> bool {
        matches!(self, Op::Mul(..) | Op::MulPlain(..) | Op::MulScalar(..))
    }

    /// What this op consists of; a rotation counts as one hoisted group.
    pub fn op_counts(&self) -> OpCounts {
        let none = OpCounts::default();
        match self {
            Op::Input { .. } | Op::Zero => none,
            Op::Add(values) => OpCounts { adds: values.len().saturating_sub(1), ..none },
            Op::Sub(..) => OpCounts { adds: 1, ..none },
            Op::Neg(_) => OpCounts { negs: 1, ..none },
            Op::AddPlain(..) => OpCounts { add_plain: 1, ..none },
            Op::Mul(..) => OpCounts { mul_ct: 1, ..none },
            Op::MulPlain(..) => OpCounts { mul_plain: 1, ..none },
            Op::MulScalar(..) => OpCounts { mul_scalar: 1, ..none },
            Op::Rotate(_, step) if step.is_zero() => none,
            Op::Rotate(..) => OpCounts { rotations: 1, key_switches: 1, hoisted_groups: 1, ..none },
            Op::Rescale(_) => OpCounts { rescales: 1, ..none },
            Op::Relin(_) => OpCounts { relins: 1, key_switches: 1, ..none },
            Op::DropLevel(..) => OpCounts { drop_levels: 1, ..none },
        }
    }
}

impl Circuit {
    /// What all nodes together consist of; rotations of one value are one
    /// hoisted group, and products with uniform plaintexts are products with scalars.
    pub fn op_counts(&self) -> OpCounts {
        let mut total = OpCounts::default();
        self.nodes.iter().for_each(|node| total += node.op.op_counts());
        let is_uniform =
            |op: &Op| matches!(op, Op::MulPlain(_, constant) if self.plain(*constant).uniform().is_some());
        let n_uniform = self.nodes.iter().filter(|node| is_uniform(&node.op)).count();
        total.mul_plain -= n_uniform;
        total.mul_scalar += n_uniform;
        let rotated = self.nodes.iter().filter(|node| node.op.op_counts().rotations > 0);
        total.hoisted_groups = rotated.flat_map(|node| node.op.operands()).collect::<HashSet<_>>().len();
        total
    }

    /// Products of any kind on the longest path.
    pub fn depth(&self) -> usize {
        let mut depth_of: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let below =
                node.op.operands().into_iter().map(|value| depth_of[value.index()]).max().unwrap_or(0);
            depth_of.push(below + usize::from(node.op.is_product()));
        }
        depth_of.into_iter().max().unwrap_or(0)
    }
}
