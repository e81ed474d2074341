//! Random models under encryption: errors stay within what the compiler
//! predicts.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use hecc::pipeline::{CompileError, Options, compile};
use hecc_tests::compiling::options_for;
use hecc_tests::encrypted::Connected;
use hecc_tests::models::{input_for, models, tensor_for};
use proptest::prelude::*;

/// How far a run may exceed an error that most runs stay below.
const TOLERANCE: f64 = 4.0;

/// Runs with keys of their own that decide in doubt.
const N_MORE_RUNS: usize = 5;

/// Samples that errors are predicted on.
const N_PREDICTED_ON: u64 = 2;

/// `PROPTEST_CASES` asks for more cases.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 400,
        cases: (default.cases / 2).max(1),
        ..default
    }
}

fn largest_error(found: &[f64], expected: &[f64]) -> f64 {
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// How much larger the largest of `n * batch` errors is than that of `n`, by the law of
/// `NoiseModel::largest_of`.
fn of_more(n: usize, batch: usize) -> f64 {
    (20.0 * (n * batch) as f64).ln() / (20.0 * n as f64).ln()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn errors_are_as_predicted(
        model in models(),
        (n_slots, batch) in prop::sample::select(&[(64, 1), (512, 1), (64, 4), (8, 32), (1, 64)]),
        seed: u64,
    ) {
        // Errors are predicted on the first samples: no lane has others.
        let samples: Vec<_> = (0..N_PREDICTED_ON).map(|i| input_for(&model, seed ^ (i << 32))).collect();
        let inputs: Vec<_> = samples.iter().cycle().take(batch).cloned().collect();
        let samples = samples.iter().map(|sample| tensor_for(&model, sample)).collect();
        let options = Options { precision: 1e-3, samples, batch: Some(batch), ..options_for(n_slots * batch) };
        let compiled = match compile(&model, &options) {
            Err(CompileError::TooCoarse { .. }) => return Err(TestCaseError::reject("outputs close to zero")),
            result => result.unwrap(),
        };
        prop_assert_eq!(compiled.program.manifest.lanes(), batch);
        let expected: Vec<Vec<f64>> = inputs.iter().map(|input| model.logits(input)).collect();
        let error = || {
            let found = Connected::new(&compiled.program).predict_batch(&inputs);
            found.iter().zip(&expected).map(|(a, b)| largest_error(a, b)).fold(0.0, f64::max)
        };
        let predicted = compiled.prediction.max_error;
        let bound = TOLERANCE * predicted * of_more(expected[0].len(), batch);
        // Among thousands of runs some have unlucky keys: then most of a few others must do.
        let holds = error() <= bound || (0..N_MORE_RUNS).filter(|_| error() <= bound).count() > N_MORE_RUNS / 2;
        prop_assert!(holds, "errors above {}, predicted {}", bound, predicted);
        let evidence = Connected::new(&compiled.program).evidence(&inputs);
        prop_assert_eq!(evidence.notices(), []);
        let allowed = compiled.program.manifest.outputs[0].expected.as_ref().unwrap().error;
        for found in [Some(evidence.imaginary), evidence.zeros, evidence.lanes].into_iter().flatten() {
            prop_assert!(found <= TOLERANCE * allowed, "{} where {} is expected", found, allowed);
        }
    }
}
