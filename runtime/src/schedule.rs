//! What must wait for what: dependency and use counts of a program.

use crate::backend::PlainType;
use hecc_ir::target::Basis;
use hecc_ir::{Instr, Program, Reg};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// The order constraints of a program, computed once and used by every run.
#[derive(Debug)]
pub struct Schedule {
    /// Instructions that run together, in the order in which threads prefer them.
    pub units: Vec<Vec<u32>>,
    /// Operands that each unit waits for, counted with multiplicity.
    pub waits: Vec<u32>,
    /// Units that read each register, with multiplicity.
    pub readers: Vec<Vec<u32>>,
    /// Reads of each register by instructions and outputs.
    pub uses: Vec<u32>,
    /// What each plaintext is encoded for.
    pub plains: Vec<PlainType>,
    /// Over which primes each register may be: those of rotations have the special ones too, until something
    /// divides by them.
    pub bases: Vec<Basis>,
}

impl Schedule {
    /// Reads the constraints off a verified program.
    pub fn of(program: &Program) -> Schedule {
        let n_regs = program.types.len();
        let plains = plain_types(program);
        let mut schedule = Schedule {
            bases: bases(program, &plains),
            waits: Vec::new(),
            readers: vec![Vec::new(); n_regs],
            uses: vec![0; n_regs],
            plains,
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

    /// Units in the order in which one thread runs them: always the first that is ready.
    fn order(&self, program: &Program) -> Vec<u32> {
        let mut waits = self.waits.clone();
        let first = (0..).zip(&waits).filter(|(_, waits)| **waits == 0);
        let mut ready: BinaryHeap<Reverse<u32>> = first.map(|(unit, _)| Reverse(unit)).collect();
        let mut order = Vec::with_capacity(self.units.len());
        while let Some(Reverse(unit)) = ready.pop() {
            order.push(unit);
            let written =
                self.units[unit as usize].iter().flat_map(|&index| program.instrs[index as usize].writes());
            for &reader in written.flat_map(|reg| &self.readers[position(reg)]) {
                waits[reader as usize] -= 1;
                if waits[reader as usize] == 0 {
                    ready.push(Reverse(reader));
                }
            }
        }
        order
    }

    /// Most bytes of registers that one thread keeps at once: inputs that are read from the
    /// start, outputs to the end, results that nobody reads as long as what writes them takes.
    pub fn most_alive(&self, program: &Program, bytes: impl Fn(Reg) -> usize) -> usize {
        let is_input = |instr: &&Instr| matches!(instr, Instr::Input { .. });
        let is_read = |reg: &Reg| self.uses[position(*reg)] > 0;
        let inputs = program.instrs.iter().filter(is_input).flat_map(Instr::writes);
        let mut now: usize = inputs.filter(is_read).map(&bytes).sum();
        let (mut most, mut uses) = (now, self.uses.clone());
        for unit in self.order(program) {
            let instrs = || self.units[unit as usize].iter().map(|&index| &program.instrs[index as usize]);
            let written = || instrs().filter(|instr| !is_input(instr)).flat_map(Instr::writes);
            let unread: usize = written().filter(|reg| !is_read(reg)).map(&bytes).sum();
            now += written().filter(is_read).map(&bytes).sum::<usize>();
            most = most.max(now + unread);
            for reg in instrs().flat_map(Instr::reads) {
                uses[position(reg)] -= 1;
                if uses[position(reg)] == 0 {
                    now -= bytes(reg);
                }
            }
        }
        most
    }
}

/// Most inner products in a unit: their results are alive at once.
const MAX_ROWS: usize = 16;
/// The same where all plaintexts are uniform and nothing but operands comes from memory: so
/// many, and more while there are several times as many operands.
const UNIFORM_ROWS: usize = 32;
const MAX_UNIFORM_ROWS: usize = 128;
const OPERANDS_PER_ROW: usize = 4;

/// Inner products that become ready together and share most operands make a unit; all
/// else is a unit of its own. All members of a unit have one depth, so that no unit waits
/// for what waits for it.
fn units(program: &Program) -> Vec<Vec<u32>> {
    let mut units = uniform_units(program);
    let grouped: BTreeSet<u32> = units.iter().flatten().copied().collect();
    units.extend(other_units(program, &grouped));
    units.sort_unstable_by_key(|members| members[0]);
    let places = places(program, &units);
    let mut placed: Vec<((u32, u32), Vec<u32>)> = places.into_iter().zip(units).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, members)| members).collect()
}

/// Where each unit belongs: to its first instruction, or, where it makes the only use of one
/// register, to the instruction of the unit from which that register comes in this way. So
/// results are rescaled and squared one by one while they are in a cache, and their memory is
/// free again, before more of them are computed.
fn places(program: &Program, units: &[Vec<u32>]) -> Vec<(u32, u32)> {
    let mut reads_of = vec![0; program.types.len()];
    let all_reads =
        program.instrs.iter().flat_map(Instr::reads).chain(program.outputs.iter().flatten().copied());
    all_reads.for_each(|reg| reads_of[position(reg)] += 1);
    let mut place_of = vec![(0, 0); program.types.len()];
    let mut places = Vec::with_capacity(units.len());
    for members in units {
        let own = (members[0], members[0]);
        let place = source(program, members, &reads_of).map_or(own, |reg| place_of[position(reg)]);
        for &index in members {
            let place = if members.len() > 1 { (own.0, index) } else { place };
            let writes = program.instrs[index as usize].writes();
            writes.into_iter().for_each(|reg| place_of[position(reg)] = place);
        }
        places.push(place);
    }
    places
}

/// The register that a unit alone reads and makes another of, if there is one.
fn source(program: &Program, members: &[u32], reads_of: &[usize]) -> Option<Reg> {
    let &[index] = members else { return None };
    let instr = &program.instrs[index as usize];
    let reads = instr.reads();
    let &first = reads.first()?;
    let is_only = reads_of[position(first)] == reads.len() && reads.iter().all(|&reg| reg == first);
    (is_only && instr.writes().len() == 1).then_some(first)
}

/// Units of inner products with uniform plaintexts: of one depth, neighbours where they
/// read the same.
fn uniform_units(program: &Program) -> Vec<Vec<u32>> {
    let mut depth_of = vec![0; program.types.len()];
    let mut rows: BTreeMap<u32, Vec<(Vec<Reg>, u32)>> = BTreeMap::new();
    for (index, instr) in (0..).zip(&program.instrs) {
        let reads = instr.reads();
        let depth = reads.iter().map(|&reg| depth_of[position(reg)]).max().unwrap_or(0) + 1;
        instr.writes().into_iter().for_each(|reg| depth_of[position(reg)] = depth);
        if let Instr::InnerProduct { terms, .. } = instr
            && terms.iter().all(|term| program.is_uniform(term.1))
        {
            rows.entry(depth).or_default().push((reads, index));
        }
    }
    rows.into_values().flat_map(divided).collect()
}

/// Rows with what they read, divided into units.
fn divided(mut rows: Vec<(Vec<Reg>, u32)>) -> Vec<Vec<u32>> {
    rows.sort_unstable();
    let mut units: Vec<Vec<u32>> = Vec::new();
    let mut operands = BTreeSet::new();
    for (reads, index) in rows {
        let has_room = |unit: &Vec<u32>| {
            let n_rows = unit.len();
            let is_wide = n_rows * OPERANDS_PER_ROW < operands.len() && n_rows < MAX_UNIFORM_ROWS;
            n_rows < UNIFORM_ROWS || is_wide
        };
        match units.last_mut().filter(|unit| has_room(unit)) {
            Some(unit) => unit.push(index),
            None => {
                units.push(vec![index]);
                operands.clear();
            }
        }
        operands.extend(reads);
    }
    units.iter_mut().for_each(|members| members.sort_unstable());
    units
}

/// Units of what is not in one yet: inner products of what the same instructions wrote.
fn other_units(program: &Program, grouped: &BTreeSet<u32>) -> Vec<Vec<u32>> {
    let mut writer = vec![0; program.types.len()];
    let mut open: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    let mut units: Vec<Vec<u32>> = Vec::new();
    for (index, instr) in (0..).zip(&program.instrs) {
        instr.writes().into_iter().for_each(|reg| writer[position(reg)] = index);
        if grouped.contains(&index) {
            continue;
        }
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

/// Over which primes the back end leaves each register at most.
fn bases(program: &Program, plains: &[PlainType]) -> Vec<Basis> {
    let mut bases = vec![Basis::Reduced; program.types.len()];
    for instr in &program.instrs {
        let widest = |reads: Vec<Reg>| reads.into_iter().map(|reg| bases[position(reg)]).max();
        let may_stay = |plain: u32| plains[plain as usize].rotations || program.is_uniform(plain);
        let basis = match instr {
            Instr::Rotate { .. } => Some(Basis::Extended),
            Instr::InnerProduct { terms, .. } if terms.iter().all(|term| may_stay(term.1)) => {
                widest(instr.reads())
            }
            Instr::Sum { .. }
            | Instr::Sub { .. }
            | Instr::Neg { .. }
            | Instr::AddPlain { .. }
            | Instr::MulScalar { .. }
            | Instr::DropLevel { .. } => widest(instr.reads()),
            Instr::InnerProduct { .. }
            | Instr::Input { .. }
            | Instr::Zero { .. }
            | Instr::Mul { .. }
            | Instr::Relin { .. }
            | Instr::Rescale { .. } => None,
        };
        let basis = basis.unwrap_or(Basis::Reduced);
        instr.writes().into_iter().for_each(|reg| bases[position(reg)] = basis);
    }
    bases
}

fn plain_types(program: &Program) -> Vec<PlainType> {
    let rotations = multiply_rotations(program).into_iter();
    let uses = program.plains.iter().zip(rotations);
    uses.map(|(used, rotations)| PlainType { level: used.level, scale: used.scale, rotations }).collect()
}

/// The plaintexts all of whose inner products are over rotations, or sums of them,
/// for the better half. An inner product has none or only such plaintexts.
fn multiply_rotations(program: &Program) -> Vec<bool> {
    let mut rotations = Rotations::of(program);
    for index in 0..program.instrs.len() {
        rotations.settle(index);
    }
    rotations.chosen
}

/// Which registers hold rotations, taken back step by step; every fact changes at
/// most once, so that it takes time in proportion to the program.
struct Rotations<'a> {
    program: &'a Program,
    /// Plaintexts whose inner products are all suited, as far as is known.
    chosen: Vec<bool>,
    /// By instruction: operands that may be rotations, and whether the result may be.
    left: Vec<usize>,
    holds: Vec<bool>,
    readers_of_reg: Vec<Vec<usize>>,
    readers_of_plain: Vec<Vec<usize>>,
}

impl<'a> Rotations<'a> {
    /// Everything may be a rotation, and every inner product suited.
    fn of(program: &'a Program) -> Rotations<'a> {
        let n_instrs = program.instrs.len();
        let mut rotations = Rotations {
            program,
            chosen: vec![false; program.plains.len()],
            left: vec![0; n_instrs],
            holds: vec![true; n_instrs],
            readers_of_reg: vec![Vec::new(); program.types.len()],
            readers_of_plain: vec![Vec::new(); program.plains.len()],
        };
        for (index, instr) in program.instrs.iter().enumerate() {
            let operands = passing(instr);
            rotations.left[index] = operands.len();
            operands.into_iter().for_each(|reg| rotations.readers_of_reg[position(reg)].push(index));
            if let Instr::InnerProduct { terms, .. } = instr {
                for &(_, plain) in terms {
                    rotations.chosen[plain as usize] = true;
                    rotations.readers_of_plain[plain as usize].push(index);
                }
            }
        }
        rotations
    }

    /// Takes back what an instruction does not bear out, and what follows from it.
    fn settle(&mut self, index: usize) {
        let mut open = vec![index];
        while let Some(index) = open.pop() {
            if self.holds[index] && !self.is_borne_out(index) {
                self.holds[index] = false;
                self.take_back(index, &mut open);
            }
        }
    }

    fn is_borne_out(&self, index: usize) -> bool {
        match &self.program.instrs[index] {
            Instr::Rotate { .. } => true,
            Instr::InnerProduct { terms, .. } => 2 * self.left[index] >= terms.len(),
            _ => self.left[index] > 0,
        }
    }

    fn take_back(&mut self, index: usize, open: &mut Vec<usize>) {
        let instr = &self.program.instrs[index];
        for reg in instr.writes() {
            for &reader in &self.readers_of_reg[position(reg)] {
                self.left[reader] = self.left[reader].saturating_sub(1);
                open.push(reader);
            }
        }
        let Instr::InnerProduct { terms, .. } = instr else { return };
        for &(_, plain) in terms {
            if std::mem::replace(&mut self.chosen[plain as usize], false) {
                for &reader in &self.readers_of_plain[plain as usize] {
                    self.left[reader] = 0;
                    open.push(reader);
                }
            }
        }
    }
}

/// Operands whose being rotations makes the result one; with repetitions.
fn passing(instr: &Instr) -> Vec<Reg> {
    match instr {
        Instr::InnerProduct { .. }
        | Instr::Sum { .. }
        | Instr::Sub { .. }
        | Instr::Neg { .. }
        | Instr::AddPlain { .. }
        | Instr::MulScalar { .. }
        | Instr::DropLevel { .. } => instr.reads(),
        Instr::Rotate { .. }
        | Instr::Input { .. }
        | Instr::Zero { .. }
        | Instr::Mul { .. }
        | Instr::Relin { .. }
        | Instr::Rescale { .. } => Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use hecc_ir::testing::programs;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_instruction_runs_once(program in programs()) {
            let schedule = Schedule::of(&program);
            prop_assert_eq!(schedule.order(&program).len(), schedule.units.len());
            let mut instrs: Vec<u32> = schedule.units.concat();
            instrs.sort_unstable();
            prop_assert!(instrs.into_iter().eq(0..program.instrs.len() as u32));
            prop_assert!(schedule.units.iter().all(|members| members.is_sorted()));
        }
    }

    #[test]
    fn rows_that_read_the_same_are_neighbours() {
        // Two images of sixty rows in turn; each row reads eight of its own forty registers.
        let row = |i: u32| ((0..8).map(|k| Reg(i % 2 * 40 + (i / 2 + k) % 40)).collect(), i);
        let units = divided((0..120).map(row).collect());
        assert_eq!(units.iter().map(Vec::len).sum::<usize>(), 120);
        assert!(units.iter().all(|members| members.len() <= MAX_UNIFORM_ROWS));
        let first = &units[0];
        assert!(first.iter().all(|row| row % 2 == 0), "{first:?}");
    }
}
