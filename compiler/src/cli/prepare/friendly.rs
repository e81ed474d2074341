//! `hecc prepare friendly`.

use super::args::FriendlyArgs;
use super::{Bar, Work};
use crate::cli::form::Form;
use crate::cli::session;
use hecc::diag::Diagnostics;
use hecc_train::friendly::{self, Checkpoint, Conversion, Event, Replaced, Replacement};
use hecc_train::{Flow, Recipe};
use serde_json::{Value, json};

/// Runs the command.
pub fn friendly(args: &FriendlyArgs, form: Form) -> Result<(), Diagnostics> {
    let model = session::load(&args.train.model, true, form)?.folded();
    let mut work = Work::start(&args.train, &model)?;
    let last = args.train.recipe(args.distill);
    let between = Recipe { epochs: 1, ..last.clone() };
    let conversion = Conversion { degree: args.degree, between, last };
    let mut checkpoints = work.checkpoints("friendly", &model, &conversion)?;
    let from: Option<Checkpoint> = checkpoints.find(args.train.restart, form)?;
    let bar = Bar::new("converting", args.train.epochs);
    let mut replaced: Vec<Replaced> = Vec::new();
    let mut watch = |event: Event| match event {
        Event::Training(now) => bar.show(now),
        Event::Checkpoint(checkpoint) => checkpoints.keep(&checkpoint),
        Event::Replaced(layer) => {
            replaced.push(layer);
            Flow::Continue
        }
    };
    let (trainee, samples) = (&mut work.trainee, &work.data.train);
    let converted = friendly::convert(trainee, samples, &conversion, from.as_ref(), &mut watch);
    converted.map_err(|e| work.ended(e, &mut checkpoints))?;
    bar.finish();
    let model = work.trainee.model();
    let lines: String = replaced.iter().map(line).collect();
    let replaced: Vec<Value> = replaced.iter().map(entry).collect();
    work.finish(&model, json!({ "replaced": replaced }), &lines, form)?;
    checkpoints.remove();
    Ok(())
}

/// A replacement for people.
fn line(Replaced { layer, by }: &Replaced) -> String {
    match by {
        Replacement::Mean => format!("{layer}: mean instead of maximum\n"),
        Replacement::Polynomial { range, coefficients } => {
            let terms = coefficients.iter().enumerate().map(|(k, c)| match k {
                0 => format!("{c:.4}"),
                1 => format!("{c:+.4} x"),
                k => format!("{c:+.4} x^{k}"),
            });
            let terms: Vec<String> = terms.collect();
            format!("{layer}: {} for |x| up to {range:.2}, before training\n", terms.join(" "))
        }
    }
}

/// A replacement for scripts.
fn entry(Replaced { layer, by }: &Replaced) -> Value {
    match by {
        Replacement::Mean => json!({ "layer": layer, "range": null, "coefficients": [] }),
        Replacement::Polynomial { range, coefficients } => {
            json!({ "layer": layer, "range": range, "coefficients": coefficients })
        }
    }
}
