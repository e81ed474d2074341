//! `hecc prepare group`.

mod interleaved;

use super::{Bar, Work, failure, percent, recipe, settled};
use hecc::cli::form::Form;
use hecc::cli::prepare::{CountArg, GroupArgs, ShuffleArg};
use hecc::cli::session;
use hecc::diag::Diagnostics;
use hecc::front::Loaded;
use hecc::model::{LayerKind, Model};
use hecc::pipeline::{Options, n_slots};
use hecc_train::group::{self, Checkpoint, Choice, Event, Grouping, Shuffle, Step};
use hecc_train::{Flow, Recipe, TrainError};
use interleaved::{Left, Offer};
use serde_json::{Value, json};

/// Runs the command.
pub fn group(args: &GroupArgs, form: Form) -> Result<(), Diagnostics> {
    let Loaded { model, files } = session::load(&args.train.model, true, form)?;
    let options = session::options(&args.train.model, &model, None)?;
    let Offer { choices, left } = offer(args, &model, &options)?;
    let refused = |error: &TrainError| failure(&args.train.model.model, error);
    group::check(&model, &choices).map_err(|e| refused(&e.into()))?;
    let mut work = Work::start(&args.train, &files, &model)?;
    let start = work.trainee.accuracy(&work.data.validation).map_err(|e| refused(&e))?;
    let grouping = grouping(args, choices, start);
    let mut checkpoints = work.checkpoints("group", &model, &grouping)?;
    let from: Option<Checkpoint> = checkpoints.find(args.train.restart, form)?;
    let bar = Bar::new("grouping", args.train.epochs);
    from.iter().flat_map(Checkpoint::steps).for_each(|step| bar.say(&line(step), form));
    let mut watch = |event: Event| match event {
        Event::Training(now) => bar.show(now),
        Event::Checkpoint(checkpoint) => checkpoints.keep(&checkpoint),
        Event::Step(step) => {
            bar.say(&line(&step), form);
            Flow::Continue
        }
    };
    let samples = [&work.data.train, &work.data.validation];
    let steps = group::group(&mut work.trainee, samples, &grouping, from.as_ref(), &mut watch);
    let steps = steps.map_err(|e| work.ended(e, &mut checkpoints))?;
    bar.finish();
    let model = work.trainee.model();
    let lines = summary(&model, &grouping, &steps, &left);
    work.finish(&model, as_object(&steps, &left), &lines, form)?;
    checkpoints.remove();
    Ok(())
}

/// The convolutions to group: those that are named, or what the ring suggests.
fn offer(args: &GroupArgs, model: &Model, options: &Options) -> Result<Offer, Diagnostics> {
    if !args.groups.is_empty() {
        let choice =
            |CountArg { layer, count }: &CountArg| Choice { layer: layer.clone(), groups: vec![*count] };
        return Ok(Offer { choices: args.groups.iter().map(choice).collect(), left: Vec::new() });
    }
    let is_known = options.ring_degree.is_some_and(|degree| options.target.ring(degree).is_some());
    let options = if is_known { options.clone() } else { settled(&args.train, model, options)? };
    let ring = options.ring_degree.and_then(|degree| options.target.ring(degree));
    let n_slots = n_slots(model, &options, ring.expect("settled options name a ring of the target"));
    Ok(interleaved::offer(model, n_slots))
}

/// What is asked for, of a network that is so accurate.
fn grouping(args: &GroupArgs, choices: Vec<Choice>, accuracy: f64) -> Grouping {
    let between = recipe(&args.train, args.distill);
    Grouping {
        choices,
        shuffle: match args.shuffle {
            ShuffleArg::Never => Shuffle::Never,
            ShuffleArg::Needed => Shuffle::WhereNeeded,
            ShuffleArg::Always => Shuffle::Always,
        },
        min_accuracy: (accuracy - args.max_loss / 100.0).max(0.0),
        last: Recipe { epochs: args.last_epochs, ..between.clone() },
        between,
    }
}

/// A try, as it is over.
fn line(Step { layer, groups, is_shuffled, share, accuracy, is_kept }: &Step) -> String {
    let [share, accuracy] = [share, accuracy].map(|share| percent(*share));
    let verdict = if *is_kept { "" } else { ", which is too little" };
    let shuffled = if *is_shuffled { "shuffled " } else { "" };
    format!(
        "{layer}: {groups} {shuffled}groups with {share} of its squared weights, accuracy {accuracy}{verdict}"
    )
}

/// What has become of every convolution.
fn summary(model: &Model, grouping: &Grouping, steps: &[Step], left: &[Left]) -> String {
    let grouped = grouping.choices.iter().map(|Choice { layer, .. }| {
        match steps.iter().find(|step| step.is_kept && step.layer == *layer) {
            Some(Step { groups, .. }) => format!("{layer}: {groups} groups{}\n", channels(model, layer)),
            None => format!("{layer}: stays as it is, no number of groups kept the accuracy (--max-loss)\n"),
        }
    });
    let left = left.iter().map(|Left { layer, why }| format!("{layer}: stays as it is, {why}\n"));
    grouped.chain(left).collect()
}

/// Of how many channels the groups of a convolution are.
fn channels(model: &Model, name: &str) -> String {
    let found = model.layers.iter().find(|layer| layer.name == name);
    match found.map(|layer| &layer.kind) {
        Some(LayerKind::Conv(conv)) => {
            let [outputs, inputs, ..] = conv.weight_shape;
            format!(", each from {inputs} channels to {}", outputs / conv.groups)
        }
        Some(_) | None => String::new(),
    }
}

fn as_object(steps: &[Step], left: &[Left]) -> Value {
    let left = left.iter().map(|Left { layer, why }| json!({ "layer": layer, "why": why.to_string() }));
    json!({ "steps": steps, "left": left.collect::<Vec<Value>>() })
}
