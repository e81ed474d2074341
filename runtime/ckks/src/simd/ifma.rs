//! The instructions of AVX-512 IFMA machines.

use super::BLOCK;
use crate::automorphism::{self, Automorphism};
use crate::kernels::{First, Weighted};
use crate::modulus::{Factor, Modulus};
use crate::packed::Residues;
use std::arch::x86_64::*;

/// Proof that this machine has AVX-512 F, DQ, IFMA and VBMI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ifma(());

impl Ifma {
    /// The proof, where the machine gives it.
    pub(crate) fn detect() -> Option<Ifma> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512ifma")
            && is_x86_feature_detected!("avx512vbmi");
        present.then_some(Ifma(()))
    }

    pub(crate) fn overflow(self, out: &mut [u64], words: &[&[u64]], reciprocals: &[f64]) {
        // SAFETY: as for the kernels below.
        unsafe { overflow(out, words, reciprocals) }
    }

    pub(crate) fn permute(self, out: &mut [u64], x: &[u64], map: &Automorphism) {
        // SAFETY: as for the kernels below.
        unsafe { permute(out, x, map) }
    }
}

macro_rules! calls {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => { impl Ifma { $(
        #[inline]
        #[allow(clippy::too_many_arguments)] // The portable form takes one less.
        pub(crate) fn $name(self, m: &Modulus, $($arg: $ty),*) {
            // SAFETY: `self` exists only where `detect` found the features
            // that the function enables; it has no other requirement.
            unsafe { $name(m, $($arg),*) }
        }
    )* } };
}
super::sums!(calls);
super::products!(calls);

type Lane = [u64; 8];
/// Eight words.
type Word = __m512i;
/// Four vectors at once keep the multipliers busy.
type Quad = [Word; 4];

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &Lane) -> Word {
    // SAFETY: a reference to eight words covers the 64 bytes read; the
    // instruction takes any alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(words: &mut Lane, value: Word) {
    // SAFETY: as in `load`, for the 64 bytes written.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(word: u64) -> Word {
    _mm512_set1_epi64(word as i64)
}

fn lanes(words: &[u64]) -> &[Lane] {
    words.as_chunks().0
}

fn lanes_mut(words: &mut [u64]) -> &mut [Lane] {
    words.as_chunks_mut().0
}

/// A factor in every lane, its quotient cut to 52 bits.
#[derive(Clone, Copy)]
struct Scaler {
    value: Word,
    ratio: Word,
}

/// Constants of a prime in every lane.
#[derive(Clone, Copy)]
struct Prime {
    p: Word,
    twice: Word,
    mask: Word,
    one: Scaler,
    two52: Scaler,
}

impl Scaler {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new(factor: Factor) -> Scaler {
        Scaler { value: splat(factor.value), ratio: splat(factor.ratio >> 12) }
    }
}

impl Prime {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new(m: &Modulus) -> Prime {
        Prime {
            p: splat(m.p),
            twice: splat(2 * m.p),
            mask: splat((1 << 52) - 1),
            one: Scaler::new(m.one),
            two52: Scaler::new(m.two52),
        }
    }

    /// From `0..2p` to `0..p`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn fold(&self, x: Word) -> Word {
        _mm512_min_epu64(x, _mm512_sub_epi64(x, self.p))
    }

    /// From `0..4p` to `0..2p`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn fold_twice(&self, x: Word) -> Word {
        _mm512_min_epu64(x, _mm512_sub_epi64(x, self.twice))
    }

    /// x · factor for x below 2^52; the lazy result is below 2p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn scale(&self, x: Word, factor: Scaler) -> Word {
        let zero = _mm512_setzero_si512();
        let quotient = _mm512_madd52hi_epu64(zero, x, factor.ratio);
        let product = _mm512_madd52lo_epu64(zero, x, factor.value);
        let multiple = _mm512_madd52lo_epu64(zero, quotient, self.p);
        self.fold(_mm512_and_si512(_mm512_sub_epi64(product, multiple), self.mask))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn add(&self, x: Word, y: Word) -> Word {
        self.fold(_mm512_add_epi64(x, y))
    }

    /// x - y + p, in `0..2p`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn sub_lazy(&self, x: Word, y: Word) -> Word {
        _mm512_sub_epi64(_mm512_add_epi64(x, self.p), y)
    }

    /// low + 2^52 · high modulo p, where high stays below 2^52 after the
    /// carry of low. Both quotients are summed before they are multiplied:
    /// the difference is below 4p, hence exact modulo 2^52.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce(&self, low: Word, high: Word) -> Word {
        let zero = _mm512_setzero_si512();
        let high = _mm512_add_epi64(high, _mm512_srli_epi64::<52>(low));
        let low = _mm512_and_si512(low, self.mask);
        let quotient = _mm512_madd52hi_epu64(zero, high, self.two52.ratio);
        let quotient = _mm512_madd52hi_epu64(quotient, low, self.one.ratio);
        let sum = _mm512_madd52lo_epu64(low, high, self.two52.value);
        let multiple = _mm512_madd52lo_epu64(zero, quotient, self.p);
        let rest = _mm512_and_si512(_mm512_sub_epi64(sum, multiple), self.mask);
        self.fold(self.fold_twice(rest))
    }
}

#[target_feature(enable = "avx512f")]
fn add_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    let prime = Prime::new(m);
    for (x, y) in lanes_mut(x).iter_mut().zip(lanes(y)) {
        store(x, prime.add(load(x), load(y)));
    }
}

#[target_feature(enable = "avx512f")]
fn sub_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    let prime = Prime::new(m);
    for (x, y) in lanes_mut(x).iter_mut().zip(lanes(y)) {
        store(x, prime.fold(prime.sub_lazy(load(x), load(y))));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn scale(m: &Modulus, x: &mut [u64], factor: Factor) {
    let (prime, factor) = (Prime::new(m), Scaler::new(factor));
    for x in lanes_mut(x) {
        store(x, prime.scale(load(x), factor));
    }
}

#[target_feature(enable = "avx512f")]
fn add_scalar(m: &Modulus, x: &mut [u64], y: u64) {
    let (prime, y) = (Prime::new(m), splat(y));
    for x in lanes_mut(x) {
        store(x, prime.add(load(x), y));
    }
}

#[target_feature(enable = "avx512f")]
fn permute(out: &mut [u64], x: &[u64], map: &Automorphism) {
    let blocks = lanes(x);
    for (out, &source) in lanes_mut(out).iter_mut().zip(&map.sources) {
        let source = source as usize;
        let pattern = load(&map.patterns[source % automorphism::BLOCK]);
        store(out, _mm512_permutexvar_epi64(pattern, load(&blocks[source / automorphism::BLOCK])));
    }
}

/// Multiplies and adds apart, as the portable form does, so that both round alike.
#[target_feature(enable = "avx512f,avx512dq")]
fn overflow(out: &mut [u64], words: &[&[u64]], reciprocals: &[f64]) {
    for (i, out) in lanes_mut(out).iter_mut().enumerate() {
        let mut quotient = _mm512_setzero_pd();
        for (words, &reciprocal) in words.iter().zip(reciprocals) {
            let part = _mm512_cvtepu64_pd(load(&lanes(words)[i]));
            quotient = _mm512_add_pd(quotient, _mm512_mul_pd(part, _mm512_set1_pd(reciprocal)));
        }
        let rounded = _mm512_add_pd(quotient, _mm512_set1_pd(0.5));
        store(out, _mm512_cvttpd_epu64(rounded));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn add_scaled(m: &Modulus, out: &mut [u64], x: &[u64], factor: Factor) {
    let (prime, factor) = (Prime::new(m), Scaler::new(factor));
    for (out, x) in lanes_mut(out).iter_mut().zip(lanes(x)) {
        store(out, prime.add(load(out), prime.scale(load(x), factor)));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn sub_scale(m: &Modulus, out: &mut [u64], x: &[u64], factor: Factor) {
    let (prime, factor) = (Prime::new(m), Scaler::new(factor));
    for (out, x) in lanes_mut(out).iter_mut().zip(lanes(x)) {
        store(out, prime.scale(prime.sub_lazy(load(x), load(out)), factor));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce_offset(m: &Modulus, out: &mut [u64], x: &[u64], offset: u64) {
    let (prime, offset) = (Prime::new(m), splat(offset));
    for (out, x) in lanes_mut(out).iter_mut().zip(lanes(x)) {
        let residue = prime.scale(load(x), prime.one);
        store(out, prime.fold(prime.sub_lazy(residue, offset)));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn combine(m: &Modulus, out: &mut [u64], y: &[&[u64]], weights: &[u64], _: u64) {
    let prime = Prime::new(m);
    for (i, out) in lanes_mut(out).iter_mut().enumerate() {
        let (mut low, mut high) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        for (y, &weight) in y.iter().zip(weights) {
            let (y, weight) = (load(&lanes(y)[i]), splat(weight));
            low = _mm512_madd52lo_epu64(low, y, weight);
            high = _mm512_madd52hi_epu64(high, y, weight);
        }
        store(out, prime.reduce(low, high));
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn quad_of(words: &[u64]) -> Quad {
    let lanes = lanes(words);
    [load(&lanes[0]), load(&lanes[1]), load(&lanes[2]), load(&lanes[3])]
}

/// Four vectors of low and of high halves.
#[derive(Clone, Copy)]
struct Sums {
    low: Quad,
    high: Quad,
}

impl Sums {
    /// Nothing, or the residues summed so far.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn resume(out: &[u64], fresh: bool) -> Sums {
        let zero = [_mm512_setzero_si512(); 4];
        Sums { low: if fresh { zero } else { quad_of(out) }, high: zero }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add(&mut self, a: &Quad, b: &Quad) {
        for k in 0..4 {
            self.low[k] = _mm512_madd52lo_epu64(self.low[k], a[k], b[k]);
            self.high[k] = _mm512_madd52hi_epu64(self.high[k], a[k], b[k]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn finish(&self, prime: &Prime, out: &mut [u64]) {
        for (k, out) in lanes_mut(out).iter_mut().enumerate() {
            store(out, prime.reduce(self.low[k], self.high[k]));
        }
    }
}

/// Four vectors of residues that take W bytes each.
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi")]
fn quad<const W: usize, const AHEAD: usize>(residues: &Residues, at: usize) -> Quad {
    let bytes = &residues.bytes[at * W..];
    for line in 0..if AHEAD == 0 { 0 } else { BLOCK * W / 64 } {
        prefetch(bytes, AHEAD + 64 * line);
    }
    [
        vector::<W>(bytes),
        vector::<W>(&bytes[LANES * W..]),
        vector::<W>(&bytes[2 * LANES * W..]),
        vector::<W>(&bytes[3 * LANES * W..]),
    ]
}

const LANES: usize = 8;
/// How many bytes ahead of their use residues are fetched that come from memory.
const STREAM: usize = 1024;

#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch(bytes: &[u8], offset: usize) {
    _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(offset).cast());
}

#[inline]
#[target_feature(enable = "avx512f,avx512vbmi")]
fn vector<const W: usize>(bytes: &[u8]) -> Word {
    if W == 4 {
        let bytes: &[u8; 32] = bytes.first_chunk().expect("eight residues");
        // SAFETY: a reference to 32 bytes covers those read, at any alignment.
        return _mm512_cvtepu32_epi64(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) });
    }
    let bytes: &[u8; 64] = bytes.first_chunk().expect("eight residues and slack");
    // SAFETY: a reference to 64 bytes covers those read, at any alignment.
    let loaded = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
    match W {
        8 => loaded,
        _ => _mm512_maskz_permutexvar_epi8(
            const { kept_bytes(W) },
            load_bytes(const { &spread_bytes(W) }),
            loaded,
        ),
    }
}

/// Lanes keep their first `width` bytes.
const fn kept_bytes(width: usize) -> u64 {
    u64::MAX / 255 * ((1 << width) - 1)
}

/// Byte j of lane l comes from byte `width · l + j`.
const fn spread_bytes(width: usize) -> [u8; 64] {
    let mut bytes = [0; 64];
    let mut i = 0;
    while i < 64 {
        bytes[i] = ((i / 8 * width + i % 8) % 64) as u8;
        i += 1;
    }
    bytes
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(bytes: &[u8; 64]) -> Word {
    // SAFETY: as in `vector`.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Words of a tile that stays in the first-level cache.
const TILE: usize = 512;
/// Terms whose sum stays in registers.
const TERMS: usize = 12;
/// Words of each operand read in one go from memory, and how many terms side by side: longer
/// and fewer streams come faster.
const STRETCH: usize = 4096;
const STREAMS: usize = 4;

/// Calls a function of the widths of two operands.
macro_rules! by_width {
    ($name:ident, $a:expr, $b:expr, ($($arg:expr),*)) => {
        match ($a.first().map_or(8, |a| a.width), $b.first().map_or(8, |b| b.width)) {
            (8, 4) => $name::<8, 4>($($arg),*),
            (8, 5) => $name::<8, 5>($($arg),*),
            (8, 6) => $name::<8, 6>($($arg),*),
            (8, 7) => $name::<8, 7>($($arg),*),
            (4, 8) => $name::<4, 8>($($arg),*),
            (5, 8) => $name::<5, 8>($($arg),*),
            (6, 8) => $name::<6, 8>($($arg),*),
            (7, 8) => $name::<7, 8>($($arg),*),
            (8, 8) => $name::<8, 8>($($arg),*),
            _ => unreachable!("one operand at rest at most"),
        }
    };
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi")]
fn dot(m: &Modulus, out: &mut [u64], a: &[Residues], b: &[Residues]) {
    by_width!(dot_of, a, b, (m, out, a, b))
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi")]
fn dot2(
    m: &Modulus,
    start: usize,
    out0: &mut [u64],
    out1: &mut [u64],
    a: &[Residues],
    b0: &[Residues],
    b1: &[Residues],
) {
    by_width!(dot2_sized, a, b0, (m, start, out0, out1, a, b0, b1))
}

/// Partial sums go through `out`; their reduction leaves room for the next terms.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi")]
fn dot_of<const A: usize, const B: usize>(m: &Modulus, out: &mut [u64], a: &[Residues], b: &[Residues]) {
    let prime = Prime::new(m);
    for (tile, out) in out.chunks_mut(STRETCH).enumerate() {
        let start = tile * STRETCH;
        let group = STREAMS.min(m.lazy_terms);
        for (first, (a, b)) in a.chunks(group).zip(b.chunks(group)).enumerate() {
            for (block, out) in out.chunks_exact_mut(BLOCK).enumerate() {
                let at = start + block * BLOCK;
                let mut sums = Sums::resume(out, first == 0);
                for (a, b) in a.iter().zip(b) {
                    sums.add(&quad::<A, STREAM>(a, at), &quad::<B, STREAM>(b, at));
                }
                sums.finish(&prime, out);
            }
        }
    }
}

/// A part of a limb no longer than a tile is one of several turns on operands that are
/// in the cache; more comes from memory.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi")]
fn dot2_sized<const A: usize, const B: usize>(
    m: &Modulus,
    start: usize,
    out0: &mut [u64],
    out1: &mut [u64],
    a: &[Residues],
    b0: &[Residues],
    b1: &[Residues],
) {
    match out0.len() > TILE {
        true => dot2_of::<A, B, STREAM>(m, start, out0, out1, a, b0, b1),
        false => dot2_of::<A, B, 0>(m, start, out0, out1, a, b0, b1),
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi")]
fn dot2_of<const A: usize, const B: usize, const AHEAD: usize>(
    m: &Modulus,
    start: usize,
    out0: &mut [u64],
    out1: &mut [u64],
    a: &[Residues],
    b0: &[Residues],
    b1: &[Residues],
) {
    let prime = Prime::new(m);
    let n_terms = a.len().min(b0.len()).min(b1.len());
    let group = if AHEAD == 0 { TERMS } else { STREAMS }.min(m.lazy_terms);
    for (tile, (out0, out1)) in out0.chunks_mut(STRETCH).zip(out1.chunks_mut(STRETCH)).enumerate() {
        for first in (0..n_terms).step_by(group) {
            let terms = first..n_terms.min(first + group);
            let outs = out0.chunks_exact_mut(BLOCK).zip(out1.chunks_exact_mut(BLOCK));
            for (block, (out0, out1)) in outs.enumerate() {
                let at = start + tile * STRETCH + block * BLOCK;
                let mut sums0 = Sums::resume(out0, first == 0);
                let mut sums1 = Sums::resume(out1, first == 0);
                for term in terms.clone() {
                    let shared = quad::<A, STREAM>(&a[term], at);
                    sums0.add(&shared, &quad::<B, AHEAD>(&b0[term], at));
                    sums1.add(&shared, &quad::<B, AHEAD>(&b1[term], at));
                }
                sums0.finish(&prime, out0);
                sums1.finish(&prime, out1);
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn add_weighted(m: &Modulus, out: &mut [u64], panel: &[u64], terms: &[Weighted]) {
    let (prime, len) = (Prime::new(m), out.len());
    for terms in terms.chunks(m.lazy_terms) {
        for (block, out) in out.chunks_exact_mut(BLOCK).enumerate() {
            let mut sums = Sums::resume(out, false);
            for &Weighted { row, weight } in terms {
                let at = row as usize * len + block * BLOCK;
                sums.add(&quad_of(&panel[at..at + BLOCK]), &[splat(weight); 4]);
            }
            sums.finish(&prime, out);
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi")]
fn key_products(
    m: &Modulus,
    outs: &mut [[&mut [u64]; 2]],
    digits: &[&[u64]],
    keys: &[Residues],
    first: First,
) {
    match keys.first().map_or(8, |key| key.width) {
        4 => key_products_of::<4>(m, outs, digits, keys, first),
        5 => key_products_of::<5>(m, outs, digits, keys, first),
        6 => key_products_of::<6>(m, outs, digits, keys, first),
        7 => key_products_of::<7>(m, outs, digits, keys, first),
        _ => key_products_of::<8>(m, outs, digits, keys, first),
    }
}

/// Tile by tile, so that the digits of a tile stay in the first-level cache for all keys.
#[target_feature(enable = "avx512f,avx512ifma,avx512vbmi")]
fn key_products_of<const W: usize>(
    m: &Modulus,
    outs: &mut [[&mut [u64]; 2]],
    digits: &[&[u64]],
    keys: &[Residues],
    first: First,
) {
    let prime = Prime::new(m);
    let n_blocks = digits.first().map_or(0, |digit| digit.len() / BLOCK);
    for tile in (0..n_blocks).step_by(TILE / BLOCK) {
        for ([out0, out1], key) in outs.iter_mut().zip(keys) {
            for block in tile..n_blocks.min(tile + TILE / BLOCK) {
                let at = block * BLOCK;
                let (out0, out1) = (&mut out0[at..at + BLOCK], &mut out1[at..at + BLOCK]);
                let mut sums0 = Sums::resume(out0, first.is_fresh());
                let mut sums1 = Sums::resume(out1, first.is_fresh());
                let rows = (block * key.rows + 2 * first.digit) * BLOCK;
                for (i, digit) in digits.iter().enumerate() {
                    let digit = quad_of(&digit[at..at + BLOCK]);
                    sums0.add(&digit, &quad::<W, STREAM>(key, rows + 2 * i * BLOCK));
                    sums1.add(&digit, &quad::<W, STREAM>(key, rows + (2 * i + 1) * BLOCK));
                }
                sums0.finish(&prime, out0);
                sums1.finish(&prime, out1);
            }
        }
    }
}
