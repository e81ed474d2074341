//! Restricts plaintexts to the slots that matter.
//!
//! Expects an abstract circuit. A slot is *in demand* when an output depends on
//! it; what a plaintext holds elsewhere, or where its operand is zero, is free.
//! Leaves it zero there, so that plaintexts which differ only where nobody looks
//! become one, or the same everywhere where that makes a scalar of the plaintext.

use super::graph::{layout_support, plain_support};
use super::slots::SlotSet;
use hecc_ir::circuit::{Builder, Circuit, Op, Output, Plain, Value};

/// Runs the pass.
pub(super) fn restrict_plaintexts(circuit: &Circuit) -> Circuit {
    let (demand, support) = (demands(circuit), supports(circuit));
    let mut builder = Builder::like(&Circuit { consts: Vec::new(), ..circuit.clone() });
    let mut values: Vec<Value> = Vec::with_capacity(circuit.nodes.len());
    for value in circuit.values() {
        let node = circuit.node(value);
        builder.set_source_handle(node.source);
        let wanted = &demand[value.index()];
        let rebuilt = match &node.op {
            Op::MulPlain(a, constant) => {
                let matters = wanted.intersection(&support[a.index()]);
                builder.mul_plain(
                    values[a.index()],
                    restricted(circuit.plain(*constant), &matters, circuit.n_slots),
                )
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

/// Slots of each value that may be other than zero.
fn supports(circuit: &Circuit) -> Vec<SlotSet> {
    let n = circuit.n_slots;
    let mut supports: Vec<SlotSet> = Vec::with_capacity(circuit.nodes.len());
    for node in &circuit.nodes {
        let of = |value: &Value| &supports[value.index()];
        supports.push(match &node.op {
            Op::Input { input, ct } => layout_support(&circuit.inputs[*input as usize].layout, *ct),
            Op::Zero => SlotSet::none(n),
            Op::Add(terms) => terms.iter().fold(SlotSet::none(n), |sum, term| sum.union(of(term))),
            Op::Sub(a, b) => of(a).union(of(b)),
            Op::Mul(a, b) => of(a).intersection(of(b)),
            Op::AddPlain(a, constant) => of(a).union(&plain_support(circuit.plain(*constant), n)),
            Op::MulPlain(a, constant) => of(a).intersection(&plain_support(circuit.plain(*constant), n)),
            Op::Rotate(a, step) => of(a).turned(step.get()),
            Op::Neg(a) | Op::MulScalar(a, _) | Op::Rescale(a) | Op::Relin(a) | Op::DropLevel(a, _) => {
                of(a).clone()
            }
        });
    }
    supports
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
