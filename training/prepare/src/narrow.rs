//! `hecc prepare narrow`.

use super::prune::score;
use super::{Work, failure, recipe};
use hecc::cli::form::Form;
use hecc::cli::prepare::{CountArg, NarrowArgs};
use hecc::cli::session;
use hecc::diag::Diagnostics;
use hecc::front::Loaded;
use hecc_train::TrainError;
use hecc_train::narrow::{self, Choice};
use serde_json::{Value, json};

/// Runs the command.
pub fn narrow(args: &NarrowArgs, form: Form) -> Result<(), Diagnostics> {
    let Loaded { model, files } = session::load(&args.train.model, true, form)?;
    let choices: Vec<Choice> = args.channels.iter().map(choice).collect();
    let refused = |error: &TrainError| failure(&args.train.model.model, error);
    narrow::check(&model, &choices).map_err(|e| refused(&e.into()))?;
    let mut work = Work::start(&args.train, &files, &model)?;
    let recipe = recipe(&args.train, args.distill);
    let checkpoints = work.checkpoints("narrow", &model, &(&recipe, &choices, args.score))?;
    let teacher = work.trainee.clone();
    let (score, seed) = (score(args.score), args.train.seed);
    let narrowed = narrow::narrow(&mut work.trainee, &work.data.train, &choices, score, seed);
    narrowed.map_err(|e| refused(&e))?;
    let lines: String = choices.iter().map(line).collect();
    let found = json!({ "kept": choices.iter().map(as_object).collect::<Vec<Value>>() });
    work.fit(("narrowing", &recipe, Some(&teacher)), checkpoints, (found, &lines), form)
}

fn choice(CountArg { layer, count }: &CountArg) -> Choice {
    Choice { layer: layer.clone(), channels: *count }
}

fn line(Choice { layer, channels }: &Choice) -> String {
    format!("{layer}: {channels} channels\n")
}

fn as_object(Choice { layer, channels }: &Choice) -> Value {
    json!({ "layer": layer, "channels": channels })
}
