//! `hecc explain MODEL`: how a model may be packed, what each way would cost, and which is taken.

use super::args::ModelArgs;
use super::form::Form;
use super::session::{self, Built};
use super::{problems, progress, show};
use comfy_table::{CellAlignment, Table};
use hecc::diag::Diagnostics;
use hecc::packing::{Candidate, Choice, Family, Packing};
use hecc::pipeline::{self, Options};
use serde::Serialize;
use serde_json::json;

/// Runs the command.
pub fn explain(args: &ModelArgs, form: Form) -> Result<(), Diagnostics> {
    let built = session::build(args, None, form)?;
    let spinner = progress::spinner(format!("packing {} in other ways", built.model.name));
    let packings = packings(&built);
    let layers = layers(&built);
    spinner.finish_and_clear();
    let ring_degree = built.compiled.program.manifest.params.ring_degree;
    let (name, slots) = (&built.model.name, built.compiled.program.manifest.n_slots());
    let object = json!({ "model": name, "ring_degree": ring_degree, "packings": packings, "layers": layers });
    form.result(&object, || {
        let head = format!("{name} in ciphertexts of {slots} slots (ring degree {ring_degree})\n");
        let layers: String = layers.iter().map(LayerRows::describe).collect();
        format!("{head}{}\n{layers}{FOOT}", packing_table(&packings))
    });
    Ok(())
}

const FOOT: &str = "Times are estimates for one thread, before rewriting. \"network\" is the whole network with \
                    that layout\nand the best that is found for the layers after it.\n";

/// One way to pack a model.
#[derive(Serialize)]
struct PackingRow {
    packing: String,
    /// `None` when a layer has no place.
    estimate: Option<Estimate>,
    why: String,
}

#[derive(Serialize)]
struct Estimate {
    /// Inputs that share every ciphertext.
    inputs_at_once: usize,
    rotations: usize,
    products: usize,
    input_ciphertexts: usize,
    seconds: f64,
}

/// Entries of maps that are laid out one by one, at most.
const MAX_ENTRIES: usize = 1 << 22;

/// What was asked for first, then every kind.
fn packings(built: &Built) -> Vec<PackingRow> {
    let asked = built.options.packing;
    let kinds = Family::ALL.map(Packing::Only).into_iter().chain([Packing::Batch]);
    let others = kinds.filter(|other| *other != asked);
    std::iter::once(asked).chain(others).map(|packing| packing_row(built, packing)).collect()
}

fn packing_row(built: &Built, packing: Packing) -> PackingRow {
    let options = &built.options;
    let n_entries = built.compiled.network.n_nonzeros();
    if packing == Packing::Batch && packing != options.packing && n_entries > MAX_ENTRIES {
        let why = format!("{n_entries} products, one for each weight: try `--packing batch`");
        return PackingRow { packing: packing.to_string(), estimate: None, why };
    }
    let ring = options.target.ring(built.compiled.program.manifest.params.ring_degree);
    let ring = ring.expect("the ring is one of the target's");
    let (chosen_ns, lanes) = (built.compiled.plan.cost_ns, built.compiled.program.manifest.lanes());
    let (estimate, why) =
        match pipeline::pack(&built.compiled.model, &Options { packing, ..options.clone() }, ring) {
            Ok(packed) => {
                let (plan, (rotations, products)) = (&packed.plan, packed.plan.counts());
                let input = &plan.placements[0].layout;
                let inputs_at_once = ring.ring_degree / 2 / input.n_slots;
                let estimate = Estimate {
                    inputs_at_once,
                    rotations,
                    products,
                    input_ciphertexts: input.n_cts,
                    seconds: plan.cost_ns * 1e-9,
                };
                let why = match inputs_at_once == lanes {
                    true if packing == options.packing => String::from("chosen"),
                    true => against(plan.cost_ns, chosen_ns),
                    false => format!(
                        "{:.3} ms for each of a full batch",
                        plan.cost_ns * 1e-6 / inputs_at_once as f64
                    ),
                };
                (Some(estimate), why)
            }
            Err(unplaced) => (None, problems::why_no_place(&unplaced).0),
        };
    PackingRow { packing: packing.to_string(), estimate, why }
}

/// A cost beside that of the plan.
fn against(cost: f64, chosen: f64) -> String {
    let percent = 100.0 * (cost / chosen - 1.0);
    match percent {
        _ if percent.abs() < 0.05 => String::from("costs as much"),
        _ if percent > 0.0 => format!("costs {percent:.1} % more"),
        _ => format!("costs {:.1} % less, but the search did not come by it", -percent),
    }
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
    layer_seconds: f64,
    network_seconds: f64,
    chosen: bool,
    why: String,
}

fn layers(built: &Built) -> Vec<LayerRows> {
    let Built { compiled, options, .. } = built;
    let n_slots = compiled.program.manifest.n_slots();
    let nominal = compiled.nominal(&options.target).expect("the ring is one of the target's");
    let choices =
        options.packing.choices(&compiled.network, n_slots, &nominal).expect("it was planned before");
    let rows = |choice: &Choice| LayerRows {
        layer: compiled.network.node(choice.node).name.clone(),
        layouts: layouts(choice),
    };
    choices.iter().map(rows).collect()
}

fn layouts(choice: &Choice) -> Vec<LayoutRow> {
    let candidates = &choice.candidates;
    let chosen = candidates.iter().find(|candidate| candidate.is_chosen);
    let (node_ns, network_ns) = chosen.map_or((0.0, 0.0), |chosen| (chosen.node_ns, chosen.network_ns));
    let row = |candidate: &Candidate| {
        let here = candidate.node_ns - node_ns;
        let why = match candidate.is_chosen {
            true if candidates.iter().any(|other| other.node_ns < node_ns) => "chosen: it saves later".into(),
            true => "chosen".into(),
            false if here < 0.0 => {
                format!("{:.2} ms less here, {}", -here * 1e-6, against(candidate.network_ns, network_ns))
            }
            false => against(candidate.network_ns, network_ns),
        };
        LayoutRow {
            layout: candidate.placement.to_string(),
            windows: candidate.fold.copies,
            window_slots: candidate.fold.stride,
            layer_seconds: candidate.node_ns * 1e-9,
            network_seconds: candidate.network_ns * 1e-9,
            chosen: candidate.is_chosen,
            why,
        }
    };
    candidates.iter().map(row).collect()
}

impl LayerRows {
    fn describe(&self) -> String {
        let mut table = show::new_table();
        table.set_header(["layout", "windows x slots", "layer, ms", "network, ms", ""]);
        for row in &self.layouts {
            let LayoutRow { layout, windows, window_slots, layer_seconds, network_seconds, why, .. } = row;
            let windows = if *windows > 1 { format!("{windows} x {window_slots}") } else { String::new() };
            table.add_row([layout.clone(), windows, ms(*layer_seconds), ms(*network_seconds), why.clone()]);
        }
        align(&mut table, [1, 2, 3]);
        format!("\n{}\n{table}\n", self.layer)
    }
}

fn packing_table(rows: &[PackingRow]) -> Table {
    let mut table = show::new_table();
    table.set_header(["packing", "at once", "rotations", "products", "input ciphertexts", "network, ms", ""]);
    for PackingRow { packing, estimate, why } in rows {
        let figures = estimate.as_ref().map_or([const { String::new() }; 5], |estimate| {
            let Estimate { inputs_at_once, rotations, products, input_ciphertexts, seconds } = estimate;
            let [at_once, rotations, products, inputs] =
                [inputs_at_once, rotations, products, input_ciphertexts].map(usize::to_string);
            [at_once, rotations, products, inputs, ms(*seconds)]
        });
        table.add_row(std::iter::once(packing.clone()).chain(figures).chain([why.clone()]));
    }
    align(&mut table, [1, 2, 3, 4, 5]);
    table
}

fn align<const N: usize>(table: &mut Table, columns: [usize; N]) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn ms(seconds: f64) -> String {
    format!("{:.2}", seconds * 1e3)
}
