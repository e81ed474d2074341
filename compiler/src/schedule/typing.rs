//! Writes the leveled circuit: drops levels where users need fewer primes and
//! gives every value its exact scale.
//!
//! Each level has one canonical scale, and rescaling the product of two
//! canonical values gives exactly the canonical scale below. Plaintexts are
//! encoded at whatever scale makes their product exact, so values of the same
//! level always add.

use super::levels::Levels;
use hecc_ir::circuit::{Builder, Circuit, CtType, Op, Output, Value};
use hecc_ir::params::Params;
use hecc_ir::scale::{Level, Scale};
use std::collections::HashMap;

/// Ring parameters with the scales that go with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// Ring and primes.
    pub params: Params,
    /// Canonical scale of each level.
    pub canonical: Vec<Scale>,
    /// Scale that plaintexts of the last products add.
    pub last_plain: Scale,
}

impl Chain {
    /// Orders chains by the precision to expect: bits of the smaller of the
    /// fresh scale and the last plaintexts' scale.
    pub(super) fn finest(&self) -> f64 {
        let fresh = self.canonical.last().copied().unwrap_or(Scale::ONE);
        fresh.log2() + fresh.min(self.last_plain).log2()
    }

    fn at(&self, level: Level) -> Scale {
        self.canonical[level.0 as usize]
    }

    fn prime(&self, level: Level) -> Scale {
        Scale::of_prime(self.params.q[level.0 as usize])
    }
}

/// Types a circuit with rescales in place. `levels` must come from the same
/// circuit and fit the chain.
pub fn type_circuit(circuit: &Circuit, levels: &Levels, chain: &Chain) -> Circuit {
    let mut builder = Builder::like(circuit);
    builder.set_params(chain.params.clone());
    let wants_canonical = canonical_users(circuit);
    let rescaled = rescaled_values(circuit);
    let terminal = terminal_scale(circuit, levels, chain, &rescaled);
    let mut typing = Typing {
        circuit,
        levels,
        chain,
        builder,
        wants_canonical,
        rescaled,
        terminal,
        typed: HashMap::new(),
    };
    for value in circuit.values() {
        if let Some(level) = levels.of(value) {
            typing.node(value, level);
        }
    }
    for output in &circuit.outputs {
        let values = output.values.iter().map(|&v| typing.at(v, levels.base, true)).collect();
        typing.builder.output(Output { values, ..output.clone() });
    }
    typing.builder.finish()
}

/// Whether a value's users need it at the canonical scale. Products with
/// plaintexts do not: the plaintext makes up the difference.
fn canonical_users(circuit: &Circuit) -> Vec<bool> {
    let mut wants = vec![false; circuit.nodes.len()];
    circuit.outputs.iter().flat_map(|o| &o.values).for_each(|v| wants[v.index()] = true);
    for (index, node) in circuit.nodes.iter().enumerate().rev() {
        let passes = match node.op {
            Op::MulPlain(..) | Op::MulScalar(..) => false,
            Op::Rotate(..) => wants[index],
            _ => true,
        };
        node.op.operands().into_iter().for_each(|v| wants[v.index()] |= passes);
    }
    wants
}

/// Scale of products that are never rescaled.
fn terminal_scale(circuit: &Circuit, levels: &Levels, chain: &Chain, rescaled: &[bool]) -> Scale {
    let base = chain.at(levels.base);
    if has_terminal_squares(circuit, levels, rescaled) { base + base } else { base + chain.last_plain }
}

/// Whether a product of ciphertexts is never rescaled.
pub(super) fn has_terminal_squares(circuit: &Circuit, levels: &Levels, rescaled: &[bool]) -> bool {
    circuit
        .values()
        .any(|v| matches!(circuit.node(v).op, Op::Mul(..)) && !rescaled[v.index()] && levels.of(v).is_some())
}

/// Values whose scale a later rescale divides.
pub(super) fn rescaled_values(circuit: &Circuit) -> Vec<bool> {
    let mut rescaled = vec![false; circuit.nodes.len()];
    for (index, node) in circuit.nodes.iter().enumerate().rev() {
        let passes = match node.op {
            Op::Rescale(_) => true,
            Op::Mul(..) | Op::MulPlain(..) | Op::MulScalar(..) => false,
            _ => rescaled[index],
        };
        node.op.operands().into_iter().for_each(|v| rescaled[v.index()] |= passes);
    }
    rescaled
}

struct Typing<'a> {
    circuit: &'a Circuit,
    levels: &'a Levels,
    chain: &'a Chain,
    builder: Builder,
    wants_canonical: Vec<bool>,
    rescaled: Vec<bool>,
    terminal: Scale,
    typed: HashMap<(Value, Level, bool), Value>,
}

impl Typing<'_> {
    fn node(&mut self, value: Value, level: Level) {
        let node = self.circuit.node(value);
        self.builder.set_source_handle(node.source);
        let operand_level = if matches!(node.op, Op::Rescale(_)) { Level(level.0 + 1) } else { level };
        let canonical = match node.op {
            Op::MulPlain(..) | Op::MulScalar(..) => false,
            Op::Rotate(..) => self.wants_canonical[value.index()],
            _ => true,
        };
        let op = node.op.map_operands(|v| self.at(v, operand_level, canonical));
        let ty = self.result_type(value, &op, level);
        let typed = self.builder.push_typed(op, ty);
        self.typed.insert((value, level, true), typed);
        self.typed.insert((value, level, false), typed);
    }

    fn result_type(&self, value: Value, op: &Op, level: Level) -> CtType {
        let ty = |v: Value| self.builder.circuit().ty(v);
        let clean = CtType { level, scale: self.chain.at(level), degree: 1 };
        match op {
            Op::Input { .. } | Op::Zero => clean,
            Op::Add(values) => {
                let degree = values.iter().map(|&v| ty(v).degree).max().unwrap_or(1);
                CtType { degree, ..ty(values[0]) }
            }
            Op::Sub(a, b) => CtType { degree: ty(*a).degree.max(ty(*b).degree), ..ty(*a) },
            Op::Neg(a) | Op::AddPlain(a, _) | Op::Rotate(a, _) => ty(*a),
            Op::Mul(a, b) => CtType { level, scale: ty(*a).scale + ty(*b).scale, degree: 2 },
            Op::MulPlain(..) | Op::MulScalar(..) => {
                CtType { scale: self.product_scale(value, level), ..clean }
            }
            Op::Rescale(a) => {
                CtType { level, scale: ty(*a).scale - self.chain.prime(Level(level.0 + 1)), ..ty(*a) }
            }
            Op::Relin(a) => CtType { degree: 1, ..ty(*a) },
            Op::DropLevel(a, _) => CtType { level, ..ty(*a) },
        }
    }

    fn product_scale(&self, value: Value, level: Level) -> Scale {
        let canonical = self.chain.at(level);
        if self.rescaled[value.index()] { canonical + canonical } else { self.terminal }
    }

    /// The typed value at `level`, at the canonical scale when asked for.
    fn at(&mut self, value: Value, level: Level, canonical: bool) -> Value {
        if let Some(&known) = self.typed.get(&(value, level, canonical)) {
            return known;
        }
        let top = self.levels.of(value).expect("operands of live values are live");
        let highest = self.typed[&(value, top, true)];
        let lowered = if canonical { self.adjust(highest, level) } else { self.drop(highest, level) };
        self.typed.insert((value, level, canonical), lowered);
        lowered
    }

    fn drop(&mut self, value: Value, level: Level) -> Value {
        let ty = self.builder.circuit().ty(value);
        if ty.level == level {
            return value;
        }
        self.builder.push_typed(Op::DropLevel(value, level), CtType { level, ..ty })
    }

    /// Lowers a clean value to the canonical scale of `level`, a product to
    /// the scale of products there.
    fn adjust(&mut self, value: Value, level: Level) -> Value {
        let ty = self.builder.circuit().ty(value);
        let canonical = self.chain.at(ty.level);
        if ty.scale == canonical + canonical {
            self.lower_product(value, level)
        } else {
            self.lower_clean(value, level)
        }
    }

    /// One product by one and one rescale, within levels that are dropped
    /// anyway.
    fn lower_clean(&mut self, value: Value, level: Level) -> Value {
        let above = Level(level.0 + 1);
        let dropped = self.drop(value, above);
        let target = self.chain.at(level);
        let ty = CtType { level: above, scale: target + self.chain.prime(above), degree: 1 };
        let scaled = self.builder.push_typed(Op::MulScalar(dropped, 1.0), ty);
        self.builder.push_typed(Op::Rescale(scaled), CtType { level, scale: target, degree: 1 })
    }

    /// One rescale, and one product by one to have the scale of products again.
    fn lower_product(&mut self, value: Value, level: Level) -> Value {
        let ty = self.builder.circuit().ty(value);
        let below = ty.level.below().expect("a value is lowered from a higher level");
        let clean = CtType { level: below, scale: self.chain.at(below), ..ty };
        let rescaled = self.builder.push_typed(Op::Rescale(value), clean);
        let dropped = self.drop(rescaled, level);
        let canonical = self.chain.at(level);
        self.builder
            .push_typed(Op::MulScalar(dropped, 1.0), CtType { level, scale: canonical + canonical, ..ty })
    }
}
