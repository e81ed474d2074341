//! Assigns every product of a sparse map to a diagonal.
//!
//! With a fold, a row's products may be computed in any of its windows, and a
//! replicated operand offers a column in several slots. Each product takes
//! the pair with the smallest rotation, which keeps the diagonals few: dense
//! maps fill a narrow band of steps, convolutions one step per tap.

use crate::sparsity::Matrix;
use hecc_ir::layout::{Layout, Position};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// Sums windows of a result: `out[s] = sum over m < copies of v[s + m * stride]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Slots between windows.
    pub stride: usize,
    /// Number of windows, a power of two; 1 for no fold.
    pub copies: usize,
}

impl Fold {
    /// No fold.
    pub const NONE: Fold = Fold { stride: 0, copies: 1 };

    /// True when the windows tile the ciphertext, so that every window ends up
    /// with the whole sum.
    pub fn is_cyclic(self, n_slots: usize) -> bool {
        self.stride * self.copies == n_slots
    }

    /// Rotations that compute it by doubling.
    pub fn steps(self) -> impl Iterator<Item = usize> {
        (0..self.copies.trailing_zeros()).map(move |t| self.stride << t)
    }

    /// The window that brings `distance` (operand slot minus result slot,
    /// modulo `n_slots`) closest to zero, and the remaining signed step.
    fn nearest(self, distance: usize, n_slots: usize) -> (usize, i64) {
        if self.copies == 1 {
            return (0, centred(distance as i64, n_slots));
        }
        let nearest = (distance + self.stride / 2) / self.stride;
        let window =
            if self.is_cyclic(n_slots) { nearest % self.copies } else { nearest.min(self.copies - 1) };
        let candidates = [window, 0];
        let step = |m: usize| centred(distance as i64 - (m * self.stride) as i64, n_slots);
        candidates.map(|m| (m, step(m))).into_iter().min_by_key(|c| rank(c.1)).expect("two candidates")
    }
}

/// The representative of `step` in `-n/2 .. n/2`.
pub(crate) fn centred(step: i64, n_slots: usize) -> i64 {
    let n = n_slots as i64;
    (step + n / 2).rem_euclid(n) - n / 2
}

/// Orders steps by length; of two equally long the negative one comes first.
fn rank(step: i64) -> (i64, i64) {
    (step.abs(), step)
}

/// Identity of a diagonal: result ciphertext, operand ciphertext, signed step.
pub type DiagonalKey = (u32, u32, i64);

/// Non-zero diagonals: products `(result slot, weight)` by key. The diagonal of
/// step `d` contributes `weight * operand[slot + d]` to `result[slot]`.
pub type Diagonals = BTreeMap<DiagonalKey, Vec<(u32, f64)>>;

/// Assigns every non-zero of `matrix` times `scale`; the fold is still to be applied.
pub fn assign(matrix: &Matrix, scale: f64, operand: &Layout, result: &Layout, fold: Fold) -> Diagonals {
    let mut diagonals: FxHashMap<DiagonalKey, Vec<(u32, f64)>> = FxHashMap::default();
    visit(matrix, operand, result, fold, 0..matrix.n_rows(), &mut |product| {
        let weight = product.weight * scale;
        if weight != 0.0 {
            diagonals.entry(product.key).or_default().push((product.slot as u32, weight));
        }
    });
    diagonals.into_iter().collect()
}

/// The matrix without the products of all but some diagonals.
pub(crate) fn keep_diagonals(
    matrix: &Matrix,
    operand: &Layout,
    result: &Layout,
    fold: Fold,
    keeps: impl Fn(DiagonalKey) -> bool,
) -> Matrix {
    let mut rows = vec![Vec::new(); matrix.n_rows()];
    visit(matrix, operand, result, fold, 0..matrix.n_rows(), &mut |product| {
        if keeps(product.key) {
            rows[product.row].push((product.col, product.weight));
        }
    });
    Matrix::from_rows(matrix.n_cols(), rows)
}

/// One non-zero of a matrix and where it is computed.
struct Product {
    row: usize,
    col: usize,
    weight: f64,
    key: DiagonalKey,
    /// Slot before the fold.
    slot: usize,
}

/// Products looked at when only the set of diagonals is wanted.
const SAMPLE_NONZEROS: usize = 1 << 12;
/// Products looked at, at most.
const MAX_SAMPLE: usize = 1 << 17;
/// Products of a full diagonal that are looked at, at least.
const SAMPLE_OF_DIAGONAL: usize = 1 << 6;

/// The diagonals a map needs, ascending, from evenly spread rows when it is large. A
/// diagonal has at most as many products as there are slots: when these are few, all count.
pub(crate) fn diagonal_keys(
    matrix: &Matrix,
    operand: &Layout,
    result: &Layout,
    fold: Fold,
) -> Vec<DiagonalKey> {
    let sparsest = (operand.n_slots / SAMPLE_OF_DIAGONAL).max(1);
    let n_nonzeros = matrix.n_nonzeros();
    let every = n_nonzeros.div_ceil(SAMPLE_NONZEROS).clamp(1, sparsest).max(n_nonzeros.div_ceil(MAX_SAMPLE));
    let last = matrix.n_rows().saturating_sub(1);
    let rows = (0..matrix.n_rows()).filter(|&r| r % every == 0 || r == last);
    let mut found = FxHashSet::default();
    visit(matrix, operand, result, fold, rows, &mut |product| {
        found.insert(product.key);
    });
    let mut keys: Vec<DiagonalKey> = found.into_iter().collect();
    keys.sort_unstable();
    keys
}

fn visit(
    matrix: &Matrix,
    operand: &Layout,
    result: &Layout,
    fold: Fold,
    rows: impl Iterator<Item = usize>,
    place: &mut impl FnMut(Product),
) {
    let n = operand.n_slots;
    // By distance, once it has been met: few of them are.
    let mut met: Vec<Option<(usize, i64)>> = vec![None; n];
    for row in rows {
        let out = result.home[row];
        matrix.row(row).for_each(|(col, weight)| {
            let from = operand.home[col];
            let distance = distance(from, out, n);
            let (window, step) = *met[distance].get_or_insert_with(|| nearest(distance, operand, fold));
            let slot = (out.slot as usize + window * fold.stride) % n;
            place(Product { row, col, weight, key: (out.ct, from.ct, step), slot });
        });
    }
}

/// The diagonal of the product of a row and a column.
pub(super) fn diagonal_of(
    row: usize,
    col: usize,
    operand: &Layout,
    result: &Layout,
    fold: Fold,
) -> DiagonalKey {
    let (from, out) = (operand.home[col], result.home[row]);
    let (_, step) = nearest(distance(from, out, operand.n_slots), operand, fold);
    (out.ct, from.ct, step)
}

/// Slots from a result to its operand, modulo `n_slots`.
fn distance(from: Position, out: Position, n_slots: usize) -> usize {
    (from.slot as usize + n_slots - out.slot as usize) % n_slots
}

/// The window and the step of an operand whose home is so far away: those of the replica that needs
/// the smallest rotation.
fn nearest(distance: usize, operand: &Layout, fold: Fold) -> (usize, i64) {
    let n = operand.n_slots;
    let replicas = std::iter::once(0).chain(operand.replicas.iter().copied());
    let options = replicas.map(|offset| fold.nearest((distance + offset as usize) % n, n));
    options.min_by_key(|&(window, step)| (rank(step), window)).expect("an element has a position")
}
