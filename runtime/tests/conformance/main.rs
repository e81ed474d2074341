//! Every back end runs the same programs and agrees with plain slots.
//!
//! A back end joins by a [`Harness`]. Each case covers some instructions; the
//! expected slots come from formulas, not from another back end.
#![allow(clippy::unwrap_used)]

mod cases;
#[path = "../common/mod.rs"]
mod common;

use cases::{CASES, Case, Slots};
use common::{Draft, params, rms, values};
use hecc_ckks::{Context, Encoder, EvalKeys, KeyGenerator, SecretKey};
use hecc_ir::{CtType, Manifest, Params, Program};
use hecc_runtime::backend::ckks::{self, CkksCt};
use hecc_runtime::{Backend, Ckks, Clear, Executor, Sim, dry, port};
use std::sync::Arc;

/// One back end under test.
trait Harness {
    type Backend: Backend;

    /// Keys for a program.
    fn new(program: &Program) -> Self;

    fn backend(&self) -> Self::Backend;

    fn encrypt(&self, slots: &[f64], ty: CtType) -> <Self::Backend as Backend>::Ct;

    fn decrypt(&self, ct: &<Self::Backend as Backend>::Ct) -> Slots;

    /// Root mean square error that is still agreement.
    const TOLERANCE: f64;
}

fn program_of(case: &Case, ring_degree: usize, digit_limbs: usize, lanes: usize) -> Program {
    let mut draft = Draft::with_lanes(&params(ring_degree, 4, digit_limbs), lanes);
    let result = (case.build)(&mut draft);
    draft.output(result);
    draft.finish()
}

fn conforms<H: Harness>(ring_degree: usize, digit_limbs: usize) {
    for lanes in [1, 2, ring_degree / 32] {
        for case in CASES {
            check::<H>(case, &program_of(case, ring_degree, digit_limbs, lanes));
        }
    }
    one_slot_conforms::<H>(ring_degree, digit_limbs);
}

/// All lanes: the programs whose plaintexts have one slot.
fn one_slot_conforms<H: Harness>(ring_degree: usize, digit_limbs: usize) {
    let programs =
        CASES.iter().map(|case| (case, program_of(case, ring_degree, digit_limbs, ring_degree / 2)));
    let fit: Vec<_> =
        programs.filter(|(_, program)| program.consts.iter().all(|plain| plain.period() == 1)).collect();
    assert!(fit.len() > CASES.len() / 2);
    fit.iter().for_each(|(case, program)| check::<H>(case, program));
}

/// Compares every lane with what its inputs give alone.
fn check<H: Harness>(case: &Case, program: &Program) {
    let harness = H::new(program);
    let encrypt = |_: &H::Backend, slots: &[f64], ty| harness.encrypt(slots, ty);
    let report = common::run(program, harness.backend(), 2, encrypt).unwrap();
    let result = &report.outputs[0][0];
    let samples = common::batch(program);
    let outputs = [vec![harness.decrypt(result)]];
    let found = port::unpack_batch(&program.manifest, &outputs, samples.len()).unwrap().concat().concat();
    let expected: Vec<f64> = samples.iter().flat_map(|inputs| (case.expected)(inputs)).collect();
    let error = rms(&found, &expected);
    assert!(error < H::TOLERANCE, "{} in {} lanes: error {error:e}", case.name, samples.len());
    assert_eq!(harness.backend().ct_type(result), program.manifest.outputs[0].ty, "{}", case.name);
}

struct ClearHarness(Clear);

impl Harness for ClearHarness {
    type Backend = Clear;
    const TOLERANCE: f64 = 1e-15;

    fn new(program: &Program) -> Self {
        ClearHarness(Clear::new(&program.manifest.params).with_lanes(program.manifest.lanes()))
    }

    fn backend(&self) -> Clear {
        self.0.clone()
    }

    fn encrypt(&self, slots: &[f64], ty: CtType) -> <Clear as Backend>::Ct {
        self.0.encrypt(slots, ty).unwrap()
    }

    fn decrypt(&self, ct: &<Clear as Backend>::Ct) -> Slots {
        ct.slots.clone()
    }
}

struct SimHarness(Sim);

impl Harness for SimHarness {
    type Backend = Sim;
    const TOLERANCE: f64 = 1e-15;

    fn new(program: &Program) -> Self {
        SimHarness(Sim::new(&program.manifest.params).with_lanes(program.manifest.lanes()))
    }

    fn backend(&self) -> Sim {
        self.0.clone()
    }

    fn encrypt(&self, slots: &[f64], ty: CtType) -> <Sim as Backend>::Ct {
        self.0.encrypt(slots, ty).unwrap()
    }

    fn decrypt(&self, ct: &<Sim as Backend>::Ct) -> Slots {
        ct.slots().to_vec()
    }
}

struct CkksHarness {
    context: Arc<Context>,
    params: Params,
    lanes: usize,
    secret: SecretKey,
    keys: EvalKeys,
}

impl Harness for CkksHarness {
    type Backend = Ckks;
    const TOLERANCE: f64 = 1e-6;

    fn new(program: &Program) -> Self {
        let (Manifest { params, keys, .. }, lanes) = (&program.manifest, program.manifest.lanes());
        let context = Context::new(&ckks::params(params)).unwrap();
        let mut generator = KeyGenerator::insecure_from_seed(&context, 1);
        let rotations: Vec<_> = keys.rotations.iter().map(|(s, l)| (s.get() * lanes, l.0 as usize)).collect();
        let keys = generator.eval_keys(keys.relin.map(|level| level.0 as usize), &rotations).unwrap();
        let (params, secret) = (params.clone(), generator.secret_key().clone());
        CkksHarness { context, params, lanes, secret, keys }
    }

    fn backend(&self) -> Ckks {
        Ckks::new(&self.context, &self.params, self.keys.clone()).with_lanes(self.lanes)
    }

    fn encrypt(&self, slots: &[f64], ty: CtType) -> CkksCt {
        let encoder = Encoder::new(&self.context);
        let plain = encoder.encode(slots, ty.level.0 as usize, ty.scale.factor()).unwrap();
        CkksCt::new(self.secret.encrypt(&plain).unwrap(), ty.scale)
    }

    fn decrypt(&self, ct: &CkksCt) -> Slots {
        let plain = self.secret.decrypt(ct.inner()).unwrap();
        Encoder::new(&self.context).decode(&plain, ct.ty().scale.factor()).unwrap()
    }
}

/// Factor by which the forecast error may miss the measured one.
const NOISE_FACTOR: f64 = 2.0;

/// Error of each slot of an encrypted run of a case.
fn measured_errors(case: &Case, program: &Program) -> Slots {
    let expected = (case.expected)(&common::inputs(program));
    let ckks = CkksHarness::new(program);
    let report = common::run(program, ckks.backend(), 2, |_, x, ty| ckks.encrypt(x, ty)).unwrap();
    let found = ckks.decrypt(&report.outputs[0][0]);
    found.iter().zip(&expected).map(|(x, y)| (x - y).abs()).collect()
}

#[test]
fn forecast_errors_match_measured_ones() {
    let executor = Executor::new(Some(2)).unwrap();
    for (ring_degree, digit_limbs) in [(1024, 1), (4096, 2)] {
        for case in CASES {
            let program = program_of(case, ring_degree, digit_limbs, 1);
            let errors = measured_errors(case, &program);
            let tensors = common::tensors(&common::inputs(&program));
            let forecast = dry::forecast(&executor, Arc::new(program), &tensors).unwrap();
            let expected = &forecast.errors[0];
            let ratio = expected.rms / rms(&errors, &vec![0.0; errors.len()]);
            let largest = errors.iter().copied().fold(0.0, f64::max);
            println!(
                "{:20} N={ring_degree} rms ratio {ratio:.2} max ratio {:.2}",
                case.name,
                expected.max / largest
            );
            assert!((1.0 / NOISE_FACTOR..NOISE_FACTOR).contains(&ratio), "{}: {ratio}", case.name);
            assert!((0.3..8.0).contains(&(expected.max / largest)), "{}: {largest:e}", case.name);
        }
    }
}

#[test]
fn ckks_conforms() {
    conforms::<CkksHarness>(1024, 1);
    conforms::<CkksHarness>(2048, 2);
}

#[test]
fn clear_conforms() {
    conforms::<ClearHarness>(64, 1);
}

#[test]
fn sim_conforms() {
    conforms::<SimHarness>(64, 2);
}

#[test]
fn sim_says_which_results_outgrow_the_modulus() {
    let mut draft = Draft::new(&params(64, 1, 1));
    let x = draft.input();
    let low = draft.drop_level(x, 0);
    let big = draft.add_plain(low, vec![600.0]);
    draft.output(big);
    let program = draft.finish();
    let harness = SimHarness::new(&program);
    let report = common::run(&program, harness.backend(), 1, |_, x, ty| harness.encrypt(x, ty)).unwrap();
    let error = harness.backend().headroom(&report.outputs[0][0]).unwrap_err();
    assert!(error.to_string().contains("values need 50."), "{error}");
}

#[test]
fn values_cover_their_range() {
    let sample = values(4096, 3);
    assert!(sample.iter().all(|x| (-1.0..=1.0).contains(x)));
    assert!(rms(&sample, &vec![0.0; 4096]) > 0.5);
}
