//! What front ends and training do with layers: count their numbers, fold scaling into
//! weights, permute axes.

use crate::{Conv, Dense, Layer, LayerId, LayerKind, Model};
use hecc_ir::Shape;

impl LayerKind {
    /// Weights of a convolution or dense layer, row-major.
    pub fn weights(&self) -> Option<&[f64]> {
        match self {
            LayerKind::Conv(conv) => Some(&conv.weight),
            LayerKind::Dense(dense) => Some(&dense.weight),
            LayerKind::Input { .. }
            | LayerKind::AvgPool(_)
            | LayerKind::Affine { .. }
            | LayerKind::Polynomial { .. }
            | LayerKind::MaxPool(_)
            | LayerKind::Nonlinear(_)
            | LayerKind::Add
            | LayerKind::Move { .. } => None,
        }
    }

    /// The same weights, to be changed, and the bias.
    pub fn weights_and_bias_mut(&mut self) -> Option<(&mut Vec<f64>, &mut Vec<f64>)> {
        match self {
            LayerKind::Conv(conv) => Some((&mut conv.weight, &mut conv.bias)),
            LayerKind::Dense(dense) => Some((&mut dense.weight, &mut dense.bias)),
            _ => None,
        }
    }

    /// Weights and bias, or scales and shifts: what weights files hold of a layer.
    pub fn parameters(&self) -> Option<[&[f64]; 2]> {
        match self {
            LayerKind::Conv(Conv { weight, bias, .. }) | LayerKind::Dense(Dense { weight, bias }) => {
                Some([weight, bias])
            }
            LayerKind::Affine { scale, shift } => Some([scale, shift]),
            LayerKind::Input { .. }
            | LayerKind::AvgPool(_)
            | LayerKind::Polynomial { .. }
            | LayerKind::MaxPool(_)
            | LayerKind::Nonlinear(_)
            | LayerKind::Add
            | LayerKind::Move { .. } => None,
        }
    }

    /// Whether [`LayerKind::fold`] can work.
    pub fn has_weights(&self) -> bool {
        self.weights().is_some()
    }

    /// Weights and moved elements it holds.
    pub fn n_numbers(&self) -> usize {
        match self {
            LayerKind::Conv(conv) => conv.weight.len() + conv.bias.len(),
            LayerKind::Dense(dense) => dense.weight.len() + dense.bias.len(),
            LayerKind::Affine { scale, shift } => scale.len() + shift.len(),
            LayerKind::Polynomial { coefficients } => coefficients.len(),
            LayerKind::Move { source } => source.len(),
            LayerKind::Input { .. }
            | LayerKind::AvgPool(_)
            | LayerKind::MaxPool(_)
            | LayerKind::Nonlinear(_)
            | LayerKind::Add => 0,
        }
    }

    /// Makes the layer compute `scale[c] * y + shift[c]` where it computed `y`;
    /// false, and nothing done, for layers without weights.
    ///
    /// # Panics
    /// If there are not as many factors and summands as output channels.
    pub fn fold(&mut self, scale: &[f64], shift: &[f64]) -> bool {
        let Some((weight, bias)) = self.weights_and_bias_mut() else { return false };
        assert_eq!(weight.len() % scale.len(), 0, "a factor per output channel");
        let per_channel = weight.len() / scale.len();
        for (weights, scale) in weight.chunks_exact_mut(per_channel).zip(scale) {
            weights.iter_mut().for_each(|w| *w *= scale);
        }
        if bias.is_empty() {
            bias.resize(scale.len(), 0.0);
        }
        for (b, (scale, shift)) in bias.iter_mut().zip(scale.iter().zip(shift)) {
            *b = *b * scale + shift;
        }
        true
    }
}

impl Model {
    /// The same function with factors and summands per channel moved into the weights of
    /// the layer before, where there are any and nothing else reads that layer. What is
    /// left of them is a move that changes nothing; elsewhere they stay.
    pub fn folded(mut self) -> Model {
        for index in 0..self.layers.len() {
            let LayerKind::Affine { scale, shift } = self.layers[index].kind.clone() else { continue };
            let operand = self.layers[index].inputs[0];
            if self.n_readers(operand) == 1 && self.layers[operand.0].kind.fold(&scale, &shift) {
                let n = self.layers[index].shape.n_elements();
                self.layers[index].kind = LayerKind::Move { source: (0..n).collect() };
            }
        }
        self
    }

    /// Layers that read a layer, and whoever reads the output.
    fn n_readers(&self, id: LayerId) -> usize {
        let inputs = self.layers.iter().flat_map(|layer| &layer.inputs);
        inputs.filter(|input| **input == id).count() + usize::from(self.output == id)
    }
}

impl Layer {
    /// Shape of the weights: `[out, in / groups, rows, columns]` or `[out, in]`.
    pub fn weight_shape(&self) -> Option<Vec<usize>> {
        match &self.kind {
            LayerKind::Conv(conv) => Some(conv.weight_shape.to_vec()),
            LayerKind::Dense(dense) => {
                let outputs = self.shape.n_elements();
                Some(vec![outputs, dense.weight.len() / outputs])
            }
            _ => None,
        }
    }
}

/// Source element of each element of a tensor of shape `old` with its axes in
/// the given order.
///
/// # Panics
/// If there are elements, but more than can be counted.
pub fn permuted(old: &[usize], order: &[usize]) -> Vec<usize> {
    // The other extents of a tensor without elements may be anything.
    if old.contains(&0) {
        return Vec::new();
    }
    let n = Shape::count(old).expect("tensors have elements that can be counted");
    let mut strides = vec![1; old.len()];
    for axis in (1..old.len()).rev() {
        strides[axis - 1] = strides[axis] * old[axis];
    }
    let source = |mut at: usize| {
        let mut index = 0;
        for &axis in order.iter().rev() {
            index += at % old[axis] * strides[axis];
            at /= old[axis];
        }
        index
    };
    (0..n).map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::permuted;
    use crate::{Conv, LayerId, LayerKind, Model, ModelBuilder};
    use hecc_ir::Shape;

    fn conv() -> LayerKind {
        let weight = (0..8).map(|at| f64::from(at) - 3.5).collect();
        let ([stride, dilation], padding) = ([[1, 1]; 2], [0; 4]);
        let weight_shape = [2, 1, 2, 2];
        LayerKind::Conv(Conv { weight, weight_shape, bias: vec![], stride, padding, dilation, groups: 1 })
    }

    fn affine(n: usize) -> LayerKind {
        LayerKind::Affine { scale: vec![2.0, -0.5][..n].to_vec(), shift: vec![0.25, 3.0][..n].to_vec() }
    }

    /// Layers, each of which reads the one before; an `Add` the one before that too.
    fn model(kinds: Vec<LayerKind>) -> Model {
        let mut builder = ModelBuilder::new();
        let input = LayerKind::Input { range: (-1.0, 1.0) };
        let mut at = builder.push("x", input, &[], Some(Shape(vec![1, 3, 3]))).expect("sound");
        let mut before = at;
        for kind in kinds {
            let inputs = if kind == LayerKind::Add { vec![before, at] } else { vec![at] };
            before = at;
            at = builder.push("layer", kind, &inputs, None).expect("sound");
        }
        builder.finish("model", at)
    }

    /// Whether the layer after the convolution is gone; the function stays the same.
    fn is_folded(model: &Model, index: usize) -> bool {
        let folded = model.clone().folded();
        folded.check().expect("sound");
        let input: Vec<f64> = (0..9).map(|at| f64::from(at) / 9.0 - 0.4).collect();
        for (a, b) in model.logits(&input).iter().zip(folded.logits(&input)) {
            assert!((a - b).abs() < 1e-12);
        }
        assert_eq!(folded.layers.len(), model.layers.len());
        matches!(folded.layer(LayerId(index)).kind, LayerKind::Move { .. })
    }

    #[test]
    fn axes_are_permuted_even_of_nothing() {
        assert_eq!(permuted(&[2, 3], &[1, 0]), [0, 3, 1, 4, 2, 5]);
        for extents in [[0, 1 << 40, 1 << 40], [1 << 40, 0, 1 << 40], [1 << 40, 1 << 40, 0]] {
            assert!(permuted(&extents, &[2, 0, 1]).is_empty());
        }
    }

    #[test]
    fn scaling_vanishes_where_only_it_reads_the_weights() {
        assert!(is_folded(&model(vec![conv(), affine(2)]), 2));
        assert!(!is_folded(&model(vec![affine(1), conv()]), 1));
        assert!(!is_folded(&model(vec![conv(), affine(2), LayerKind::Add]), 2));
        let mut inside = model(vec![conv(), affine(2)]);
        inside.output = LayerId(1);
        assert_eq!(inside.clone().folded(), inside);
    }
}
