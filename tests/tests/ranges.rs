//! Ranges of inputs: what is served is computed rightly or told, and a bound holds for every input.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use hecc::model::{Dense, LayerKind, Model, ModelBuilder};
use hecc::pipeline::{CompileError, Compiled, Options, Served, compile};
use hecc_ir::program::RangeBasis;
use hecc_ir::{Program, Shape, Tensor};
use hecc_runtime::client::Client;
use hecc_runtime::{Error, Executor, dry};
use hecc_tests::compiling::options_for;
use hecc_tests::encrypted::Connected;
use hecc_tests::models::{input_for, models, tensor_for, values};
use proptest::prelude::*;
use std::sync::Arc;

const N_SLOTS: usize = 64;
const N: usize = 16;

/// Layers one after another on a vector of [`N`] elements.
fn chain(range: (f64, f64), layers: &[LayerKind]) -> Model {
    let mut builder = ModelBuilder::new();
    let input = LayerKind::Input { range };
    let mut last = builder.push("x", input, &[], Some(Shape(vec![N]))).unwrap();
    for layer in layers {
        last = builder.push("layer", layer.clone(), &[last], None).unwrap();
    }
    builder.finish("chain", last)
}

fn square() -> LayerKind {
    LayerKind::Polynomial { coefficients: vec![0.0, 0.0, 1.0] }
}

fn scaled(factor: f64) -> LayerKind {
    LayerKind::Affine { scale: vec![factor; N], shift: vec![0.0; N] }
}

fn dense(weight: impl Fn(usize) -> f64) -> LayerKind {
    LayerKind::Dense(Dense { weight: (0..2 * N).map(weight).collect(), bias: Vec::new() })
}

/// A model, and calibration that shows little of what it declares.
struct Case {
    name: &'static str,
    model: Model,
    samples: Vec<Vec<f64>>,
    batch: usize,
}

impl Case {
    fn tensors(&self) -> Vec<Tensor> {
        self.samples.iter().map(|sample| tensor_for(&self.model, sample)).collect()
    }
}

fn within((low, high): (f64, f64), seed: u64) -> Vec<f64> {
    values(N, seed).into_iter().map(|x| low + (high - low) * (x + 1.0) / 2.0).collect()
}

fn cases() -> Vec<Case> {
    let plus_minus = |i: usize| if i < N { 1.0 } else { -1.0 };
    let samples = |range| (0..4).map(|seed| within(range, seed)).collect::<Vec<_>>();
    let case = |name, model, samples| Case { name, model, samples, batch: 1 };
    let deep = || chain((-10.0, 10.0), &[scaled(3.0), square(), square(), dense(plus_minus)]);
    vec![
        case("a tenth of the range", deep(), samples((-1.0, 1.0))),
        case("faint samples", deep(), samples((-1e-3, 1e-3))),
        case("one corner", deep(), vec![vec![-10.0; N]; 2]),
        case("zeros", deep(), vec![vec![0.0; N]]),
        case("large weights", chain((-4.0, 4.0), &[dense(|i| 1e4 * (i as f64 - 9.0))]), samples((-0.1, 0.1))),
        case("all alike", chain((0.0, 50.0), &[square(), square()]), vec![vec![2.0; N]]),
        case(
            "signs",
            chain((-8.0, 8.0), &[square(), square()]),
            vec![(0..N).map(|i| [-1.0, 1.0][i % 2]).collect()],
        ),
        case("negative only", chain((-9.0, -1.0), &[square(), scaled(0.5), square()]), samples((-2.0, -1.0))),
        case("no samples", deep(), Vec::new()),
        Case { batch: 4, ..case("lanes", deep(), samples((-1.0, 1.0))) },
    ]
}

fn compiled(case: &Case) -> Compiled {
    let n_slots = N_SLOTS * case.batch;
    let batch = Some(case.batch);
    let options = Options { precision: 1e-2, samples: case.tensors(), batch, ..options_for(n_slots) };
    compile(&case.model, &options).unwrap()
}

/// Whether the simulation sees that something else would be decrypted.
fn outgrows(program: &Program, inputs: &[Vec<f64>]) -> bool {
    let simulation =
        dry::Simulation::new(&Executor::new(Some(1)).unwrap(), Arc::new(program.clone())).unwrap();
    let shape = &program.manifest.inputs[0].layout.shape;
    let tensor = |x: &Vec<f64>| [Tensor::new(shape.clone(), x.clone()).unwrap()];
    let batch: Vec<[Tensor; 1]> = inputs.iter().map(tensor).collect();
    match simulation.forecast_batch(&batch) {
        Ok(_) => false,
        Err(Error::Overflow { .. }) => true,
        Err(other) => panic!("{other}"),
    }
}

/// Largest error of an output.
fn error(model: &Model, inputs: &[Vec<f64>], found: &[Vec<f64>]) -> f64 {
    let pairs = inputs.iter().zip(found).flat_map(|(x, y)| model.logits(x).into_iter().zip(y.clone()));
    pairs.map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

/// Inputs of a range: drawn, at its ends, and with ends drawn.
fn inputs_of((low, high): (f64, f64)) -> Vec<Vec<f64>> {
    let mut found: Vec<_> = (10..14).map(|seed| within((low, high), seed)).collect();
    found.extend([vec![low; N], vec![high; N]]);
    found.push((0..N).map(|i| if i % 2 == 0 { low } else { high }).collect());
    found.push(values(N, 99).into_iter().map(|x| if x > 0.0 { high } else { low }).collect());
    found
}

#[test]
fn what_is_served_is_right_or_told() {
    for case in cases() {
        let compiled = compiled(&case);
        let Served { range, declared, excess_bits, .. } = compiled.served;
        assert!(declared.0 <= range.0 && range.1 <= declared.1, "{}: {range:?}", case.name);
        let connected = Connected::new(&compiled.program);
        for input in case.samples.iter().cloned().chain(inputs_of(range)) {
            let batch = vec![input; case.batch];
            let outgrows = outgrows(&compiled.program, &batch);
            let largest = case.model.logits(&batch[0]).iter().fold(0.0f64, |max, x| max.max(x.abs()));
            let allowed = 0.05 * largest + 4.0 * compiled.prediction.max_error;
            match connected.try_predict_batch(&batch) {
                Ok(found) => {
                    let error = error(&case.model, &batch, &found);
                    assert!(error <= allowed, "{}: silent error {error} on {:?}", case.name, batch[0]);
                }
                Err(refusal) => assert!(excess_bits > 0.0, "{}: {refusal}", case.name),
            }
            assert!(!outgrows || excess_bits > 0.0, "{}: outgrown unannounced", case.name);
        }
    }
}

#[test]
fn inputs_beyond_what_is_served_are_refused_by_name() {
    for case in cases() {
        let compiled = compiled(&case);
        let Served { range, declared, .. } = compiled.served;
        let client = Client::generate_insecure(&compiled.program.manifest).unwrap();
        if range == declared {
            continue;
        }
        let mut input = vec![range.0; N];
        input[7] = if range.1 < declared.1 { declared.1 } else { declared.0 };
        match client.encrypt(&[tensor_for(&case.model, &input)]) {
            Err(Error::OutOfRange { port, index: 7, value, min, max, is_declared: true }) => {
                assert_eq!((port.as_str(), value, (min, max)), ("x", input[7], range));
            }
            other => panic!("{}: {:?}", case.name, other.map(|_| ())),
        }
    }
    // A tenth of the range is not served whole.
    assert!(!compiled(&cases()[0]).served.is_whole());
}

/// Real parameters: four squares of what the samples did not show.
#[test]
fn a_tenth_of_the_range_at_a_real_ring() {
    let case = &cases()[0];
    let options = Options { precision: 1e-3, samples: case.tensors(), ..Options::default() };
    let bounded = compile(&case.model, &Options { range_bound: true, ..options.clone() }).unwrap();
    let calibrated = compile(&case.model, &options).unwrap();
    assert!(!calibrated.served.is_whole() && bounded.served.is_whole());
    assert!(bounded.program.manifest.base_bits() > calibrated.program.manifest.base_bits() + 8.0);
    let without = bounded.without_bound.unwrap();
    assert_eq!(without.ring_degree, calibrated.program.manifest.params.ring_degree);
    let connected = Connected::new(&bounded.program);
    for input in inputs_of((-10.0, 10.0)) {
        let inputs = [input];
        let largest = case.model.logits(&inputs[0]).iter().fold(0.0f64, |max, x| max.max(x.abs()));
        let error = error(&case.model, &inputs, &connected.predict_batch(&inputs));
        assert!(error < 1e-3 * largest.max(1.0), "{error}");
    }
}

/// Inputs at the ends of the range that make the largest output coefficient larger, one element after another.
fn adversarial(compiled: &Compiled, model: &Model, seed: u64) -> Vec<Vec<f64>> {
    let (input, (low, high)) = model.input();
    let n = model.layer(input).shape.n_elements();
    let ends = |x: f64| if x > 0.0 { high } else { low };
    let size = |x: &[f64]| hecc::schedule::Outputs::on(&compiled.leveled, &[x.to_vec()]).coefficient;
    let mut found: Vec<f64> = values(n, seed).into_iter().map(ends).collect();
    let mut largest = size(&found);
    for i in (0..n).step_by(1 + n / 24) {
        let kept = found[i];
        found[i] = low + high - kept;
        let changed = size(&found);
        if changed > largest { largest = changed } else { found[i] = kept }
    }
    vec![vec![low; n], vec![high; n], input_for(model, seed), found]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, max_shrink_iters: 200, cases: (ProptestConfig::default().cases / 4).max(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_input_outgrows_a_bound(model in models(), n_slots in prop::sample::select(&[16, 64, 512]), seed: u64) {
        let samples = vec![tensor_for(&model, &input_for(&model, seed))];
        let options = Options { range_bound: true, samples, precision: 1e-3, ..options_for(n_slots) };
        let compiled = match compile(&model, &options) {
            Err(CompileError::BoundTooLarge { .. } | CompileError::TooCoarse { .. }) => {
                return Err(TestCaseError::reject("outputs close to zero"));
            }
            result => result.unwrap(),
        };
        prop_assert_eq!(compiled.served.basis, RangeBasis::Bound);
        let (_, highest) = compiled.program.manifest.outputs[0].range;
        let inputs = adversarial(&compiled, &model, seed);
        for input in &inputs {
            prop_assert!(!outgrows(&compiled.program, std::slice::from_ref(input)), "{:?}", input);
            prop_assert!(model.logits(input).iter().all(|x| x.abs() <= highest));
        }
        // Encryption takes longer: it has its turn in the smallest ring.
        if n_slots == 16 {
            let worst = &inputs[inputs.len() - 1..];
            let largest = model.logits(&worst[0]).iter().fold(0.0f64, |max, x| max.max(x.abs()));
            let found = Connected::new(&compiled.program).try_predict_batch(worst).unwrap();
            prop_assert!(error(&model, worst, &found) <= 0.05 * largest + 4.0 * compiled.prediction.max_error);
        }
    }
}
