//! `hecc bench --simulate`: predictions over many samples without encryption.

use super::accuracy::{Judge, Task, max_difference};
use super::args::DataArgs;
use super::session::{self, Built};
use super::{problems, progress};
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc_ir::Tensor;
use hecc_runtime::dry::{Forecast, Simulation};
use hecc_runtime::{Error, Executor};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Predictions of the program on plain slots beside those of plain arithmetic,
/// and the error that encryption is expected to add.
#[derive(Debug, Serialize)]
pub struct Simulated {
    /// Samples evaluated.
    n: usize,
    /// Results of the program that are the plain ones.
    agree: usize,
    /// Predictions of the program that equal the label, where labels are classes.
    correct: Option<usize>,
    /// Plain predictions that equal the label.
    plain_correct: Option<usize>,
    /// Samples whose two largest outputs are so near that the expected error may
    /// change their order, where the largest names a class.
    uncertain: Option<usize>,
    /// Samples whose values outgrow the modulus, so that encryption would compute something else; they
    /// count in no other figure of the program.
    overflowed: usize,
    /// Largest difference between the program and plain arithmetic, both without error.
    max_abs_difference: f64,
    /// Largest error expected of an encrypted run.
    expected_max_abs_err: f64,
    /// Time that all samples took together.
    seconds: f64,
}

/// What is kept of one sample: what the program predicts for it unless its values outgrow the modulus.
#[derive(Clone)]
struct Digest {
    plain: Vec<f64>,
    program: Option<Prediction>,
}

#[derive(Clone)]
struct Prediction {
    outputs: Vec<f64>,
    is_uncertain: bool,
    difference: f64,
    expected_error: f64,
}

/// Evaluates the first `n` samples, several at once.
pub fn simulate(args: &DataArgs, built: &Built, n: usize) -> Result<Simulated, Diagnostics> {
    let path = &args.model.model;
    let failed = |e: Error| problems::runtime(Code::RunFailed, path, &e, "");
    let data = session::first_samples(&args.data, n)?;
    data.fits(&built.model)?;
    let judge = Judge::of(args.task, &data, built)?;
    let executor = Executor::new(args.machine.threads).map_err(failed)?;
    let program = Arc::new(built.compiled.program.clone());
    let simulation = Simulation::new(&executor, program).map_err(failed)?;
    let bar = progress::bar("simulating", data.samples.len());
    let started = Instant::now();
    let lanes = built.compiled.program.manifest.lanes();
    let digests = executor.each(data.samples.len().div_ceil(lanes), |index| {
        let batch = session::batch(&data, index * lanes, lanes);
        let digests = digests(built, &simulation, &batch);
        bar.inc(batch.len() as u64);
        digests.map_err(|e| refused(&args.data, index * lanes, e))
    });
    let seconds = started.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let digests = digests.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    Ok(summary(&digests, &judge, seconds))
}

/// Evaluates a batch.
fn digests(built: &Built, simulation: &Simulation, samples: &[[Tensor; 1]]) -> Result<Vec<Digest>, Error> {
    let plain = |[sample]: &[Tensor; 1]| built.model.logits(sample.values());
    match simulation.forecast_batch_here(samples) {
        Ok(forecasts) => {
            let digest = |(sample, forecast)| Digest::of(plain(sample), Some(forecast));
            Ok(samples.iter().zip(&forecasts).map(digest).collect())
        }
        // Which of several samples it is, nobody knows.
        Err(error) if samples.len() == 1 && is_overflow(&error) => {
            Ok(vec![Digest::of(plain(&samples[0]), None)])
        }
        Err(error) => Err(error),
    }
}

fn is_overflow(error: &Error) -> bool {
    match error {
        Error::Overflow { .. } => true,
        Error::Instruction { cause, .. } | Error::Sample { cause, .. } => is_overflow(cause),
        _ => false,
    }
}

impl Digest {
    fn of(plain: Vec<f64>, forecast: Option<&Forecast>) -> Digest {
        let prediction = |forecast: &Forecast| {
            let expected_error = forecast.errors.iter().map(|error| error.max).fold(0.0, f64::max);
            let outputs = forecast.tensors[0].clone();
            Prediction {
                is_uncertain: margin(&outputs) <= 2.0 * expected_error,
                difference: max_difference(&plain, &outputs),
                outputs,
                expected_error,
            }
        };
        let program = forecast.map(prediction);
        Digest { plain, program }
    }

    /// Outputs of the program; none if its values outgrow the modulus.
    fn outputs(&self) -> &[f64] {
        self.program.as_ref().map_or(&[], |prediction| &prediction.outputs)
    }
}

/// By how much the largest output exceeds the second.
fn margin(outputs: &[f64]) -> f64 {
    let mut descending = outputs.to_vec();
    descending.sort_by(|a, b| b.total_cmp(a));
    if let [first, second, ..] = descending[..] { first - second } else { f64::INFINITY }
}

fn summary(digests: &[Digest], judge: &Judge, seconds: f64) -> Simulated {
    let predictions = || digests.iter().filter_map(|digest| digest.program.as_ref());
    let largest = |of: fn(&Prediction) -> f64| predictions().map(of).fold(0.0, f64::max);
    let agrees = |digest: &&Digest| digest.program.is_some() && judge.agrees(&digest.plain, digest.outputs());
    let uncertain = || predictions().filter(|prediction| prediction.is_uncertain).count();
    Simulated {
        n: digests.len(),
        agree: digests.iter().filter(agrees).count(),
        correct: judge.n_correct(digests.iter().map(Digest::outputs)),
        plain_correct: judge.n_correct(digests.iter().map(|digest| digest.plain.as_slice())),
        uncertain: (judge.task == Task::Classify).then(uncertain),
        overflowed: digests.len() - predictions().count(),
        max_abs_difference: largest(|prediction| prediction.difference),
        expected_max_abs_err: largest(|prediction| prediction.expected_error),
        seconds,
    }
}

/// A sample that cannot be evaluated, or the batch that starts with it.
fn refused(data: &Path, first: usize, error: Error) -> Diagnostic {
    let (index, error) = match error {
        Error::Sample { sample, cause } => (first + sample, *cause),
        error => (first, error),
    };
    let (code, help) = match error {
        Error::Instruction { .. } | Error::Overflow { .. } => {
            (Code::RunFailed, "show the compiler such samples with --calibrate")
        }
        _ => (Code::BadInput, "scale the samples as in training"),
    };
    let place = Label::item(&data.display().to_string(), format!("sample {index}"), error.to_string());
    Diagnostic::error(code, code.title()).label(place).help(help)
}

#[cfg(test)]
mod tests {
    use super::margin;

    #[test]
    fn margins_are_between_the_two_largest() {
        assert_eq!(margin(&[1.0, 4.0, 2.5]), 1.5);
        assert_eq!(margin(&[3.0, 3.0]), 0.0);
        assert_eq!(margin(&[3.0]), f64::INFINITY);
    }
}
