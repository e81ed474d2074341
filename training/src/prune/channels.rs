//! Whole channels that are worth more than the groups in them: with fewer, tensors take
//! fewer ciphertexts and other packings.

use super::plan::Planner;
use super::score::Scores;
use super::state::Removal;
use hecc_model::{Model, Width};

/// A model with fewer channels.
struct Narrowing {
    model: Model,
    cost: f64,
    /// Loss to expect.
    loss: f64,
}

/// The narrower model that saves most for its loss, of those that cost `floor` or more and lose
/// less than groups would for the same saving. `cost` is that of the model, `groups` are in the
/// order in which they would go.
pub(super) fn narrower(
    model: &Model,
    planner: &dyn Planner,
    scores: &Scores,
    (cost, floor): (f64, f64),
    groups: &[Removal],
) -> Option<Model> {
    let widths = model.widths();
    let most = loss_of_groups(groups, cost - floor);
    let candidates = widths.iter().flat_map(|width| {
        let mut order: Vec<(f64, usize)> =
            (0..width.n_units).map(|unit| (loss(model, width, unit, scores), unit)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        counts(width.n_units).into_iter().filter_map(move |n_kept| {
            let gone = &order[..width.n_units - n_kept];
            let loss: f64 = gone.iter().map(|(loss, _)| loss).sum();
            if loss >= most {
                return None;
            }
            let model = without(model, width, gone.iter().map(|(_, unit)| *unit));
            Some(Narrowing { cost: planner.cost_of(&model)?, model, loss })
        })
    });
    let worth = |narrowing: &Narrowing| (cost - narrowing.cost) / narrowing.loss.max(f64::MIN_POSITIVE);
    let best = candidates
        .filter(|narrowing| (floor..cost).contains(&narrowing.cost))
        .filter(|narrowing| narrowing.loss < loss_of_groups(groups, cost - narrowing.cost))
        .max_by(|a, b| worth(a).total_cmp(&worth(b)));
    best.map(|narrowing| narrowing.model)
}

/// Numbers of channels worth trying below `n`: packings change most at powers of two.
fn counts(n: usize) -> Vec<usize> {
    let power = if n.is_power_of_two() { n / 2 } else { n.next_power_of_two() / 2 };
    let mut counts = vec![power, n / 2, n * 3 / 4, n * 7 / 8];
    counts.retain(|&count| (1..n).contains(&count));
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// Loss to expect when nothing reads a unit any more.
fn loss(model: &Model, width: &Width, unit: usize, scores: &Scores) -> f64 {
    let reading = model.weights_reading(width, unit).into_iter();
    reading.flat_map(|(layer, weights)| weights.into_iter().map(move |w| scores[&layer][w as usize])).sum()
}

fn without(model: &Model, width: &Width, units: impl Iterator<Item = usize>) -> Model {
    let mut model = model.clone();
    for unit in units {
        for (layer, weights) in model.weights_reading(width, unit) {
            let values = model.layers[layer.0].kind.weights_and_bias_mut();
            let (values, _) = values.expect("the layer reads by its weights");
            weights.into_iter().for_each(|weight| values[weight as usize] = 0.0);
        }
    }
    model.narrowed()
}

/// Loss to expect from groups that save so much together.
fn loss_of_groups(ranked: &[Removal], saving: f64) -> f64 {
    let mut is_taken = vec![false; ranked.iter().flat_map(|r| &r.bundle).max().map_or(0, |last| last + 1)];
    let (mut saved, mut loss) = (0.0, 0.0);
    for removal in ranked {
        if removal.bundle.iter().any(|&group| is_taken[group]) {
            continue;
        }
        removal.bundle.iter().for_each(|&group| is_taken[group] = true);
        saved += removal.saving;
        loss += removal.loss;
        if saved >= saving {
            return loss;
        }
    }
    f64::INFINITY
}
