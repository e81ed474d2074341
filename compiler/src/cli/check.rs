//! `hecc check`: how close encrypted results are to plain evaluation.

use super::accuracy::{Accuracy, Judge};
use super::args::{BackendArg, CheckArgs};
use super::form::Form;
use super::session::{self, Built, Deployment};
use super::{memory, problems, progress, show};
use clap::ValueEnum;
use hecc::diag::{Code, Diagnostics};
use hecc::front::data::DataSet;
use hecc_runtime::dry::{self, Evaluation, Forecast};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// Runs the command.
pub fn check(args: &CheckArgs, form: Form) -> Result<(), Diagnostics> {
    let data = session::samples(&args.data)?;
    let built = match args.backend {
        BackendArg::Ckks => session::build_to_run(&args.data, &data, form)?,
        BackendArg::Clear | BackendArg::Sim => session::build_for(&args.data, &data, form)?,
    };
    let judge = Judge::of(args.data.task, &data, &built)?;
    let evaluate = evaluator(args, &built)?;
    let bar = progress::bar("checking", data.samples.len());
    let lanes = built.compiled.program.manifest.lanes();
    let results = session::each_batch(&args.data.model.model, data.samples.len(), lanes, |first| {
        bar.set_position(first as u64);
        evaluate(&data, first)
    })?;
    let results: Vec<Evaluated> = results.into_iter().flatten().collect();
    bar.finish_and_clear();
    let plain: Vec<_> = data.samples.iter().map(|sample| built.model.logits(sample)).collect();
    let expected = results.iter().filter_map(|result| result.expected_error).reduce(f64::max);
    let encrypted: Vec<_> = results.into_iter().map(|result| result.logits).collect();
    let report = json!(Report {
        model: &built.model.name,
        backend: args.backend.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned()),
        accuracy: Accuracy::of(&plain, &encrypted, &judge),
        predicted_max_abs_err: built.compiled.prediction.max_error,
        simulated_max_abs_err: expected,
    });
    form.result(&report, || show::table(&report));
    Ok(())
}

/// What the command prints.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    backend: String,
    #[serde(flatten)]
    accuracy: Accuracy,
    /// From the compiler, over calibration samples.
    predicted_max_abs_err: f64,
    /// From the simulation of these samples; its results carry no error.
    simulated_max_abs_err: Option<f64>,
}

/// What a back end made of one sample.
struct Evaluated {
    logits: Vec<f64>,
    /// Error to expect of an encrypted run, from the simulation.
    expected_error: Option<f64>,
}

impl Evaluated {
    fn of(tensors: Vec<Vec<f64>>, expected_error: Option<f64>) -> Evaluated {
        Evaluated { logits: tensors.into_iter().next().unwrap_or_default(), expected_error }
    }
}

/// Evaluates as many samples from one on as a run takes.
type Evaluate<'a> = Box<dyn Fn(&DataSet, usize) -> Result<Vec<Evaluated>, Diagnostics> + 'a>;

/// Evaluates on the back end asked for.
fn evaluator<'a>(args: &'a CheckArgs, built: &'a Built) -> Result<Evaluate<'a>, Diagnostics> {
    let model = &args.data.model;
    let failed = |e: hecc_runtime::Error| problems::runtime(Code::RunFailed, &model.model, &e, "");
    let program = Arc::new(built.compiled.program.clone());
    let lanes = program.manifest.lanes();
    let executor = memory::executor(&args.data.machine).map_err(failed)?;
    Ok(match args.backend {
        BackendArg::Ckks => {
            let deployment = Deployment::start(&args.data, &program)?;
            Box::new(move |data, first| {
                let logits = deployment.predict(&model.model, data, first)?.logits.into_iter();
                Ok(logits.map(|logits| Evaluated { logits, expected_error: None }).collect())
            })
        }
        BackendArg::Sim => {
            let simulation = dry::Simulation::new(&executor, program).map_err(failed)?;
            let evaluated = |forecast: Forecast| {
                let expected = forecast.errors.iter().map(|error| error.max).reduce(f64::max);
                Evaluated::of(forecast.tensors, expected)
            };
            Box::new(move |data, first| {
                let batch = session::batch(data, first, lanes);
                let refused = |e| failed(session::numbered(e, first, batch.len()));
                let forecasts = simulation.forecast_batch(&batch).map_err(refused)?;
                Ok(forecasts.into_iter().map(evaluated).collect())
            })
        }
        BackendArg::Clear => Box::new(move |data, first| {
            let batch = session::batch(data, first, lanes);
            let refused = |e| failed(session::numbered(e, first, batch.len()));
            let evaluations = dry::evaluate_batch(&executor, program.clone(), &batch).map_err(refused)?;
            let of_sample = |evaluation: Evaluation| Evaluated::of(evaluation.tensors, None);
            Ok(evaluations.into_iter().map(of_sample).collect())
        }),
    })
}
