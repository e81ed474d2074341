//! Runs of a prepared program recycle the memory of ciphertexts: after the
//! first ones none is taken from the system.
#![allow(clippy::unwrap_used)]

mod common;
mod counting;

use common::{Draft, inputs, params, values};
use counting::{Counting, large_blocks};
use hecc_ckks::{Context, Encoder, KeyGenerator};
use hecc_ir::{CtType, Program};
use hecc_runtime::backend::ckks::{self, CkksCt};
use hecc_runtime::{Backend, Bound, Ckks, Executor, Overflow, PlainMemory, Prepared};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RING_DEGREE: usize = 4096;

/// A program with every kind of instruction.
fn program() -> Program {
    let mut d = Draft::new(&params(RING_DEGREE, 5, 2));
    let x = d.input();
    let rotated = d.rotate(x, &[1, 5, 64, 700]);
    let slots = RING_DEGREE / 2;
    let terms = |regs: &[hecc_ir::Reg], seed| {
        regs.iter().enumerate().map(|(i, &reg)| (reg, values(slots, seed + i as u64))).collect()
    };
    let rows: Vec<_> = (0..3).map(|row| d.inner_product(terms(&rotated, 10 * row))).collect();
    let sum = d.sum(rows);
    let hidden = d.rescale(sum);
    let biased = d.add_plain(hidden, values(slots, 99));
    let squared = d.mul(biased, biased);
    let linear = d.relin(squared);
    let activated = d.rescale(linear);
    let scaled = d.mul_scalar(activated, 0.25);
    let scaled = d.rescale(scaled);
    let negated = d.neg(scaled);
    let zero = d.zero(d.ty(negated));
    let padded = d.sub(zero, negated);
    let low = d.drop_level(padded, 1);
    let turned = d.rotate(low, &[3]);
    let other = d.mul(low, turned[0]);
    let mixed = d.relin(other);
    d.output(mixed);
    d.output(biased);
    d.finish()
}

/// The program with its keys, and encrypted inputs.
fn prepared(n_threads: usize, plain: PlainMemory) -> (Prepared<Ckks>, Vec<Vec<CkksCt>>) {
    let program = program();
    let params = program.manifest.params.clone();
    let context = Context::new(&ckks::params(&params)).unwrap();
    let mut generator = KeyGenerator::insecure_from_seed(&context, 1);
    let plan = &program.manifest.keys;
    let rotations: Vec<_> = plan.rotations.iter().map(|(s, l)| (s.get(), l.0 as usize)).collect();
    let keys = generator.eval_keys(plan.relin.map(|level| level.0 as usize), &rotations).unwrap();
    let encrypt = |slots: &[f64], ty: CtType| {
        let encoder = Encoder::new(&context);
        let plain = encoder.encode(slots, ty.level.0 as usize, ty.scale.factor()).unwrap();
        CkksCt::new(generator.secret_key().encrypt(&plain).unwrap(), ty.scale)
    };
    let ports = program.manifest.inputs.iter().map(|port| port.ty);
    let cts = inputs(&program).iter().zip(ports).map(|(slots, ty)| vec![encrypt(slots, ty)]).collect();
    let backend = Ckks::new(&context, &params, keys);
    let executor = Executor::new(Some(n_threads)).unwrap().with_plain_memory(plain);
    (executor.prepare(Arc::new(program), backend).unwrap(), cts)
}

/// Large blocks that each of `n_runs` runs allocates.
fn blocks_by_run<B: Backend>(prepared: &Prepared<B>, inputs: &[Vec<B::Ct>], n_runs: usize) -> Vec<usize> {
    let large = RING_DEGREE * size_of::<u32>();
    let run = || drop(prepared.run(inputs.to_vec()).unwrap());
    (0..n_runs).map(|_| large_blocks(large, run)).collect()
}

/// One test, for the counter counts for the whole process.
#[test]
fn runs_after_the_first_take_no_memory_for_ciphertexts() {
    let (alone, inputs) = prepared(1, PlainMemory::default());
    let blocks = blocks_by_run(&alone, &inputs, 6);
    assert!(blocks[0] > 0, "the counter counts");
    assert_eq!(blocks[2..], [0; 4], "{blocks:?}");
    // With more threads, which values are alive together is a matter of chance, and
    // the memory they need at most with it: more runs before the ones that count.
    let (together, inputs) = prepared(2, PlainMemory::default());
    let blocks = blocks_by_run(&together, &inputs, 20);
    assert_eq!(blocks[10..], [0; 10], "{blocks:?}");
    let on_the_fly = PlainMemory { budget: Bound::Bytes(0), overflow: Overflow::Encode };
    let (encoding, inputs) = prepared(1, on_the_fly);
    let blocks = blocks_by_run(&encoding, &inputs, 6);
    assert_eq!(blocks[2..], [0; 4], "{blocks:?}");
}
