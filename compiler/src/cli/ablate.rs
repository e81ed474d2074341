//! `hecc bench --ablate`: what each step of the compiler is worth.

use super::args::{AblationArgs, DataArgs};
use super::bench::median;
use super::form::Form;
use super::session::{self, Deployment};
use super::{problems, progress, show};
use hecc::diag::Diagnostics;
use hecc::front::data::DataSet;
use hecc::packing::{Packing, thin};
use hecc::pipeline::{Compiled, Options, compile_network};
use hecc_ir::machine::free_memory;
use serde::Serialize;

/// One row: the compiler up to one step, on one sparsity.
#[derive(Debug, Serialize)]
struct Row {
    /// Share of the diagonals that are zero.
    sparsity: f64,
    step: &'static str,
    rotations: usize,
    key_switches: usize,
    mul_plain: usize,
    mul_ct: usize,
    depth: usize,
    rotation_keys: usize,
    key_bytes: Option<usize>,
    plaintext_bytes: Option<usize>,
    predicted_s: f64,
    /// Median over samples; absent when keys and plaintexts would not fit.
    measured_s: Option<f64>,
}

/// A step of the compiler, with all before it.
struct Step {
    name: &'static str,
    packing: Packing,
    rewrites: bool,
}

const STEPS: [Step; 5] = [
    Step { name: "naive diagonals", packing: Packing::Naive, rewrites: false },
    Step { name: "+ zero skipping", packing: Packing::ZeroSkipping, rewrites: false },
    Step { name: "+ baby and giant steps", packing: Packing::SharedSteps, rewrites: false },
    Step { name: "+ packing search", packing: Packing::Searched, rewrites: false },
    Step { name: "+ rewriting", packing: Packing::Searched, rewrites: true },
];

/// Runs the command.
pub fn ablate(args: &DataArgs, asked: &AblationArgs, form: Form) -> Result<(), Diagnostics> {
    let data = session::samples(args)?;
    let built = session::build_for(args, &data, form)?;
    let options = built.compiled.settled(&built.options);
    let dense = &built.compiled;
    let bar = progress::bar("ablating", asked.sparsity.len() * (STEPS.len() - 1) + 1);
    let mut rows: Vec<Row> = Vec::new();
    for &sparsity in &asked.sparsity {
        let network = match sparsity {
            0.0 => dense.network.clone(),
            share => thin(&dense.network, &dense.plan, share, asked.seed),
        };
        let mut runs = Vec::new();
        // What computes every diagonal costs the same whatever is zero.
        let repeats = |step: &&Step| step.packing == Packing::Naive && (asked.skip_naive || !rows.is_empty());
        for step in STEPS.iter().filter(|step| !repeats(step)) {
            let objective = if step.rewrites { options.objective } else { None };
            let options = Options { packing: step.packing, objective, ..options.clone() };
            let compiled = compile_network(&built.compiled.model, &network, &options)
                .map_err(|e| problems::compile(&args.model, e))?;
            runs.push(Run::start(step, sparsity, &compiled, args)?);
            bar.inc(1);
        }
        measure(&mut runs, args, &data)?;
        rows.extend(runs.into_iter().map(Run::finish));
    }
    bar.finish_and_clear();
    let json = serde_json::to_value(&rows).expect("rows serialise");
    form.result(&json, || table(&rows));
    Ok(())
}

/// A row while it is measured.
struct Run {
    row: Row,
    /// Absent when keys and plaintexts would not fit.
    deployment: Option<Deployment>,
    seconds: Vec<f64>,
}

impl Run {
    fn start(step: &Step, sparsity: f64, compiled: &Compiled, args: &DataArgs) -> Result<Run, Diagnostics> {
        let program = &compiled.program;
        let counts = program.op_counts();
        // While keys are made, their residues are words.
        let needed = 2 * compiled.memory().total();
        let fits = free_memory().is_none_or(|free| needed <= free / 2);
        let deployment = if fits { Some(Deployment::start(args, program)?) } else { None };
        let row = Row {
            sparsity,
            step: step.name,
            rotations: counts.rotations,
            key_switches: counts.key_switches,
            mul_plain: counts.mul_plain + counts.mul_scalar,
            mul_ct: counts.mul_ct,
            depth: compiled.leveled.depth(),
            rotation_keys: program.manifest.keys.rotations.len(),
            key_bytes: deployment.as_ref().map(|deployment| deployment.key_bytes),
            plaintext_bytes: deployment.as_ref().map(|deployment| deployment.plain_bytes().total()),
            predicted_s: compiled.cost_ns * 1e-9,
            measured_s: None,
        };
        Ok(Run { row, deployment, seconds: Vec::new() })
    }

    fn finish(mut self) -> Row {
        self.seconds.sort_by(f64::total_cmp);
        let measured_s = (!self.seconds.is_empty()).then(|| median(&self.seconds));
        Row { measured_s, ..self.row }
    }
}

/// Samples that a run of a program takes.
fn lanes(run: &Run) -> Option<usize> {
    Some(run.deployment.as_ref()?.lanes())
}

/// Evaluates every sample with all rows in turn, so that whatever disturbs the
/// machine disturbs them alike.
fn measure(runs: &mut [Run], args: &DataArgs, data: &DataSet) -> Result<(), Diagnostics> {
    for first in (0..data.samples.len()).step_by(runs.iter().find_map(lanes).unwrap_or(1)) {
        for run in runs.iter_mut() {
            if let Some(deployment) = &run.deployment {
                let outcome = deployment.predict(&args.model.model, data, first)?;
                run.seconds.push(outcome.cost.wall.as_secs_f64());
            }
        }
    }
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let mut table = show::new_table();
    table.set_header([
        "zeros",
        "step",
        "rotations",
        "key switches",
        "plaintext products",
        "ciphertext products",
        "depth",
        "keys",
        "key MB",
        "plaintext MB",
        "predicted ms",
        "measured ms",
    ]);
    for row in rows {
        let mb = |bytes: Option<usize>| bytes.map_or_else(unknown, |b| format!("{:.1}", b as f64 / 1e6));
        let counts =
            [row.rotations, row.key_switches, row.mul_plain, row.mul_ct, row.depth, row.rotation_keys];
        let times = [Some(row.predicted_s), row.measured_s];
        let cells = [format!("{:.0} %", row.sparsity * 100.0), row.step.to_owned()].into_iter();
        let cells = cells.chain(counts.map(|count| count.to_string()));
        let cells = cells.chain([mb(row.key_bytes), mb(row.plaintext_bytes)]);
        table.add_row(cells.chain(times.map(|t| t.map_or_else(unknown, |s| format!("{:.2}", s * 1e3)))));
    }
    format!("{table}\n")
}

/// For what was not measured because it does not fit into memory.
fn unknown() -> String {
    String::from("-")
}
