//! `hecc prepare friendly`.

use super::{Bar, Work, percent, recipe};
use hecc::cli::form::Form;
use hecc::cli::prepare::{FriendlyArgs, PoolArg};
use hecc::cli::session;
use hecc::diag::Diagnostics;
use hecc::front::Loaded;
use hecc::model::{Layer, LayerKind, Model};
use hecc_train::friendly::{self, Checkpoint, Comparison, Conversion, Event, Pool, Replaced, Replacement};
use hecc_train::{Flow, Recipe};
use serde_json::{Value, json};

/// Runs the command.
pub fn friendly(args: &FriendlyArgs, form: Form) -> Result<(), Diagnostics> {
    let Loaded { model, files } = session::load(&args.train.model, true, form)?;
    let model = model.folded();
    let mut work = Work::start(&args.train, &files, &model)?;
    let conversion = conversion(args);
    let mut checkpoints = work.checkpoints("friendly", &model, &conversion)?;
    let from: Option<Checkpoint> = checkpoints.find(args.train.restart, form)?;
    let bar = Bar::new("converting", args.train.epochs);
    let (mut compared, mut replaced): (Option<Comparison>, Vec<Replaced>) = (None, Vec::new());
    let mut watch = |event: Event| {
        match event {
            Event::Training(now) => return bar.show(now),
            Event::Checkpoint(checkpoint) => return checkpoints.keep(&checkpoint),
            Event::Compared(comparison) => compared = Some(comparison),
            Event::Replaced(layer) => replaced.push(layer),
        }
        Flow::Continue
    };
    let samples = [&work.data.train, &work.data.validation];
    let converted = friendly::convert(&mut work.trainee, samples, &conversion, from.as_ref(), &mut watch);
    converted.map_err(|e| work.ended(e, &mut checkpoints))?;
    bar.finish();
    let converted = work.trainee.model();
    let lines =
        compared.iter().map(comparison_line).chain(replaced.iter().map(|it| line(it, &model, args.pool)));
    let lines: String = lines.collect();
    let mut found = json!({ "replaced": replaced.iter().map(entry).collect::<Vec<Value>>() });
    if let Some(Comparison { mean, convolution }) = compared {
        found["pools"] = json!({ "mean": mean, "convolution": convolution });
    }
    work.finish(&converted, found, &lines, form)?;
    checkpoints.remove();
    Ok(())
}

fn conversion(args: &FriendlyArgs) -> Conversion {
    let last = recipe(&args.train, args.distill);
    let pool = match args.pool {
        PoolArg::Mean => Pool::Mean,
        PoolArg::Conv => Pool::Convolution,
        PoolArg::Best => Pool::Best,
    };
    Conversion { degree: args.degree, pool, between: Recipe { epochs: 1, ..last.clone() }, last }
}

fn comparison_line(Comparison { mean, convolution }: &Comparison) -> String {
    let [mean, convolution] = [mean, convolution].map(|share| percent(*share));
    format!("samples held back: {mean} right with means for pools, {convolution} with convolutions\n")
}

/// A replacement for people; the model is that before.
fn line(Replaced { layer, by }: &Replaced, model: &Model, asked: PoolArg) -> String {
    let is_padded = |found: &Layer| {
        found.name == *layer && matches!(&found.kind, LayerKind::MaxPool(pool) if pool.padding != [0; 4])
    };
    match by {
        Replacement::Mean if asked != PoolArg::Mean && model.layers.iter().any(is_padded) => {
            format!("{layer}: mean instead of maximum, since a convolution would count its padding\n")
        }
        Replacement::Mean => format!("{layer}: mean instead of maximum\n"),
        Replacement::Convolution => format!("{layer}: convolution instead of maximum\n"),
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
        Replacement::Mean => json!({ "layer": layer, "by": "mean" }),
        Replacement::Convolution => json!({ "layer": layer, "by": "convolution" }),
        Replacement::Polynomial { range, coefficients } => {
            json!({ "layer": layer, "by": "polynomial", "range": range, "coefficients": coefficients })
        }
    }
}
