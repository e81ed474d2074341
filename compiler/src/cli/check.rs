//! `hecc check`: how close encrypted results are to plain evaluation.

use super::accuracy::Accuracy;
use super::args::{BackendArg, CheckArgs};
use super::form::Form;
use super::session::{self, Built, Deployment};
use super::{problems, progress, show};
use hecc::diag::{Code, Diagnostics};
use hecc_runtime::{Executor, dry};
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
    let (plain, encrypted): (Vec<_>, Vec<_>) =
        evaluated.collect::<Result<Vec<_>, Diagnostics>>()?.into_iter().unzip();
    bar.finish_and_clear();
    let report = json!(Report {
        model: &built.model.name,
        backend: format!("{:?}", args.backend).to_lowercase(),
        accuracy: Accuracy::of(&plain, &encrypted, data.labels.as_deref()),
        predicted_max_abs_err: built.compiled.prediction.max_error,
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
    predicted_max_abs_err: f64,
}

type Evaluate<'a> = Box<dyn Fn(&[f64]) -> Result<Vec<f64>, Diagnostics> + 'a>;

/// Evaluates one sample on the back end asked for.
fn evaluator<'a>(args: &'a CheckArgs, built: &'a Built) -> Result<Evaluate<'a>, Diagnostics> {
    let model = &args.data.model;
    let failed = |e: hecc_runtime::Error| problems::runtime(Code::RunFailed, &model.model, &e, "");
    let program = Arc::new(built.compiled.program.clone());
    let executor = Executor::new(args.data.threads).map_err(failed)?;
    Ok(match args.backend {
        BackendArg::Ckks => {
            let deployment = Deployment::start(model, &program, args.data.threads)?;
            Box::new(move |sample| Ok(deployment.predict(&model.model, sample)?.logits))
        }
        BackendArg::Sim => Box::new(move |sample| {
            let forecast = dry::forecast(&executor, program.clone(), &[sample.to_vec()]).map_err(failed)?;
            Ok(forecast.tensors.into_iter().next().unwrap_or_default())
        }),
        BackendArg::Clear => Box::new(move |sample| {
            let evaluation = dry::evaluate(&executor, program.clone(), &[sample.to_vec()]).map_err(failed)?;
            Ok(evaluation.tensors.into_iter().next().unwrap_or_default())
        }),
    })
}
