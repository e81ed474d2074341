//! `hecc inspect --stage layout --html`: a page that shows where elements sit and which diagonals are left.

use super::session::Built;
use super::summary;
use hecc::cost::Nominal;
use hecc::packing::{DiagonalKey, Placement, TermPlan, WeightGroups};
use hecc::sparsity::NodeKind;
use hecc_ir::Layout;
use serde::Serialize;
use std::collections::BTreeMap;

const TEMPLATE: &str = include_str!("page/layout.html");

/// The page of a compiled model; it needs nothing beside it.
pub fn layouts(built: &Built, nominal: &Nominal) -> String {
    let page = serde_json::to_string(&Page::of(built, nominal)).expect("pages serialise");
    // Names come from outside.
    TEMPLATE.replace("@DATA@", &harmless(&page))
}

/// JSON that ends no element of HTML.
fn harmless(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// What the page's script draws.
#[derive(Serialize)]
struct Page {
    model: String,
    ring_degree: usize,
    n_slots: usize,
    counts: summary::Counts,
    nodes: Vec<Picture>,
}

/// Ciphertexts that are drawn of one value.
const MAX_CTS: usize = 8;
/// Diagonals that are drawn of one map.
const MAX_DIAGONALS: usize = 20_000;
/// Slots in a row where there is no image.
const VECTOR_COLUMNS: usize = 128;

/// The value of one node, and the maps that make it.
#[derive(Serialize)]
struct Picture {
    name: String,
    shape: Vec<usize>,
    layout: String,
    windows: usize,
    dirty: bool,
    n_cts: usize,
    /// Slots per plane and per row of a plane.
    block: usize,
    columns: usize,
    /// Of each slot: 0, or the element from 1, or less than 0 for a copy of it.
    cts: Vec<Vec<i64>>,
    maps: Vec<MapPicture>,
}

#[derive(Serialize)]
struct MapPicture {
    title: String,
    n_operands: usize,
    n_results: usize,
    n_diagonals: usize,
    n_zero: usize,
    /// Whether there are more diagonals than in the list.
    is_cut: bool,
    /// Result, operand, step, whether it is left, and its weights.
    diagonals: Vec<(u32, u32, i64, u8, usize)>,
}

impl Page {
    fn of(built: &Built, nominal: &Nominal) -> Page {
        let compiled = &built.compiled;
        let (ring_degree, n_slots) =
            (compiled.program.manifest.params.ring_degree, compiled.program.manifest.n_slots());
        let groups = WeightGroups::of(&compiled.model, &compiled.network, &compiled.plan, nominal);
        let mut zeros = groups.zero_diagonals(&compiled.model).into_iter();
        let nodes = compiled.network.ids().map(|id| {
            let (node, placement) = (compiled.network.node(id), &compiled.plan.placements[id.0]);
            let plan = compiled.plan.linear[id.0].as_ref();
            let mut maps = Vec::new();
            if let (NodeKind::Linear(linear), Some(plan)) = (&node.kind, plan) {
                for (term, planned) in linear.terms.iter().zip(&plan.terms) {
                    let operand = &compiled.network.node(term.operand).name;
                    let n_operands = compiled.plan.placements[term.operand.0].layout.n_cts;
                    maps.extend(MapPicture::of(operand, n_operands, placement, planned, &mut zeros));
                }
            }
            Picture {
                windows: plan.map_or(1, |plan| plan.fold.copies),
                maps,
                ..Picture::of(&node.name, placement)
            }
        });
        let nodes = nodes.collect();
        let counts = summary::counts(&compiled.program);
        Page { model: built.model.name.clone(), ring_degree, n_slots, counts, nodes }
    }
}

impl Picture {
    fn of(name: &str, placement: &Placement) -> Picture {
        let layout = &placement.layout;
        let (block, columns) = match &placement.grid {
            Some(grid) => (grid.block, grid.base[1]),
            None => (layout.n_slots, VECTOR_COLUMNS.min(layout.n_slots)),
        };
        Picture {
            name: name.to_owned(),
            shape: layout.shape.0.clone(),
            layout: placement.to_string(),
            windows: 1,
            dirty: layout.dirty,
            n_cts: layout.n_cts,
            block,
            columns,
            cts: slots(layout),
            maps: Vec::new(),
        }
    }
}

/// What each slot of the first ciphertexts holds.
fn slots(layout: &Layout) -> Vec<Vec<i64>> {
    let mut cts = vec![vec![0; layout.n_slots]; layout.n_cts.min(MAX_CTS)];
    for element in 0..layout.home.len() {
        for (copy, position) in layout.positions(element).enumerate() {
            if let Some(slots) = cts.get_mut(position.ct as usize) {
                let number = element as i64 + 1;
                slots[position.slot as usize] = if copy == 0 { number } else { -number };
            }
        }
    }
    cts
}

impl MapPicture {
    /// Nothing of a term without products. `zeros` are the diagonals without weights of each map to come.
    fn of(
        operand: &str,
        n_operands: usize,
        placement: &Placement,
        planned: &TermPlan,
        zeros: &mut impl Iterator<Item = BTreeMap<DiagonalKey, usize>>,
    ) -> Option<MapPicture> {
        let TermPlan::Map { diagonals, .. } = planned else { return None };
        let zeros = zeros.next().unwrap_or_default();
        let left =
            diagonals.iter().map(|(&(out, operand, step), weights)| (out, operand, step, 1, weights.len()));
        let gone = zeros.iter().map(|(&(out, operand, step), &weights)| (out, operand, step, 0, weights));
        Some(MapPicture {
            title: format!("from {operand}"),
            n_operands,
            n_results: placement.layout.n_cts,
            n_diagonals: diagonals.len(),
            n_zero: zeros.len(),
            is_cut: diagonals.len() + zeros.len() > MAX_DIAGONALS,
            diagonals: left.chain(gone).take(MAX_DIAGONALS).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_data() {
        let name = "</script><img src=x onerror=alert(1)>";
        let embedded = harmless(&serde_json::json!({ "model": name }).to_string());
        assert!(!embedded.contains('<'));
        let read: serde_json::Value = serde_json::from_str(&embedded).expect("it is still JSON");
        assert_eq!(read["model"], name);
    }
}
