//! The negacyclic number-theoretic transform in doubles.
//!
//! Layers are done two at a time, from memory to memory, and the last four of a transform, whose distances are
//! 8, 4, 2 and 1, on sixteen neighbours in registers. Parts that outgrow the first-level cache are done
//! one after the other.
//! Source: Harvey, "Faster arithmetic for number-theoretic transforms" (2014), for sums that are reduced late;
//! here values between passes stay below 3p in magnitude on the way there and 2p on the way
//! back, so that no product has a factor above 4p.

use super::{Doubles, Prime, fours_mut};
use crate::modulus::{Factor, Modulus};

/// Values done in one go at the end.
const LEAF: usize = 16;
/// Values of a part that stays in the first-level cache.
const PART: usize = 2048;

/// Powers of a root of unity of order 2N modulo a prime, between -p/2 and p/2.
#[derive(Debug)]
pub(crate) struct Roots {
    p: u64,
    /// Block i of 2^k is for power i of bit-reversed order among those of layer k, which begins at 2^k.
    powers: Box<[f64]>,
    /// Of each sixteen neighbours those of the last layers: four at distance 2, and at distance 1 the four even
    /// and the four odd ones.
    leaves: Box<[[[f64; 4]; 3]]>,
}

impl Roots {
    /// Of vectors of `degree` residues, 32 at least.
    pub(crate) fn new(m: &Modulus, degree: usize, root: u64) -> Roots {
        let root = m.factor(root);
        let mut powers = vec![0.0; degree];
        let (mut power, shift) = (1, degree.leading_zeros() + 1);
        for k in 0..degree {
            powers[k.reverse_bits() >> shift] = centred(m.p, power);
            power = m.scale(power, root);
        }
        let leaf = |i: usize| {
            let last = &powers[degree / 2 + 8 * i..][..8];
            let at_two = std::array::from_fn(|k| powers[degree / 4 + 4 * i + k]);
            [at_two, std::array::from_fn(|k| last[2 * k]), std::array::from_fn(|k| last[2 * k + 1])]
        };
        let leaves = (0..degree / LEAF).map(leaf).collect();
        powers.truncate(degree / 4);
        Roots { p: m.p, powers: powers.into(), leaves }
    }

    /// Those of one block in two layers: of the block and of its halves.
    #[inline(always)]
    fn of_block<D: Doubles>(&self, on: D, block: usize) -> [D::Four; 3] {
        [block, 2 * block, 2 * block + 1].map(|i| on.splat(self.powers[i]))
    }
}

/// The residue nearest to zero.
fn centred(p: u64, x: u64) -> f64 {
    if x > p / 2 { x as f64 - p as f64 } else { x as f64 }
}

/// Four values at each of four equal distances.
type Quad<D> = [<D as Doubles>::Four; 4];

impl<D: Doubles> Prime<D> {
    /// Two layers forward of values below 3p, of which the first is below p.
    #[inline(always)]
    fn forward(self, [x0, x1, x2, x3]: Quad<D>, [whole, even, odd]: [D::Four; 3]) -> Quad<D> {
        let on = self.on;
        let (x2, x3) = (self.mul(x2, whole), self.mul(x3, whole));
        let [x0, x1, x2, x3] = [on.add(x0, x2), on.add(x1, x3), on.sub(x0, x2), on.sub(x1, x3)];
        let (x1, x3) = (self.mul(x1, even), self.mul(x3, odd));
        [on.add(x0, x1), on.sub(x0, x1), on.add(x2, x3), on.sub(x2, x3)]
    }

    /// The first of two layers back, of values below 2p: sums at even places, reduced, and products at odd ones.
    /// Powers are those of the mirrored block, which are the negative inverses.
    #[inline(always)]
    fn halves_back(self, [x0, x1, x2, x3]: Quad<D>, [_, even, odd]: [D::Four; 3]) -> Quad<D> {
        let on = self.on;
        let (sum0, sum2) = (self.reduce(on.add(x0, x1)), self.reduce(on.add(x2, x3)));
        [sum0, self.mul(on.sub(x1, x0), odd), sum2, self.mul(on.sub(x3, x2), even)]
    }

    /// Two layers back of values below 2p.
    #[inline(always)]
    fn back(self, x: Quad<D>, powers: [D::Four; 3]) -> Quad<D> {
        let on = self.on;
        let [x0, x1, x2, x3] = self.halves_back(x, powers);
        let differences = [on.sub(x2, x0), on.sub(x3, x1)].map(|x| self.mul(x, powers[0]));
        [on.add(x0, x2), on.add(x1, x3), differences[0], differences[1]]
    }
}

/// Blocks after the first pass, of two layers or of one, so that the rest are pairs.
fn first_blocks(values: &[[f64; 4]]) -> usize {
    if values.len().ilog2().is_multiple_of(2) { 4 } else { 2 }
}

/// Coefficients to values.
#[inline(always)]
pub(in crate::simd) fn forward<D: Doubles>(on: D, roots: &Roots, limb: &mut [u64]) {
    let (prime, values) = (Prime::new(on, roots.p), fours_mut(limb));
    let n_blocks = first_blocks(values);
    match n_blocks {
        4 => pass::<D, true>(prime, roots, values, 1),
        _ => first_layer(prime, roots, values),
    }
    let span = values.len() / n_blocks;
    let (span, block) = passes(prime, roots, values, span, n_blocks, PART / 4);
    for (i, part) in values.chunks_exact_mut(span).enumerate() {
        let (_, leaf) = passes(prime, roots, part, span, block + i, LEAF / 4);
        for (k, values) in part.as_chunks_mut().0.iter_mut().enumerate() {
            leaf_forward(prime, roots, values, leaf + k);
        }
    }
}

/// Passes over blocks of `span`, of which `block` is the first, until they are no longer than `end`.
#[inline(always)]
fn passes<D: Doubles>(
    prime: Prime<D>,
    roots: &Roots,
    values: &mut [[f64; 4]],
    mut span: usize,
    mut block: usize,
    end: usize,
) -> (usize, usize) {
    while span > end {
        for (i, values) in values.chunks_exact_mut(span).enumerate() {
            pass::<D, false>(prime, roots, values, block + i);
        }
        (span, block) = (span / 4, 4 * block);
    }
    (span, block)
}

/// Quarters of a block, side by side.
#[inline(always)]
fn quarters(values: &mut [[f64; 4]]) -> impl Iterator<Item = [&mut [f64; 4]; 4]> {
    let (low, high) = values.split_at_mut(values.len() / 2);
    let (x0, x1) = low.split_at_mut(low.len() / 2);
    let (x2, x3) = high.split_at_mut(high.len() / 2);
    x0.iter_mut().zip(x1).zip(x2).zip(x3).map(|(((x0, x1), x2), x3)| [x0, x1, x2, x3])
}

/// Two layers of a block; the first ones find words.
#[inline(always)]
fn pass<D: Doubles, const FIRST: bool>(
    prime: Prime<D>,
    roots: &Roots,
    values: &mut [[f64; 4]],
    block: usize,
) {
    let powers = roots.of_block(prime.on, block);
    for places in quarters(values) {
        let mut x = places.each_ref().map(|place| prime.on.load(place));
        if FIRST {
            x = x.map(|x| prime.widen(x));
        } else {
            x[0] = prime.reduce(x[0]);
        }
        places.into_iter().zip(prime.forward(x, powers)).for_each(|(place, x)| prime.on.store(place, x));
    }
}

/// The first layer alone.
#[inline(always)]
fn first_layer<D: Doubles>(prime: Prime<D>, roots: &Roots, values: &mut [[f64; 4]]) {
    let (on, power) = (prime.on, prime.on.splat(roots.powers[1]));
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (low, high) in low.iter_mut().zip(high) {
        let (x, y) = (prime.load(low), prime.mul(prime.load(high), power));
        on.store(low, on.add(x, y));
        on.store(high, on.sub(x, y));
    }
}

/// The last four layers of sixteen neighbours.
#[inline(always)]
fn leaf_forward<D: Doubles>(prime: Prime<D>, roots: &Roots, values: &mut [[f64; 4]; 4], block: usize) {
    let on = prime.on;
    let mut rows = values.each_ref().map(|row| on.load(row));
    rows[0] = prime.reduce(rows[0]);
    let mut columns = on.transpose(prime.forward(rows, roots.of_block(on, block)));
    columns[0] = prime.reduce(columns[0]);
    let leaf = &roots.leaves[block - roots.leaves.len()];
    let columns = prime.forward(columns, leaf.each_ref().map(|powers| on.load(powers)));
    let rows = on.transpose(columns.map(|x| prime.reduce(x)));
    values.iter_mut().zip(rows).for_each(|(place, x)| prime.store(place, x));
}

/// Values to coefficients times `N · factor`.
#[inline(always)]
pub(in crate::simd) fn inverse<D: Doubles>(on: D, roots: &Roots, limb: &mut [u64], factor: Factor) {
    let (prime, values) = (Prime::new(on, roots.p), fours_mut(limb));
    let (len, n_blocks) = (values.len(), first_blocks(values));
    let mut span = len / n_blocks;
    while span > PART / 4 {
        span /= 4;
    }
    for (i, part) in values.chunks_exact_mut(span).enumerate() {
        let leaf = 2 * roots.leaves.len() - 1 - i * (span / 4);
        for (k, values) in part.as_chunks_mut().0.iter_mut().enumerate() {
            leaf_back(prime, roots, values, leaf - k);
        }
        passes_back(prime, roots, part, LEAF / 4, leaf, span);
    }
    passes_back(prime, roots, values, span, 2 * (len / span) - 1, len / n_blocks);
    let factor = on.splat(centred(roots.p, factor.value));
    match n_blocks {
        4 => last_pass(prime, roots, values, factor),
        _ => last_layer(prime, roots, values, factor),
    }
}

/// The first four layers back, of sixteen neighbours whose mirrored block is given. Rows are read in
/// mirrored order, so that each meets its powers.
#[inline(always)]
fn leaf_back<D: Doubles>(prime: Prime<D>, roots: &Roots, values: &mut [[f64; 4]; 4], block: usize) {
    let on = prime.on;
    let mut rows = values.each_ref().map(|row| prime.load(row));
    rows.reverse();
    let leaf = &roots.leaves[block - roots.leaves.len()];
    let columns = prime.back(on.transpose(rows), leaf.each_ref().map(|powers| on.load(powers)));
    let mut rows = on.transpose(columns);
    rows.reverse();
    let rows = prime.back(rows, roots.of_block(on, block));
    values.iter_mut().zip(rows).for_each(|(place, x)| on.store(place, x));
}

/// Passes that make blocks of `span` as long as `end`; `block` is the mirrored one of the first.
#[inline(always)]
fn passes_back<D: Doubles>(
    prime: Prime<D>,
    roots: &Roots,
    values: &mut [[f64; 4]],
    mut span: usize,
    mut block: usize,
    end: usize,
) {
    while span < end {
        (span, block) = (4 * span, block / 4);
        for (i, values) in values.chunks_exact_mut(span).enumerate() {
            let powers = roots.of_block(prime.on, block - i);
            for places in quarters(values) {
                let x = prime.back(places.each_ref().map(|place| prime.on.load(place)), powers);
                places.into_iter().zip(x).for_each(|(place, x)| prime.on.store(place, x));
            }
        }
    }
}

/// The last two layers back, whose results are scaled and words.
#[inline(always)]
fn last_pass<D: Doubles>(prime: Prime<D>, roots: &Roots, values: &mut [[f64; 4]], factor: D::Four) {
    let (on, powers) = (prime.on, roots.of_block(prime.on, 1));
    let scaled = prime.reduce(prime.mul(powers[0], factor));
    for places in quarters(values) {
        let x = places.each_ref().map(|place| on.load(place));
        let [x0, x1, x2, x3] = prime.halves_back(x, powers);
        let sums = [on.add(x0, x2), on.add(x1, x3)].map(|x| prime.mul(x, factor));
        let differences = [on.sub(x2, x0), on.sub(x3, x1)].map(|x| prime.mul(x, scaled));
        let x = sums.into_iter().chain(differences);
        places.into_iter().zip(x).for_each(|(place, x)| prime.store(place, x));
    }
}

/// The last layer alone, whose results are scaled and words.
#[inline(always)]
fn last_layer<D: Doubles>(prime: Prime<D>, roots: &Roots, values: &mut [[f64; 4]], factor: D::Four) {
    let on = prime.on;
    let scaled = prime.reduce(prime.mul(on.splat(roots.powers[1]), factor));
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (low, high) in low.iter_mut().zip(high) {
        let (x, y) = (on.load(low), on.load(high));
        prime.store(low, prime.mul(on.add(x, y), factor));
        prime.store(high, prime.mul(on.sub(y, x), scaled));
    }
}
