//! Where plaintexts are kept changes memory and time, never a result.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Draft, inputs, params, tensors, values};
use hecc_ckks::{Context, Encoder, EvalKeys, KeyGenerator, SecretKey};
use hecc_ir::{CtType, Instr, Level, Plain, Program, Scale, Shape, Tensor, artifact};
use hecc_runtime::backend::PlainType;
use hecc_runtime::backend::ckks::{self, CkksCt};
use hecc_runtime::client::Client;
use hecc_runtime::limits::Held;
use hecc_runtime::server::Server;
use hecc_runtime::{
    Backend, Bound, Ckks, Clear, Error, Executor, Limits, Overflow, PlainMemory, RunReport, Sim,
};
use proptest::prelude::*;
use std::sync::Arc;

const RING_DEGREE: usize = 64;

/// One layer: how many products it sums, whether it adds a constant, and
/// whether its products share plaintexts.
#[derive(Clone, Debug)]
struct Layer {
    n_terms: usize,
    biased: bool,
    shared: bool,
}

fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let layer = (1..40usize, any::<bool>(), any::<bool>());
    let layer = layer.prop_map(|(n_terms, biased, shared)| Layer { n_terms, biased, shared });
    proptest::collection::vec(layer, 1..4)
}

/// Layers of inner products over a few rotations.
fn program_of(layers: &[Layer]) -> Program {
    let mut draft = Draft::new(&params(RING_DEGREE, 4, 1));
    let mut x = draft.input();
    let mut shared = Vec::new();
    for (depth, layer) in layers.iter().enumerate() {
        let rotated = draft.rotate(x, &[1, 2, 3]);
        let term = |i: usize| {
            let slots = values(1 << (i % 6), (100 * depth + i) as u64);
            (rotated[i % 3], slots.into_iter().map(|x| x / 16.0).collect())
        };
        x = draft.inner_product((0..layer.n_terms).map(term).collect());
        shared.push(layer.shared);
        x = draft.rescale(x);
        if layer.biased {
            x = draft.add_plain(x, values(8, depth as u64));
        }
    }
    draft.output(x);
    let mut program = draft.finish();
    share(&mut program, &shared);
    program
}

/// Makes terms read the plaintexts of earlier ones; leaves some without readers.
fn share(program: &mut Program, shared: &[bool]) {
    let mut shared = shared.iter();
    for instr in &mut program.instrs {
        if let Instr::InnerProduct { terms, .. } = instr
            && *shared.next().unwrap()
        {
            let first = terms[0].1;
            terms.iter_mut().skip(1).step_by(3).for_each(|term| term.1 = first);
        }
    }
}

/// Budgets from nothing to everything and beyond; numbers alone take no memory.
fn budgets(total: usize) -> [usize; 6] {
    [0, 1, total / 7, total / 2, total.saturating_sub(1), total + 1]
}

/// What a server says that ciphertexts take, and what they took on one thread.
fn ciphertext_bytes(program: &Program) -> (usize, usize) {
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let server =
        Server::load_with(&artifact::write_program(program), &Executor::new(Some(1)).unwrap(), &|_, _| ());
    let server = server.unwrap();
    let session = server.session(&client.eval_keys().unwrap()).unwrap();
    let shapes = program.manifest.inputs.iter().map(|port| &port.layout.shape);
    let tensor = |shape: &Shape| Tensor::new(shape.clone(), vec![0.5; shape.n_elements()]).unwrap();
    let tensors: Vec<Tensor> = shapes.map(tensor).collect();
    let reply = session.eval(&client.encrypt(&tensors).unwrap()).unwrap();
    (server.ciphertext_bytes(), reply.cost.memory.ciphertexts)
}

/// Products of two inputs and their rotations, squared; one input is not read.
fn squares(turned: bool) -> Program {
    let mut draft = Draft::new(&params(RING_DEGREE, 4, 1));
    let (a, b, _unread) = (draft.input(), draft.input(), draft.input());
    let operands = if turned { draft.rotate(a, &[1, 2, 3]) } else { vec![a] };
    let squares: Vec<_> = (1..6)
        .map(|i| {
            let term = |x, k: i32| (x, vec![f64::from(i * k) / 30.0, 0.5]);
            let mut terms: Vec<_> = operands.iter().map(|&x| term(x, 1)).collect();
            terms.extend((!turned).then(|| term(b, 2)));
            let sum = draft.inner_product(terms);
            let low = draft.rescale(sum);
            let square = draft.mul(low, low);
            let square = draft.relin(square);
            draft.rescale(square)
        })
        .collect();
    let sum = draft.sum(squares);
    draft.output(sum);
    draft.finish()
}

#[test]
fn servers_know_what_ciphertexts_take() {
    for turned in [false, true] {
        let (expected, found) = ciphertext_bytes(&squares(turned));
        assert_eq!(expected, found, "turned {turned}");
        let polynomial = RING_DEGREE * size_of::<u64>();
        assert!(expected > 2 * 2 * 5 * polynomial, "two inputs of five limbs and more, not {expected}");
    }
}

#[test]
fn programs_keep_to_the_memory_that_keys_and_ciphertexts_leave() {
    let program = squares(false);
    let (cts, keys) = (ciphertext_bytes(&program).0, program.manifest.key_bytes() as usize);
    let executor = |run: usize, plain: Bound| {
        let memory = PlainMemory { budget: plain, overflow: Overflow::Encode };
        let limits = Limits::default().with_memory(Bound::Bytes(run));
        Executor::new(Some(1)).unwrap().with_plain_memory(memory).with_limits(limits)
    };
    let load =
        |executor: &Executor| Server::load_with(&artifact::write_program(&program), executor, &|_, _| ());
    let refused = load(&executor(cts + keys - 1, Bound::All)).err();
    let what = Held::KeysAndCiphertexts;
    let error = Error::Memory { what, needed: cts + keys, available: cts + keys - 1 };
    assert_eq!(refused.map(|e| e.to_string()), Some(error.to_string()));
    let ring = program.manifest.ring_bytes() as usize;
    assert!(matches!(
        load(&executor(ring - 1, Bound::All)).err(),
        Some(Error::Memory { what: Held::Ring, .. })
    ));
    let kept = |run: usize, plain: Bound| {
        let server = load(&executor(run, plain)).unwrap();
        let client = Client::generate_insecure(&program.manifest).unwrap();
        server.session(&client.eval_keys().unwrap()).unwrap().plain_bytes().resident
    };
    let all = kept(usize::MAX, Bound::Bytes(usize::MAX));
    assert!(all > 0);
    let both = cts + keys;
    assert!(both > ring, "or the ring is what is refused");
    assert_eq!(kept(both, Bound::Bytes(usize::MAX)), 0, "keys and ciphertexts leave nothing");
    assert_eq!(kept(both + all, Bound::Bytes(usize::MAX)), all);
    assert_eq!(kept(both, Bound::All), all, "whoever asks for all gets all");
    assert!(
        (1..all).contains(&kept(both + all - 1, Bound::Bytes(usize::MAX))),
        "weights keep to what is left"
    );
}

fn run_with<B: Backend>(
    program: &Program,
    backend: B,
    cts: &[B::Ct],
    n_threads: usize,
    memory: PlainMemory,
) -> RunReport<B::Ct> {
    let executor = Executor::new(Some(n_threads)).unwrap().with_plain_memory(memory);
    let prepared = executor.prepare(Arc::new(program.clone()), backend).unwrap();
    prepared.run(cts.iter().map(|ct| vec![ct.clone()]).collect()).unwrap()
}

/// Runs a program with every budget and compares outputs and what is reported.
fn memory_changes_nothing<B: Backend, T: PartialEq>(
    program: &Program,
    backend: impl Fn() -> B,
    encrypt: impl Fn(&[f64], CtType) -> B::Ct,
    bytes: impl Fn(&B::Ct) -> T,
    overflows: &[Overflow],
) {
    let ports = &program.manifest.inputs;
    let cts: Vec<_> = inputs(program).iter().zip(ports).map(|(x, port)| encrypt(x, port.ty)).collect();
    let read = |report: &RunReport<B::Ct>| report.outputs.iter().flatten().map(&bytes).collect::<Vec<T>>();
    let all = run_with(program, backend(), &cts, 1, PlainMemory::default());
    let (expected, total) = (read(&all), all.cost.memory.resident_plains);
    let largest = largest_plain(program, &backend());
    assert_eq!((all.cost.memory.on_the_fly_plains, all.cost.memory.mapped_plains), (0, 0));
    for overflow in overflows {
        for budget in budgets(total) {
            for n_threads in [1, 3] {
                let memory = PlainMemory { budget: Bound::Bytes(budget), overflow: overflow.clone() };
                let report = run_with(program, backend(), &cts, n_threads, memory);
                assert!(read(&report) == expected, "{overflow:?} {budget} {n_threads}");
                let found = report.cost.memory;
                let plains = found.resident_plains + found.on_the_fly_plains;
                assert!(plains <= budget.max(n_threads * largest), "{plains} of {budget}");
                assert!(found.peak >= found.resident_plains + found.keys + found.ciphertexts);
                assert!(found.peak <= plains + found.keys + found.ciphertexts);
                match overflow {
                    Overflow::Encode => assert_eq!(found.mapped_plains, 0),
                    Overflow::Map(_) => assert_eq!(found.resident_plains + found.mapped_plains, total),
                }
            }
        }
    }
}

fn largest_plain<B: Backend>(program: &Program, backend: &B) -> usize {
    let size = |used: &hecc_ir::program::PlainUse| {
        let ty = PlainType { level: used.level, scale: used.scale, rotations: true };
        backend.plain_bytes(&program.consts[used.constant as usize], ty)
    };
    program.plains.iter().map(size).max().unwrap_or(0)
}

fn mapping() -> Overflow {
    Overflow::Map(std::env::temp_dir())
}

/// Keys for a program and the secret they belong to.
struct Keys {
    context: Arc<Context>,
    secret: SecretKey,
    keys: EvalKeys,
}

impl Keys {
    fn new(program: &Program) -> Keys {
        let context = Context::new(&ckks::params(&program.manifest.params)).unwrap();
        let mut generator = KeyGenerator::insecure_from_seed(&context, 1);
        let plan = &program.manifest.keys;
        let rotations: Vec<_> = plan.rotations.iter().map(|(s, l)| (s.get(), l.0 as usize)).collect();
        let keys = generator.eval_keys(plan.relin.map(|level| level.0 as usize), &rotations).unwrap();
        Keys { context, secret: generator.secret_key().clone(), keys }
    }

    fn encrypt(&self, slots: &[f64], ty: CtType) -> CkksCt {
        let encoder = Encoder::new(&self.context);
        let plain = encoder.encode(slots, ty.level.0 as usize, ty.scale.factor()).unwrap();
        CkksCt::new(self.secret.encrypt(&plain).unwrap(), ty.scale)
    }
}

/// Few cases: each runs dozens of times.
fn few_cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { failure_persistence: None, cases: (default.cases / 20).max(1), ..default }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn on_plain_slots(layers in layers()) {
        let program = program_of(&layers);
        let params = &program.manifest.params;
        let clear = || Clear::new(params);
        let bits = |slots: &[f64]| slots.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let encrypt = |slots: &[f64], ty| clear().encrypt(slots, ty).unwrap();
        let overflows = [Overflow::Encode, mapping()];
        memory_changes_nothing(&program, clear, encrypt, |ct| bits(&ct.slots), &overflows);
        let sim = || Sim::new(params);
        let encrypt = |slots: &[f64], ty| sim().encrypt(slots, ty).unwrap();
        let bits = |ct: &<Sim as Backend>::Ct| (bits(ct.slots()), bits(&ct.std()));
        memory_changes_nothing(&program, sim, encrypt, bits, &overflows);
    }

    #[test]
    fn under_encryption(layers in layers()) {
        let program = program_of(&layers);
        let keys = Keys::new(&program);
        let backend = || Ckks::new(&keys.context, &program.manifest.params, keys.keys.clone());
        let encrypt = |slots: &[f64], ty| keys.encrypt(slots, ty);
        let bytes = |ct: &CkksCt| ct.inner().to_bytes(&keys.context).unwrap();
        memory_changes_nothing(&program, backend, encrypt, bytes, &[Overflow::Encode, mapping()]);
    }
}

#[test]
fn encoded_plaintexts_take_the_bytes_announced() {
    let params = params(RING_DEGREE, 4, 1);
    let context = Context::new(&ckks::params(&params)).unwrap();
    let (backend, encoder) = (Ckks::new(&context, &params, EvalKeys::default()), Encoder::new(&context));
    for level in 0..=4 {
        for period in [1, 2, RING_DEGREE / 2] {
            let plain = Plain::new(values(period, 1));
            let scale = Scale::from_log2(30.0);
            let ty = |rotations| PlainType { level: Level(level), scale, rotations };
            let encoded = encoder.encode(&plain.values(), level as usize, scale.factor()).unwrap();
            assert_eq!(backend.plain_bytes(&plain, ty(false)), encoded.byte_size());
            let encoded = encoder.encode_extended(&plain.values(), level as usize, scale.factor()).unwrap();
            assert_eq!(backend.plain_bytes(&plain, ty(true)), encoded.byte_size());
        }
    }
}

/// Two layers, the second with plaintexts that are read often.
fn example() -> Program {
    let layer = |shared| Layer { n_terms: 20, biased: true, shared };
    program_of(&[layer(false), layer(true)])
}

#[test]
fn what_a_run_holds_adds_up() {
    let program = example();
    let keys = Keys::new(&program);
    let backend = Ckks::new(&keys.context, &program.manifest.params, keys.keys.clone());
    let cts = [keys.encrypt(&inputs(&program)[0], program.manifest.inputs[0].ty)];
    let memory = run_with(&program, backend, &cts, 1, PlainMemory::default()).cost.memory;
    assert_eq!(memory.keys, keys.keys.byte_size());
    assert_eq!(memory.peak, memory.ciphertexts + memory.resident_plains + memory.keys);
}

#[test]
fn without_budget_one_plaintext_per_thread_is_alive() {
    let program = example();
    let clear = Clear::new(&program.manifest.params);
    let largest = largest_plain(&program, &clear);
    let cts = [clear.encrypt(&inputs(&program)[0], program.manifest.inputs[0].ty).unwrap()];
    let memory = PlainMemory { budget: Bound::Bytes(0), overflow: Overflow::Encode };
    let found = run_with(&program, clear, &cts, 1, memory).cost.memory;
    assert_eq!((found.resident_plains, found.on_the_fly_plains), (0, largest));
}

#[test]
fn servers_answer_alike_with_any_budget() {
    let program = example();
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let (keys, bytes) = (client.eval_keys().unwrap(), artifact::write_program(&program));
    let input = client.encrypt(&tensors(&inputs(&program))).unwrap();
    let answer = |budget| {
        let memory = PlainMemory { budget, overflow: Overflow::Encode };
        let executor = Executor::new(Some(2)).unwrap().with_plain_memory(memory);
        let session = Server::load_with(&bytes, &executor, &|_, _| ()).unwrap().session(&keys).unwrap();
        (session.eval(&input).unwrap().bundle, session.plain_bytes())
    };
    let (all, kept) = answer(Bound::All);
    let (fresh, anew) = answer(Bound::Bytes(0));
    assert!(all == fresh);
    assert_eq!((kept.resident, kept.on_the_fly), (anew.on_the_fly, anew.resident));
    assert_eq!(kept.total(), anew.total());
}

#[test]
fn a_plaintext_that_cannot_be_encoded_is_refused_in_time_or_by_the_run() {
    let mut draft = Draft::new(&params(RING_DEGREE, 2, 1));
    let x = draft.input();
    let sum = draft.add_plain(x, vec![1e300, 0.0]);
    draft.output(sum);
    let program = Arc::new(draft.finish());
    let keys = Keys::new(&program);
    let backend = || Ckks::new(&keys.context, &program.manifest.params, keys.keys.clone());
    let executor = Executor::new(Some(1)).unwrap();
    assert!(matches!(executor.prepare(program.clone(), backend()), Err(Error::Ckks(_))));
    let executor =
        executor.with_plain_memory(PlainMemory { budget: Bound::Bytes(0), overflow: Overflow::Encode });
    let prepared = executor.prepare(program.clone(), backend()).unwrap();
    let ct = keys.encrypt(&inputs(&program)[0], program.manifest.inputs[0].ty);
    let refused = prepared.run(vec![vec![ct]]).map(|_| ());
    assert!(matches!(refused, Err(Error::Instruction { mnemonic: "add_plain", .. })), "{refused:?}");
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let program = Arc::new(example());
    let overflow = Overflow::Map("no such folder".into());
    let executor = Executor::new(Some(1)).unwrap();
    let executor = executor.with_plain_memory(PlainMemory { budget: Bound::Bytes(0), overflow });
    let refused = executor.prepare(program.clone(), Clear::new(&program.manifest.params));
    assert!(matches!(refused, Err(Error::Spill { .. })));
}

#[test]
fn progress_counts_what_is_kept() {
    let program = Arc::new(example());
    let backend = Clear::new(&program.manifest.params);
    let counted = |memory: PlainMemory| {
        let told = std::sync::Mutex::new((0, 0));
        let executor = Executor::new(Some(2)).unwrap().with_plain_memory(memory);
        let note = |done: usize, total: usize| {
            let mut told = told.lock().unwrap();
            *told = (told.0.max(done), total);
        };
        executor.encode(program.clone(), &backend, &note).unwrap();
        told.into_inner().unwrap()
    };
    let none = PlainMemory { budget: Bound::Bytes(0), overflow: Overflow::Encode };
    assert_eq!(counted(none), (0, 0));
    let (all, total) = counted(PlainMemory::default());
    assert!(all == total && all > 20);
    let mapped = counted(PlainMemory { budget: Bound::Bytes(100), overflow: mapping() });
    assert_eq!(mapped, (all, total));
}
