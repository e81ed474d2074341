//! `hecc compile`: writes program and manifest and says what they cost.

use super::args::CompileArgs;
use super::files::{Kind, Output, Outputs, names};
use super::form::Form;
use super::session::{self, Built};
use super::{digits, problems, show};
use comfy_table::Table;
use hecc::diag::Diagnostics;
use hecc::front::Loaded;
use hecc::packing::{LayerSparsity, WeightGroups};
use hecc::pipeline::{Elsewhere, Likeness, Served};
use hecc_ir::artifact;
use hecc_ir::program::{OpCounts, Program, RangeBasis};
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;

const PROGRAM: Kind = Kind::Artifact(artifact::Kind::Program);
const MANIFEST: Kind = Kind::Artifact(artifact::Kind::Manifest);

/// Runs the command.
pub fn compile(args: &CompileArgs, form: Form) -> Result<(), Diagnostics> {
    let Loaded { model, files } = session::load(&args.model, false, form)?;
    let path = |extension: &str| args.output.join(format!("{}.{extension}", names::stem(&model.name)));
    let (program_path, manifest_path) = (path("hecp"), path("hecm"));
    let outputs = Outputs::beside(session::inputs(&args.model, &files), args.force.force);
    outputs.check(&[(&program_path, PROGRAM), (&manifest_path, MANIFEST)])?;
    let built = session::build_loaded(&args.model, model, form)?;
    let served = &built.compiled.served;
    if !served.is_whole() {
        form.diagnostics(&problems::serves_less(&args.model.model, served));
    }
    let program = &built.compiled.program;
    let written = outputs.write(&[
        Output { path: &program_path, kind: PROGRAM, bytes: &artifact::write_program(program) },
        Output { path: &manifest_path, kind: MANIFEST, bytes: &artifact::write_manifest(&program.manifest) },
    ])?;
    let sparsity = sparsity(&built);
    let here = args.model.target.is_none().then(|| here(&built)).flatten();
    let mut object = as_object(&built, &program_path, &manifest_path);
    object["sparsity"] = json!(sparsity);
    if let Some(Elsewhere { as_compiled_ns, as_scheduled_ns }) = here {
        object["expected_time_here_s"] = json!(as_compiled_ns * 1e-9);
        object["expected_time_native_s"] = json!(as_scheduled_ns * 1e-9);
    }
    form.report(written, &object, || {
        let wrote = format!("wrote {} and {}\n", program_path.display(), manifest_path.display());
        let here = here.map_or_else(String::new, describe_here);
        format!("{}\n{}{}{here}{wrote}", layer_table(program), sparsity_table(&sparsity), facts(&built))
    });
    Ok(())
}

/// Expected times on this machine, if the model was compiled for another.
fn here(built: &Built) -> Option<Elsewhere> {
    let native = session::native_target();
    let differs = native.name != built.options.target.name;
    differs.then(|| built.compiled.on(&native, &built.options)).flatten()
}

fn describe_here(Elsewhere { as_compiled_ns, as_scheduled_ns }: Elsewhere) -> String {
    format!(
        "compiled for other processors than this machine's: {:.0} ms here, {:.0} ms with `--target native`\n",
        as_compiled_ns * 1e-6,
        as_scheduled_ns * 1e-6
    )
}

/// What zero weights save, by layer; nothing for a model that has none.
pub fn sparsity(built: &Built) -> Vec<LayerSparsity> {
    let Built { model, options, compiled, .. } = built;
    let mut weights = model.layers.iter().filter_map(|layer| layer.kind.weights());
    if !weights.any(|weights| weights.contains(&0.0)) {
        return Vec::new();
    }
    let nominal = compiled.nominal(&options.target);
    let groups =
        nominal.map(|nominal| WeightGroups::of(&compiled.model, &compiled.network, &compiled.plan, &nominal));
    groups.map_or_else(Vec::new, |groups| groups.by_layer(model, &compiled.model))
}

fn sparsity_table(layers: &[LayerSparsity]) -> String {
    if layers.is_empty() {
        return String::new();
    }
    let mut table = show::new_table();
    let columns = ["layer", "channels", "zero weights", "beside others", "products", "rotations"];
    table.set_header(columns);
    for layer in layers {
        let of = |[all, left]: [usize; 2]| format!("{left} of {all}");
        table.add_row([
            layer.layer.clone(),
            of(layer.channels),
            format!("{} of {}", layer.zeros, layer.weights),
            layer.stranded.to_string(),
            of(layer.products),
            of(layer.rotations),
        ]);
    }
    format!("{table}\nzero weights beside others lie on diagonals that a weight keeps: they save nothing\n")
}

/// Operation counts by layer, as a table.
#[derive(Serialize)]
pub(super) struct Counts {
    columns: [&'static str; 7],
    /// One per layer, and the total.
    rows: Vec<Vec<String>>,
}

/// Operation counts of the layers that have any.
pub(super) fn counts(program: &Program) -> Counts {
    let mut by_source = vec![OpCounts::default(); program.sources.len()];
    for (instr, &source) in program.instrs.iter().zip(&program.source_of) {
        by_source[source as usize] += program.counts_of(instr);
    }
    let numbers = |c: &OpCounts| [c.rotations, c.mul_plain, c.mul_scalar, c.mul_ct, c.relins, c.rescales];
    let row = |name: &str, counts: &OpCounts| {
        let numbers = numbers(counts).map(|n| n.to_string());
        std::iter::once(name.to_owned()).chain(numbers).collect()
    };
    let layers = program.sources.iter().zip(&by_source).filter(|(_, c)| **c != OpCounts::default());
    let total = row("total", &program.op_counts());
    Counts {
        columns: ["layer", "rotations", "mul_plain", "mul_scalar", "mul_ct", "relin", "rescale"],
        rows: layers.map(|(name, counts)| row(name, counts)).chain([total]).collect(),
    }
}

fn layer_table(program: &Program) -> Table {
    let Counts { columns, rows } = counts(program);
    let mut table = show::new_table();
    table.set_header(columns);
    table.add_rows(rows);
    table
}

fn facts(built: &Built) -> String {
    let (compiled, params) = (&built.compiled, &built.compiled.program.manifest.params);
    let lanes = match compiled.program.manifest.lanes() {
        1 => String::new(),
        lanes => {
            let per_second = lanes as f64 / compiled.cost_ns * 1e9;
            format!("{lanes} samples at once: {per_second:.0} a second on one thread are expected\n")
        }
    };
    format!(
        "ring degree {}, log2(QP) {:.1}, {} + {} primes, {} rotation keys\n\
         expected error {:.1e} of largest output {}; expected time {:.0} ms on one thread, memory {:.1} MB\n{lanes}",
        params.ring_degree,
        params.log_qp(),
        params.q.len(),
        params.p.len(),
        compiled.program.manifest.keys.rotations.len(),
        compiled.prediction.max_error,
        digits::alone(compiled.prediction.max_output),
        compiled.cost_ns * 1e-6,
        compiled.memory().total() as f64 / 1e6,
    ) + &ranges(built)
}

/// Which inputs are served, and what it costs to serve all.
fn ranges(built: &Built) -> String {
    let Served { range: (low, high), basis, excess_bits, .. } = built.compiled.served;
    let like = match built.options.samples.is_empty() {
        true => "like random ones, for there were no samples (see --calibrate)",
        false => "like the samples",
    };
    match basis {
        RangeBasis::Samples if excess_bits > 0.0 => format!(
            "serves inputs from {low} to {high} {like}; extreme ones outgrow the modulus by {excess_bits:.1} bits \
             or more (see --range-bound)\n"
        ),
        RangeBasis::Samples => {
            format!("serves inputs from {low} to {high} {like}, and extreme ones that were tried\n")
        }
        RangeBasis::Bound => {
            let without = built.compiled.without_bound.as_ref().map_or(String::new(), |without| {
                let Likeness { ring_degree, log_qp, cost_ns, .. } = without;
                format!(
                    "; without --range-bound ring degree {ring_degree}, log2(QP) {log_qp:.1}, {:.0} ms",
                    cost_ns * 1e-6
                )
            });
            format!("no input from {low} to {high} outgrows the modulus{without}\n")
        }
    }
}

fn as_object(built: &Built, program: &PathBuf, manifest: &PathBuf) -> serde_json::Value {
    let compiled = &built.compiled;
    let (params, counts) = (&compiled.program.manifest.params, compiled.program.op_counts());
    json!({
        "model": built.model.name,
        "program": program,
        "manifest": manifest,
        "compile_s": built.compile_time.as_secs_f64(),
        "ring_degree": params.ring_degree,
        "lanes": compiled.program.manifest.lanes(),
        "log_qp": params.log_qp(),
        "rotations": counts.rotations,
        "key_switches": counts.key_switches,
        "mul_plain": counts.mul_plain,
        "mul_scalar": counts.mul_scalar,
        "mul_ct": counts.mul_ct,
        "depth": compiled.leveled.depth(),
        "expected_error": compiled.prediction.max_error,
        "expected_output": compiled.prediction.max_output,
        "expected_time_one_thread_s": compiled.cost_ns * 1e-9,
        "expected_run_bytes": compiled.memory().total(),
        "served": compiled.served,
        "without_range_bound": compiled.without_bound.as_ref().map(|without| json!({
            "ring_degree": without.ring_degree,
            "log_qp": without.log_qp,
            "expected_time_one_thread_s": without.cost_ns * 1e-9,
        })),
        "base_bits": compiled.program.manifest.base_bits(),
        "validate_s": compiled.validation.as_secs_f64(),
    })
}
