//! Runs without encryption, from tensors to tensors: what a program computes,
//! and how far an encrypted run is expected to be from it.

use crate::backend::sim::SimCt;
use crate::{Backend, Clear, Error, Executor, NoiseModel, Prepared, RunCost, RunReport, Sim, port};
use hecc_ir::{CtType, Manifest, Program, Tensor};
use std::sync::Arc;

/// Tensors a program computes, and what computing them cost.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// One row-major tensor for each output.
    pub tensors: Vec<Vec<f64>>,
    /// Time and memory of the run on plain slots.
    pub cost: RunCost,
}

/// What an encrypted run is expected to give.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// One row-major tensor for each output, without error.
    pub tensors: Vec<Vec<f64>>,
    /// Expected errors of each output.
    pub errors: Vec<ExpectedError>,
    /// Bits by which the outputs' largest coefficient could still grow: those of all samples of a batch
    /// share it.
    pub headroom: f64,
    /// Time of the simulation; bytes as an encrypted run would use them.
    pub cost: RunCost,
}

/// Expected errors of an output's elements.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedError {
    /// Name of the output.
    pub output: String,
    /// Root mean square over the elements.
    pub rms: f64,
    /// A bound that all elements keep in most runs.
    pub max: f64,
}

/// Computes what a program means.
///
/// # Errors
/// When the program or a tensor is refused.
pub fn evaluate(executor: &Executor, program: Arc<Program>, tensors: &[Tensor]) -> Result<Evaluation, Error> {
    let slots = |manifest: &Manifest| port::pack_one(manifest, tensors);
    Ok(evaluate_slots(executor, program, slots, 1)?.remove(0))
}

/// As [`evaluate`], for the samples of a batch, at most as many as the program has lanes.
///
/// # Errors
/// As [`evaluate`]; [`Error::Batch`], and [`Error::Sample`] with what is refused of one.
pub fn evaluate_batch<S: AsRef<[Tensor]>>(
    executor: &Executor,
    program: Arc<Program>,
    samples: &[S],
) -> Result<Vec<Evaluation>, Error> {
    let slots = |manifest: &Manifest| port::pack_batch(manifest, samples);
    evaluate_slots(executor, program, slots, samples.len())
}

/// Packs once the program is known to be sound.
fn evaluate_slots(
    executor: &Executor,
    program: Arc<Program>,
    slots: impl FnOnce(&Manifest) -> Result<Vec<Vec<Vec<f64>>>, Error>,
    n_samples: usize,
) -> Result<Vec<Evaluation>, Error> {
    let clear = Clear::new(&program.manifest.params).with_lanes(program.manifest.lanes());
    let prepared = executor.prepare(program.clone(), clear)?;
    let slots = slots(&program.manifest)?;
    let report = prepared.run(inputs(&prepared, &slots, Clear::encrypt)?)?;
    let samples = unpack(&program.manifest, &report.outputs, n_samples, |ct| ct.slots.clone())?;
    let of_sample = |tensors| Evaluation { tensors, cost: report.cost.clone() };
    Ok(samples.into_iter().map(of_sample).collect())
}

/// Computes what a program means and estimates the error of an encrypted run.
/// For many inputs, a [`Simulation`] takes less time.
///
/// # Errors
/// When the program or a tensor is refused; [`Error::Overflow`] when an output outgrows the modulus.
pub fn forecast(executor: &Executor, program: Arc<Program>, tensors: &[Tensor]) -> Result<Forecast, Error> {
    Simulation::new(executor, program)?.forecast(tensors)
}

/// A program that is verified and encoded for forecasts of many inputs.
pub struct Simulation {
    prepared: Prepared<Sim>,
}

impl Simulation {
    /// Prepares a program.
    ///
    /// # Errors
    /// When the program is refused.
    pub fn new(executor: &Executor, program: Arc<Program>) -> Result<Simulation, Error> {
        let sim = Sim::new(&program.manifest.params).with_lanes(program.manifest.lanes());
        Ok(Simulation { prepared: executor.prepare(program, sim)? })
    }

    /// As the function [`forecast`].
    ///
    /// # Errors
    /// When a tensor is refused; [`Error::Overflow`] when an output outgrows the modulus.
    pub fn forecast(&self, tensors: &[Tensor]) -> Result<Forecast, Error> {
        let slots = port::pack_one(&self.prepared.program().manifest, tensors)?;
        Ok(self.read(self.prepared.run(self.inputs(&slots)?)?, 1)?.remove(0))
    }

    /// As [`Simulation::forecast`], for the samples of a batch, at most as many as the
    /// program has lanes.
    ///
    /// # Errors
    /// As [`Simulation::forecast`]; [`Error::Batch`], and [`Error::Sample`] with what is
    /// refused of one.
    pub fn forecast_batch<S: AsRef<[Tensor]>>(&self, samples: &[S]) -> Result<Vec<Forecast>, Error> {
        let slots = port::pack_batch(&self.prepared.program().manifest, samples)?;
        self.read(self.prepared.run(self.inputs(&slots)?)?, samples.len())
    }

    /// The same on the calling thread alone: for many batches at once, each
    /// on a thread of [`Executor::each`].
    ///
    /// # Errors
    /// As [`Simulation::forecast_batch`].
    pub fn forecast_batch_here<S: AsRef<[Tensor]>>(&self, samples: &[S]) -> Result<Vec<Forecast>, Error> {
        let slots = port::pack_batch(&self.prepared.program().manifest, samples)?;
        self.read(self.prepared.run_here(self.inputs(&slots)?)?, samples.len())
    }

    fn inputs(&self, slots: &[Vec<Vec<f64>>]) -> Result<Vec<Vec<SimCt>>, Error> {
        inputs(&self.prepared, slots, Sim::encrypt)
    }

    fn read(&self, report: RunReport<SimCt>, n_samples: usize) -> Result<Vec<Forecast>, Error> {
        let manifest = &self.prepared.program().manifest;
        let samples = unpack(manifest, &report.outputs, n_samples, |ct| ct.slots().to_vec())?;
        let deviations = unpack(manifest, &report.outputs, n_samples, |ct| ct.std())?;
        let noise = NoiseModel::new(&manifest.params);
        let sim = self.prepared.backend();
        let left = report.outputs.iter().flatten().map(|ct| sim.headroom(ct));
        let headroom = left.reduce(|a, b| Ok(a?.min(b?))).unwrap_or(Ok(f64::INFINITY))?;
        let forecast = |(tensors, deviations): (Vec<Vec<f64>>, Vec<Vec<f64>>)| {
            let ports = manifest.outputs.iter().zip(&deviations);
            let errors = ports.map(|(port, std)| expected_error(&noise, &port.name, std)).collect();
            Forecast { tensors, errors, headroom, cost: report.cost.clone() }
        };
        Ok(samples.into_iter().zip(deviations).map(forecast).collect())
    }
}

/// Slots of every input as the back end holds them.
fn inputs<B: Backend>(
    prepared: &Prepared<B>,
    slots: &[Vec<Vec<f64>>],
    encrypt: impl Fn(&B, &[f64], CtType) -> Result<B::Ct, Error>,
) -> Result<Vec<Vec<B::Ct>>, Error> {
    let ports = prepared.program().manifest.inputs.iter().zip(slots);
    let inputs = ports
        .map(|(port, cts)| cts.iter().map(|slots| encrypt(prepared.backend(), slots, port.ty)).collect());
    inputs.collect()
}

/// What `slots` reads of every output, by sample.
fn unpack<Ct>(
    manifest: &Manifest,
    outputs: &[Vec<Ct>],
    n_samples: usize,
    slots: impl Fn(&Ct) -> Vec<f64>,
) -> Result<Vec<Vec<Vec<f64>>>, Error> {
    let outputs: Vec<Vec<_>> = outputs.iter().map(|cts| cts.iter().map(&slots).collect()).collect();
    port::unpack_batch(manifest, &outputs, n_samples)
}

fn expected_error(noise: &NoiseModel, output: &str, std: &[f64]) -> ExpectedError {
    let mean = std.iter().map(|s| s * s).sum::<f64>() / std.len().max(1) as f64;
    let largest = std.iter().copied().fold(0.0, f64::max);
    ExpectedError { output: output.to_owned(), rms: mean.sqrt(), max: noise.largest_of(std.len(), largest) }
}
