//! The number-theoretic transform with lazily reduced butterflies (Harvey,
//! "Faster arithmetic for number-theoretic transforms", 2014).
//!
//! Levels of the tree are done three at a time in registers, wide ones first,
//! and a part that fits the first-level cache is finished before the next is
//! begun. The last three levels lie within vectors, which are transposed for them
//! and back. Two limbs of one prime go side by side where there are two: they
//! share the factors, which are half of what is read, and hide each other's
//! latency.
//!
//! Where the prime leaves room, values grow from level to level instead of being
//! reduced, and bits above the 52nd are left to themselves: products ignore them.

use super::x86::{Ifma, Prime, Scaler, Word, load, splat, store};
use crate::modulus::{Factor, Modulus};
use crate::transform::{COLUMN_FACTORS, Twiddles};
use std::arch::x86_64::*;

/// Words per vector.
const LANES: usize = 8;
/// Words of the parts that the last six levels work on.
const TAIL: usize = LANES * LANES;

/// Defines a method of [`Ifma`] that picks the reduction and the number of limbs.
macro_rules! picked {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*)) => {
        impl Ifma {
            $(#[$doc])*
            pub(crate) fn $name(self, m: &Modulus, limbs: &mut [&mut [u64]], twiddles: &Twiddles, $($arg: $ty),*) {
                let roomy = is_roomy(m, twiddles.degree());
                for limbs in limbs.chunks_mut(2) {
                    // SAFETY: `self` exists only where the features that the
                    // functions enable were found; they require nothing else.
                    unsafe {
                        match (limbs, roomy) {
                            ([a, b], true) => $name::<true, 2>(m, [&mut **a, &mut **b], twiddles, $($arg),*),
                            ([a, b], false) => $name::<false, 2>(m, [&mut **a, &mut **b], twiddles, $($arg),*),
                            ([a], true) => $name::<true, 1>(m, [&mut **a], twiddles, $($arg),*),
                            ([a], false) => $name::<false, 1>(m, [&mut **a], twiddles, $($arg),*),
                            _ => unreachable!("chunks of one or two"),
                        }
                    }
                }
            }
        }
    };
}

picked! {
    /// Coefficients below 4p to values, for limbs of one prime; see [`crate::transform`].
    forward()
}
picked! {
    /// Values to coefficients times `N · factor`, for limbs of one prime.
    inverse(factor: Factor)
}

/// Whether values may grow by 2p on each level, and a sum of sixteen stays in range.
fn is_roomy(m: &Modulus, degree: usize) -> bool {
    let growth = 4 + 2 * u64::from(degree.ilog2());
    m.p.saturating_mul(growth.max(32)) <= 1 << 52
}

/// What butterflies need: a prime and one direction's factors.
struct Tree<'a> {
    prime: Prime,
    minus_p: Word,
    /// 2p, 4p, 8p: more than what is subtracted on the levels of a pass.
    bounds: [Word; 3],
    twiddles: &'a Twiddles,
}

impl<'a> Tree<'a> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new(m: &Modulus, twiddles: &'a Twiddles) -> Tree<'a> {
        let bounds = [splat(2 * m.p), splat(4 * m.p), splat(8 * m.p)];
        Tree { prime: Prime::new(m), minus_p: splat((1 << 52) - m.p), bounds, twiddles }
    }

    /// The factor of a node in every lane.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn factor(&self, node: usize) -> Scaler {
        let factor = &self.twiddles.nodes[node];
        Scaler { value: splat(factor.value), ratio: splat(factor.ratio) }
    }

    /// y · factor below 2p, with nothing said of the bits above 52.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn open_product(&self, y: Word, factor: Scaler) -> Word {
        let zero = _mm512_setzero_si512();
        let quotient = _mm512_madd52hi_epu64(zero, y, factor.ratio);
        let low = _mm512_madd52lo_epu64(zero, y, factor.value);
        _mm512_madd52lo_epu64(low, quotient, self.minus_p)
    }

    /// y · factor below 2p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn product(&self, y: Word, factor: Scaler) -> Word {
        _mm512_and_si512(self.open_product(y, factor), self.prime.mask)
    }

    /// (x + r·y, x - r·y), each up to 2p larger than x. Without room, x is
    /// brought below 2p first.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn split<const ROOMY: bool>(&self, x: Word, y: Word, factor: Scaler) -> [Word; 2] {
        let (x, product) = match ROOMY {
            true => (x, self.open_product(y, factor)),
            false => (self.prime.fold_twice(x), self.product(y, factor)),
        };
        [_mm512_add_epi64(x, product), _mm512_sub_epi64(_mm512_add_epi64(x, self.prime.twice), product)]
    }

    /// (x + y, (x - y)·r) for x and y below `bounds[depth]`; the second below
    /// 2p, and without room the first too.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn merge<const ROOMY: bool>(&self, x: Word, y: Word, factor: Scaler, depth: usize) -> [Word; 2] {
        let sum = _mm512_add_epi64(x, y);
        match ROOMY {
            true => {
                let difference = _mm512_sub_epi64(_mm512_add_epi64(x, self.bounds[depth]), y);
                [sum, self.open_product(difference, factor)]
            }
            false => {
                let difference = _mm512_sub_epi64(_mm512_add_epi64(x, self.prime.twice), y);
                [self.prime.fold_twice(sum), self.product(difference, factor)]
            }
        }
    }

    /// ((x + y)·above, (x - y)·below), canonical, for x and y below 8p with
    /// room and below 2p without.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn finish<const ROOMY: bool>(&self, x: Word, y: Word, [above, below]: [Scaler; 2]) -> [Word; 2] {
        let bound = self.bounds[if ROOMY { 2 } else { 0 }];
        let difference = _mm512_sub_epi64(_mm512_add_epi64(x, bound), y);
        let sum = self.product(_mm512_add_epi64(x, y), above);
        [self.prime.fold(sum), self.prime.fold(self.product(difference, below))]
    }

    /// Any open value to below 2p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn settle(&self, x: Word) -> Word {
        let quotient = _mm512_madd52hi_epu64(_mm512_setzero_si512(), x, self.prime.one.ratio);
        _mm512_madd52lo_epu64(x, quotient, self.minus_p)
    }

    /// Below p, from what [`Tree::split`] leaves.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn canonical<const ROOMY: bool>(&self, x: Word) -> Word {
        match ROOMY {
            true => self.prime.fold(_mm512_and_si512(self.settle(x), self.prime.mask)),
            false => self.prime.fold(self.prime.fold_twice(x)),
        }
    }
}

/// Eight blocks of eight words as columns: lane l of row i is word i of block l.
/// Its nodes are counted from 1 at the blocks' own.
struct Columns<'a> {
    tree: &'a Tree<'a>,
    factors: &'a [[[u64; LANES]; 2]; COLUMN_FACTORS],
}

impl Columns<'_> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn factor(&self, node: usize) -> Scaler {
        let [value, ratio] = &self.factors[node - 1];
        Scaler { value: load(value), ratio: load(ratio) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn split<const ROOMY: bool>(&self, x: Word, y: Word, factor: Scaler) -> [Word; 2] {
        self.tree.split::<ROOMY>(x, y, factor)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn merge<const ROOMY: bool>(&self, x: Word, y: Word, factor: Scaler, depth: usize) -> [Word; 2] {
        self.tree.merge::<ROOMY>(x, y, factor, depth)
    }
}

/// One level on pairs of an array of rows. Macros, because functions would pass
/// arrays of vectors through memory.
macro_rules! split_level {
    ($t:ident, $roomy:ident, $node:expr, $w:ident, $([$x:literal $y:literal])+) => {{
        let factor = $t.factor($node);
        $( for k in 0..K {
            [$w[$x][k], $w[$y][k]] = $t.split::<$roomy>($w[$x][k], $w[$y][k], factor);
        } )+
    }};
}

macro_rules! merge_level {
    ($t:ident, $roomy:ident, $node:expr, $w:ident, $depth:literal, $([$x:literal $y:literal])+) => {{
        let factor = $t.factor($node);
        $( for k in 0..K {
            [$w[$x][k], $w[$y][k]] = $t.merge::<$roomy>($w[$x][k], $w[$y][k], factor, $depth);
        } )+
    }};
}

/// All levels of the tree below a node on the given rows, widest first.
macro_rules! split {
    ($t:ident, $r:ident, $n:expr, $w:ident, $a:literal $b:literal) => {
        split_level!($t, $r, $n, $w, [$a $b]);
    };
    ($t:ident, $r:ident, $n:expr, $w:ident, $a:literal $b:literal $c:literal $d:literal) => {
        split_level!($t, $r, $n, $w, [$a $c] [$b $d]);
        split!($t, $r, 2 * $n, $w, $a $b);
        split!($t, $r, 2 * $n + 1, $w, $c $d);
    };
    ($t:ident, $r:ident, $n:expr, $w:ident, $a:literal $b:literal $c:literal $d:literal
        $e:literal $f:literal $g:literal $h:literal) => {
        split_level!($t, $r, $n, $w, [$a $e] [$b $f] [$c $g] [$d $h]);
        split!($t, $r, 2 * $n, $w, $a $b $c $d);
        split!($t, $r, 2 * $n + 1, $w, $e $f $g $h);
    };
}

/// All levels of the tree below a node on the given rows, widest last.
macro_rules! merge {
    ($t:ident, $r:ident, $n:expr, $w:ident, $a:literal) => {};
    ($t:ident, $r:ident, $n:expr, $w:ident, $a:literal $b:literal) => {
        merge_level!($t, $r, $n, $w, 0, [$a $b]);
    };
    ($t:ident, $r:ident, $n:expr, $w:ident, $a:literal $b:literal $c:literal $d:literal) => {
        merge!($t, $r, 2 * $n, $w, $a $b);
        merge!($t, $r, 2 * $n + 1, $w, $c $d);
        merge_level!($t, $r, $n, $w, 1, [$a $c] [$b $d]);
    };
    ($t:ident, $r:ident, $n:expr, $w:ident, $a:literal $b:literal $c:literal $d:literal
        $e:literal $f:literal $g:literal $h:literal) => {
        merge!($t, $r, 2 * $n, $w, $a $b $c $d);
        merge!($t, $r, 2 * $n + 1, $w, $e $f $g $h);
        merge_level!($t, $r, $n, $w, 2, [$a $e] [$b $f] [$c $g] [$d $h]);
    };
}

/// Brings the sums that a pass of merges leaves below 2p: the first half of the rows.
macro_rules! settle {
    ($t:ident, $roomy:ident, $w:ident, $half:literal) => {
        if $roomy {
            for i in 0..$half {
                for k in 0..K {
                    $w[i][k] = $t.settle($w[i][k]);
                }
            }
        }
    };
}

/// The levels of the inverse down to the top, whose results are scaled and canonical.
macro_rules! top {
    ($t:ident, $r:ident, $last:ident, $w:ident, [$($low:literal)+] [$($high:literal)+]) => {
        merge!($t, $r, 2, $w, $($low)+);
        merge!($t, $r, 3, $w, $($high)+);
        $( for k in 0..K {
            [$w[$low][k], $w[$high][k]] = $t.finish::<$r>($w[$low][k], $w[$high][k], $last);
        } )+
    };
}

/// Exchanges lanes and rows: within pairs of words, of pairs and of fours.
macro_rules! transpose {
    ($w:ident) => {
        let low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
        let high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
        for k in 0..K {
            for i in [0, 2, 4, 6] {
                let (x, y) = ($w[i][k], $w[i + 1][k]);
                ($w[i][k], $w[i + 1][k]) = (_mm512_unpacklo_epi64(x, y), _mm512_unpackhi_epi64(x, y));
            }
            for i in [0, 1, 4, 5] {
                let (x, y) = ($w[i][k], $w[i + 2][k]);
                $w[i][k] = _mm512_permutex2var_epi64(x, low, y);
                $w[i + 2][k] = _mm512_permutex2var_epi64(x, high, y);
            }
            for i in [0, 1, 2, 3] {
                let (x, y) = ($w[i][k], $w[i + 4][k]);
                $w[i][k] = _mm512_shuffle_i64x2::<0x44>(x, y);
                $w[i + 4][k] = _mm512_shuffle_i64x2::<0xee>(x, y);
            }
        }
    };
}

/// Runs a step on the rows that meet in the first levels of a part.
macro_rules! strided {
    ($parts:ident, $n:literal, |$w:ident| $step:block) => {{
        let stride = $parts[0].len() / LANES / $n;
        for column in 0..stride {
            let mut $w = [[_mm512_setzero_si512(); K]; $n];
            for i in 0..$n {
                for k in 0..K {
                    $w[i][k] = load(&$parts[k].as_chunks().0[i * stride + column]);
                }
            }
            $step
            for i in 0..$n {
                for k in 0..K {
                    store(&mut $parts[k].as_chunks_mut().0[i * stride + column], $w[i][k]);
                }
            }
        }
    }};
}

/// How many levels to do in one pass over a part, to leave no lone level.
fn levels_of_pass(len: usize) -> u32 {
    match (len / TAIL).ilog2() {
        levels @ 0..=3 => levels,
        4 => 2,
        _ => 3,
    }
}

/// Equal parts of limbs.
#[inline(always)]
fn part<'a, const K: usize>(limbs: &'a mut [&mut [u64]; K], len: usize, i: usize) -> [&'a mut [u64]; K] {
    limbs.each_mut().map(|limb| &mut limb[i * len..(i + 1) * len])
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn forward<const ROOMY: bool, const K: usize>(m: &Modulus, limbs: [&mut [u64]; K], twiddles: &Twiddles) {
    forward_part::<ROOMY, K>(&Tree::new(m, twiddles), 1, limbs);
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn forward_part<const ROOMY: bool, const K: usize>(tree: &Tree, node: usize, mut parts: [&mut [u64]; K]) {
    if parts[0].len() == TAIL {
        return forward_tail::<ROOMY, K>(tree, node, parts);
    }
    let levels = levels_of_pass(parts[0].len());
    match levels {
        1 => strided!(parts, 2, |w| {
            split!(tree, ROOMY, node, w, 0 1);
        }),
        2 => strided!(parts, 4, |w| {
            split!(tree, ROOMY, node, w, 0 1 2 3);
        }),
        _ => strided!(parts, 8, |w| {
            split!(tree, ROOMY, node, w, 0 1 2 3 4 5 6 7);
        }),
    }
    let len = parts[0].len() >> levels;
    for i in 0..1 << levels {
        forward_part::<ROOMY, K>(tree, (node << levels) + i, part(&mut parts, len, i));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn inverse<const ROOMY: bool, const K: usize>(
    m: &Modulus,
    mut limbs: [&mut [u64]; K],
    twiddles: &Twiddles,
    factor: Factor,
) {
    let tree = Tree::new(m, twiddles);
    let levels = levels_of_pass(limbs[0].len());
    inverse_below::<ROOMY, K>(&tree, 1, &mut limbs, levels);
    let below = m.factor(m.mul(factor.value, twiddles.nodes[1].value));
    let last = [Scaler::new(factor), Scaler::new(below)];
    match levels {
        0 | 1 => strided!(limbs, 2, |w| {
            top!(tree, ROOMY, last, w, [0][1]);
        }),
        2 => strided!(limbs, 4, |w| {
            top!(tree, ROOMY, last, w, [0 1] [2 3]);
        }),
        _ => strided!(limbs, 8, |w| {
            top!(tree, ROOMY, last, w, [0 1 2 3] [4 5 6 7]);
        }),
    }
}

/// Everything below the first `levels` levels of a part.
#[target_feature(enable = "avx512f,avx512ifma")]
fn inverse_below<const ROOMY: bool, const K: usize>(
    tree: &Tree,
    node: usize,
    parts: &mut [&mut [u64]; K],
    levels: u32,
) {
    let len = parts[0].len() >> levels;
    for i in 0..1 << levels {
        inverse_part::<ROOMY, K>(tree, (node << levels) + i, part(parts, len, i));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn inverse_part<const ROOMY: bool, const K: usize>(tree: &Tree, node: usize, mut parts: [&mut [u64]; K]) {
    if parts[0].len() == TAIL {
        return inverse_tail::<ROOMY, K>(tree, node, parts);
    }
    let levels = levels_of_pass(parts[0].len());
    inverse_below::<ROOMY, K>(tree, node, &mut parts, levels);
    match levels {
        1 => strided!(parts, 2, |w| {
            merge!(tree, ROOMY, node, w, 0 1);
            settle!(tree, ROOMY, w, 1);
        }),
        2 => strided!(parts, 4, |w| {
            merge!(tree, ROOMY, node, w, 0 1 2 3);
            settle!(tree, ROOMY, w, 2);
        }),
        _ => strided!(parts, 8, |w| {
            merge!(tree, ROOMY, node, w, 0 1 2 3 4 5 6 7);
            settle!(tree, ROOMY, w, 4);
        }),
    }
}

/// The last six levels: three between vectors, three within.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn forward_tail<const ROOMY: bool, const K: usize>(tree: &Tree, node: usize, parts: [&mut [u64]; K]) {
    let columns = Columns { tree, factors: tree.twiddles.columns_of(node) };
    strided!(parts, 8, |w| {
        split!(tree, ROOMY, node, w, 0 1 2 3 4 5 6 7);
        transpose!(w);
        split!(columns, ROOMY, 1, w, 0 1 2 3 4 5 6 7);
        for i in 0..8 {
            for k in 0..K {
                w[i][k] = tree.canonical::<ROOMY>(w[i][k]);
            }
        }
        transpose!(w);
    });
}

/// The first six levels of the inverse.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn inverse_tail<const ROOMY: bool, const K: usize>(tree: &Tree, node: usize, parts: [&mut [u64]; K]) {
    let columns = Columns { tree, factors: tree.twiddles.columns_of(node) };
    strided!(parts, 8, |w| {
        transpose!(w);
        merge!(columns, ROOMY, 1, w, 0 1 2 3 4 5 6 7);
        settle!(tree, ROOMY, w, 4);
        transpose!(w);
        merge!(tree, ROOMY, node, w, 0 1 2 3 4 5 6 7);
        settle!(tree, ROOMY, w, 4);
    });
}
