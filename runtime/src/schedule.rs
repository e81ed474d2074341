//! What must wait for what: dependency and use counts of a program.

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
}

impl Schedule {
    /// Reads the constraints off a verified program.
    pub fn of(program: &Program) -> Schedule {
        let n_regs = program.types.len();
        let mut schedule = Schedule {
            waits: Vec::with_capacity(program.instrs.len()),
            readers: vec![Vec::new(); n_regs],
            uses: vec![0; n_regs],
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
