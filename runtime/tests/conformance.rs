//! Every back end runs the same programs and agrees with plain slots.
//!
//! A back end joins by a [`Harness`]. Each case covers some instructions; the
//! expected slots come from formulas, not from another back end.

mod common;

use common::{Draft, params, rms, values};
use hecc_ckks::{Context, Encoder, EvalKeys, KeyGenerator, SecretKey};
use hecc_ir::{CtType, Manifest, Params, Program, Reg};
use hecc_runtime::backend::ckks::{self, CkksCt};
use hecc_runtime::{Backend, Ckks, Clear, Executor, Sim, dry};
use std::sync::Arc;

/// Slots of an input by slot index.
type Slots = Vec<f64>;

/// A program of one ciphertext output and what it computes.
struct Case {
    name: &'static str,
    build: fn(&mut Draft) -> Reg,
    expected: fn(&[Slots]) -> Slots,
}

const CASES: &[Case] = &[
    Case { name: "input", build: |d| d.input(), expected: |x| x[0].clone() },
    Case { name: "zero", build: zero_plus_input, expected: |x| x[0].clone() },
    Case { name: "rotate", build: |d| { let x = d.input(); d.rotate(x, &[5])[0] }, expected: |x| shift(&x[0], 5) },
    Case { name: "rotate-many", build: rotate_many, expected: |x| map(|i| at(x, 0, i + 1) + at(x, 0, i + 7) + at(x, 0, i + n(x) - 3), x) },
    Case { name: "rotate-by-nothing", build: |d| { let x = d.input(); d.rotate(x, &[0, 1])[0] }, expected: |x| x[0].clone() },
    Case { name: "inner-product", build: inner_product, expected: |x| map(|i| x[0][i] * weight(i) + x[1][i] * (0.25 + (i % 2) as f64), x) },
    Case { name: "sum", build: |d| { let (x, y, z) = three(d); d.sum(vec![x, y, z]) }, expected: |x| map(|i| x[0][i] + x[1][i] + x[2][i], x) },
    Case { name: "sub", build: |d| { let (x, y, _) = three(d); d.sub(x, y) }, expected: |x| map(|i| x[0][i] - x[1][i], x) },
    Case { name: "neg", build: |d| { let x = d.input(); d.neg(x) }, expected: |x| map(|i| -x[0][i], x) },
    Case { name: "add-plain", build: |d| { let x = d.input(); d.add_plain(x, vec![1.0, -2.0, 0.5, 0.0]) }, expected: |x| map(|i| x[0][i] + [1.0, -2.0, 0.5, 0.0][i % 4], x) },
    Case { name: "mul-scalar", build: |d| { let x = d.input(); let y = d.mul_scalar(x, -0.3); d.rescale(y) }, expected: |x| map(|i| -0.3 * x[0][i], x) },
    Case { name: "mul", build: |d| { let (x, y, _) = three(d); product(d, x, y) }, expected: |x| map(|i| x[0][i] * x[1][i], x) },
    Case { name: "square", build: |d| { let x = d.input(); product(d, x, x) }, expected: |x| map(|i| x[0][i] * x[0][i], x) },
    Case { name: "degree-two", build: degree_two, expected: |x| map(|i| 0.5 * (x[0][i] * x[0][i] + x[1][i] - x[2][i] * x[0][i]) + 1.0, x) },
    Case { name: "mixed-degrees", build: mixed_degrees, expected: |x| map(|i| -x[0][i] * x[0][i], x) },
    Case { name: "rescale-before-relin", build: rescale_before_relin, expected: |x| map(|i| x[0][i] * x[1][i], x) },
    Case { name: "drop-level", build: |d| { let x = d.input(); let y = d.drop_level(x, 1); product(d, y, y) }, expected: |x| map(|i| x[0][i] * x[0][i], x) },
    Case { name: "level-zero", build: |d| { let x = d.input(); let y = d.drop_level(x, 0); d.rotate(y, &[2])[0] }, expected: |x| shift(&x[0], 2) },
    Case { name: "dense-and-square", build: dense_and_square, expected: |x| map(|i| { let h = (0..8).map(|k| at(x, 0, i + k) * weight(i + k)).sum::<f64>() + 0.5; h * h }, x) },
];

fn n(x: &[Slots]) -> usize {
    x[0].len()
}

fn at(x: &[Slots], input: usize, slot: usize) -> f64 {
    x[input][slot % n(x)]
}

fn map(f: impl Fn(usize) -> f64, x: &[Slots]) -> Slots {
    (0..n(x)).map(f).collect()
}

fn shift(x: &[f64], step: usize) -> Slots {
    (0..x.len()).map(|i| x[(i + step) % x.len()]).collect()
}

/// A weight of period 16 that no symmetry hides.
fn weight(i: usize) -> f64 {
    ((i % 16) as f64 * 0.7).sin() * 0.4
}

fn weights() -> Vec<f64> {
    (0..16).map(weight).collect()
}

fn three(d: &mut Draft) -> (Reg, Reg, Reg) {
    (d.input(), d.input(), d.input())
}

fn product(d: &mut Draft, a: Reg, b: Reg) -> Reg {
    let squared = d.mul(a, b);
    let linear = d.relin(squared);
    d.rescale(linear)
}

fn zero_plus_input(d: &mut Draft) -> Reg {
    let x = d.input();
    let zero = d.zero(d.ty(x));
    d.sum(vec![zero, x])
}

fn rotate_many(d: &mut Draft) -> Reg {
    let x = d.input();
    let rotated = d.rotate(x, &[1, 7, -3]);
    d.sum(rotated)
}

fn inner_product(d: &mut Draft) -> Reg {
    let (x, y) = (d.input(), d.input());
    let sum = d.inner_product(vec![(x, weights()), (y, vec![0.25, 1.25])]);
    d.rescale(sum)
}

fn degree_two(d: &mut Draft) -> Reg {
    let (x, y, z) = three(d);
    let square = d.mul(x, x);
    let one = d.zero(d.ty(x));
    let one = d.add_plain(one, vec![1.0]);
    let linear = d.mul(y, one);
    let sum = d.sum(vec![square, linear]);
    let cross = d.mul(z, x);
    let difference = d.sub(sum, cross);
    let linear = d.relin(difference);
    let linear = d.rescale(linear);
    let half = d.mul_scalar(linear, 0.5);
    let half = d.rescale(half);
    d.add_plain(half, vec![1.0])
}

fn mixed_degrees(d: &mut Draft) -> Reg {
    let x = d.input();
    let square = d.mul(x, x);
    let offset = d.zero(CtType { degree: 1, ..d.ty(square) });
    let offset = d.add_plain(offset, vec![0.25]);
    let sum = d.sum(vec![offset, square, offset]);
    let sum = d.sub(sum, offset);
    let sum = d.sub(offset, sum);
    let linear = d.relin(sum);
    d.rescale(linear)
}

fn rescale_before_relin(d: &mut Draft) -> Reg {
    let (x, y, _) = three(d);
    let product = d.mul(x, y);
    let product = d.rescale(product);
    d.relin(product)
}

fn dense_and_square(d: &mut Draft) -> Reg {
    let x = d.input();
    let steps: Vec<i64> = (0..8).collect();
    let rotated = d.rotate(x, &steps);
    let shifted = |k: usize| (0..16).map(|i| weight(i + k)).collect();
    let terms = rotated.into_iter().enumerate().map(|(k, reg)| (reg, shifted(k))).collect();
    let sum = d.inner_product(terms);
    let dense = d.rescale(sum);
    let biased = d.add_plain(dense, vec![0.5]);
    product(d, biased, biased)
}

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

fn program_of(case: &Case, ring_degree: usize, digit_limbs: usize) -> Program {
    let mut draft = Draft::new(&params(ring_degree, 4, digit_limbs));
    let result = (case.build)(&mut draft);
    draft.output(result);
    draft.finish()
}

fn conforms<H: Harness>(ring_degree: usize, digit_limbs: usize) {
    for case in CASES {
        let program = program_of(case, ring_degree, digit_limbs);
        let harness = H::new(&program);
        let encrypt = |_: &H::Backend, slots: &[f64], ty| harness.encrypt(slots, ty);
        let report = common::run(&program, harness.backend(), 2, encrypt).unwrap();
        let result = &report.outputs[0][0];
        let expected = (case.expected)(&common::inputs(&program));
        let found = harness.decrypt(result);
        let error = rms(&found, &expected);
        assert!(error < H::TOLERANCE, "{}: error {error:e}", case.name);
        let ty = program.manifest.outputs[0].ty;
        assert_eq!(harness.backend().ct_type(result), ty, "{}", case.name);
    }
}

struct ClearHarness(Clear);

impl Harness for ClearHarness {
    type Backend = Clear;
    const TOLERANCE: f64 = 1e-15;

    fn new(program: &Program) -> Self {
        ClearHarness(Clear::new(&program.manifest.params))
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
        SimHarness(Sim::new(&program.manifest.params))
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
    secret: SecretKey,
    keys: EvalKeys,
}

impl Harness for CkksHarness {
    type Backend = Ckks;
    const TOLERANCE: f64 = 1e-6;

    fn new(program: &Program) -> Self {
        let Manifest { params, keys, .. } = &program.manifest;
        let context = Context::new(&ckks::params(params)).unwrap();
        let mut generator = KeyGenerator::insecure_from_seed(&context, 1);
        let rotations: Vec<_> = keys.rotations.iter().map(|(s, l)| (s.get(), l.0 as usize)).collect();
        let keys = generator.eval_keys(keys.relin.map(|level| level.0 as usize), &rotations).unwrap();
        CkksHarness { context, params: params.clone(), secret: generator.secret_key().clone(), keys }
    }

    fn backend(&self) -> Ckks {
        Ckks::new(&self.context, &self.params, self.keys.clone())
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
            let program = program_of(case, ring_degree, digit_limbs);
            let errors = measured_errors(case, &program);
            let tensors = common::inputs(&program);
            let forecast = dry::forecast(&executor, Arc::new(program), &tensors).unwrap();
            let expected = &forecast.errors[0];
            let ratio = expected.rms / rms(&errors, &vec![0.0; errors.len()]);
            let largest = errors.iter().copied().fold(0.0, f64::max);
            println!("{:20} N={ring_degree} rms ratio {ratio:.2} max ratio {:.2}", case.name, expected.max / largest);
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
fn sim_refuses_values_that_outgrow_the_modulus() {
    let mut draft = Draft::new(&params(64, 1, 1));
    let x = draft.input();
    let low = draft.drop_level(x, 0);
    let big = draft.add_plain(low, vec![600.0]);
    draft.output(big);
    let program = draft.finish();
    let harness = SimHarness::new(&program);
    let error = common::run(&program, harness.backend(), 1, |_, x, ty| harness.encrypt(x, ty)).unwrap_err();
    assert!(error.to_string().contains("values need 50."), "{error}");
}

#[test]
fn values_cover_their_range() {
    let sample = values(4096, 3);
    assert!(sample.iter().all(|x| (-1.0..=1.0).contains(x)));
    assert!(rms(&sample, &vec![0.0; 4096]) > 0.5);
}
