//! Baby-step giant-step: writes each rotation as a sum of two, so that few
//! distinct ones are needed.
//!
//! Baby rotations act on operands before the products and are shared by every
//! result ciphertext; giant rotations act on partial sums and are shared by
//! every operand ciphertext.

use super::assign::DiagonalKey;
use super::prefold::Prefold;
use crate::cost::{Nominal, Unit};
use hecc_ir::params::Params;
use hecc_ir::scale::Level;
use hecc_ir::size::Sizes;
use hecc_ir::target::{Basis, OpCost};

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
    pub(crate) fn none(keys: &[DiagonalKey], n_slots: usize, price: &Price) -> (Split, f64) {
        let split = Split { unit: n_slots as i64, offset: n_slots as i64 / 2 };
        (split, price.map_alone(keys, split, n_slots))
    }

    /// The cheapest split of a set of diagonals, and its cost with products.
    /// `hints` are distances the layouts suggest as units.
    pub(crate) fn cheapest(
        keys: &[DiagonalKey],
        hints: &[usize],
        n_slots: usize,
        price: &Price,
        seen: &mut Seen,
    ) -> (Split, f64) {
        let min_step = keys.iter().map(|k| k.2).min().unwrap_or(0);
        let small = 1..=MAX_PLAIN_UNIT;
        let powers = (0..=n_slots.trailing_zeros()).map(|bit| 1i64 << bit);
        let mut units: Vec<i64> = small.chain(powers).chain(hints.iter().map(|&h| h as i64)).collect();
        units.retain(|&unit| unit > 0);
        units.sort_unstable();
        units.dedup();
        let offsets = |unit: i64| {
            let mut offsets = vec![0, unit / 2, (-min_step).rem_euclid(unit)];
            offsets.sort_unstable();
            offsets.dedup();
            offsets
        };
        let splits = units
            .into_iter()
            .flat_map(|unit| offsets(unit).into_iter().map(move |offset| Split { unit, offset }));
        seen.fit(keys, n_slots);
        let mut best: Option<(Split, f64)> = None;
        for split in splits {
            let bound = best.map_or(f64::INFINITY, |(_, cost)| cost);
            if let Some(cost) = price.map(keys, split, seen, bound).filter(|cost| *cost < bound) {
                best = Some((split, cost));
            }
        }
        best.expect("there is a unit")
    }
}

/// Units tried besides powers of two and hints.
const MAX_PLAIN_UNIT: i64 = 24;

/// Prices of what a linear map is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Price {
    /// Of each step that is rotated by, beside its rotations.
    key: f64,
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
#[derive(Clone, Copy, Debug, Default)]
struct Below {
    key: f64,
    rotate: f64,
    divide: f64,
}

impl Price {
    /// Prices at the level a map runs at, of circuits of `n_slots`, in the unit asked for.
    pub(crate) fn of_unit(nominal: &Nominal, level: Level, n_slots: usize) -> Price {
        match nominal.unit() {
            Unit::Ns => Price::at(&nominal.ops(), level, n_slots),
            Unit::Bytes => Price::in_bytes(nominal.params(), level, n_slots),
        }
    }

    /// Memory: a key for each step, a plaintext for each product, a ciphertext for each rotation and each
    /// result.
    fn in_bytes(params: &Params, level: Level, n_slots: usize) -> Price {
        let below = level.below().unwrap_or(level);
        let sizes = Sizes(params);
        let product = |basis| match n_slots {
            1 => 0.0,
            _ => sizes.plain(level, basis) as f64,
        };
        Price {
            key: sizes.key(level) as f64,
            apply_key: sizes.ct(level, Basis::Extended) as f64,
            rescale: sizes.ct(below, Basis::Reduced) as f64,
            product: product(Basis::Reduced),
            extended_product: product(Basis::Extended),
            below: Below { key: sizes.key(below) as f64, ..Below::default() },
            ..Price::default()
        }
    }

    /// Times at the level a map runs at, of circuits of `n_slots`. With one slot all
    /// plaintexts are numbers.
    pub(crate) fn at(ops: &OpCost<'_>, level: Level, n_slots: usize) -> Price {
        let below = level.below().unwrap_or(level);
        let product = |basis| match n_slots {
            1 => ops.mul_scalar(level, basis),
            _ => ops.mul_plain(level, basis),
        };
        Price {
            key: 0.0,
            decompose: ops.decompose(level),
            apply_key: ops.apply_key(level),
            divide: ops.divide(level),
            rescale: ops.rescale(below, Basis::Extended),
            product: product(Basis::Reduced),
            extended_product: product(Basis::Extended),
            gather: ops.gather(level, Basis::Reduced),
            extended_gather: ops.gather(level, Basis::Extended),
            extended_add: ops.add(level, Basis::Extended),
            below: Below {
                key: 0.0,
                rotate: ops.rotate(below) + ops.add(below, Basis::Extended),
                divide: ops.divide(below),
            },
        }
    }

    /// Price of what is done to `n_cts` ciphertexts before products. Window sums take two axes of rotations:
    /// those of the second rotate sums of rotations, and so do the babies after them. Of copies
    /// each rotates the sum before.
    pub(crate) fn prefold(&self, prefold: &Prefold, n_cts: usize) -> f64 {
        let n_decomposed = match prefold {
            Prefold::Windows { .. } => 2,
            Prefold::Copies { steps } => steps.len(),
        };
        let n_rotations = prefold.n_rotations() as f64;
        let each = n_decomposed as f64 * (self.decompose + self.divide)
            + n_rotations * (self.apply_key + self.extended_add);
        n_rotations * self.key + each * n_cts as f64
    }

    /// Price of rescaling `n_cts` results and folding them by `n_folds` rotations. All
    /// but the first rotate extended sums; the last sum is divided whole.
    pub(crate) fn finish(&self, n_folds: usize, n_cts: usize) -> f64 {
        let divisions = if n_folds == 0 { 0 } else { n_folds + 1 };
        let each = self.rescale + n_folds as f64 * self.below.rotate + divisions as f64 * self.below.divide;
        n_folds as f64 * self.below.key + each * n_cts as f64
    }

    /// Price of the rotations and products of a map on one split.
    pub(crate) fn map_alone(&self, keys: &[DiagonalKey], split: Split, n_slots: usize) -> f64 {
        let mut seen = Seen::default();
        seen.fit(keys, n_slots);
        self.map(keys, split, &mut seen, f64::INFINITY).unwrap_or(0.0)
    }

    /// Price of the rotations and products of a map; nothing as soon as it is more than `bound`.
    fn map(&self, keys: &[DiagonalKey], split: Split, seen: &mut Seen, bound: f64) -> Option<f64> {
        if keys.is_empty() {
            return Some(0.0);
        }
        seen.round += 1;
        let mut counts = Counts { products: keys.len(), ..Counts::default() };
        let products = keys.len() as f64 * self.product.min(self.extended_product);
        for &(out, operand, step) in keys {
            let baby = split.baby(step);
            let is_rotated = baby != 0;
            counts.rotated += usize::from(is_rotated);
            let is_baby = is_rotated && seen.insert_baby(operand, baby);
            let is_giant = step != baby && seen.insert_giant(out, step - baby);
            if is_baby || is_giant {
                counts.steps += usize::from(is_baby && seen.insert_step(baby));
                counts.steps += usize::from(is_giant && seen.insert_step(step - baby));
                counts.babies += usize::from(is_baby);
                counts.operands += usize::from(is_baby && seen.insert_operand(operand));
                counts.giants += usize::from(is_giant);
                if products + self.rotations(counts) > bound {
                    return None;
                }
            }
        }
        Some(self.of(counts))
    }

    /// Price of rotations, without divisions and products.
    fn rotations(&self, counts: Counts) -> f64 {
        let Counts { operands, babies, giants, steps, .. } = counts;
        steps as f64 * self.key
            + (operands + giants) as f64 * self.decompose
            + (babies + giants) as f64 * self.apply_key
            + giants as f64 * self.extended_add
    }

    /// Price of what a map takes. When the better half of the products are of babies, they
    /// are extended and giants divide one part; else the babies are divided whole.
    pub(crate) fn of(&self, counts: Counts) -> f64 {
        let Counts { products, rotated, babies, giants, .. } = counts;
        let is_extended = 2 * rotated >= products;
        let (product, gather) = match is_extended {
            true => (self.extended_product, self.extended_gather),
            false => (self.product, self.gather),
        };
        let divisions = if is_extended { giants } else { 2 * babies };
        self.rotations(counts)
            + babies as f64 * gather
            + divisions as f64 * self.divide
            + products as f64 * product
    }
}

/// What a map takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Plaintext products.
    pub products: usize,
    /// Those of rotated operands.
    pub rotated: usize,
    /// Operand ciphertexts with baby rotations.
    pub operands: usize,
    /// Baby rotations.
    pub babies: usize,
    /// Giant rotations.
    pub giants: usize,
    /// Different steps of all rotations. They have no part in time.
    pub steps: usize,
}

/// Which rotations of which ciphertexts one split has been charged for: sets of (ciphertext, step
/// modulo slots) that are emptied in one move.
#[derive(Default)]
pub(crate) struct Seen {
    n_slots: usize,
    round: u32,
    operands: Vec<u32>,
    babies: Vec<u32>,
    giants: Vec<u32>,
    steps: Vec<u32>,
}

impl Seen {
    /// Makes room for a set of diagonals, and empties all sets.
    fn fit(&mut self, keys: &[DiagonalKey], n_slots: usize) {
        let n_operands = keys.iter().map(|k| k.1 as usize + 1).max().unwrap_or(0);
        let n_results = keys.iter().map(|k| k.0 as usize + 1).max().unwrap_or(0);
        if self.n_slots != n_slots || self.round > u32::MAX / 2 {
            *self = Seen { n_slots, ..Seen::default() };
        }
        let grow = |set: &mut Vec<u32>, len: usize| set.resize(set.len().max(len), 0);
        grow(&mut self.operands, n_operands);
        grow(&mut self.babies, n_operands * n_slots);
        grow(&mut self.giants, n_results * n_slots);
        grow(&mut self.steps, n_slots);
    }

    /// True when the operand was not in the set; likewise the others.
    fn insert_operand(&mut self, operand: u32) -> bool {
        std::mem::replace(&mut self.operands[operand as usize], self.round) != self.round
    }

    fn insert_baby(&mut self, operand: u32, step: i64) -> bool {
        let place = self.place(operand, step);
        std::mem::replace(&mut self.babies[place], self.round) != self.round
    }

    fn insert_giant(&mut self, result: u32, step: i64) -> bool {
        let place = self.place(result, step);
        std::mem::replace(&mut self.giants[place], self.round) != self.round
    }

    fn insert_step(&mut self, step: i64) -> bool {
        let place = self.place(0, step);
        std::mem::replace(&mut self.steps[place], self.round) != self.round
    }

    fn place(&self, ct: u32, step: i64) -> usize {
        // Slots are a power of two.
        ct as usize * self.n_slots + (step as usize & (self.n_slots - 1))
    }
}
