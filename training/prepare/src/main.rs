//! `hecc-prepare`: trains networks for encrypted inference.
//!
//! `hecc prepare` starts it. It is a binary of its own because tensors with gradients take longer to build
//! than compiler and runtime together.

mod checkpoints;
mod data;
mod friendly;
mod group;
mod groups;
mod interrupt;
mod narrow;
mod prune;

use checkpoints::{Checkpoints, Identity};
use clap::Parser;
use data::Data;
use hecc::cli::args::FormArgs;
use hecc::cli::files::{Kind, Output, Outputs, names};
use hecc::cli::form::{Form, notice};
use hecc::cli::prepare::{PrepareArgs, PrepareStep, TrainArgs};
use hecc::cli::{problems, progress, session};
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::{Loaded, hec};
use hecc::model::Model;
use hecc::pipeline::{self, Options};
use hecc_train::{Checkpoint, Event, Flow, Progress, Recipe, TrainError, Trainee};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Trains a network for encrypted inference.
#[derive(Debug, Parser)]
#[command(name = "hecc prepare", bin_name = "hecc prepare", version, about)]
struct Cli {
    /// What to do.
    #[command(flatten)]
    prepare: PrepareArgs,
    /// How to print.
    #[command(flatten)]
    form: FormArgs,
}

fn main() -> ExitCode {
    hecc::cli::run(|cli: &Cli| cli.form, |cli, form| prepare(&cli.prepare.step, form))
}

fn prepare(step: &PrepareStep, form: Form) -> Result<(), Diagnostics> {
    match step {
        PrepareStep::Train(args) => train(args, form),
        PrepareStep::Friendly(args) => friendly::friendly(args, form),
        PrepareStep::Group(args) => group::group(args, form),
        PrepareStep::Narrow(args) => narrow::narrow(args, form),
        PrepareStep::Prune(args) => prune::prune(args, form),
    }
}

/// A network in preparation, with its samples.
struct Work<'a> {
    args: &'a TrainArgs,
    outputs: Outputs,
    data: Data,
    trainee: Trainee,
    /// Accuracy before.
    before: f64,
}

impl<'a> Work<'a> {
    /// With a model that was read from `files`.
    fn start(args: &'a TrainArgs, files: &[PathBuf], model: &Model) -> Result<Work<'a>, Diagnostics> {
        let samples = std::iter::once(&args.data).chain(&args.test).cloned();
        let inputs = session::inputs(&args.model, files).into_iter().chain(samples);
        let outputs = Outputs::beside(inputs, args.force.force);
        let ModelPaths(paths) = ModelPaths::of(&args.output, model);
        outputs.check(&paths.each_ref().map(|(path, kind)| (path.as_path(), *kind)))?;
        let data = Data::read(args, model)?;
        let trainee = Trainee::new(model.clone());
        let before = data.accuracy(&trainee).map_err(|e| failure(&args.model.model, &e))?;
        Ok(Work { args, outputs, data, trainee, before })
    }

    /// The checkpoints of this work: of a step with some settings, from a model.
    fn checkpoints(
        &self,
        step: &str,
        model: &Model,
        settings: &impl std::fmt::Debug,
    ) -> Result<Checkpoints, Diagnostics> {
        let text = hec::to_hec(model, "").map_err(|e| unwritten(model, &e.to_string()))?;
        let identity = Identity::of(step)
            .with(format!("{settings:?}").as_bytes())
            .with(text.as_bytes())
            .with_weights(model)
            .with_samples(&self.data.train)
            .with_samples(&self.data.validation);
        let name = names::stem(&model.name);
        let path = self.args.output.join(format!("{name}-{step}.checkpoint"));
        self.outputs.check(&[(&path, Kind::Checkpoint)])?;
        Ok(Checkpoints::new(path, identity, self.outputs.clone()))
    }

    /// Trains, from the last checkpoint if there is one, and writes the result; `found` and `lines` are what
    /// there is to say besides.
    fn fit(
        mut self,
        (what, recipe, teacher): (&str, &Recipe, Option<&Trainee>),
        mut checkpoints: Checkpoints,
        (found, lines): (Value, &str),
        form: Form,
    ) -> Result<(), Diagnostics> {
        let from: Option<Checkpoint> = checkpoints.find(self.args.restart, form)?;
        let bar = Bar::new(what, recipe.epochs);
        let mut watch = |event: Event| match event {
            Event::Step(now) => bar.show(now),
            Event::Epoch(checkpoint) => checkpoints.keep(&checkpoint),
        };
        let trained = self.trainee.fit_from(&self.data.train, recipe, teacher, from.as_ref(), &mut watch);
        trained.map_err(|e| self.ended(e, &mut checkpoints))?;
        bar.finish();
        let model = self.trainee.model();
        self.finish(&model, found, lines, form)?;
        checkpoints.remove();
        Ok(())
    }

    /// Why work with checkpoints ended before its result.
    fn ended(&self, error: TrainError, checkpoints: &mut Checkpoints) -> Diagnostics {
        match error {
            TrainError::Stopped => checkpoints.stopped(),
            TrainError::Checkpoint(cause) => checkpoints::refused(checkpoints.path(), cause),
            error => failure(&self.args.model.model, &error),
        }
    }

    /// Writes the model that has become of it and reports; `found` and `lines` are what
    /// there is to say besides.
    fn finish(self, model: &Model, found: Value, lines: &str, form: Form) -> Result<(), Diagnostics> {
        let after = self.data.accuracy(&self.trainee).map_err(|e| failure(&self.args.model.model, &e))?;
        let paths = write_model(&self.outputs, &self.args.output, model, &self.data)?;
        let mut report = json!({ "accuracy_before": self.before, "accuracy": after });
        let found = found.as_object().into_iter().flatten();
        found.for_each(|(name, value)| report[name] = value.clone());
        report["files"] = json!(paths);
        form.result(&report, || {
            let accuracy = format!("accuracy {} before, {} now", percent(self.before), percent(after));
            format!("{lines}{accuracy}\n{}", wrote(&paths))
        });
        Ok(())
    }
}

fn train(args: &TrainArgs, form: Form) -> Result<(), Diagnostics> {
    let Loaded { model, files } = session::load(&args.model, true, form)?;
    let work = Work::start(args, &files, &model)?;
    let recipe = recipe(args, 0.0);
    let checkpoints = work.checkpoints("train", &model, &recipe)?;
    work.fit(("training", &recipe, None), checkpoints, (Value::Null, ""), form)
}

/// Training as asked for, with a teacher of this weight.
fn recipe(args: &TrainArgs, distillation: f64) -> Recipe {
    let TrainArgs { epochs, minibatch: batch, rate, seed, .. } = *args;
    Recipe { epochs, batch, rate, distillation, seed }
}

/// A bar over the steps of one training after the other, which Ctrl-C stops.
struct Bar(ProgressBar);

impl Bar {
    fn new(message: &str, epochs: usize) -> Bar {
        interrupt::listen();
        Bar(progress::bar(message.to_owned(), epochs))
    }

    fn show(&self, now: Progress) -> Flow {
        self.0.set_length((now.n_steps * now.n_epochs) as u64);
        self.0.set_position((now.epoch * now.n_steps + now.step) as u64);
        self.0.set_message(format!(
            "epoch {}, loss {:.4}, {} right",
            now.epoch + 1,
            now.loss,
            percent(now.accuracy)
        ));
        if interrupt::is_asked() { Flow::Stop } else { Flow::Continue }
    }

    /// What is done now, besides training.
    fn say_now(&self, what: &'static str) -> Flow {
        self.0.set_message(what);
        if interrupt::is_asked() { Flow::Stop } else { Flow::Continue }
    }

    /// A line that stays, for people.
    fn say(&self, line: &str, form: Form) {
        if form == Form::Text {
            self.0.suspend(|| notice(&format!("{line}\n")));
        }
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Options that ask for the ring that a model compiles for, and for as many inputs at once.
fn settled(args: &TrainArgs, model: &Model, options: &Options) -> Result<Options, Diagnostics> {
    let spinner = progress::spinner(format!("compiling {}", model.name));
    let failed = |e| problems::compile(&args.model, e);
    let compiled = pipeline::compile(model, options).map_err(failed)?;
    spinner.finish_and_clear();
    Ok(compiled.settled(options))
}

/// Where a model goes: NAME.npz, NAME-samples.npz and, last because it names the first, NAME.hec.
struct ModelPaths([(PathBuf, Kind); 3]);

impl ModelPaths {
    fn of(folder: &Path, model: &Model) -> ModelPaths {
        let name = names::stem(&model.name);
        let files = [(".npz", Kind::Arrays), ("-samples.npz", Kind::Arrays), (".hec", Kind::Model)];
        ModelPaths(files.map(|(ending, kind)| (folder.join(format!("{name}{ending}")), kind)))
    }
}

/// Writes NAME.hec, NAME.npz and samples that show how large values become.
fn write_model(
    outputs: &Outputs,
    folder: &Path,
    model: &Model,
    data: &Data,
) -> Result<Vec<PathBuf>, Diagnostics> {
    let name = names::stem(&model.name);
    let text = hec::to_hec(model, &format!("{name}.npz")).map_err(|e| unwritten(model, &e.to_string()))?;
    let contents = [hec::to_npz(model), data.calibration(), text.into_bytes()];
    let ModelPaths(paths) = ModelPaths::of(folder, model);
    let files = paths.iter().zip(&contents);
    let files = files.map(|((path, kind), bytes)| Output { path, kind: *kind, bytes });
    outputs.write(&files.collect::<Vec<_>>())?;
    Ok(paths.into_iter().map(|(path, _)| path).rev().collect())
}

fn unwritten(model: &Model, cause: &str) -> Diagnostics {
    let title = format!("the model `{}` cannot be written as `.hec`", model.name);
    Diagnostic::error(Code::UnsupportedOp, title).label(Label::file("result", cause)).into()
}

fn wrote(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    format!("wrote {}\n", paths.join(", "))
}

fn percent(accuracy: f64) -> String {
    format!("{:.2} %", accuracy * 100.0)
}

/// Why training stopped, as a diagnostic.
fn failure(model: &Path, error: &TrainError) -> Diagnostics {
    let (code, help) = match error {
        TrainError::Label { .. } | TrainError::Shape { .. } | TrainError::TooFew { .. } => {
            (Code::DataMismatch, "use the samples that the network was made for")
        }
        TrainError::Diverged { .. } => {
            (Code::TrainingFailed, "use a smaller --rate; polynomials of a lower degree are more robust")
        }
        TrainError::Group { .. } => (Code::BadBlocks, "name weights of the model"),
        TrainError::Ungroupable(_) => (Code::BadGroups, "name convolutions, and divisors of their channels"),
        TrainError::Narrow(_) => {
            (Code::BadChannels, "`hecc inspect MODEL --stage model` lists layers and channels")
        }
        TrainError::Setting { .. } => (Code::BadArguments, "`hecc prepare --help` says what is possible"),
        TrainError::Checkpoint(_) => (Code::BadCheckpoint, "start over with --restart"),
        TrainError::Stopped => (Code::Stopped, "start again"),
    };
    let place = Label::file(model.display().to_string(), "");
    Diagnostic::error(code, error.to_string()).label(place).help(help).into()
}
