//! Checks of instructions: registers first, then types.

use super::super::{Instr, PlainUse, Program, Reg};
use super::{Checker, ProgramPlace, ProgramRule};
use crate::circuit::CtType;
use crate::scale::Scale;
use crate::verify::{Form, result_problems};

impl Checker<'_> {
    pub(super) fn instrs(&mut self) {
        let mut written = vec![false; self.program.types.len()];
        for (index, instr) in self.program.instrs.iter().enumerate() {
            // Types are looked up where nothing is wrong with registers, which a full list no longer tells.
            if self.errors.is_full() {
                return;
            }
            let place = ProgramPlace::Instr(index);
            let known = self.errors.0.len();
            self.reads(instr, place, &written);
            self.writes(instr, place, &mut written);
            self.handles(instr, place);
            if self.errors.0.len() == known {
                self.typing(instr, place);
            }
        }
        if let Some(never) = written.iter().position(|written| !written) {
            let place = ProgramPlace::Register(Reg(never as u32));
            self.errors.report(ProgramRule::WrittenOnce, place, "no instruction writes it");
        }
    }

    fn reads(&mut self, instr: &Instr, place: ProgramPlace, written: &[bool]) {
        for Reg(reg) in instr.reads() {
            match written.get(reg as usize) {
                Some(true) => {}
                Some(false) => {
                    self.errors.report(
                        ProgramRule::ReadAfterWrite,
                        place,
                        format!("register {reg} is read before it is written"),
                    );
                }
                None => {
                    self.errors.report(ProgramRule::Handle, place, format!("register {reg} does not exist"))
                }
            }
        }
    }

    fn writes(&mut self, instr: &Instr, place: ProgramPlace, written: &mut [bool]) {
        for Reg(reg) in instr.writes() {
            match written.get_mut(reg as usize) {
                Some(done @ false) => *done = true,
                Some(true) => self.errors.report(
                    ProgramRule::WrittenOnce,
                    place,
                    format!("register {reg} is written again"),
                ),
                None => {
                    self.errors.report(ProgramRule::Handle, place, format!("register {reg} does not exist"))
                }
            }
        }
    }

    /// Everything an instruction names beside registers, and its size.
    fn handles(&mut self, instr: &Instr, place: ProgramPlace) {
        match instr {
            Instr::Input { input, ct, .. } => {
                let n_cts =
                    self.program.manifest.inputs.get(*input as usize).map_or(0, |port| port.layout.n_cts);
                self.errors.require((*ct as usize) < n_cts, ProgramRule::Handle, place, || {
                    format!("ciphertext {ct} of input {input} does not exist")
                });
            }
            Instr::Rotate { outs, .. } => {
                self.arity(outs.len(), place);
                let n_slots = self.program.manifest.n_slots();
                let far = outs.iter().map(|out| out.0).find(|step| step.get() >= n_slots);
                self.errors.require(far.is_none(), ProgramRule::Handle, place, || {
                    format!("a step is not below {n_slots} slots")
                });
            }
            Instr::InnerProduct { terms, .. } => {
                self.arity(terms.len(), place);
                terms.iter().for_each(|&(_, plain)| self.plain_handle(plain, place));
            }
            Instr::Sum { terms, .. } => self.arity(terms.len(), place),
            Instr::AddPlain { plain, .. } => self.plain_handle(*plain, place),
            Instr::MulScalar { scalar, .. } => {
                self.errors.require(scalar.is_finite(), ProgramRule::Contents, place, || {
                    format!("scalar {scalar} is not finite")
                });
            }
            Instr::Zero { .. }
            | Instr::Sub { .. }
            | Instr::Neg { .. }
            | Instr::Mul { .. }
            | Instr::Relin { .. }
            | Instr::Rescale { .. }
            | Instr::DropLevel { .. } => {}
        }
    }

    fn arity(&mut self, terms: usize, place: ProgramPlace) {
        self.errors.require(terms > 0, ProgramRule::Arity, place, || "it has no terms".to_owned());
    }

    fn plain_handle(&mut self, plain: u32, place: ProgramPlace) {
        let n_plains = self.program.plains.len();
        self.errors.require((plain as usize) < n_plains, ProgramRule::Handle, place, || {
            format!("plaintext {plain} is none of {n_plains}")
        });
    }

    fn typing(&mut self, instr: &Instr, place: ProgramPlace) {
        let (program, params) = (self.program, self.params);
        let operands: Vec<CtType> = instr.reads().into_iter().map(|reg| type_of(program, reg)).collect();
        for dst in instr.writes() {
            let ty = type_of(program, dst);
            for (_, message) in result_problems(form(instr), &operands, ty, params) {
                self.errors.report(ProgramRule::Typing, place, message);
            }
            if let Some(message) = plain_problem(program, instr, ty) {
                self.errors.report(ProgramRule::Typing, place, message);
            }
        }
    }
}

fn type_of(program: &Program, reg: Reg) -> CtType {
    program.types[reg.0 as usize]
}

fn form(instr: &Instr) -> Form {
    match instr {
        Instr::Input { .. } | Instr::Zero { .. } => Form::Fresh,
        Instr::Rotate { .. } => Form::Rotation,
        Instr::InnerProduct { .. } | Instr::MulScalar { .. } => Form::PlainProduct,
        Instr::Sum { .. } | Instr::Sub { .. } => Form::Sum,
        Instr::Neg { .. } | Instr::AddPlain { .. } => Form::Same,
        Instr::Mul { .. } => Form::Product,
        Instr::Relin { .. } => Form::Relin,
        Instr::Rescale { .. } => Form::Rescale,
        Instr::DropLevel { .. } => Form::DropLevel(None),
    }
}

/// What is wrong with the plaintexts and ports of an instruction that writes `ty`.
fn plain_problem(program: &Program, instr: &Instr, ty: CtType) -> Option<String> {
    match instr {
        Instr::Input { input, .. } => (program.manifest.inputs[*input as usize].ty != ty)
            .then(|| "the register is not of the port's type".to_owned()),
        Instr::InnerProduct { terms, .. } => terms.iter().find_map(|&(reg, plain)| {
            let PlainUse { level, scale, .. } = program.plains[plain as usize];
            let product = type_of(program, reg).scale + scale;
            (level != ty.level || product != ty.scale).then(|| {
                format!(
                    "a product at {level} with scale {product} in a sum at {} with {}",
                    ty.level, ty.scale
                )
            })
        }),
        Instr::AddPlain { plain, .. } => {
            let PlainUse { level, scale, .. } = program.plains[*plain as usize];
            (level != ty.level || scale != ty.scale).then(|| {
                format!("a plaintext at {level} with scale {scale} added at {} with {}", ty.level, ty.scale)
            })
        }
        Instr::MulScalar { src, scale, .. } => {
            let product = type_of(program, *src).scale + *scale;
            (*scale <= Scale::ONE || product != ty.scale)
                .then(|| format!("a factor of scale {scale} gives {product}, the result has {}", ty.scale))
        }
        Instr::Zero { .. }
        | Instr::Rotate { .. }
        | Instr::Sum { .. }
        | Instr::Sub { .. }
        | Instr::Neg { .. }
        | Instr::Mul { .. }
        | Instr::Relin { .. }
        | Instr::Rescale { .. }
        | Instr::DropLevel { .. } => None,
    }
}
