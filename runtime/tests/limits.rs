//! What a caller allows is kept to: memory before it is taken, time before a run starts, and work that is to stop
//! stops within an instruction however long that is.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Draft, params, tensors, values};
use hecc_ir::program::PlainUse;
use hecc_ir::{Instr, Plain, Program, Reg, Scale, artifact};
use hecc_runtime::client::Client;
use hecc_runtime::limits::Held;
use hecc_runtime::server::{Server, Session};
use hecc_runtime::{Backend, Bound, Cancel, Error, Executor, Limits};
use std::time::{Duration, Instant};

/// A ring whose operations take some time.
const RING_DEGREE: usize = 4096;
/// Runs below take more than this unless they are stopped.
const LONG: Duration = Duration::from_secs(10);

fn within(memory: usize) -> Limits {
    Limits::default().with_memory(Bound::Bytes(memory))
}

fn load(program: &Program, executor: &Executor) -> Result<Server, Error> {
    Server::load_with(&artifact::write_program(program), executor, &|_, _| ())
}

/// A session for a program and an input for it.
fn session(program: &Program) -> (Session, Vec<u8>) {
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let server = load(program, &Executor::new(Some(2)).unwrap()).unwrap();
    let ports = program.manifest.inputs.iter();
    let tensors = tensors(&ports.map(|port| vec![0.5; port.layout.shape.n_elements()]).collect::<Vec<_>>());
    let session = server.session(&client.eval_keys().unwrap()).unwrap();
    (session, client.encrypt(&tensors).unwrap())
}

/// A program that rotates an input by steps, one after the other or all of the input, and adds up the results.
fn rotations(n_steps: i64, in_turn: bool) -> Program {
    let mut draft = Draft::new(&params(RING_DEGREE, 5, 1));
    let x = draft.input();
    let turned = match in_turn {
        true => vec![(0..n_steps).fold(x, |x, _| draft.rotate(x, &[1])[0])],
        false => draft.rotate(x, &(1..=n_steps).collect::<Vec<_>>()),
    };
    let sum = draft.sum(turned);
    draft.output(sum);
    draft.finish()
}

/// The sum of an input so many times.
fn sum(n_terms: usize) -> Program {
    let mut draft = Draft::new(&params(RING_DEGREE, 5, 1));
    let x = draft.input();
    let sum = draft.sum(vec![x; n_terms]);
    draft.output(sum);
    draft.finish()
}

/// The sum of so many products of an input with one plaintext.
fn products(n_terms: usize, slots: Vec<f64>) -> Program {
    let mut draft = Draft::new(&params(RING_DEGREE, 5, 1));
    let x = draft.input();
    let product = draft.inner_product(vec![(x, slots)]);
    draft.output(product);
    let mut program = draft.finish();
    for instr in &mut program.instrs {
        if let Instr::InnerProduct { terms, .. } = instr {
            *terms = vec![terms[0]; n_terms];
        }
    }
    program
}

#[test]
fn keys_are_counted_before_they_are_made() {
    let program = rotations(3, false);
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let manifest = &program.manifest;
    let needed = manifest.keygen_bytes() as usize;
    let keys = client.with_limits(within(needed)).eval_keys().unwrap();
    let announced = manifest.sent_key_bytes() as usize;
    assert!((announced..announced + 1024).contains(&keys.len()), "{announced} {}", keys.len());
    let client = Client::generate_insecure(manifest).unwrap().with_limits(within(needed - 1));
    let refused = client.eval_keys();
    assert!(
        matches!(refused, Err(Error::Memory { what: Held::Keys, needed: n, .. }) if n == needed),
        "{refused:?}"
    );
    // In memory, as a session counts them.
    let server = load(&program, &Executor::new(Some(1)).unwrap()).unwrap();
    let found = server.session(&keys).unwrap().prepared().backend().key_bytes();
    let announced = manifest.key_bytes() as usize;
    assert!((announced..announced + announced / 20).contains(&found), "{announced} {found}");
}

#[test]
fn ciphertexts_of_inputs_and_results_are_counted() {
    let program = sum(2);
    let (session, input) = session(&program);
    let result = session.eval(&input).unwrap().bundle;
    let client = Client::generate_insecure(&program.manifest).unwrap().with_limits(within(1 << 10));
    let tensor = tensors(&[vec![0.5; RING_DEGREE / 2]]);
    for refused in [client.encrypt(&tensor).map(drop), client.decrypt(&result).map(drop)] {
        assert!(matches!(refused, Err(Error::Memory { what: Held::Ciphertexts, .. })), "{refused:?}");
    }
    let refused = session.eval_within(&input, &within(1 << 10), &|_, _| ()).map(drop);
    assert!(matches!(refused, Err(Error::Memory { what: Held::Ciphertexts, .. })), "{refused:?}");
}

/// A program of few bytes whose encoded plaintexts would take tens of gigabytes.
#[test]
fn plaintexts_beyond_memory_are_encoded_when_needed() {
    let mut program = products(1, vec![0.5, 0.25]);
    let PlainUse { level, scale, .. } = program.plains[0];
    let n_plains = 400_000;
    program.consts = vec![Plain::new(vec![0.5, 0.25])];
    program.plains = (0..n_plains).map(|_| PlainUse { constant: 0, level, scale }).collect();
    for instr in &mut program.instrs {
        if let Instr::InnerProduct { terms, .. } = instr {
            *terms = (0..n_plains).map(|plain| (terms[0].0, plain)).collect();
        }
    }
    let limits = within(64 << 20);
    let executor = Executor::new(Some(2)).unwrap().with_limits(limits);
    let server = load(&program, &executor).unwrap();
    let plains = server.forecast().memory;
    assert!(plains.resident_plains <= 64 << 20, "{plains:?}");
    assert!(plains.on_the_fly_plains > 0 && plains.on_the_fly_plains <= 64 << 20, "{plains:?}");
    assert!(server.forecast().wall > LONG, "{:?}", server.forecast().wall);
    // Those that do stay are not encoded once somebody wants to stop.
    let cancel = Cancel::new();
    cancel.cancel();
    let executor = executor.with_limits(Limits::default().with_cancel(&cancel));
    assert!(matches!(load(&program, &executor).err(), Some(Error::Cancelled)));
}

#[test]
fn forecasts_say_what_runs_take() {
    let mut draft = Draft::new(&params(RING_DEGREE, 5, 2));
    let x = draft.input();
    let turned = draft.rotate(x, &(1..=20).collect::<Vec<_>>());
    let slots = RING_DEGREE / 2;
    let term = |row: u64, i: usize, reg: Reg| (reg, values(slots, 100 * row + i as u64));
    let rows: Vec<Reg> = (0..8)
        .map(|row| {
            draft.inner_product(turned.iter().enumerate().map(|(i, &reg)| term(row, i, reg)).collect())
        })
        .collect();
    let squares: Vec<Reg> = rows
        .into_iter()
        .map(|row| {
            let low = draft.rescale(row);
            let square = draft.mul(low, low);
            draft.relin(square)
        })
        .collect();
    let sum = draft.sum(squares);
    draft.output(sum);
    let program = draft.finish();
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let server = load(&program, &Executor::new(Some(1)).unwrap()).unwrap();
    let session = server.session(&client.eval_keys().unwrap()).unwrap();
    let input = client.encrypt(&tensors(&[vec![0.5; slots]])).unwrap();
    let runs: Vec<_> = (0..5).map(|_| session.eval(&input).unwrap().cost).collect();
    let (predicted, found) = (server.forecast(), runs.iter().min_by_key(|run| run.wall).unwrap());
    assert_eq!(predicted.memory.ciphertexts, found.memory.ciphertexts);
    assert_eq!(predicted.memory.resident_plains, found.memory.resident_plains);
    assert!(
        predicted.memory.peak <= found.memory.peak && 20 * predicted.memory.peak >= 19 * found.memory.peak
    );
    let kinds = |cost: &hecc_runtime::RunCost| -> Vec<_> {
        cost.timings.iter().map(|row| (row.layer.clone(), row.mnemonic, row.count)).collect()
    };
    assert_eq!(kinds(&predicted), kinds(found));
    // Wide, for other work may go on beside it; `hecc eval --json` shows how near it is.
    let ratio = predicted.wall.as_secs_f64() / found.wall.as_secs_f64();
    assert!((0.05..8.0).contains(&ratio), "{ratio}");
}

#[test]
fn long_runs_are_refused_or_stopped_in_time() {
    let program = rotations(30_000, true);
    let (session, input) = session(&program);
    let limits = Limits::default().with_time(Duration::from_millis(100));
    let refused = session.eval_within(&input, &limits, &|_, _| ());
    let Err(Error::Time { predicted, limit }) = refused else { panic!("{refused:?}") };
    assert!(predicted > LONG && limit == Duration::from_millis(100), "{predicted:?}");
    let limits = Limits { cancel: Cancel::new().within(Duration::from_millis(100)), ..Limits::default() };
    let start = Instant::now();
    let refused = session.eval_within(&input, &limits, &|_, _| ());
    assert!(matches!(refused, Err(Error::Deadline)), "{refused:?}");
    assert!(start.elapsed() < LONG / 5, "{:?}", start.elapsed());
}

/// How long after a token was used a run ends.
fn latency(program: &Program) -> Duration {
    let (session, input) = session(program);
    let cancel = Cancel::new();
    let limits = Limits::default().with_cancel(&cancel);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| session.eval_within(&input, &limits, &|_, _| ()).map(drop));
        std::thread::sleep(Duration::from_millis(500));
        assert!(!run.is_finished(), "it is a long run");
        let asked = Instant::now();
        cancel.cancel();
        let ended = run.join().unwrap();
        assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
        asked.elapsed()
    })
}

/// Each of them is one instruction, or has one that takes nearly all of the time.
#[test]
fn instructions_of_many_terms_are_stopped_between_them() {
    let long = [
        ("sum", sum(4_000_000)),
        ("products", products(1_500_000, values(RING_DEGREE / 2, 1))),
        ("products with numbers", products(3_000_000, vec![0.5])),
        ("rotations in turn", rotations(30_000, true)),
    ];
    for (name, program) in long {
        let took = latency(&program);
        assert!(took < LONG / 5, "{name}: {took:?}");
    }
}

#[test]
fn making_keys_is_stopped_between_them() {
    let program = rotations(1000, false);
    let cancel = Cancel::new();
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let client = client.with_limits(Limits::default().with_cancel(&cancel));
    std::thread::scope(|scope| {
        let keys = scope.spawn(|| client.eval_keys());
        std::thread::sleep(Duration::from_millis(200));
        assert!(!keys.is_finished(), "they take a while");
        let asked = Instant::now();
        cancel.cancel();
        assert!(matches!(keys.join().unwrap(), Err(Error::Cancelled)));
        assert!(asked.elapsed() < LONG / 10, "{:?}", asked.elapsed());
    });
}

/// Errors of a crafted program would take many times its bytes.
#[test]
fn verification_lists_so_many_errors_and_no_more() {
    let mut program = rotations(500, true);
    program.types.iter_mut().for_each(|ty| ty.scale = Scale::from_log2(1000.0));
    let errors = program.verify().unwrap_err();
    assert_eq!(errors.len(), 100);
    let mut program = rotations(500, true);
    for instr in &mut program.instrs {
        if let Instr::Rotate { src, .. } = instr {
            *src = Reg(1 << 20);
        }
    }
    assert_eq!(program.verify().unwrap_err().len(), 100);
}
