//! What must wait for what: dependency and use counts of a program.

use crate::backend::PlainType;
use hecc_ir::{Instr, Program, Reg};
use std::collections::{BTreeMap, BTreeSet};

/// The order constraints of a program, computed once and used by every run.
#[derive(Debug)]
pub struct Schedule {
    /// Instructions that run together, in the order of the first of each.
    pub units: Vec<Vec<u32>>,
    /// Operands that each unit waits for, counted with multiplicity.
    pub waits: Vec<u32>,
    /// Units that read each register, with multiplicity.
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
            waits: Vec::new(),
            readers: vec![Vec::new(); n_regs],
            uses: vec![0; n_regs],
            plains: plain_types(program),
            units: units(program),
        };
        for (unit, members) in schedule.units.iter().enumerate() {
            let reads = members.iter().flat_map(|&index| program.instrs[index as usize].reads());
            schedule.waits.push(0);
            for reg in reads {
                schedule.waits[unit] += 1;
                schedule.readers[position(reg)].push(unit as u32);
                schedule.uses[position(reg)] += 1;
            }
        }
        for reg in program.outputs.iter().flatten() {
            schedule.uses[position(*reg)] += 1;
        }
        schedule
    }
}

/// Most inner products in a unit: their results are alive at once.
const MAX_ROWS: usize = 16;

/// Inner products of what the same instructions wrote become ready together, and
/// share most operands: they make a unit. All else is a unit of its own.
fn units(program: &Program) -> Vec<Vec<u32>> {
    let mut writer = vec![0; program.types.len()];
    let mut open: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    let mut units: Vec<Vec<u32>> = Vec::new();
    for (index, instr) in (0..).zip(&program.instrs) {
        instr.writes().into_iter().for_each(|reg| writer[position(reg)] = index);
        if let Instr::InnerProduct { terms, .. } = instr {
            let writers: BTreeSet<u32> = terms.iter().map(|term| writer[position(term.0)]).collect();
            let unit = open.entry(writers.into_iter().collect()).or_insert(units.len());
            match units.get_mut(*unit) {
                Some(members) if members.len() < MAX_ROWS => {
                    members.push(index);
                    continue;
                }
                Some(_) => *unit = units.len(),
                None => {}
            }
        }
        units.push(vec![index]);
    }
    units
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
