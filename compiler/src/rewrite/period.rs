//! After how many slots values repeat.

use hecc_ir::circuit::Plain;
use hecc_ir::layout::Layout;

/// The smallest period of one packed ciphertext. Slots that may hold anything
/// repeat after nothing less than all.
pub(super) fn of_layout(layout: &Layout, ct: u32) -> usize {
    if layout.dirty {
        return layout.n_slots;
    }
    let tensor: Vec<f64> = (1..=layout.home.len()).map(|i| i as f64).collect();
    Plain::new(layout.pack(&tensor).swap_remove(ct as usize)).period()
}

/// The smallest distance by which turning a sum permutes its terms, which are values
/// turned by steps; none when the sum has too many terms to look.
pub(super) fn of_sum<K: Copy + Ord>(
    terms: impl Iterator<Item = (K, usize)>,
    period_of: impl Fn(K) -> usize,
    n_slots: usize,
) -> Option<usize> {
    let mut steps: Vec<(K, usize)> = terms.take(MAX_TERMS + 1).collect();
    if steps.len() > MAX_TERMS {
        return None;
    }
    let turned =
        |&(value, step): &(K, usize), distance: usize| (value, (step + distance) & (period_of(value) - 1));
    steps.iter_mut().for_each(|term| *term = turned(term, 0));
    steps.sort_unstable();
    let is_closed = |distance: &usize| {
        let mut shifted: Vec<_> = steps.iter().map(|term| turned(term, *distance)).collect();
        shifted.sort_unstable();
        shifted == steps
    };
    let halvings = (0..=n_slots.trailing_zeros()).map(|bits| n_slots >> bits);
    halvings.take_while(is_closed).last()
}

/// Sums of more terms hardly ever repeat: folds have a few.
const MAX_TERMS: usize = 64;
