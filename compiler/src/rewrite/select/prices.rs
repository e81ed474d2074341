//! What one node of a class costs, by the level that the class will have.

use crate::cost::Nominal;
use crate::rewrite::graph::{Graph, Node};
use egg::Id;
use hecc_ir::scale::Level;
use hecc_ir::target::Basis;

/// Prices of an e-graph's nodes, picoseconds: sums of integers do not depend on
/// their order.
pub(super) struct Prices<'a> {
    graph: &'a Graph,
    nominal: &'a Nominal,
    /// Products on the longest way to an output.
    depth: usize,
}

impl<'a> Prices<'a> {
    pub fn new(graph: &'a Graph, nominal: &'a Nominal, outputs: &[Id]) -> Prices<'a> {
        let depth = outputs.iter().map(|id| graph[*id].data.depth).max().unwrap_or(0);
        Prices { graph, nominal, depth }
    }

    /// Level of a class, from the products that may still come.
    fn level(&self, class: Id) -> Level {
        self.nominal.level(self.depth.saturating_sub(self.graph[class].data.depth))
    }

    /// A node of a class alone. Nothing is free, so that less is always cheaper. What
    /// takes a level that the class can do without pays for a rescale of its own.
    pub fn own(&self, class: Id, node: &Node) -> u64 {
        let (ops, level) = (self.nominal.ops(), self.level(class));
        let above = Level(level.0 + 1);
        let depth_of = |id: &Id| self.graph[*id].data.depth;
        let wastes_level = match node {
            Node::MulScalar(_, operands) | Node::MulPlain(_, operands) => {
                depth_of(&operands[0]) + 1 > depth_of(&class)
            }
            _ => false,
        };
        let waste = if wastes_level { ops.rescale(level, Basis::Reduced) } else { 0.0 };
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
        pico(ns + waste).max(1)
    }

    /// What the rotations of a class share.
    pub fn decomposition(&self, class: Id) -> u64 {
        let (ops, level) = (self.nominal.ops(), self.level(class));
        pico(ops.decompose(level) + ops.divide(level))
    }
}

fn pico(ns: f64) -> u64 {
    (ns * 1e3).round() as u64
}
