//! Arithmetic modulo primes below 2^50 in doubles, by fused multiply-adds.
//!
//! A product of residues is a rounded double h and the error of its rounding, which a fused
//! multiply-add gives exactly; a multiple of the prime near h, taken away, leaves a remainder
//! that a double holds.
//! Source: van der Hoeven, Lecerf, Quintin, "Modular SIMD arithmetic in Mathemagix" (2016), section 3.
//!
//! All is written once, over what a machine does with four doubles ([`Doubles`]), and inlined into functions that
//! have the machine's instructions. No vector passes through a closure: those have no such instructions. Residues are
//! whole numbers, mostly between -p and p; in memory they are words, which have the bits of doubles
//! above 2^52 once those of 2^52 are set.

#[cfg(test)]
mod tests;
pub(super) mod transform;

use crate::kernels::{First, Weighted};
use crate::modulus::{Factor, Modulus, NARROW};
use crate::packed::{BLOCK, Residues};
use std::ops::Range;

/// Primes that all kernels take.
pub(crate) const PRIMES: Range<u64> = 1 << 20..NARROW;

/// What a machine does with four doubles. A value is proof that the machine does it.
pub(super) trait Doubles: Copy {
    type Four: Copy;

    fn splat(self, x: f64) -> Self::Four;
    fn load(self, doubles: &[f64; 4]) -> Self::Four;
    fn store(self, doubles: &mut [f64; 4], x: Self::Four);
    /// The bits of four words of W bytes.
    fn unpack<const W: usize>(self, bytes: &[u8; 32]) -> Self::Four;
    fn add(self, x: Self::Four, y: Self::Four) -> Self::Four;
    fn sub(self, x: Self::Four, y: Self::Four) -> Self::Four;
    fn mul(self, x: Self::Four, y: Self::Four) -> Self::Four;
    /// x · y + z, rounded once.
    fn mul_add(self, x: Self::Four, y: Self::Four, z: Self::Four) -> Self::Four;
    /// x · y - z, rounded once.
    fn mul_sub(self, x: Self::Four, y: Self::Four, z: Self::Four) -> Self::Four;
    /// z - x · y, rounded once.
    fn sub_mul(self, z: Self::Four, x: Self::Four, y: Self::Four) -> Self::Four;
    /// Or of bits.
    fn or(self, x: Self::Four, y: Self::Four) -> Self::Four;
    /// Exclusive or of bits.
    fn xor(self, x: Self::Four, y: Self::Four) -> Self::Four;
    /// y where x is below zero, elsewhere zero.
    fn where_negative(self, x: Self::Four, y: Self::Four) -> Self::Four;
    /// Column i of the rows as row i.
    fn transpose(self, rows: [Self::Four; 4]) -> [Self::Four; 4];
    /// Asks for bytes that may be read later.
    fn prefetch(self, bytes: &[u8], at: usize);
}

/// 2^52 as a double: its last bits count ones.
const WORD: f64 = (1u64 << 52) as f64;
/// Added to a double below 2^51 in magnitude, rounds it to a whole number.
const ROUND: f64 = 1.5 * WORD;

/// Constants of a prime.
#[derive(Clone, Copy)]
struct Prime<D: Doubles> {
    on: D,
    p: D::Four,
    inverse: D::Four,
    word: D::Four,
    round: D::Four,
}

impl<D: Doubles> Prime<D> {
    #[inline(always)]
    fn new(on: D, p: u64) -> Prime<D> {
        let inverse = on.splat(1.0 / p as f64);
        Prime { on, p: on.splat(p as f64), inverse, word: on.splat(WORD), round: on.splat(ROUND) }
    }

    /// Words below 2^52 as doubles.
    #[inline(always)]
    fn widen(self, bits: D::Four) -> D::Four {
        self.on.sub(self.on.or(bits, self.word), self.word)
    }

    #[inline(always)]
    fn load(self, words: &[f64; 4]) -> D::Four {
        self.widen(self.on.load(words))
    }

    /// Writes doubles between -p and p as canonical words.
    #[inline(always)]
    fn store(self, words: &mut [f64; 4], x: D::Four) {
        let canonical = self.on.add(x, self.on.where_negative(x, self.p));
        self.on.store(words, self.on.xor(self.on.add(canonical, self.word), self.word));
    }

    /// x modulo p. For |x| up to 2^52 that is at most (p + 1) / 2: 1/p is off by 2^-53 of it, hence the
    /// quotient by 1/2 and 2^-1 / p. For whole x from 0 to 2^53 p it is at most 2p in magnitude: the quotient is off by
    /// one as it rounds to even numbers there, and by one for 1/p. The difference is exact, as it fits a double.
    #[inline(always)]
    fn reduce(self, x: D::Four) -> D::Four {
        let quotient = self.on.sub(self.on.mul_add(x, self.inverse, self.round), self.round);
        self.on.sub_mul(x, quotient, self.p)
    }

    /// x · factor modulo p, less than p in magnitude for |x · factor| up to 2^51 p: the quotient is below 2^51 and off
    /// by less than 3/4, 1/2 for its own rounding and 1/4 for that of the ratio. Factors are p/2 at most, so that
    /// |x| may be 2^52; those that are not centred allow 2^51.
    #[inline(always)]
    fn scale(self, x: D::Four, factor: Scaler<D>) -> D::Four {
        let high = self.on.mul(x, factor.value);
        let low = self.on.mul_sub(x, factor.value, high);
        let quotient = self.on.sub(self.on.mul_add(x, factor.ratio, self.round), self.round);
        self.on.add(self.on.sub_mul(high, quotient, self.p), low)
    }

    /// The same factor for all four.
    #[inline(always)]
    fn factor(self, m: &Modulus, factor: Factor) -> Scaler<D> {
        let value = factor.value as f64;
        Scaler { value: self.on.splat(value), ratio: self.on.splat(value / m.p as f64) }
    }
}

/// Factors, and their ratios to p, which leave products less to wait for than 1 / p would.
#[derive(Clone, Copy)]
struct Scaler<D: Doubles> {
    value: D::Four,
    ratio: D::Four,
}

fn fours(words: &[u64]) -> &[[f64; 4]] {
    bytemuck::cast_slice::<u64, f64>(words).as_chunks().0
}

fn fours_mut(words: &mut [u64]) -> &mut [[f64; 4]] {
    bytemuck::cast_slice_mut::<u64, f64>(words).as_chunks_mut().0
}

#[inline(always)]
pub(super) fn scale<D: Doubles>(on: D, m: &Modulus, x: &mut [u64], factor: Factor) {
    let prime = Prime::new(on, m.p);
    let factor = prime.factor(m, factor);
    for x in fours_mut(x) {
        prime.store(x, prime.scale(prime.load(x), factor));
    }
}

#[inline(always)]
pub(super) fn add_scaled<D: Doubles>(on: D, m: &Modulus, out: &mut [u64], x: &[u64], factor: Factor) {
    let prime = Prime::new(on, m.p);
    let factor = prime.factor(m, factor);
    for (out, x) in fours_mut(out).iter_mut().zip(fours(x)) {
        let sum = on.add(prime.load(out), prime.scale(prime.load(x), factor));
        prime.store(out, prime.reduce(sum));
    }
}

#[inline(always)]
pub(super) fn sub_scale<D: Doubles>(on: D, m: &Modulus, out: &mut [u64], x: &[u64], factor: Factor) {
    let prime = Prime::new(on, m.p);
    let factor = prime.factor(m, factor);
    for (out, x) in fours_mut(out).iter_mut().zip(fours(x)) {
        let difference = on.sub(prime.load(x), prime.load(out));
        prime.store(out, prime.scale(difference, factor));
    }
}

/// Words must stay below 2^52.
#[inline(always)]
pub(super) fn reduce_offset<D: Doubles>(on: D, m: &Modulus, out: &mut [u64], x: &[u64], offset: u64) {
    let (prime, offset) = (Prime::new(on, m.p), on.splat(offset as f64));
    for (out, x) in fours_mut(out).iter_mut().zip(fours(x)) {
        prime.store(out, prime.reduce(on.sub(prime.load(x), offset)));
    }
}

/// Several vectors at once keep the multipliers busy.
type Vectors<D, const V: usize> = [<D as Doubles>::Four; V];

/// How products are summed: their parts above and below a grid apart, without a rounding.
///
/// The high sum starts at a power of two so large that the doubles there are multiples of the grid, twice the
/// square root of a product, until it has doubled. What a product adds to it is the product rounded to the grid, and the
/// error, at most half a grid, adds to the low sum, which must stay below 2^53.
#[derive(Clone, Copy)]
struct Grid<D: Doubles> {
    prime: Prime<D>,
    start: D::Four,
    /// Products until the sums are to be reduced: three less than either sum has room for, since
    /// up to 5/2 p of the reduced ones remains.
    size: usize,
}

impl<D: Doubles> Grid<D> {
    /// For products of words below 2^`bits` and residues.
    #[inline(always)]
    fn new(on: D, m: &Modulus, bits: u32) -> Grid<D> {
        let root = (bits + m.width()).div_ceil(2);
        let start = on.splat(WORD * (2u64 << root) as f64);
        Grid { prime: Prime::new(on, m.p), start, size: (1 << (53 - root)) - 3 }
    }

    /// For products of residues.
    #[inline(always)]
    fn of_residues(on: D, m: &Modulus) -> Grid<D> {
        Grid::new(on, m, m.width())
    }

    #[inline(always)]
    fn none<const V: usize>(&self) -> Sums<D, V> {
        Sums { high: [self.start; V], low: [self.prime.on.splat(0.0); V] }
    }

    /// Nothing, or the residues summed so far.
    #[inline(always)]
    fn resume<const V: usize>(&self, out: &[u64], fresh: bool) -> Sums<D, V> {
        let mut sums = self.none();
        if !fresh {
            sums.low = self.prime.vectors_of(out);
        }
        sums
    }
}

impl<D: Doubles> Prime<D> {
    #[inline(always)]
    fn vectors_of<const V: usize>(self, words: &[u64]) -> Vectors<D, V> {
        let mut vectors = [self.word; V];
        for (vector, words) in vectors.iter_mut().zip(fours(&words[..4 * V])) {
            *vector = self.load(words);
        }
        vectors
    }

    /// Residues that take W bytes each.
    #[inline(always)]
    fn packed<const W: usize, const V: usize>(self, residues: &Residues, at: usize) -> Vectors<D, V> {
        let bytes = &residues.bytes[at * W..][..4 * W * (V - 1) + 32];
        let mut vectors = [self.word; V];
        for (k, vector) in vectors.iter_mut().enumerate() {
            let bytes = bytes[4 * W * k..].first_chunk().expect("four residues and slack");
            *vector = self.widen(self.on.unpack::<W>(bytes));
        }
        vectors
    }
}

/// Sums of products, above and below the grid.
#[derive(Clone, Copy)]
struct Sums<D: Doubles, const V: usize> {
    high: Vectors<D, V>,
    low: Vectors<D, V>,
}

impl<D: Doubles, const V: usize> Sums<D, V> {
    #[inline(always)]
    fn add(&mut self, grid: &Grid<D>, a: &Vectors<D, V>, b: &Vectors<D, V>) {
        let on = grid.prime.on;
        for k in 0..V {
            let high = on.mul_add(a[k], b[k], self.high[k]);
            let rounded = on.sub(high, self.high[k]);
            self.low[k] = on.add(self.low[k], on.mul_sub(a[k], b[k], rounded));
            self.high[k] = high;
        }
    }

    /// Makes room for more products.
    #[inline(always)]
    fn reduce(&mut self, grid: &Grid<D>) {
        let on = grid.prime.on;
        for k in 0..V {
            let high = grid.prime.reduce(on.sub(self.high[k], grid.start));
            self.low[k] = on.add(high, grid.prime.reduce(self.low[k]));
            self.high[k] = grid.start;
        }
    }

    #[inline(always)]
    fn finish(mut self, grid: &Grid<D>, out: &mut [u64]) {
        self.reduce(grid);
        for (low, out) in self.low.into_iter().zip(fours_mut(out)) {
            grid.prime.store(out, grid.prime.reduce(low));
        }
    }
}

/// Ranges of up to `size` terms that cover `terms`.
#[inline(always)]
fn batches(terms: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = terms.end;
    terms.step_by(size).map(move |start| start..end.min(start + size))
}

/// Weighted sums of few words below `bound`.
#[inline(always)]
pub(super) fn combine<D: Doubles>(
    on: D,
    m: &Modulus,
    out: &mut [u64],
    y: &[&[u64]],
    weights: &[u64],
    bound: u64,
) {
    const V: usize = 2;
    let grid = Grid::new(on, m, 64 - (bound - 1).leading_zeros());
    for (block, out) in out.chunks_exact_mut(4 * V).enumerate() {
        let at = 4 * V * block;
        let mut sums = grid.none::<V>();
        for (batch, terms) in batches(0..y.len(), grid.size).enumerate() {
            if batch > 0 {
                sums.reduce(&grid);
            }
            for (y, &weight) in y[terms.clone()].iter().zip(&weights[terms]) {
                sums.add(&grid, &grid.prime.vectors_of(&y[at..]), &[on.splat(weight as f64); V]);
            }
        }
        sums.finish(&grid, out);
    }
}

#[inline(always)]
pub(super) fn add_weighted<D: Doubles>(
    on: D,
    m: &Modulus,
    out: &mut [u64],
    panel: &[u64],
    terms: &[Weighted],
) {
    const V: usize = 4;
    let (grid, len) = (Grid::of_residues(on, m), out.len());
    for (block, out) in out.chunks_exact_mut(4 * V).enumerate() {
        let mut sums = grid.resume::<V>(out, false);
        for (batch, terms) in terms.chunks(grid.size).enumerate() {
            if batch > 0 {
                sums.reduce(&grid);
            }
            for &Weighted { row, weight } in terms {
                let at = row as usize * len + block * 4 * V;
                sums.add(&grid, &grid.prime.vectors_of(&panel[at..]), &[on.splat(weight as f64); V]);
            }
        }
        sums.finish(&grid, out);
    }
}

/// Words of each operand read in one go: enough for memory to stream.
const TILE: usize = 512;
/// Terms read side by side: more streams than this defeat prefetching.
const TERMS: usize = 4;
/// Bytes between what is read and what is asked for: what lies behind a stretch is read in the next tile.
const AHEAD: usize = 256;

/// Calls a function of the widths of two operands.
macro_rules! by_width {
    ($name:ident, $a:expr, $b:expr, ($($arg:expr),*)) => {
        match ($a.first().map_or(8, |a| a.width), $b.first().map_or(8, |b| b.width)) {
            (8, 4) => $name::<D, 8, 4>($($arg),*),
            (8, 5) => $name::<D, 8, 5>($($arg),*),
            (8, 6) => $name::<D, 8, 6>($($arg),*),
            (8, 7) => $name::<D, 8, 7>($($arg),*),
            (4, 8) => $name::<D, 4, 8>($($arg),*),
            (5, 8) => $name::<D, 5, 8>($($arg),*),
            (6, 8) => $name::<D, 6, 8>($($arg),*),
            (7, 8) => $name::<D, 7, 8>($($arg),*),
            (8, 8) => $name::<D, 8, 8>($($arg),*),
            _ => unreachable!("one operand at rest at most"),
        }
    };
}

#[inline(always)]
pub(super) fn dot<D: Doubles>(on: D, m: &Modulus, out: &mut [u64], a: &[Residues], b: &[Residues]) {
    by_width!(dot_of, a, b, (on, m, out, a, b))
}

#[inline(always)]
#[allow(clippy::too_many_arguments)] // The portable form takes one less.
pub(super) fn dot2<D: Doubles>(
    on: D,
    m: &Modulus,
    start: usize,
    out0: &mut [u64],
    out1: &mut [u64],
    a: &[Residues],
    b0: &[Residues],
    b1: &[Residues],
) {
    by_width!(dot2_of, a, b0, (on, m, start, out0, out1, a, b0, b1))
}

#[inline(always)]
fn dot_of<D: Doubles, const A: usize, const B: usize>(
    on: D,
    m: &Modulus,
    out: &mut [u64],
    a: &[Residues],
    b: &[Residues],
) {
    const V: usize = 2;
    let grid = Grid::of_residues(on, m);
    let (size, n_terms) = (TERMS.min(grid.size), a.len().min(b.len()));
    for (tile, out) in out.chunks_mut(TILE).enumerate() {
        let mut sums = [grid.none::<V>(); TILE / (4 * V)];
        let mut room = grid.size;
        for terms in batches(0..n_terms, size) {
            let full = room < terms.len();
            room = if full { grid.size } else { room } - terms.len();
            for (block, sums) in sums[..out.len() / (4 * V)].iter_mut().enumerate() {
                let at = tile * TILE + block * 4 * V;
                if full {
                    sums.reduce(&grid);
                }
                for (a, b) in a[terms.clone()].iter().zip(&b[terms.clone()]) {
                    sums.add(&grid, &grid.prime.packed::<A, V>(a, at), &grid.prime.packed::<B, V>(b, at));
                }
            }
        }
        for (out, sums) in out.chunks_exact_mut(4 * V).zip(&sums) {
            sums.finish(&grid, out);
        }
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)] // The portable form takes one less.
fn dot2_of<D: Doubles, const A: usize, const B: usize>(
    on: D,
    m: &Modulus,
    start: usize,
    out0: &mut [u64],
    out1: &mut [u64],
    a: &[Residues],
    b0: &[Residues],
    b1: &[Residues],
) {
    const V: usize = 2;
    let grid = Grid::of_residues(on, m);
    let (size, n_terms) = (TERMS.min(grid.size), a.len().min(b0.len()).min(b1.len()));
    for (tile, (out0, out1)) in out0.chunks_mut(TILE).zip(out1.chunks_mut(TILE)).enumerate() {
        let mut sums = [[grid.none::<V>(); 2]; TILE / (4 * V)];
        let mut room = grid.size;
        for terms in batches(0..n_terms, size) {
            let full = room < terms.len();
            room = if full { grid.size } else { room } - terms.len();
            for (block, [sums0, sums1]) in sums[..out0.len() / (4 * V)].iter_mut().enumerate() {
                let at = start + tile * TILE + block * 4 * V;
                if full {
                    sums0.reduce(&grid);
                    sums1.reduce(&grid);
                }
                let factors = a[terms.clone()].iter().zip(&b0[terms.clone()]).zip(&b1[terms.clone()]);
                for ((a, b0), b1) in factors {
                    on.prefetch(a.bytes, at * A + AHEAD);
                    let shared = grid.prime.packed::<A, V>(a, at);
                    sums0.add(&grid, &shared, &grid.prime.packed::<B, V>(b0, at));
                    sums1.add(&grid, &shared, &grid.prime.packed::<B, V>(b1, at));
                }
            }
        }
        let outs = out0.chunks_exact_mut(4 * V).zip(out1.chunks_exact_mut(4 * V));
        for ((out0, out1), [sums0, sums1]) in outs.zip(&sums) {
            sums0.finish(&grid, out0);
            sums1.finish(&grid, out1);
        }
    }
}

#[inline(always)]
pub(super) fn key_products<D: Doubles>(
    on: D,
    m: &Modulus,
    outs: &mut [[&mut [u64]; 2]],
    digits: &[&[u64]],
    keys: &[Residues],
    first: First,
) {
    match keys.first().map_or(8, |key| key.width) {
        4 => key_products_of::<D, 4>(on, m, outs, digits, keys, first),
        5 => key_products_of::<D, 5>(on, m, outs, digits, keys, first),
        6 => key_products_of::<D, 6>(on, m, outs, digits, keys, first),
        7 => key_products_of::<D, 7>(on, m, outs, digits, keys, first),
        _ => key_products_of::<D, 8>(on, m, outs, digits, keys, first),
    }
}

/// Tile by tile, so that the digits of a tile stay in the first-level cache for all keys, and with a request for the
/// next block of each row of a key, which comes from memory.
#[inline(always)]
fn key_products_of<D: Doubles, const W: usize>(
    on: D,
    m: &Modulus,
    outs: &mut [[&mut [u64]; 2]],
    digits: &[&[u64]],
    keys: &[Residues],
    first: First,
) {
    const V: usize = 2;
    let grid = Grid::of_residues(on, m);
    let degree = digits.first().map_or(0, |digit| digit.len());
    for tile in batches(0..degree, TILE) {
        for ([out0, out1], key) in outs.iter_mut().zip(keys) {
            for at in tile.clone().step_by(4 * V) {
                let (out0, out1) = (&mut out0[at..at + 4 * V], &mut out1[at..at + 4 * V]);
                let mut sums0 = grid.resume::<V>(out0, first.is_fresh());
                let mut sums1 = grid.resume::<V>(out1, first.is_fresh());
                let mut row = key.row_place(degree, at, 2 * first.digit);
                for (batch, digits) in digits.chunks(grid.size).enumerate() {
                    if batch > 0 {
                        sums0.reduce(&grid);
                        sums1.reduce(&grid);
                    }
                    for digit in digits {
                        let ahead = row + key.rows * BLOCK;
                        on.prefetch(key.bytes, ahead * W);
                        on.prefetch(key.bytes, (ahead + BLOCK) * W);
                        let digit = grid.prime.vectors_of::<V>(&digit[at..]);
                        sums0.add(&grid, &digit, &grid.prime.packed::<W, V>(key, row));
                        sums1.add(&grid, &digit, &grid.prime.packed::<W, V>(key, row + BLOCK));
                        row += 2 * BLOCK;
                    }
                }
                sums0.finish(&grid, out0);
                sums1.finish(&grid, out1);
            }
        }
    }
}
