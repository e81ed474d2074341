//! The e-graph of a circuit: equal values in one class, with what is known of them.

use super::period;
use super::slots::SlotSet;
use egg::{Analysis, DidMerge, EGraph, FromOp, FromOpError, Id, Language};
use fixedbitset::FixedBitSet;
use hecc_ir::circuit::{Circuit, Op, Plain, Source, Value};
use hecc_ir::layout::Layout;
use hecc_ir::plain::PlainBits;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Handle of a plaintext in [`Context`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PlainId(u32);

/// A number by its bits, so that it can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Scalar(u64);

impl Scalar {
    pub fn of(value: f64) -> Scalar {
        Scalar(value.to_bits())
    }

    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// One op of the circuit. Sums have any number of operands, in the order of their
/// classes, so that no rule has to permute them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Node {
    Input { input: u32, ct: u32 },
    Zero,
    Add(Vec<Id>),
    Mul([Id; 2]),
    Neg([Id; 1]),
    MulScalar(Scalar, [Id; 1]),
    MulPlain(PlainId, [Id; 1]),
    AddPlain(PlainId, [Id; 1]),
    Rotate(usize, [Id; 1]),
}

/// What must agree, besides the operands, for two nodes to be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Input { input: u32, ct: u32 },
    Zero,
    Add(usize),
    Mul,
    Neg,
    MulScalar(Scalar),
    MulPlain(PlainId),
    AddPlain(PlainId),
    Rotate(usize),
}

impl Language for Node {
    type Discriminant = Kind;

    fn discriminant(&self) -> Kind {
        match *self {
            Node::Input { input, ct } => Kind::Input { input, ct },
            Node::Zero => Kind::Zero,
            Node::Add(ref terms) => Kind::Add(terms.len()),
            Node::Mul(_) => Kind::Mul,
            Node::Neg(_) => Kind::Neg,
            Node::MulScalar(scalar, _) => Kind::MulScalar(scalar),
            Node::MulPlain(plain, _) => Kind::MulPlain(plain),
            Node::AddPlain(plain, _) => Kind::AddPlain(plain),
            Node::Rotate(step, _) => Kind::Rotate(step),
        }
    }

    fn matches(&self, other: &Node) -> bool {
        self.discriminant() == other.discriminant()
    }

    fn children(&self) -> &[Id] {
        match self {
            Node::Input { .. } | Node::Zero => &[],
            Node::Add(terms) => terms,
            Node::Mul(operands) => operands,
            Node::Neg(operand)
            | Node::MulScalar(_, operand)
            | Node::MulPlain(_, operand)
            | Node::AddPlain(_, operand)
            | Node::Rotate(_, operand) => operand,
        }
    }

    fn children_mut(&mut self) -> &mut [Id] {
        match self {
            Node::Input { .. } | Node::Zero => &mut [],
            Node::Add(terms) => terms,
            Node::Mul(operands) => operands,
            Node::Neg(operand)
            | Node::MulScalar(_, operand)
            | Node::MulPlain(_, operand)
            | Node::AddPlain(_, operand)
            | Node::Rotate(_, operand) => operand,
        }
    }
}

impl fmt::Display for Node {
    /// The op, as explanations show it before its operands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Input { input, ct } => write!(f, "input-{input}:{ct}"),
            Node::Zero => write!(f, "zero"),
            Node::Add(_) => write!(f, "add"),
            Node::Mul(_) => write!(f, "mul"),
            Node::Neg(_) => write!(f, "neg"),
            Node::MulScalar(scalar, _) => write!(f, "mul_scalar-{}", scalar.get()),
            Node::MulPlain(plain, _) => write!(f, "mul_plain-${}", plain.0),
            Node::AddPlain(plain, _) => write!(f, "add_plain-${}", plain.0),
            Node::Rotate(step, _) => write!(f, "rotate-{step}"),
        }
    }
}

/// Explanations are printed, never read.
impl FromOp for Node {
    type Error = FromOpError;

    fn from_op(op: &str, children: Vec<Id>) -> Result<Node, FromOpError> {
        Err(FromOpError::new(op, children))
    }
}

/// What is known of every value of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Turning by a multiple of this changes nothing.
    pub period: usize,
    /// Slots that may be other than zero.
    pub support: SlotSet,
    /// Products on the shortest way from an input.
    pub depth: usize,
    /// The model layer that it is computed for.
    pub source: Source,
}

/// Plaintexts, and where new nodes belong.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub n_slots: usize,
    inputs: Vec<Layout>,
    plains: Vec<Plain>,
    supports: Vec<SlotSet>,
    by_bits: HashMap<PlainBits, PlainId>,
    /// Sums that are flat already, and the terms of all of them together.
    pub flattened: HashSet<Node>,
    pub n_flat_terms: usize,
    /// Largest magnitude that rules may write: sums around a cycle of the graph would let constants
    /// grow without bound, and what cancels among large ones is lost to rounding.
    pub max_constant: f64,
    /// Layer of the nodes that are added now.
    pub source: Source,
}

impl Context {
    pub fn plain(&self, id: PlainId) -> &Plain {
        &self.plains[id.0 as usize]
    }

    pub fn support(&self, id: PlainId) -> &SlotSet {
        &self.supports[id.0 as usize]
    }

    pub fn intern(&mut self, plain: Plain) -> PlainId {
        let (plains, supports) = (&mut self.plains, &mut self.supports);
        *self.by_bits.entry(PlainBits(plain.clone())).or_insert_with(|| {
            supports.push(plain_support(&plain, self.n_slots));
            plains.push(plain);
            PlainId(plains.len() as u32 - 1)
        })
    }
}

/// Slots at which a plaintext is not zero.
pub(super) fn plain_support(plain: &Plain, n_slots: usize) -> SlotSet {
    let mut bits = FixedBitSet::with_capacity(n_slots);
    for slot in plain.support() {
        (slot..n_slots).step_by(plain.period()).for_each(|slot| bits.insert(slot));
    }
    SlotSet::of(bits)
}

/// Slots of one ciphertext that hold an element; all if others may too.
pub(super) fn layout_support(layout: &Layout, ct: u32) -> SlotSet {
    let mut bits = FixedBitSet::with_capacity(layout.n_slots);
    let positions = (0..layout.home.len()).flat_map(|element| layout.positions(element));
    positions.filter(|p| p.ct == ct).for_each(|p| bits.insert(p.slot as usize));
    SlotSet::of(bits)
}

fn input_facts(layout: &Layout, ct: u32, source: Source) -> Facts {
    let support = if layout.dirty { SlotSet::All } else { layout_support(layout, ct) };
    Facts { period: period::of_layout(layout, ct), support, depth: 0, source }
}

impl Analysis<Node> for Context {
    type Data = Facts;

    fn make(graph: &mut Graph, node: &Node, _: Id) -> Facts {
        let context = &graph.analysis;
        let (n, source) = (context.n_slots, context.source);
        let of = |id: &Id| &graph[*id].data;
        let known = |id: &Id| Facts { source, ..of(id).clone() };
        match node {
            Node::Input { input, ct } => input_facts(&context.inputs[*input as usize], *ct, source),
            Node::Zero => Facts { period: 1, support: SlotSet::none(n), depth: 0, source },
            Node::Add(terms) => Facts {
                period: sum_period(graph, terms),
                support: terms.iter().fold(SlotSet::none(n), |sum, term| sum.union(&of(term).support)),
                depth: terms.iter().map(|term| of(term).depth).max().unwrap_or(0),
                source,
            },
            Node::Mul([a, b]) => Facts {
                period: of(a).period.max(of(b).period),
                support: of(a).support.intersection(&of(b).support),
                depth: of(a).depth.max(of(b).depth) + 1,
                source,
            },
            Node::Neg([a]) => known(a),
            Node::MulScalar(_, [a]) => Facts { depth: of(a).depth + 1, ..known(a) },
            Node::MulPlain(plain, [a]) => Facts {
                period: of(a).period.max(context.plain(*plain).period()),
                support: of(a).support.intersection(context.support(*plain)),
                depth: of(a).depth + 1,
                source,
            },
            Node::AddPlain(plain, [a]) => Facts {
                period: of(a).period.max(context.plain(*plain).period()),
                support: of(a).support.union(context.support(*plain)),
                ..known(a)
            },
            Node::Rotate(step, [a]) => Facts { support: of(a).support.turned(*step), ..known(a) },
        }
    }

    /// Each side bounds the same value: the tighter bounds hold.
    fn merge(&mut self, a: &mut Facts, b: Facts) -> DidMerge {
        let merged = Facts {
            period: a.period.min(b.period),
            support: a.support.intersection(&b.support),
            depth: a.depth.min(b.depth),
            source: a.source.min(b.source),
        };
        let did = DidMerge(merged != *a, merged != b);
        *a = merged;
        did
    }
}

/// The period of a sum: that by which its terms permute, or the largest of theirs.
fn sum_period(graph: &Graph, terms: &[Id]) -> usize {
    let period_of = |id: Id| graph[id].data.period;
    let largest = terms.iter().map(|term| period_of(*term)).max().unwrap_or(1);
    let turned = terms.iter().map(|term| unturned(graph, *term));
    period::of_sum(turned, period_of, graph.analysis.n_slots).map_or(largest, |closed| closed.min(largest))
}

/// A class as a rotation of another one.
pub(super) fn unturned(graph: &Graph, id: Id) -> (Id, usize) {
    let rotations = graph[id].nodes.iter().filter_map(|node| match node {
        Node::Rotate(step, [base]) => Some((graph.find(*base), *step)),
        _ => None,
    });
    rotations.min().unwrap_or((graph.find(id), 0))
}

/// The e-graph of a circuit.
pub(super) type Graph = EGraph<Node, Context>;

/// The e-graph of an abstract circuit, and the class of each of its values.
pub(super) fn of_circuit(circuit: &Circuit) -> (Graph, Vec<Id>) {
    fill(circuit, Graph::new(context_of(circuit)))
}

/// As [`of_circuit`], of an e-graph that remembers why things are equal.
pub(super) fn explained(circuit: &Circuit) -> (Graph, Vec<Id>) {
    fill(circuit, Graph::new(context_of(circuit)).with_explanations_enabled())
}

/// Times that a constant may grow beyond the circuit's largest.
const MAX_GROWTH: f64 = 65536.0;

/// The largest magnitude among a circuit's constants, at least 1.
fn largest_constant(circuit: &Circuit) -> f64 {
    let scalar = |op: &Op| if let Op::MulScalar(_, scalar) = op { Some(*scalar) } else { None };
    let scalars = circuit.nodes.iter().filter_map(|node| scalar(&node.op));
    let in_plains = circuit.consts.iter().flat_map(|plain| plain.values().into_owned());
    scalars.chain(in_plains).fold(1.0, |largest, x| largest.max(x.abs()))
}

fn context_of(circuit: &Circuit) -> Context {
    Context {
        n_slots: circuit.n_slots,
        inputs: circuit.inputs.iter().map(|input| input.layout.clone()).collect(),
        plains: Vec::new(),
        supports: Vec::new(),
        by_bits: HashMap::new(),
        flattened: HashSet::new(),
        n_flat_terms: 0,
        max_constant: (MAX_GROWTH * largest_constant(circuit)).min(f64::MAX),
        source: Source::new(0),
    }
}

fn fill(circuit: &Circuit, mut graph: Graph) -> (Graph, Vec<Id>) {
    let mut classes: Vec<Id> = Vec::with_capacity(circuit.nodes.len());
    for node in &circuit.nodes {
        graph.analysis.source = node.source;
        let class = |value: &Value| classes[value.index()];
        let made = match &node.op {
            Op::Input { input, ct } => Node::Input { input: *input, ct: *ct },
            Op::Zero => Node::Zero,
            Op::Add(terms) => sum(terms.iter().map(class).collect()),
            Op::Sub(a, b) => {
                let (a, b) = (class(a), class(b));
                let negated = graph.add(Node::Neg([b]));
                sum(vec![a, negated])
            }
            Op::Neg(a) => Node::Neg([class(a)]),
            Op::Mul(a, b) => product(class(a), class(b)),
            Op::MulScalar(a, scalar) => Node::MulScalar(Scalar::of(*scalar), [class(a)]),
            Op::Rotate(a, step) => Node::Rotate(step.get(), [class(a)]),
            Op::MulPlain(a, constant) => {
                let a = class(a);
                Node::MulPlain(graph.analysis.intern(circuit.plain(*constant).clone()), [a])
            }
            Op::AddPlain(a, constant) => {
                let a = class(a);
                Node::AddPlain(graph.analysis.intern(circuit.plain(*constant).clone()), [a])
            }
            Op::Rescale(_) | Op::Relin(_) | Op::DropLevel(..) => {
                unreachable!("abstract circuits have no levels")
            }
        };
        classes.push(graph.add_uncanonical(made));
    }
    graph.rebuild();
    (graph, classes)
}

/// A sum with its terms in order.
pub(super) fn sum(mut terms: Vec<Id>) -> Node {
    terms.sort_unstable();
    Node::Add(terms)
}

/// A product with its operands in order.
pub(super) fn product(a: Id, b: Id) -> Node {
    Node::Mul([a.min(b), a.max(b)])
}
