//! Placements worth trying for a network's input and for a map's result.

use super::assign::Fold;
use super::placement::{Family, Grid, Placement};
use hecc_ir::layout::Shape;

/// Placements of the encrypted input. Packing it is the client's work, so
/// replicas are free; `first_rows` is the number of rows of the first dense
/// map, whose windows the replicas may be spread for. None when a `family` is asked for that has
/// no place for the image.
pub fn inputs(
    shape: &Shape,
    base: Option<[usize; 2]>,
    first_rows: Option<usize>,
    family: Option<Family>,
    n_slots: usize,
) -> Vec<Placement> {
    let grids = base.map(|base| image_inputs(shape, base, family, n_slots)).unwrap_or_default();
    if family.is_some() {
        return grids;
    }
    let flat = Placement::contiguous(shape, n_slots);
    let len = shape.n_elements();
    let mut found = grids;
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

/// Phases per axis that are tried for every image.
const PHASES: [usize; 3] = [1, 2, 4];

/// Rows and columns of phases that an image of a family, of `base` pixels per channel, may be dealt to: few of
/// them, or where no plane has room then, as few as give one that has. Among all layouts only those of
/// square tiles are tried: others are hardly ever less in price, and the rewriter finds less to do in them
/// (grouped LeNet with any tiles: 315 instead of 320 ms in price, 314 instead of 270 ms in the end).
fn shapes(base: [usize; 2], family: Option<Family>, n_slots: usize) -> Vec<[usize; 2]> {
    let fits = |shape: &[usize; 2]| dealt(base, *shape).block <= n_slots;
    let is_asked = |shape: &[usize; 2]| match family {
        None => PHASES.iter().any(|&n| *shape == base.map(|extent| n.min(extent))),
        Some(Family::Multiplexed | Family::Interleaved) => *shape == [1, 1],
        Some(Family::Tiles) => *shape != [1, 1],
    };
    let divides = |shape: &[usize; 2]| shape[0] <= base[0] && shape[1] <= base[1];
    let all = PHASES.into_iter().flat_map(|rows| PHASES.map(|columns| [rows, columns]));
    let found: Vec<_> = all.filter(|shape| is_asked(shape) && divides(shape) && fits(shape)).collect();
    match family {
        None | Some(Family::Tiles) if found.is_empty() => finer(base).find(fits).into_iter().collect(),
        None | Some(_) => found,
    }
}

/// Ever more phases, along the longer side of a plane, until a plane is a pixel.
fn finer(base: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    std::iter::successors(Some([1, 1]), move |&[rows, columns]| match dealt(base, [rows, columns]).base {
        [0 | 1, 0 | 1] => None,
        [height, width] if height > width => Some([2 * rows, columns]),
        _ => Some([rows, 2 * columns]),
    })
}

/// The grid of an image of `base` pixels per channel that is dealt to phases.
fn dealt(base: [usize; 2], phases: [usize; 2]) -> Grid {
    Grid::new([base[0].div_ceil(phases[0]), base[1].div_ceil(phases[1])], phases)
}

/// Slots of a plane that is not divided.
pub fn whole_plane(base: [usize; 2]) -> usize {
    dealt(base, [1, 1]).block
}

/// One plane per channel and phase, the planes repeated as often as they fit.
fn image_inputs(shape: &Shape, base: [usize; 2], family: Option<Family>, n_slots: usize) -> Vec<Placement> {
    let &[channels, ..] = shape.0.as_slice() else { return Vec::new() };
    let mut found = Vec::new();
    for grid in shapes(base, family, n_slots).into_iter().map(|shape| dealt(base, shape)) {
        let n_images = channels * grid.n_phases();
        let period = (n_images.next_power_of_two() * grid.block).min(n_slots);
        for placed in
            grid.orders(channels, period, family).filter_map(|grid| grid.place(shape, n_slots, period))
        {
            if period < n_slots {
                found.push(placed.clone().replicated(period, n_slots / period));
            }
            found.push(placed);
        }
    }
    found
}

/// Placements of a map's result, each with the fold that produces it. None when a `family` is asked for
/// that has no place for the image.
pub fn results(
    operand: &Placement,
    shape: &Shape,
    stride: Option<[usize; 2]>,
    family: Option<Family>,
    n_slots: usize,
) -> Vec<(Placement, Fold)> {
    let grid = operand.grid.zip(stride).and_then(|(grid, stride)| grid.strided(stride));
    let found = grid.map(|grid| images(&grid, shape, family, n_slots)).unwrap_or_default();
    let stays_image = family.is_some() && operand.grid.is_some() && stride.is_some();
    match found.is_empty() && !stays_image {
        true => vectors(operand, shape, n_slots),
        false => found,
    }
}

fn images(grid: &Grid, shape: &Shape, family: Option<Family>, n_slots: usize) -> Vec<(Placement, Fold)> {
    let &[channels, ..] = shape.0.as_slice() else { return Vec::new() };
    let mut found = Vec::new();
    for planes in powers_of_two(n_slots / grid.block) {
        let period = planes * grid.block;
        let copies = n_slots / period;
        for placed in
            grid.orders(channels, period, family).filter_map(|grid| grid.place(shape, n_slots, period))
        {
            match copies {
                1 => found.push((placed, Fold::NONE)),
                _ => found.push((placed.replicated(period, copies), Fold { stride: period, copies })),
            }
        }
    }
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
