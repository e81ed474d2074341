//! The executor on plain slots: checks, order, memory, errors.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Draft, inputs, params, tensors, values};
use hecc_ckks::{Context, EvalKeys};
use hecc_ir::{CtType, Level, Program, Reg};
use hecc_runtime::backend::ckks;
use hecc_runtime::{Backend, Ckks, Clear, Error, Executor, Sim, dry};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn encrypt(backend: &Clear, slots: &[f64], ty: CtType) -> <Clear as Backend>::Ct {
    backend.encrypt(slots, ty).unwrap()
}

/// A chain of `n` rotations and sums.
fn chain(n: usize) -> Program {
    let mut draft = Draft::new(&params(64, 2, 1));
    let mut x = draft.input();
    for i in 0..n {
        let rotated = draft.rotate(x, &[i as i64 % 31 + 1])[0];
        let scaled = draft.neg(rotated);
        x = draft.sum(vec![x, scaled]);
    }
    draft.output(x);
    draft.finish()
}

/// Many independent branches that meet in one sum.
fn wide(n: i64) -> Program {
    let mut draft = Draft::new(&params(64, 2, 1));
    let x = draft.input();
    let branch = |d: &mut Draft, i: i64| {
        let rotated = d.rotate(x, &[i])[0];
        d.mul_scalar(rotated, i as f64 / 7.0)
    };
    let mut sum = branch(&mut draft, 1);
    for i in 2..n {
        draft.layer(&format!("branch {i}"));
        let next = branch(&mut draft, i);
        sum = draft.sum(vec![sum, next]);
    }
    draft.output(sum);
    draft.finish()
}

fn run(
    program: &Program,
    n_threads: usize,
) -> Result<hecc_runtime::RunReport<<Clear as Backend>::Ct>, Error> {
    common::run(program, Clear::new(&program.manifest.params), n_threads, encrypt)
}

#[test]
fn results_do_not_depend_on_threads() {
    for program in [chain(50), wide(31)] {
        let alone = run(&program, 1).unwrap().outputs;
        for n_threads in [2, 3, 8] {
            let report = run(&program, n_threads).unwrap();
            assert_eq!(report.outputs, alone);
            assert_eq!(report.cost.n_threads, n_threads);
        }
    }
}

#[test]
fn ciphertexts_are_freed_after_their_last_use() {
    let bytes = 32 * size_of::<f64>();
    let chain_peak = run(&chain(50), 1).unwrap().cost.memory.ciphertexts;
    assert!(chain_peak <= 3 * bytes, "{chain_peak}");
    let wide_peak = run(&wide(31), 1).unwrap().cost.memory.ciphertexts;
    assert!(wide_peak <= 4 * bytes, "{wide_peak}");
    // All 30 branches may wait for their sum, beside the input and a result per thread.
    let threaded_peak = run(&wide(31), 4).unwrap().cost.memory.ciphertexts;
    assert!(threaded_peak <= (30 + 1 + 4) * bytes, "{threaded_peak}");
}

#[test]
fn timings_count_every_instruction_once() {
    let program = wide(31);
    let cost = run(&program, 2).unwrap().cost;
    assert_eq!(cost.timings.iter().map(|row| row.count).sum::<usize>(), program.instrs.len());
    let row = cost.timings.iter().find(|row| row.layer == "branch 7" && row.mnemonic == "rotate");
    assert_eq!(row.unwrap().count, 1);
}

#[test]
fn progress_reaches_the_end() {
    let program = Arc::new(wide(31));
    let (most, total) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let note = |done, of| {
        most.fetch_max(done, Ordering::Relaxed);
        total.store(of, Ordering::Relaxed);
    };
    let backend = Clear::new(&program.manifest.params);
    let cts = vec![vec![encrypt(&backend, &inputs(&program)[0], program.manifest.inputs[0].ty)]];
    let prepared = Executor::new(Some(2)).unwrap().prepare(program.clone(), backend).unwrap();
    prepared.run_with(cts, &note).unwrap();
    assert_eq!(most.into_inner(), program.instrs.len());
    assert_eq!(total.into_inner(), program.instrs.len());
}

#[test]
fn one_register_can_be_several_outputs() {
    let mut draft = Draft::new(&params(64, 2, 1));
    let x = draft.input();
    let y = draft.neg(x);
    draft.output(y);
    draft.output(x);
    draft.output(y);
    let outputs = run(&draft.finish(), 2).unwrap().outputs;
    assert_eq!(outputs[0], outputs[2]);
    assert_ne!(outputs[0], outputs[1]);
}

#[test]
fn inputs_are_checked() {
    let program = Arc::new(chain(1));
    let backend = Clear::new(&program.manifest.params);
    let ty = program.manifest.inputs[0].ty;
    let ct = encrypt(&backend, &values(32, 1), ty);
    let low = encrypt(&backend, &values(32, 1), CtType { level: Level(0), ..ty });
    let prepared = Executor::new(Some(1)).unwrap().prepare(program, backend).unwrap();
    assert!(matches!(prepared.run(vec![]), Err(Error::InputCount { expected: 1, found: 0 })));
    assert!(matches!(prepared.run(vec![vec![]]), Err(Error::CtCount { expected: 1, found: 0, .. })));
    let two = vec![vec![ct.clone(), ct.clone()]];
    assert!(matches!(prepared.run(two), Err(Error::CtCount { expected: 1, found: 2, .. })));
    assert!(matches!(prepared.run(vec![vec![low]]), Err(Error::CtType { .. })));
    prepared.run(vec![vec![ct]]).unwrap();
}

#[test]
fn another_ring_is_refused() {
    let program = Arc::new(chain(1));
    let backend = Clear::new(&params(128, 2, 1));
    let executor = Executor::new(Some(1)).unwrap();
    assert!(matches!(executor.prepare(program, backend), Err(Error::Params)));
}

#[test]
fn invalid_programs_are_refused() {
    let executor = Executor::new(Some(1)).unwrap();
    let mut unwritten = chain(2);
    unwritten.instrs.swap(0, 1);
    let mut mistyped = chain(2);
    mistyped.types[1].level = Level(0);
    let mut missing = chain(2);
    missing.outputs[0][0] = Reg(9999);
    for program in [unwritten, mistyped, missing] {
        let backend = Clear::new(&program.manifest.params);
        let refused = executor.prepare(Arc::new(program), backend);
        assert!(matches!(refused, Err(Error::Program(_))));
    }
}

#[test]
fn the_first_failure_is_reported_whatever_the_threads() {
    let mut draft = Draft::new(&params(64, 1, 1));
    let x = draft.input();
    let low = draft.drop_level(x, 0);
    for i in 1..20 {
        draft.layer(&format!("layer {i}"));
        let rotated = draft.rotate(low, &[i])[0];
        let offset = if i >= 5 { f64::MAX } else { 0.5 };
        let y = draft.add_plain(rotated, vec![offset]);
        let z = draft.add_plain(y, vec![offset]);
        draft.output(z);
    }
    let program = draft.finish();
    for n_threads in [1, 2, 4] {
        let backend = Sim::new(&program.manifest.params);
        let run = common::run(&program, backend, n_threads, |b, x, ty| b.encrypt(x, ty).unwrap());
        match run.unwrap_err() {
            Error::Instruction { layer, mnemonic: "add_plain", cause, .. } => {
                assert_eq!(layer, "layer 5");
                assert!(matches!(*cause, Error::Overflow { .. }));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn all_missing_keys_are_named_before_anything_runs() {
    let mut draft = Draft::new(&params(64, 2, 1));
    let x = draft.input();
    let rotated = draft.rotate(x, &[3, 5]);
    let square = draft.mul(rotated[0], rotated[1]);
    let result = draft.relin(square);
    draft.output(result);
    let program = draft.finish();
    let context = Context::new(&ckks::params(&program.manifest.params)).unwrap();
    let backend = Ckks::new(&context, &program.manifest.params, EvalKeys::default());
    let refused = Executor::new(Some(1)).unwrap().prepare(Arc::new(program), backend);
    let message = refused.map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        message,
        "missing evaluation keys: rotation by 3 at L2, rotation by 5 at L2, relinearisation at L2"
    );
}

#[test]
fn a_dry_run_goes_from_tensors_to_tensors() {
    let program = Arc::new(chain(1));
    let executor = Executor::new(Some(1)).unwrap();
    let tensors = tensors(&inputs(&program));
    let x = tensors[0].values();
    let expected: Vec<f64> = (0..x.len()).map(|i| x[i] - x[(i + 1) % x.len()]).collect();
    let evaluation = dry::evaluate(&executor, program.clone(), &tensors).unwrap();
    assert_eq!(evaluation.tensors[0], expected);
    let forecast = dry::forecast(&executor, program.clone(), &tensors).unwrap();
    assert_eq!(forecast.tensors[0], expected);
    assert!(forecast.errors[0].rms < forecast.errors[0].max && forecast.errors[0].max < 1e-6);
    assert!(forecast.headroom > 85.0 && forecast.headroom < 95.0, "{}", forecast.headroom);
    let simulation = dry::Simulation::new(&executor, program.clone()).unwrap();
    for here in executor.each(3, |_| simulation.forecast_batch_here(&[&tensors]).unwrap().remove(0)) {
        assert_eq!((&here.tensors, &here.errors), (&forecast.tensors, &forecast.errors));
        assert_eq!((here.headroom, here.cost.n_threads), (forecast.headroom, 1));
    }
    let outside = [vec![2.0; x.len()].into()];
    assert!(matches!(dry::evaluate(&executor, program, &outside), Err(Error::OutOfRange { index: 0, .. })));
}
