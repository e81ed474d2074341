//! Checks everything an executor and a client rely on, so that neither has to.

mod instr;
mod manifest;

use super::{KeyPlan, Manifest, PlainUse, Program, Reg};
use crate::circuit::CtType;
use crate::params::Params;
use crate::verify::range_problems;
use std::fmt;
use thiserror::Error;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// An invariant of programs and manifests.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProgramRule { $($(#[$doc])* $name,)* }

        impl ProgramRule {
            /// Every rule, in code order.
            pub const ALL: &'static [ProgramRule] = &[$(ProgramRule::$name,)*];

            /// Its stable code.
            pub fn code(self) -> &'static str {
                match self { $(ProgramRule::$name => $code,)* }
            }
        }
    };
}

rules! {
    /// The params describe a ring and keep the security they claim.
    ParamsSound = "P001",
    /// Ports have distinct names, sound layouts, an ordered range, types of
    /// degree 1 within the modulus.
    PortSound = "P002",
    /// Planned keys are for steps below the slot count and levels of the
    /// chain, and there are special primes to make them with.
    KeyRange = "P003",
    /// Types of registers are within the modulus.
    TypeRange = "P004",
    /// Registers, plaintexts, constants, ports and layers exist.
    Handle = "P005",
    /// Every register is written once.
    WrittenOnce = "P006",
    /// Registers are written before they are read.
    ReadAfterWrite = "P007",
    /// Types of operands and results agree with the instruction.
    Typing = "P008",
    /// Sums, products and rotations have at least one term.
    Arity = "P009",
    /// Plaintexts and scalars are finite, periods divide the slot count.
    Contents = "P010",
    /// The key plan holds the keys the instructions need, at the highest
    /// level they need them, and no others.
    KeysExact = "P011",
    /// Outputs are registers of their port's type, one per ciphertext.
    Outputs = "P012",
    /// Every instruction belongs to a layer.
    Layers = "P013",
    /// Outputs say what their decryption shows, in bounds that can be kept; inputs do not.
    Expectation = "P014",
}

impl fmt::Display for ProgramRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What a [`ProgramError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProgramPlace {
    /// The parameters.
    Params,
    /// An input port, by index.
    Input(usize),
    /// An output, by index.
    Output(usize),
    /// The key plan.
    Keys,
    /// Plaintext contents, by index.
    Const(usize),
    /// A plaintext to encode, by index.
    Plain(usize),
    /// A register.
    Register(Reg),
    /// An instruction, by index.
    Instr(usize),
    /// The lists of layers.
    Layers,
}

impl fmt::Display for ProgramPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramPlace::Params => f.write_str("params"),
            ProgramPlace::Input(index) => write!(f, "input {index}"),
            ProgramPlace::Output(index) => write!(f, "output {index}"),
            ProgramPlace::Keys => f.write_str("keys"),
            ProgramPlace::Const(index) => write!(f, "constant {index}"),
            ProgramPlace::Plain(index) => write!(f, "plaintext {index}"),
            ProgramPlace::Register(reg) => write!(f, "register {}", reg.0),
            ProgramPlace::Instr(index) => write!(f, "instruction {index}"),
            ProgramPlace::Layers => f.write_str("layers"),
        }
    }
}

/// One broken invariant of a program or manifest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("error[{rule}]: {place}: {message}")]
pub struct ProgramError {
    /// The invariant.
    pub rule: ProgramRule,
    /// Where it is broken.
    pub place: ProgramPlace,
    /// What is wrong there, in words.
    pub message: String,
}

/// Broken invariants that are listed: one byte of a file may break one, and telling of it takes a hundred.
const MAX_ERRORS: usize = 100;

#[derive(Default)]
struct Errors(Vec<ProgramError>);

impl Errors {
    fn report(&mut self, rule: ProgramRule, place: ProgramPlace, message: impl Into<String>) {
        if self.0.len() < MAX_ERRORS {
            self.0.push(ProgramError { rule, place, message: message.into() });
        }
    }

    /// Whether what else is found will not be listed.
    fn is_full(&self) -> bool {
        self.0.len() >= MAX_ERRORS
    }

    fn require(
        &mut self,
        holds: bool,
        rule: ProgramRule,
        place: ProgramPlace,
        message: impl FnOnce() -> String,
    ) {
        if !holds {
            self.report(rule, place, message());
        }
    }

    fn type_range(&mut self, ty: CtType, params: &Params, rule: ProgramRule, place: ProgramPlace) {
        for (_, message) in range_problems(ty, params) {
            self.report(rule, place, message);
        }
    }

    fn into_result(self) -> Result<(), Vec<ProgramError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

impl Program {
    /// Checks all that an executor relies on, the manifest included.
    ///
    /// # Errors
    /// The first hundred broken invariants found; those of instructions only when the
    /// manifest is sound.
    pub fn verify(&self) -> Result<(), Vec<ProgramError>> {
        self.manifest.verify()?;
        let mut checker = Checker { program: self, params: &self.manifest.params, errors: Errors::default() };
        checker.layers();
        checker.contents();
        checker.plains();
        checker.types();
        checker.instrs();
        checker.outputs();
        if checker.errors.0.is_empty() {
            checker.keys();
        }
        checker.errors.into_result()
    }
}

struct Checker<'a> {
    program: &'a Program,
    params: &'a Params,
    errors: Errors,
}

impl Checker<'_> {
    fn layers(&mut self) {
        let (program, place) = (self.program, ProgramPlace::Layers);
        let (instrs, named) = (program.instrs.len(), program.source_of.len());
        self.errors.require(instrs == named, ProgramRule::Layers, place, || {
            format!("{instrs} instructions but layers of {named}")
        });
        let n_layers = program.sources.len();
        if let Some(at) = program.source_of.iter().position(|&source| source as usize >= n_layers) {
            self.errors.report(
                ProgramRule::Handle,
                ProgramPlace::Instr(at),
                format!("its layer is none of {n_layers}"),
            );
        }
    }

    fn contents(&mut self) {
        let n_slots = self.program.manifest.n_slots();
        for (index, plain) in self.program.consts.iter().enumerate() {
            let place = ProgramPlace::Const(index);
            self.errors.require(n_slots.is_multiple_of(plain.period()), ProgramRule::Contents, place, || {
                format!("period {} does not divide {n_slots} slots", plain.period())
            });
            let finite = plain.occurring().iter().all(|v| v.is_finite());
            self.errors.require(finite, ProgramRule::Contents, place, || "a slot is not finite".to_owned());
        }
    }

    fn plains(&mut self) {
        let n_consts = self.program.consts.len();
        for (index, &PlainUse { constant, level, scale }) in self.program.plains.iter().enumerate() {
            let place = ProgramPlace::Plain(index);
            self.errors.require((constant as usize) < n_consts, ProgramRule::Handle, place, || {
                format!("constant {constant} is none of {n_consts}")
            });
            let ty = CtType { level, scale, degree: 1 };
            self.errors.type_range(ty, self.params, ProgramRule::TypeRange, place);
        }
    }

    fn types(&mut self) {
        for (index, &ty) in self.program.types.iter().enumerate() {
            let place = ProgramPlace::Register(Reg(index as u32));
            self.errors.type_range(ty, self.params, ProgramRule::TypeRange, place);
        }
    }

    fn outputs(&mut self) {
        let (program, ports) = (self.program, &self.program.manifest.outputs);
        let (lists, expected) = (program.outputs.len(), ports.len());
        self.errors.require(
            lists == expected,
            ProgramRule::Outputs,
            ProgramPlace::Output(lists.min(expected)),
            || format!("{lists} lists of registers for {expected} ports"),
        );
        for (index, (port, regs)) in ports.iter().zip(&program.outputs).enumerate() {
            let place = ProgramPlace::Output(index);
            let n_cts = port.layout.n_cts;
            self.errors.require(regs.len() == n_cts, ProgramRule::Outputs, place, || {
                format!("{} registers for a layout of {n_cts} ciphertexts", regs.len())
            });
            for &Reg(reg) in regs {
                let ty = program.types.get(reg as usize);
                self.errors.require(ty == Some(&port.ty), ProgramRule::Outputs, place, || {
                    format!("register {reg} does not exist or is not of the port's type")
                });
            }
        }
    }

    fn keys(&mut self) {
        let (needed, planned) = (self.program.required_keys(), &self.program.manifest.keys);
        if needed == *planned {
            return;
        }
        for message in key_differences(&needed, planned) {
            self.errors.report(ProgramRule::KeysExact, ProgramPlace::Keys, message);
        }
    }
}

fn key_differences(needed: &KeyPlan, planned: &KeyPlan) -> Vec<String> {
    let mut messages = Vec::new();
    for (step, level) in &needed.rotations {
        match planned.rotations.get(step) {
            None => messages.push(format!("no key is planned for rotation by {step}")),
            Some(found) if found != level => {
                messages.push(format!(
                    "the key for rotation by {step} is needed at {level} but planned at {found}"
                ));
            }
            Some(_) => {}
        }
    }
    let idle = planned.rotations.keys().filter(|step| !needed.rotations.contains_key(step));
    messages.extend(idle.map(|step| format!("no instruction rotates by {step}, for which a key is planned")));
    if needed.relin != planned.relin {
        let show = |level: Option<crate::Level>| {
            level.map_or("not at all".to_owned(), |level| format!("at {level}"))
        };
        let (needed, planned) = (show(needed.relin), show(planned.relin));
        messages.push(format!("the relinearisation key is needed {needed} but planned {planned}"));
    }
    messages
}

impl Manifest {
    /// Checks all that a client relies on.
    ///
    /// # Errors
    /// The first hundred broken invariants found.
    pub fn verify(&self) -> Result<(), Vec<ProgramError>> {
        manifest::check(self).into_result()
    }
}
