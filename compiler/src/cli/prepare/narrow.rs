//! `hecc prepare narrow`.

use super::args::NarrowArgs;
use super::prune::score;
use super::{Bar, Work, failure};
use crate::cli::form::Form;
use crate::cli::session;
use hecc::diag::Diagnostics;
use hecc_train::narrow::{self, Choice};
use hecc_train::{Checkpoint, Event, TrainError};
use serde_json::json;

/// Runs the command.
pub fn narrow(args: &NarrowArgs, form: Form) -> Result<(), Diagnostics> {
    let model = session::load(&args.train.model, true, form)?;
    let choices: Vec<Choice> = args.channels.iter().map(choice).collect();
    let refused = |error: &TrainError| failure(&args.train.model.model, error);
    narrow::check(&model, &choices).map_err(|e| refused(&e.into()))?;
    let mut work = Work::start(&args.train, &model)?;
    let recipe = args.train.recipe(args.distill);
    let mut checkpoints = work.checkpoints("narrow", &model, &(&recipe, &choices, args.score))?;
    let from: Option<Checkpoint> = checkpoints.find(args.train.restart, form)?;
    let teacher = work.trainee.clone();
    let narrowed =
        narrow::narrow(&mut work.trainee, &work.data.train, &choices, score(args.score), args.train.seed);
    narrowed.map_err(|e| refused(&e))?;
    let bar = Bar::new("narrowing", args.train.epochs);
    let mut watch = |event: Event| match event {
        Event::Step(now) => bar.show(now),
        Event::Epoch(checkpoint) => checkpoints.keep(&checkpoint),
    };
    let trained = work.trainee.fit_from(&work.data.train, &recipe, Some(&teacher), from.as_ref(), &mut watch);
    trained.map_err(|e| work.ended(e, &mut checkpoints))?;
    bar.finish();
    let model = work.trainee.model();
    let lines: String =
        choices.iter().map(|Choice { layer, channels }| format!("{layer}: {channels} channels\n")).collect();
    let found =
        choices.iter().map(|Choice { layer, channels }| json!({ "layer": layer, "channels": channels }));
    work.finish(&model, json!({ "kept": found.collect::<Vec<_>>() }), &lines, form)?;
    checkpoints.remove();
    Ok(())
}

fn choice((layer, channels): &(String, usize)) -> Choice {
    Choice { layer: layer.clone(), channels: *channels }
}
