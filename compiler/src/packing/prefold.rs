//! What rotations alone make of an operand before the products of a map.

use super::placement::Placement;
use crate::sparsity::Pool;
use hecc_ir::layout::{Layout, Position, Shape};

/// Rotations of an operand and sums of them, before any product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefold {
    /// Sums over pool windows; the mean's factor is in the map that follows.
    Windows {
        /// Slots from a window's first row to each further one, and from its first column.
        steps: [Vec<i64>; 2],
    },
    /// Every element again so many slots further: each step doubles what is there.
    Copies {
        /// Steps, in order.
        steps: Vec<usize>,
    },
}

impl Prefold {
    /// Rotations of each ciphertext.
    pub fn n_rotations(&self) -> usize {
        match self {
            Prefold::Windows { steps } => steps[0].len() + steps[1].len(),
            Prefold::Copies { steps } => steps.len(),
        }
    }

    /// True when it does a pool's work.
    pub fn is_pool(&self) -> bool {
        match self {
            Prefold::Windows { .. } => true,
            Prefold::Copies { .. } => false,
        }
    }
}

/// Window sums of an image by rotations, and where they sit: at the first pixel of each window. `None`
/// when a window's pixels are not everywhere equally far apart.
pub(super) fn windows(operand: &Placement, shape: &[usize], pool: &Pool) -> Option<(Placement, Prefold)> {
    let grid = operand.grid?;
    let &[channels, height, width] = shape else { return None };
    let [out_height, out_width] =
        [0, 1].map(|axis| (shape[axis + 1] - pool.kernel[axis]) / pool.stride[axis] + 1);
    let first = |pixel: usize| {
        let (channel, y, x) =
            (pixel / (out_height * out_width), pixel / out_width % out_height, pixel % out_width);
        (channel * height + y * pool.stride[0]) * width + x * pool.stride[1]
    };
    let firsts: Vec<usize> = (0..channels * out_height * out_width).map(first).collect();
    let home = |element: usize| operand.layout.home[element];
    // From the first pixel of each window, of its first column or of any: the same everywhere.
    let step = |further: usize, lines: &[usize]| {
        let starts = || firsts.iter().flat_map(|first| lines.iter().map(move |line| first + line));
        let steps = || starts().map(|start| (home(start), home(start + further)));
        let (from, to) = steps().next()?;
        let step = i64::from(to.slot) - i64::from(from.slot);
        let is_same = |(from, to): (Position, Position)| {
            from.ct == to.ct && i64::from(to.slot) - i64::from(from.slot) == step
        };
        steps().all(is_same).then_some(step)
    };
    let rows: Vec<usize> = (0..pool.kernel[0]).map(|row| row * width).collect();
    let row_steps = rows[1..].iter().map(|&row| step(row, &[0])).collect::<Option<Vec<i64>>>()?;
    let col_steps = (1..pool.kernel[1]).map(|col| step(col, &rows)).collect::<Option<Vec<i64>>>()?;
    let mut layout = operand.layout.clone();
    layout.home = firsts.iter().map(|&first| home(first)).collect();
    layout.shape = Shape(vec![channels, out_height, out_width]);
    layout.dirty = true;
    let placement = Placement { layout, grid: grid.strided(pool.stride) };
    Some((placement, Prefold::Windows { steps: [row_steps, col_steps] }))
}

/// An operand twice, four times, ... in its own ciphertexts, as long as it has free slots. Copies are
/// spread evenly over `window` slots, modulo which a result repeats: then every element meets every
/// window within a short distance, and few diagonals carry a dense map.
pub(super) fn copies(operand: &Placement, window: usize) -> Vec<(Placement, Prefold)> {
    let mut found: Vec<(Placement, Prefold)> = Vec::new();
    if operand.layout.dirty {
        return found;
    }
    let (mut placement, mut steps) = (operand.clone(), Vec::new());
    for part in (0..window.trailing_zeros()).rev().map(|bit| 1 << bit) {
        let is_there = |offset: &u32| *offset as usize % window == part;
        if placement.layout.replicas.iter().any(is_there) {
            continue;
        }
        let taken = Taken::by(&placement.layout);
        let candidates = (part..operand.layout.n_slots).step_by(window);
        let Some(step) = candidates.into_iter().find(|&step| taken.is_free_after(step)) else { break };
        placement = copied(placement, step);
        steps.push(step);
        found.push((placement.clone(), Prefold::Copies { steps: steps.clone() }));
    }
    found
}

/// The placement with every element again `step` slots further.
fn copied(mut placement: Placement, step: usize) -> Placement {
    let layout = &mut placement.layout;
    let further = |offset: u32| ((offset as usize + step) % layout.n_slots) as u32;
    let copies: Vec<u32> = std::iter::once(0).chain(layout.replicas.iter().copied()).map(further).collect();
    layout.replicas.extend(copies);
    placement
}

/// The placement with the copies of all steps.
pub(super) fn with_copies(operand: &Placement, steps: &[usize]) -> Placement {
    steps.iter().fold(operand.clone(), |placement, &step| copied(placement, step))
}

/// Slots that hold elements.
struct Taken {
    n_slots: usize,
    /// By ciphertext and slot.
    is_taken: Vec<bool>,
}

impl Taken {
    fn by(layout: &Layout) -> Taken {
        let mut is_taken = vec![false; layout.n_cts * layout.n_slots];
        for position in (0..layout.home.len()).flat_map(|element| layout.positions(element)) {
            is_taken[position.ct as usize * layout.n_slots + position.slot as usize] = true;
        }
        Taken { n_slots: layout.n_slots, is_taken }
    }

    /// True when everything may come again `step` slots further.
    fn is_free_after(&self, step: usize) -> bool {
        let meets = |ct: &[bool]| (0..ct.len()).any(|slot| ct[slot] && ct[(slot + step) % self.n_slots]);
        !self.is_taken.chunks(self.n_slots).any(meets)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn copies_are_where_nothing_else_is() {
        let operand = Placement::contiguous(&Shape(vec![10]), 128);
        let found = copies(&operand, 32);
        assert!(found.len() == 2);
        for (placement, prefold) in &found {
            placement.layout.check(128).unwrap();
            let Prefold::Copies { steps } = prefold else { panic!("copies") };
            assert_eq!(placement.layout.replicas.len() + 1, 1 << steps.len());
            assert_eq!(*placement, with_copies(&operand, steps));
        }
    }

    #[test]
    fn copies_divide_the_window_evenly() {
        let operand = Placement::contiguous(&Shape(vec![8]), 64);
        let (placement, _) = copies(&operand, 32).pop().unwrap();
        let mut offsets: Vec<u32> = placement.layout.replicas.iter().map(|offset| offset % 32).collect();
        offsets.push(0);
        offsets.sort_unstable();
        let gap = 32 / offsets.len() as u32;
        assert!(offsets.windows(2).all(|pair| pair[1] - pair[0] == gap), "{offsets:?}");
    }

    #[test]
    fn what_is_full_or_dirty_is_not_copied() {
        assert!(copies(&Placement::contiguous(&Shape(vec![64]), 64), 16).is_empty());
        let mut operand = Placement::contiguous(&Shape(vec![4]), 64);
        operand.layout.dirty = true;
        assert!(copies(&operand, 16).is_empty());
    }
}
