//! Random programs mean what their circuits mean, on any number of threads.
#![allow(clippy::unwrap_used)]

use hecc_ir::program::Port;
use hecc_ir::testing::{circuits, inputs_for, program_of};
use hecc_ir::{Stage, Tensor, eval};
use hecc_runtime::{Error, Executor, dry};
use proptest::prelude::*;
use std::sync::Arc;

fn agree(found: &[Vec<f64>], expected: &[Vec<f64>]) -> bool {
    let close = |(x, y): (&f64, &f64)| (x - y).abs() <= 1e-12 * (1.0 + y.abs());
    found.len() == expected.len() && found.iter().zip(expected).all(|(x, y)| x.iter().zip(y).all(close))
}

/// True for a failure of one of the simulation's own checks.
fn overflowed(error: &Error) -> bool {
    match error {
        Error::Instruction { cause, .. } => overflowed(cause),
        other => matches!(other, Error::Overflow { .. }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_executor_computes_what_the_circuit_means(
        circuit in circuits(Stage::Leveled), seed: u64, n_threads in 1..4usize,
    ) {
        let mut program = program_of(&circuit);
        program.manifest.inputs.iter_mut().for_each(|port| port.range = (-1.0, 1.0));
        let lanes = program.manifest.lanes() as u64;
        let samples: Vec<_> = (0..lanes).map(|lane| inputs_for(&circuit, seed ^ (lane << 32))).collect();
        let expected: Vec<_> = samples.iter().map(|inputs| eval::eval(&circuit, inputs)).collect();
        let tensor = |(values, port): (&Vec<f64>, &Port)| {
            Tensor::new(port.layout.shape.clone(), values.clone()).unwrap()
        };
        let tensors = |inputs: &Vec<Vec<f64>>| -> Vec<Tensor> {
            inputs.iter().zip(&program.manifest.inputs).map(tensor).collect()
        };
        let samples: Vec<_> = samples.iter().map(tensors).collect();
        let program = Arc::new(program);
        let executor = Executor::new(Some(n_threads)).unwrap();
        let evaluations = dry::evaluate_batch(&executor, program.clone(), &samples).unwrap();
        for (evaluation, expected) in evaluations.iter().zip(&expected) {
            prop_assert!(agree(&evaluation.tensors, expected));
        }
        match dry::Simulation::new(&executor, program).unwrap().forecast_batch(&samples) {
            Ok(forecasts) => for (forecast, expected) in forecasts.iter().zip(&expected) {
                prop_assert!(agree(&forecast.tensors, expected));
            },
            Err(error) => prop_assert!(overflowed(&error), "{error}"),
        }
    }
}
