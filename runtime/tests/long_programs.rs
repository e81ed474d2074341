//! Preparing a program takes time in proportion to its length, whatever it says.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Draft, params};
use hecc_ir::Instr;
use hecc_runtime::{Clear, Executor};
use std::sync::Arc;

/// Far more than a pass over all rows for each of them would finish in an hour.
const ROWS: u32 = 200_000;

/// Each row shares a plaintext with the next, and only the last is not over
/// rotations: whether plaintexts are to multiply rotations is decided from the
/// end, row by row.
#[test]
fn decisions_that_travel_backwards_are_made_in_one_pass() {
    let params = params(64, 2, 1);
    let mut draft = Draft::new(&params);
    let x = draft.input();
    let turned = draft.rotate(x, &[1, 2]);
    let row = |regs: [_; 2]| regs.map(|reg| (reg, vec![0.5])).to_vec();
    let mut last = x;
    for _ in 1..ROWS {
        last = draft.inner_product(row([turned[0], turned[1]]));
    }
    let unrotated = draft.inner_product(row([x, x]));
    let sum = draft.sum(vec![last, unrotated]);
    draft.output(sum);
    let mut program = draft.finish();
    let mut next = 0;
    for instr in &mut program.instrs {
        if let Instr::InnerProduct { terms, .. } = instr {
            (terms[0].1, terms[1].1) = (next, next + 1);
            next += 1;
        }
    }
    assert_eq!(next, ROWS);
    let backend = Clear::new(&params);
    Executor::new(Some(1)).unwrap().prepare(Arc::new(program), backend).unwrap();
}
