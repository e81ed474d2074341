//! `hecc check`: how close encrypted results are to plain evaluation.

use super::accuracy::Accuracy;
use super::args::{BackendArg, CheckArgs};
use super::form::Form;
use super::session::{self, Built, Deployment};
use super::{memory, problems, progress, show};
use hecc::diag::{Code, Diagnostics};
use hecc_runtime::dry;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// Runs the command.
pub fn check(args: &CheckArgs, form: Form) -> Result<(), Diagnostics> {
    let data = session::samples(&args.data)?;
    let built = session::build(&args.data.model, Some(&data), form)?;
    data.fits(&built.model)?;
    let evaluate = evaluator(args, &built)?;
    let bar = progress::bar("checking", data.samples.len());
    let evaluated = data.samples.iter().map(|sample| {
        bar.inc(1);
        Ok((built.model.logits(sample), evaluate(sample)?))
    });
    let (plain, results): (Vec<_>, Vec<Evaluated>) =
        evaluated.collect::<Result<Vec<_>, Diagnostics>>()?.into_iter().unzip();
    bar.finish_and_clear();
    let expected = results.iter().filter_map(|result| result.expected_error).reduce(f64::max);
    let encrypted: Vec<_> = results.into_iter().map(|result| result.logits).collect();
    let report = json!(Report {
        model: &built.model.name,
        backend: format!("{:?}", args.backend).to_lowercase(),
        accuracy: Accuracy::of(&plain, &encrypted, data.labels.as_deref()),
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

type Evaluate<'a> = Box<dyn Fn(&[f64]) -> Result<Evaluated, Diagnostics> + 'a>;

/// Evaluates one sample on the back end asked for.
fn evaluator<'a>(args: &'a CheckArgs, built: &'a Built) -> Result<Evaluate<'a>, Diagnostics> {
    let model = &args.data.model;
    let failed = |e: hecc_runtime::Error| problems::runtime(Code::RunFailed, &model.model, &e, "");
    let program = Arc::new(built.compiled.program.clone());
    let executor = memory::executor(&args.data.machine).map_err(failed)?;
    Ok(match args.backend {
        BackendArg::Ckks => {
            let deployment = Deployment::start(&args.data, &program)?;
            Box::new(move |sample| {
                Ok(Evaluated::of(vec![deployment.predict(&model.model, sample)?.logits], None))
            })
        }
        BackendArg::Sim => {
            let simulation = dry::Simulation::new(&executor, program).map_err(failed)?;
            Box::new(move |sample| {
                let forecast = simulation.forecast(&[sample.to_vec()]).map_err(failed)?;
                let expected = forecast.errors.iter().map(|error| error.max).reduce(f64::max);
                Ok(Evaluated::of(forecast.tensors, expected))
            })
        }
        BackendArg::Clear => Box::new(move |sample| {
            let evaluation = dry::evaluate(&executor, program.clone(), &[sample.to_vec()]).map_err(failed)?;
            Ok(Evaluated::of(evaluation.tensors, None))
        }),
    })
}
