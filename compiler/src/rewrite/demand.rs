//! Restricts plaintexts to the slots that matter.
//!
//! Expects an abstract circuit. A slot is *in demand* when an output depends on
//! it; what a plaintext holds elsewhere is free. Leaves it zero there, so that
//! plaintexts which differ only where nobody looks become one, or the same everywhere
//! where that makes a scalar of the plaintext. That operands are zero somewhere
//! plays no part: the masks that make them so may be among those that go.

use super::graph::{layout_support, plain_support};
use super::slots::SlotSet;
use hecc_ir::circuit::{Builder, Circuit, Op, Output, Plain, Value};

/// Runs the pass.
pub(super) fn restrict_plaintexts(circuit: &Circuit) -> Circuit {
    let demand = demands(circuit);
    let mut builder = Builder::like_header(circuit);
    let mut values: Vec<Value> = Vec::with_capacity(circuit.nodes.len());
    for value in circuit.values() {
        let node = circuit.node(value);
        builder.set_source_handle(node.source);
        let wanted = &demand[value.index()];
        let rebuilt = match &node.op {
            Op::MulPlain(a, constant) => {
                let plain = restricted(circuit.plain(*constant), wanted, circuit.n_slots);
                builder.mul_plain(values[a.index()], plain)
            }
            Op::AddPlain(a, constant) => {
                let plain = restricted(circuit.plain(*constant), wanted, circuit.n_slots);
                builder.add_plain(values[a.index()], plain)
            }
            op => builder.push(op.map_operands(|operand| values[operand.index()])),
        };
        values.push(rebuilt);
    }
    for output in &circuit.outputs {
        let rebuilt = output.values.iter().map(|value| values[value.index()]).collect();
        builder.output(Output { values: rebuilt, ..output.clone() });
    }
    builder.finish()
}

/// The plaintext where it matters: uniform if it can be, else zero elsewhere.
pub(super) fn restricted(plain: &Plain, matters: &SlotSet, n_slots: usize) -> Plain {
    if *matters == SlotSet::All || plain.uniform().is_some() {
        return plain.clone();
    }
    let mut seen = (0..n_slots).filter(|&slot| matters.contains(slot)).map(|slot| plain.at(slot));
    let first = seen.next().unwrap_or(0.0);
    if seen.all(|value| value == first) {
        return Plain::new(vec![first]);
    }
    let at = |slot: usize| if matters.contains(slot) { plain.at(slot) } else { 0.0 };
    Plain::new((0..n_slots).map(at).collect())
}

/// Slots of each value that an output depends on.
fn demands(circuit: &Circuit) -> Vec<SlotSet> {
    let n = circuit.n_slots;
    let mut demands = vec![SlotSet::none(n); circuit.nodes.len()];
    for output in &circuit.outputs {
        for (ct, value) in output.values.iter().enumerate() {
            let promised =
                if output.layout.dirty { layout_support(&output.layout, ct as u32) } else { SlotSet::All };
            demands[value.index()] = demands[value.index()].union(&promised);
        }
    }
    for (index, node) in circuit.nodes.iter().enumerate().rev() {
        let wanted = match &node.op {
            Op::Rotate(_, step) => demands[index].turned(n - step.get()),
            Op::MulPlain(_, constant) => {
                demands[index].intersection(&plain_support(circuit.plain(*constant), n))
            }
            _ => demands[index].clone(),
        };
        for operand in node.op.operands() {
            demands[operand.index()] = demands[operand.index()].union(&wanted);
        }
    }
    demands
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use hecc_ir::circuit::Input;
    use hecc_ir::{Layout, Shape, eval};

    /// Two masks for the one element of an output whose other slots are free: the
    /// second may go, the first must stay for the fold.
    #[test]
    fn of_two_masks_only_the_one_that_nothing_needs_goes() {
        let mut builder = Builder::new("masks", 8);
        let layout = Layout::contiguous(Shape(vec![8]), 8);
        let input = builder.declare_input(Input { name: "x".into(), layout, range: (-1.0, 1.0) });
        let x = builder.push(Op::Input { input, ct: 0 });
        let mask =
            |slots: &[usize]| Plain::new((0..8).map(|i| f64::from(u8::from(slots.contains(&i)))).collect());
        let first = builder.mul_plain(x, mask(&[0]));
        let turned = builder.rotate(first, 7);
        let sum = builder.sum(vec![first, turned]);
        let second = builder.mul_plain(sum, mask(&[0, 1]));
        let layout = Layout { dirty: true, ..Layout::contiguous(Shape(vec![2]), 8) };
        builder.output(Output { name: "y".into(), layout, values: vec![second] });
        let circuit = builder.finish();

        let restricted = restrict_plaintexts(&circuit);
        let products = restricted.nodes.iter().filter(|node| node.op.is_product()).count();
        assert_eq!(products, 1);
        let tensor: Vec<f64> = (1..9).map(f64::from).collect();
        assert_eq!(eval(&restricted, std::slice::from_ref(&tensor)), eval(&circuit, &[tensor]));
    }
}
