//! `hecc bench` of several models, or of one in several packings: the figures of each beside those of the first.

use super::accuracy::Task;
use super::args::{BenchArgs, PackingArg};
use super::files::{Kind, Output, Outputs};
use super::form::{Form, notice};
use super::plot::{self, Point};
use super::{child, names, problems, progress, session, show};
use clap::ValueEnum;
use comfy_table::CellAlignment;
use hecc::diag::{Diagnostic, Diagnostics};
use hecc::front::data::DataSet;
use hecc::front::{self, LoadOptions};
use hecc::model::Model;
use hecc::packing::Packing;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn compare(args: &BenchArgs, form: Form) -> Result<(), Diagnostics> {
    let data = session::samples(&args.data)?;
    let subjects = subjects(args);
    let inputs = check(args, &subjects, &data)?;
    let outputs = Outputs::beside(inputs.into_iter().chain([args.data.data.clone()]), args.force.force);
    outputs.check(&args.plot.iter().map(|path| (path.as_path(), Kind::Plot)).collect::<Vec<_>>())?;
    let found = measure(args, &subjects, form)?;
    let plot = args.plot.as_ref().map(|path| (path, plot::draw(&points(&found))));
    let output = plot.iter().map(|(path, plot)| Output { path, kind: Kind::Plot, bytes: plot.as_bytes() });
    let written = outputs.write(&output.collect::<Vec<_>>());
    // What was measured is told even if there is no room for its plot.
    let told = written.as_ref().copied().unwrap_or_default();
    form.report(told, &Value::from_iter(found.iter().map(Compared::to_json)), || table(&found));
    written.map(drop)
}

/// One thing to measure.
struct Subject {
    label: String,
    path: PathBuf,
    packing: Option<PackingArg>,
}

/// The models, or the packings of the one.
fn subjects(args: &BenchArgs) -> Vec<Subject> {
    let model = &args.data.model;
    if args.packings {
        let kinds = PackingArg::value_variants().iter().map(|kind| Some(*kind));
        let subject = |packing: Option<PackingArg>| Subject {
            label: packing.map_or_else(Packing::default, Packing::from).to_string(),
            path: model.model.clone(),
            packing,
        };
        return std::iter::once(None).chain(kinds).map(subject).collect();
    }
    let paths: Vec<PathBuf> = std::iter::once(&model.model).chain(&args.others).cloned().collect();
    let labels = names::distinguish(&paths);
    let subject = |(path, label)| Subject { label, path, packing: model.packing };
    paths.into_iter().zip(labels).map(subject).collect()
}

/// Runs one after the other and says which. Kinds of packing that cannot be measured are left out.
fn measure(args: &BenchArgs, subjects: &[Subject], form: Form) -> Result<Vec<Compared>, Diagnostics> {
    let mut found: Vec<Compared> = Vec::new();
    for (index, Subject { label, path, packing }) in subjects.iter().enumerate() {
        let what = if args.packings { "packing" } else { "model" };
        let place = format!("{what} {} of {}: {label}", index + 1, subjects.len());
        if form == Form::Text {
            notice(&format!("{place}\n"));
        }
        let spinner = progress::spinner(format!("measuring {label}"));
        let measured = child::bench(args, path, *packing);
        spinner.finish_and_clear();
        match measured {
            Ok((figures, notices)) => {
                if !notices.is_empty() {
                    form.diagnostics(&notices);
                }
                found.push(Compared::of(label, path, figures, found.first()));
            }
            // What the compiler chooses is what the others are compared with.
            Err(errors) if args.packings && index > 0 => {
                form.diagnostics(&noted(errors, &format!("{label} is left out")));
            }
            Err(errors) => return Err(noted(errors, &format!("while measuring {place}"))),
        }
    }
    Ok(found)
}

/// Reports what is wrong with any of the models before the first is measured; else the files that were read.
fn check(args: &BenchArgs, subjects: &[Subject], data: &DataSet) -> Result<Vec<PathBuf>, Diagnostics> {
    let load = LoadOptions { input_range: args.data.model.input_range, accept_unfriendly: false };
    let (mut files, mut errors) = (Vec::new(), Diagnostics::new());
    let subjects = if args.packings { &subjects[..1] } else { subjects };
    for Subject { path, .. } in subjects {
        let mut found = Diagnostics::new();
        if let Some(loaded) = front::load_reporting(path, &load, &mut found) {
            files.extend(session::inputs(&args.data.model, &loaded.files));
            let fits = fits(args, &loaded.model, data).err().unwrap_or_default();
            found = noted(fits, &format!("the model is `{}`", path.display()));
        }
        errors.extend(found);
    }
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

/// Whether samples and their labels are for a model, and tell its accuracy if that is to be drawn.
fn fits(args: &BenchArgs, model: &Model, data: &DataSet) -> Result<(), Diagnostics> {
    data.fits(model)?;
    match (Task::of(args.data.task, data, model)?, &data.labels) {
        (Task::Classify, Some(_)) => Ok(()),
        (Task::Classify | Task::Regress, _) if args.plot.is_none() => Ok(()),
        (Task::Classify | Task::Regress, _) => Err(problems::no_classes(&args.data.data)),
    }
}

/// Errors with the model that they are about.
fn noted(errors: Diagnostics, note: &str) -> Diagnostics {
    let mut noted = Diagnostics::new();
    noted.extend(errors.into_iter().map(|error: Diagnostic| error.note(note)));
    noted
}

/// What is read of the figures of a model; `bench` says what they are.
#[derive(Clone, Deserialize)]
struct Measured {
    latency_s: f64,
    predicted_latency_one_thread_s: f64,
    lanes: usize,
    samples_per_s: f64,
    depth: usize,
    rotations: usize,
    mul_plain: usize,
    mul_ct: usize,
    he_operations: usize,
    key_bytes: usize,
    plaintext_bytes: usize,
    peak_run_bytes: usize,
    peak_rss_bytes: Option<u64>,
    weights: usize,
    zero_weights: usize,
    n: usize,
    agree: usize,
    correct: Option<usize>,
    plain_correct: Option<usize>,
    simulated: Option<MeasuredSimulation>,
}

/// What is read of a simulation; `simulate` says what it is.
#[derive(Clone, Deserialize)]
struct MeasuredSimulation {
    n: usize,
    agree: usize,
    correct: Option<usize>,
    plain_correct: Option<usize>,
    uncertain: Option<usize>,
    overflowed: usize,
}

/// A model against the baseline. Factors are the baseline's figure over this one's.
#[derive(Serialize)]
struct Ratios {
    zero_weights_percent: f64,
    he_operations_removed_percent: f64,
    latency_factor: f64,
    peak_run_factor: f64,
    peak_rss_factor: Option<f64>,
}

/// One model of a comparison.
struct Compared {
    label: String,
    path: PathBuf,
    figures: Value,
    measured: Measured,
    ratios: Ratios,
}

impl Compared {
    fn of(label: &str, path: &Path, figures: Value, baseline: Option<&Compared>) -> Compared {
        let measured = Measured::deserialize(&figures).expect("a process of ours prints its figures");
        let ratios = Ratios::of(&measured, baseline.map_or(&measured, |baseline| &baseline.measured));
        Compared { label: label.to_owned(), path: path.to_owned(), figures, measured, ratios }
    }

    /// The figures, behind what names the model and before the ratios.
    fn to_json(&self) -> Value {
        let mut object = json!({ "label": self.label, "path": self.path.display().to_string() });
        let ratios = serde_json::to_value(&self.ratios).expect("ratios serialise");
        for part in [&self.figures, &ratios] {
            for (key, value) in part.as_object().into_iter().flatten() {
                object[key] = value.clone();
            }
        }
        object
    }

    /// Correct plain predictions, and of how many: simulated ones if there are some.
    fn plain_accuracy(&self) -> (Option<usize>, usize) {
        let Measured { plain_correct, n, simulated, .. } = &self.measured;
        simulated.as_ref().map_or((*plain_correct, *n), |all| (all.plain_correct, all.n))
    }
}

impl Ratios {
    fn of(model: &Measured, baseline: &Measured) -> Ratios {
        let factor = |of: fn(&Measured) -> f64| of(baseline) / of(model);
        let rss = model.peak_rss_bytes.zip(baseline.peak_rss_bytes);
        Ratios {
            zero_weights_percent: percent(model.zero_weights, model.weights.max(1)),
            he_operations_removed_percent: 100.0
                - percent(model.he_operations, baseline.he_operations.max(1)),
            latency_factor: factor(|m| m.latency_s),
            peak_run_factor: factor(|m| m.peak_run_bytes as f64),
            peak_rss_factor: rss.map(|(model, baseline)| baseline as f64 / model as f64),
        }
    }
}

fn percent(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of as f64
}

/// Points of a plot; all have classes, and so accuracies.
fn points(found: &[Compared]) -> Vec<Point> {
    let point = |model: &Compared| {
        let (correct, n_samples) = model.plain_accuracy();
        Point {
            label: model.label.clone(),
            series: names::series(&model.path),
            latency_ms: model.measured.latency_s * 1e3,
            accuracy: percent(correct.unwrap_or_default(), n_samples),
            n_samples,
        }
    };
    found.iter().map(point).collect()
}

/// How one figure of a model is shown.
type Cell = fn(&Compared) -> String;

/// Figures by their names in the table; those of simulations apart.
const ROWS: [(&str, Cell); 22] = [
    ("accuracy, plain", |m| share(m.measured.plain_correct, m.measured.n)),
    ("accuracy, encrypted", |m| share(m.measured.correct, m.measured.n)),
    ("same result", |m| share(Some(m.measured.agree), m.measured.n)),
    ("zero weights", |m| format!("{:.1} %", m.ratios.zero_weights_percent)),
    ("rotations", |m| m.measured.rotations.to_string()),
    ("plaintext products", |m| m.measured.mul_plain.to_string()),
    ("ciphertext products", |m| m.measured.mul_ct.to_string()),
    ("HE operations", |m| m.measured.he_operations.to_string()),
    ("  removed", |m| format!("{:.1} %", m.ratios.he_operations_removed_percent)),
    ("depth", |m| m.measured.depth.to_string()),
    ("inputs at once", |m| m.measured.lanes.to_string()),
    ("inputs per second", |m| format!("{:.1}", m.measured.samples_per_s)),
    ("predicted latency, one thread (ms)", |m| {
        format!("{:.1}", m.measured.predicted_latency_one_thread_s * 1e3)
    }),
    ("latency (ms)", |m| format!("{:.1}", m.measured.latency_s * 1e3)),
    ("  baseline over it", |m| times(Some(m.ratios.latency_factor))),
    ("peak memory of a run (MB)", |m| megabytes(m.measured.peak_run_bytes as f64)),
    ("  baseline over it", |m| times(Some(m.ratios.peak_run_factor))),
    ("peak memory of the process (MB)", |m| {
        m.measured.peak_rss_bytes.map_or_else(unknown, |b| megabytes(b as f64))
    }),
    ("  baseline over it", |m| times(m.ratios.peak_rss_factor)),
    ("keys (MB)", |m| megabytes(m.measured.key_bytes as f64)),
    ("encoded weights (MB)", |m| megabytes(m.measured.plaintext_bytes as f64)),
    ("model", |m| m.path.display().to_string()),
];

/// How one figure of a simulation is shown.
type SimulationCell = fn(&MeasuredSimulation) -> String;

/// Figures of simulations.
const SIMULATION_ROWS: [(&str, SimulationCell); 5] = [
    ("accuracy, plain, simulated", |s| share(s.plain_correct, s.n)),
    ("accuracy, program, simulated", |s| share(s.correct, s.n)),
    ("same result, simulated", |s| share(Some(s.agree), s.n)),
    ("  uncertain under the expected error", |s| s.uncertain.map_or_else(unknown, |n| n.to_string())),
    ("  beyond the modulus", |s| s.overflowed.to_string()),
];

/// A column for each model.
fn table(found: &[Compared]) -> String {
    let mut table = show::new_table();
    table.set_header(std::iter::once("").chain(found.iter().map(|model| model.label.as_str())));
    for (name, cell) in ROWS {
        table.add_row(std::iter::once(name.to_owned()).chain(found.iter().map(cell)));
    }
    for (name, cell) in SIMULATION_ROWS {
        let cells: Option<Vec<_>> = found.iter().map(|m| m.measured.simulated.as_ref().map(cell)).collect();
        if let Some(cells) = cells {
            table.add_row(std::iter::once(name.to_owned()).chain(cells));
        }
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    format!(
        "{table}\nthe baseline is {}; HE operations are rotations, products, relinearisations and rescales\n",
        found[0].label
    )
}

/// For what there is no figure of.
fn unknown() -> String {
    String::from("-")
}

fn share(part: Option<usize>, n: usize) -> String {
    part.map_or_else(unknown, |part| format!("{:.2} % of {n}", percent(part, n)))
}

fn times(factor: Option<f64>) -> String {
    factor.map_or_else(unknown, |factor| format!("{factor:.1}x"))
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1}", bytes / 1e6)
}
