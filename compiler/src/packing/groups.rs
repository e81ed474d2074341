//! Which weights a plan computes together, and what they cost.
//!
//! For training: when all weights of a diagonal are zero its product is not there, and
//! when all diagonals that use a rotation are gone neither is the rotation.

use super::assign::{DiagonalKey, diagonal_of};
use super::plan::{PackingPlan, TermPlan, planned_leg, remaining_levels};
use super::prefold::Prefold;
use super::split::{Price, Split};
use super::tally::Tally;
use crate::cost::Nominal;
use crate::model::{Layer, LayerId, LayerKind, Model};
use crate::sparsity::{Matrix, Network, NodeKind, layer_matrix};
use rayon::iter::Either;
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use serde::Serialize;
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

impl Diagonal {
    /// Whether all its weights are zero.
    fn is_zero(&self, model: &Model) -> bool {
        let weights = model.layer(self.layer).kind.weights().unwrap_or_default();
        self.weights.iter().all(|&weight| weights[weight as usize] == 0.0)
    }
}

/// All diagonals of a plan with their weights.
#[derive(Clone, Debug)]
pub struct WeightGroups {
    /// Diagonals; those of one map and layer lie together.
    pub diagonals: Vec<Diagonal>,
    maps: Vec<Map>,
    /// What no diagonal has a part in: activations, folds, rescales, window sums.
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
        let remaining = remaining_levels(network);
        let mut groups = WeightGroups { diagonals: Vec::new(), maps: Vec::new(), fixed_ns: 0.0 };
        for (index, node) in network.nodes.iter().enumerate() {
            let (NodeKind::Linear(linear), Some(planned)) = (&node.kind, &plan.linear[index]) else {
                continue;
            };
            let n_slots = plan.placements[index].layout.n_slots;
            let price = Price::at(&nominal.ops(), nominal.level(remaining[index] + 1), n_slots);
            for (term, planned_term) in linear.terms.iter().zip(&planned.terms) {
                let TermPlan::Map { prefold, split, .. } = planned_term else { continue };
                let (operand, _) = planned_leg(network, &plan.placements, term, prefold.as_ref());
                let result = &plan.placements[index].layout;
                let layers = &term.layers[n_folded(model, &term.layers, prefold.as_ref())..];
                let place = |row, col| diagonal_of(row, col, &operand.layout, result, planned.fold);
                let map = groups.maps.len();
                groups.maps.push(Map { split: *split, price });
                for (layer, weights) in weights_by_diagonal(model, layers, place) {
                    let diagonal = |(key, weights)| Diagonal { layer, weights, map, key };
                    groups.diagonals.extend(weights.into_iter().map(diagonal));
                }
            }
        }
        groups.fixed_ns = (plan.cost_ns - groups.tally_of(model).cost()).max(0.0);
        groups
    }

    /// The cost without the diagonals whose weights are all zero already.
    fn tally_of(&self, model: &Model) -> Tally {
        let mut tally = self.tally();
        for (index, diagonal) in self.diagonals.iter().enumerate() {
            if diagonal.is_zero(model) {
                tally.remove(index);
            }
        }
        tally
    }

    /// The cost of the plan, from which diagonals can be taken away.
    pub fn tally(&self) -> Tally {
        Tally::of(self, self.maps.iter().map(|map| (map.split, map.price)), self.fixed_ns)
    }

    /// Of each map, in the order of the plan, the diagonals without a weight other than zero, and how many
    /// weights each has.
    pub fn zero_diagonals(&self, model: &Model) -> Vec<BTreeMap<DiagonalKey, usize>> {
        let mut zeros = vec![BTreeMap::new(); self.maps.len()];
        let place = |diagonal: &Diagonal| (diagonal.map, diagonal.key);
        let left = self.diagonals.iter().filter(|diagonal| !diagonal.is_zero(model));
        let left: BTreeSet<_> = left.map(place).collect();
        for diagonal in self.diagonals.iter().filter(|diagonal| !left.contains(&place(diagonal))) {
            *zeros[diagonal.map].entry(diagonal.key).or_insert(0) += diagonal.weights.len();
        }
        zeros
    }

    /// Map and key of each diagonal.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, DiagonalKey)> {
        self.diagonals.iter().map(|diagonal| (diagonal.map, diagonal.key))
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

/// How many layers of a term rotations have done before its map: up to the pool, where they do one. Moves
/// before it change nothing, or there would be no pool that is done alone.
fn n_folded(model: &Model, layers: &[LayerId], prefold: Option<&Prefold>) -> usize {
    let is_pool = |id: &LayerId| matches!(model.layer(*id).kind, LayerKind::AvgPool(_));
    match prefold.is_some_and(Prefold::is_pool) {
        true => layers.iter().position(is_pool).map_or(0, |pool| pool + 1),
        false => 0,
    }
}

/// What zero weights of one layer are worth in a packing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerSparsity {
    /// The layer's name.
    pub layer: String,
    /// Channels or features that it computes, and those of them that are of any use.
    pub channels: [usize; 2],
    /// Weights.
    pub weights: usize,
    /// Weights that are zero.
    pub zeros: usize,
    /// Zero weights between useful channels, on diagonals that other weights keep.
    pub stranded: usize,
    /// Plaintext products for useful channels without zeros, and those that are left.
    pub products: [usize; 2],
    /// Rotations for them, likewise.
    pub rotations: [usize; 2],
}

impl WeightGroups {
    /// What the zeros of a model save in this packing, by layer; `narrowed` is the model that
    /// was packed, the same without useless channels.
    pub fn by_layer(&self, model: &Model, narrowed: &Model) -> Vec<LayerSparsity> {
        let layers: BTreeSet<LayerId> = self.diagonals.iter().map(|diagonal| diagonal.layer).collect();
        layers.into_iter().filter_map(|id| self.of_layer(model.layer(id), narrowed.layer(id), id)).collect()
    }

    fn of_layer(&self, layer: &Layer, narrowed: &Layer, id: LayerId) -> Option<LayerSparsity> {
        let (all_weights, weights) = (layer.kind.weights()?, narrowed.kind.weights()?);
        let is_alive = |weight: u32| weights[weight as usize] != 0.0;
        let all: Vec<&Diagonal> = self.diagonals.iter().filter(|diagonal| diagonal.layer == id).collect();
        let left: Vec<&Diagonal> =
            all.iter().filter(|diagonal| diagonal.weights.iter().any(|&w| is_alive(w))).copied().collect();
        let stranded: BTreeSet<u32> =
            left.iter().flat_map(|diagonal| &diagonal.weights).copied().filter(|&w| !is_alive(w)).collect();
        Some(LayerSparsity {
            layer: layer.name.clone(),
            channels: [layer.shape.0[0], narrowed.shape.0[0]],
            weights: all_weights.len(),
            zeros: all_weights.iter().filter(|weight| **weight == 0.0).count(),
            stranded: stranded.len(),
            products: [all.len(), left.len()],
            rotations: [&all, &left].map(|diagonals| self.n_rotations(diagonals)),
        })
    }

    fn n_rotations(&self, diagonals: &[&Diagonal]) -> usize {
        let rotations = diagonals.iter().flat_map(|diagonal| {
            let (out, operand, step) = diagonal.key;
            let split = self.maps[diagonal.map].split;
            let steps = [
                (Bundle::Baby(operand, split.baby(step)), split.baby(step)),
                (Bundle::Giant(out, split.giant(step)), split.giant(step)),
            ];
            steps.into_iter().filter(|(_, step)| *step != 0).map(|(rotation, _)| (diagonal.map, rotation))
        });
        rotations.collect::<BTreeSet<_>>().len()
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
            let mut found: FxHashSet<(DiagonalKey, u32)> = FxHashSet::default();
            for &row in rows {
                let results: Vec<usize> = neighbours(after.as_ref(), row).collect();
                for (col, number) in numbered.row(row) {
                    let weight = number as u32 - 1;
                    for operand in neighbours(before.as_ref(), col) {
                        found.extend(results.iter().map(|&result| (place(result, operand), weight)));
                    }
                }
            }
            found
        };
        let merged = rows.par_chunks(ROWS_AT_ONCE).map(part).reduce(FxHashSet::default, |mut all, part| {
            all.extend(part);
            all
        });
        let mut found: Vec<(DiagonalKey, u32)> = merged.into_iter().collect();
        found.sort_unstable();
        let mut by_diagonal = ByDiagonal::new();
        found.into_iter().for_each(|(key, weight)| by_diagonal.entry(key).or_default().push(weight));
        by_diagonal
    };
    (0..layers.len()).filter(has_weights).map(|at| (layers[at], of_layer(at))).collect()
}

/// Rows of a matrix looked at by one thread.
const ROWS_AT_ONCE: usize = 64;

/// The columns of a row where there is a matrix, else the row itself.
fn neighbours(matrix: Option<&Matrix>, at: usize) -> impl Iterator<Item = usize> + '_ {
    match matrix {
        Some(matrix) => Either::Left(matrix.row(at).map(|(col, _)| col)),
        None => Either::Right(std::iter::once(at)),
    }
}

/// Which elements of the result each element can reach through some layers; nothing
/// when there is none.
fn pattern(model: &Model, layers: &[LayerId]) -> Option<Matrix> {
    let ones = |id: &LayerId| {
        let mut kind = model.layer(*id).kind.clone();
        if let Some((weights, _)) = kind.weights_and_bias_mut() {
            weights.fill(1.0);
        }
        layer_matrix(model, *id, &kind)
    };
    layers.iter().map(ones).reduce(|first, next| next.after(&first))
}

/// The layer with the position of each weight, from 1, in its place.
fn numbered(kind: &LayerKind) -> LayerKind {
    let mut kind = kind.clone();
    if let Some((weights, _)) = kind.weights_and_bias_mut() {
        weights.iter_mut().zip(1..).for_each(|(weight, number)| *weight = f64::from(number));
    }
    kind
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cost::default_target;
    use crate::model::{AvgPool, Conv, Dense, ModelBuilder};
    use crate::packing::Packing;
    use crate::packing::assign::assign;
    use crate::packing::plan::depth;
    use hecc_ir::Shape;

    const N_SLOTS: usize = 512;

    fn conv(n_in: usize, n_out: usize, stride: usize) -> LayerKind {
        LayerKind::Conv(Conv {
            weight: (0..n_in * n_out * 9).map(|i| 1.0 + (i % 13) as f64).collect(),
            weight_shape: [n_out, n_in, 3, 3],
            bias: Vec::new(),
            stride: [stride; 2],
            padding: [1; 4],
            dilation: [1; 2],
            groups: 1,
        })
    }

    fn model() -> Model {
        let mut builder = ModelBuilder::new();
        let mut push =
            |kind, operands: &[LayerId], shape| builder.push("layer", kind, operands, shape).unwrap();
        let square = || LayerKind::Polynomial { coefficients: vec![0.0, 0.5, 1.0] };
        let pool = AvgPool { kernel: [2; 2], stride: [2; 2], padding: [0; 4], count_include_pad: true };
        let x = push(LayerKind::Input { range: (-1.0, 1.0) }, &[], Some(Shape(vec![1, 8, 8])));
        let y = push(conv(1, 4, 1), &[x], None);
        let y = push(square(), &[y], None);
        let y = push(LayerKind::AvgPool(pool.clone()), &[y], None);
        let y = push(conv(4, 4, 1), &[y], None);
        let y = push(square(), &[y], None);
        let y = push(LayerKind::AvgPool(pool), &[y], None);
        let y = push(LayerKind::Move { source: (0..16).rev().collect() }, &[y], Some(Shape(vec![16])));
        let weight = (0..160).map(|i| 1.0 + (i % 7) as f64).collect();
        let y = push(LayerKind::Dense(Dense { weight, bias: Vec::new() }), &[y], None);
        builder.finish("groups", y)
    }

    /// The model, a plan of it and its groups.
    fn packed() -> (Model, PackingPlan, WeightGroups) {
        let model = model();
        let network = Network::of(&model);
        let target = default_target();
        let nominal = Nominal::new(target.ring(2 * N_SLOTS).unwrap(), depth(&network));
        let plan = Packing::Searched.plan(&network, N_SLOTS, &nominal).unwrap();
        let groups = WeightGroups::of(&model, &network, &plan, &nominal);
        (model, plan, groups)
    }

    /// The diagonals that the plan's layouts need for the weights of a model.
    fn needed(model: &Model, plan: &PackingPlan) -> Vec<BTreeSet<DiagonalKey>> {
        let network = Network::of(model);
        let mut needed = Vec::new();
        for (index, node) in network.nodes.iter().enumerate() {
            let (NodeKind::Linear(linear), Some(planned)) = (&node.kind, &plan.linear[index]) else {
                continue;
            };
            for (term, planned_term) in linear.terms.iter().zip(&planned.terms) {
                let TermPlan::Map { prefold, .. } = planned_term else { continue };
                let (operand, factor) = planned_leg(&network, &plan.placements, term, prefold.as_ref());
                let result = &plan.placements[index].layout;
                let diagonals = assign(&factor.matrix, 1.0, &operand.layout, result, planned.fold);
                needed.push(diagonals.into_keys().collect());
            }
        }
        needed
    }

    #[test]
    fn groups_are_what_the_plan_drops_together() {
        let (model, plan, groups) = packed();
        for every in [2, 3, 7] {
            let mut sparse = model.clone();
            for diagonal in groups.diagonals.iter().step_by(every) {
                let (weights, _) = sparse.layers[diagonal.layer.0].kind.weights_and_bias_mut().unwrap();
                diagonal.weights.iter().for_each(|&weight| weights[weight as usize] = 0.0);
            }
            let is_left = |diagonal: &Diagonal| {
                let weights = sparse.layer(diagonal.layer).kind.weights().unwrap();
                diagonal.weights.iter().any(|&weight| weights[weight as usize] != 0.0)
            };
            let mut left = vec![BTreeSet::new(); groups.maps.len()];
            for diagonal in groups.diagonals.iter().filter(|diagonal| is_left(diagonal)) {
                left[diagonal.map].insert(diagonal.key);
            }
            assert_eq!(left, needed(&sparse, &plan), "every {every}");
        }
    }

    #[test]
    fn less_costs_less() {
        let (_, plan, groups) = packed();
        let mut tally = groups.tally();
        let whole = tally.cost();
        assert!((whole / plan.cost_ns - 1.0).abs() < 1e-9);
        for bundle in groups.bundles(&vec![true; groups.diagonals.len()]) {
            assert!(tally.cost_without(&bundle) < whole, "{bundle:?}");
        }
        assert_eq!(tally.cost(), whole);
    }

    #[test]
    fn a_sparse_model_costs_what_its_plan_does() {
        let (mut model, _, groups) = packed();
        for diagonal in groups.diagonals.iter().step_by(2) {
            let (weights, _) = model.layers[diagonal.layer.0].kind.weights_and_bias_mut().unwrap();
            diagonal.weights.iter().for_each(|&weight| weights[weight as usize] = 0.0);
        }
        let network = Network::of(&model);
        let target = default_target();
        let nominal = Nominal::new(target.ring(2 * N_SLOTS).unwrap(), depth(&network));
        let plan = Packing::Searched.plan(&network, N_SLOTS, &nominal).unwrap();
        let sparse = WeightGroups::of(&model, &network, &plan, &nominal);
        assert!((sparse.tally_of(&model).cost() / plan.cost_ns - 1.0).abs() < 1e-9);
        assert!(
            sparse.tally().cost() > 1.1 * plan.cost_ns,
            "all diagonals cost more than those that are left"
        );
    }

    #[test]
    fn what_is_taken_away_is_not_charged() {
        let (_, _, groups) = packed();
        let mut tally = groups.tally();
        let removed: Vec<usize> = (0..groups.diagonals.len()).step_by(3).collect();
        let expected = tally.cost_without(&removed);
        removed.iter().for_each(|&diagonal| tally.remove(diagonal));
        assert_eq!(tally.cost(), expected);
        let mut keys = vec![BTreeSet::new(); groups.maps.len()];
        for (diagonal, _) in groups.diagonals.iter().zip(tally.is_left()).filter(|(_, is_left)| **is_left) {
            keys[diagonal.map].insert(diagonal.key);
        }
        let keys = keys.into_iter().map(|keys| keys.into_iter().collect::<Vec<DiagonalKey>>());
        let maps = groups.maps.iter().zip(keys);
        let priced: f64 = maps.map(|(map, keys)| map.price.map_alone(&keys, map.split, N_SLOTS)).sum();
        assert!(((groups.fixed_ns + priced) / expected - 1.0).abs() < 1e-9);
    }
}
