//! `hecc bench --simulate`: predictions over many samples without encryption.

use super::accuracy::{Judge, Task, max_difference};
use super::args::DataArgs;
use super::session::{self, Built};
use super::{problems, progress};
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::data::DataSet;
use hecc_ir::Tensor;
use hecc_ir::program::Port;
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
    /// Samples whose outputs outgrow the modulus, so that something else would be decrypted, or that share a batch with
    /// such; they count in no other figure of the program.
    overflowed: usize,
    /// Samples outside the range that is served, so that they would not be encrypted; they too count in no other.
    outside: usize,
    /// Largest difference between the program and plain arithmetic, both without error.
    max_abs_difference: f64,
    /// Largest error expected of an encrypted run.
    expected_max_abs_err: f64,
    /// Time that all samples took together.
    seconds: f64,
}

/// What is kept of one sample.
#[derive(Clone)]
struct Digest {
    plain: Vec<f64>,
    program: Fate,
}

/// What the program makes of a sample.
#[derive(Clone)]
enum Fate {
    Predicted(Prediction),
    Overflowed,
    Outside,
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
    let manifest = &built.compiled.program.manifest;
    let is_inside = |&i: &usize| is_served(&manifest.inputs[0], &data.samples[i]);
    let inside: Vec<usize> = (0..data.samples.len()).filter(is_inside).collect();
    let batches: Vec<&[usize]> = inside.chunks(manifest.lanes()).collect();
    let plain = executor.each(data.samples.len(), |i| built.model.logits(&data.samples[i]));
    let fates = executor.each(batches.len(), |index| {
        let batch = batches[index];
        let fates = fates(&simulation, batch, &data, &plain);
        bar.inc(batch.len() as u64);
        fates.map_err(|e| refused(&args.data, batch, e))
    });
    let fates = fates.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let digest = |plain: Vec<f64>| Digest { plain, program: Fate::Outside };
    let mut digests: Vec<Digest> = plain.into_iter().map(digest).collect();
    inside.into_iter().zip(fates).for_each(|(i, fate)| digests[i].program = fate);
    let seconds = started.elapsed().as_secs_f64();
    bar.finish_and_clear();
    Ok(summary(&digests, &judge, seconds))
}

fn is_served(port: &Port, sample: &[f64]) -> bool {
    sample.iter().all(|x| (port.range.0..=port.range.1).contains(x))
}

/// Evaluates the samples of a batch.
fn fates(
    simulation: &Simulation,
    batch: &[usize],
    data: &DataSet,
    plain: &[Vec<f64>],
) -> Result<Vec<Fate>, Error> {
    let tensors: Vec<Vec<Tensor>> = batch.iter().map(|&i| data.tensors(i..i + 1)).collect();
    match simulation.forecast_batch_here(&tensors) {
        Ok(forecasts) => {
            let predicted =
                |(&i, forecast): (&usize, &Forecast)| Fate::Predicted(Prediction::of(&plain[i], forecast));
            Ok(batch.iter().zip(&forecasts).map(predicted).collect())
        }
        // Samples of a batch share the ciphertexts that outgrow the modulus.
        Err(error) if is_overflow(&error) => Ok(vec![Fate::Overflowed; batch.len()]),
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

impl Prediction {
    fn of(plain: &[f64], forecast: &Forecast) -> Prediction {
        let expected_error = forecast.errors.iter().map(|error| error.max).fold(0.0, f64::max);
        let outputs = forecast.tensors[0].clone();
        Prediction {
            is_uncertain: margin(&outputs) <= 2.0 * expected_error,
            difference: max_difference(plain, &outputs),
            outputs,
            expected_error,
        }
    }
}

impl Digest {
    fn prediction(&self) -> Option<&Prediction> {
        match &self.program {
            Fate::Predicted(prediction) => Some(prediction),
            Fate::Overflowed | Fate::Outside => None,
        }
    }

    /// Outputs of the program; none if there would be no result.
    fn outputs(&self) -> &[f64] {
        self.prediction().map_or(&[], |prediction| &prediction.outputs)
    }
}

/// By how much the largest output exceeds the second.
fn margin(outputs: &[f64]) -> f64 {
    let mut descending = outputs.to_vec();
    descending.sort_by(|a, b| b.total_cmp(a));
    if let [first, second, ..] = descending[..] { first - second } else { f64::INFINITY }
}

fn summary(digests: &[Digest], judge: &Judge, seconds: f64) -> Simulated {
    let predictions = || digests.iter().filter_map(Digest::prediction);
    let largest = |of: fn(&Prediction) -> f64| predictions().map(of).fold(0.0, f64::max);
    let agrees =
        |digest: &&Digest| digest.prediction().is_some() && judge.agrees(&digest.plain, digest.outputs());
    let uncertain = || predictions().filter(|prediction| prediction.is_uncertain).count();
    Simulated {
        n: digests.len(),
        agree: digests.iter().filter(agrees).count(),
        correct: judge.n_correct(digests.iter().map(Digest::outputs)),
        plain_correct: judge.n_correct(digests.iter().map(|digest| digest.plain.as_slice())),
        uncertain: (judge.task == Task::Classify).then(uncertain),
        overflowed: digests.iter().filter(|digest| matches!(digest.program, Fate::Overflowed)).count(),
        outside: digests.iter().filter(|digest| matches!(digest.program, Fate::Outside)).count(),
        max_abs_difference: largest(|prediction| prediction.difference),
        expected_max_abs_err: largest(|prediction| prediction.expected_error),
        seconds,
    }
}

/// A sample of a batch that cannot be evaluated, or the batch that starts with it.
fn refused(data: &Path, batch: &[usize], error: Error) -> Diagnostic {
    let (index, error) = match error {
        Error::Sample { sample, cause } => (batch[sample], *cause),
        error => (batch[0], error),
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
