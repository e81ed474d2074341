//! Picks one node of every class, so that the whole costs little.
//!
//! A greedy choice comes first; then small regions are chosen exactly, as integer
//! programs that start from it. What is shared counts once: a class, and the
//! decomposition that the rotations of a class share.

mod exact;
mod greedy;
mod prices;

use super::graph::{Graph, Node};
use crate::cost::Nominal;
use egg::{Id, Language};
use hecc_ir::circuit::{Builder, Circuit, Op, Output, Value};
use hecc_ir::scale::Step;
use prices::Prices;
use std::collections::{BTreeMap, BTreeSet};

/// The node chosen for each class.
pub(super) type Choice = BTreeMap<Id, Node>;

/// Classes to choose from, at most.
const MAX_CLASSES: usize = 1 << 16;

/// The circuit of the cheapest choice. `like` is the circuit of the graph, and
/// `classes` are those of its values. Nothing when there are too many classes.
pub(super) fn select(graph: &Graph, like: &Circuit, classes: &[Id], nominal: &Nominal) -> Option<Circuit> {
    let (chosen, order) = choice(graph, like, classes, nominal)?;
    let mut writer =
        Writer { graph, chosen: &chosen, builder: Builder::like_header(like), values: BTreeMap::new() };
    order.into_iter().for_each(|class| writer.emit(class));
    for output in &like.outputs {
        let values = output.values.iter().map(|value| writer.value(classes[value.index()])).collect();
        writer.builder.output(Output { values, ..output.clone() });
    }
    Some(writer.builder.finish())
}

/// The node chosen for each class that has a way, and the classes that are needed,
/// operands first. Nothing when there are too many classes, or when the choice goes in
/// a circle, which prices make unlikely.
pub(super) fn choice(
    graph: &Graph,
    like: &Circuit,
    classes: &[Id],
    nominal: &Nominal,
) -> Option<(Choice, Vec<Id>)> {
    if graph.number_of_classes() > MAX_CLASSES {
        return None;
    }
    let outputs: Vec<Id> =
        like.outputs.iter().flat_map(|output| &output.values).map(|value| classes[value.index()]).collect();
    // Inputs stay, read or not, and in their order.
    let inputs = like.values().zip(classes).filter(|(v, _)| matches!(like.node(*v).op, Op::Input { .. }));
    let roots = inputs.map(|(_, class)| class).chain(&outputs).map(|id| graph.find(*id)).collect::<Vec<Id>>();
    let prices = Prices::new(graph, nominal, &outputs);
    let mut chosen = greedy::choose(graph, &prices);
    ordered(graph, &chosen, &roots).ok()?;
    exact::improve(graph, &prices, &roots, &mut chosen);
    let order = ordered(graph, &chosen, &roots).ok()?;
    Some((chosen, order))
}

/// Classes below the roots, operands first, or those that need each other in a
/// circle; just one class if it has no node or needs itself.
fn ordered(graph: &Graph, chosen: &Choice, roots: &[Id]) -> Result<Vec<Id>, Vec<Id>> {
    let (mut entered, mut left, mut order) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut open: Vec<Id> = roots.iter().rev().copied().collect();
    let mut path: Vec<Id> = Vec::new();
    while let Some(&class) = open.last() {
        if left.contains(&class) {
            open.pop();
        } else if path.last() == Some(&class) {
            left.insert(class);
            order.push(class);
            path.pop();
            open.pop();
        } else if entered.insert(class) {
            path.push(class);
            let Some(node) = chosen.get(&class) else { return Err(vec![class]) };
            let operands = operands(graph, node);
            if operands.contains(&class) {
                return Err(vec![class]);
            }
            open.extend(operands.into_iter().rev());
        } else {
            let start = path.iter().position(|on_path| *on_path == class);
            return Err(path.split_off(start.expect("what is entered and not left is on the path")));
        }
    }
    Ok(order)
}

/// Classes that a node reads.
fn operands(graph: &Graph, node: &Node) -> Vec<Id> {
    node.children().iter().map(|id| graph.find(*id)).collect()
}

/// The class whose decomposition a node uses.
fn decomposed(graph: &Graph, node: &Node) -> Option<Id> {
    match node {
        Node::Rotate(_, [operand]) => Some(graph.find(*operand)),
        _ => None,
    }
}

struct Writer<'a> {
    graph: &'a Graph,
    chosen: &'a Choice,
    builder: Builder,
    values: BTreeMap<Id, Value>,
}

impl Writer<'_> {
    fn value(&self, class: Id) -> Value {
        self.values[&self.graph.find(class)]
    }

    /// Writes a class whose operands are written.
    fn emit(&mut self, class: Id) {
        let node = &self.chosen[&class];
        let operands: Vec<Value> = node.children().iter().map(|id| self.value(*id)).collect();
        let (context, builder) = (&self.graph.analysis, &mut self.builder);
        builder.set_source_handle(self.graph[class].data.source);
        let value = match (node, &operands[..]) {
            (Node::Input { input, ct }, _) => builder.push(Op::Input { input: *input, ct: *ct }),
            (Node::Add(_), _) => builder.sum(operands),
            (Node::Mul(_), &[a, b]) => builder.push(Op::Mul(a, b)),
            (Node::Neg(_), &[a]) => builder.push(Op::Neg(a)),
            (Node::MulScalar(scalar, _), &[a]) => builder.push(Op::MulScalar(a, scalar.get())),
            (Node::MulPlain(plain, _), &[a]) => builder.mul_plain(a, context.plain(*plain).clone()),
            (Node::AddPlain(plain, _), &[a]) => builder.add_plain(a, context.plain(*plain).clone()),
            (Node::Rotate(step, _), &[a]) => {
                builder.push(Op::Rotate(a, Step::new(*step as i64, context.n_slots)))
            }
            (Node::Zero, _) => builder.push(Op::Zero),
            _ => unreachable!("every op has as many operands as its kind"),
        };
        self.values.insert(class, value);
    }
}

#[cfg(test)]
mod tests;
