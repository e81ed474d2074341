//! Building circuits: [`Builder`] appends nodes and folds what is known at once.

use crate::circuit::{Circuit, Const, CtType, Input, Node, Op, Output, Plain, Source, Stage, Value};
use crate::params::Params;
use crate::plain::PlainBits;
use crate::scale::Step;
use std::collections::HashMap;

/// Appends nodes to a circuit and folds what is trivially known: equal values
/// are shared, zero operands and null rotations vanish, sums are flat, uniform
/// plaintexts become scalars.
#[derive(Debug)]
pub struct Builder {
    circuit: Circuit,
    source: Source,
    seen: HashMap<Key, Value>,
    plains: HashMap<PlainBits, Const>,
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
    /// Starts a circuit with the header and the constants of `like` and no
    /// nodes, as a pass that rebuilds it does: handles of constants stay valid.
    pub fn like(like: &Circuit) -> Builder {
        let rebuilt = Circuit { nodes: Vec::new(), outputs: Vec::new(), ..like.clone() };
        Builder::from_header(rebuilt)
    }

    /// As [`Builder::like`], but without the constants: for passes that intern the ones
    /// they use.
    pub fn like_header(like: &Circuit) -> Builder {
        let rebuilt = Circuit { nodes: Vec::new(), outputs: Vec::new(), consts: Vec::new(), ..like.clone() };
        Builder::from_header(rebuilt)
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
        Builder { circuit, source: Source::new(0), seen: HashMap::new(), plains: HashMap::new() }
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
        let consts = &mut self.circuit.consts;
        *self.plains.entry(PlainBits(plain.clone())).or_insert_with(|| {
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

    /// Appends an op as it stands, shared but not folded.
    pub fn push_unfolded(&mut self, op: Op) -> Value {
        self.intern(op, None)
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
        Op::Zero | Op::Add(_) | Op::Sub(..) | Op::Neg(_) | Op::Mul(..) | Op::Rescale(_) | Op::Relin(_) => {
            (0, 0)
        }
    }
}
