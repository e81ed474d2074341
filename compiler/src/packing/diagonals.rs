//! Plans without a search: tensors in order, every map diagonal by diagonal.
//!
//! What the search is measured against.

use super::Packing;
use super::assign::{DiagonalKey, Diagonals, Fold, assign};
use super::placement::Placement;
use super::plan::{LinearPlan, PackingPlan, TermPlan, composed, remaining_levels};
use super::split::{Price, Seen, Split};
use crate::cost::{Nominal, Unit};
use crate::sparsity::{Linear, Network, NodeKind};

/// What a plan by diagonals makes use of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing: every diagonal is computed, zero or not.
    Nothing,
    /// Diagonals of zeros are left out.
    Zeros,
    /// The same, and rotations are split into baby and giant steps.
    ZerosAndSteps,
}

impl Use {
    fn packing(self) -> Packing {
        match self {
            Use::Nothing => Packing::Naive,
            Use::Zeros => Packing::ZeroSkipping,
            Use::ZerosAndSteps => Packing::SharedSteps,
        }
    }
}

/// Plans a network whose tensors lie in order.
pub(super) fn plan(network: &Network, n_slots: usize, nominal: &Nominal, makes_use: Use) -> PackingPlan {
    let placements: Vec<Placement> =
        network.nodes.iter().map(|node| Placement::contiguous(&node.shape, n_slots)).collect();
    let remaining = remaining_levels(network);
    let mut cost_ns = 0.0;
    let mut linear = Vec::new();
    for (id, node) in network.nodes.iter().enumerate() {
        let NodeKind::Linear(maps) = &node.kind else {
            linear.push(None);
            continue;
        };
        let price = Price::at(&nominal.ops(), nominal.level(remaining[id] + 1), n_slots);
        let mut terms = Vec::new();
        for diagonals in diagonals_of(network, maps, &placements, id, makes_use) {
            let keys: Vec<DiagonalKey> = diagonals.keys().copied().collect();
            let (split, cost) = match makes_use {
                Use::Nothing | Use::Zeros => Split::none(&keys, n_slots, &price),
                Use::ZerosAndSteps => Split::cheapest(&keys, &[], n_slots, &price, &mut Seen::default()),
            };
            cost_ns += cost;
            terms.push(TermPlan::Map { prefold: None, diagonals, split });
        }
        linear.push(Some(LinearPlan { terms, fold: Fold::NONE }));
    }
    PackingPlan { placements, linear, cost_ns, packing: makes_use.packing(), unit: Unit::Ns }
}

/// The diagonals of each term of a linear node.
fn diagonals_of(
    network: &Network,
    linear: &Linear,
    placements: &[Placement],
    id: usize,
    makes_use: Use,
) -> Vec<Diagonals> {
    let result = &placements[id].layout;
    let diagonals = linear.terms.iter().map(|term| {
        let operand = &placements[term.operand.0].layout;
        let matrix = composed(network, term).matrix;
        let mut diagonals = assign(&matrix, term.scale, operand, result, Fold::NONE);
        if makes_use == Use::Nothing {
            add_zeros(&mut diagonals, result.n_cts, operand.n_cts, result.n_slots);
        }
        diagonals
    });
    diagonals.collect()
}

/// Adds the diagonals that are missing. Their weights stand for zeros of which the
/// compiler does not know that they are, each so small that it is encoded as zero.
fn add_zeros(diagonals: &mut Diagonals, n_results: usize, n_operands: usize, n_slots: usize) {
    let half = n_slots as i64 / 2;
    for (result, operand) in (0..n_results as u32).flat_map(|r| (0..n_operands as u32).map(move |o| (r, o))) {
        for step in -half..half {
            let unknown_zero = || vec![(0, f64::MIN_POSITIVE)];
            diagonals.entry((result, operand, step)).or_insert_with(unknown_zero);
        }
    }
}
