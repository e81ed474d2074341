//! Placements worth trying for a network's input and for a map's result.

use super::assign::Fold;
use super::placement::{FillOrder, Grid, Placement};
use hecc_ir::layout::Shape;

/// Placements of the encrypted input. Packing it is the client's work, so
/// replicas are free; `first_rows` is the number of rows of the first dense
/// map, whose windows the replicas may be spread for.
pub fn inputs(
    shape: &Shape,
    base: Option<[usize; 2]>,
    first_rows: Option<usize>,
    n_slots: usize,
) -> Vec<Placement> {
    let grid = base.and_then(|base| image_input(shape, base, n_slots)).unwrap_or_default();
    let flat = Placement::contiguous(shape, n_slots);
    let len = shape.n_elements();
    let mut found = grid;
    if let Some(rows) = first_rows
        && len <= n_slots
    {
        let window = rows.next_power_of_two();
        for parts in powers_of_two(window) {
            let distance = (len.div_ceil(window) * window) + window / parts;
            let copies = (n_slots / distance).min(parts);
            if parts > 1 && copies > 1 {
                found.push(flat.clone().replicated(distance, copies));
            }
        }
        let period = len.next_power_of_two();
        found.push(flat.clone().replicated(period, n_slots / period));
    }
    found.push(flat);
    found
}

/// One plane per channel, the planes repeated as often as they fit.
fn image_input(shape: &Shape, base: [usize; 2], n_slots: usize) -> Option<Vec<Placement>> {
    let &[channels, ..] = shape.0.as_slice() else { return None };
    let grid = Grid { base, stride: [1, 1], block: (base[0] * base[1]).next_power_of_two() };
    if grid.block > n_slots {
        return None;
    }
    let period = (channels.next_power_of_two() * grid.block).min(n_slots);
    let placed = grid.place(shape, n_slots, period, FillOrder::PlanesFirst)?;
    let repeated = placed.clone().replicated(period, n_slots / period);
    Some(if period < n_slots { vec![repeated, placed] } else { vec![placed] })
}

/// Placements of a map's result, each with the fold that produces it.
pub fn results(
    operand: &Placement,
    shape: &Shape,
    stride: Option<[usize; 2]>,
    n_slots: usize,
) -> Vec<(Placement, Fold)> {
    let grid = operand.grid.zip(stride).map(|(grid, stride)| images(&grid.strided(stride), shape, n_slots));
    match grid {
        Some(found) if !found.is_empty() => found,
        Some(_) | None => vectors(operand, shape, n_slots),
    }
}

fn images(grid: &Grid, shape: &Shape, n_slots: usize) -> Vec<(Placement, Fold)> {
    let mut found = Vec::new();
    for planes in powers_of_two(n_slots / grid.block) {
        let period = planes * grid.block;
        let copies = n_slots / period;
        for order in [FillOrder::PlanesFirst, FillOrder::GapsFirst] {
            let Some(placed) = grid.place(shape, n_slots, period, order) else { continue };
            if copies == 1 {
                found.push((placed, Fold::NONE));
            } else {
                let fold = Fold { stride: period, copies };
                found.push((placed.replicated(period, copies), fold));
            }
        }
    }
    found.dedup_by(|a, b| a.0 == b.0);
    found
}

fn vectors(operand: &Placement, shape: &Shape, n_slots: usize) -> Vec<(Placement, Fold)> {
    let flat = Placement::contiguous(shape, n_slots);
    let rows = shape.n_elements();
    let mut found = vec![(flat.clone(), Fold::NONE)];
    let window = rows.next_power_of_two();
    if window >= n_slots {
        return found;
    }
    let copies = n_slots / window;
    found.push((flat.clone().replicated(window, copies), Fold { stride: window, copies }));
    let mut strides: Vec<usize> = powers_of_two(window).map(|shift| window + shift).collect();
    strides.extend(replica_shifts(operand, rows));
    let fits =
        |stride: usize, copies: usize| stride * (copies - 1) + rows <= n_slots && stride * copies != n_slots;
    let powers = || powers_of_two(n_slots / window).filter(|&copies| copies > 1);
    let widest =
        |stride: usize| powers().filter(|&copies| fits(stride, copies)).last().map(|copies| (stride, copies));
    let partial = powers().filter(|&copies| fits(window, copies)).map(|copies| (window, copies));
    for (stride, copies) in strides.into_iter().filter_map(widest).chain(partial) {
        found.push((dirty(flat.clone()), Fold { stride, copies }));
    }
    found
}

/// Window strides that meet each replica of the operand at another shift.
fn replica_shifts(operand: &Placement, rows: usize) -> Vec<usize> {
    let Some(&period) = operand.layout.replicas.first() else { return Vec::new() };
    let period = period as usize;
    powers_of_two(period).map(|shift| rows.div_ceil(period) * period + shift).collect()
}

fn dirty(mut placement: Placement) -> Placement {
    placement.layout.dirty = true;
    placement
}

fn powers_of_two(up_to: usize) -> impl Iterator<Item = usize> {
    (0..usize::BITS).map(|bit| 1usize << bit).take_while(move |&p| p <= up_to)
}
