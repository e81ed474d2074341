//! Greedy selection: a class costs what it and all that it needs cost, each counted
//! once. The set of needed classes is carried along, which takes memory in the square
//! of their number.

use super::prices::Prices;
use super::{Choice, decomposed};
use crate::rewrite::graph::{Graph, Node};
use egg::{Id, Language};
use fixedbitset::FixedBitSet;
use std::collections::{BTreeMap, BTreeSet};

/// Times that a class may find a cheaper way, at most.
const MAX_VISITS: u32 = 16;

/// The node of each class that has a way to be computed.
pub(super) fn choose(graph: &Graph, prices: &Prices<'_>) -> Choice {
    Selection::new(graph, prices).run()
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
    prices: &'a Prices<'a>,
    /// Position of each class; its decomposition comes as many positions later.
    position: BTreeMap<Id, usize>,
    /// Price of each position alone, a class by its present way.
    paid: Vec<u64>,
    ways: Vec<Option<Way>>,
}

impl<'a> Selection<'a> {
    fn new(graph: &'a Graph, prices: &'a Prices<'a>) -> Selection<'a> {
        let position: BTreeMap<Id, usize> =
            graph.classes().enumerate().map(|(position, class)| (class.id, position)).collect();
        let n = position.len();
        let decompositions = graph.classes().map(|class| prices.decomposition(class.id));
        let paid = std::iter::repeat_n(0, n).chain(decompositions).collect();
        Selection { graph, prices, position, paid, ways: vec![None; n] }
    }

    /// Finds ways until none gets cheaper.
    fn run(mut self) -> Choice {
        let mut open: BTreeSet<Id> = self.position.keys().copied().collect();
        let mut visits = vec![0u32; self.ways.len()];
        while let Some(class) = open.pop_first() {
            let at = self.position[&class];
            if visits[at] < MAX_VISITS && self.improve(class) {
                visits[at] += 1;
                open.extend(self.graph[class].parents().map(|parent| self.graph.find(parent)));
            }
        }
        let ways = &mut self.ways;
        self.position.iter().filter_map(|(class, &at)| Some((*class, ways[at].take()?.node))).collect()
    }

    /// Looks for a cheaper way to compute a class.
    fn improve(&mut self, class: Id) -> bool {
        let at = self.position[&class];
        let mut is_better = false;
        for node in &self.graph[class].nodes {
            let own = self.prices.own(class, node);
            let Some(way) = self.way(at, node, own) else { continue };
            let known = self.ways[at].as_ref();
            if known.is_none_or(|known| (way.price, &way.node) < (known.price, &known.node)) {
                is_better |= known.is_none_or(|known| way.price < known.price);
                self.paid[at] = own;
                self.ways[at] = Some(way);
            }
        }
        is_better
    }

    /// The way through one node; none while an operand has none, or needs the class.
    fn way(&self, at: usize, node: &Node, own: u64) -> Option<Way> {
        let n = self.ways.len();
        let mut needs = FixedBitSet::with_capacity(2 * n);
        for operand in node.children() {
            let operand = self.position[&self.graph.find(*operand)];
            needs.union_with(&self.ways[operand].as_ref()?.needs);
        }
        if needs.contains(at) {
            return None;
        }
        if let Some(operand) = decomposed(self.graph, node) {
            needs.insert(n + self.position[&operand]);
        }
        let price = own + needs.ones().map(|need| self.paid[need]).sum::<u64>();
        needs.insert(at);
        Some(Way { node: node.clone(), price, needs })
    }
}
