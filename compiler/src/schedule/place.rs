//! Places rescales and relinearisations.
//!
//! Expects an abstract circuit; leaves an untyped one in which every product
//! is rescaled once, as late as that saves work: sums of products are rescaled
//! as one, and rotations of partial sums happen before. Where a product sum that
//! several ops read is rescaled is a choice ([`Policy`]). What no later product reads is
//! *terminal*: it stays at the scale of its product, and the rescale and its
//! prime are saved. Degree-2 values are relinearised when an op needs degree 1.

use hecc_ir::circuit::{Builder, Circuit, Op, Output, Value};

/// Where a product that several ops read is rescaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// At once: what reads it works on one prime less.
    Early,
    /// At once only where rotations of it feed products; sums of it add their
    /// error at the scale of the product, where it hardly counts.
    Late,
}

/// Runs the pass.
pub fn place_rescales(circuit: &Circuit, policy: Policy) -> Circuit {
    let mut placer = Placer {
        policy,
        builder: Builder::like(circuit),
        placed: Vec::with_capacity(circuit.nodes.len()),
        terminal: terminal_values(circuit),
        feeds_product: product_operands(circuit),
        uses: circuit.use_counts(),
    };
    for value in circuit.values() {
        placer.builder.set_source_handle(circuit.node(value).source);
        let placed = placer.place(value, circuit.node(value).op.clone());
        placer.placed.push(placed);
    }
    for output in &circuit.outputs {
        let values = placer.output(&output.values);
        placer.builder.output(Output { values, ..output.clone() });
    }
    placer.builder.finish()
}

/// A value of the new circuit and what still has to happen to it.
#[derive(Clone, Copy, Debug)]
struct Placed {
    value: Value,
    /// Carries the scale of a product.
    raw: bool,
    degree: u8,
}

impl Placed {
    fn clean(value: Value) -> Placed {
        Placed { value, raw: false, degree: 1 }
    }
}

struct Placer {
    policy: Policy,
    builder: Builder,
    placed: Vec<Placed>,
    terminal: Vec<bool>,
    feeds_product: Vec<bool>,
    uses: Vec<u32>,
}

/// True for values from which no product can be reached.
fn terminal_values(circuit: &Circuit) -> Vec<bool> {
    let mut terminal = vec![true; circuit.nodes.len()];
    for (index, node) in circuit.nodes.iter().enumerate().rev() {
        let multiplies = node.op.is_product();
        for operand in node.op.operands() {
            terminal[operand.index()] &= terminal[index] && !multiplies;
        }
    }
    terminal
}

/// True for values that a product reads, directly or rotated.
fn product_operands(circuit: &Circuit) -> Vec<bool> {
    let mut feeds = vec![false; circuit.nodes.len()];
    for (index, node) in circuit.nodes.iter().enumerate().rev() {
        let through = match node.op {
            Op::Mul(..) | Op::MulPlain(..) | Op::MulScalar(..) => true,
            Op::Rotate(..) => feeds[index],
            _ => false,
        };
        node.op.operands().into_iter().for_each(|v| feeds[v.index()] |= through);
    }
    feeds
}

impl Placer {
    fn place(&mut self, value: Value, op: Op) -> Placed {
        let result = match op {
            Op::Input { .. } | Op::Zero => Placed::clean(self.builder.push(op)),
            Op::Add(values) => self.sum(value, &values),
            Op::Sub(a, b) => {
                let terms = self.aligned(value, &[a, b]);
                self.emit(Op::Sub(terms[0].value, terms[1].value), &terms)
            }
            Op::Neg(a) => self.follow(value, a, Op::Neg),
            Op::AddPlain(a, c) => self.follow(value, a, |a| Op::AddPlain(a, c)),
            Op::Rotate(a, step) => {
                let operand = self.operand(value, a);
                let linear = self.relined(operand);
                Placed { value: self.builder.push(Op::Rotate(linear.value, step)), ..linear }
            }
            Op::Mul(a, b) => {
                let (a, b) = (self.cleaned(self.at(a)), self.cleaned(self.at(b)));
                Placed { value: self.builder.push(Op::Mul(a.value, b.value)), raw: true, degree: 2 }
            }
            Op::MulPlain(a, c) => self.scaled(a, |a| Op::MulPlain(a, c)),
            Op::MulScalar(a, s) => self.scaled(a, |a| Op::MulScalar(a, s)),
            Op::Rescale(_) | Op::Relin(_) | Op::DropLevel(..) => {
                unreachable!("abstract circuits have no levels")
            }
        };
        let asked = self.policy == Policy::Early || self.feeds_product[value.index()];
        let early = asked && self.uses[value.index()] > 1;
        if early && !self.terminal[value.index()] { self.cleaned(result) } else { result }
    }

    fn at(&self, value: Value) -> Placed {
        self.placed[value.index()]
    }

    /// An operand of an op that passes scales on. Scales of terminal products
    /// are of their own, so what is terminal takes others clean.
    fn operand(&mut self, user: Value, value: Value) -> Placed {
        let placed = self.at(value);
        let leaves = self.terminal[user.index()] && !self.terminal[value.index()];
        if leaves { self.cleaned(placed) } else { placed }
    }

    fn follow(&mut self, value: Value, operand: Value, op: impl Fn(Value) -> Op) -> Placed {
        let operand = self.operand(value, operand);
        Placed { value: self.builder.push(op(operand.value)), ..operand }
    }

    fn scaled(&mut self, operand: Value, op: impl Fn(Value) -> Op) -> Placed {
        let operand = self.cleaned(self.at(operand));
        Placed { value: self.builder.push(op(operand.value)), raw: true, degree: 1 }
    }

    fn sum(&mut self, value: Value, values: &[Value]) -> Placed {
        let terms = self.aligned(value, values);
        let op = Op::Add(terms.iter().map(|t| t.value).collect());
        self.emit(op, &terms)
    }

    fn emit(&mut self, op: Op, terms: &[Placed]) -> Placed {
        let degree = terms.iter().map(|t| t.degree).max().unwrap_or(1);
        Placed { value: self.builder.push(op), raw: terms.iter().any(|t| t.raw), degree }
    }

    /// Operands of a sum, all raw or all clean. A terminal sum lifts clean
    /// operands, any other one rescales the raw ones.
    fn aligned(&mut self, sum: Value, values: &[Value]) -> Vec<Placed> {
        let terms: Vec<Placed> = values.iter().map(|&v| self.operand(sum, v)).collect();
        let n_raw = terms.iter().filter(|t| t.raw).count();
        if n_raw == 0 || n_raw == terms.len() {
            return terms;
        }
        let lift = self.terminal[sum.index()];
        let align = |t: Placed| match (t.raw, lift) {
            (false, true) => self.lifted(t),
            (true, false) => self.cleaned(t),
            (true, true) | (false, false) => t,
        };
        terms.into_iter().map(align).collect()
    }

    /// A product by one: scale of a product, slots as they are. The builder
    /// would fold it away, so it is appended as it stands.
    fn lifted(&mut self, operand: Placed) -> Placed {
        Placed { value: self.builder.push_unfolded(Op::MulScalar(operand.value, 1.0)), raw: true, degree: 1 }
    }

    fn relined(&mut self, operand: Placed) -> Placed {
        if operand.degree == 1 {
            return operand;
        }
        Placed { value: self.builder.push(Op::Relin(operand.value)), degree: 1, ..operand }
    }

    fn cleaned(&mut self, operand: Placed) -> Placed {
        if !operand.raw {
            return operand;
        }
        let linear = self.relined(operand);
        Placed::clean(self.builder.push(Op::Rescale(linear.value)))
    }

    /// Ciphertexts of one output, all of one type.
    fn output(&mut self, values: &[Value]) -> Vec<Value> {
        let finish = |placer: &mut Placer, value: &Value| {
            let linear = placer.relined(placer.at(*value));
            if placer.terminal[value.index()] { linear } else { placer.cleaned(linear) }
        };
        let finished: Vec<Placed> = values.iter().map(|value| finish(self, value)).collect();
        let lift = finished.iter().any(|placed| placed.raw);
        finished
            .into_iter()
            .map(|placed| if lift && !placed.raw { self.lifted(placed) } else { placed }.value)
            .collect()
    }
}
