//! `hecc run`: predictions sample by sample, for people. Also the terminal's
//! tables and pictures.

use super::accuracy::{argmax, max_difference};
use super::args::DataArgs;
use super::form::{Form, output};
use super::memory;
use super::session::{self, Built, Deployment, Outcome};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use hecc::diag::Diagnostics;
use hecc::front::data::DataSet;
use hecc_runtime::RunCost;
use serde_json::{Value, json};

/// Runs the command.
pub fn run(args: &DataArgs, form: Form) -> Result<(), Diagnostics> {
    let data = session::samples(args)?;
    let built = session::build_to_run(args, &data, form)?;
    data.fits(&built.model)?;
    if form == Form::Text {
        output(&headline(&built));
    }
    let deployment = Deployment::start(args, &built.compiled.program)?;
    let path = &args.model.model;
    let rows = session::each_batch(path, data.samples.len(), deployment.lanes(), |first| {
        let Outcome { logits, cost, .. } = deployment.predict(path, &data.samples, first)?;
        let n_together = logits.len();
        let decrypted = logits.into_iter().map(|logits| Decrypted { logits, n_together, cost: cost.clone() });
        let rows = decrypted.enumerate().map(|(i, outcome)| Row::of(first + i, &data, &built, outcome));
        let rows: Vec<Row> = rows.collect();
        if form == Form::Text {
            rows.iter().for_each(|row| output(&row.describe(&data)));
        }
        Ok(rows)
    })?;
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    let samples: Vec<Value> = rows.iter().map(Row::to_json).collect();
    form.result(&json!({ "model": built.model.name, "samples": samples }), || closing(&rows, &deployment));
    Ok(())
}

/// One sample, plain and encrypted.
struct Row {
    index: usize,
    label: Option<usize>,
    plain: Vec<f64>,
    outcome: Decrypted,
}

/// What came of one sample, and of the run that it was in.
struct Decrypted {
    logits: Vec<f64>,
    /// Samples of the run.
    n_together: usize,
    cost: RunCost,
}

impl Row {
    fn of(index: usize, data: &DataSet, built: &Built, outcome: Decrypted) -> Row {
        let label = data.labels.as_ref().map(|labels| labels[index]);
        Row { index, label, plain: built.model.logits(&data.samples[index]), outcome }
    }

    fn agrees(&self) -> bool {
        argmax(&self.plain) == argmax(&self.outcome.logits)
    }

    fn error(&self) -> f64 {
        max_difference(&self.plain, &self.outcome.logits)
    }

    fn milliseconds(&self) -> f64 {
        self.outcome.cost.wall.as_secs_f64() * 1e3
    }

    fn describe(&self, data: &DataSet) -> String {
        let verdict = if self.agrees() { "same" } else { "DIFFERENT" };
        let label = self.label.map_or(String::new(), |label| format!("   label {label}"));
        let together = match self.outcome.n_together {
            1 => String::new(),
            n => format!(" for {n} samples"),
        };
        let facts = [
            format!("sample {}{label}", self.index),
            format!("plain prediction      {}", argmax(&self.plain)),
            format!("decrypted prediction  {}   {verdict}", argmax(&self.outcome.logits)),
            format!("largest logit error   {:.1e}", self.error()),
            format!("encrypted evaluation  {:.0} ms{together}", self.milliseconds()),
        ];
        beside(&picture(&data.shape.0, &data.samples[self.index]), &facts)
    }

    fn to_json(&self) -> Value {
        json!({
            "index": self.index,
            "label": self.label,
            "plain": argmax(&self.plain),
            "decrypted": argmax(&self.outcome.logits),
            "logits": self.outcome.logits,
            "max_abs_err": self.error(),
            "latency_s": self.outcome.cost.wall.as_secs_f64(),
            "peak_bytes": self.outcome.cost.memory.peak,
        })
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
        "{}: ring degree {}, {:.0}-bit modulus, 128-bit security: {}\n\
         {} rotations, {} plaintext products, {} scalar products, {} ciphertext products, depth {}{lanes}\n\n",
        built.model.name,
        params.ring_degree,
        params.log_qp(),
        if params.security == hecc_ir::SecurityLevel::Classical128 { "yes" } else { "NO (insecure)" },
        counts.rotations,
        counts.mul_plain,
        counts.mul_scalar,
        counts.mul_ct,
        built.compiled.leveled.depth(),
    )
}

fn closing(rows: &[Row], deployment: &Deployment) -> String {
    let agree = rows.iter().filter(|row| row.agrees()).count();
    let labelled = rows.iter().filter(|row| row.label.is_some()).count();
    let correct = rows.iter().filter(|row| row.label == Some(argmax(&row.outcome.logits))).count();
    let mut times: Vec<f64> = rows.iter().map(Row::milliseconds).collect();
    times.sort_by(f64::total_cmp);
    let throughput = match deployment.lanes() {
        1 => String::new(),
        lanes => format!(", {:.0} samples per second", lanes as f64 / times[times.len() / 2] * 1e3),
    };
    let labels =
        if labelled > 0 { format!(", {correct} of {labelled} equal the label") } else { String::new() };
    format!(
        "{agree} of {} encrypted predictions equal the plain ones{labels}\n\
         median latency {:.0} ms on {} threads{throughput}; keys {:.1} MB, made in {:.2} s; weights encoded in {:.2} s\n\
         peak memory {}\n",
        rows.len(),
        times[times.len() / 2],
        rows[0].outcome.cost.n_threads,
        deployment.key_bytes as f64 / 1e6,
        deployment.keygen_time.as_secs_f64(),
        deployment.encode_time.as_secs_f64(),
        memory::describe(&memory::most(rows.iter().map(|row| row.outcome.cost.memory))),
    )
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
