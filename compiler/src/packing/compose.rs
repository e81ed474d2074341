//! Composes neighbouring maps where packing says that it pays.
//!
//! The normal form keeps maps apart whose composition is much larger. That may still
//! be cheaper: a level less, and diagonals count rather than non-zeros.

use super::plan::{depth, plan};
use crate::cost::Nominal;
use crate::sparsity::{Network, NodeId};
use hecc_ir::target::RingCost;

/// Non-zeros of a composed map, at most.
const MAX_NONZEROS: usize = 1 << 22;
/// Compositions priced, at most: each is a plan of the whole network.
const MAX_PRICED: usize = 8;

/// The network with those linear nodes composed into their readers that cost less so on
/// a ring. Nothing is planned when there is none to compose.
pub(crate) fn composed_by_price(network: &Network, ring: &RingCost) -> Network {
    let price =
        |network: &Network| plan(network, ring.ring_degree / 2, &Nominal::new(ring, depth(network))).cost_ns;
    let mut best = network.clone();
    let mut least = None;
    let mut nodes: Vec<NodeId> = network.composable(MAX_NONZEROS).take(MAX_PRICED).collect();
    // From the last one on: earlier nodes keep their handles.
    while let Some(node) = nodes.pop() {
        if !best.composable(MAX_NONZEROS).any(|other| other == node) {
            continue;
        }
        let before = least.unwrap_or_else(|| price(&best));
        let other = best.with_composed(node);
        let after = price(&other);
        least = Some(before.min(after));
        if after < before {
            best = other;
        }
    }
    best
}

/// Levels that a network needs at the least, whatever is composed.
pub(crate) fn least_depth(network: &Network) -> usize {
    depth(network).saturating_sub(network.composable(MAX_NONZEROS).count())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cost::default_target;
    use crate::model::{Dense, LayerKind, ModelBuilder};
    use crate::sparsity::NodeKind;
    use hecc_ir::Shape;

    /// Nodes of `n` to `rank` to `n` to `n` after composition; the last map is activated.
    fn n_nodes(n: usize, rank: usize) -> usize {
        let mut builder = ModelBuilder::new();
        let input = LayerKind::Input { range: (-1.0, 1.0) };
        let x = builder.push("x", input, &[], Some(Shape(vec![n]))).unwrap();
        let dense = |n_in: usize, n_out: usize| {
            let weight = (0..n_in * n_out).map(|i| 1.0 + (i % 7) as f64).collect();
            LayerKind::Dense(Dense { weight, bias: vec![0.5; n_out] })
        };
        let narrow = builder.push("narrow", dense(n, rank), &[x], None).unwrap();
        let wide = builder.push("wide", dense(rank, n), &[narrow], None).unwrap();
        let square = LayerKind::Polynomial { coefficients: vec![0.0, 0.0, 1.0] };
        let y = builder.push("y", square, &[wide], None).unwrap();
        let model = builder.finish("low rank", y);
        let network = Network::of(&model);
        let composed = composed_by_price(&network, default_target().ring(8192).unwrap());
        let input: Vec<f64> = (0..n).map(|i| (i % 5) as f64 / 5.0).collect();
        for (a, b) in evaluate(&composed, &input).iter().zip(evaluate(&network, &input)) {
            assert!((a / b - 1.0).abs() < 1e-9, "{a} for {b}");
        }
        composed.nodes.len()
    }

    /// The shifted linear part: constants of the activation are in its neighbours.
    fn evaluate(network: &Network, input: &[f64]) -> Vec<f64> {
        let mut values: Vec<Vec<f64>> = Vec::new();
        for node in &network.nodes {
            values.push(match &node.kind {
                NodeKind::Input => input.to_vec(),
                NodeKind::Activation(activation) => {
                    values[activation.operand.0].iter().map(|x| (x + activation.shift).powi(2)).collect()
                }
                NodeKind::Linear(linear) => {
                    let mut sum = linear.bias.clone();
                    for term in &linear.terms {
                        let start = values[term.operand.0].clone();
                        let mapped = term.factors.iter().fold(start, |x, factor| factor.matrix.apply(&x));
                        sum.iter_mut().zip(mapped).for_each(|(sum, x)| *sum += term.scale * x);
                    }
                    sum
                }
            });
        }
        values.swap_remove(network.output.0)
    }

    #[test]
    fn neighbours_are_composed_where_it_pays() {
        assert_eq!(n_nodes(64, 8), 3, "a level less");
        assert_eq!(n_nodes(1024, 4), 4, "far more products");
    }
}
