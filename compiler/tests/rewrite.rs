//! Rewriting keeps what a circuit computes, and never makes it dearer.

#![allow(clippy::unwrap_used)]

use hecc::cost::{Nominal, default_target};
use hecc::rewrite::{Objective, footprint, rewrite};
use hecc::schedule::{Policy, assign_levels, place_rescales};
use hecc_ir::{
    Builder, Circuit, Input, Layout, Level, Op, Output, Plain, Shape, Stage, Value, eval, testing, verify,
};
use proptest::prelude::*;

/// Levels that no random circuit exceeds.
const DEPTH: usize = 8;

const OBJECTIVES: [Objective; 4] =
    [Objective::Latency, Objective::Throughput, Objective::Balanced, Objective::Memory];

fn nominal() -> Nominal {
    Nominal::new(&default_target().rings[0], DEPTH)
}

fn assert_same(before: &Circuit, after: &Circuit, seed: u64) {
    verify(after).unwrap();
    let tensors = testing::inputs_for(before, seed);
    let (expected, found) = (eval(before, &tensors), eval(after, &tensors));
    for (expected, found) in expected.iter().flatten().zip(found.iter().flatten()) {
        assert!((expected - found).abs() <= 1e-9 * (1.0 + expected.abs()), "{found} for {expected}");
    }
}

fn circuit_of(n_slots: usize, build: impl Fn(&mut Builder, Value) -> Vec<Value>) -> Circuit {
    let mut builder = Builder::new("by hand", n_slots);
    let layout = Layout::contiguous(Shape(vec![n_slots]), n_slots);
    let input = builder.declare_input(Input { name: "x".into(), layout, range: (-1.0, 1.0) });
    let x = builder.push(Op::Input { input, ct: 0 });
    let values = build(&mut builder, x);
    let layout = Layout::contiguous(Shape(vec![n_slots * values.len()]), n_slots);
    builder.output(Output { name: "y".into(), layout, values });
    builder.finish()
}

/// Two nodes may read one ciphertext: it still has one layout.
#[test]
fn an_input_read_by_two_nodes_is_turned_once() {
    let mut circuit = circuit_of(8, |b, x| {
        let turned = b.rotate(x, 1);
        vec![b.push(Op::Mul(x, turned))]
    });
    let again = circuit.nodes[0].clone();
    circuit.nodes.insert(1, again);
    for node in &mut circuit.nodes[2..] {
        node.op = node.op.map_operands(|v| if v.index() == 0 { v } else { Value::new(v.index() + 1) });
    }
    circuit.nodes[2].op = circuit.nodes[2].op.map_operands(|_| Value::new(1));
    circuit.outputs[0].values[0] = Value::new(3);
    verify(&circuit).unwrap();
    assert_same(&circuit, &rewrite(&circuit, &nominal(), Objective::Latency).circuit, 5);
}

/// Terms that become equal to later ones are chosen before the sums that read them.
#[test]
fn wide_sums_of_merged_products_are_chosen() {
    let powers = |seed: usize| Plain::new((0..32).map(|i| f64::from(1u32 << ((i * 7 + seed) % 5))).collect());
    let circuit = circuit_of(32, |b, x| {
        let rotated: Vec<Value> = (0..20).map(|i| b.rotate(x, i)).collect();
        let both = |b: &mut Builder, r: Value, i: usize| {
            let first = b.mul_plain(r, powers(i));
            b.mul_plain(first, powers(i + 1))
        };
        let twice: Vec<Value> = rotated.iter().enumerate().map(|(i, &r)| both(b, r, i)).collect();
        let product = |i: usize| Plain::new((0..32).map(|k| powers(i).at(k) * powers(i + 1).at(k)).collect());
        let squares = rotated.iter().enumerate().map(|(i, &r)| {
            let once = b.mul_plain(r, product(i));
            b.push(Op::Mul(once, once))
        });
        let squares: Vec<Value> = squares.collect();
        vec![b.sum(twice), b.sum(squares)]
    });
    assert_same(&circuit, &rewrite(&circuit, &nominal(), Objective::Balanced).circuit, 5);
}

/// Levels that a circuit takes once its rescales are placed.
fn depth(circuit: &Circuit) -> u32 {
    assign_levels(&place_rescales(circuit, Policy::Late), Level(0)).depth()
}

/// Doublings save the level of the scalar.
#[test]
fn factors_of_two_need_no_level() {
    let circuit = circuit_of(8, |b, x| {
        let (square, turned) = (b.push(Op::Mul(x, x)), b.rotate(x, 1));
        let scaled = b.push(Op::MulScalar(square, 8.0));
        let sum = b.sum(vec![scaled, turned]);
        vec![b.push(Op::Mul(sum, sum))]
    });
    let rewritten = rewrite(&circuit, &nominal(), Objective::Latency).circuit;
    assert_same(&circuit, &rewritten, 5);
    assert_eq!((depth(&circuit), depth(&rewritten)), (2, 1));
}

/// Constants that merge to what is not finite stay apart.
#[test]
fn extreme_constants_are_left_alone() {
    let circuit = circuit_of(8, |b, x| {
        let large = b.push(Op::MulScalar(x, 1e200));
        let larger = b.push(Op::MulScalar(large, 1e200));
        let tiny = b.push(Op::MulScalar(x, 1e-310));
        vec![larger, b.add_plain(tiny, Plain::new(vec![1.0, 2.0]))]
    });
    verify(&rewrite(&circuit, &nominal(), Objective::Latency).circuit).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn meaning_stays_and_price_does_not_rise(circuit in testing::circuits(Stage::Abstract), seed: u64) {
        let nominal = nominal();
        let before = footprint(&circuit, &nominal);
        for objective in OBJECTIVES {
            let rewritten = rewrite(&circuit, &nominal, objective);
            assert_same(&circuit, &rewritten.circuit, seed);
            let after = footprint(&rewritten.circuit, &nominal);
            match objective {
                Objective::Latency | Objective::Throughput | Objective::Balanced => prop_assert!(after.ns <= before.ns),
                Objective::Memory => prop_assert!(after.bytes <= before.bytes),
            }
        }
    }
}
