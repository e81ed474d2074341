//! How many groups the slots of a ciphertext suggest (Ran et al. 2023, SpENCNN).
//!
//! With as many groups as a ciphertext holds channels, it can hold one channel of each,
//! and sums over the channels of a group are sums of ciphertexts.

use hecc::model::{Conv, Layer, LayerId, LayerKind, Model};
use hecc::packing::Grid;
use hecc_train::group::Choice;
use std::fmt;

/// What may be grouped and what may not.
pub struct Offer {
    /// Convolutions, in order.
    pub choices: Vec<Choice>,
    /// Other convolutions.
    pub left: Vec<Left>,
}

/// A convolution that is left alone.
pub struct Left {
    /// Its name.
    pub layer: String,
    /// The reason.
    pub why: Why,
}

/// Why a convolution is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is the first layer with weights: its few channels all matter.
    ReadsInput,
    /// It has groups.
    Grouped(usize),
    /// A ciphertext holds one channel or less.
    WideChannels,
    /// No number up to that of channels in a ciphertext divides both of its own.
    NoDivisor {
        /// Channels in a ciphertext.
        per_ciphertext: usize,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::ReadsInput => write!(f, "it reads the input"),
            Why::Grouped(groups) => write!(f, "it has {groups} groups already"),
            Why::WideChannels => write!(f, "a ciphertext holds no two of its channels"),
            Why::NoDivisor { per_ciphertext } => {
                write!(f, "no number up to {per_ciphertext} divides its input and output channels")
            }
        }
    }
}

/// Numbers of groups for all convolutions of a model, the largest first, where each input has so many
/// slots of a ciphertext.
pub fn offer(model: &Model, n_slots: usize) -> Offer {
    let (mut choices, mut left) = (Vec::new(), Vec::new());
    let reads_input = reads_input(model);
    for (index, layer) in model.layers.iter().enumerate() {
        let LayerKind::Conv(conv) = &layer.kind else { continue };
        match groups(model, layer, conv, reads_input[index], n_slots) {
            Ok(groups) => choices.push(Choice { layer: layer.name.clone(), groups }),
            Err(why) => left.push(Left { layer: layer.name.clone(), why }),
        }
    }
    Offer { choices, left }
}

fn groups(
    model: &Model,
    layer: &Layer,
    conv: &Conv,
    reads_input: bool,
    n_slots: usize,
) -> Result<Vec<usize>, Why> {
    if conv.groups > 1 {
        return Err(Why::Grouped(conv.groups));
    }
    if reads_input {
        return Err(Why::ReadsInput);
    }
    let image = &model.layer(layer.inputs[0]).shape.0;
    let plane = Grid::new([image[1], image[2]], [1, 1]).block;
    let [outputs, inputs, ..] = conv.weight_shape;
    let per_ciphertext = n_slots / plane;
    let divides = |groups: &usize| inputs.is_multiple_of(*groups) && outputs.is_multiple_of(*groups);
    let divisors: Vec<usize> = (2..=per_ciphertext.min(inputs)).rev().filter(divides).collect();
    match divisors.is_empty() {
        true if per_ciphertext < 2 => Err(Why::WideChannels),
        true => Err(Why::NoDivisor { per_ciphertext }),
        false => Ok(divisors),
    }
}

/// Of each layer, whether none with weights stands between the input and it.
fn reads_input(model: &Model) -> Vec<bool> {
    let mut found: Vec<bool> = Vec::new();
    for layer in &model.layers {
        let reads = |id: &LayerId| !model.layer(*id).kind.has_weights() && found[id.0];
        found.push(layer.inputs.iter().all(reads));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use hecc::front::{LoadOptions, hec};
    use hecc::pipeline::{Options, n_slots};

    const MODEL: &str = "model m {
  weights random(seed = 1)
  input x: [3, 16, 16] in 0..1
  a = conv(x, out_channels = 12, kernel = 3, padding = 1)
  s = square(a)
  b = conv(s, out_channels = 8, kernel = 3)
  c = conv(b, out_channels = 8, kernel = 3, groups = 2)
  d = conv(c, out_channels = 7, kernel = 3)
  y = flatten(d)
  output y
}
";

    fn model() -> Model {
        let mut problems = hecc::diag::Diagnostics::new();
        let mut read = |_: &str| unreachable!("weights are random");
        let model = hec::translate("m.hec", MODEL, &mut read, &LoadOptions::default(), &mut problems);
        model.expect("a sound model")
    }

    /// Numbers of groups and reasons, in words, by layer.
    fn offered(n_slots: usize) -> Vec<String> {
        let Offer { choices, left } = offer(&model(), n_slots);
        let choices = choices.into_iter().map(|choice| format!("{} {:?}", choice.layer, choice.groups));
        choices.chain(left.into_iter().map(|left| format!("{} {:?}", left.layer, left.why))).collect()
    }

    #[test]
    fn inputs_of_a_batch_share_the_slots() {
        let options = Options { batch: Some(3), ring_degree: Some(8192), ..Options::default() };
        let ring = options.target.ring(8192).expect("the shipped profile has it");
        assert_eq!(n_slots(&model(), &options, ring), 1024);
    }

    /// Images of 16 x 16 have 256 elements; those of 14 x 14, padded, too.
    #[test]
    fn there_are_as_many_groups_as_channels_in_a_ciphertext() {
        let [a, c] = ["a ReadsInput", "c Grouped(2)"];
        assert_eq!(offered(1024), ["b [4, 2]", a, c, "d NoDivisor { per_ciphertext: 4 }"]);
        assert_eq!(offered(768), ["b [2]", a, c, "d NoDivisor { per_ciphertext: 3 }"]);
        assert_eq!(offered(256), [a, "b WideChannels", c, "d WideChannels"]);
    }
}
