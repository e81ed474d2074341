//! Random sparsity in the blocks that a packing computes with.
//!
//! For measuring what sparsity is worth: a share of a plan's diagonals, the
//! groups of weights that one plaintext product computes, becomes zero.

use super::assign::{DiagonalKey, keep_diagonals};
use super::plan::{PackingPlan, TermPlan, planned_leg};
use super::prefold::Prefold;
use crate::sparsity::{Factor, Network, NodeKind, Term};
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use std::collections::BTreeSet;

/// The network without a random `share` (0 to 1) of the diagonals of each map in
/// `plan`, which is a plan of it. Every map keeps at least one.
pub fn thin(network: &Network, plan: &PackingPlan, share: f64, seed: u64) -> Network {
    let mut thinned = network.clone();
    for (id, node) in thinned.nodes.iter_mut().enumerate() {
        let (NodeKind::Linear(linear), Some(planned)) = (&mut node.kind, &plan.linear[id]) else { continue };
        for (term, (index, planned_term)) in linear.terms.iter_mut().zip(planned.terms.iter().enumerate()) {
            let TermPlan::Map { prefold, diagonals, .. } = planned_term else { continue };
            let seed = seed ^ ((id as u64) << 32) ^ ((index as u64) << 48);
            let kept = kept(diagonals.keys().copied().collect(), share, seed);
            let (operand, mut factor) = planned_leg(network, &plan.placements, term, prefold.as_ref());
            let result = &plan.placements[id].layout;
            let keeps = |key: DiagonalKey| kept.contains(&key);
            factor.matrix = keep_diagonals(&factor.matrix, &operand.layout, result, planned.fold, keeps);
            replace(term, factor, prefold.as_ref().is_some_and(Prefold::is_pool));
        }
    }
    thinned
}

/// Puts a thinned map in the place of all factors, or of those after the pool.
fn replace(term: &mut Term, factor: Factor, after_pool: bool) {
    term.factors.truncate(usize::from(after_pool));
    term.factors.push(factor);
}

/// The keys that stay: those of the lowest rank in a random order.
fn kept(mut keys: Vec<DiagonalKey>, share: f64, seed: u64) -> BTreeSet<DiagonalKey> {
    let n_kept = ((keys.len() as f64 * (1.0 - share)).round() as usize).max(1);
    keys.sort_by_key(|&(out, operand, step)| {
        let place = (u64::from(out) << 40) ^ (u64::from(operand) << 20) ^ (step as u64);
        scramble(place ^ scramble(seed))
    });
    keys.into_iter().take(n_kept).collect()
}

/// A number whose every bit depends on every bit of x.
fn scramble(x: u64) -> u64 {
    SplitMix64::seed_from_u64(x).next_u64()
}
