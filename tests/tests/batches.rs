//! Several inputs at once give what each gives alone.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use hecc::front::data::DataSet;
use hecc::front::{LoadOptions, load};
use hecc::model::Model;
use hecc::pipeline::{CompileError, Compiled, Options, compile, least_ct_bytes};
use hecc_ir::{SecurityLevel, eval, verify};
use hecc_runtime::{Executor, dry};
use hecc_tests::compiling::options_for;
use hecc_tests::encrypted::Connected;
use hecc_tests::models::{input_for, models, tensor_for};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn model(file: &str) -> Model {
    load(&examples().join("models").join(file), &LoadOptions::default()).unwrap()
}

fn compiled(model: &Model, batch: usize, samples: &[Vec<f64>]) -> Compiled {
    let samples = samples.iter().map(|sample| tensor_for(model, sample)).collect();
    let options = Options { batch: Some(batch), samples, ..Options::default() };
    compile(model, &options).unwrap()
}

/// Encrypted results of a batch that does not fill the lanes, against plain ones.
fn assert_predicts(model: &Model, compiled: &Compiled, samples: &[Vec<f64>]) {
    let program = &compiled.program;
    assert_eq!(program.manifest.params.security, SecurityLevel::Classical128);
    let found = Connected::new(program).predict_batch(samples);
    assert_eq!(found.len(), samples.len());
    for (sample, found) in samples.iter().zip(&found) {
        let expected = model.logits(sample);
        let largest = expected.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
        let errors = expected.iter().zip(found).map(|(a, b)| (a - b).abs());
        assert!(errors.fold(0.0, f64::max) < 1e-3 * largest, "{found:?} {expected:?}");
    }
}

#[test]
fn digits_share_ciphertexts() {
    let data = DataSet::read(&examples().join("data/mnist_test_sample.npz")).unwrap();
    let model = model("mlp.onnx");
    let compiled = compiled(&model, 40, &data.samples[..4]);
    assert_eq!(compiled.program.manifest.lanes(), 64);
    assert_predicts(&model, &compiled, &data.samples[..40]);
}

/// One slot per input: a product for each weight, no rotation, no plaintext in memory.
#[test]
fn a_slot_for_each_input_takes_no_rotation() {
    let model = model("tiny.hec");
    let samples: Vec<Vec<f64>> = (0..100).map(|seed| input_for(&model, seed)).collect();
    let n_slots = compiled(&model, 1, &samples).program.manifest.params.n_slots();
    let compiled = compiled(&model, n_slots, &samples);
    let (manifest, counts) = (&compiled.program.manifest, compiled.program.op_counts());
    assert_eq!((manifest.lanes(), manifest.n_slots()), (n_slots, 1));
    assert_eq!((counts.rotations, counts.mul_plain), (0, 0));
    assert!(manifest.keys.rotations.is_empty() && counts.mul_scalar > 0);
    assert_predicts(&model, &compiled, &samples);
}

#[test]
fn batches_larger_than_any_ring_are_refused() {
    let model = model("tiny.hec");
    let refused = |batch| compile(&model, &Options { batch: Some(batch), ..Options::default() }).unwrap_err();
    assert_eq!(refused(40_000), CompileError::BatchTooLarge { batch: 40_000, limit: 32_768 });
    assert!(matches!(refused(usize::MAX), CompileError::BatchTooLarge { .. }));
    let options = Options { batch: Some(513), ring_degree: Some(1024), ..Options::default() };
    let refused = compile(&model, &options).unwrap_err();
    assert_eq!(refused, CompileError::BatchTooLarge { batch: 513, limit: 512 });
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// On plain slots, whatever the number of slots and lanes; and what is known of the memory before holds.
    #[test]
    fn lanes_do_not_meet(
        model in models(),
        (n_slots, batch) in prop::sample::select(&[(1, 4), (2, 8), (16, 2), (64, 4)]),
        seed: u64,
    ) {
        let inputs: Vec<Vec<f64>> = (0..batch as u64).map(|i| input_for(&model, seed ^ (i << 32))).collect();
        let samples: Vec<_> = inputs.iter().map(|input| tensor_for(&model, input)).collect();
        let options = Options { batch: Some(batch), samples: samples.clone(), ..options_for(n_slots * batch) };
        let compiled = compile(&model, &options).unwrap();
        verify(&compiled.leveled).unwrap();
        prop_assert_eq!(compiled.leveled.n_slots, n_slots);
        let least = least_ct_bytes(&model, &options);
        prop_assert!(least <= compiled.memory().cts, "{} of {}", least, compiled.memory().cts);
        prop_assert!(n_slots == 1 || least == 0);
        let (program, executor) = (Arc::new(compiled.program), Executor::new(Some(1)).unwrap());
        let samples: Vec<_> = samples.iter().map(std::slice::from_ref).collect();
        let together = dry::evaluate_batch(&executor, program, &samples).unwrap();
        for (input, found) in inputs.iter().zip(&together) {
            let expected = eval(&compiled.leveled, std::slice::from_ref(input));
            let largest = expected[0].iter().fold(1.0, |max: f64, x| max.max(x.abs()));
            let close = |(x, y): (&f64, &f64)| (x - y).abs() <= 1e-9 * largest;
            prop_assert!(found.tensors[0].iter().zip(&expected[0]).all(close));
        }
    }
}
