//! Scaling that vanishes in the weights of the layer before it.

use super::LayerKind;

impl LayerKind {
    /// Whether [`LayerKind::fold`] can work.
    pub fn has_weights(&self) -> bool {
        match self {
            LayerKind::Conv(_) | LayerKind::Dense(_) => true,
            LayerKind::Input { .. }
            | LayerKind::AvgPool(_)
            | LayerKind::Affine { .. }
            | LayerKind::Polynomial { .. }
            | LayerKind::Add
            | LayerKind::Move { .. } => false,
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
