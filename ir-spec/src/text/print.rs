//! Writes circuits as text.

use super::VERSION;
use super::lexer::quote;
use super::runs::{Affine, Repeated, affine_runs, repeated_runs};
use crate::circuit::{Circuit, CtType, Input, Node, Op, Output, Plain, Stage, Value};
use crate::layout::Layout;
use crate::params::{Params, SecurityLevel};
use std::fmt::Display;

/// Lists are broken to stay near this width.
const WIDTH: usize = 100;

/// Types of values start in this column.
const TYPE_COLUMN: usize = 34;

/// The text form of a circuit. For a circuit that verifies, [`super::parse`]
/// gives back an equal one; any other circuit prints too, for reading.
pub fn print(circuit: &Circuit) -> String {
    print_with(circuit, print_const)
}

/// As [`print()`], with a comment in place of each constant's values: for
/// reading, not for reading back.
pub fn outline(circuit: &Circuit) -> String {
    print_with(circuit, outline_const)
}

fn print_with(circuit: &Circuit, constant: fn(&mut String, usize, &Plain)) -> String {
    let mut out = String::new();
    header(&mut out, circuit);
    for input in &circuit.inputs {
        print_input(&mut out, input);
    }
    for (index, plain) in circuit.consts.iter().enumerate() {
        constant(&mut out, index, plain);
    }
    print_nodes(&mut out, circuit);
    for output in &circuit.outputs {
        print_output(&mut out, output);
    }
    out
}

fn header(out: &mut String, circuit: &Circuit) {
    let stage = match circuit.stage {
        Stage::Abstract => "abstract",
        Stage::Leveled => "leveled",
    };
    *out += &format!(
        "hecc-ir {VERSION}\n\ncircuit {} {stage}\nslots {}\n",
        quote(&circuit.name),
        circuit.n_slots
    );
    if let Some(params) = &circuit.params {
        print_params(out, params);
    }
    if !circuit.sources.is_empty() {
        list(out, "layers", circuit.sources.iter().map(|name| quote(name)), ",");
    }
}

fn print_params(out: &mut String, params: &Params) {
    *out += &format!("params {{\n  ring {}\n", params.ring_degree);
    list(out, "  q", params.q.iter(), ",");
    if !params.p.is_empty() {
        list(out, "  p", params.p.iter(), ",");
    }
    let security = match params.security {
        SecurityLevel::Insecure => "insecure",
        SecurityLevel::Classical128 => "classical128",
        SecurityLevel::Classical192 => "classical192",
        SecurityLevel::Classical256 => "classical256",
    };
    *out += &format!(
        "  digit_limbs {}\n  security {security}\n}} # log2(QP) = {:.1}\n",
        params.digit_limbs,
        params.log_qp()
    );
}

fn print_input(out: &mut String, input: &Input) {
    let (low, high) = input.range;
    *out += &format!("\ninput {} range ({}, {})", quote(&input.name), number(low), number(high));
    print_layout(out, &input.layout);
}

fn print_output(out: &mut String, output: &Output) {
    *out += "\n";
    list(out, &format!("output {} =", quote(&output.name)), output.values.iter(), ",");
    out.truncate(out.trim_end().len());
    print_layout(out, &output.layout);
}

fn print_layout(out: &mut String, layout: &Layout) {
    *out += &format!(" layout {} {{\n  cts {}\n", layout.shape, layout.n_cts);
    let n_slots = layout.n_slots as i64;
    let addresses = layout.home.iter().map(|p| i64::from(p.ct) * n_slots + i64::from(p.slot));
    list(out, "  home", affine_runs(addresses).iter().map(|run| home_run(run, n_slots.max(1))), ",");
    if !layout.replicas.is_empty() {
        list(out, "  replicas", layout.replicas.iter(), ",");
    }
    *out += if layout.dirty { "  dirty\n}\n" } else { "}\n" };
}

fn home_run(run: &Affine, n_slots: i64) -> String {
    let dims: Vec<_> = run.dims.iter().map(|(count, stride)| format!("{count} by {stride}")).collect();
    let start = format!("{}:{}", run.start / n_slots, run.start % n_slots);
    if dims.is_empty() { start } else { format!("{start} ({})", dims.join(", ")) }
}

fn print_const(out: &mut String, index: usize, plain: &Plain) {
    *out += "\n";
    list(
        out,
        &format!("const ${index} period {} {{", plain.period()),
        repeated_runs(&plain.values()).iter().map(pattern),
        "",
    );
    out.truncate(out.trim_end().len());
    *out += " }\n";
}

fn outline_const(out: &mut String, index: usize, plain: &Plain) {
    let (period, n_non_zero) = (plain.period(), plain.support().count());
    let low = plain.occurring().iter().copied().fold(f64::INFINITY, f64::min);
    let high = plain.occurring().iter().copied().fold(f64::NEG_INFINITY, f64::max);
    *out += &format!("\n# const ${index} period {period}: {n_non_zero} non-zero, {low:.4} to {high:.4}");
    *out += "\n";
}

fn pattern(group: &Repeated) -> String {
    let items: Vec<_> = group.items.iter().map(|&(value, count)| run(value, count)).collect();
    match group.times {
        1 => items.join(" "),
        times => format!("({})*{times}", items.join(" ")),
    }
}

fn run(value: f64, count: usize) -> String {
    match count {
        1 => number(value),
        count => format!("{}*{count}", number(value)),
    }
}

fn print_nodes(out: &mut String, circuit: &Circuit) {
    let groups = circuit.nodes.chunk_by(|a, b| a.source == b.source);
    let mut index = 0;
    for group in groups {
        let layer = circuit.sources.get(group[0].source.index()).map_or("?", String::as_str);
        *out += &format!("\nlayer {} {{\n", quote(layer));
        for node in group {
            print_node(out, Value::new(index), node);
            index += 1;
        }
        *out += "}\n";
    }
}

fn print_node(out: &mut String, value: Value, node: &Node) {
    let line = format!("  {value} = {}", op(&node.op));
    *out += &match node.ty {
        Some(ty) => format!("{line:TYPE_COLUMN$} {}\n", ct_type(ty)),
        None => format!("{line}\n"),
    };
}

fn ct_type(ty: CtType) -> String {
    let degree = if ty.degree == 1 { String::new() } else { format!(" deg {}", ty.degree) };
    format!(": {} {}{degree}", ty.level, ty.scale)
}

fn op(op: &Op) -> String {
    let name = op.mnemonic();
    match op {
        Op::Input { input, ct } => format!("{name} {input}:{ct}"),
        Op::Zero => name.to_owned(),
        Op::Add(values) => {
            format!("{name} {}", values.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
        }
        Op::Sub(a, b) | Op::Mul(a, b) => format!("{name} {a}, {b}"),
        Op::Neg(a) | Op::Rescale(a) | Op::Relin(a) => format!("{name} {a}"),
        Op::AddPlain(a, c) | Op::MulPlain(a, c) => format!("{name} {a}, {c}"),
        Op::MulScalar(a, s) => format!("{name} {a}, {}", number(*s)),
        Op::Rotate(a, step) => format!("{name} {a}, {step}"),
        Op::DropLevel(a, level) => format!("{name} {a}, {level}"),
    }
}

/// The shortest decimal that reads back as the same number.
fn number(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Writes a titled list and a line end, broken into lines near [`WIDTH`].
fn list(out: &mut String, title: &str, items: impl Iterator<Item = impl Display>, separator: &str) {
    *out += title;
    let indent = title.len() - title.trim_start().len() + 2;
    let mut column = title.len();
    for (index, item) in items.enumerate() {
        let item = item.to_string();
        let comma = if index > 0 { separator } else { "" };
        if column + comma.len() + 1 + item.len() > WIDTH {
            *out += &format!("{comma}\n{:indent$}{item}", "");
            column = indent + item.len();
        } else {
            *out += &format!("{comma} {item}");
            column += comma.len() + 1 + item.len();
        }
    }
    *out += "\n";
}
