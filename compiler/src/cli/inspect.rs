//! `hecc inspect`: any stage of a compilation, as text, JSON or Graphviz.

use super::args::{FormatArg, InspectArgs, StageArg};
use super::form::{Form, output};
use super::session::{self, Built};
use super::{deploy, page, problems, rewriting};
use hecc::diag::Diagnostics;
use hecc::model::LayerKind;
use hecc::packing::TermPlan;
use hecc::sparsity::NodeKind;
use hecc_ir::program::{Manifest, Program};
use hecc_ir::{Circuit, text};
use petgraph::dot::{Config, Dot};
use petgraph::graph::DiGraph;
use serde_json::{Value, json};
use std::fmt::Write;

/// Runs the command.
pub fn inspect(args: &InspectArgs, form: Form) -> Result<(), Diagnostics> {
    let format = if form == Form::Json { FormatArg::Json } else { args.format };
    let extension = args.model.model.extension().and_then(|e| e.to_str());
    let text = match extension {
        Some(_) | None if args.html => html(args, form)?,
        Some("hecp") => {
            let program = deploy::program(&args.model.model)?;
            program_form(&program, format)
        }
        Some("hecm") => {
            let manifest = deploy::manifest(&args.model.model)?;
            pretty(&with_lanes(json!(manifest), &manifest))
        }
        Some("hecir") => return rewriting::inspect_text(args, form, format),
        Some(_) | None if rewriting::explains(args) => {
            return rewriting::explain(&session::build(&args.model, form)?, args, form);
        }
        Some(_) | None => stage_form(&session::build(&args.model, form)?, args, format),
    };
    output(&text);
    Ok(())
}

/// The page of the stage that has one.
fn html(args: &InspectArgs, form: Form) -> Result<String, Diagnostics> {
    if args.stage != StageArg::Packing {
        return Err(problems::no_page("only layouts are shown as a page", "add `--stage layout`"));
    }
    if form == Form::Json {
        return Err(problems::no_page("a page is no JSON", "leave `--html` or `--json` out"));
    }
    let built = session::build(&args.model, form)?;
    let nominal = built.compiled.nominal(&built.options.target);
    Ok(page::layouts(&built, &nominal.expect("the ring is one of the target's")))
}

fn stage_form(built: &Built, args: &InspectArgs, format: FormatArg) -> String {
    match args.stage {
        StageArg::Model => rows_form(&model_rows(built), format),
        StageArg::Network => rows_form(&network_rows(built), format),
        StageArg::Packing => rows_form(&packing_rows(built), format),
        StageArg::Lowered => circuit_form(&built.compiled.lowered, format, args.constants),
        StageArg::Rewrite => circuit_form(&built.compiled.rewritten, format, args.constants),
        StageArg::Leveled => circuit_form(&built.compiled.leveled, format, args.constants),
        StageArg::Program => program_form(&built.compiled.program, format),
    }
}

/// Adds to a dump what follows from its layouts.
fn with_lanes(mut dump: Value, manifest: &Manifest) -> Value {
    dump["lanes"] = json!(manifest.lanes());
    dump
}

/// A named row with the rows it reads and what there is to say.
struct Row {
    name: String,
    reads: Vec<usize>,
    facts: Value,
}

fn rows_form(rows: &[Row], format: FormatArg) -> String {
    match format {
        FormatArg::Text => rows.iter().enumerate().fold(String::new(), |mut text, (index, row)| {
            let reads: Vec<String> = row.reads.iter().map(ToString::to_string).collect();
            writeln!(text, "{index:3}  {:24} ({})  {}", row.name, reads.join(", "), row.facts)
                .expect("strings grow");
            text
        }),
        FormatArg::Json => {
            let rows =
                rows.iter().map(|row| json!({ "name": row.name, "reads": row.reads, "facts": row.facts }));
            pretty(&rows.collect())
        }
        FormatArg::Dot => dot(rows.iter().map(|row| (row.name.clone(), row.reads.clone()))),
    }
}

fn model_rows(built: &Built) -> Vec<Row> {
    let row = |layer: &hecc::model::Layer| Row {
        name: layer.name.clone(),
        reads: layer.inputs.iter().map(|id| id.0).collect(),
        facts: json!({ "kind": layer_kind(&layer.kind), "shape": layer.shape.to_string() }),
    };
    built.model.layers.iter().map(row).collect()
}

fn layer_kind(kind: &LayerKind) -> &'static str {
    match kind {
        LayerKind::Input { .. } => "input",
        LayerKind::Conv(_) => "conv",
        LayerKind::Dense(_) => "dense",
        LayerKind::AvgPool(_) => "avg_pool",
        LayerKind::Affine { .. } => "affine",
        LayerKind::Polynomial { .. } => "polynomial",
        LayerKind::MaxPool(_) => "max_pool",
        LayerKind::Nonlinear(function) => function.name(),
        LayerKind::Add => "add",
        LayerKind::Move { .. } => "move",
    }
}

fn network_rows(built: &Built) -> Vec<Row> {
    let row = |node: &hecc::sparsity::Node| {
        let (reads, facts) = match &node.kind {
            NodeKind::Input => (Vec::new(), json!({})),
            NodeKind::Linear(linear) => {
                let count =
                    |t: &hecc::sparsity::Term| t.factors.iter().map(|f| f.matrix.n_nonzeros()).sum::<usize>();
                let nonzeros: Vec<usize> = linear.terms.iter().map(count).collect();
                (linear.terms.iter().map(|t| t.operand.0).collect(), json!({ "nonzeros": nonzeros }))
            }
            NodeKind::Activation(a) => (vec![a.operand.0], json!({ "degree": a.degree(), "shift": a.shift })),
        };
        let shape = json!(node.shape.to_string());
        Row { name: node.name.clone(), reads, facts: json!({ "shape": shape, "computes": facts }) }
    };
    built.compiled.network.nodes.iter().map(row).collect()
}

fn packing_rows(built: &Built) -> Vec<Row> {
    let compiled = &built.compiled;
    let mut rows = network_rows(built);
    for (index, row) in rows.iter_mut().enumerate() {
        let layout = &compiled.plan.placements[index].layout;
        let replicas = layout.replicas.len();
        let mut facts =
            json!({ "shape": layout.shape.to_string(), "cts": layout.n_cts, "replicas": replicas });
        if let Some(plan) = &compiled.plan.linear[index] {
            let describe = |term: &TermPlan| match term {
                TermPlan::Direct => json!("direct"),
                TermPlan::Map { prefold, diagonals, split } => json!({
                    "diagonals": diagonals.len(),
                    "giant_unit": split.unit,
                    "pool_rotations": prefold.as_ref().map(|p| p.n_rotations()),
                }),
            };
            facts["terms"] = plan.terms.iter().map(describe).collect();
            facts["fold"] = json!({ "stride": plan.fold.stride, "copies": plan.fold.copies });
        }
        row.facts = facts;
    }
    rows
}

/// Prints a circuit that is no stage of a model.
pub fn print_circuit(circuit: &Circuit, format: FormatArg, constants: bool) {
    output(&circuit_form(circuit, format, constants));
}

fn circuit_form(circuit: &Circuit, format: FormatArg, constants: bool) -> String {
    match format {
        FormatArg::Text if constants => text::print(circuit),
        FormatArg::Text => text::outline(circuit),
        FormatArg::Json => pretty(&json!(circuit)),
        FormatArg::Dot => dot(circuit.values().map(|value| {
            let node = circuit.node(value);
            let name = format!("{value} {} @{}", node.op.mnemonic(), circuit.sources[node.source.index()]);
            (name, node.op.operands().into_iter().map(|v| v.index()).collect())
        })),
    }
}

fn program_form(program: &Program, format: FormatArg) -> String {
    match format {
        FormatArg::Json => pretty(&with_lanes(json!(program), &program.manifest)),
        FormatArg::Text => {
            let (lanes, n_slots) = (program.manifest.lanes(), program.manifest.n_slots());
            let mut text = format!("# compiled for {}\n", program.target.escape_debug());
            if lanes > 1 {
                writeln!(text, "# {lanes} samples at once, {n_slots} slots each").expect("strings grow");
            }
            for (instr, &source) in program.instrs.iter().zip(&program.source_of) {
                writeln!(text, "{:?}  @{}", instr, program.sources[source as usize]).expect("strings grow");
            }
            text
        }
        FormatArg::Dot => {
            let writer: std::collections::HashMap<_, _> = program
                .instrs
                .iter()
                .enumerate()
                .flat_map(|(i, instr)| instr.writes().into_iter().map(move |r| (r, i)))
                .collect();
            dot(program.instrs.iter().map(|instr| {
                let name = format!("{instr:?}").split([' ', '{']).next().unwrap_or_default().to_owned();
                (name, instr.reads().iter().map(|r| writer[r]).collect())
            }))
        }
    }
}

fn dot(nodes: impl Iterator<Item = (String, Vec<usize>)>) -> String {
    let mut graph = DiGraph::<String, &str>::new();
    let mut handles = Vec::new();
    for (name, reads) in nodes {
        let node = graph.add_node(name);
        for &read in &reads {
            graph.add_edge(handles[read], node, "");
        }
        handles.push(node);
    }
    format!("{}\n", Dot::with_config(&graph, &[Config::EdgeNoLabel]))
}

fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).expect("values serialise"))
}
