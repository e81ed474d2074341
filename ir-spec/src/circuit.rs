//! The circuit: a straight-line dataflow graph of HE operations.
//!
//! Values and constants live in arenas behind small handles; operands precede
//! their users, so index order is dependency order. In [`Stage::Abstract`] a
//! value has no type beyond its slot count; in [`Stage::Leveled`] every value
//! carries level, scale and degree. The meaning of a circuit is what the
//! reference evaluator computes on plain slots.

use crate::layout::Layout;
use crate::params::Params;
use crate::scale::{Level, Scale, Step};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// Handle of a ciphertext value; displays as in the text format (`%7`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Value(u32);

/// Handle of a plaintext constant; displays as in the text format (`$3`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Const(u32);

/// Handle of the model layer an op came from; index into [`Circuit::sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source(u32);

macro_rules! handle {
    ($name:ident, $sigil:literal) => {
        impl $name {
            /// Handle of the entity at `index` of its arena.
            pub fn new(index: usize) -> Self {
                Self(index as u32)
            }

            /// Index into the arena.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($sigil, "{}"), self.0)
            }
        }
    };
}
handle!(Value, "%");
handle!(Const, "$");
handle!(Source, "@");

/// One homomorphic operation. `x[i]` below is slot `i` of operand `x`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Ciphertext `ct` of input `input`.
    Input {
        /// Index into [`Circuit::inputs`].
        input: u32,
        /// Which of the input's ciphertexts.
        ct: u32,
    },
    /// All slots zero.
    Zero,
    /// Slot-wise sum of two or more values.
    Add(Vec<Value>),
    /// `a[i] - b[i]`.
    Sub(Value, Value),
    /// `-a[i]`.
    Neg(Value),
    /// `a[i] + c[i]`, the plaintext encoded at the operand's scale.
    AddPlain(Value, Const),
    /// `a[i] * b[i]`; the result has degree 2 until it is relinearised.
    Mul(Value, Value),
    /// `a[i] * c[i]`. In a leveled circuit the plaintext is encoded at
    /// result scale minus operand scale.
    MulPlain(Value, Const),
    /// `a[i] * s`, without an encoded plaintext; scale as for `MulPlain`.
    MulScalar(Value, f64),
    /// `a[i + step]`, indices modulo the slot count.
    Rotate(Value, Step),
    /// Divides by the last prime: level and scale drop, slots stay.
    Rescale(Value),
    /// Brings a degree-2 ciphertext back to degree 1.
    Relin(Value),
    /// Forgets primes down to `level`: scale and slots stay.
    DropLevel(Value, Level),
}

impl Op {
    /// Name in the text format.
    pub fn mnemonic(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::Zero => "zero",
            Op::Add(_) => "add",
            Op::Sub(..) => "sub",
            Op::Neg(_) => "neg",
            Op::AddPlain(..) => "add_plain",
            Op::Mul(..) => "mul",
            Op::MulPlain(..) => "mul_plain",
            Op::MulScalar(..) => "mul_scalar",
            Op::Rotate(..) => "rotate",
            Op::Rescale(_) => "rescale",
            Op::Relin(_) => "relin",
            Op::DropLevel(..) => "drop_level",
        }
    }

    /// Ciphertext operands in order.
    pub fn operands(&self) -> Vec<Value> {
        match self {
            Op::Input { .. } | Op::Zero => Vec::new(),
            Op::Add(values) => values.clone(),
            Op::Sub(a, b) | Op::Mul(a, b) => vec![*a, *b],
            Op::Neg(a)
            | Op::AddPlain(a, _)
            | Op::MulPlain(a, _)
            | Op::MulScalar(a, _)
            | Op::Rotate(a, _)
            | Op::Rescale(a)
            | Op::Relin(a)
            | Op::DropLevel(a, _) => vec![*a],
        }
    }

    /// The plaintext constant it reads, if any.
    pub fn constant(&self) -> Option<Const> {
        match self {
            Op::AddPlain(_, c) | Op::MulPlain(_, c) => Some(*c),
            Op::Input { .. } | Op::Zero | Op::Add(_) | Op::Sub(..) | Op::Neg(_) | Op::Mul(..)
            | Op::MulScalar(..) | Op::Rotate(..) | Op::Rescale(_) | Op::Relin(_) | Op::DropLevel(..) => None,
        }
    }

    /// The same op with each ciphertext operand replaced by `map(operand)`.
    pub fn map_operands(&self, mut map: impl FnMut(Value) -> Value) -> Op {
        match self {
            Op::Input { input, ct } => Op::Input { input: *input, ct: *ct },
            Op::Zero => Op::Zero,
            Op::Add(values) => Op::Add(values.iter().map(|&v| map(v)).collect()),
            Op::Sub(a, b) => Op::Sub(map(*a), map(*b)),
            Op::Neg(a) => Op::Neg(map(*a)),
            Op::AddPlain(a, c) => Op::AddPlain(map(*a), *c),
            Op::Mul(a, b) => Op::Mul(map(*a), map(*b)),
            Op::MulPlain(a, c) => Op::MulPlain(map(*a), *c),
            Op::MulScalar(a, s) => Op::MulScalar(map(*a), *s),
            Op::Rotate(a, step) => Op::Rotate(map(*a), *step),
            Op::Rescale(a) => Op::Rescale(map(*a)),
            Op::Relin(a) => Op::Relin(map(*a)),
            Op::DropLevel(a, level) => Op::DropLevel(map(*a), *level),
        }
    }
}

/// Type of a ciphertext in a leveled circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CtType {
    /// Remaining rescales.
    pub level: Level,
    /// Factor between slot values and encoded values.
    pub scale: Scale,
    /// 1, or 2 for a product that has not been relinearised.
    pub degree: u8,
}

/// How far a circuit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Slots only: no levels, no scales, no `rescale`, `relin` or `drop_level`.
    Abstract,
    /// Every value carries a [`CtType`].
    Leveled,
}

/// A plaintext operand: slot `i` is `values[i % values.len()]`.
///
/// The period is a power of two that divides the slot count and is the
/// smallest for its contents, so equal plaintexts compare equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plain {
    values: Vec<f64>,
}

impl Plain {
    /// Shrinks `values` (a power of two long) to its smallest period.
    ///
    /// # Panics
    /// If the length is not a power of two.
    pub fn new(mut values: Vec<f64>) -> Plain {
        assert!(values.len().is_power_of_two(), "a plaintext has a power-of-two length");
        while values.len() > 1 && values[..values.len() / 2] == values[values.len() / 2..] {
            values.truncate(values.len() / 2);
        }
        values.shrink_to_fit();
        Plain { values }
    }

    /// One period of the contents.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Slot `slot`.
    pub fn at(&self, slot: usize) -> f64 {
        self.values[slot % self.values.len()]
    }

    /// Length of one period.
    pub fn period(&self) -> usize {
        self.values.len()
    }

    /// The value of every slot when all are equal.
    pub fn uniform(&self) -> Option<f64> {
        (self.values.len() == 1).then(|| self.values[0])
    }

    /// True when every slot is zero.
    pub fn is_zero(&self) -> bool {
        self.values.iter().all(|&v| v == 0.0)
    }

    /// Slots that may be non-zero, within one period.
    pub fn support(&self) -> impl Iterator<Item = usize> + '_ {
        self.values.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(i, _)| i)
    }
}

/// One value of the circuit: its op, its type when leveled, where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What computes it.
    pub op: Op,
    /// Present exactly in leveled circuits.
    pub ty: Option<CtType>,
    /// The model layer it was emitted for.
    pub source: Source,
}

/// An encrypted input and how a client packs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Name in the model.
    pub name: String,
    /// Placement of its elements.
    pub layout: Layout,
    /// Smallest and largest value an element may have.
    pub range: (f64, f64),
}

/// An encrypted output and how a client unpacks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Name in the model.
    pub name: String,
    /// Placement of its elements.
    pub layout: Layout,
    /// One value per ciphertext of the layout.
    pub values: Vec<Value>,
}

/// A circuit; make one through [`Builder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Circuit {
    /// Name of the model.
    pub name: String,
    /// Whether values carry types.
    pub stage: Stage,
    /// Slots per ciphertext.
    pub n_slots: usize,
    /// Ring parameters; present exactly in leveled circuits.
    pub params: Option<Params>,
    /// Encrypted inputs.
    pub inputs: Vec<Input>,
    /// Encrypted outputs.
    pub outputs: Vec<Output>,
    /// Names of model layers.
    pub sources: Vec<String>,
    /// Plaintext arena.
    pub consts: Vec<Plain>,
    /// Value arena; operands precede users.
    pub nodes: Vec<Node>,
}

impl Circuit {
    /// Node of a value.
    pub fn node(&self, value: Value) -> &Node {
        &self.nodes[value.index()]
    }

    /// Contents of a constant.
    pub fn plain(&self, constant: Const) -> &Plain {
        &self.consts[constant.index()]
    }

    /// Handles of all values, operands before users.
    pub fn values(&self) -> impl Iterator<Item = Value> + use<> {
        (0..self.nodes.len()).map(Value::new)
    }

    /// Type of a value of a leveled circuit.
    ///
    /// # Panics
    /// If the circuit is abstract.
    pub fn ty(&self, value: Value) -> CtType {
        self.node(value).ty.expect("values of a leveled circuit are typed")
    }

    /// How many operands and outputs refer to each value.
    pub fn use_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.nodes.len()];
        let operands = self.nodes.iter().flat_map(|node| node.op.operands());
        for value in operands.chain(self.outputs.iter().flat_map(|o| o.values.iter().copied())) {
            counts[value.index()] += 1;
        }
        counts
    }
}

/// Appends nodes to a circuit and folds what is trivially known: equal values
/// are shared, zero operands and null rotations vanish, sums are flat, uniform
/// plaintexts become scalars.
#[derive(Debug)]
pub struct Builder {
    circuit: Circuit,
    source: Source,
    seen: HashMap<Key, Value>,
    plains: HashMap<Vec<u64>, Const>,
}

/// Structural identity of a node: equal keys compute equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    mnemonic: &'static str,
    operands: Vec<Value>,
    payload: (u64, u64),
    ty: Option<CtType>,
}

impl Builder {
    /// Starts an empty circuit with the header of `like` (name, stage, slots,
    /// params, inputs, sources), as a pass that rebuilds it does.
    pub fn like(like: &Circuit) -> Builder {
        let header = Circuit { consts: Vec::new(), nodes: Vec::new(), outputs: Vec::new(), ..like.clone() };
        Builder::from_header(header)
    }

    /// Starts an empty abstract circuit.
    pub fn new(name: &str, n_slots: usize) -> Builder {
        Builder::from_header(Circuit {
            name: name.to_owned(),
            stage: Stage::Abstract,
            n_slots,
            params: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            sources: Vec::new(),
            consts: Vec::new(),
            nodes: Vec::new(),
        })
    }

    fn from_header(mut circuit: Circuit) -> Builder {
        if circuit.sources.is_empty() {
            circuit.sources.push(String::from("model"));
        }
        Builder { circuit, source: Source(0), seen: HashMap::new(), plains: HashMap::new() }
    }

    /// Read access to what has been built so far.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// Turns the circuit under construction into a leveled one.
    pub fn set_params(&mut self, params: Params) {
        self.circuit.stage = Stage::Leveled;
        self.circuit.params = Some(params);
    }

    /// Nodes appended from now on belong to this model layer.
    pub fn set_source(&mut self, name: &str) {
        let found = self.circuit.sources.iter().position(|known| known == name);
        self.source = Source::new(found.unwrap_or_else(|| {
            self.circuit.sources.push(name.to_owned());
            self.circuit.sources.len() - 1
        }));
    }

    /// Nodes appended from now on belong to the layer behind this handle.
    pub fn set_source_handle(&mut self, source: Source) {
        self.source = source;
    }

    /// Declares an input; its index is what [`Op::Input`] names.
    pub fn declare_input(&mut self, input: Input) -> u32 {
        self.circuit.inputs.push(input);
        self.circuit.inputs.len() as u32 - 1
    }

    /// Interns a plaintext.
    pub fn constant(&mut self, plain: Plain) -> Const {
        let bits: Vec<u64> = plain.values.iter().map(|v| v.to_bits()).collect();
        let consts = &mut self.circuit.consts;
        *self.plains.entry(bits).or_insert_with(|| {
            consts.push(plain);
            Const::new(consts.len() - 1)
        })
    }

    /// Appends an op of an abstract circuit, folded and shared.
    pub fn push(&mut self, op: Op) -> Value {
        match self.fold(op) {
            Ok(value) => value,
            Err(op) => self.intern(op, None),
        }
    }

    /// Appends an op of a leveled circuit, shared but not folded: levels and
    /// scales are the scheduler's decisions.
    pub fn push_typed(&mut self, op: Op, ty: CtType) -> Value {
        self.intern(op, Some(ty))
    }

    /// Declares an output.
    pub fn output(&mut self, output: Output) {
        self.circuit.outputs.push(output);
    }

    /// The finished circuit.
    pub fn finish(self) -> Circuit {
        self.circuit
    }

    /// Slot-wise product with a plaintext; scalars and zeros are recognised.
    pub fn mul_plain(&mut self, value: Value, plain: Plain) -> Value {
        match plain.uniform() {
            Some(scalar) => self.push(Op::MulScalar(value, scalar)),
            None => {
                let constant = self.constant(plain);
                self.push(Op::MulPlain(value, constant))
            }
        }
    }

    /// Slot-wise sum with a plaintext; zeros vanish.
    pub fn add_plain(&mut self, value: Value, plain: Plain) -> Value {
        if plain.is_zero() {
            return value;
        }
        let constant = self.constant(plain);
        self.push(Op::AddPlain(value, constant))
    }

    /// Rotation to the left.
    pub fn rotate(&mut self, value: Value, step: i64) -> Value {
        let step = Step::new(step, self.circuit.n_slots);
        self.push(Op::Rotate(value, step))
    }

    /// Sum of any number of values.
    pub fn sum(&mut self, values: Vec<Value>) -> Value {
        self.push(Op::Add(values))
    }

    fn op(&self, value: Value) -> &Op {
        &self.circuit.node(value).op
    }

    fn is_zero(&self, value: Value) -> bool {
        matches!(self.op(value), Op::Zero)
    }

    /// The value an op folds to, or the simplified op to append.
    fn fold(&mut self, op: Op) -> Result<Value, Op> {
        match op {
            Op::Add(values) => self.fold_sum(values),
            Op::Sub(a, b) if self.is_zero(b) => Ok(a),
            Op::Sub(a, b) if a == b => Err(Op::Zero),
            Op::Neg(a) if self.is_zero(a) => Ok(a),
            Op::Mul(a, b) if self.is_zero(a) || self.is_zero(b) => Err(Op::Zero),
            Op::Mul(a, b) => Err(Op::Mul(a.min(b), a.max(b))),
            Op::MulPlain(a, c) if self.is_zero(a) || self.circuit.plain(c).is_zero() => Err(Op::Zero),
            Op::MulScalar(a, s) if self.is_zero(a) || s == 0.0 => Err(Op::Zero),
            Op::MulScalar(a, 1.0) => Ok(a),
            Op::Rotate(a, step) if step.is_zero() || self.is_zero(a) => Ok(a),
            Op::Rotate(a, step) => match *self.op(a) {
                Op::Rotate(inner, first) => {
                    let whole = first.compose(step, self.circuit.n_slots);
                    if whole.is_zero() { Ok(inner) } else { Err(Op::Rotate(inner, whole)) }
                }
                _ => Err(Op::Rotate(a, step)),
            },
            other => Err(other),
        }
    }

    fn fold_sum(&mut self, values: Vec<Value>) -> Result<Value, Op> {
        let kept: Vec<Value> = values.into_iter().filter(|&v| !self.is_zero(v)).collect();
        match kept.len() {
            0 => Err(Op::Zero),
            1 => Ok(kept[0]),
            _ => Err(Op::Add(kept)),
        }
    }

    fn intern(&mut self, op: Op, ty: Option<CtType>) -> Value {
        let key = Key { mnemonic: op.mnemonic(), operands: op.operands(), payload: payload(&op), ty };
        let source = self.source;
        let nodes = &mut self.circuit.nodes;
        *self.seen.entry(key).or_insert_with(|| {
            nodes.push(Node { op, ty, source });
            Value::new(nodes.len() - 1)
        })
    }
}

/// What distinguishes ops of one mnemonic beyond their operands.
fn payload(op: &Op) -> (u64, u64) {
    match op {
        Op::Input { input, ct } => (u64::from(*input), u64::from(*ct)),
        Op::AddPlain(_, c) | Op::MulPlain(_, c) => (c.index() as u64, 0),
        Op::MulScalar(_, s) => (s.to_bits(), 0),
        Op::Rotate(_, step) => (step.get() as u64, 0),
        Op::DropLevel(_, level) => (u64::from(level.0), 0),
        Op::Zero | Op::Add(_) | Op::Sub(..) | Op::Neg(_) | Op::Mul(..) | Op::Rescale(_) | Op::Relin(_) => (0, 0),
    }
}
