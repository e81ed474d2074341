//! Unfolding layouts.

use super::super::ast::{At, HomeRun, Layout, Word};
use super::super::{code, runs};
use super::Resolver;
use crate::layout::{self, Position, Shape};
use crate::limits::MAX_LAYOUT_SLOTS;

/// What the layouts of one text may unfold to together.
pub(super) struct HomeBudget {
    elements: usize,
    positions: usize,
}

impl Default for HomeBudget {
    fn default() -> HomeBudget {
        HomeBudget { elements: MAX_LAYOUT_SLOTS / 4, positions: MAX_LAYOUT_SLOTS }
    }
}

impl HomeBudget {
    /// Takes `elements` with `copies` positions each, if they are left.
    fn take(&mut self, elements: usize, copies: usize) -> Option<()> {
        self.elements = self.elements.checked_sub(elements)?;
        self.positions = self.positions.checked_sub(elements.checked_mul(copies)?)?;
        Some(())
    }
}

impl Resolver {
    pub(super) fn layout(&mut self, ast: &Layout<'_>, n_slots: usize) -> layout::Layout {
        let n_cts: usize = self.number(ast.cts, "count");
        if n_cts > MAX_LAYOUT_SLOTS / n_slots {
            self.report(code::LIMIT, ast.cts.span, format!("a layout has at most {MAX_LAYOUT_SLOTS} slots"));
        }
        let copies = 1 + ast.replicas.len();
        let capacity = n_cts.min(MAX_LAYOUT_SLOTS / n_slots) * n_slots;
        let mut home = Vec::new();
        for run in &ast.home {
            self.home_run(run, n_slots, capacity, copies, &mut home);
        }
        layout::Layout {
            n_slots,
            n_cts,
            shape: self.shape(ast.shape),
            home,
            replicas: ast.replicas.iter().map(|&offset| self.number(offset, "offset")).collect(),
            dirty: ast.dirty,
        }
    }

    fn shape(&mut self, word: Word<'_>) -> Shape {
        let extents = &word.node[1..word.node.len() - 1];
        if extents.is_empty() {
            return Shape(Vec::new());
        }
        Shape(extents.split('x').map(|node| self.number(At { span: word.span, node }, "extent")).collect())
    }

    fn home_run(
        &mut self,
        run: &At<HomeRun<'_>>,
        n_slots: usize,
        capacity: usize,
        copies: usize,
        home: &mut Vec<Position>,
    ) {
        let (ct, slot) = self.pair(run.node.start.span, run.node.start.node);
        let dims: Vec<(usize, i64)> = run
            .node
            .dims
            .iter()
            .map(|&(count, stride)| (self.count(count), self.number(stride, "stride")))
            .collect();
        let count = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(dim.0));
        if dims.len() > runs::MAX_DIMS {
            return self.report(
                code::LIMIT,
                run.span,
                format!("a run has at most {} dimensions", runs::MAX_DIMS),
            );
        }
        if count.and_then(|count| self.homes.take(count, copies)).is_none() {
            return self.report(code::LIMIT, run.span, "the layouts of this text place too many elements");
        }
        let start = i128::from(ct) * n_slots as i128 + i128::from(slot);
        if slot as usize >= n_slots || !within(start, &dims, capacity) {
            return self.report(code::RUN, run.span, "the run leaves the layout's ciphertexts");
        }
        unfold(start as i64, &dims, &mut |address| {
            let address = address as usize;
            home.push(Position { ct: (address / n_slots) as u32, slot: (address % n_slots) as u32 });
        });
    }
}

/// Whether every address of a run lies in `0 .. capacity`.
fn within(start: i128, dims: &[(usize, i64)], capacity: usize) -> bool {
    let (mut low, mut high) = (start, start);
    for &(count, stride) in dims {
        let reach = (count as i128 - 1).max(0).saturating_mul(i128::from(stride));
        low = low.saturating_add(reach.min(0));
        high = high.saturating_add(reach.max(0));
    }
    low >= 0 && high < capacity as i128
}

/// Visits the addresses of a run, the last dimension fastest; at most
/// [`runs::MAX_DIMS`] deep.
fn unfold(start: i64, dims: &[(usize, i64)], visit: &mut impl FnMut(i64)) {
    match dims {
        [] => visit(start),
        [(count, stride), inner @ ..] => {
            (0..*count as i64).for_each(|i| unfold(start + i * stride, inner, visit))
        }
    }
}
