//! Dumps of what a compilation produces, stage by stage, for snapshots.

use hecc::packing::{LinearPlan, Placement, Prefold, TermPlan};
use hecc::pipeline::Compiled;
use hecc::sparsity::{Network, NodeKind, Term};
use hecc_ir::Program;
use std::fmt::Write;

/// One stage as text.
///
/// # Panics
/// If there is no such stage.
pub fn stage(compiled: &Compiled, name: &str) -> String {
    match name {
        "network" => network(&compiled.network),
        "packing" => packing(compiled),
        "lowered" => hecc_ir::text::print(&compiled.lowered),
        "leveled" => hecc_ir::text::print(&compiled.leveled),
        "program" => program(&compiled.program),
        other => panic!("there is no stage `{other}`"),
    }
}

fn network(network: &Network) -> String {
    let mut text = String::new();
    for (index, node) in network.nodes.iter().enumerate() {
        let computes = match &node.kind {
            NodeKind::Input => String::from("input"),
            NodeKind::Linear(linear) => {
                let terms: Vec<String> = linear.terms.iter().map(term).collect();
                format!("{}{}", terms.join(" + "), bias(&linear.bias))
            }
            NodeKind::Activation(a) => {
                format!("activation of #{}: shift {}, lower {:?}", a.operand.0, a.shift, a.lower)
            }
        };
        line(&mut text, &format!("#{index} {} {}: {computes}", node.name, node.shape));
    }
    line(&mut text, &format!("output #{}", network.output.0));
    text
}

fn term(term: &Term) -> String {
    let factors = term.factors.iter().map(|f| {
        let pool = if f.pool.is_some() { " pool" } else { "" };
        format!(" > {}x{} ({}{pool})", f.matrix.n_rows(), f.matrix.n_cols(), f.matrix.n_nonzeros())
    });
    format!("{} * #{}{}", term.scale, term.operand.0, factors.collect::<String>())
}

fn bias(bias: &[f64]) -> String {
    match bias.iter().filter(|&&b| b != 0.0).count() {
        0 => String::new(),
        n => format!(" + bias ({n})"),
    }
}

fn packing(compiled: &Compiled) -> String {
    let mut text = String::new();
    let plan = &compiled.plan;
    for (index, node) in compiled.network.nodes.iter().enumerate() {
        line(&mut text, &format!("#{index} {}: {}", node.name, placement(&plan.placements[index])));
        if let Some(linear) = &plan.linear[index] {
            linear_plan(&mut text, linear);
        }
    }
    text
}

fn placement(placement: &Placement) -> String {
    let layout = &placement.layout;
    let homes: Vec<String> = layout.home.iter().map(|p| format!("{}:{}", p.ct, p.slot)).collect();
    let dirty = if layout.dirty { " dirty" } else { "" };
    format!("{} cts, replicas {:?}{dirty}, home {}", layout.n_cts, layout.replicas, homes.join(" "))
}

fn linear_plan(text: &mut String, plan: &LinearPlan) {
    line(text, &format!("  fold of {} by {}", plan.fold.copies, plan.fold.stride));
    for term in &plan.terms {
        match term {
            TermPlan::Direct => line(text, "  direct"),
            TermPlan::Map { prefold, diagonals, split } => {
                let keys: Vec<String> =
                    diagonals.keys().map(|(o, i, step)| format!("{i}->{o} by {step}")).collect();
                let pool = prefold.as_ref().map_or(String::new(), |prefold| match prefold {
                    Prefold::Windows { steps: [rows, cols] } => {
                        format!(", window sums by rows {rows:?} and columns {cols:?}")
                    }
                    Prefold::Copies { steps } => format!(", copies at {steps:?}"),
                });
                line(
                    text,
                    &format!("  giants of {} less {}{pool}: {}", split.unit, split.offset, keys.join(", ")),
                );
            }
        }
    }
}

fn program(program: &Program) -> String {
    let mut text = String::new();
    for (instr, &source) in program.instrs.iter().zip(&program.source_of) {
        line(&mut text, &format!("{instr:?} @{}", program.sources[source as usize]));
    }
    line(&mut text, &format!("outputs {:?}", program.outputs));
    line(&mut text, &format!("keys {:?}", program.manifest.keys));
    text
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("strings grow");
}
