//! Baby-step giant-step: writes each rotation as a sum of two, so that few
//! distinct ones are needed.
//!
//! Baby rotations act on operands before the products and are shared by every
//! result ciphertext; giant rotations act on partial sums and are shared by
//! every operand ciphertext.

use super::assign::DiagonalKey;
use hecc_ir::scale::Level;
use hecc_ir::target::{Basis, OpCost};
use std::collections::BTreeSet;

/// `step = giant + baby` with the baby in `-offset .. unit - offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Distance between giant steps.
    pub unit: i64,
    /// Shift of the baby range below zero.
    pub offset: i64,
}

impl Split {
    /// The baby part of a step.
    pub fn baby(self, step: i64) -> i64 {
        (step + self.offset).rem_euclid(self.unit) - self.offset
    }

    /// The giant part of a step.
    pub fn giant(self, step: i64) -> i64 {
        step - self.baby(step)
    }

    /// The split without giant steps, and its cost with products.
    pub(crate) fn none(keys: &BTreeSet<DiagonalKey>, n_slots: usize, price: &Price) -> (Split, f64) {
        let split = Split { unit: n_slots as i64, offset: n_slots as i64 / 2 };
        (split, price.map_alone(keys, split, n_slots))
    }

    /// The cheapest split of a set of diagonals, and its cost with products.
    /// `hints` are distances the layouts suggest as units.
    pub(crate) fn cheapest(
        keys: &BTreeSet<DiagonalKey>,
        hints: &[usize],
        n_slots: usize,
        price: &Price,
    ) -> (Split, f64) {
        let min_step = keys.iter().map(|k| k.2).min().unwrap_or(0);
        let small = 1..=MAX_PLAIN_UNIT;
        let powers = (0..=n_slots.trailing_zeros()).map(|bit| 1i64 << bit);
        let mut units: Vec<i64> = small.chain(powers).chain(hints.iter().map(|&h| h as i64)).collect();
        units.retain(|&unit| unit > 0);
        units.sort_unstable();
        units.dedup();
        let offsets = |unit: i64| [0, unit / 2, (-min_step).rem_euclid(unit)];
        let splits = units.into_iter().flat_map(|unit| offsets(unit).map(|offset| Split { unit, offset }));
        let mut seen = Seen::new(keys, n_slots);
        let priced = splits.map(|split| (split, price.map(keys, split, &mut seen)));
        priced.min_by(|a, b| a.1.total_cmp(&b.1)).expect("there is a unit")
    }
}

/// Units tried besides powers of two and hints.
const MAX_PLAIN_UNIT: i64 = 24;

/// Prices of what a linear map is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Price {
    decompose: f64,
    apply_key: f64,
    divide: f64,
    rescale: f64,
    product: f64,
    extended_product: f64,
    gather: f64,
    extended_gather: f64,
    extended_add: f64,
    below: Below,
}

/// Prices below the rescale.
#[derive(Clone, Copy, Debug)]
struct Below {
    rotate: f64,
    divide: f64,
}

impl Price {
    /// Prices at the level a map runs at.
    pub(crate) fn at(ops: &OpCost<'_>, level: Level) -> Price {
        let below = level.below().unwrap_or(level);
        Price {
            decompose: ops.decompose(level),
            apply_key: ops.apply_key(level),
            divide: ops.divide(level),
            rescale: ops.rescale(below, Basis::Extended),
            product: ops.mul_plain(level, Basis::Reduced),
            extended_product: ops.mul_plain(level, Basis::Extended),
            gather: ops.gather(level, Basis::Reduced),
            extended_gather: ops.gather(level, Basis::Extended),
            extended_add: ops.add(level, Basis::Extended),
            below: Below {
                rotate: ops.rotate(below) + ops.add(below, Basis::Extended),
                divide: ops.divide(below),
            },
        }
    }

    /// Price of summing `n_cts` ciphertexts over windows of two axes by `n`
    /// rotations each: those of the second axis rotate sums of rotations, and
    /// so do the babies after them.
    pub(crate) fn sum_windows(&self, n: usize, n_cts: usize) -> f64 {
        let axes = 2.0 * (self.decompose + self.divide);
        n_cts as f64 * (axes + n as f64 * (self.apply_key + self.extended_add))
    }

    /// Price of rescaling one result and folding it by `n_folds` rotations. All
    /// but the first rotate extended sums; the last sum is divided whole.
    pub(crate) fn finish(&self, n_folds: usize) -> f64 {
        let divisions = if n_folds == 0 { 0 } else { n_folds + 1 };
        self.rescale + n_folds as f64 * self.below.rotate + divisions as f64 * self.below.divide
    }

    /// Price of the rotations and products of a map on one split.
    pub(crate) fn map_alone(&self, keys: &BTreeSet<DiagonalKey>, split: Split, n_slots: usize) -> f64 {
        if keys.is_empty() { 0.0 } else { self.map(keys, split, &mut Seen::new(keys, n_slots)) }
    }

    /// Price of the rotations and products of a map. When the better half of the
    /// products are of babies, they are extended and giants divide one part;
    /// else the babies are divided whole.
    fn map(&self, keys: &BTreeSet<DiagonalKey>, split: Split, seen: &mut Seen) -> f64 {
        seen.restart();
        let (mut n_operands, mut n_babies, mut n_giants, mut n_rotated) = (0, 0, 0, 0);
        for &(out, operand, step) in keys {
            let baby = split.baby(step);
            n_rotated += usize::from(baby != 0);
            if baby != 0 && seen.babies.insert(operand, baby) {
                n_babies += 1;
                n_operands += u32::from(seen.operands.insert(operand, 0));
            }
            n_giants += u32::from(step != baby && seen.giants.insert(out, step - baby));
        }
        let is_extended = 2 * n_rotated >= keys.len();
        let (product, gather) = match is_extended {
            true => (self.extended_product, self.extended_gather),
            false => (self.product, self.gather),
        };
        let divisions = if is_extended { n_giants } else { 2 * n_babies };
        f64::from(n_operands + n_giants) * self.decompose
            + f64::from(n_babies + n_giants) * self.apply_key
            + f64::from(n_babies) * gather
            + f64::from(n_giants) * self.extended_add
            + f64::from(divisions) * self.divide
            + keys.len() as f64 * product
    }
}

/// Which rotations of which ciphertexts one split has been charged for.
struct Seen {
    operands: StepSet,
    babies: StepSet,
    giants: StepSet,
}

impl Seen {
    fn new(keys: &BTreeSet<DiagonalKey>, n_slots: usize) -> Seen {
        let n_operands = keys.iter().map(|k| k.1 as usize + 1).max().unwrap_or(0);
        let n_results = keys.iter().map(|k| k.0 as usize + 1).max().unwrap_or(0);
        Seen {
            operands: StepSet::new(n_operands, 1),
            babies: StepSet::new(n_operands, n_slots),
            giants: StepSet::new(n_results, n_slots),
        }
    }

    fn restart(&mut self) {
        [&mut self.operands, &mut self.babies, &mut self.giants].into_iter().for_each(|set| set.round += 1);
    }
}

/// A set of (ciphertext, step modulo slots) that is emptied in one move.
struct StepSet {
    n_slots: usize,
    round: u32,
    last_seen: Vec<u32>,
}

impl StepSet {
    fn new(n_cts: usize, n_slots: usize) -> StepSet {
        StepSet { n_slots, round: 0, last_seen: vec![0; n_cts * n_slots] }
    }

    /// True when the pair was not in the set.
    fn insert(&mut self, ct: u32, step: i64) -> bool {
        let index = ct as usize * self.n_slots + step.rem_euclid(self.n_slots as i64) as usize;
        std::mem::replace(&mut self.last_seen[index], self.round) != self.round
    }
}
