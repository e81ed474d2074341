//! What front ends do with layers: count their numbers, fold scaling into
//! weights, permute axes.

use crate::LayerKind;

impl LayerKind {
    /// Whether [`LayerKind::fold`] can work.
    pub fn has_weights(&self) -> bool {
        match self {
            LayerKind::Conv(_) | LayerKind::Dense(_) => true,
            LayerKind::Input { .. }
            | LayerKind::AvgPool(_)
            | LayerKind::Affine { .. }
            | LayerKind::Polynomial { .. }
            | LayerKind::MaxPool(_)
            | LayerKind::Nonlinear(_)
            | LayerKind::Add
            | LayerKind::Move { .. } => false,
        }
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
        let (weight, bias) = match self {
            LayerKind::Conv(conv) => (&mut conv.weight, &mut conv.bias),
            LayerKind::Dense(dense) => (&mut dense.weight, &mut dense.bias),
            LayerKind::Input { .. }
            | LayerKind::AvgPool(_)
            | LayerKind::Affine { .. }
            | LayerKind::Polynomial { .. }
            | LayerKind::MaxPool(_)
            | LayerKind::Nonlinear(_)
            | LayerKind::Add
            | LayerKind::Move { .. } => return false,
        };
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
