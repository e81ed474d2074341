//! `hecc run`: predictions sample by sample, for people. Also the terminal's
//! tables and pictures.

use super::accuracy::{Judge, NO_CLASS, Task, max_difference};
use super::args::DataArgs;
use super::form::{Form, output};
use super::session::{self, Built, Deployment, Outcome};
use super::{digits, memory};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use hecc::diag::Diagnostics;
use hecc::front::data::Labels;
use hecc_ir::params::{Params, SecurityLevel, Strength};
use hecc_runtime::RunCost;
use hecc_runtime::client::promised_error;
use serde_json::{Value, json};

/// Runs the command.
pub fn run(args: &DataArgs, form: Form) -> Result<(), Diagnostics> {
    let data = session::samples(args)?;
    let built = session::build_to_run(args, &data, form)?;
    let judge = Judge::of(args.task, &data, &built)?;
    if form == Form::Text {
        output(&headline(&built));
    }
    let deployment = Deployment::start(args, &built.compiled.program)?;
    let (path, port) = (&args.model.model, &built.compiled.program.manifest.outputs[0]);
    let rows = session::each_batch(path, data.samples.len(), deployment.lanes(), |first| {
        let Outcome { logits, cost, .. } = deployment.predict(path, &data, first)?;
        let n_together = logits.len();
        let row = |(i, logits): (usize, Vec<f64>)| {
            let index = first + i;
            Row {
                index,
                plain: built.model.logits(&data.samples[index]),
                promised: promised_error(port, &logits),
                logits,
                n_together,
                cost: cost.clone(),
            }
        };
        let rows: Vec<Row> = logits.into_iter().enumerate().map(row).collect();
        if form == Form::Text {
            rows.iter().for_each(|row| {
                let facts = row.describe(&judge);
                output(&beside(&picture(&data.shape.0, &data.samples[row.index]), &facts));
            });
        }
        Ok(rows)
    })?;
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    let samples: Vec<Value> = rows.iter().map(|row| row.to_json(&judge)).collect();
    let report = json!({ "model": built.model.name, "task": judge.task, "samples": samples });
    form.result(&report, || closing(&rows, &judge, &deployment));
    Ok(())
}

/// One sample, plain and encrypted.
struct Row {
    index: usize,
    plain: Vec<f64>,
    logits: Vec<f64>,
    /// The error that the manifest promises of them.
    promised: f64,
    /// Samples of the run that it was in.
    n_together: usize,
    /// What that run cost.
    cost: RunCost,
}

impl Row {
    fn error(&self) -> f64 {
        max_difference(&self.plain, &self.logits)
    }

    fn milliseconds(&self) -> f64 {
        self.cost.wall.as_secs_f64() * 1e3
    }

    /// The class that stands out in the decrypted result.
    fn class(&self, judge: &Judge) -> Option<usize> {
        judge.class(&self.logits, self.promised)
    }

    fn describe(&self, judge: &Judge) -> Vec<String> {
        let verdict = if judge.agrees(&self.plain, &self.logits) { "   same" } else { "   DIFFERENT" };
        let label =
            judge.labels.map_or(String::new(), |labels| format!("   label {}", label(labels, self.index)));
        let together = match self.n_together {
            1 => String::new(),
            n => format!(" for {n} samples"),
        };
        let mut facts = vec![format!("sample {}{label}", self.index)];
        let relative = judge.relative(&self.plain, self.error());
        let promised = digits::plus_minus(self.promised);
        let named = |class: Option<usize>, verdict: &str| {
            class.map_or(NO_CLASS.into(), |class| format!("{class}{verdict}"))
        };
        let list = |outputs: &[f64]| digits::list(outputs, |value| digits::with_error(value, self.promised));
        match judge.task {
            Task::Classify => facts.extend([
                format!("plain prediction      {}", named(judge.class(&self.plain, 0.0), "")),
                format!("decrypted prediction  {}", named(self.class(judge), verdict)),
                format!("decrypted logits      {}{promised}", list(&self.logits)),
                format!("largest logit error   {:.1e}", self.error()),
            ]),
            Task::Regress => facts.extend([
                format!("plain result          {}", list(&self.plain)),
                format!("decrypted result      {}{promised}{verdict}", list(&self.logits)),
                format!("largest error         {:.1e}, {relative:.1e} of the largest output", self.error()),
            ]),
        }
        facts.push(format!("encrypted evaluation  {:.0} ms{together}", self.milliseconds()));
        facts
    }

    fn to_json(&self, judge: &Judge) -> Value {
        json!({
            "index": self.index,
            "label": judge.labels.map(|labels| json_label(labels, self.index)),
            "plain": judge.class(&self.plain, 0.0),
            "decrypted": self.class(judge),
            "same": judge.agrees(&self.plain, &self.logits),
            "plain_logits": self.plain,
            "logits": self.logits,
            "error": self.promised,
            "max_abs_err": self.error(),
            "relative_err": judge.relative(&self.plain, self.error()),
            "latency_s": self.cost.wall.as_secs_f64(),
            "peak_bytes": self.cost.memory.peak,
        })
    }
}

/// A class or one value as it is, several values as a list.
fn label(labels: &Labels, sample: usize) -> String {
    match labels.values(sample)[..] {
        [value] => value.to_string(),
        ref values => digits::list(values, |value| value.to_string()),
    }
}

fn json_label(labels: &Labels, sample: usize) -> Value {
    match labels {
        Labels::Classes(classes) => json!(classes[sample]),
        Labels::Targets { values, .. } => match values[sample][..] {
            [value] => json!(value),
            ref values => json!(values),
        },
    }
}

fn headline(built: &Built) -> String {
    let program = &built.compiled.program;
    let lanes = match program.manifest.lanes() {
        1 => String::new(),
        lanes => format!(", {lanes} samples at once"),
    };
    let (params, counts) = (&program.manifest.params, program.op_counts());
    format!(
        "{}: ring degree {}, {:.0}-bit modulus, {}\n\
         {} rotations, {} plaintext products, {} scalar products, {} ciphertext products, depth {}{lanes}\n\n",
        built.model.name,
        params.ring_degree,
        params.log_qp(),
        describe_security(params),
        counts.rotations,
        counts.mul_plain,
        counts.mul_scalar,
        counts.mul_ct,
        built.compiled.leveled.depth(),
    )
}

/// What parameters promise, and what an estimate says that they leave.
fn describe_security(params: &Params) -> String {
    let Strength { classical, quantum } = params.strength();
    let promise = match params.security {
        SecurityLevel::Insecure => String::from("NO security (insecure)"),
        level => format!("{}-bit security", level.bits()),
    };
    format!("{promise}: an estimate of {classical} bits, {quantum} against quantum attacks")
}

fn closing(rows: &[Row], judge: &Judge, deployment: &Deployment) -> String {
    let mut times: Vec<f64> = rows.iter().map(Row::milliseconds).collect();
    times.sort_by(f64::total_cmp);
    let throughput = match deployment.lanes() {
        1 => String::new(),
        lanes => format!(", {:.0} samples per second", lanes as f64 / times[times.len() / 2] * 1e3),
    };
    format!(
        "{}\n\
         median latency {:.0} ms on {} threads{throughput}; keys {:.1} MB, made in {:.2} s; weights encoded in {:.2} s\n\
         peak memory {}\n",
        agreement(rows, judge),
        times[times.len() / 2],
        rows[0].cost.n_threads,
        deployment.key_bytes as f64 / 1e6,
        deployment.keygen_time.as_secs_f64(),
        deployment.encode_time.as_secs_f64(),
        memory::describe(&memory::most(rows.iter().map(|row| row.cost.memory))),
    )
}

/// How many results are the plain ones, and how many are right.
fn agreement(rows: &[Row], judge: &Judge) -> String {
    let (n, agree) = (rows.len(), rows.iter().filter(|row| judge.agrees(&row.plain, &row.logits)).count());
    let results = || rows.iter().map(|row| row.logits.as_slice());
    match judge.task {
        Task::Classify => {
            let correct = judge.n_correct(results());
            let labels =
                correct.map_or(String::new(), |correct| format!(", {correct} of {n} equal the label"));
            let unclear = match rows.iter().filter(|row| row.class(judge).is_none()).count() {
                0 => String::new(),
                unclear => format!("; no class stands out in {unclear} of {n}"),
            };
            format!("{agree} of {n} encrypted predictions equal the plain ones{labels}{unclear}")
        }
        Task::Regress => {
            let of_plain = judge.label_error(rows.iter().map(|row| row.plain.as_slice()));
            let errors = judge.label_error(results()).zip(of_plain);
            let labels = errors.map_or(String::new(), |(found, plain)| {
                let [found, plain] = [found, plain].map(|error| digits::alone(error.mean_abs));
                format!("; mean absolute error to the labels {found}, {plain} of plain results")
            });
            let precision = judge.precision;
            format!(
                "{agree} of {n} encrypted results are within {precision:e} of the largest output from the plain ones{labels}"
            )
        }
    }
}

/// An image in half-block characters, two pixel rows per line; empty for
/// samples that are no single-channel image.
fn picture(shape: &[usize], pixels: &[f64]) -> Vec<String> {
    let &[1, height, width] = shape else { return Vec::new() };
    if width > 64 || height > 64 {
        return Vec::new();
    }
    let largest = pixels.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let lit = |y: usize, x: usize| y < height && pixels[y * width + x] > 0.4 * largest;
    let glyph = |y: usize, x: usize| match (lit(y, x), lit(y + 1, x)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    let lines: Vec<String> =
        (0..height).step_by(2).map(|y| (0..width).map(|x| glyph(y, x)).collect()).collect();
    let first = lines.iter().position(|l| !l.trim().is_empty()).unwrap_or(0);
    let last = lines.iter().rposition(|l| !l.trim().is_empty()).unwrap_or(0);
    lines[first..=last].to_vec()
}

fn beside(left: &[String], right: &[String]) -> String {
    let width = left.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let top = left.len().saturating_sub(right.len()) / 2;
    let mut text = String::new();
    for row in 0..left.len().max(right.len()) {
        let picture = left.get(row).map_or("", String::as_str);
        let fact = row.checked_sub(top).and_then(|r| right.get(r)).map_or("", String::as_str);
        text.push_str(format!("{picture:width$}   {fact}").trim_end());
        text.push('\n');
    }
    text.push('\n');
    text
}

/// A two-column table of a JSON object, objects inside it included; lists of
/// objects follow as tables of their own.
pub fn table(object: &Value) -> String {
    let fields = || object.as_object().into_iter().flatten();
    let mut facts = new_table();
    for (key, value) in fields().filter(|(_, value)| rows_of(value).is_none()) {
        match value.as_object() {
            Some(inside) => {
                facts.add_rows(inside.iter().map(|(name, fact)| [format!("{key}.{name}"), plain_text(fact)]))
            }
            None => facts.add_row([key.clone(), plain_text(value)]),
        };
    }
    let mut text = format!("{facts}\n");
    for rows in fields().filter_map(|(_, value)| rows_of(value)) {
        let mut list = new_table();
        list.set_header(rows[0].keys());
        for row in rows {
            list.add_row(row.values().map(plain_text));
        }
        text.push_str(&format!("{list}\n"));
    }
    text
}

/// An empty table as all commands print them.
pub fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table
}

/// The rows of a list of objects.
fn rows_of(value: &Value) -> Option<Vec<&serde_json::Map<String, Value>>> {
    let rows: Vec<_> = value.as_array()?.iter().map(Value::as_object).collect::<Option<_>>()?;
    (!rows.is_empty()).then_some(rows)
}

fn plain_text(value: &Value) -> String {
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(number)) if value.is_f64() => format!("{number:.4e}"),
        _ => value.to_string(),
    }
}
