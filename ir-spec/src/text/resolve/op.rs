//! Operands of ops, held against the op table.

use super::super::ast::{Arg, At, Node};
use super::super::{Span, code};
use super::Resolver;
use crate::circuit::{Const, Op, Value};
use crate::ops::TABLE;
use crate::scale::{Level, Step};

impl Resolver {
    /// The op of a node; reports and returns `None` for unknown ops and wrong operands.
    pub(super) fn op(&mut self, ast: &Node<'_>, n_slots: usize) -> Option<Op> {
        let mnemonic = ast.mnemonic;
        let Some(info) = TABLE.iter().find(|info| info.mnemonic == mnemonic.node) else {
            let known: Vec<_> = TABLE.iter().map(|info| info.mnemonic).collect();
            let message = format!("unknown op `{}`; ops are {}", mnemonic.node, known.join(", "));
            self.report(code::OP, mnemonic.span, message);
            return None;
        };
        let op = self.with_operands(info.mnemonic, &ast.args, n_slots);
        if op.is_none() {
            self.report(
                code::OP,
                mnemonic.span,
                format!("operands are written `{} {}`", info.mnemonic, info.operands),
            );
        }
        op
    }

    fn with_operands(&mut self, mnemonic: &str, args: &[At<Arg<'_>>], n_slots: usize) -> Option<Op> {
        Some(match (mnemonic, args) {
            ("zero", []) => Op::Zero,
            ("input", [place]) => self.input_op(place)?,
            ("add", values) => Op::Add(values.iter().map(|value| self.value(value)).collect::<Option<_>>()?),
            ("sub", [a, b]) => Op::Sub(self.value(a)?, self.value(b)?),
            ("neg", [a]) => Op::Neg(self.value(a)?),
            ("add_plain", [a, c]) => Op::AddPlain(self.value(a)?, self.constant(c)?),
            ("mul", [a, b]) => Op::Mul(self.value(a)?, self.value(b)?),
            ("mul_plain", [a, c]) => Op::MulPlain(self.value(a)?, self.constant(c)?),
            ("mul_scalar", [a, s]) => Op::MulScalar(self.value(a)?, self.scalar(s)?),
            ("rotate", [a, step]) => Op::Rotate(self.value(a)?, self.step(step, n_slots)?),
            ("rescale", [a]) => Op::Rescale(self.value(a)?),
            ("relin", [a]) => Op::Relin(self.value(a)?),
            ("drop_level", [a, level]) => Op::DropLevel(self.value(a)?, self.level(level)?),
            _ => return None,
        })
    }

    fn value(&mut self, arg: &At<Arg<'_>>) -> Option<Value> {
        let Arg::Value(token) = arg.node else { return None };
        Some(Value::new(self.handle(arg.span, token) as usize))
    }

    fn constant(&mut self, arg: &At<Arg<'_>>) -> Option<Const> {
        let Arg::Constant(token) = arg.node else { return None };
        Some(Const::new(self.handle(arg.span, token) as usize))
    }

    fn scalar(&mut self, arg: &At<Arg<'_>>) -> Option<f64> {
        let Arg::Number(node) = arg.node else { return None };
        Some(self.float(At { span: arg.span, node }))
    }

    fn level(&mut self, arg: &At<Arg<'_>>) -> Option<Level> {
        let Arg::Level(token) = arg.node else { return None };
        Some(Level(self.handle(arg.span, token)))
    }

    /// A step may be written negative, for a rotation to the right.
    fn step(&mut self, arg: &At<Arg<'_>>, n_slots: usize) -> Option<Step> {
        let Arg::Number(node) = arg.node else { return None };
        let step: i64 = self.number(At { span: arg.span, node }, "step");
        if step.unsigned_abs() >= n_slots as u64 {
            self.report(code::NUMBER, arg.span, format!("step {step} is not below {n_slots} slots"));
        }
        Some(Step::new(step, n_slots))
    }

    fn input_op(&mut self, arg: &At<Arg<'_>>) -> Option<Op> {
        let Arg::Position(token) = arg.node else { return None };
        let (input, ct) = self.pair(arg.span, token);
        Some(Op::Input { input, ct })
    }

    /// The two numbers of `a:b`.
    pub(super) fn pair(&mut self, span: Span, token: &str) -> (u32, u32) {
        let (a, b) = token.split_once(':').expect("the lexer finds positions by their colon");
        (self.number(At { span, node: a }, "index"), self.number(At { span, node: b }, "index"))
    }
}
