//! What must wait for what: dependency and use counts of a program.

use crate::backend::PlainType;
use hecc_ir::{Instr, Program, Reg};

/// The order constraints of a program, computed once and used by every run.
#[derive(Debug)]
pub struct Schedule {
    /// Operands that each instruction waits for, counted with multiplicity.
    pub waits: Vec<u32>,
    /// Instructions that read each register, with multiplicity.
    pub readers: Vec<Vec<u32>>,
    /// Reads of each register by instructions and outputs.
    pub uses: Vec<u32>,
    /// What each plaintext is encoded for.
    pub plains: Vec<PlainType>,
}

impl Schedule {
    /// Reads the constraints off a verified program.
    pub fn of(program: &Program) -> Schedule {
        let n_regs = program.types.len();
        let mut schedule = Schedule {
            waits: Vec::with_capacity(program.instrs.len()),
            readers: vec![Vec::new(); n_regs],
            uses: vec![0; n_regs],
            plains: plain_types(program),
        };
        for (index, instr) in program.instrs.iter().enumerate() {
            let reads = instr.reads();
            schedule.waits.push(reads.len() as u32);
            for reg in reads {
                schedule.readers[position(reg)].push(index as u32);
                schedule.uses[position(reg)] += 1;
            }
        }
        for reg in program.outputs.iter().flatten() {
            schedule.uses[position(*reg)] += 1;
        }
        schedule
    }
}

fn plain_types(program: &Program) -> Vec<PlainType> {
    let rotations = multiply_rotations(program).into_iter();
    let uses = program.plains.iter().zip(rotations);
    uses.map(|(used, rotations)| PlainType { level: used.level, scale: used.scale, rotations }).collect()
}

/// The plaintexts all of whose inner products are over rotations, or sums of them,
/// for the better half. An inner product has none or only such plaintexts.
fn multiply_rotations(program: &Program) -> Vec<bool> {
    let mut chosen = vec![false; program.plains.len()];
    for instr in &program.instrs {
        if let Instr::InnerProduct { terms, .. } = instr {
            terms.iter().for_each(|&(_, plain)| chosen[plain as usize] = true);
        }
    }
    while drop_unsuited(program, &mut chosen) {}
    chosen
}

/// Takes back the choice of plaintexts of unsuited inner products; whether any was.
fn drop_unsuited(program: &Program, chosen: &mut [bool]) -> bool {
    let mut rotated = vec![false; program.types.len()];
    let mut dropped = false;
    for instr in &program.instrs {
        let result = match instr {
            Instr::InnerProduct { terms, .. } => {
                let n_rotated = terms.iter().filter(|term| rotated[position(term.0)]).count();
                let suited = 2 * n_rotated >= terms.len() && terms.iter().all(|term| chosen[term.1 as usize]);
                for &(_, plain) in terms.iter().filter(|_| !suited) {
                    dropped |= std::mem::replace(&mut chosen[plain as usize], false);
                }
                suited
            }
            Instr::Rotate { .. } => true,
            Instr::Sum { terms, .. } => terms.iter().any(|&term| rotated[position(term)]),
            Instr::Sub { a, b, .. } => rotated[position(*a)] || rotated[position(*b)],
            Instr::Neg { src, .. }
            | Instr::AddPlain { src, .. }
            | Instr::MulScalar { src, .. }
            | Instr::DropLevel { src, .. } => rotated[position(*src)],
            Instr::Input { .. }
            | Instr::Zero { .. }
            | Instr::Mul { .. }
            | Instr::Relin { .. }
            | Instr::Rescale { .. } => false,
        };
        instr.writes().into_iter().for_each(|reg| rotated[position(reg)] = result);
    }
    dropped
}

/// Index of a register in tables.
pub fn position(reg: Reg) -> usize {
    reg.0 as usize
}

/// Name of an instruction's kind.
pub fn mnemonic(instr: &Instr) -> &'static str {
    match instr {
        Instr::Input { .. } => "input",
        Instr::Zero { .. } => "zero",
        Instr::Rotate { .. } => "rotate",
        Instr::InnerProduct { .. } => "inner_product",
        Instr::Sum { .. } => "sum",
        Instr::Sub { .. } => "sub",
        Instr::Neg { .. } => "neg",
        Instr::AddPlain { .. } => "add_plain",
        Instr::MulScalar { .. } => "mul_scalar",
        Instr::Mul { .. } => "mul",
        Instr::Relin { .. } => "relin",
        Instr::Rescale { .. } => "rescale",
        Instr::DropLevel { .. } => "drop_level",
    }
}
