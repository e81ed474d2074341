//! What a run will take, before it starts.
//!
//! Time is priced as compilers price circuits, by [`OpCost`], from steps that the back end measures on the machine
//! at hand. Memory is what the schedule keeps alive on one thread.

use crate::Backend;
use crate::executor::Encoded;
use crate::report::{Clock, RunCost, RunMemory};
use crate::schedule::{Schedule, mnemonic, position};
use hecc_ir::target::{Basis, OpCost};
use hecc_ir::{Instr, Level, Program, Reg};
use std::collections::BTreeSet;
use std::time::Duration;

/// Time and memory of a run on all threads, as [`RunCost`] reports them of a run that was; nothing of back ends that
/// do not measure steps.
pub(crate) fn of<B: Backend>(encoded: &Encoded<B>, backend: &B) -> Option<RunCost> {
    let ring = backend.step_times()?;
    let (program, schedule) = (encoded.program(), encoded.schedule());
    let ops = OpCost { ring: &ring, params: &program.manifest.params };
    let prices = Prices { program, schedule, ops, is_kept: &|plain| encoded.keeps(plain) };
    let mut clock = Clock::default();
    let mut total = 0.0;
    for members in &schedule.units {
        for (index, ns) in prices.of_unit(members) {
            let instr = &program.instrs[index as usize];
            total += ns;
            clock.add(program.source_of[index as usize], mnemonic(instr), nanoseconds(ns));
        }
    }
    let n_threads = encoded.n_threads();
    Some(RunCost {
        timings: clock.table(|layer| program.sources[layer as usize].clone()),
        wall: nanoseconds(total / n_threads as f64),
        memory: memory(encoded, backend),
        n_threads,
    })
}

fn nanoseconds(ns: f64) -> Duration {
    Duration::try_from_secs_f64(ns * 1e-9).unwrap_or(Duration::MAX)
}

fn memory<B: Backend>(encoded: &Encoded<B>, backend: &B) -> RunMemory {
    let plains = encoded.plain_bytes();
    let ciphertexts = encoded.ciphertext_bytes();
    let keys = backend.key_bytes() + backend.missing_key_bytes(&encoded.program().manifest);
    let on_the_fly_plains = encoded.most_on_the_fly();
    let resident_plains = plains.resident;
    let peak = ciphertexts + keys + on_the_fly_plains + resident_plains;
    RunMemory { ciphertexts, resident_plains, on_the_fly_plains, mapped_plains: plains.mapped, keys, peak }
}

/// Prices instructions in nanoseconds on one thread.
struct Prices<'a> {
    program: &'a Program,
    schedule: &'a Schedule,
    ops: OpCost<'a>,
    /// Whether a plaintext need not be encoded when it is read.
    is_kept: &'a dyn Fn(u32) -> bool,
}

impl Prices<'_> {
    /// Instructions that run together; operands that they share are read once.
    fn of_unit(&self, members: &[u32]) -> Vec<(u32, f64)> {
        let mut read = BTreeSet::new();
        members.iter().map(|&index| (index, self.of_instr(index, &mut read))).collect()
    }

    fn of_instr(&self, index: u32, read: &mut BTreeSet<u32>) -> f64 {
        let ops = &self.ops;
        match &self.program.instrs[index as usize] {
            Instr::Input { .. } | Instr::DropLevel { .. } => 0.0,
            Instr::Zero { dst } | Instr::Neg { dst, .. } | Instr::Sub { dst, .. } => self.add(*dst),
            Instr::Rotate { src, outs } => {
                self.rotate(*src, outs.iter().filter(|out| !out.0.is_zero()).count())
            }
            Instr::InnerProduct { dst, terms } => self.inner_product(*dst, terms, read),
            Instr::Sum { dst, terms } => (terms.len() - 1) as f64 * self.add(*dst),
            Instr::AddPlain { dst, plain, .. } => self.add(*dst) + self.encode(*plain),
            Instr::MulScalar { dst, .. } => 2.0 * ops.mul_plain(self.level(*dst), self.basis(*dst)),
            Instr::Mul { dst, a, b } => {
                let operands: BTreeSet<u32> = [a.0, b.0].into();
                let reduced: f64 = operands.into_iter().map(|reg| self.reduce(Reg(reg))).sum();
                ops.mul(self.level(*dst)) + reduced
            }
            Instr::Relin { dst, .. } => ops.relin(self.level(*dst)),
            Instr::Rescale { dst, src } => ops.rescale(self.level(*dst), self.basis(*src)),
        }
    }

    fn rotate(&self, src: Reg, n_steps: usize) -> f64 {
        if n_steps == 0 {
            return 0.0;
        }
        let level = self.level(src);
        let divided = match self.basis(src) {
            Basis::Reduced => 0.0,
            Basis::Extended => self.ops.divide(level),
        };
        divided + self.ops.decompose(level) + n_steps as f64 * self.ops.apply_key(level)
    }

    fn inner_product(&self, dst: Reg, terms: &[(Reg, u32)], read: &mut BTreeSet<u32>) -> f64 {
        let (level, basis) = (self.level(dst), self.basis(dst));
        let term = |&(reg, plain): &(Reg, u32)| {
            let product = match self.program.is_uniform(plain) {
                true => self.ops.mul_scalar(level, basis),
                false => self.ops.mul_plain(level, basis) + self.encode(plain),
            };
            let reduced = if basis == Basis::Reduced { self.reduce(reg) } else { 0.0 };
            let gathered = if read.insert(reg.0) { self.ops.gather(level, basis) + reduced } else { 0.0 };
            product + gathered
        };
        terms.iter().map(term).sum()
    }

    /// A transform of the encoder and one of each prime, unless the plaintext is there.
    fn encode(&self, plain: u32) -> f64 {
        if (self.is_kept)(plain) || self.program.is_uniform(plain) {
            return 0.0;
        }
        let level = self.program.plains[plain as usize].level;
        (level.n_limbs() + self.program.manifest.params.p.len() + ENCODER_TRANSFORMS) as f64
            * self.ops.ring.ntt_ns
    }

    fn add(&self, dst: Reg) -> f64 {
        self.ops.add(self.level(dst), self.basis(dst))
    }

    /// What an operation pays that needs the division by the special modulus done.
    fn reduce(&self, reg: Reg) -> f64 {
        match self.basis(reg) {
            Basis::Reduced => 0.0,
            Basis::Extended => self.ops.reduce(self.level(reg)),
        }
    }

    fn level(&self, reg: Reg) -> Level {
        self.program.types[position(reg)].level
    }

    fn basis(&self, reg: Reg) -> Basis {
        self.schedule.bases[position(reg)]
    }
}

/// Transforms of one limb that take about as long as the encoder takes for the slots of a plaintext.
const ENCODER_TRANSFORMS: usize = 4;
