//! Sums of ciphertexts weighted by integers: products of matrices modulo each prime.
//!
//! Each coefficient of a limb is a column of its own. Terms are divided into tiles of few
//! operands and any rows. A block of the coefficients of all operands of a tile, a
//! panel, stays in the first-level cache while the rows of the tile take their turns,
//! so that each operand comes from memory once per tile. Weights that are not there
//! cost nothing.

use crate::buffer::Buffer;
use crate::kernels::{self, Weighted};
use crate::modulus::Modulus;
use crate::packed::BLOCK;
use std::ops::Range;

/// Most operands of a tile: a panel takes 32 KiB.
const PANEL: usize = 128;
/// Words of each operand that are read in one go; panels of that many words stay in the
/// second-level cache.
const STRETCH: usize = 256;

/// A sum of operands, by number, times integers.
pub(super) type Row = Vec<(usize, i128)>;

/// Some operands, and the terms of rows that are over them alone.
struct Tile<Weight> {
    operands: Vec<usize>,
    /// Which row, and the place of each operand in the panel with its weight.
    rows: Vec<(usize, Vec<Weight>)>,
}

/// Rows divided into tiles.
pub(super) struct Tiles {
    n_rows: usize,
    tiles: Vec<Tile<(u32, i128)>>,
}

impl Tiles {
    /// Divides rows over `n_operands` operands. Rows of few operands share a tile with
    /// those that have most of them in common; longer ones are cut at the same places.
    pub fn of(rows: &[Row], n_operands: usize) -> Tiles {
        let (long, mut short): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).filter(|&row| !rows[row].is_empty()).partition(|&row| rows[row].len() > PANEL);
        short.sort_by(|&a, &b| operands(&rows[a]).cmp(operands(&rows[b])));
        let mut tiles = short_tiles(rows, &short, n_operands);
        if !long.is_empty() {
            let starts = (0..n_operands).step_by(PANEL);
            tiles.extend(starts.map(|start| long_tile(rows, &long, start..n_operands.min(start + PANEL))));
        }
        Tiles { n_rows: rows.len(), tiles }
    }

    /// Whether there are no terms.
    pub fn is_empty(&self) -> bool {
        self.tiles.is_empty()
    }

    /// The weights as residues, for all parts and all coefficients of a limb.
    pub fn modulo(&self, m: &Modulus) -> Residual {
        let weighted = |&(row, integer): &(u32, i128)| Weighted { row, weight: m.reduce_signed(integer) };
        let row = |(row, terms): &(usize, Vec<(u32, i128)>)| (*row, terms.iter().map(weighted).collect());
        let tile = |tile: &Tile<(u32, i128)>| Tile {
            operands: tile.operands.clone(),
            rows: tile.rows.iter().map(row).collect(),
        };
        Residual { n_rows: self.n_rows, tiles: self.tiles.iter().map(tile).collect() }
    }
}

fn operands(row: &Row) -> impl Iterator<Item = usize> + '_ {
    row.iter().map(|term| term.0)
}

/// Tiles of as many rows as have few enough operands together.
fn short_tiles(rows: &[Row], short: &[usize], n_operands: usize) -> Vec<Tile<(u32, i128)>> {
    let mut tiles: Vec<Tile<(u32, i128)>> = Vec::new();
    // Of each operand the last tile that it is in, and its place there.
    let mut places = vec![(0, 0); n_operands];
    for &row in short {
        let n_new = |places: &[(usize, u32)], tile: usize| {
            operands(&rows[row]).filter(|&operand| places[operand].0 != tile).count()
        };
        let is_full = |tile: &Tile<_>| tile.operands.len() + n_new(&places, tiles.len()) > PANEL;
        if tiles.last().is_none_or(is_full) {
            tiles.push(Tile { operands: Vec::new(), rows: Vec::new() });
        }
        let number = tiles.len();
        let tile = tiles.last_mut().expect("there is a tile with room");
        let place = |&(operand, integer): &(usize, i128)| {
            if places[operand].0 != number {
                places[operand] = (number, tile.operands.len() as u32);
                tile.operands.push(operand);
            }
            (places[operand].1, integer)
        };
        let terms = rows[row].iter().map(place).collect();
        tile.rows.push((row, terms));
    }
    tiles
}

/// The tile of the terms of long rows whose operands are in a range.
fn long_tile(rows: &[Row], long: &[usize], range: Range<usize>) -> Tile<(u32, i128)> {
    let terms = |&row: &usize| {
        let within = rows[row].iter().filter(|term| range.contains(&term.0));
        (row, within.map(|&(operand, integer)| ((operand - range.start) as u32, integer)).collect())
    };
    Tile { operands: range.clone().collect(), rows: long.iter().map(terms).collect() }
}

/// Terms that the kernel takes in one go: a program may repeat an operand as often as it likes.
const MAX_TERMS: usize = 1 << 16;

/// Tiles with weights modulo one prime.
pub(super) struct Residual {
    n_rows: usize,
    tiles: Vec<Tile<Weighted>>,
}

impl Residual {
    /// Adds the sum of each row to a limb of it, given that limb of each operand. Where a row
    /// is fresh, the limb is written instead. What is not added yet when `stop` says so is left out.
    pub fn add(
        &self,
        m: &Modulus,
        operands: &[&[u64]],
        outs: &mut [&mut [u64]],
        fresh: &[bool],
        stop: &dyn Fn() -> bool,
    ) {
        let degree = outs.first().map_or(0, |out| out.len());
        let (stretch, block) = (STRETCH.min(degree), BLOCK.min(degree));
        let mut panels = Buffer::scratch(PANEL * stretch);
        let mut sums = Buffer::scratch(self.n_rows * stretch);
        for start in (0..degree).step_by(stretch.max(1)) {
            let words = start..start + stretch;
            for ((sum, out), &fresh) in sums.chunks_exact_mut(stretch).zip(outs.iter()).zip(fresh) {
                if fresh { sum.fill(0) } else { sum.copy_from_slice(&out[words.clone()]) }
            }
            for tile in self.tiles.iter().take_while(|_| !stop()) {
                gather(&mut panels, tile, operands, words.clone(), block);
                for (at, panel) in (0..stretch).step_by(block).zip(panels.chunks_exact(PANEL * block)) {
                    for (row, terms) in &tile.rows {
                        let from = row * stretch + at;
                        let is_long = terms.len() > MAX_TERMS;
                        for terms in terms.chunks(MAX_TERMS).take_while(|_| !is_long || !stop()) {
                            kernels::add_weighted(m, &mut sums[from..from + block], panel, terms);
                        }
                    }
                }
            }
            for (sum, out) in sums.chunks_exact(stretch).zip(outs.iter_mut()) {
                out[words.clone()].copy_from_slice(sum);
            }
        }
    }
}

/// Writes a stretch of the operands of a tile as panels, one for each block. Limbs lie at
/// distances that share few cache lines, panels do not.
fn gather(panels: &mut [u64], tile: &Tile<Weighted>, operands: &[&[u64]], words: Range<usize>, block: usize) {
    for (place, &operand) in tile.operands.iter().enumerate() {
        let blocks = operands[operand][words.clone()].chunks_exact(block);
        for (words, panel) in blocks.zip(panels.chunks_exact_mut(PANEL * block)) {
            panel[place * block..(place + 1) * block].copy_from_slice(words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modulus::Modulus;
    use crate::primes;
    use proptest::prelude::*;

    /// Rows of which some are longer than a panel, with operands that occur twice.
    fn rows(lengths: &[usize], n_operands: usize) -> Vec<Row> {
        let term = |row: usize, i: usize| {
            let scrambled = (row * 7919 + i * 104_729) % 1_000_003;
            (scrambled % n_operands, scrambled as i128 * 77_777_777 - (1 << 45))
        };
        let row = |(row, &len): (usize, &usize)| (0..len).map(|i| term(row, i)).collect();
        lengths.iter().enumerate().map(row).collect()
    }

    proptest! {
        #[test]
        fn tiles_add_up_to_the_sums(
            lengths in proptest::collection::vec(prop_oneof![0..40usize, 120..300usize], 1..12),
            n_operands in 1..400usize,
            bits in 20u32..=60,
            degree in prop::sample::select(&[16usize, 32, 512]),
            is_fresh: bool,
        ) {
            let m = Modulus::new(primes::below(bits, degree, 1, &[]).unwrap()[0], degree);
            let rows = rows(&lengths, n_operands);
            let limb = |i: usize| (0..degree).map(|k| m.reduce(((i * degree + k) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
            let operands: Vec<Vec<u64>> = (0..n_operands).map(limb).collect();
            let slices: Vec<&[u64]> = operands.iter().map(Vec::as_slice).collect();
            let mut found = vec![vec![5; degree]; rows.len()];
            let mut outs: Vec<&mut [u64]> = found.iter_mut().map(Vec::as_mut_slice).collect();
            Tiles::of(&rows, n_operands).modulo(&m).add(&m, &slices, &mut outs, &vec![is_fresh; rows.len()], &|| false);
            for (row, found) in rows.iter().zip(&found) {
                for (k, &found) in found.iter().enumerate() {
                    let start = if is_fresh { 0 } else { 5 };
                    let product = |&(operand, integer): &(usize, i128)| m.mul(operands[operand][k], m.reduce_signed(integer));
                    prop_assert_eq!(found, row.iter().map(product).fold(start, |sum, x| m.add(sum, x)));
                }
            }
        }
    }
}
