//! What front ends do with layers: count their numbers, fold scaling into
//! weights, permute axes.

use crate::{Layer, LayerKind};

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
pub fn permuted(old: &[usize], order: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; old.len()];
    for axis in (1..old.len()).rev() {
        strides[axis - 1] = strides[axis] * old[axis];
    }
    let n = old.iter().product();
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
