//! A circuit without its rotations: sums of products of turned values.
//!
//! Rotations commute with everything that happens slot by slot, so where they
//! stand is a choice. A flow leaves it open: edges say by how much an operand is
//! turned in all, and a [`Turning`] says at which angle each node is computed and
//! through which giant step each product goes. Any turning has the meaning of
//! the circuit that the flow was read from.

use super::period;
use hecc_ir::circuit::{self, Builder, Circuit, Const, Input, Op, Output, Plain, Source, Value};
use hecc_ir::layout::{Layout, Position};
use indexmap::IndexMap;
use std::collections::BTreeMap;

/// A circuit as nodes and edges, operands before users. Every ciphertext of an
/// output is a node too.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub n_slots: usize,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

/// What happens slot by slot.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub kind: Kind,
    pub source: Source,
    /// In order.
    pub operands: Vec<usize>,
    /// Edges that lead out of it.
    pub users: Vec<usize>,
    /// Turning by a multiple of this changes nothing.
    pub period: usize,
}

/// The op of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Input {
        input: u32,
        ct: u32,
    },
    Zero,
    /// Of all operands, each with its factor.
    Sum,
    Sub,
    Neg,
    AddPlain(Const),
    Mul,
    Output,
}

/// An operand turned by `step` slots to the left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub from: usize,
    pub to: usize,
    pub step: usize,
    pub factor: Factor,
    /// The giant step that the circuit had, for products.
    pub giant: usize,
}

/// What an operand of a sum is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Factor {
    One,
    Scalar(f64),
    /// A constant, turned by some slots to the left.
    Plain(Const, usize),
}

/// Where rotations stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turning {
    /// By how much the computed value of each node is turned.
    pub angle: Vec<usize>,
    /// Giant step of each edge.
    pub giant: Vec<usize>,
}

impl Flow {
    /// Reads the flow off an abstract circuit.
    pub fn of(circuit: &Circuit) -> Flow {
        let mut reader = Reader::of(circuit);
        circuit.values().for_each(|value| reader.read(value));
        for value in circuit.outputs.iter().flat_map(|output| &output.values) {
            let output = reader.node(Kind::Output, circuit.node(*value).source);
            reader.edge(output, *value);
        }
        let mut flow = reader.flow;
        (0..flow.nodes.len()).for_each(|node| flow.nodes[node].period = flow.period_of(circuit, node));
        flow
    }

    /// The turning of the circuit that was read.
    pub fn as_read(&self) -> Turning {
        let giant = self.edges.iter().map(|edge| edge.giant).collect();
        Turning { angle: vec![0; self.nodes.len()], giant }
    }

    /// The rotation that a turning puts on an edge before its product.
    pub fn baby(&self, turning: &Turning, edge: usize) -> usize {
        let Edge { from, to, step, .. } = self.edges[edge];
        let turned = step + turning.angle[to] + 2 * self.n_slots - turning.giant[edge] - turning.angle[from];
        turned & (self.nodes[from].period - 1)
    }

    /// True for terms that are multiplied on their way into a sum.
    pub fn is_product(&self, edge: usize) -> bool {
        self.edges[edge].factor != Factor::One
    }

    fn operands(&self, node: usize) -> impl Iterator<Item = &Edge> {
        self.nodes[node].operands.iter().map(|&edge| &self.edges[edge])
    }

    /// Smallest period that is known, from those of the operands.
    fn period_of(&self, circuit: &Circuit, node: usize) -> usize {
        let plain = |constant: Const| circuit.plain(constant).period();
        let of_edge = |edge: &Edge| {
            let factor = if let Factor::Plain(constant, _) = edge.factor { plain(constant) } else { 1 };
            self.nodes[edge.from].period.max(factor)
        };
        let of_operands = self.operands(node).map(of_edge).max().unwrap_or(1);
        match self.nodes[node].kind {
            Kind::Input { input, ct } => period::of_layout(&circuit.inputs[input as usize].layout, ct),
            Kind::Zero => 1,
            Kind::AddPlain(constant) => of_operands.max(plain(constant)),
            Kind::Sub | Kind::Neg | Kind::Mul | Kind::Output => of_operands,
            Kind::Sum => self.closed_period(node).map_or(of_operands, |closed| closed.min(of_operands)),
        }
    }

    /// The period of a sum of bare operands, from how they permute.
    fn closed_period(&self, node: usize) -> Option<usize> {
        if self.operands(node).any(|edge| edge.factor != Factor::One) {
            return None;
        }
        let terms = self.operands(node).map(|edge| (edge.from, edge.step));
        period::of_sum(terms, |from| self.nodes[from].period, self.n_slots)
    }
}

/// A value of the circuit: a node, turned.
#[derive(Clone, Copy, Debug)]
struct Turned {
    node: usize,
    step: usize,
}

struct Reader<'a> {
    circuit: &'a Circuit,
    /// Products and partial sums that one sum takes in as terms of its own.
    inner: Vec<bool>,
    /// By value; none for inner ones.
    turned: Vec<Option<Turned>>,
    /// By input and ciphertext.
    inputs: BTreeMap<(u32, u32), usize>,
    flow: Flow,
}

impl<'a> Reader<'a> {
    fn of(circuit: &'a Circuit) -> Reader<'a> {
        let flow = Flow { n_slots: circuit.n_slots, nodes: Vec::new(), edges: Vec::new() };
        Reader {
            circuit,
            inner: inner_values(circuit),
            turned: vec![None; circuit.nodes.len()],
            inputs: BTreeMap::new(),
            flow,
        }
    }

    fn node(&mut self, kind: Kind, source: Source) -> usize {
        let (operands, users) = (Vec::new(), Vec::new());
        self.flow.nodes.push(Node { kind, source, operands, users, period: self.flow.n_slots });
        self.flow.nodes.len() - 1
    }

    /// A node for a value; every ciphertext of an input has one.
    fn node_of(&mut self, kind: Kind, source: Source) -> usize {
        match kind {
            Kind::Input { input, ct } => match self.inputs.get(&(input, ct)) {
                Some(&node) => node,
                None => {
                    let node = self.node(kind, source);
                    self.inputs.insert((input, ct), node);
                    node
                }
            },
            _ => self.node(kind, source),
        }
    }

    fn edge(&mut self, to: usize, value: Value) {
        self.term(to, value, Factor::One, 0);
    }

    /// A term of a sum whose partial sum goes through a giant step.
    fn term(&mut self, to: usize, value: Value, factor: Factor, giant: usize) {
        let Turned { node: from, step } = self.turned[value.index()].expect("operands precede users");
        let n = self.flow.n_slots;
        let factor = match factor {
            Factor::Plain(constant, turn) => Factor::Plain(constant, (turn + giant) % n),
            Factor::One | Factor::Scalar(_) => factor,
        };
        let edge = Edge { from, to, step: (step + giant) % n, factor, giant };
        self.flow.nodes[from].users.push(self.flow.edges.len());
        self.flow.nodes[to].operands.push(self.flow.edges.len());
        self.flow.edges.push(edge);
    }

    fn read(&mut self, value: Value) {
        if self.inner[value.index()] {
            return;
        }
        let circuit::Node { source, op, .. } = self.circuit.node(value);
        let kind = match op {
            Op::Rotate(a, step) => {
                let Turned { node, step: first } = self.turned[a.index()].expect("operands precede users");
                let step = (first + step.get()) % self.flow.n_slots;
                self.turned[value.index()] = Some(Turned { node, step });
                return;
            }
            Op::Add(_) | Op::MulPlain(..) | Op::MulScalar(..) => Kind::Sum,
            Op::Input { input, ct } => Kind::Input { input: *input, ct: *ct },
            Op::Zero => Kind::Zero,
            Op::Sub(..) => Kind::Sub,
            Op::Neg(_) => Kind::Neg,
            Op::AddPlain(_, constant) => Kind::AddPlain(*constant),
            Op::Mul(..) => Kind::Mul,
            Op::Rescale(_) | Op::Relin(_) | Op::DropLevel(..) => {
                unreachable!("abstract circuits have no levels")
            }
        };
        let node = self.node_of(kind, *source);
        match op {
            Op::Add(terms) => terms.iter().for_each(|&term| self.summand(node, term, 0)),
            Op::MulPlain(..) | Op::MulScalar(..) => self.product(node, value, 0),
            _ => op.operands().into_iter().for_each(|operand| self.edge(node, operand)),
        }
        self.turned[value.index()] = Some(Turned { node, step: 0 });
    }

    /// Adds a value to a sum, and in its place what it is made of if it is inner.
    fn summand(&mut self, sum: usize, value: Value, giant: usize) {
        if !self.inner[value.index()] {
            return self.edge(sum, value);
        }
        match &self.circuit.node(value).op {
            Op::Rotate(a, step) => self.summand(sum, *a, step.get()),
            Op::Add(terms) => terms.iter().for_each(|&term| self.product(sum, term, giant)),
            _ => self.product(sum, value, giant),
        }
    }

    fn product(&mut self, sum: usize, value: Value, giant: usize) {
        match self.circuit.node(value).op {
            Op::MulPlain(a, constant) => self.term(sum, a, Factor::Plain(constant, 0), giant),
            Op::MulScalar(a, scalar) => self.term(sum, a, Factor::Scalar(scalar), giant),
            _ => unreachable!("partial sums are of products"),
        }
    }
}

/// Values that nothing but one sum reads and that are products, sums of products,
/// or rotations of these.
fn inner_values(circuit: &Circuit) -> Vec<bool> {
    let uses = circuit.use_counts();
    let is_product = |value: Value| {
        uses[value.index()] == 1 && matches!(circuit.node(value).op, Op::MulPlain(..) | Op::MulScalar(..))
    };
    let is_partial = |value: Value| match &circuit.node(value).op {
        Op::Add(terms) => uses[value.index()] == 1 && terms.iter().all(|&term| is_product(term)),
        _ => is_product(value),
    };
    let mut inner = vec![false; circuit.nodes.len()];
    let mut take = |value: Value| {
        inner[value.index()] = true;
        if let Op::Add(terms) = &circuit.node(value).op {
            terms.iter().for_each(|term| inner[term.index()] = true);
        }
    };
    for node in &circuit.nodes {
        let Op::Add(terms) = &node.op else { continue };
        for &term in terms {
            match circuit.node(term).op {
                Op::Rotate(a, _) if uses[term.index()] == 1 && is_partial(a) => {
                    take(a);
                    take(term);
                }
                _ if is_partial(term) => take(term),
                _ => {}
            }
        }
    }
    inner
}

/// What plaintexts a written circuit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Those of the circuit that was read, turned.
    Values,
    /// As many, and short: enough to tell what the circuit costs.
    Names,
}

/// The circuit of a flow under a turning. `like` is the circuit that was read.
pub(super) fn write(flow: &Flow, turning: &Turning, like: &Circuit, contents: Contents) -> Circuit {
    let header = Circuit { inputs: turned_inputs(flow, turning, like), ..like.clone() };
    let builder = Builder::like_header(&header);
    let mut writer = Writer { flow, turning, like, contents, builder, values: Vec::new() };
    for node in 0..flow.nodes.len() {
        let value = writer.node(node);
        writer.values.push(value);
    }
    let mut ports = (0..flow.nodes.len()).filter(|&node| flow.nodes[node].kind == Kind::Output);
    for output in &like.outputs {
        let nodes: Vec<usize> = ports.by_ref().take(output.values.len()).collect();
        let angles: Vec<usize> = nodes.iter().map(|&node| turning.angle[node]).collect();
        let values = nodes.iter().map(|&node| writer.values[node]).collect();
        writer.builder.output(Output {
            layout: turned_layout(&output.layout, &angles),
            values,
            ..output.clone()
        });
    }
    writer.builder.finish()
}

fn turned_inputs(flow: &Flow, turning: &Turning, like: &Circuit) -> Vec<Input> {
    let mut angles: Vec<Vec<usize>> = like.inputs.iter().map(|input| vec![0; input.layout.n_cts]).collect();
    for (node, &angle) in flow.nodes.iter().zip(&turning.angle) {
        if let Kind::Input { input, ct } = node.kind {
            angles[input as usize][ct as usize] = angle;
        }
    }
    let turned = like.inputs.iter().zip(&angles);
    turned
        .map(|(input, angles)| Input { layout: turned_layout(&input.layout, angles), ..input.clone() })
        .collect()
}

/// The layout of ciphertexts that are turned to the left by some slots each.
fn turned_layout(layout: &Layout, angles: &[usize]) -> Layout {
    let n = layout.n_slots;
    let turned = |p: &Position| Position {
        slot: ((p.slot as usize + n - angles[p.ct as usize]) % n) as u32,
        ct: p.ct,
    };
    Layout { home: layout.home.iter().map(turned).collect(), ..layout.clone() }
}

struct Writer<'a> {
    flow: &'a Flow,
    turning: &'a Turning,
    like: &'a Circuit,
    contents: Contents,
    builder: Builder,
    values: Vec<Value>,
}

impl Writer<'_> {
    fn node(&mut self, node: usize) -> Value {
        let Node { kind, source, .. } = self.flow.nodes[node];
        self.builder.set_source_handle(source);
        if kind == Kind::Sum {
            return self.sum(node);
        }
        let edges = self.flow.nodes[node].operands.iter();
        let operands: Vec<Value> = edges.map(|&edge| self.operand(edge)).collect();
        match (kind, &operands[..]) {
            (Kind::Input { input, ct }, _) => self.builder.push(Op::Input { input, ct }),
            (Kind::Zero, _) => self.builder.push(Op::Zero),
            (Kind::Sub, &[a, b]) => self.builder.push(Op::Sub(a, b)),
            (Kind::Mul, &[a, b]) => self.builder.push(Op::Mul(a, b)),
            (Kind::Neg, &[a]) => self.builder.push(Op::Neg(a)),
            (Kind::AddPlain(constant), &[a]) => {
                let plain = self.turned_plain(constant, self.turning.angle[node]);
                self.builder.add_plain(a, plain)
            }
            (Kind::Output, &[a]) => a,
            _ => unreachable!("every kind has its number of operands"),
        }
    }

    fn operand(&mut self, edge: usize) -> Value {
        let step = self.flow.baby(self.turning, edge);
        self.builder.rotate(self.values[self.flow.edges[edge].from], step as i64)
    }

    fn turned_plain(&self, constant: Const, turn: usize) -> Plain {
        let plain = self.like.plain(constant);
        if self.contents == Contents::Names && plain.uniform().is_none() {
            let turn = turn % plain.period();
            return Plain::new(vec![constant.index() as f64, -1.0 - turn as f64]);
        }
        plain.turned(turn)
    }

    /// Partial sums by giant step, in the order of the first term of each.
    fn sum(&mut self, node: usize) -> Value {
        let mut partial: IndexMap<usize, Vec<Value>> = IndexMap::new();
        for &edge in &self.flow.nodes[node].operands {
            let giant = self.turning.giant[edge];
            let term = self.term(edge, giant);
            partial.entry(giant).or_default().push(term);
        }
        let mut whole = Vec::new();
        for (giant, terms) in partial {
            let sum = self.builder.sum(terms);
            whole.push(self.builder.rotate(sum, giant as i64));
        }
        self.builder.sum(whole)
    }

    fn term(&mut self, edge: usize, giant: usize) -> Value {
        let operand = self.operand(edge);
        let Edge { to, factor, .. } = self.flow.edges[edge];
        match factor {
            Factor::One => operand,
            Factor::Scalar(scalar) => self.builder.push(Op::MulScalar(operand, scalar)),
            Factor::Plain(constant, turn) => {
                let turn = turn + self.turning.angle[to] + self.flow.n_slots - giant;
                let plain = self.turned_plain(constant, turn);
                self.builder.mul_plain(operand, plain)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use hecc_ir::{Stage, eval, testing, verify};
    use proptest::prelude::*;

    /// Angles and giant steps that nobody would choose.
    fn any_turning(flow: &Flow, seed: u64) -> Turning {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % flow.n_slots
        };
        let angle = flow.nodes.iter().map(|_| next()).collect();
        let giant = (0..flow.edges.len()).map(|edge| if flow.is_product(edge) { next() } else { 0 });
        Turning { giant: giant.collect(), angle }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn every_turning_has_the_meaning_of_the_circuit(circuit in testing::circuits(Stage::Abstract), seed: u64) {
            let flow = Flow::of(&circuit);
            let tensors = testing::inputs_for(&circuit, seed);
            let expected = eval(&circuit, &tensors);
            for turning in [flow.as_read(), any_turning(&flow, seed)] {
                let written = write(&flow, &turning, &circuit, Contents::Values);
                verify(&written).unwrap();
                let found = eval(&written, &tensors);
                for (a, b) in expected.iter().flatten().zip(found.iter().flatten()) {
                    prop_assert!((a - b).abs() <= 1e-9 * (1.0 + a.abs()), "{} for {}", b, a);
                }
            }
        }
    }
}
