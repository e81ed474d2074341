//! Networks with fewer channels, as many as the caller says.
//!
//! Pruning looks for the channels that are worth least by pricing one narrower network after the
//! other. Where a network is so wide that this takes long, or the caller knows what he wants, the
//! numbers come from outside: the channels of the highest score stay, as many in each group.

use crate::TrainError;
use crate::prune::Score;
use crate::samples::Samples;
use crate::trainee::Trainee;
use hecc_model::{Model, Width};
use thiserror::Error;

/// How many channels a layer keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The name of a layer that computes the channels, or passes them on.
    pub layer: String,
    /// How many stay.
    pub channels: usize,
}

/// Why a layer cannot have so many channels.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NarrowError {
    /// No layer has the name.
    #[error("there is no layer `{0}`")]
    Unknown(String),
    /// Its channels are not free to go.
    #[error("the channels of `{0}` cannot go: they are inputs, outputs, moved about, or one in each group")]
    Fixed(String),
    /// Another layer with the same channels is named too.
    #[error("the channels of `{0}` are asked for twice: layers without weights pass them on")]
    Twice(String),
    /// More than there are, none, or not as many in each group.
    #[error("`{layer}` has {n_units} channels in {n_groups} groups and cannot keep {channels}")]
    Count {
        /// The layer.
        layer: String,
        /// Channels asked for.
        channels: usize,
        /// Channels there are.
        n_units: usize,
        /// Groups that stay equal.
        n_groups: usize,
    },
}

/// Whether all choices can be had.
///
/// # Errors
/// What the first cannot.
pub fn check(model: &Model, choices: &[Choice]) -> Result<(), NarrowError> {
    widths(model, choices).map(|_| ())
}

/// Removes channels, those first whose weights have the lowest scores on the samples. Nothing is trained.
///
/// # Errors
/// [`TrainError::Narrow`], and as [`Trainee::fit`] where samples do not fit. The trainee is then as before.
pub fn narrow(
    trainee: &mut Trainee,
    samples: &Samples,
    choices: &[Choice],
    score: Score,
    seed: u64,
) -> Result<(), TrainError> {
    samples.fit(&trainee.model)?;
    let mut model = trainee.model();
    let widths = widths(&model, choices)?;
    let scores = score.of(trainee, samples, seed)?;
    // All of the network as it is: scores are of its weights.
    let best = |width: &Width, n_kept: usize| -> Vec<usize> {
        let of_group = |group: usize| {
            let mut order = scores.order(&model, width, group);
            let mut best = order.split_off(order.len() - n_kept / width.n_groups);
            best.sort_unstable();
            best
        };
        (0..width.n_groups).flat_map(of_group).collect()
    };
    let kept: Vec<Vec<usize>> =
        widths.iter().zip(choices).map(|(width, choice)| best(width, choice.channels)).collect();
    for (width, units) in widths.iter().zip(&kept) {
        model = model.with_units(width, units);
    }
    *trainee = trainee.regrouped(model);
    Ok(())
}

/// The widths of all choices.
fn widths(model: &Model, choices: &[Choice]) -> Result<Vec<Width>, NarrowError> {
    let mut found: Vec<Width> = Vec::new();
    for choice in choices {
        let width = width(model, choice)?;
        if found.contains(&width) {
            return Err(NarrowError::Twice(choice.layer.clone()));
        }
        found.push(width);
    }
    Ok(found)
}

/// The width that a layer's channels are, where it can have so many units.
fn width(model: &Model, Choice { layer, channels }: &Choice) -> Result<Width, NarrowError> {
    let at = model.layers.iter().position(|candidate| candidate.name == *layer);
    let at = at.ok_or_else(|| NarrowError::Unknown(layer.clone()))?;
    let found = model.widths().into_iter().find(|width| width.layers.iter().any(|id| id.0 == at));
    let found = found.ok_or_else(|| NarrowError::Fixed(layer.clone()))?;
    let Width { n_units, n_groups, .. } = found;
    if *channels == 0 || *channels > n_units || !channels.is_multiple_of(n_groups) {
        return Err(NarrowError::Count { layer: layer.clone(), channels: *channels, n_units, n_groups });
    }
    Ok(found)
}
