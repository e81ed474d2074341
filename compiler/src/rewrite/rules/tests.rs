//! Every rule fires on an example, and nothing that rules call equal differs.

#![allow(clippy::unwrap_used)]

use super::RULES;
use crate::rewrite::BOUNDS;
use crate::rewrite::graph::{Graph, Node, of_circuit};
use crate::rewrite::saturate::saturate;
use egg::{Id, Language};
use hecc_ir::circuit::{Builder, Circuit, Input, Op, Output, Plain, Stage, Value};
use hecc_ir::layout::Layout;
use hecc_ir::{Shape, testing};
use proptest::prelude::*;
use std::collections::BTreeMap;

const N_SLOTS: usize = 8;

/// A value on which the rule of this name fires.
fn example(rule: &str, b: &mut Builder, x: Value) -> Value {
    let masked = |b: &mut Builder, x: Value, slot: usize| {
        let mut mask = vec![0.0; N_SLOTS];
        mask[slot] = 1.5;
        b.mul_plain(x, Plain::new(mask))
    };
    let plain = |values: &[f64]| Plain::new(values.to_vec());
    let fold = |b: &mut Builder, x: Value, step: i64| {
        let turned = b.rotate(x, step);
        b.sum(vec![x, turned])
    };
    match rule {
        "zero-by-support" => {
            let first = masked(b, x, 0);
            masked(b, first, 1)
        }
        "merge-rotations" => {
            let (turned, zero) = (b.rotate(x, 3), masked(b, x, 2));
            let zero = masked(b, zero, 3);
            let same = b.push_unfolded(Op::Add(vec![turned, zero]));
            b.push_unfolded(Op::Rotate(same, hecc_ir::scale::Step::new(1, N_SLOTS)))
        }
        "rotate-by-period" => {
            let periodic = fold(b, x, 4);
            b.rotate(periodic, 5)
        }
        "flatten-sums" => {
            let (folded, negated) = (fold(b, x, 1), b.push(Op::Neg(x)));
            b.sum(vec![folded, negated])
        }
        "order-operands" => {
            let doubled = b.push(Op::MulScalar(x, 2.0));
            let (late, early) = (b.push(Op::MulScalar(doubled, 3.0)), b.rotate(x, 1));
            let first = b.sum(vec![late, early]);
            let same = b.push(Op::MulScalar(x, 6.0));
            let second = b.sum(vec![early, same]);
            b.push(Op::Mul(first, second))
        }
        "widen-fold" => {
            let folded = fold(b, x, 1);
            fold(b, folded, 2)
        }
        "merge-products" => {
            let product = b.mul_plain(x, plain(&[1.0, 2.0, 3.0, 4.0]));
            b.push(Op::MulScalar(product, 0.5))
        }
        "add-products" => {
            let products = [[1.0, 2.0], [3.0, 5.0]].map(|c| b.mul_plain(x, plain(&c)));
            b.sum(products.to_vec())
        }
        "factor-plaintext" => {
            let turned = b.rotate(x, 1);
            let products = [x, turned].map(|y| b.mul_plain(y, plain(&[1.0, 2.0])));
            b.sum(products.to_vec())
        }
        "restrict-plaintext" => {
            let sparse = b.mul_plain(x, plain(&[1.0, 1.0, 0.0, 0.0]));
            let turned = b.rotate(sparse, 1);
            b.mul_plain(turned, plain(&[2.0, 3.0, 4.0, 5.0]))
        }
        "pull-scalar" => {
            let scaled = b.push(Op::MulScalar(x, 2.5));
            let turned = b.rotate(scaled, 1);
            b.push(Op::Mul(scaled, turned))
        }
        "merge-constants" => {
            let shifted = b.add_plain(x, plain(&[1.0, 2.0]));
            b.add_plain(shifted, plain(&[3.0]))
        }
        "add-constants-last" => {
            let shifted = b.add_plain(x, plain(&[1.0, 2.0]));
            let turned = b.rotate(x, 1);
            b.sum(vec![shifted, turned])
        }
        "drop-zero-terms" => {
            let first = masked(b, x, 0);
            let zero = masked(b, first, 1);
            b.sum(vec![x, zero])
        }
        "cancel-terms" => {
            let (negated, turned) = (b.push(Op::Neg(x)), b.rotate(x, 1));
            b.sum(vec![x, negated, turned])
        }
        "double-by-adding" => {
            let (eight, minus) = (b.push(Op::MulScalar(x, 8.0)), b.push(Op::MulScalar(x, -4.0)));
            b.push(Op::Mul(eight, minus))
        }
        "move-negation" => {
            let product = b.mul_plain(x, plain(&[1.0, 2.0]));
            b.push(Op::Neg(product))
        }
        _ => panic!("`{rule}` has no example"),
    }
}

fn example_circuit(rule: &str) -> Circuit {
    let mut builder = Builder::new(rule, N_SLOTS);
    let layout = Layout::contiguous(Shape(vec![N_SLOTS]), N_SLOTS);
    let declared = Input { name: "x".into(), layout: layout.clone(), range: (-1.0, 1.0) };
    let input = builder.declare_input(declared);
    let x = builder.push(Op::Input { input, ct: 0 });
    let y = example(rule, &mut builder, x);
    builder.output(Output { name: "y".into(), layout, values: vec![y] });
    builder.finish()
}

/// Slots, and beside each the size that its rounding errors are measured by: the sum it would
/// be if no terms cancelled.
#[derive(Clone, Debug)]
struct Rounded {
    slots: Vec<f64>,
    size: Vec<f64>,
}

impl Rounded {
    /// A fixed share of the size, far above what a few hundred roundings add up to; at least that
    /// of one, the size of contents, for constants that rules add up are rounded too.
    fn tolerance(&self, slot: usize) -> f64 {
        1e-9 * self.size[slot].max(1.0)
    }

    fn is_close_to(&self, slot: usize, other: &Rounded, other_slot: usize) -> bool {
        let tolerance = self.tolerance(slot) + other.tolerance(other_slot);
        (self.slots[slot] - other.slots[other_slot]).abs() <= tolerance
    }
}

/// What one node computes, once its operands are known.
fn rounded(
    graph: &Graph,
    node: &Node,
    known: &BTreeMap<Id, Rounded>,
    inputs: &[Vec<Vec<f64>>],
) -> Option<Rounded> {
    let n = graph.analysis.n_slots;
    let operands: Option<Vec<&Rounded>> =
        node.children().iter().map(|id| known.get(&graph.find(*id))).collect();
    let operands = operands?;
    let slot = |i: usize| {
        let (x, size) = operands.first().map_or((0.0, 0.0), |x| (x.slots[i], x.size[i]));
        match node {
            Node::Input { input, ct } => {
                let element = inputs[*input as usize][*ct as usize][i];
                (element, element.abs())
            }
            Node::Zero => (0.0, 0.0),
            Node::Add(_) => {
                let sum = |part: fn(&Rounded) -> &[f64]| operands.iter().map(|x| part(x)[i]).sum();
                (sum(|x| &x.slots), sum(|x| &x.size))
            }
            Node::Mul(_) => (x * operands[1].slots[i], size * operands[1].size[i]),
            Node::Neg(_) => (-x, size),
            Node::MulScalar(scalar, _) => (x * scalar.get(), size * scalar.get().abs()),
            Node::MulPlain(plain, _) => {
                let factor = graph.analysis.plain(*plain).at(i);
                (x * factor, size * factor.abs())
            }
            Node::AddPlain(plain, _) => {
                let added = graph.analysis.plain(*plain).at(i);
                (x + added, size + added.abs())
            }
            Node::Rotate(step, _) => {
                let from = (i + step) % n;
                (operands[0].slots[from], operands[0].size[from])
            }
        }
    };
    let (slots, size) = (0..n).map(slot).unzip();
    Some(Rounded { slots, size })
}

/// What every class of a graph computes, by the first of its nodes whose operands are known.
fn known_classes(graph: &Graph, inputs: &[Vec<Vec<f64>>]) -> BTreeMap<Id, Rounded> {
    let mut known: BTreeMap<Id, Rounded> = BTreeMap::new();
    while known.len() < graph.number_of_classes() {
        let before = known.len();
        for class in graph.classes() {
            if !known.contains_key(&class.id) {
                let found = class.nodes.iter().find_map(|node| rounded(graph, node, &known, inputs));
                found.into_iter().for_each(|found| drop(known.insert(class.id, found)));
            }
        }
        assert!(known.len() > before, "every class can be computed");
    }
    known
}

/// Panics unless every node of every class has the same slots, and the facts of the
/// class hold for them.
fn assert_true(graph: &Graph, circuit: &Circuit) {
    let tensors = testing::inputs_for(circuit, 7);
    let inputs: Vec<Vec<Vec<f64>>> =
        circuit.inputs.iter().zip(&tensors).map(|(input, tensor)| input.layout.pack(tensor)).collect();
    let known = known_classes(graph, &inputs);
    for class in graph.classes() {
        let expected = &known[&class.id];
        for node in &class.nodes {
            let found = rounded(graph, node, &known, &inputs).unwrap();
            for slot in 0..expected.slots.len() {
                assert!(
                    expected.is_close_to(slot, &found, slot),
                    "{:e} of {:e}, not {:e} of {:e}: {node:?} in {:?}",
                    found.slots[slot],
                    found.size[slot],
                    expected.slots[slot],
                    expected.size[slot],
                    class.nodes,
                );
            }
        }
        let facts = &class.data;
        for (slot, value) in expected.slots.iter().enumerate() {
            let is_supported = facts.support.contains(slot) || value.abs() <= expected.tolerance(slot);
            assert!(is_supported, "{value:e} outside the support of {:?}", class.nodes);
            let later = (slot + facts.period) % expected.slots.len();
            assert!(expected.is_close_to(slot, expected, later), "period of {:?}", class.nodes);
        }
    }
}

#[test]
fn every_rule_fires_on_its_example_and_is_true() {
    for rule in RULES {
        let circuit = example_circuit(rule.name);
        let (mut graph, _) = of_circuit(&circuit);
        let saturation = saturate(&mut graph, BOUNDS, &[]);
        let fired: Vec<&str> = saturation.fired.iter().map(|fired| fired.rule).collect();
        assert!(fired.contains(&rule.name), "`{}` did not fire, but {fired:?}", rule.name);
        assert!(!saturation.is_bounded, "`{}`: {saturation:?}", rule.name);
        assert_true(&graph, &circuit);
    }
}

#[test]
fn bounds_are_kept_and_told() {
    let circuit = example_circuit("widen-fold");
    let (mut graph, _) = of_circuit(&circuit);
    let bounds = crate::rewrite::saturate::Bounds { rounds: 1, ..BOUNDS };
    let saturation = saturate(&mut graph, bounds, &[]);
    assert!(saturation.is_bounded && saturation.rounds == 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_rules_call_equal_is_equal(circuit in testing::circuits(Stage::Abstract)) {
        let (mut graph, _) = of_circuit(&circuit);
        saturate(&mut graph, BOUNDS, &[]);
        assert_true(&graph, &circuit);
    }
}
