//! Applies all rules until nothing new is found or a bound is reached.

use super::graph::{Graph, Node};
use super::rules::RULES;
use egg::Id;
use serde::Serialize;

/// Bounds on saturation. They count work, never time, so that every machine finds
/// the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub rounds: usize,
    /// Times that the number of nodes may grow by, beyond an allowance.
    pub growth: usize,
    pub allowance: usize,
}

/// What saturation did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Saturation {
    /// Nodes of the circuit.
    pub nodes_before: usize,
    /// Nodes at the end, each another way to compute something.
    pub nodes: usize,
    /// Classes of equal values.
    pub classes: usize,
    /// Rounds over all nodes.
    pub rounds: usize,
    /// True when a bound ended it.
    pub is_bounded: bool,
    /// Equalities that each rule found, for those that found any.
    pub fired: Vec<Fired>,
}

/// What one rule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fired {
    /// Its name.
    pub rule: &'static str,
    /// What it claims.
    pub equation: &'static str,
    /// New equalities.
    pub count: usize,
}

/// Saturates with all rules but those in `without`.
pub(super) fn saturate(graph: &mut Graph, bounds: Bounds, without: &[&str]) -> Saturation {
    let mut counts = vec![0; RULES.len()];
    let nodes_before = graph.total_number_of_nodes();
    let max_size = bounds.allowance + bounds.growth * nodes_before;
    let (mut rounds, mut is_done) = (0, false);
    while !is_done && rounds < bounds.rounds && graph.total_size() <= max_size {
        rounds += 1;
        is_done = !round(graph, max_size, without, &mut counts);
    }
    let fired = RULES.iter().zip(counts).filter(|(_, count)| *count > 0);
    Saturation {
        nodes_before,
        nodes: graph.total_number_of_nodes(),
        classes: graph.number_of_classes(),
        rounds,
        is_bounded: !is_done,
        fired: fired.map(|(rule, count)| Fired { rule: rule.name, equation: rule.equation, count }).collect(),
    }
}

/// One look at every node; true when anything new was found.
fn round(graph: &mut Graph, max_size: usize, without: &[&str], counts: &mut [usize]) -> bool {
    let found: Vec<(Id, Node)> =
        graph.classes().flat_map(|class| class.nodes.iter().map(|node| (class.id, node.clone()))).collect();
    let mut equal: Vec<(Id, Id, usize)> = Vec::new();
    for (class, node) in found {
        graph.analysis.source = graph[class].data.source;
        let is_zero = graph[class].data.support.is_empty();
        for (index, rule) in RULES.iter().enumerate().filter(|(_, rule)| !without.contains(&rule.name)) {
            // All that can be said of zero is that it is zero.
            if is_zero && index > 0 {
                break;
            }
            if let Some(other) = (rule.apply)(graph, class, &node) {
                equal.push((class, other, index));
            }
        }
        if graph.total_size() > max_size {
            break;
        }
    }
    let mut is_news = false;
    for (class, other, index) in equal {
        if graph.union_trusted(class, other, RULES[index].name) {
            counts[index] += 1;
            is_news = true;
        }
    }
    graph.rebuild();
    is_news
}
