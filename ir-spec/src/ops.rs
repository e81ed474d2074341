//! The operations of a circuit and the table that describes them.

use crate::circuit::{Const, Value};
use crate::scale::{Level, Step};
use serde::{Deserialize, Serialize};

/// How an op is written and what it means: one row of the op table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpInfo {
    /// Name in the text format.
    pub mnemonic: &'static str,
    /// Operands as written: `%` a ciphertext, `$` a plaintext.
    pub operands: &'static str,
    /// True when it exists in leveled circuits only.
    pub leveled_only: bool,
    /// Slot `i` of the result, with operands `a`, `b` and `c`.
    pub meaning: &'static str,
}

const fn row(
    mnemonic: &'static str,
    operands: &'static str,
    leveled_only: bool,
    meaning: &'static str,
) -> OpInfo {
    OpInfo { mnemonic, operands, leveled_only, meaning }
}

/// Every op, in the order of [`Op`].
pub const TABLE: [OpInfo; 13] = [
    row("input", "INPUT:CT", false, "slot i of ciphertext CT of input INPUT"),
    row("zero", "", false, "0"),
    row("add", "%a, %b, ...", false, "a[i] + b[i] + ..."),
    row("sub", "%a, %b", false, "a[i] - b[i]"),
    row("neg", "%a", false, "-a[i]"),
    row("add_plain", "%a, $c", false, "a[i] + c[i]"),
    row("mul", "%a, %b", false, "a[i] * b[i]"),
    row("mul_plain", "%a, $c", false, "a[i] * c[i]"),
    row("mul_scalar", "%a, NUMBER", false, "a[i] * NUMBER"),
    row("rotate", "%a, STEP", false, "a[i + STEP]"),
    row("rescale", "%a", true, "a[i]"),
    row("relin", "%a", true, "a[i]"),
    row("drop_level", "%a, LEVEL", true, "a[i]"),
];

/// One homomorphic operation. `x[i]` below is slot `i` of operand `x`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Ciphertext `ct` of input `input`.
    Input {
        /// Index into [`crate::Circuit::inputs`].
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
    /// Its row of the op table.
    pub fn info(&self) -> &'static OpInfo {
        let row = match self {
            Op::Input { .. } => 0,
            Op::Zero => 1,
            Op::Add(_) => 2,
            Op::Sub(..) => 3,
            Op::Neg(_) => 4,
            Op::AddPlain(..) => 5,
            Op::Mul(..) => 6,
            Op::MulPlain(..) => 7,
            Op::MulScalar(..) => 8,
            Op::Rotate(..) => 9,
            Op::Rescale(_) => 10,
            Op::Relin(_) => 11,
            Op::DropLevel(..) => 12,
        };
        &TABLE[row]
    }

    /// Name in the text format.
    pub fn mnemonic(&self) -> &'static str {
        self.info().mnemonic
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
            Op::Input { .. }
            | Op::Zero
            | Op::Add(_)
            | Op::Sub(..)
            | Op::Neg(_)
            | Op::Mul(..)
            | Op::MulScalar(..)
            | Op::Rotate(..)
            | Op::Rescale(_)
            | Op::Relin(_)
            | Op::DropLevel(..) => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_the_order_of_ops() {
        let mut rows: Vec<_> = TABLE.iter().map(|row| row.mnemonic).collect();
        assert_eq!(Op::Zero.mnemonic(), "zero");
        assert_eq!(Op::Neg(Value::new(0)).mnemonic(), "neg");
        assert_eq!(Op::MulScalar(Value::new(0), 1.0).mnemonic(), "mul_scalar");
        assert_eq!(Op::DropLevel(Value::new(0), Level(0)).mnemonic(), "drop_level");
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), TABLE.len(), "mnemonics are unique");
    }
}
