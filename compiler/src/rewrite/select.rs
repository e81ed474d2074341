//! Picks one node of every class, so that the whole costs little.
//!
//! A class costs what it and all that it needs cost, each counted once: the set of
//! needed classes is carried along (greedy extraction of a DAG). The first
//! rotation of a value pays for its decomposition, which further ones share.

use super::graph::{Graph, Node};
use crate::cost::Nominal;
use egg::{Id, Language};
use fixedbitset::FixedBitSet;
use hecc_ir::circuit::{Builder, Circuit, Op, Output, Value};
use hecc_ir::scale::{Level, Step};
use hecc_ir::target::Basis;
use std::collections::{BTreeMap, BTreeSet};

/// The circuit of the cheapest choice. `like` is the circuit of the graph, and
/// `classes` are those of its values. Nothing when there are too many classes.
pub(super) fn select(graph: &Graph, like: &Circuit, classes: &[Id], nominal: &Nominal) -> Option<Circuit> {
    let chosen = choice(graph, like, classes, nominal)?;
    let mut writer =
        Writer { graph, chosen: &chosen, builder: Builder::like_header(like), values: BTreeMap::new() };
    inputs_first(&mut writer, like, classes);
    for output in &like.outputs {
        let values = output.values.iter().map(|value| writer.value(classes[value.index()])).collect();
        writer.builder.output(Output { values, ..output.clone() });
    }
    Some(writer.builder.finish())
}

/// The node chosen for each class that has a way. Nothing when there are too many
/// classes, or when the choice goes in a circle, which prices make unlikely.
pub(super) fn choice(
    graph: &Graph,
    like: &Circuit,
    classes: &[Id],
    nominal: &Nominal,
) -> Option<BTreeMap<Id, Node>> {
    if graph.number_of_classes() > MAX_CLASSES {
        return None;
    }
    let outputs: Vec<Id> =
        like.outputs.iter().flat_map(|output| &output.values).map(|value| classes[value.index()]).collect();
    let chosen = Selection::new(graph, nominal, &outputs).run();
    let inputs = like.values().zip(classes).filter(|(v, _)| matches!(like.node(*v).op, Op::Input { .. }));
    let roots = outputs.iter().copied().chain(inputs.map(|(_, class)| *class));
    roots_are_reached(graph, &chosen, roots).then_some(chosen)
}

/// Classes to choose from, at most: the sets of what each needs take memory in the
/// square of their number.
const MAX_CLASSES: usize = 1 << 16;

/// True when every class below the roots has a node, and none needs itself.
fn roots_are_reached(graph: &Graph, chosen: &BTreeMap<Id, Node>, roots: impl Iterator<Item = Id>) -> bool {
    let (mut entered, mut left) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<Id> = roots.map(|id| graph.find(id)).collect();
    while let Some(&class) = open.last() {
        let Some(node) = chosen.get(&class) else { return false };
        let is_new = entered.insert(class);
        let operands = node.children().iter().map(|id| graph.find(*id));
        let missing: Vec<Id> = operands.filter(|id| !left.contains(id)).collect();
        if missing.is_empty() {
            left.insert(class);
            open.pop();
        } else if !is_new || missing.iter().any(|id| entered.contains(id)) {
            return false;
        }
        open.extend(missing);
    }
    true
}

/// Inputs stay in their order, read or not.
fn inputs_first(writer: &mut Writer<'_>, like: &Circuit, classes: &[Id]) {
    for (value, class) in like.values().zip(classes) {
        if matches!(like.node(value).op, Op::Input { .. }) {
            writer.value(*class);
        }
    }
}

/// The cheapest way known to compute a class.
#[derive(Clone, Debug)]
struct Way {
    node: Node,
    price: u64,
    /// Classes that it needs with itself, and decompositions of classes.
    needs: FixedBitSet,
}

struct Selection<'a> {
    graph: &'a Graph,
    nominal: &'a Nominal,
    /// Products on the longest way to an output.
    depth: usize,
    /// Position of each class; its decomposition comes as many positions later.
    position: BTreeMap<Id, usize>,
    /// Of a class alone, by its present way, and of decompositions; by position.
    prices: Vec<u64>,
    ways: Vec<Option<Way>>,
}

impl<'a> Selection<'a> {
    fn new(graph: &'a Graph, nominal: &'a Nominal, outputs: &[Id]) -> Selection<'a> {
        let position: BTreeMap<Id, usize> =
            graph.classes().enumerate().map(|(position, class)| (class.id, position)).collect();
        let depth = outputs.iter().map(|id| graph[*id].data.depth).max().unwrap_or(0);
        let n = position.len();
        Selection { graph, nominal, depth, position, prices: vec![0; 2 * n], ways: vec![None; n] }
    }

    /// Level of a class, from the products that may still come.
    fn level(&self, class: Id) -> Level {
        self.nominal.level(self.depth.saturating_sub(self.graph[class].data.depth))
    }

    /// Finds ways until none gets cheaper, and returns the node of each class.
    fn run(mut self) -> BTreeMap<Id, Node> {
        let mut open: BTreeSet<Id> = self.position.keys().copied().collect();
        let mut visits = vec![0u32; self.ways.len()];
        while let Some(class) = open.pop_first() {
            let at = self.position[&class];
            if visits[at] < MAX_VISITS && self.improve(class) {
                visits[at] += 1;
                open.extend(self.graph[class].parents().map(|parent| self.graph.find(parent)));
            }
        }
        let chosen = self
            .position
            .iter()
            .filter_map(|(class, &at)| Some((*class, self.ways[at].as_ref()?.node.clone())));
        chosen.collect()
    }

    /// Looks for a cheaper way to compute a class.
    fn improve(&mut self, class: Id) -> bool {
        let at = self.position[&class];
        let mut is_better = false;
        for node in &self.graph[class].nodes {
            let Some(way) = self.way(class, node) else { continue };
            let known = self.ways[at].as_ref();
            if known.is_none_or(|known| (way.price, &way.node) < (known.price, &known.node)) {
                is_better |= known.is_none_or(|known| way.price < known.price);
                self.prices[at] = self.own_price(class, node);
                self.ways[at] = Some(way);
            }
        }
        is_better
    }

    /// The way through one node; none while an operand has none, or needs the class.
    fn way(&mut self, class: Id, node: &Node) -> Option<Way> {
        let (n, at) = (self.ways.len(), self.position[&class]);
        let mut needs = FixedBitSet::with_capacity(2 * n);
        for operand in node.children() {
            let operand = self.position[&self.graph.find(*operand)];
            needs.union_with(&self.ways[operand].as_ref()?.needs);
        }
        if needs.contains(at) {
            return None;
        }
        if let Node::Rotate(_, [operand]) = node {
            let operand = self.graph.find(*operand);
            let decomposition = n + self.position[&operand];
            let (ops, level) = (self.nominal.ops(), self.level(operand));
            self.prices[decomposition] = pico(ops.decompose(level) + ops.divide(level));
            needs.insert(decomposition);
        }
        let price = self.own_price(class, node) + needs.ones().map(|need| self.prices[need]).sum::<u64>();
        needs.insert(at);
        Some(Way { node: node.clone(), price, needs })
    }

    /// Price of a class alone. Nothing is free, so that less is always cheaper.
    fn own_price(&self, class: Id, node: &Node) -> u64 {
        let (ops, level) = (self.nominal.ops(), self.level(class));
        let above = Level(level.0 + 1);
        let ns = match node {
            Node::Input { .. } | Node::Zero => 0.0,
            Node::Add(terms) => (terms.len() - 1) as f64 * ops.add(level, Basis::Reduced),
            Node::Neg(_) | Node::AddPlain(..) => ops.add(level, Basis::Reduced),
            Node::Mul(_) => ops.square(above),
            Node::MulScalar(..) | Node::MulPlain(..) => {
                ops.mul_plain(above, Basis::Extended) + ops.gather(above, Basis::Extended)
            }
            Node::Rotate(..) => ops.apply_key(level),
        };
        pico(ns).max(1)
    }
}

/// Times that a class may find a cheaper way, at most.
const MAX_VISITS: u32 = 16;

fn pico(ns: f64) -> u64 {
    (ns * 1e3).round() as u64
}

struct Writer<'a> {
    graph: &'a Graph,
    chosen: &'a BTreeMap<Id, Node>,
    builder: Builder,
    values: BTreeMap<Id, Value>,
}

impl Writer<'_> {
    /// The value of a class; operands first, without recursion.
    fn value(&mut self, class: Id) -> Value {
        let mut open = vec![self.graph.find(class)];
        while let Some(&class) = open.last() {
            let node = &self.chosen[&class];
            let operands = node.children().iter().map(|id| self.graph.find(*id));
            let missing: Vec<Id> = operands.filter(|id| !self.values.contains_key(id)).collect();
            if missing.is_empty() {
                open.pop();
                let value = self.emit(class, node);
                self.values.insert(class, value);
            }
            open.extend(missing.into_iter().rev());
        }
        self.values[&self.graph.find(class)]
    }

    fn emit(&mut self, class: Id, node: &Node) -> Value {
        self.builder.set_source_handle(self.graph[class].data.source);
        let of = |id: &Id| self.values[&self.graph.find(*id)];
        let context = &self.graph.analysis;
        match node {
            Node::Input { input, ct } => self.builder.push(Op::Input { input: *input, ct: *ct }),
            Node::Zero => self.builder.push(Op::Zero),
            Node::Add(terms) => {
                let terms = terms.iter().map(of).collect();
                self.builder.sum(terms)
            }
            Node::Mul([a, b]) => {
                let op = Op::Mul(of(a), of(b));
                self.builder.push(op)
            }
            Node::Neg([a]) => {
                let op = Op::Neg(of(a));
                self.builder.push(op)
            }
            Node::MulScalar(scalar, [a]) => {
                let op = Op::MulScalar(of(a), scalar.get());
                self.builder.push(op)
            }
            Node::MulPlain(plain, [a]) => {
                let (a, plain) = (of(a), context.plain(*plain).clone());
                self.builder.mul_plain(a, plain)
            }
            Node::AddPlain(plain, [a]) => {
                let (a, plain) = (of(a), context.plain(*plain).clone());
                self.builder.add_plain(a, plain)
            }
            Node::Rotate(step, [a]) => {
                let op = Op::Rotate(of(a), Step::new(*step as i64, context.n_slots));
                self.builder.push(op)
            }
        }
    }
}
