//! Which weights a plan computes together, and what they cost.
//!
//! For training: when all weights of a diagonal are zero its product is not there, and
//! when all diagonals that use a rotation are gone neither is the rotation.

use super::assign::{DiagonalKey, diagonal_of};
use super::plan::{PackingPlan, TermPlan, planned_leg, remaining_levels};
use super::split::{Price, Split};
use crate::cost::Nominal;
use crate::model::{Conv, Dense, LayerId, LayerKind, Model};
use crate::sparsity::{Matrix, Network, NodeKind, layer_matrix};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Weights of one layer that one plaintext product computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagonal {
    /// The layer.
    pub layer: LayerId,
    /// Positions in its weights, row-major, ascending.
    pub weights: Vec<u32>,
    /// Which of [`WeightGroups::maps`] it belongs to.
    map: usize,
    key: DiagonalKey,
}

/// All diagonals of a plan with their weights.
#[derive(Clone, Debug)]
pub struct WeightGroups {
    /// Diagonals; those of one map and layer lie together.
    pub diagonals: Vec<Diagonal>,
    maps: Vec<Map>,
    n_slots: usize,
    /// What no diagonal has a part in: activations, folds, rescales.
    fixed_ns: f64,
}

/// One map of a plan.
#[derive(Clone, Debug)]
struct Map {
    split: Split,
    price: Price,
}

impl WeightGroups {
    /// The diagonals that a plan has for the weights of a model, zero or not.
    pub fn of(model: &Model, network: &Network, plan: &PackingPlan, nominal: &Nominal) -> WeightGroups {
        let n_slots = plan.placements.first().map_or(0, |placement| placement.layout.n_slots);
        let remaining = remaining_levels(network);
        let mut groups = WeightGroups { diagonals: Vec::new(), maps: Vec::new(), n_slots, fixed_ns: 0.0 };
        for (index, node) in network.nodes.iter().enumerate() {
            let (NodeKind::Linear(linear), Some(planned)) = (&node.kind, &plan.linear[index]) else {
                continue;
            };
            let price = Price::at(&nominal.ops(), nominal.level(remaining[index] + 1));
            for (term, planned_term) in linear.terms.iter().zip(&planned.terms) {
                let TermPlan::Map { prefold, split, .. } = planned_term else { continue };
                let (operand, _) = planned_leg(network, &plan.placements, term, *prefold);
                let result = &plan.placements[index].layout;
                let layers = &term.layers[usize::from(prefold.is_some())..];
                let place = |row, col| diagonal_of(row, col, &operand.layout, result, planned.fold).0;
                let map = groups.maps.len();
                groups.maps.push(Map { split: *split, price });
                for (layer, weights) in weights_by_diagonal(model, layers, place) {
                    let diagonal = |(key, weights)| Diagonal { layer, weights, map, key };
                    groups.diagonals.extend(weights.into_iter().map(diagonal));
                }
            }
        }
        let all = vec![true; groups.diagonals.len()];
        groups.fixed_ns = (plan.cost_ns - groups.price(&all)).max(0.0);
        groups
    }

    /// Estimated time of the network with some of the diagonals, nanoseconds on one thread.
    ///
    /// # Panics
    /// If there is not one flag per diagonal.
    pub fn price(&self, is_left: &[bool]) -> f64 {
        assert_eq!(is_left.len(), self.diagonals.len(), "a flag per diagonal");
        let mut keys: Vec<BTreeSet<DiagonalKey>> = vec![BTreeSet::new(); self.maps.len()];
        for diagonal in self.diagonals.iter().zip(is_left).filter(|(_, is_left)| **is_left).map(|(d, _)| d) {
            keys[diagonal.map].insert(diagonal.key);
        }
        let priced = self.maps.iter().zip(&keys);
        self.fixed_ns
            + priced.map(|(map, keys)| map.price.map_alone(keys, map.split, self.n_slots)).sum::<f64>()
    }

    /// Sets of diagonals whose removal saves more than their products: one diagonal, all
    /// that read one rotation of an operand, all that one giant step sums, all between
    /// two ciphertexts. Of those that are left.
    pub fn bundles(&self, is_left: &[bool]) -> Vec<Vec<usize>> {
        let mut bundles: BTreeMap<(usize, Bundle), Vec<usize>> = BTreeMap::new();
        for (index, diagonal) in self.diagonals.iter().enumerate().filter(|(index, _)| is_left[*index]) {
            let (out, operand, step) = diagonal.key;
            let split = self.maps[diagonal.map].split;
            let shared = [
                Bundle::Diagonal(diagonal.key),
                Bundle::Baby(operand, split.baby(step)),
                Bundle::Giant(out, split.giant(step)),
                Bundle::Block(out, operand),
            ];
            for bundle in shared {
                bundles.entry((diagonal.map, bundle)).or_default().push(index);
            }
        }
        let mut bundles: Vec<Vec<usize>> = bundles.into_values().collect();
        bundles.sort();
        bundles.dedup();
        bundles
    }
}

/// What some diagonals of a map have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bundle {
    Diagonal(DiagonalKey),
    Baby(u32, i64),
    Giant(u32, i64),
    Block(u32, u32),
}

type ByDiagonal = BTreeMap<DiagonalKey, Vec<u32>>;

/// Of each layer with weights in a chain of layers, the weights on each diagonal of the
/// composed map.
fn weights_by_diagonal(
    model: &Model,
    layers: &[LayerId],
    place: impl Fn(usize, usize) -> DiagonalKey + Sync,
) -> Vec<(LayerId, ByDiagonal)> {
    let has_weights = |at: &usize| model.layer(layers[*at]).kind.has_weights();
    let of_layer = |at: usize| {
        let before = pattern(model, &layers[..at]);
        let after = pattern(model, &layers[at + 1..]).map(|after| after.transposed());
        let numbered = layer_matrix(model, layers[at], &numbered(&model.layer(layers[at]).kind));
        let rows: Vec<usize> = (0..numbered.n_rows()).collect();
        let part = |rows: &[usize]| {
            let mut found: BTreeMap<DiagonalKey, BTreeSet<u32>> = BTreeMap::new();
            for &row in rows {
                let results = neighbours(after.as_ref(), row);
                for (col, number) in numbered.row(row) {
                    let weight = number as u32 - 1;
                    for operand in neighbours(before.as_ref(), col) {
                        for &result in &results {
                            found.entry(place(result, operand)).or_default().insert(weight);
                        }
                    }
                }
            }
            found
        };
        let merged = rows.par_chunks(ROWS_AT_ONCE).map(part).reduce(BTreeMap::new, |mut all, part| {
            part.into_iter().for_each(|(key, weights)| all.entry(key).or_default().extend(weights));
            all
        });
        merged.into_iter().map(|(key, weights)| (key, weights.into_iter().collect())).collect()
    };
    (0..layers.len()).filter(has_weights).map(|at| (layers[at], of_layer(at))).collect()
}

/// Rows of a matrix looked at by one thread.
const ROWS_AT_ONCE: usize = 64;

/// The columns of a row where there is a matrix, else the row itself.
fn neighbours(matrix: Option<&Matrix>, at: usize) -> Vec<usize> {
    matrix.map_or_else(|| vec![at], |matrix| matrix.row(at).map(|(col, _)| col).collect())
}

/// Which elements of the result each element can reach through some layers; nothing
/// when there is none.
fn pattern(model: &Model, layers: &[LayerId]) -> Option<Matrix> {
    let ones = |id: &LayerId| {
        let mut kind = model.layer(*id).kind.clone();
        match &mut kind {
            LayerKind::Conv(conv) => conv.weight.fill(1.0),
            LayerKind::Dense(dense) => dense.weight.fill(1.0),
            _ => {}
        }
        layer_matrix(model, *id, &kind)
    };
    layers.iter().map(ones).reduce(|first, next| next.after(&first))
}

/// The layer with the position of each weight, from 1, in its place.
fn numbered(kind: &LayerKind) -> LayerKind {
    let numbers = |n: usize| (1..=n).map(|number| number as f64).collect();
    match kind {
        LayerKind::Conv(conv) => LayerKind::Conv(Conv { weight: numbers(conv.weight.len()), ..conv.clone() }),
        LayerKind::Dense(dense) => {
            LayerKind::Dense(Dense { weight: numbers(dense.weight.len()), ..dense.clone() })
        }
        other => other.clone(),
    }
}
