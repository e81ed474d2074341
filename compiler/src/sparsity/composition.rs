//! Composition of neighbours that the normal form keeps apart.

use super::network::{Linear, Network, NodeId, NodeKind, Term, append};

impl Network {
    /// Linear nodes that one term of one linear node reads, and nothing else does, and
    /// whose composition has no more than so many non-zeros.
    pub(crate) fn composable(&self, max_nonzeros: usize) -> Vec<NodeId> {
        let is_small = |id: &NodeId| {
            let NodeKind::Linear(inner) = &self.node(*id).kind else { return false };
            let outer = self.reader(*id).map(|(_, term)| term);
            outer.and_then(|outer| n_nonzeros(inner, outer)).is_some_and(|n| n <= max_nonzeros)
        };
        self.ids().filter(is_small).collect()
    }

    /// The only reader of a node, if it is a linear one that reads it once.
    fn reader(&self, id: NodeId) -> Option<(NodeId, &Term)> {
        let mut reader = None;
        for other in self.ids() {
            let terms = match &self.node(other).kind {
                NodeKind::Activation(activation) if activation.operand == id => return None,
                NodeKind::Linear(linear) => &linear.terms[..],
                NodeKind::Input | NodeKind::Activation(_) => &[],
            };
            for term in terms.iter().filter(|term| term.operand == id) {
                if reader.replace((other, term)).is_some() {
                    return None;
                }
            }
        }
        reader.filter(|_| id != self.output)
    }

    /// The network with a node composed into its only reader.
    ///
    /// # Panics
    /// If the node is none of the [`Network::composable`] ones.
    pub(crate) fn with_composed(&self, id: NodeId) -> Network {
        let (reader, outer) = self.reader(id).expect("a composable node has one reader");
        let mut nodes = self.nodes.clone();
        let (NodeKind::Linear(inner), NodeKind::Linear(linear)) =
            (&self.node(id).kind, &mut nodes[reader.0].kind)
        else {
            unreachable!("a composable node and its reader are linear")
        };
        compose_terms(linear, outer, inner);
        nodes[reader.0].name = format!("{}+{}", self.node(id).name, self.node(reader).name);
        nodes.remove(id.0);
        let earlier = |other: &mut NodeId| other.0 -= usize::from(*other > id);
        for node in &mut nodes {
            match &mut node.kind {
                NodeKind::Input => {}
                NodeKind::Activation(activation) => earlier(&mut activation.operand),
                NodeKind::Linear(linear) => linear.terms.iter_mut().for_each(|t| earlier(&mut t.operand)),
            }
        }
        let mut output = self.output;
        earlier(&mut output);
        Network { nodes, output }
    }
}

/// Non-zeros of a node's maps followed by those of a term, at most; none if either
/// has a term without a map.
fn n_nonzeros(inner: &Linear, outer: &Term) -> Option<usize> {
    let last = outer.factors.last()?;
    let of_term = |term: &Term| {
        let (first, before) = (term.factors.first()?, term.factors.last()?);
        let dense = last.matrix.n_rows() * first.matrix.n_cols();
        Some(match (&outer.factors[..], &term.factors[..]) {
            ([one], [_]) => one.matrix.n_products_after(&before.matrix),
            _ => dense,
        })
    };
    inner.terms.iter().map(of_term).sum()
}

/// Replaces the term `outer` of a linear node by what it reads, the node `inner`.
fn compose_terms(linear: &mut Linear, outer: &Term, inner: &Linear) {
    linear.terms.retain(|term| term.operand != outer.operand);
    let through = |bias: Vec<f64>, matrix| crate::sparsity::Matrix::apply(matrix, &bias);
    let carried = outer.factors.iter().map(|factor| &factor.matrix).fold(inner.bias.clone(), through);
    linear.bias.iter_mut().zip(carried).for_each(|(bias, carried)| *bias += outer.scale * carried);
    for term in &inner.terms {
        let mut factors = term.factors.clone();
        outer.factors.iter().for_each(|factor| append(&mut factors, factor.clone()));
        let layers = term.layers.iter().chain(&outer.layers).copied().collect();
        linear.terms.push(Term { operand: term.operand, scale: term.scale * outer.scale, factors, layers });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::{AvgPool, Conv, Dense, LayerId, LayerKind, Model, ModelBuilder};
    use hecc_ir::Shape;

    /// What a network computes.
    fn evaluate(network: &Network, input: &[f64]) -> Vec<f64> {
        let mut values: Vec<Vec<f64>> = Vec::new();
        for node in &network.nodes {
            values.push(match &node.kind {
                NodeKind::Input => input.to_vec(),
                NodeKind::Activation(activation) => {
                    assert!(activation.lower.iter().all(|c| *c == 0.0), "tests square");
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

    struct Draft(ModelBuilder);

    impl Draft {
        fn push(&mut self, kind: LayerKind, operands: &[LayerId]) -> LayerId {
            self.0.push("layer", kind, operands, None).unwrap()
        }

        fn dense(&mut self, x: LayerId, n_out: usize) -> LayerId {
            let n_in = self.0.shape(x).n_elements();
            let weight = (0..n_in * n_out).map(|i| ((i * 7 + n_out) % 11) as f64 - 4.0).collect();
            self.push(LayerKind::Dense(Dense { weight, bias: vec![0.5; n_out] }), &[x])
        }

        fn square(&mut self, x: LayerId) -> LayerId {
            self.push(LayerKind::Polynomial { coefficients: vec![0.0, 0.0, 1.0] }, &[x])
        }
    }

    /// Composes every node that can be; tells how many there were.
    fn compose_all(draft: impl Fn(&mut Draft, LayerId) -> LayerId, extents: &[usize]) -> usize {
        let mut builder = Draft(ModelBuilder::new());
        let input = LayerKind::Input { range: (-1.0, 1.0) };
        let x = builder.0.push("x", input, &[], Some(Shape(extents.to_vec()))).unwrap();
        let y = draft(&mut builder, x);
        let model: Model = builder.0.finish("draft", y);
        let input: Vec<f64> = (0..extents.iter().product()).map(|i| (i % 5) as f64 / 5.0 - 0.4).collect();
        let mut network = Network::of(&model);
        let mut n_composed = 0;
        while let Some(node) = network.composable(usize::MAX).pop() {
            network = network.with_composed(node);
            n_composed += 1;
            for (a, b) in evaluate(&network, &input).iter().zip(model.logits(&input)) {
                assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{a} for {b}");
            }
        }
        n_composed
    }

    #[test]
    fn a_chain_becomes_one_map() {
        let chain = |d: &mut Draft, x| {
            let narrow = d.dense(x, 2);
            let wide = d.dense(narrow, 40);
            let scaled = d.push(LayerKind::Affine { scale: vec![0.5; 40], shift: vec![0.25; 40] }, &[wide]);
            let narrow = d.dense(scaled, 1);
            let wide = d.dense(narrow, 40);
            d.square(wide)
        };
        assert_eq!(compose_all(chain, &[40]), 1);
    }

    #[test]
    fn a_sum_is_composed_term_by_term() {
        let sum = |d: &mut Draft, x| {
            let squared = d.square(x);
            let (a, b) = (d.dense(x, 2), d.dense(squared, 2));
            let sum = d.push(LayerKind::Add, &[a, b]);
            let wide = d.dense(sum, 40);
            let skip = d.push(LayerKind::Add, &[wide, x]);
            d.square(skip)
        };
        assert_eq!(compose_all(sum, &[40]), 1);
    }

    #[test]
    fn pools_are_composed_on_either_side() {
        let pool = AvgPool { kernel: [2, 2], stride: [2, 2], padding: [0; 4], count_include_pad: true };
        let conv = |n_in: usize, n_out: usize| {
            let weight = (0..n_in * n_out * 9).map(|i| (i % 5) as f64 - 2.0).collect();
            let weight_shape = [n_out, n_in, 3, 3];
            let (stride, padding, dilation) = ([1, 1], [1; 4], [1, 1]);
            LayerKind::Conv(Conv { weight, weight_shape, bias: vec![], stride, padding, dilation, groups: 1 })
        };
        let pooled = |d: &mut Draft, x| {
            let small = d.push(LayerKind::AvgPool(pool.clone()), &[x]);
            let narrow = d.push(conv(4, 1), &[small]);
            let wide = d.push(conv(1, 8), &[narrow]);
            let squared = d.square(wide);
            let small = d.push(LayerKind::AvgPool(pool.clone()), &[squared]);
            let narrow = d.push(conv(8, 1), &[small]);
            d.push(conv(1, 8), &[narrow])
        };
        assert!(compose_all(pooled, &[4, 8, 8]) > 0);
    }

    #[test]
    fn what_is_read_twice_or_is_the_output_stays() {
        let twice = |d: &mut Draft, x| {
            let narrow = d.dense(x, 2);
            let (a, b) = (d.dense(narrow, 40), d.square(narrow));
            let b = d.dense(b, 40);
            d.push(LayerKind::Add, &[a, b])
        };
        assert_eq!(compose_all(twice, &[40]), 0);
    }
}
