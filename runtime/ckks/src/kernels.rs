//! Loops over the residues of one limb, each in a portable form and, for
//! primes that its machine has them for, vector forms in [`crate::simd`].
//!
//! All forms take and leave canonical residues, so they agree bit for bit.

use crate::automorphism::{Automorphism, BLOCK};
use crate::modulus::{Factor, LAZY_TERMS, Modulus, NARROW};
use crate::packed::Residues;
use crate::simd::{self, Vectors};

/// Defines the entry point of each kernel, which picks the form, by a method of
/// [`Vectors`] where one is named.
macro_rules! kernels {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) $(by $form:ident)?;)*) => { $(
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name(m: &Modulus, $($arg: $ty),*) {
            match m.vectors$(.$form())? {
                Vectors::None | Vectors::Sums(_) => portable::$name(m, $($arg),*),
                Vectors::Avx2(avx2) => avx2.$name(m, $($arg),*),
                Vectors::Fma(fma) => fma.$name(m, $($arg),*),
                Vectors::Ifma(ifma) => ifma.$name(m, $($arg),*),
            }
        }
    )* };
}

kernels! {
    /// x += y.
    add_assign(x: &mut [u64], y: &[u64]) by of_sums;
    /// x -= y.
    sub_assign(x: &mut [u64], y: &[u64]) by of_sums;
    /// x *= factor.
    scale(x: &mut [u64], factor: Factor);
    /// x += y, for one y.
    add_scalar(x: &mut [u64], y: u64) by of_sums;
    /// out += x · factor.
    add_scaled(out: &mut [u64], x: &[u64], factor: Factor);
    /// out = (x - y) · factor, where `out` holds y.
    sub_scale(out: &mut [u64], x: &[u64], factor: Factor);
    /// out = Σ a·b over pairs of limbs.
    dot(out: &mut [u64], a: &[Residues], b: &[Residues]);
    /// (out0, out1) = (Σ a·b0, Σ a·b1) over triples of limbs, of which the outputs
    /// are the part from residue `start` on.
    dot2(start: usize, out0: &mut [u64], out1: &mut [u64], a: &[Residues], b0: &[Residues], b1: &[Residues]);
    /// out += Σ weight · row over rows of a panel, which are as long as `out`; fewer
    /// than 2^20 terms.
    add_weighted(out: &mut [u64], panel: &[u64], terms: &[Weighted]);
    /// outs[k] (+)= Σ digit · pair of rows of keys[k], rows counted from `first`,
    /// for at most `lazy_terms` digits.
    key_products(outs: &mut [[&mut [u64]; 2]], digits: &[&[u64]], keys: &[Residues], first: First);
}

/// out = (x mod p) - offset, for x below 2^52, or any x when `wide`; of any length.
pub(crate) fn reduce_offset(m: &Modulus, out: &mut [u64], x: &[u64], offset: u64, wide: bool) {
    let in_blocks = x.len().is_multiple_of(simd::BLOCK);
    match m.vectors {
        Vectors::Avx2(avx2) if in_blocks => avx2.reduce_offset(m, out, x, offset),
        Vectors::Fma(fma) if in_blocks && !wide => fma.reduce_offset(m, out, x, offset),
        Vectors::Ifma(ifma) if in_blocks && !wide => ifma.reduce_offset(m, out, x, offset),
        Vectors::None | Vectors::Sums(_) | Vectors::Avx2(_) | Vectors::Fma(_) | Vectors::Ifma(_) => {
            portable::reduce_offset(m, out, x, offset)
        }
    }
}

/// out = Σ weight·y over at most 15 limbs of words below `bound`, at most 2^61.
pub(crate) fn combine(m: &Modulus, out: &mut [u64], y: &[&[u64]], weights: &[u64], bound: u64) {
    match m.vectors {
        Vectors::Avx2(avx2) if bound <= NARROW => avx2.combine(m, out, y, weights, bound),
        Vectors::Fma(fma) if bound <= NARROW => fma.combine(m, out, y, weights, bound),
        Vectors::Ifma(ifma) if bound <= NARROW => ifma.combine(m, out, y, weights, bound),
        Vectors::None | Vectors::Sums(_) | Vectors::Avx2(_) | Vectors::Fma(_) | Vectors::Ifma(_) => {
            portable::combine(m, out, y, weights)
        }
    }
}

/// How many times each sum of weighted words exceeds the centred integer by the
/// product of the primes: round(Σ word / prime).
pub(crate) fn overflow(vectors: Vectors, out: &mut [u64], words: &[&[u64]], reciprocals: &[f64]) {
    match vectors {
        Vectors::None | Vectors::Sums(_) => portable::overflow(out, words, reciprocals),
        Vectors::Avx2(avx2) => avx2.overflow(out, words, reciprocals),
        Vectors::Fma(fma) => fma.overflow(out, words, reciprocals),
        Vectors::Ifma(ifma) => ifma.overflow(out, words, reciprocals),
    }
}

/// A row of a panel and its weight, a residue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weighted {
    pub row: u32,
    pub weight: u64,
}

/// Where the rows of a key begin that belong to the first of some digits.
#[derive(Clone, Copy)]
pub(crate) struct First {
    pub digit: usize,
}

impl First {
    /// Whether sums begin here.
    pub fn is_fresh(self) -> bool {
        self.digit == 0
    }
}

/// The values of a(X^g) from those of a.
pub(crate) fn permute(vectors: Vectors, out: &mut [u64], x: &[u64], map: &Automorphism) {
    match vectors {
        Vectors::None | Vectors::Sums(_) => portable::permute(out, x, map),
        Vectors::Avx2(avx2) => avx2.permute(out, x, map),
        Vectors::Fma(fma) => fma.permute(out, x, map),
        Vectors::Ifma(ifma) => ifma.permute(out, x, map),
    }
}

/// The forms every machine runs.
pub(crate) mod portable {
    use super::*;

    pub(crate) fn add_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
        x.iter_mut().zip(y).for_each(|(x, &y)| *x = m.add(*x, y));
    }

    pub(crate) fn sub_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
        x.iter_mut().zip(y).for_each(|(x, &y)| *x = m.sub(*x, y));
    }

    pub(crate) fn scale(m: &Modulus, x: &mut [u64], factor: Factor) {
        x.iter_mut().for_each(|x| *x = m.scale(*x, factor));
    }

    pub(crate) fn add_scalar(m: &Modulus, x: &mut [u64], y: u64) {
        x.iter_mut().for_each(|x| *x = m.add(*x, y));
    }

    pub(crate) fn add_scaled(m: &Modulus, out: &mut [u64], x: &[u64], factor: Factor) {
        out.iter_mut().zip(x).for_each(|(y, &x)| *y = m.add(*y, m.scale(x, factor)));
    }

    pub(crate) fn sub_scale(m: &Modulus, out: &mut [u64], x: &[u64], factor: Factor) {
        out.iter_mut().zip(x).for_each(|(y, &x)| *y = m.scale(x + m.p - *y, factor));
    }

    pub(crate) fn reduce_offset(m: &Modulus, out: &mut [u64], x: &[u64], offset: u64) {
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = m.sub(m.reduce(x), offset));
    }

    pub(crate) fn combine(m: &Modulus, out: &mut [u64], y: &[&[u64]], weights: &[u64]) {
        for (i, out) in out.iter_mut().enumerate() {
            let sum = y.iter().zip(weights).map(|(y, &w)| u128::from(y[i]) * u128::from(w)).sum();
            *out = m.reduce_wide(sum);
        }
    }

    pub(crate) fn overflow(out: &mut [u64], words: &[&[u64]], reciprocals: &[f64]) {
        for (k, out) in out.iter_mut().enumerate() {
            let parts = words.iter().zip(reciprocals);
            let quotient: f64 = parts.map(|(limb, reciprocal)| limb[k] as f64 * reciprocal).sum();
            *out = (quotient + 0.5) as u64;
        }
    }

    pub(crate) fn permute(out: &mut [u64], x: &[u64], map: &Automorphism) {
        let (blocks, _) = x.as_chunks::<BLOCK>();
        for (out, &source) in out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(&map.sources) {
            let block = &blocks[source as usize / BLOCK];
            *out = map.patterns[source as usize % BLOCK].map(|place| block[place as usize]);
        }
    }

    pub(crate) fn dot(m: &Modulus, out: &mut [u64], a: &[Residues], b: &[Residues]) {
        dot_from(m, 0, out, a, b);
    }

    fn dot_from(m: &Modulus, start: usize, out: &mut [u64], a: &[Residues], b: &[Residues]) {
        const LANES: usize = 8;
        for (block, out) in out.chunks_exact_mut(LANES).enumerate() {
            let at = start + block * LANES;
            let mut sums = [0u128; LANES];
            for (a, b) in a.chunks(LAZY_TERMS).zip(b.chunks(LAZY_TERMS)) {
                sums = sums.map(|sum| u128::from(m.reduce_wide(sum)));
                for (a, b) in a.iter().zip(b) {
                    add_products(&mut sums, &a.eight(at), &b.eight(at));
                }
            }
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = m.reduce_wide(sum));
        }
    }

    pub(crate) fn add_weighted(m: &Modulus, out: &mut [u64], panel: &[u64], terms: &[Weighted]) {
        let len = out.len();
        for (block, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            for terms in terms.chunks(LAZY_TERMS) {
                let mut sums = out.map(u128::from);
                for &Weighted { row, weight } in terms {
                    let at = row as usize * len + block * 8;
                    add_products(&mut sums, &panel[at..at + 8], &[weight; 8]);
                }
                *out = sums.map(|sum| m.reduce_wide(sum));
            }
        }
    }

    fn add_products(sums: &mut [u128], a: &[u64], b: &[u64]) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += u128::from(a) * u128::from(b);
        }
    }

    pub(crate) fn dot2(
        m: &Modulus,
        start: usize,
        out0: &mut [u64],
        out1: &mut [u64],
        a: &[Residues],
        b0: &[Residues],
        b1: &[Residues],
    ) {
        dot_from(m, start, out0, a, b0);
        dot_from(m, start, out1, a, b1);
    }

    pub(crate) fn key_products(
        m: &Modulus,
        outs: &mut [[&mut [u64]; 2]],
        digits: &[&[u64]],
        keys: &[Residues],
        first: First,
    ) {
        for (pair, key) in outs.iter_mut().zip(keys) {
            for (half, out) in pair.iter_mut().enumerate() {
                for (at, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                    let fresh = if first.is_fresh() { [0; 8] } else { *out };
                    let mut sums = fresh.map(u128::from);
                    for (i, digit) in digits.iter().enumerate() {
                        let place = key.row_place(digit.len(), 8 * at, 2 * (first.digit + i) + half);
                        add_products(&mut sums, &digit[8 * at..8 * at + 8], &key.eight(place));
                    }
                    *out = sums.map(|sum| m.reduce_wide(sum));
                }
            }
        }
    }
}
