//! The negacyclic number-theoretic transform in doubles.
//!
//! Layers are done two at a time, from memory to memory, and the last four of a transform, whose distances are
//! 8, 4, 2 and 1, on sixteen neighbours in registers. Parts that outgrow the first-level cache are done
//! one after the other.
//! Source: Harvey, "Faster arithmetic for number-theoretic transforms" (2014), for sums that are reduced late: the
//! narrower the prime, the later. A product takes any factor up to `2^52 / p` times the prime ([`Prime::scale`]).
//! On the way there each layer adds p at most, from p: for primes below [`LAZY_FORWARD`] 17p after all 16 layers of
//! the longest transform. On the way back each layer at most doubles sums: 2^16 p for primes below [`LAZY_BACK`].
//! Others are reduced in every pass.

use super::{Doubles, Prime, Scaler, fours_mut};
use crate::modulus::{Factor, Modulus};

/// Values done in one go at the end.
const LEAF: usize = 16;
/// Values of a part that stays in the first-level cache.
const PART: usize = 4096;

/// Primes below this need no reduction before the end on the way there.
const LAZY_FORWARD: u64 = 1 << 47;
/// Primes below this need no reduction before the end on the way back.
const LAZY_BACK: u64 = 1 << 35;
/// Primes below this need one of four values reduced in a pass on the way back, which leaves all below 3p/2; wider ones
/// need two, which leaves them below 2p.
const ONE_BACK: u64 = 1 << 49;

/// Powers of a root of unity of order 2N modulo a prime.
#[derive(Debug)]
pub(crate) struct Roots {
    p: u64,
    /// Block i of 2^k is for power i of bit-reversed order among those of layer k, which begins at 2^k.
    powers: Box<[Power]>,
    /// Of each sixteen neighbours those of the last layers: four at distance 2, and at distance 1 the four even
    /// and the four odd ones; of each four the values and the ratios.
    leaves: Box<[[[[f64; 4]; 2]; 3]]>,
}

/// A residue between -p/2 and p/2, and its ratio to p.
#[derive(Clone, Copy, Debug)]
struct Power {
    value: f64,
    ratio: f64,
}

impl Power {
    fn new(p: u64, residue: u64) -> Power {
        let value = if residue > p / 2 { residue as f64 - p as f64 } else { residue as f64 };
        Power { value, ratio: value / p as f64 }
    }

    #[inline(always)]
    fn splat<D: Doubles>(self, on: D) -> Scaler<D> {
        Scaler { value: on.splat(self.value), ratio: on.splat(self.ratio) }
    }
}

impl Roots {
    /// Of vectors of `degree` residues, 32 at least.
    pub(crate) fn new(m: &Modulus, degree: usize, root: u64) -> Roots {
        let root = m.factor(root);
        let mut powers = vec![Power::new(m.p, 1); degree];
        let (mut power, shift) = (1, degree.leading_zeros() + 1);
        for k in 0..degree {
            powers[k.reverse_bits() >> shift] = Power::new(m.p, power);
            power = m.scale(power, root);
        }
        let fours = |four: [Power; 4]| [four.map(|power| power.value), four.map(|power| power.ratio)];
        let leaf = |i: usize| {
            let (at_two, last) = (&powers[degree / 4 + 4 * i..], &powers[degree / 2 + 8 * i..]);
            let part = |at: fn(usize) -> usize, of: &[Power]| fours(std::array::from_fn(|k| of[at(k)]));
            [part(|k| k, at_two), part(|k| 2 * k, last), part(|k| 2 * k + 1, last)]
        };
        let leaves = (0..degree / LEAF).map(leaf).collect();
        powers.truncate(degree / 4);
        Roots { p: m.p, powers: powers.into(), leaves }
    }

    /// Those of one block in two layers: of the block and of its halves.
    #[inline(always)]
    fn of_block<D: Doubles>(&self, on: D, block: usize) -> Powers<D> {
        let halves = &self.powers[2 * block..][..2];
        [self.powers[block].splat(on), halves[0].splat(on), halves[1].splat(on)]
    }

    /// Those of the last two layers of sixteen neighbours.
    #[inline(always)]
    fn of_leaf<D: Doubles>(&self, on: D, block: usize) -> Powers<D> {
        let [at_two, even, odd] = &self.leaves[block - self.leaves.len()];
        [fours(on, at_two), fours(on, even), fours(on, odd)]
    }
}

#[inline(always)]
fn fours<D: Doubles>(on: D, [value, ratio]: &[[f64; 4]; 2]) -> Scaler<D> {
    Scaler { value: on.load(value), ratio: on.load(ratio) }
}

/// Factors of two layers.
type Powers<D> = [Scaler<D>; 3];
/// Four values at each of four equal distances.
type Quad<D> = [<D as Doubles>::Four; 4];
/// Where they are in memory.
type Places<'a> = [&'a mut [f64; 4]; 4];

impl<D: Doubles> Prime<D> {
    /// Two layers forward. Where sums are reduced, values are below 3p, and the first is below p.
    #[inline(always)]
    fn forward(self, [x0, x1, x2, x3]: Quad<D>, [whole, even, odd]: Powers<D>) -> Quad<D> {
        let on = self.on;
        let (x2, x3) = (self.scale(x2, whole), self.scale(x3, whole));
        let [x0, x1, x2, x3] = [on.add(x0, x2), on.add(x1, x3), on.sub(x0, x2), on.sub(x1, x3)];
        let (x1, x3) = (self.scale(x1, even), self.scale(x3, odd));
        [on.add(x0, x1), on.sub(x0, x1), on.add(x2, x3), on.sub(x2, x3)]
    }

    /// Makes the first of values small enough for two layers forward, where sums are reduced.
    #[inline(always)]
    fn reduced<const LAZY: bool>(self, [x0, x1, x2, x3]: Quad<D>) -> Quad<D> {
        [if LAZY { x0 } else { self.reduce(x0) }, x1, x2, x3]
    }

    /// The first of two layers back: sums at even places, which are reduced if both sums of a pass are, and products
    /// at odd ones. Powers are those of the mirrored block, which are the negative inverses.
    #[inline(always)]
    fn halves_back<const REDUCED: usize>(
        self,
        [x0, x1, x2, x3]: Quad<D>,
        [_, even, odd]: Powers<D>,
    ) -> Quad<D> {
        let on = self.on;
        let (sum0, sum2) = (on.add(x0, x1), on.add(x2, x3));
        let [sum0, sum2] = if REDUCED == 2 { [self.reduce(sum0), self.reduce(sum2)] } else { [sum0, sum2] };
        [sum0, self.scale(on.sub(x1, x0), odd), sum2, self.scale(on.sub(x3, x2), even)]
    }

    /// Two layers back, with so many values reduced.
    #[inline(always)]
    fn back<const REDUCED: usize>(self, x: Quad<D>, powers: Powers<D>) -> Quad<D> {
        let on = self.on;
        let [x0, x1, x2, x3] = self.halves_back::<REDUCED>(x, powers);
        let sum = on.add(x0, x2);
        [
            if REDUCED == 1 { self.reduce(sum) } else { sum },
            on.add(x1, x3),
            self.scale(on.sub(x2, x0), powers[0]),
            self.scale(on.sub(x3, x1), powers[0]),
        ]
    }

    /// Values at four places.
    #[inline(always)]
    fn values(self, [a, b, c, d]: &Places) -> Quad<D> {
        let on = self.on;
        [on.load(a), on.load(b), on.load(c), on.load(d)]
    }

    /// Words at four places.
    #[inline(always)]
    fn words(self, [a, b, c, d]: &Places) -> Quad<D> {
        [self.load(a), self.load(b), self.load(c), self.load(d)]
    }

    #[inline(always)]
    fn set_values(self, places: Places, x: Quad<D>) {
        for (place, x) in places.into_iter().zip(x) {
            self.on.store(place, x);
        }
    }

    #[inline(always)]
    fn set_words(self, places: Places, x: Quad<D>) {
        for (place, x) in places.into_iter().zip(x) {
            self.store(place, x);
        }
    }
}

/// Blocks after the first pass, of two layers or of one, so that the rest are pairs.
fn first_blocks(values: &[[f64; 4]]) -> usize {
    if values.len().ilog2().is_multiple_of(2) { 4 } else { 2 }
}

/// Coefficients to values.
#[inline(always)]
pub(in crate::simd) fn forward<D: Doubles>(on: D, roots: &Roots, limb: &mut [u64]) {
    match roots.p < LAZY_FORWARD {
        true => forward_of::<D, true>(on, roots, limb),
        false => forward_of::<D, false>(on, roots, limb),
    }
}

#[inline(always)]
fn forward_of<D: Doubles, const LAZY: bool>(on: D, roots: &Roots, limb: &mut [u64]) {
    let (prime, values) = (Prime::new(on, roots.p), fours_mut(limb));
    let n_blocks = first_blocks(values);
    match n_blocks {
        4 => pass::<D, true, LAZY>(prime, roots, values, 1),
        _ => first_layer(prime, roots, values),
    }
    let span = values.len() / n_blocks;
    let (span, block) = passes::<D, LAZY>(prime, roots, values, span, n_blocks, PART / 4);
    for (i, part) in values.chunks_exact_mut(span).enumerate() {
        let (_, leaf) = passes::<D, LAZY>(prime, roots, part, span, block + i, LEAF / 4);
        leaves_forward::<D, LAZY>(prime, roots, part.as_chunks_mut().0, leaf);
    }
}

/// Passes over blocks of `span`, of which `block` is the first, until they are no longer than `end`.
#[inline(always)]
fn passes<D: Doubles, const LAZY: bool>(
    prime: Prime<D>,
    roots: &Roots,
    values: &mut [[f64; 4]],
    mut span: usize,
    mut block: usize,
    end: usize,
) -> (usize, usize) {
    while span > end {
        for (i, values) in values.chunks_exact_mut(span).enumerate() {
            pass::<D, false, LAZY>(prime, roots, values, block + i);
        }
        (span, block) = (span / 4, 4 * block);
    }
    (span, block)
}

/// Quarters of a block, side by side.
#[inline(always)]
fn quarters(values: &mut [[f64; 4]]) -> impl Iterator<Item = Places<'_>> {
    let (low, high) = values.split_at_mut(values.len() / 2);
    let (x0, x1) = low.split_at_mut(low.len() / 2);
    let (x2, x3) = high.split_at_mut(high.len() / 2);
    x0.iter_mut().zip(x1).zip(x2).zip(x3).map(|(((x0, x1), x2), x3)| [x0, x1, x2, x3])
}

/// Two layers of a block; the first ones find words.
#[inline(always)]
fn pass<D: Doubles, const FIRST: bool, const LAZY: bool>(
    prime: Prime<D>,
    roots: &Roots,
    values: &mut [[f64; 4]],
    block: usize,
) {
    let powers = roots.of_block(prime.on, block);
    for places in quarters(values) {
        let x = if FIRST { prime.words(&places) } else { prime.reduced::<LAZY>(prime.values(&places)) };
        prime.set_values(places, prime.forward(x, powers));
    }
}

/// The first layer alone.
#[inline(always)]
fn first_layer<D: Doubles>(prime: Prime<D>, roots: &Roots, values: &mut [[f64; 4]]) {
    let (on, power) = (prime.on, roots.powers[1].splat(prime.on));
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (low, high) in low.iter_mut().zip(high) {
        let (x, y) = (prime.load(low), prime.scale(prime.load(high), power));
        on.store(low, on.add(x, y));
        on.store(high, on.sub(x, y));
    }
}

/// The last four layers of sixteen neighbours each, of which `block` is the first, in steps that are short
/// enough for the next sixteen to begin before they end: processors look no further ahead.
#[inline(always)]
fn leaves_forward<D: Doubles, const LAZY: bool>(
    prime: Prime<D>,
    roots: &Roots,
    leaves: &mut [[[f64; 4]; 4]],
    block: usize,
) {
    let on = prime.on;
    for (k, leaf) in leaves.iter_mut().enumerate() {
        let places = leaf.each_mut();
        let rows = prime.forward(prime.reduced::<LAZY>(prime.values(&places)), roots.of_block(on, block + k));
        prime.set_values(places, rows);
    }
    for (k, leaf) in leaves.iter_mut().enumerate() {
        let places = leaf.each_mut();
        let columns = prime.reduced::<LAZY>(on.transpose(prime.values(&places)));
        prime.set_values(places, prime.forward(columns, roots.of_leaf(on, block + k)));
    }
    for leaf in leaves {
        let places = leaf.each_mut();
        let [a, b, c, d] = on.transpose(prime.values(&places));
        prime.set_words(places, [prime.reduce(a), prime.reduce(b), prime.reduce(c), prime.reduce(d)]);
    }
}

/// Values to coefficients times `N · factor`.
#[inline(always)]
pub(in crate::simd) fn inverse<D: Doubles>(on: D, roots: &Roots, limb: &mut [u64], factor: Factor) {
    match roots.p {
        ..LAZY_BACK => inverse_of::<D, 0>(on, roots, limb, factor),
        LAZY_BACK..ONE_BACK => inverse_of::<D, 1>(on, roots, limb, factor),
        _ => inverse_of::<D, 2>(on, roots, limb, factor),
    }
}

#[inline(always)]
fn inverse_of<D: Doubles, const REDUCED: usize>(on: D, roots: &Roots, limb: &mut [u64], factor: Factor) {
    let (prime, values) = (Prime::new(on, roots.p), fours_mut(limb));
    let (len, n_blocks) = (values.len(), first_blocks(values));
    let mut span = len / n_blocks;
    while span > PART / 4 {
        span /= 4;
    }
    for (i, part) in values.chunks_exact_mut(span).enumerate() {
        let leaf = 2 * roots.leaves.len() - 1 - i * (span / 4);
        leaves_back::<D, REDUCED>(prime, roots, part.as_chunks_mut().0, leaf);
        passes_back::<D, REDUCED>(prime, roots, part, LEAF / 4, leaf, span);
    }
    passes_back::<D, REDUCED>(prime, roots, values, span, 2 * (len / span) - 1, len / n_blocks);
    // Those of the differences have the power of their layer too.
    let power = roots.powers[1].value as i128 * i128::from(factor.value);
    let power = Power::new(roots.p, power.rem_euclid(i128::from(roots.p)) as u64).splat(on);
    let factors = [Power::new(roots.p, factor.value).splat(on), power];
    match n_blocks {
        4 => last_pass::<D, REDUCED>(prime, roots, values, factors),
        _ => last_layer(prime, values, factors),
    }
}

/// The first four layers back, of sixteen neighbours each, of which `block` is the mirrored one of the first. Rows
/// are read in mirrored order, so that each meets its powers.
#[inline(always)]
fn leaves_back<D: Doubles, const REDUCED: usize>(
    prime: Prime<D>,
    roots: &Roots,
    leaves: &mut [[[f64; 4]; 4]],
    block: usize,
) {
    let on = prime.on;
    for (k, leaf) in leaves.iter_mut().enumerate() {
        let places = leaf.each_mut();
        let [a, b, c, d] = prime.words(&places);
        let columns = prime.back::<REDUCED>(on.transpose([d, c, b, a]), roots.of_leaf(on, block - k));
        prime.set_values(places, columns);
    }
    for (k, leaf) in leaves.iter_mut().enumerate() {
        let places = leaf.each_mut();
        let [d, c, b, a] = on.transpose(prime.values(&places));
        prime.set_values(places, prime.back::<REDUCED>([a, b, c, d], roots.of_block(on, block - k)));
    }
}

/// Passes that make blocks of `span` as long as `end`; `block` is the mirrored one of the first.
#[inline(always)]
fn passes_back<D: Doubles, const REDUCED: usize>(
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
                let x = prime.back::<REDUCED>(prime.values(&places), powers);
                prime.set_values(places, x);
            }
        }
    }
}

/// The last two layers back, whose results are scaled and words.
#[inline(always)]
fn last_pass<D: Doubles, const REDUCED: usize>(
    prime: Prime<D>,
    roots: &Roots,
    values: &mut [[f64; 4]],
    [factor, power]: [Scaler<D>; 2],
) {
    let (on, powers) = (prime.on, roots.of_block(prime.on, 1));
    for places in quarters(values) {
        let [x0, x1, x2, x3] = prime.halves_back::<REDUCED>(prime.values(&places), powers);
        let (sum0, sum1) = (prime.scale(on.add(x0, x2), factor), prime.scale(on.add(x1, x3), factor));
        let (x2, x3) = (prime.scale(on.sub(x2, x0), power), prime.scale(on.sub(x3, x1), power));
        prime.set_words(places, [sum0, sum1, x2, x3]);
    }
}

/// The last layer alone, whose results are scaled and words.
#[inline(always)]
fn last_layer<D: Doubles>(prime: Prime<D>, values: &mut [[f64; 4]], [factor, power]: [Scaler<D>; 2]) {
    let on = prime.on;
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (low, high) in low.iter_mut().zip(high) {
        let (x, y) = (on.load(low), on.load(high));
        prime.store(low, prime.scale(on.add(x, y), factor));
        prime.store(high, prime.scale(on.sub(y, x), power));
    }
}
