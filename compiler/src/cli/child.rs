//! `hecc bench` of one model in a process of its own, so that the memory it takes
//! is its own: the command line of that process, its figures, its diagnostics.

use super::args::{BenchArgs, DataArgs, MachineArgs, ModelArgs, PackingArg};
use super::{files, memory};
use clap::ValueEnum;
use hecc::diag::{Code, Diagnostic, Diagnostics, Label, Severity, Source};
use hecc_ir::machine::{Bound, process_bound};
use serde::Deserialize;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Benchmarks one model with the options of `args`, and this packing instead of theirs: its figures,
/// and what there was to notice.
pub fn bench(
    args: &BenchArgs,
    model: &Path,
    packing: Option<PackingArg>,
) -> Result<(Value, Diagnostics), Diagnostics> {
    let failed = |cause: String| lost(model, cause, "");
    let program = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
    let mut command = Command::new(program);
    command.arg("bench").args(options(args, packing)).arg("--").arg(model).stdin(Stdio::null());
    let output = command.output().map_err(|e| failed(e.to_string()))?;
    let said = diagnostics(&output.stderr);
    if !output.status.success() {
        return Err(said.filter(Diagnostics::has_errors).unwrap_or_else(|| ended(model, &output)));
    }
    let figures = serde_json::from_slice(&output.stdout).map_err(|e| failed(e.to_string()))?;
    Ok((figures, said.unwrap_or_default()))
}

/// Every option but those of the comparison, as words of a command line.
fn options(args: &BenchArgs, packing: Option<PackingArg>) -> Vec<OsString> {
    // What compares or ablates is not for the child.
    let BenchArgs { data, others: _, simulate, plot: _, force: _, packings: _, ablate: _, ablation: _ } =
        args;
    let DataArgs { model, data, count, task, machine } = data;
    let ModelArgs {
        model: _,
        precision,
        ring,
        batch,
        input_range,
        calibrate,
        target,
        security,
        insecure,
        optimize,
        packing: _,
        no_validate,
        range_bound,
    } = model;
    let MachineArgs { threads, plain_memory, plain_map, time_limit } = machine;
    let mut words = vec![OsString::from("--json")];
    let mut option = |name: &str, value: Option<OsString>| words.extend(value.map(|v| word(name, &v)));
    option("precision", Some(precision.to_string().into()));
    option("ring", ring.map(|ring| ring.to_string().into()));
    option("batch", batch.map(|batch| batch.to_string().into()));
    option("input-range", input_range.map(|(low, high)| format!("{low},{high}").into()));
    option("calibrate", calibrate.as_ref().map(OsString::from));
    option("target", target.as_ref().map(OsString::from));
    let security = security.to_possible_value().filter(|_| !insecure);
    option("security", security.map(|value| value.get_name().into()));
    option("optimize", optimize.to_possible_value().map(|value| value.get_name().into()));
    option("packing", packing.and_then(|p| Some(p.to_possible_value()?.get_name().into())));
    option("data", Some(data.into()));
    option("count", Some(count.to_string().into()));
    option("task", task.and_then(|task| Some(task.to_possible_value()?.get_name().into())));
    option("threads", threads.map(|n| n.to_string().into()));
    option("memory", size(process_bound()));
    option("plain-memory", plain_memory.and_then(size));
    option("time-limit", time_limit.map(|time| format!("{}ms", time.as_millis()).into()));
    option("plain-map", plain_map.as_ref().map(OsString::from));
    option("simulate", simulate.map(|n| n.to_string().into()));
    let flags = [("--insecure", *insecure), ("--no-validate", *no_validate), ("--range-bound", *range_bound)];
    words.extend(flags.into_iter().filter(|flag| flag.1).map(|flag| flag.0.into()));
    words
}

/// `--name=value`.
fn word(name: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value);
    word
}

fn size(bound: Bound) -> Option<OsString> {
    memory::spell_memory(bound).map(OsString::from)
}

/// A process that ended without figures and without a diagnostic.
fn ended(model: &Path, output: &Output) -> Diagnostics {
    lost(model, output.status.to_string(), String::from_utf8_lossy(&output.stderr).trim())
}

fn lost(model: &Path, cause: String, said: &str) -> Diagnostics {
    let place = Label::file(model.display().to_string(), cause);
    let lost = Diagnostic::error(Code::RunFailed, "the benchmark of a model ended without figures");
    let lost = lost.label(place).help("run `hecc bench` for this model alone; it may need more memory");
    if said.is_empty() { lost.into() } else { lost.note(said).into() }
}

/// Diagnostics as [`Form::Json`](super::form::Form) prints them, a list a line.
fn diagnostics(stderr: &[u8]) -> Option<Diagnostics> {
    let text = String::from_utf8_lossy(stderr);
    let lists = text.lines().map(serde_json::from_str::<Vec<Told>>).collect::<Result<Vec<_>, _>>().ok()?;
    let mut all = Diagnostics::new();
    all.extend(lists.into_iter().flatten().filter_map(Told::diagnostic));
    Some(all)
}

/// A diagnostic of another process.
#[derive(Deserialize)]
struct Told {
    severity: String,
    code: String,
    title: String,
    labels: Vec<ToldLabel>,
    notes: Vec<String>,
    help: Option<String>,
}

#[derive(Deserialize)]
struct ToldLabel {
    place: ToldPlace,
    message: String,
}

#[derive(Deserialize)]
struct ToldPlace {
    file: String,
    item: Option<String>,
    span: Option<[usize; 2]>,
}

impl Told {
    fn diagnostic(self) -> Option<Diagnostic> {
        let severity = match self.severity.as_str() {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => Severity::Note,
        };
        let Told { title, notes, help, .. } = self;
        let labels = self.labels.into_iter().map(ToldLabel::label).collect();
        Some(Diagnostic { severity, code: Code::parse(&self.code)?, title, labels, notes, help })
    }
}

impl ToldLabel {
    /// Points into the text again, if it can be read.
    fn label(self) -> Label {
        let ToldLabel { place: ToldPlace { file, item, span }, message } = self;
        let text = |span| Some((span, String::from_utf8(files::text(Path::new(&file)).ok()?).ok()?));
        let text = span.and_then(text);
        match (text, item) {
            (Some(([start, end], text)), _) => Label::text(&Source::new(file, text), start..end, message),
            (None, Some(item)) => Label::item(&file, item, message),
            (None, None) => Label::file(file, message),
        }
    }
}
