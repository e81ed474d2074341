//! `hecc check`: how close encrypted results are to plain evaluation.

use super::args::{BackendArg, CheckArgs};
use super::session::{self, Built, Deployment, argmax, max_difference};
use super::{problems, progress, show};
use hecc::diag::{Code, Diagnostics};
use hecc_runtime::{Executor, dry};
use serde_json::json;
use std::sync::Arc;

/// Runs the command.
pub fn check(args: &CheckArgs, as_json: bool) -> Result<(), Diagnostics> {
    let data = session::samples(&args.data)?;
    let built = session::build(&args.data.model, Some(&data))?;
    data.fits(&built.model)?;
    let evaluate = evaluator(args, &built)?;
    let bar = progress::bar("checking", data.samples.len());
    let (mut agree, mut correct, mut largest_error, mut largest_logit, mut squares, mut n_logits) =
        (0, 0, 0.0f64, 0.0f64, 0.0, 0);
    for (index, sample) in data.samples.iter().enumerate() {
        let plain = built.model.logits(sample);
        let encrypted = evaluate(sample)?;
        agree += usize::from(argmax(&plain) == argmax(&encrypted));
        correct +=
            usize::from(data.labels.as_ref().is_some_and(|labels| labels[index] == argmax(&encrypted)));
        largest_error = largest_error.max(max_difference(&plain, &encrypted));
        largest_logit = plain.iter().fold(largest_logit, |max, x| max.max(x.abs()));
        squares += plain.iter().zip(&encrypted).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        n_logits += plain.len();
        bar.inc(1);
    }
    bar.finish_and_clear();
    let report = json!({
        "model": built.model.name,
        "backend": format!("{:?}", args.backend).to_lowercase(),
        "n": data.samples.len(),
        "agree": agree,
        "correct": data.labels.as_ref().map(|_| correct),
        "max_abs_err": largest_error,
        "rms_err": (squares / n_logits.max(1) as f64).sqrt(),
        "max_abs_logit": largest_logit,
        "relative_err": largest_error / largest_logit.max(f64::MIN_POSITIVE),
        "predicted_max_abs_err": built.compiled.prediction.max_error,
    });
    if as_json {
        super::output(&format!("{report}\n"));
    } else {
        super::output(&show::table(&report));
    }
    Ok(())
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
