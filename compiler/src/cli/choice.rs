//! `hecc explain MODEL`: how a model may be packed, what each way would cost, and which is taken.

mod goal;

use super::args::ModelArgs;
use super::form::Form;
use super::session::{self, Built};
use super::{problems, progress, show};
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table};
use goal::{Estimate, Goal, against};
use hecc::cost::Unit;
use hecc::diag::Diagnostics;
use hecc::packing::{Candidate, Choice, Family, Packing};
use hecc::pipeline::{self, Options};
use hecc::rewrite::footprint;
use serde::Serialize;
use serde_json::json;

/// Runs the command.
pub fn explain(args: &ModelArgs, form: Form) -> Result<(), Diagnostics> {
    let built = session::build(args, form)?;
    let spinner = progress::spinner(format!("packing {} in other ways", built.model.name));
    let packings = packings(&built);
    let layers = layers(&built);
    spinner.finish_and_clear();
    let ring_degree = built.compiled.program.manifest.params.ring_degree;
    let (name, slots) = (&built.model.name, built.compiled.program.manifest.n_slots());
    let ciphertexts = match slots {
        1 => String::from("with one element per ciphertext"),
        _ => format!("in ciphertexts of {slots} slots"),
    };
    let objective = args.optimize.to_possible_value().expect("no objective is hidden");
    let objective = objective.get_name();
    let object = json!({
        "model": name,
        "objective": objective,
        "batch": built.options.batch,
        "ring_degree": ring_degree,
        "packings": packings,
        "layers": layers,
    });
    form.result(&object, || {
        let head = format!("{name} {ciphertexts} (ring degree {ring_degree}), objective {objective}\n");
        let layers: String = layers.iter().map(LayerRows::describe).collect();
        format!("{head}{}\n{layers}{FOOT}", packing_table(&packings))
    });
    Ok(())
}

const FOOT: &str = "Times are estimates for one thread, memory is what a run is estimated to hold, both before rewriting.\n\
                    \"network\" is the whole network with that layout and the best that is found for the layers after it.\n";

/// One way to pack a model.
#[derive(Serialize)]
struct PackingRow {
    packing: String,
    chosen: bool,
    /// `None` when a layer has no place.
    estimate: Option<Estimate>,
    why: String,
}

/// What was asked for first, then every kind.
fn packings(built: &Built) -> Vec<PackingRow> {
    let asked = built.options.packing;
    let kinds = Family::ALL.map(Packing::Only).into_iter().chain([Packing::Batch]);
    let others: Vec<(Packing, Result<Estimate, String>)> =
        kinds.filter(|other| *other != asked).map(|packing| (packing, other(built, packing))).collect();
    let (goal, chosen) = (Goal::of(&built.options), chosen(built));
    let known = others.iter().filter_map(|(packing, found)| Some((*packing, found.as_ref().ok()?)));
    let first = PackingRow {
        packing: asked.to_string(),
        chosen: true,
        why: goal.why_chosen(asked, &chosen, known),
        estimate: Some(chosen),
    };
    let row = |(packing, found): (Packing, Result<Estimate, String>)| PackingRow {
        packing: packing.to_string(),
        chosen: false,
        why: found.as_ref().map_or_else(String::clone, |estimate| goal.why_not(asked, estimate, &chosen)),
        estimate: found.ok(),
    };
    std::iter::once(first).chain(others.into_iter().map(row)).collect()
}

/// The plan that was compiled.
fn chosen(built: &Built) -> Estimate {
    let Built { compiled, options, .. } = built;
    let nominal = compiled.nominal(&options.target).expect("the ring is one of the target's");
    let ring_degree = compiled.program.manifest.params.ring_degree;
    Estimate::of(&compiled.plan, footprint(&compiled.lowered, &nominal), ring_degree)
}

/// Another packing on the same ring, or why there is none.
fn other(built: &Built, packing: Packing) -> Result<Estimate, String> {
    let Built { compiled, options, .. } = built;
    let n_entries = compiled.network.n_nonzeros();
    if packing == Packing::Batch && !Packing::is_within_reach(&compiled.network, 1) {
        return Err(format!("{n_entries} products, one for each weight: try `--packing batch`"));
    }
    let ring = options.target.ring(compiled.program.manifest.params.ring_degree);
    let ring = ring.expect("the ring is one of the target's");
    let packed = pipeline::pack(&compiled.model, &Options { packing, ..options.clone() }, ring)
        .map_err(|unplaced| problems::why_no_place(&unplaced).0)?;
    Ok(Estimate::of(&packed.plan, packed.footprint(&compiled.model), ring.ring_degree))
}

/// The layouts that were weighed for one layer.
#[derive(Serialize)]
struct LayerRows {
    layer: String,
    layouts: Vec<LayoutRow>,
}

#[derive(Serialize)]
struct LayoutRow {
    layout: String,
    windows: usize,
    window_slots: usize,
    #[serde(flatten)]
    prices: Prices,
    chosen: bool,
    why: String,
}

/// Of a layer alone, and of the whole network.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Prices {
    Time { layer_seconds: f64, network_seconds: f64 },
    Memory { layer_bytes: f64, network_bytes: f64 },
}

impl Prices {
    fn of(candidate: &Candidate, unit: Unit) -> Prices {
        let &Candidate { node, network, .. } = candidate;
        match unit {
            Unit::Ns => Prices::Time { layer_seconds: node * 1e-9, network_seconds: network * 1e-9 },
            Unit::Bytes => Prices::Memory { layer_bytes: node, network_bytes: network },
        }
    }

    /// As people read them, and what they are in.
    fn describe(self) -> ([String; 2], &'static str) {
        let (prices, unit) = match self {
            Prices::Time { layer_seconds, network_seconds } => {
                ([layer_seconds * 1e3, network_seconds * 1e3], "ms")
            }
            Prices::Memory { layer_bytes, network_bytes } => ([layer_bytes / 1e6, network_bytes / 1e6], "MB"),
        };
        (prices.map(|price| format!("{price:.2}")), unit)
    }
}

fn layers(built: &Built) -> Vec<LayerRows> {
    let Built { compiled, options, .. } = built;
    let n_slots = compiled.program.manifest.n_slots();
    let nominal = compiled.nominal(&options.target).expect("the ring is one of the target's");
    let packing = compiled.plan.packing;
    let choices = packing.choices(&compiled.network, n_slots, &nominal).expect("it was planned before");
    let rows = |choice: &Choice| LayerRows {
        layer: compiled.network.node(choice.node).name.clone(),
        layouts: layouts(choice, nominal.unit()),
    };
    choices.iter().map(rows).collect()
}

fn layouts(choice: &Choice, unit: Unit) -> Vec<LayoutRow> {
    let candidates = &choice.candidates;
    let chosen = candidates.iter().find(|candidate| candidate.is_chosen);
    let (node, network) = chosen.map_or((0.0, 0.0), |chosen| (chosen.node, chosen.network));
    let row = |candidate: &Candidate| {
        let why = match candidate.is_chosen {
            true if candidates.iter().any(|other| other.node < node) => "chosen: it saves later".into(),
            true => "chosen".into(),
            false if candidate.node < node => {
                let less = Prices::of(&Candidate { node: node - candidate.node, ..candidate.clone() }, unit);
                let ([less, _], unit) = less.describe();
                format!("{less} {unit} less here, {}", against(candidate.network, network))
            }
            false => against(candidate.network, network),
        };
        LayoutRow {
            layout: candidate.placement.to_string(),
            windows: candidate.fold.copies,
            window_slots: candidate.fold.stride,
            prices: Prices::of(candidate, unit),
            chosen: candidate.is_chosen,
            why,
        }
    };
    candidates.iter().map(row).collect()
}

impl LayerRows {
    fn describe(&self) -> String {
        let mut table = show::new_table();
        let unit = self.layouts.first().map_or("ms", |row| row.prices.describe().1);
        let [layer, network] = ["layer", "network"].map(|whose| format!("{whose}, {unit}"));
        table.set_header(["layout", "windows x slots", &layer, &network, ""]);
        for row in &self.layouts {
            let LayoutRow { layout, windows, window_slots, prices, why, .. } = row;
            let windows = if *windows > 1 { format!("{windows} x {window_slots}") } else { String::new() };
            let ([layer, network], _) = prices.describe();
            table.add_row([layout.clone(), windows, layer, network, why.clone()]);
        }
        align(&mut table, [1, 2, 3]);
        format!("\n{}\n{table}\n", self.layer)
    }
}

fn packing_table(rows: &[PackingRow]) -> Table {
    let mut table = show::new_table();
    table.set_header([
        "packing",
        "at once",
        "rotations",
        "products",
        "input ciphertexts",
        "run, ms",
        "inputs/s",
        "memory, MB",
        "",
    ]);
    for PackingRow { packing, estimate, why, .. } in rows {
        let figures = estimate.as_ref().map_or([const { String::new() }; 7], Estimate::describe);
        table.add_row(std::iter::once(packing.clone()).chain(figures).chain([why.clone()]));
    }
    align(&mut table, [1, 2, 3, 4, 5, 6, 7]);
    table
}

fn align<const N: usize>(table: &mut Table, columns: [usize; N]) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
