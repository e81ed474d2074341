//! Checks that a circuit means something: every reference resolves, every
//! value has the type its op gives it, every layout places each element once.
//!
//! [`verify`] reports all problems it finds. Each names a [`Rule`] with a
//! stable code and the [`Place`] where it is broken. What passes here can be
//! evaluated, printed and emitted without further checks.

mod typing;

pub(crate) use typing::{Form, range_problems, result_problems};

use crate::circuit::{Circuit, Op, Plain, Stage, Value};
use crate::layout::Layout;
use crate::limits::MAX_SLOTS;
use crate::params::Params;
use std::collections::HashSet;
use std::fmt;
use thiserror::Error;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// An invariant of circuits.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $($(#[$doc])* $name,)* }

        impl Rule {
            /// Every rule, in code order.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)*];

            /// Its stable code.
            pub fn code(self) -> &'static str {
                match self { $(Rule::$name => $code,)* }
            }
        }
    };
}

rules! {
    /// The slot count is a power of two within the limits.
    SlotCount = "V001",
    /// Operands precede their users.
    OperandOrder = "V002",
    /// Constants, inputs, input ciphertexts and layers exist.
    Handle = "V003",
    /// A sum has at least two operands.
    Arity = "V004",
    /// A rotation step is below the slot count.
    StepRange = "V005",
    /// The period of a plaintext divides the slot count.
    Period = "V006",
    /// Scalars and plaintext slots are finite.
    Finite = "V007",
    /// An abstract circuit has no params, types, `rescale`, `relin` or `drop_level`.
    AbstractOnly = "V008",
    /// A leveled circuit has sound params for its slot count.
    ParamsSound = "V009",
    /// Every value of a leveled circuit has a type.
    Typed = "V010",
    /// A level is within the prime chain.
    LevelRange = "V011",
    /// A scale is positive and below the modulus of its level.
    ScaleRange = "V012",
    /// Operand and result levels agree with the op.
    LevelRule = "V013",
    /// Operand and result scales agree with the op.
    ScaleRule = "V014",
    /// Operand and result degrees agree with the op.
    DegreeRule = "V015",
    /// An output has one value of degree 1 per ciphertext of its layout.
    OutputShape = "V016",
    /// A layout places every element once, within its ciphertexts.
    LayoutSound = "V017",
    /// Names of inputs, outputs and layers are unique among their kind.
    UniqueName = "V018",
    /// The range of an input is an ordered pair of numbers.
    InputRange = "V019",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What a [`VerifyError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The circuit as a whole.
    Circuit,
    /// The layer names.
    Layers,
    /// The parameters.
    Params,
    /// An input, by index.
    Input(usize),
    /// A plaintext constant, by index.
    Const(usize),
    /// A value.
    Value(Value),
    /// An output, by index.
    Output(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Circuit => f.write_str("circuit"),
            Place::Layers => f.write_str("layers"),
            Place::Params => f.write_str("params"),
            Place::Input(index) => write!(f, "input {index}"),
            Place::Const(index) => write!(f, "${index}"),
            Place::Value(value) => write!(f, "{value}"),
            Place::Output(index) => write!(f, "output {index}"),
        }
    }
}

/// One broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("error[{rule}]: {place}: {message}")]
pub struct VerifyError {
    /// The invariant.
    pub rule: Rule,
    /// Where it is broken.
    pub place: Place,
    /// What is wrong there, in words.
    pub message: String,
}

/// Checks every invariant of a circuit.
///
/// # Errors
/// All broken invariants, in the order header, inputs, constants, values, outputs.
pub fn verify(circuit: &Circuit) -> Result<(), Vec<VerifyError>> {
    let mut verifier = Verifier { circuit, errors: Vec::new() };
    verifier.header();
    verifier.inputs();
    verifier.consts();
    verifier.values();
    verifier.outputs();
    if verifier.errors.is_empty() { Ok(()) } else { Err(verifier.errors) }
}

struct Verifier<'a> {
    circuit: &'a Circuit,
    errors: Vec<VerifyError>,
}

impl<'a> Verifier<'a> {
    fn report(&mut self, rule: Rule, place: Place, message: impl Into<String>) {
        self.errors.push(VerifyError { rule, place, message: message.into() });
    }

    fn require(&mut self, holds: bool, rule: Rule, place: Place, message: impl FnOnce() -> String) {
        if !holds {
            self.report(rule, place, message());
        }
    }

    /// The params types are checked against: those of a leveled circuit, if sound.
    fn params(&self) -> Option<&'a Params> {
        let params = self.circuit.params.as_ref()?;
        (self.circuit.stage == Stage::Leveled && params.check().is_ok()).then_some(params)
    }

    fn header(&mut self) {
        let n_slots = self.circuit.n_slots;
        let sound = n_slots.is_power_of_two() && n_slots <= MAX_SLOTS;
        self.require(sound, Rule::SlotCount, Place::Circuit, || {
            format!("slot count {n_slots} is not a power of two up to {MAX_SLOTS}")
        });
        self.header_params();
        self.names();
    }

    fn names(&mut self) {
        let circuit = self.circuit;
        let layers = repeated(circuit.sources.iter().map(String::as_str))
            .map(|i| (Place::Layers, &circuit.sources[i]));
        let inputs = repeated(circuit.inputs.iter().map(|input| input.name.as_str()));
        let inputs = inputs.map(|i| (Place::Input(i), &circuit.inputs[i].name));
        let outputs = repeated(circuit.outputs.iter().map(|output| output.name.as_str()));
        let outputs = outputs.map(|i| (Place::Output(i), &circuit.outputs[i].name));
        for (place, name) in [layers, inputs, outputs].into_iter().flatten() {
            self.report(Rule::UniqueName, place, format!("the name `{name}` is taken"));
        }
    }

    fn header_params(&mut self) {
        let circuit = self.circuit;
        match (circuit.stage, &circuit.params) {
            (Stage::Abstract, None) => {}
            (Stage::Abstract, Some(_)) => {
                self.report(Rule::AbstractOnly, Place::Params, "an abstract circuit has no params");
            }
            (Stage::Leveled, None) => {
                self.report(Rule::ParamsSound, Place::Circuit, "a leveled circuit has params");
            }
            (Stage::Leveled, Some(params)) => {
                if let Err(error) = params.check() {
                    self.report(Rule::ParamsSound, Place::Params, error.to_string());
                }
                let n_slots = circuit.n_slots;
                self.require(params.lanes(n_slots).is_some(), Rule::ParamsSound, Place::Params, || {
                    format!("{n_slots} slots do not divide the {} of the ring", params.n_slots())
                });
            }
        }
    }

    fn inputs(&mut self) {
        let circuit = self.circuit;
        for (index, input) in circuit.inputs.iter().enumerate() {
            let place = Place::Input(index);
            self.layout(&input.layout, place);
            let (low, high) = input.range;
            self.require(low <= high, Rule::InputRange, place, || format!("{low} to {high} is no range"));
        }
    }

    fn layout(&mut self, layout: &Layout, place: Place) {
        if let Err(error) = layout.check(self.circuit.n_slots) {
            self.report(Rule::LayoutSound, place, error.to_string());
        }
    }

    fn consts(&mut self) {
        let n_slots = self.circuit.n_slots;
        for (index, plain) in self.circuit.consts.iter().enumerate() {
            let place = Place::Const(index);
            self.require(divides(plain, n_slots), Rule::Period, place, || {
                format!("period {} does not divide {n_slots} slots", plain.period())
            });
            if !plain.occurring().iter().all(|v| v.is_finite()) {
                let slot = (0..plain.period()).find(|&slot| !plain.at(slot).is_finite()).unwrap_or(0);
                self.report(Rule::Finite, place, format!("slot {slot} is {}", plain.at(slot)));
            }
        }
    }

    fn values(&mut self) {
        let params = self.params();
        for value in self.circuit.values() {
            let place = Place::Value(value);
            let node = self.circuit.node(value);
            let layers = self.circuit.sources.len();
            self.require(node.source.index() < layers, Rule::Handle, place, || {
                format!("layer {} is not among {layers} layers", node.source)
            });
            let known = self.errors.len();
            self.operands(value, &node.op);
            let resolved = self.errors.len() == known;
            self.staged(value, &node.op);
            if let (true, Some(params), Some(ty)) = (resolved, params, node.ty) {
                self.types(value, ty, params);
            }
        }
    }

    fn operands(&mut self, value: Value, op: &Op) {
        let place = Place::Value(value);
        for operand in op.operands() {
            self.require(operand < value, Rule::OperandOrder, place, || {
                format!("operand {operand} does not precede {value}")
            });
        }
        if let Some(constant) = op.constant() {
            self.require(constant.index() < self.circuit.consts.len(), Rule::Handle, place, || {
                format!("{constant} does not exist")
            });
        }
        match op {
            Op::Input { input, ct } => {
                let layout = self.circuit.inputs.get(*input as usize).map(|input| &input.layout);
                self.require(layout.is_some_and(|l| (*ct as usize) < l.n_cts), Rule::Handle, place, || {
                    format!("ciphertext {ct} of input {input} does not exist")
                });
            }
            Op::Add(values) => self.require(values.len() >= 2, Rule::Arity, place, || {
                format!("a sum of {} operands; two or more are needed", values.len())
            }),
            Op::MulScalar(_, s) => {
                self.require(s.is_finite(), Rule::Finite, place, || format!("scalar {s} is not finite"))
            }
            Op::Rotate(_, step) => {
                self.require(step.get() < self.circuit.n_slots, Rule::StepRange, place, || {
                    format!("step {step} is not below {} slots", self.circuit.n_slots)
                })
            }
            Op::Zero
            | Op::Sub(..)
            | Op::Neg(_)
            | Op::AddPlain(..)
            | Op::Mul(..)
            | Op::MulPlain(..)
            | Op::Rescale(_)
            | Op::Relin(_)
            | Op::DropLevel(..) => {}
        }
    }

    /// What the stage allows and demands of a node.
    fn staged(&mut self, value: Value, op: &Op) {
        let place = Place::Value(value);
        let typed = self.circuit.node(value).ty.is_some();
        match self.circuit.stage {
            Stage::Abstract => {
                let scheduled = matches!(op, Op::Rescale(_) | Op::Relin(_) | Op::DropLevel(..));
                self.require(!scheduled, Rule::AbstractOnly, place, || {
                    format!("`{}` belongs to leveled circuits", op.mnemonic())
                });
                self.require(!typed, Rule::AbstractOnly, place, || {
                    "a value of an abstract circuit has no type".to_owned()
                });
            }
            Stage::Leveled => self.require(typed, Rule::Typed, place, || {
                "a value of a leveled circuit needs a type".to_owned()
            }),
        }
    }

    fn outputs(&mut self) {
        let circuit = self.circuit;
        for (index, output) in circuit.outputs.iter().enumerate() {
            let place = Place::Output(index);
            self.layout(&output.layout, place);
            let (expected, found) = (output.layout.n_cts, output.values.len());
            self.require(expected == found, Rule::OutputShape, place, || {
                format!("{found} values for a layout of {expected} ciphertexts")
            });
            for &value in &output.values {
                self.output_value(value, place);
            }
        }
    }

    fn output_value(&mut self, value: Value, place: Place) {
        let Some(node) = self.circuit.nodes.get(value.index()) else {
            return self.report(Rule::Handle, place, format!("{value} does not exist"));
        };
        self.require(node.ty.is_none_or(|ty| ty.degree == 1), Rule::OutputShape, place, || {
            format!("{value} has to be relinearised before it can be decrypted")
        });
    }
}

fn divides(plain: &Plain, n_slots: usize) -> bool {
    n_slots.is_multiple_of(plain.period())
}

/// Index of the first name that occurred before.
fn repeated<'s>(mut names: impl Iterator<Item = &'s str>) -> Option<usize> {
    let mut seen = HashSet::new();
    names.position(|name| !seen.insert(name))
}
