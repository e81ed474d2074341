//! Composes neighbouring maps where packing says that it pays.
//!
//! The normal form keeps maps apart whose composition is much larger. That may still
//! be cheaper: a level less, and diagonals count rather than non-zeros.

use super::plan::depth;
use crate::sparsity::Network;

/// Non-zeros of a composed map, at most.
const MAX_NONZEROS: usize = 1 << 22;
/// Compositions tried, at most: each is a plan of the whole network.
const MAX_TRIED: usize = 8;

/// The network with those linear nodes composed into their readers that make it
/// cheaper; `price` is asked only for depths that the ring `carries`. Nothing when
/// nothing is composed.
pub(crate) fn composed_by_price(
    network: &Network,
    price: impl Fn(&Network) -> f64,
    carries: impl Fn(usize) -> bool,
) -> Option<Network> {
    let nodes = network.composable(MAX_NONZEROS);
    if nodes.is_empty() || !carries(depth(network).saturating_sub(nodes.len())) {
        return None;
    }
    let price = |network: &Network| if carries(depth(network)) { price(network) } else { f64::INFINITY };
    let mut best: Option<Network> = None;
    let mut least = price(network);
    // From the last one on: earlier nodes keep their handles.
    for node in nodes.into_iter().rev().take(MAX_TRIED) {
        let present = best.as_ref().unwrap_or(network);
        if !present.composable(MAX_NONZEROS).contains(&node) {
            continue;
        }
        let other = present.with_composed(node);
        let after = price(&other);
        // What is too deep for the ring gets less deep.
        if after < least || least.is_infinite() {
            (best, least) = (Some(other), after);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cost::{Nominal, default_target};
    use crate::model::{Dense, LayerKind, ModelBuilder};
    use hecc_ir::Shape;

    /// Whether `n` to `rank` to `n`, squared, becomes one map on a ring that carries `max_depth`.
    fn is_composed(n: usize, rank: usize, max_depth: usize) -> bool {
        let mut builder = ModelBuilder::new();
        let input = LayerKind::Input { range: (-1.0, 1.0) };
        let x = builder.push("x", input, &[], Some(Shape(vec![n]))).unwrap();
        let dense = |n_in: usize, n_out: usize| {
            let weight = (0..n_in * n_out).map(|i| 1.0 + (i % 7) as f64).collect();
            LayerKind::Dense(Dense { weight, bias: Vec::new() })
        };
        let narrow = builder.push("narrow", dense(n, rank), &[x], None).unwrap();
        let wide = builder.push("wide", dense(rank, n), &[narrow], None).unwrap();
        let square = LayerKind::Polynomial { coefficients: vec![0.0, 0.0, 1.0] };
        let y = builder.push("y", square, &[wide], None).unwrap();
        let network = Network::of(&builder.finish("low rank", y));
        let target = default_target();
        let ring = target.ring(8192).unwrap();
        let price = |network: &Network| {
            let nominal = Nominal::new(ring, depth(network));
            crate::packing::Packing::default().price(network, 4096, &nominal).unwrap()
        };
        composed_by_price(&network, price, |depth| depth <= max_depth).is_some()
    }

    #[test]
    fn neighbours_are_composed_where_it_pays() {
        assert!(is_composed(256, 8, 9), "a level less");
        assert!(!is_composed(1024, 4, 9), "far more products");
    }

    #[test]
    fn neighbours_are_composed_where_the_ring_is_too_small_for_both() {
        assert!(is_composed(1024, 4, 2));
        assert!(!is_composed(1024, 4, 1), "nothing helps");
    }
}
