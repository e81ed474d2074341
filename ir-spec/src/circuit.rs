//! The circuit: a straight-line dataflow graph of HE operations.
//!
//! Values and constants live in arenas behind small handles; operands precede
//! their users, so index order is dependency order. In [`Stage::Abstract`] a
//! value has no type beyond its slot count; in [`Stage::Leveled`] every value
//! carries level, scale and degree. The meaning of a circuit is what the
//! reference evaluator computes on plain slots.

pub use crate::builder::Builder;
use crate::layout::Layout;
pub use crate::ops::Op;
use crate::params::Params;
pub use crate::plain::Plain;
use crate::scale::{Level, Scale};
use serde::{Deserialize, Serialize};
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

    /// Products with plaintexts and numbers that nothing but one sum reads, once. Whoever runs a
    /// circuit need not keep them: they can be computed as the sum takes them in.
    pub fn summed_products(&self) -> Vec<bool> {
        let uses = self.use_counts();
        let is_product = |value: Value| matches!(self.node(value).op, Op::MulPlain(..) | Op::MulScalar(..));
        let mut summed = vec![false; self.nodes.len()];
        for node in &self.nodes {
            let Op::Add(terms) = &node.op else { continue };
            let products = terms.iter().filter(|value| uses[value.index()] == 1 && is_product(**value));
            products.for_each(|value| summed[value.index()] = true);
        }
        summed
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
