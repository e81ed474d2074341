//! Exact selection against all choices there are.

#![allow(clippy::unwrap_used)]

use super::prices::Prices;
use super::{Choice, decomposed, exact, greedy, ordered};
use crate::cost::{Nominal, default_target};
use crate::rewrite::graph::{Graph, Node, Scalar, of_circuit, sum};
use egg::Id;
use hecc_ir::Shape;
use hecc_ir::circuit::{Builder, Circuit, Input, Op, Output};
use hecc_ir::layout::Layout;
use proptest::prelude::*;
use std::collections::BTreeSet;

const N_SLOTS: usize = 8;

fn nominal() -> Nominal {
    Nominal::new(default_target().ring(4096).unwrap(), 4)
}

/// An e-graph that holds one input.
fn graph() -> (Graph, Id) {
    let mut builder = Builder::new("x", N_SLOTS);
    let layout = Layout::contiguous(Shape(vec![N_SLOTS]), N_SLOTS);
    let input = builder.declare_input(Input { name: "x".into(), layout: layout.clone(), range: (-1.0, 1.0) });
    let x = builder.push(Op::Input { input, ct: 0 });
    builder.output(Output { name: "y".into(), layout, values: vec![x] });
    let circuit: Circuit = builder.finish();
    let (graph, classes) = of_circuit(&circuit);
    (graph, classes[0])
}

/// What a choice costs; nothing when it goes in a circle.
fn total(graph: &Graph, prices: &Prices<'_>, roots: &[Id], chosen: &Choice) -> Option<u64> {
    let needed = ordered(graph, chosen, roots).ok()?;
    let own: u64 = needed.iter().map(|class| prices.own(*class, &chosen[class])).sum();
    let decomposed: BTreeSet<Id> =
        needed.iter().filter_map(|class| decomposed(graph, &chosen[class])).collect();
    Some(own + decomposed.iter().map(|class| prices.decomposition(*class)).sum::<u64>())
}

/// The least that any choice costs.
fn least(graph: &Graph, prices: &Prices<'_>, roots: &[Id]) -> Option<u64> {
    let classes: Vec<(Id, &[Node])> = graph.classes().map(|class| (class.id, &class.nodes[..])).collect();
    let n_choices: usize = classes.iter().map(|(_, nodes)| nodes.len()).product();
    let choice = |mut rest: usize| -> Choice {
        let pick = |&(class, nodes): &(Id, &[Node])| {
            let node = nodes[rest % nodes.len()].clone();
            rest /= nodes.len();
            (class, node)
        };
        classes.iter().map(pick).collect()
    };
    (0..n_choices).filter_map(|index| total(graph, prices, roots, &choice(index))).min()
}

/// Prices after greedy selection and after the exact one.
fn selected(graph: &Graph, roots: &[Id]) -> (u64, u64) {
    let nominal = nominal();
    let prices = Prices::new(graph, &nominal, roots);
    let mut chosen = greedy::choose(graph, &prices);
    let greedy = total(graph, &prices, roots, &chosen).unwrap();
    exact::improve(graph, &prices, roots, &mut chosen);
    (greedy, total(graph, &prices, roots, &chosen).unwrap())
}

#[test]
fn what_two_values_could_share_is_found() {
    let (mut graph, x) = graph();
    // Each of two values is 5 additions of its own, or 7 that both could share.
    let mut terms: Vec<Id> = vec![x];
    for factor in 2..18 {
        terms.push(graph.add(Node::MulScalar(Scalar::of(f64::from(factor)), [x])));
    }
    let shared = graph.add(sum(terms[0..8].to_vec()));
    let roots: Vec<Id> = [8..14, 11..17]
        .into_iter()
        .enumerate()
        .map(|(i, own)| {
            let own = graph.add(sum(terms[own].to_vec()));
            let own = graph.add(Node::Neg([own]));
            let other = graph.add(sum(vec![shared, terms[i]]));
            graph.union(own, other);
            own
        })
        .collect();
    graph.rebuild();
    // All factors are needed anyway.
    let roots: Vec<Id> = roots.into_iter().chain(terms).map(|id| graph.find(id)).collect();
    let nominal = nominal();
    let (greedy, exact) = selected(&graph, &roots);
    let prices = Prices::new(&graph, &nominal, &roots);
    assert!(exact < greedy);
    assert_eq!(Some(exact), least(&graph, &prices, &roots));
}

/// How to make one more node: its kind, and which of the classes so far it reads.
type Recipe = (u8, usize, usize);

fn node(graph: &Graph, classes: &[Id], (kind, a, b): Recipe) -> Node {
    let [a, b] = [a, b].map(|index| graph.find(classes[index % classes.len()]));
    match kind % 5 {
        0 => Node::Rotate(1 + usize::from(kind) % 7, [a]),
        1 => Node::Neg([a]),
        2 => sum(vec![a, b, a, b]),
        3 => Node::MulScalar(Scalar::of(f64::from(kind)), [a]),
        _ => sum(vec![a, b]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Equalities here are arbitrary: selection asks what is cheap, not what is true.
    #[test]
    fn small_graphs_are_chosen_from_as_well_as_can_be(
        nodes in prop::collection::vec(any::<Recipe>(), 4..10),
        equal in prop::collection::vec(any::<(usize, Recipe)>(), 1..7),
    ) {
        let (mut graph, x) = graph();
        let mut classes = vec![x];
        for recipe in nodes {
            let made = node(&graph, &classes, recipe);
            classes.push(graph.add(made));
        }
        for (class, recipe) in equal {
            let made = node(&graph, &classes, recipe);
            let made = graph.add(made);
            graph.union(classes[1 + class % (classes.len() - 1)], made);
        }
        graph.rebuild();
        let roots: Vec<Id> = classes.iter().rev().take(2).map(|id| graph.find(*id)).collect();
        let (greedy, exact) = selected(&graph, &roots);
        let nominal = nominal();
        let least = least(&graph, &Prices::new(&graph, &nominal, &roots), &roots).unwrap();
        prop_assert!(exact <= greedy);
        prop_assert_eq!(exact, least);
    }
}
