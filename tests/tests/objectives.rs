//! Layouts and lanes follow the objective, and the estimates that decide hold.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use hecc::front::{LoadOptions, load};
use hecc::model::{Dense, LayerKind, Model, ModelBuilder};
use hecc::packing::Packing;
use hecc::pipeline::{CompileError, Compiled, Options, compile, pack};
use hecc::rewrite::Objective;
use hecc::sparsity::Network;
use hecc_ir::{Shape, artifact};
use hecc_runtime::Executor;
use hecc_runtime::client::Client;
use hecc_runtime::dry::Simulation;
use hecc_runtime::executor::silent;
use hecc_runtime::server::Server;
use hecc_tests::compiling::options_for;
use hecc_tests::models::{input_for, models, tensor_for};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

fn model(file: &str) -> Model {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models");
    load(&models.join(file), &LoadOptions::default()).unwrap()
}

fn options(objective: Objective, batch: Option<usize>) -> Options {
    Options { objective: Some(objective), batch, ..Options::default() }
}

fn compiled(model: &Model, objective: Objective, batch: Option<usize>) -> Compiled {
    compile(model, &options(objective, batch)).unwrap()
}

fn lanes(compiled: &Compiled) -> usize {
    compiled.program.manifest.lanes()
}

/// Estimated time of all inputs of a batch.
fn total_ns(compiled: &Compiled, batch: usize) -> f64 {
    batch.div_ceil(lanes(compiled)) as f64 * compiled.plan.cost_ns
}

#[test]
fn many_inputs_share_a_run_where_that_takes_less_time() {
    let model = model("tiny.hec");
    let alone = compiled(&model, Objective::Latency, None);
    assert_eq!(lanes(&alone), 1);
    let mut before = 1;
    for batch in [2, 50, 1000] {
        let shared = compiled(&model, Objective::Throughput, Some(batch));
        assert!(lanes(&shared) >= before && lanes(&shared) > 1);
        let in_one_run = compiled(&model, Objective::Latency, Some(batch));
        assert!(total_ns(&shared, batch) <= total_ns(&in_one_run, batch));
        assert!(total_ns(&shared, batch) < total_ns(&alone, batch));
        before = lanes(&shared);
    }
    let any = compiled(&model, Objective::Throughput, None);
    assert_eq!(lanes(&any), any.program.manifest.params.n_slots());
}

#[test]
fn one_input_is_computed_as_for_latency() {
    let model = model("tiny.hec");
    let programs = [Objective::Latency, Objective::Throughput]
        .map(|objective| artifact::write_program(&compiled(&model, objective, Some(1)).program));
    assert!(programs[0] == programs[1]);
}

#[test]
fn batches_larger_than_any_ring_are_split() {
    let model = model("tiny.hec");
    let batch = Some(1_000_000);
    let shared = compiled(&model, Objective::Throughput, batch);
    assert!(lanes(&shared) < 1_000_000);
    let refused = compile(&model, &options(Objective::Latency, batch)).unwrap_err();
    assert_eq!(refused, CompileError::BatchTooLarge { batch: 1_000_000, limit: 32_768 });
    let most = compiled(&model, Objective::Throughput, Some(usize::MAX));
    assert_eq!(lanes(&most), lanes(&shared));
}

#[test]
fn rings_and_packings_that_are_asked_for_are_used() {
    let model = model("tiny.hec");
    let asked = Options { ring_degree: Some(8192), ..options(Objective::Throughput, Some(3)) };
    let shared = compile(&model, &asked).unwrap();
    assert_eq!(shared.program.manifest.params.ring_degree, 8192);
    let unknown = Options { ring_degree: Some(999), ..asked.clone() };
    assert!(matches!(compile(&model, &unknown), Err(CompileError::UnknownRing { .. })));
    let batch = compile(&model, &Options { packing: Packing::Batch, ..asked }).unwrap();
    assert_eq!(batch.program.manifest.n_slots(), 1);
    let fine = Options { precision: 1e-30, ..options(Objective::Throughput, None) };
    assert!(matches!(compile(&model, &fine), Err(CompileError::TooCoarse { .. })));
}

#[test]
fn large_networks_are_not_laid_out_weight_by_weight() {
    let (n_in, n_out) = (4096, 2048);
    let mut builder = ModelBuilder::new();
    let input = LayerKind::Input { range: (-1.0, 1.0) };
    let x = builder.push("x", input, &[], Some(Shape(vec![n_in]))).unwrap();
    let dense = LayerKind::Dense(Dense { weight: vec![1.0; n_in * n_out], bias: Vec::new() });
    let y = builder.push("y", dense, &[x], None).unwrap();
    let network = Network::of(&builder.finish("wide", y));
    let is_tried = |n_slots| Packing::is_within_reach(&network, n_slots);
    assert_eq!([1, 2, 64, 128, 4096].map(is_tried), [false, false, false, true, true]);
}

/// Expected results of a full run and of one with empty lanes, against plain ones.
#[test]
fn shared_runs_are_expected_to_give_what_each_input_gives() {
    let model = model("tiny.hec");
    for batch in [Some(5), None] {
        let shared = compiled(&model, Objective::Throughput, batch);
        let inputs: Vec<Vec<f64>> = (0..5).map(|seed| input_for(&model, seed)).collect();
        let simulation = Simulation::new(&Executor::new(Some(1)).unwrap(), Arc::new(shared.program)).unwrap();
        let samples: Vec<_> = inputs.iter().map(|input| [tensor_for(&model, input)]).collect();
        for (samples, inputs) in samples.chunks(2).zip(inputs.chunks(2)) {
            let forecasts = simulation.forecast_batch(samples).unwrap();
            for (forecast, input) in forecasts.iter().zip(inputs) {
                let expected = model.logits(input);
                let error = 1e-9 + forecast.errors[0].max;
                let close = |(x, y): (&f64, &f64)| (x - y).abs() <= error;
                assert!(error < 1e-3 && forecast.tensors[0].iter().zip(&expected).all(close));
            }
        }
    }
}

/// Bytes that an encrypted run on one thread holds, against the estimate.
#[test]
fn memory_of_a_run_is_what_was_estimated() {
    for (file, batch) in [("tiny.hec", 1), ("tiny.hec", 4096), ("mlp.onnx", 1)] {
        let model = model(file);
        let compiled = compiled(&model, Objective::Balanced, Some(batch));
        let (program, estimated) = (&compiled.program, compiled.memory());
        let client = Client::generate(&program.manifest).unwrap();
        let executor = Executor::new(Some(1)).unwrap();
        let server = Server::load_with(&artifact::write_program(program), &executor, &silent).unwrap();
        let session = server.session(&client.eval_keys().unwrap()).unwrap();
        let sent = client.encrypt_batch(&[[tensor_for(&model, &input_for(&model, 1))]]).unwrap();
        let found = session.eval(&sent).unwrap().cost.memory;
        let near = |estimated: usize, found: usize, factor: f64| {
            let ratio = (estimated as f64 + 1.0) / (found as f64 + 1.0);
            (1.0 / factor..=factor).contains(&ratio)
        };
        let both = format!("{file} x {batch}: {estimated:?} {found:?}");
        assert!(near(estimated.keys, found.keys, 1.01), "{both}");
        assert!(near(estimated.plains, found.resident_plains, 1.1), "{both}");
        assert!(near(estimated.cts, found.ciphertexts, 1.5), "{both}");
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// By the estimate, the plan for memory holds no more than that for latency.
    #[test]
    fn plans_for_memory_hold_least(model in models(), n_slots in prop::sample::select(&[16, 64, 256])) {
        let options = |objective| Options { objective: Some(objective), ..options_for(n_slots) };
        let (fast, small) = (options(Objective::Latency), options(Objective::Memory));
        let ring = &fast.target.rings[0];
        let [fast, small] = [fast.clone(), small].map(|options| pack(&model, &options, ring).unwrap());
        prop_assert!(small.footprint(&model).bytes <= fast.footprint(&model).bytes);
    }
}
