//! `hecc prepare prune`.

use super::args::{ObjectiveArg, PruneArgs, ScheduleArg, ScoreArg};
use super::groups::Packer;
use super::{Bar, Work, failure, percent};
use crate::cli::form::Form;
use crate::cli::{problems, progress, session};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::model::Model;
use hecc::pipeline::{self, Options};
use hecc_train::prune::{self, ByCount, Event, Group, Planner, Pruning, Schedule, Score, Step};
use hecc_train::{Flow, TrainError};
use serde_json::json;

/// Runs the command.
pub fn prune(args: &PruneArgs, form: Form) -> Result<(), Diagnostics> {
    let model = session::load(&args.train.model, true, form)?;
    let mut work = Work::start(&args.train, &model)?;
    let failed = |e: TrainError| failure(&args.train.model.model, &e);
    let options = session::options(&args.train.model, &model, None)?;
    let planner = planner(args, &model, &options)?;
    let start = work.trainee.accuracy(&work.data.validation).map_err(failed)?;
    let recipe = args.train.recipe(args.distill);
    let pruning = Pruning {
        target: args.keep,
        steps: args.steps,
        schedule: schedule(args.schedule),
        score: score(args.score),
        min_accuracy: (start - args.max_loss / 100.0).max(0.0),
        retries: args.retries,
        between: recipe.clone(),
        last: recipe,
    };
    let bar = Bar::new("pruning", args.train.epochs);
    let mut steps: Vec<Step> = Vec::new();
    let mut watch = |event: Event| match event {
        Event::Training(now) => bar.show(now),
        Event::Step(step) => {
            bar.say(&line(&step), form);
            steps.push(step);
            Flow::Continue
        }
    };
    let samples = [&work.data.train, &work.data.validation];
    let reached = prune::prune(&mut work.trainee, &*planner, samples, &pruning, &mut watch);
    let reached = reached.map_err(failed)?;
    bar.finish();
    let steps_json: Vec<_> = steps
        .iter()
        .map(|s| json!({
                "step": s.step, "cost": s.cost, "sparsity": s.sparsity, "channels": s.widths, "accuracy": s.accuracy
            }))
        .collect();
    let found = json!({
        "sparsity": reached.as_ref().map_or(0.0, |step| step.sparsity),
        "cost": reached.as_ref().map_or(1.0, |step| step.cost),
        "steps": steps_json,
    });
    let kept = match &reached {
        Some(step) => format!("kept step {} of {}", step.step, step.n_steps),
        None => String::from("no step kept the accuracy: the model is as it was; try a larger --max-loss"),
    };
    let model = work.trainee.model();
    work.finish(&model, found, &format!("{}\n{kept}\n", table(&steps)), form)
}

/// Who says what groups of weights there are, and what they cost.
fn planner<'a>(
    args: &PruneArgs,
    model: &Model,
    options: &'a Options,
) -> Result<Box<dyn Planner + 'a>, Diagnostics> {
    if !args.blocks.is_empty() {
        let blocks = args.blocks.iter().map(|block| prune::blocks(model, &block.layer, &block.shape));
        let blocks: Vec<Vec<Group>> = blocks.collect::<Result<_, _>>().map_err(|e| {
            let place = Label::file(args.train.model.model.display().to_string(), "");
            Diagnostics::from(Diagnostic::error(Code::BadBlocks, e.to_string()).label(place))
        })?;
        return Ok(Box::new(ByCount(blocks.concat())));
    }
    let spinner = progress::spinner(format!("compiling {}", model.name));
    let failed = |e| problems::compile(&args.train.model.model, e);
    let compiled = pipeline::compile(model, options).map_err(failed)?;
    spinner.finish_and_clear();
    let ring = options.target.ring(compiled.program.manifest.params.ring_degree);
    let ring = ring.expect("the ring is one of the target's");
    let by_count = args.objective == ObjectiveArg::Ratio;
    Ok(Box::new(Packer { options, ring, by_count }))
}

fn schedule(asked: ScheduleArg) -> Schedule {
    match asked {
        ScheduleArg::OneShot => Schedule::OneShot,
        ScheduleArg::Linear => Schedule::Linear,
        ScheduleArg::Cubic => Schedule::Cubic,
    }
}

fn score(asked: ScoreArg) -> Score {
    match asked {
        ScoreArg::Magnitude => Score::Magnitude,
        ScoreArg::Taylor => Score::Taylor,
        ScoreArg::Random => Score::Random,
    }
}

fn line(step: &Step) -> String {
    let Step { step, n_steps, cost, sparsity, widths, accuracy } = step;
    let [cost, sparsity, accuracy] = [cost, sparsity, accuracy].map(|share| percent(*share));
    let widths = list(widths);
    format!("step {step} of {n_steps}: cost {cost}, zeros {sparsity}, channels {widths}, accuracy {accuracy}")
}

fn list(widths: &[usize]) -> String {
    widths.iter().map(usize::to_string).collect::<Vec<String>>().join(" ")
}

fn table(steps: &[Step]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["step", "cost", "zeros", "channels", "accuracy on held-back samples"]);
    for Step { step, cost, sparsity, widths, accuracy, .. } in steps {
        let [cost, sparsity, accuracy] = [cost, sparsity, accuracy].map(|share| percent(*share));
        table.add_row([step.to_string(), cost, sparsity, list(widths), accuracy]);
    }
    table
}
