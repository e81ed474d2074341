//! Whole channels that are worth more than the groups in them: with fewer, tensors take
//! fewer ciphertexts and other packings.

use super::plan::Planner;
use super::score::Scores;
use hecc_model::{Model, Width};

/// A model with fewer channels.
#[derive(Clone, Debug)]
pub(super) struct Narrowing {
    pub model: Model,
    pub cost: f64,
}

/// Models without the channels of least score, one width narrower than a model, that cost less
/// than it but no less than `floor`. Of a width in groups each group loses as many.
pub(super) fn narrowings(
    model: &Model,
    planner: &dyn Planner,
    scores: &Scores,
    (floor, cost): (f64, f64),
) -> Vec<Narrowing> {
    let widths = model.widths();
    let candidates = widths.iter().flat_map(|width| {
        let size = width.n_units / width.n_groups;
        let orders: Vec<Vec<usize>> =
            (0..width.n_groups).map(|group| scores.order(model, width, group)).collect();
        counts(size).into_iter().filter_map(move |n_kept| {
            let gone = orders.iter().flat_map(|order| order[..size - n_kept].iter().copied());
            let model = without(model, width, gone);
            Some(Narrowing { cost: planner.cost_of(&model)?, model })
        })
    });
    candidates.filter(|narrowing| (floor..cost).contains(&narrowing.cost)).collect()
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
