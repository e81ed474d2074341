//! Runs without encryption, from tensors to tensors: what a program computes,
//! and how far an encrypted run is expected to be from it.

use crate::backend::sim::SimCt;
use crate::{Backend, Clear, Error, Executor, NoiseModel, Prepared, RunCost, RunReport, Sim, port};
use hecc_ir::{CtType, Program};
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
    /// Bits of the modulus that no output's computation ever used.
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
pub fn evaluate(
    executor: &Executor,
    program: Arc<Program>,
    tensors: &[Vec<f64>],
) -> Result<Evaluation, Error> {
    let clear = Clear::new(&program.manifest.params);
    let prepared = executor.prepare(program.clone(), clear)?;
    let report = prepared.run(inputs(&prepared, tensors, Clear::encrypt)?)?;
    let tensors = unpack(&program, &report.outputs, |ct| ct.slots.clone())?;
    Ok(Evaluation { tensors, cost: report.cost })
}

/// Computes what a program means and estimates the error of an encrypted run.
/// For many inputs, a [`Simulation`] takes less time.
///
/// # Errors
/// When the program or a tensor is refused, or a value outgrows the modulus.
pub fn forecast(executor: &Executor, program: Arc<Program>, tensors: &[Vec<f64>]) -> Result<Forecast, Error> {
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
        let sim = Sim::new(&program.manifest.params);
        Ok(Simulation { prepared: executor.prepare(program, sim)? })
    }

    /// As the function [`forecast`].
    ///
    /// # Errors
    /// When a tensor is refused, or a value outgrows the modulus.
    pub fn forecast(&self, tensors: &[Vec<f64>]) -> Result<Forecast, Error> {
        self.read(self.prepared.run(inputs(&self.prepared, tensors, Sim::encrypt)?)?)
    }

    /// The same on the calling thread alone: for many inputs at once, each
    /// on a thread of [`Executor::each`].
    ///
    /// # Errors
    /// When a tensor is refused, or a value outgrows the modulus.
    pub fn forecast_here(&self, tensors: &[Vec<f64>]) -> Result<Forecast, Error> {
        self.read(self.prepared.run_here(inputs(&self.prepared, tensors, Sim::encrypt)?)?)
    }

    fn read(&self, report: RunReport<SimCt>) -> Result<Forecast, Error> {
        let program = self.prepared.program();
        let tensors = unpack(program, &report.outputs, |ct| ct.slots().to_vec())?;
        let deviations = unpack(program, &report.outputs, |ct| ct.std())?;
        let noise = NoiseModel::new(&program.manifest.params);
        let ports = program.manifest.outputs.iter().zip(&deviations);
        let errors = ports.map(|(port, std)| expected_error(&noise, &port.name, std)).collect();
        let headroom =
            report.outputs.iter().flatten().fold(f64::INFINITY, |least, ct| least.min(ct.headroom()));
        Ok(Forecast { tensors, errors, headroom, cost: report.cost })
    }
}

/// Slots of every input as the back end holds them.
fn inputs<B: Backend>(
    prepared: &Prepared<B>,
    tensors: &[Vec<f64>],
    encrypt: impl Fn(&B, &[f64], CtType) -> Result<B::Ct, Error>,
) -> Result<Vec<Vec<B::Ct>>, Error> {
    let manifest = &prepared.program().manifest;
    let slots = port::pack_all(manifest, tensors)?;
    let ports = manifest.inputs.iter().zip(&slots);
    let inputs = ports
        .map(|(port, cts)| cts.iter().map(|slots| encrypt(prepared.backend(), slots, port.ty)).collect());
    inputs.collect()
}

fn unpack<Ct>(
    program: &Program,
    outputs: &[Vec<Ct>],
    slots: impl Fn(&Ct) -> Vec<f64>,
) -> Result<Vec<Vec<f64>>, Error> {
    let ports = program.manifest.outputs.iter().zip(outputs);
    ports.map(|(port, cts)| port::unpack(port, &cts.iter().map(&slots).collect::<Vec<_>>())).collect()
}

fn expected_error(noise: &NoiseModel, output: &str, std: &[f64]) -> ExpectedError {
    let mean = std.iter().map(|s| s * s).sum::<f64>() / std.len().max(1) as f64;
    let largest = std.iter().copied().fold(0.0, f64::max);
    ExpectedError { output: output.to_owned(), rms: mean.sqrt(), max: noise.largest_of(std.len(), largest) }
}
