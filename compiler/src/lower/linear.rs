//! Linear nodes: babies, products, giants, fold, bias.

use crate::packing::Diagonals;
use crate::packing::{Fold, LinearPlan, Placement, Prefold, Split, TermPlan};
use crate::sparsity::Linear;
use hecc_ir::circuit::{Builder, Op, Plain, Value};
use std::collections::BTreeMap;

/// Emits one linear node; `values` holds the ciphertexts of earlier nodes.
pub(super) fn emit(
    builder: &mut Builder,
    linear: &Linear,
    plan: &LinearPlan,
    placement: &Placement,
    values: &[Vec<Value>],
) -> Vec<Value> {
    let n_cts = placement.layout.n_cts;
    let mut sums: Vec<Vec<Value>> = vec![Vec::new(); n_cts];
    for (term, planned) in linear.terms.iter().zip(&plan.terms) {
        let operands = &values[term.operand.0];
        match planned {
            TermPlan::Direct => {
                for (sum, &x) in sums.iter_mut().zip(operands) {
                    sum.push(builder.push(Op::MulScalar(x, term.scale)));
                }
            }
            TermPlan::Map { prefold, diagonals, split } => {
                let operands: Vec<Value> = match prefold {
                    Some(prefold) => operands.iter().map(|&x| folded_first(builder, x, prefold)).collect(),
                    None => operands.clone(),
                };
                products(builder, diagonals, *split, &operands, &mut sums);
            }
        }
    }
    let biases = placement.layout.pack(&linear.bias);
    let finish = |(sum, bias): (Vec<Value>, Vec<f64>)| {
        let sum = builder.sum(sum);
        let folded = fold(builder, sum, plan.fold);
        builder.add_plain(folded, Plain::new(bias))
    };
    sums.into_iter().zip(biases).map(finish).collect()
}

/// Rotations before any product: pool windows summed along columns, then along rows; or copies.
fn folded_first(builder: &mut Builder, x: Value, prefold: &Prefold) -> Value {
    match prefold {
        Prefold::Windows { steps: [rows, cols] } => [cols, rows].into_iter().fold(x, |sum, steps| {
            let further = steps.iter().map(|&step| builder.rotate(sum, step)).collect::<Vec<Value>>();
            builder.sum(std::iter::once(sum).chain(further).collect())
        }),
        Prefold::Copies { steps } => steps.iter().fold(x, |copies, &step| {
            let further = builder.rotate(copies, -(step as i64));
            builder.sum(vec![copies, further])
        }),
    }
}

/// Doubles until every window is summed.
fn fold(builder: &mut Builder, value: Value, fold: Fold) -> Value {
    fold.steps().fold(value, |sum, step| {
        let shifted = builder.rotate(sum, step as i64);
        builder.sum(vec![sum, shifted])
    })
}

/// Adds each result ciphertext's partial sums to `sums`, one per giant step.
fn products(
    builder: &mut Builder,
    diagonals: &Diagonals,
    split: Split,
    operands: &[Value],
    sums: &mut [Vec<Value>],
) {
    let n_slots = builder.circuit().n_slots;
    let mut by_giant: BTreeMap<(u32, usize), Vec<Value>> = BTreeMap::new();
    for (&(out, operand, step), entries) in diagonals {
        let giant = split.giant(step).rem_euclid(n_slots as i64) as usize;
        let mut slots = vec![0.0; n_slots];
        for &(slot, weight) in entries {
            slots[(slot as usize + giant) % n_slots] += weight;
        }
        let rotated = builder.rotate(operands[operand as usize], split.baby(step));
        let product = builder.mul_plain(rotated, Plain::new(slots));
        by_giant.entry((out, giant)).or_default().push(product);
    }
    for ((out, giant), partial) in by_giant {
        let sum = builder.sum(partial);
        sums[out as usize].push(builder.rotate(sum, giant as i64));
    }
}
