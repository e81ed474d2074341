//! `hecc prepare`: trains networks for encrypted inference.

mod args;
mod data;
mod groups;
mod prune;

pub use args::PrepareArgs;

use super::files::{self, Access};
use super::form::Form;
use super::{progress, session};
use args::{FriendlyArgs, PrepareStep, TrainArgs};
use data::Data;
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::hec;
use hecc::model::{LayerKind, Model};
use hecc_train::friendly::{self, Conversion, Event};
use hecc_train::{Flow, Progress, Recipe, TrainError, Trainee};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn prepare(step: &PrepareStep, form: Form) -> Result<(), Diagnostics> {
    match step {
        PrepareStep::Train(args) => train(args, form),
        PrepareStep::Friendly(args) => friendly(args, form),
        PrepareStep::Prune(args) => prune::prune(args, form),
    }
}

/// A network in preparation, with its samples.
struct Work<'a> {
    args: &'a TrainArgs,
    data: Data,
    trainee: Trainee,
    /// Accuracy before.
    before: f64,
}

impl<'a> Work<'a> {
    fn start(args: &'a TrainArgs, model: &Model) -> Result<Work<'a>, Diagnostics> {
        let data = Data::read(args, model)?;
        let trainee = Trainee::new(model.clone());
        let before = data.accuracy(&trainee).map_err(|e| failure(&args.model.model, &e))?;
        Ok(Work { args, data, trainee, before })
    }

    /// Writes the model that has become of it and reports; `found` and `lines` are what
    /// there is to say besides.
    fn finish(self, model: &Model, found: Value, lines: &str, form: Form) -> Result<(), Diagnostics> {
        let after = self.data.accuracy(&self.trainee).map_err(|e| failure(&self.args.model.model, &e))?;
        let paths = write_model(&self.args.output, model, &self.data)?;
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
    let mut work = Work::start(args, &session::load(&args.model, true, form)?)?;
    let bar = Bar::new("training", args.epochs);
    let trained = work.trainee.fit(&work.data.train, &args.recipe(0.0), None, &mut |now| bar.show(now));
    trained.map_err(|e| failure(&args.model.model, &e))?;
    bar.finish();
    let model = work.trainee.model();
    work.finish(&model, Value::Null, "", form)
}

fn friendly(args: &FriendlyArgs, form: Form) -> Result<(), Diagnostics> {
    let mut work = Work::start(&args.train, &session::load(&args.train.model, true, form)?)?;
    let last = args.train.recipe(args.distill);
    let between = Recipe { epochs: 1, ..last.clone() };
    let conversion = Conversion { degree: args.degree, between, last };
    let bar = Bar::new("converting", args.train.epochs);
    let mut replaced: Vec<Value> = Vec::new();
    let mut lines = String::new();
    let mut watch = |event: Event| match event {
        Event::Training(now) => bar.show(now),
        Event::Replaced { layer, range, coefficients } => {
            lines.push_str(&replacement(&layer, range, &coefficients));
            replaced.push(json!({ "layer": layer, "range": range, "coefficients": coefficients }));
            Flow::Continue
        }
    };
    let converted = friendly::convert(&mut work.trainee, &work.data.train, &conversion, &mut watch);
    converted.map_err(|e| failure(&args.train.model.model, &e))?;
    bar.finish();
    let model = folded(work.trainee.model());
    work.finish(&model, json!({ "replaced": replaced }), &lines, form)
}

fn replacement(layer: &str, range: Option<f64>, coefficients: &[f64]) -> String {
    match range {
        None => format!("{layer}: mean instead of maximum\n"),
        Some(range) => {
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

/// Factors and summands per channel moved into the layer before, where only it is read.
fn folded(mut model: Model) -> Model {
    for index in 0..model.layers.len() {
        let LayerKind::Affine { scale, shift } = model.layers[index].kind.clone() else { continue };
        let operand = model.layers[index].inputs[0].0;
        let readers = model.layers.iter().flat_map(|layer| &layer.inputs).filter(|id| id.0 == operand);
        if readers.count() == 1
            && model.output.0 != operand
            && model.layers[operand].kind.fold(&scale, &shift)
        {
            let n = model.layers[index].shape.n_elements();
            model.layers[index].kind = LayerKind::Move { source: (0..n).collect() };
        }
    }
    model
}

impl TrainArgs {
    /// Training as asked for, with a teacher of this weight.
    fn recipe(&self, distillation: f64) -> Recipe {
        let TrainArgs { epochs, batch, rate, seed, .. } = *self;
        Recipe { epochs, batch, rate, distillation, seed }
    }
}

/// A bar over the steps of one training after the other.
struct Bar(ProgressBar);

impl Bar {
    fn new(message: &str, epochs: usize) -> Bar {
        Bar(progress::bar(message.to_owned(), epochs))
    }

    fn show(&self, now: Progress) -> Flow {
        self.0.set_length((now.n_steps * now.n_epochs) as u64);
        self.0.set_position((now.epoch * now.n_steps + now.step) as u64);
        self.0.set_message(format!("epoch {}, loss {:.4}", now.epoch + 1, now.loss));
        Flow::Continue
    }

    /// A line that stays, for people.
    fn say(&self, line: &str, form: Form) {
        if form == Form::Text {
            self.0.suspend(|| eprintln!("{line}"));
        }
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Writes NAME.hec, NAME.npz and samples that show how large values become.
fn write_model(folder: &Path, model: &Model, data: &Data) -> Result<Vec<PathBuf>, Diagnostics> {
    let name = super::summary::file_name(&model.name);
    let path = |suffix: &str| folder.join(format!("{name}{suffix}"));
    let text = hec::to_hec(model, &format!("{name}.npz")).map_err(|e| unwritten(model, &e.to_string()))?;
    let written = [
        (path(".npz"), hec::to_npz(model)),
        (path("-samples.npz"), data.calibration()),
        (path(".hec"), text.into()),
    ];
    for (path, bytes) in &written {
        files::write(path, bytes, Access::Normal)?;
    }
    Ok(written.into_iter().map(|(path, _)| path).rev().collect())
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
        TrainError::Setting { .. } => (Code::BadArguments, "`hecc prepare --help` says what is possible"),
        TrainError::Stopped => (Code::TrainingFailed, "start again"),
    };
    let place = Label::file(model.display().to_string(), "");
    Diagnostic::error(code, error.to_string()).label(place).help(help).into()
}
