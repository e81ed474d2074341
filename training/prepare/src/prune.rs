//! `hecc prepare prune`.

use super::groups::Packer;
use super::{Bar, Work, failure, percent, recipe, settled, write_model};
use comfy_table::Table;
use hecc::cli::form::Form;
use hecc::cli::prepare::{ObjectiveArg, PruneArgs, ScheduleArg, ScoreArg};
use hecc::cli::{session, show};
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::Loaded;
use hecc::model::Model;
use hecc::pipeline::Options;
use hecc_train::prune::{self, ByCount, Checkpoint, Event, Group, Planner, Pruning, Schedule, Score, Step};
use hecc_train::{Flow, Recipe};
use serde_json::{Value, json};

/// Runs the command.
pub fn prune(args: &PruneArgs, form: Form) -> Result<(), Diagnostics> {
    let Loaded { model, files } = session::load(&args.train.model, true, form)?;
    let mut work = Work::start(&args.train, &files, &model)?;
    let options = session::options(&args.train.model, &model, None)?;
    let start = work.trainee.accuracy(&work.data.validation);
    let start = start.map_err(|e| failure(&args.train.model.model, &e))?;
    let pruning = pruning(args, start);
    let settings = (&pruning, args.objective, &args.blocks, args.every_step, &options);
    let mut checkpoints = work.checkpoints("prune", &model, &settings)?;
    let from: Option<Checkpoint> = checkpoints.find(args.train.restart, form)?;
    let planner = planner(args, &model, &options)?;
    let bar = Bar::new("pruning", args.train.epochs);
    let mut steps: Vec<Step> = from.as_ref().map_or_else(Vec::new, |from| from.steps().to_vec());
    steps.iter().for_each(|step| bar.say(&line(step), form));
    let mut unwritten: Option<Diagnostics> = None;
    let mut watch = |event: Event| match event {
        Event::Training(now) => bar.show(now),
        Event::Planning => bar.say_now("looking for what can go"),
        Event::Checkpoint(checkpoint) => {
            if args.every_step {
                let folder = args.train.output.join(format!("step{:02}", checkpoint.steps().len()));
                unwritten = write_model(&work.outputs, &folder, checkpoint.model(), &work.data).err();
            }
            if unwritten.is_some() { Flow::Stop } else { checkpoints.keep(&checkpoint) }
        }
        Event::Step(step) => {
            bar.say(&line(&step), form);
            steps.push(step);
            Flow::Continue
        }
    };
    let samples = [&work.data.train, &work.data.validation];
    let trainee = &mut work.trainee;
    let reached = prune::prune(trainee, &*planner, samples, &pruning, from.as_ref(), &mut watch);
    let reached = reached.map_err(|e| unwritten.unwrap_or_else(|| work.ended(e, &mut checkpoints)))?;
    bar.finish();
    let kept = match &reached {
        Some(step) => format!("kept step {} of {}", step.step, step.n_steps),
        None => String::from("no step kept the accuracy: the model is as it was; try a larger --max-loss"),
    };
    let model = work.trainee.model();
    work.finish(&model, as_object(reached.as_ref(), &steps), &format!("{}\n{kept}\n", table(&steps)), form)?;
    checkpoints.remove();
    Ok(())
}

/// What is asked for, of a network that is so accurate.
fn pruning(args: &PruneArgs, accuracy: f64) -> Pruning {
    let between = recipe(&args.train, args.distill);
    Pruning {
        target: args.keep,
        steps: args.steps,
        schedule: schedule(args.schedule),
        score: score(args.score),
        min_accuracy: (accuracy - args.max_loss / 100.0).max(0.0),
        retries: args.retries,
        last: Recipe { epochs: args.last_epochs, ..between.clone() },
        between,
    }
}

fn as_object(reached: Option<&Step>, steps: &[Step]) -> Value {
    json!({
        "sparsity": reached.map_or(0.0, |step| step.sparsity),
        "cost": reached.map_or(1.0, |step| step.cost),
        "steps": steps,
    })
}

/// Who says what groups of weights there are, and what they cost.
fn planner(args: &PruneArgs, model: &Model, options: &Options) -> Result<Box<dyn Planner>, Diagnostics> {
    if !args.blocks.is_empty() {
        let blocks = args.blocks.iter().map(|block| prune::blocks(model, &block.layer, &block.shape));
        let blocks: Vec<Vec<Group>> = blocks.collect::<Result<_, _>>().map_err(|e| {
            let place = Label::file(args.train.model.model.display().to_string(), "");
            Diagnostics::from(Diagnostic::error(Code::BadBlocks, e.to_string()).label(place))
        })?;
        return Ok(Box::new(ByCount(blocks.concat())));
    }
    let packer = Packer { options: settled(&args.train, model, options)? };
    Ok(match args.objective {
        ObjectiveArg::Latency => Box::new(packer),
        ObjectiveArg::Ratio => Box::new(ByCount(packer.groups(model))),
    })
}

fn schedule(asked: ScheduleArg) -> Schedule {
    match asked {
        ScheduleArg::OneShot => Schedule::OneShot,
        ScheduleArg::Linear => Schedule::Linear,
        ScheduleArg::Cubic => Schedule::Cubic,
    }
}

pub(super) fn score(asked: ScoreArg) -> Score {
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
    let mut table = show::new_table();
    table.set_header(["step", "cost", "zeros", "channels", "accuracy on held-back samples"]);
    for Step { step, cost, sparsity, widths, accuracy, .. } in steps {
        let [cost, sparsity, accuracy] = [cost, sparsity, accuracy].map(|share| percent(*share));
        table.add_row([step.to_string(), cost, sparsity, list(widths), accuracy]);
    }
    table
}
