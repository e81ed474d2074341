//! The instructions of AVX2 machines, for primes from 2^20 to 2^32; sums and
//! differences are for all primes.
//!
//! A product of two residues fits a lane of 64 bits. As many as fit a lane
//! together are summed there; then the sum is split into halves of 32 bits, which go
//! to accumulators of their own.

use super::BLOCK;
use crate::automorphism::{self, Automorphism};
use crate::kernels::{First, Weighted};
use crate::modulus::{Factor, Modulus};
use crate::packed::Residues;
use std::arch::x86_64::*;
use std::ops::Range;

/// Proof that this machine has AVX2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Primes that all kernels take.
    pub(crate) const PRIMES: Range<u64> = 1 << 20..1 << 32;
    /// Terms that the accumulators of halves hold: each adds less than 2^32 to
    /// both, and the carry of the low one follows.
    pub(crate) const LAZY_TERMS: usize = 1 << 20;

    /// The proof, where the machine gives it.
    pub(crate) fn detect() -> Option<Avx2> {
        is_x86_feature_detected!("avx2").then_some(Avx2(()))
    }

    /// Words must stay below 2^52.
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
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => { impl Avx2 { $(
        #[inline]
        #[allow(clippy::too_many_arguments)] // The portable form takes one less.
        pub(crate) fn $name(self, m: &Modulus, $($arg: $ty),*) {
            // SAFETY: `self` exists only where `detect` found the feature
            // that the function enables; it has no other requirement.
            unsafe { $name(m, $($arg),*) }
        }
    )* } };
}
super::sums!(calls);
super::products!(calls);

type Lane = [u64; 4];
/// Four words.
type Word = __m256i;

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &Lane) -> Word {
    // SAFETY: a reference to four words covers the 32 bytes read; the
    // instruction takes any alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(words: &mut Lane, value: Word) {
    // SAFETY: as in `load`, for the 32 bytes written.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u64) -> Word {
    _mm256_set1_epi64x(word as i64)
}

fn lanes(words: &[u64]) -> &[Lane] {
    words.as_chunks().0
}

fn lanes_mut(words: &mut [u64]) -> &mut [Lane] {
    words.as_chunks_mut().0
}

/// Where the sign of a lane is set, one value, elsewhere the other.
#[inline]
#[target_feature(enable = "avx2")]
fn by_sign(sign: Word, negative: Word, other: Word) -> Word {
    let [sign, negative, other] =
        [_mm256_castsi256_pd(sign), _mm256_castsi256_pd(negative), _mm256_castsi256_pd(other)];
    _mm256_castpd_si256(_mm256_blendv_pd(other, negative, sign))
}

/// From `0..2p` to `0..p`.
#[inline]
#[target_feature(enable = "avx2")]
fn fold(p: Word, x: Word) -> Word {
    let less = _mm256_sub_epi64(x, p);
    by_sign(less, x, less)
}

/// x + y modulo p.
#[inline]
#[target_feature(enable = "avx2")]
fn sum(p: Word, x: Word, y: Word) -> Word {
    fold(p, _mm256_add_epi64(x, y))
}

/// x - y modulo p.
#[inline]
#[target_feature(enable = "avx2")]
fn difference(p: Word, x: Word, y: Word) -> Word {
    let difference = _mm256_sub_epi64(x, y);
    by_sign(difference, _mm256_add_epi64(difference, p), difference)
}

#[inline]
#[target_feature(enable = "avx2")]
fn high_half(x: Word) -> Word {
    _mm256_srli_epi64::<32>(x)
}

/// 2^52 as a double: its last bits count ones.
const MAGIC: f64 = (1u64 << 52) as f64;

/// A word below 2^52 as a double.
#[inline]
#[target_feature(enable = "avx2")]
fn to_double(x: Word) -> __m256d {
    let magic = _mm256_set1_pd(MAGIC);
    _mm256_sub_pd(_mm256_or_pd(_mm256_castsi256_pd(x), magic), magic)
}

/// A factor in every lane, its quotient cut to 32 bits.
#[derive(Clone, Copy)]
struct Scaler {
    value: Word,
    ratio: Word,
}

impl Scaler {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(factor: Factor) -> Scaler {
        Scaler { value: splat(factor.value), ratio: splat(factor.ratio >> 32) }
    }
}

/// Constants of a prime in every lane.
#[derive(Clone, Copy)]
struct Prime {
    p: Word,
    low_half: Word,
    two32: Scaler,
    two64: Scaler,
    /// floor(2^(32 + shift) / p); the shift leaves eleven bits of p, so that what it cuts off
    /// a word below 2^36, and what is cut off here, move a quotient by less than 2^-5.
    ratio: Word,
    shift: __m128i,
}

impl Prime {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(m: &Modulus) -> Prime {
        let shift = m.width() - 11;
        Prime {
            p: splat(m.p),
            low_half: splat(u64::from(u32::MAX)),
            two32: Scaler::new(m.two32),
            two64: Scaler::new(m.two64),
            ratio: splat((1 << (32 + shift)) / m.p),
            shift: _mm_cvtsi32_si128(shift as i32),
        }
    }

    /// x · factor in `0..2p`, for the low half x of each lane.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn scale_lazy(&self, x: Word, factor: Scaler) -> Word {
        let quotient = high_half(_mm256_mul_epu32(x, factor.ratio));
        let product = _mm256_mul_epu32(x, factor.value);
        _mm256_sub_epi64(product, _mm256_mul_epu32(quotient, self.p))
    }

    /// x · factor for x below 2^32.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn scale(&self, x: Word, factor: Scaler) -> Word {
        fold(self.p, self.scale_lazy(x, factor))
    }

    /// Words below 2^36: their quotient by `ratio` is too small by one at most.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn reduce_small(&self, x: Word) -> Word {
        let leading = _mm256_srl_epi64(x, self.shift);
        let quotient = high_half(_mm256_mul_epu32(leading, self.ratio));
        fold(self.p, _mm256_sub_epi64(x, _mm256_mul_epu32(quotient, self.p)))
    }

    /// Any word modulo p, below 2^32 + 2p.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn shorten(&self, x: Word) -> Word {
        let high = self.scale_lazy(high_half(x), self.two32);
        _mm256_add_epi64(_mm256_and_si256(x, self.low_half), high)
    }

    /// low + 2^32 · high modulo p, where high takes the carry of low.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn reduce(&self, low: Word, high: Word) -> Word {
        let high = _mm256_add_epi64(high, high_half(low));
        let low = _mm256_and_si256(low, self.low_half);
        let top = self.scale_lazy(high_half(high), self.two64);
        let sum = _mm256_add_epi64(low, self.scale_lazy(high, self.two32));
        self.reduce_small(_mm256_add_epi64(sum, top))
    }
}

#[target_feature(enable = "avx2")]
fn add_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    let p = splat(m.p);
    for (x, y) in lanes_mut(x).iter_mut().zip(lanes(y)) {
        store(x, sum(p, load(x), load(y)));
    }
}

#[target_feature(enable = "avx2")]
fn sub_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    let p = splat(m.p);
    for (x, y) in lanes_mut(x).iter_mut().zip(lanes(y)) {
        store(x, difference(p, load(x), load(y)));
    }
}

#[target_feature(enable = "avx2")]
fn scale(m: &Modulus, x: &mut [u64], factor: Factor) {
    let (prime, factor) = (Prime::new(m), Scaler::new(factor));
    for x in lanes_mut(x) {
        store(x, prime.scale(load(x), factor));
    }
}

#[target_feature(enable = "avx2")]
fn add_scalar(m: &Modulus, x: &mut [u64], y: u64) {
    let (p, y) = (splat(m.p), splat(y));
    for x in lanes_mut(x) {
        store(x, sum(p, load(x), y));
    }
}

#[target_feature(enable = "avx2")]
fn add_scaled(m: &Modulus, out: &mut [u64], x: &[u64], factor: Factor) {
    let (prime, factor) = (Prime::new(m), Scaler::new(factor));
    for (out, x) in lanes_mut(out).iter_mut().zip(lanes(x)) {
        store(out, sum(prime.p, load(out), prime.scale(load(x), factor)));
    }
}

#[target_feature(enable = "avx2")]
fn sub_scale(m: &Modulus, out: &mut [u64], x: &[u64], factor: Factor) {
    let (prime, factor) = (Prime::new(m), Scaler::new(factor));
    for (out, x) in lanes_mut(out).iter_mut().zip(lanes(x)) {
        store(out, prime.scale(difference(prime.p, load(x), load(out)), factor));
    }
}

/// Takes any words.
#[target_feature(enable = "avx2")]
fn reduce_offset(m: &Modulus, out: &mut [u64], x: &[u64], offset: u64) {
    let (prime, negative) = (Prime::new(m), splat(m.p - offset));
    for (out, x) in lanes_mut(out).iter_mut().zip(lanes(x)) {
        store(out, prime.reduce_small(_mm256_add_epi64(prime.shorten(load(x)), negative)));
    }
}

/// A half of eight neighbours comes from one half of their source, since an
/// automorphism keeps even and odd exponents apart; a pattern counts words, of which each
/// is two places of 32 bits.
#[target_feature(enable = "avx2")]
fn permute(out: &mut [u64], x: &[u64], map: &Automorphism) {
    let mut patterns = [([0; 2], [_mm256_setzero_si256(); 2]); automorphism::BLOCK];
    for ((halves, places), pattern) in patterns.iter_mut().zip(&map.patterns) {
        for (k, words) in lanes(pattern).iter().enumerate() {
            let words = load(words);
            let odd = _mm256_add_epi64(_mm256_slli_epi64::<33>(words), splat(1 << 32));
            halves[k] = pattern[4 * k] as usize / 4;
            places[k] = _mm256_or_si256(_mm256_slli_epi64::<1>(words), odd);
        }
    }
    let sources = lanes(x).as_chunks::<2>().0;
    for (out, &source) in lanes_mut(out).as_chunks_mut::<2>().0.iter_mut().zip(&map.sources) {
        let (halves, places) = &patterns[source as usize % automorphism::BLOCK];
        let source = &sources[source as usize / automorphism::BLOCK];
        for k in 0..2 {
            store(&mut out[k], _mm256_permutevar8x32_epi32(load(&source[halves[k] % 2]), places[k]));
        }
    }
}

/// Multiplies and adds apart, as the portable form does, so that both round alike.
#[target_feature(enable = "avx2")]
fn overflow(out: &mut [u64], words: &[&[u64]], reciprocals: &[f64]) {
    for (i, out) in lanes_mut(out).iter_mut().enumerate() {
        let mut quotient = _mm256_setzero_pd();
        for (words, &reciprocal) in words.iter().zip(reciprocals) {
            let part = to_double(load(&lanes(words)[i]));
            quotient = _mm256_add_pd(quotient, _mm256_mul_pd(part, _mm256_set1_pd(reciprocal)));
        }
        let rounded = _mm256_cvttpd_epi32(_mm256_add_pd(quotient, _mm256_set1_pd(0.5)));
        store(out, _mm256_cvtepi32_epi64(rounded));
    }
}

/// Several vectors at once keep the multipliers busy.
type Words<const V: usize> = [Word; V];

/// Halves of sums of products.
#[derive(Clone, Copy)]
struct Sums<const V: usize> {
    low: Words<V>,
    high: Words<V>,
}

impl<const V: usize> Sums<V> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn none() -> Sums<V> {
        Sums { low: zero(), high: zero() }
    }

    /// Nothing, or the residues summed so far.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn resume(out: &[u64], fresh: bool) -> Sums<V> {
        let mut low = zero();
        if !fresh {
            low = vectors_of(out);
        }
        Sums { low, high: zero() }
    }

    /// Adds sums of as many products as a word holds.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn absorb(&mut self, prime: &Prime, products: &Words<V>) {
        for (k, &products) in products.iter().enumerate() {
            self.low[k] = _mm256_add_epi64(self.low[k], _mm256_and_si256(products, prime.low_half));
            self.high[k] = _mm256_add_epi64(self.high[k], high_half(products));
        }
    }

    /// Adds sums of products as [`Sums::absorb`] does, or with SHORT, up to [`FEW`] times, reduced and to the low ones alone.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn absorb_or_shorten<const SHORT: bool>(&mut self, prime: &Prime, products: &Words<V>) {
        match SHORT {
            true => {
                for (low, &products) in self.low.iter_mut().zip(products) {
                    *low = _mm256_add_epi64(*low, prime.shorten(products));
                }
            }
            false => self.absorb(prime, products),
        }
    }

    /// Writes what [`Sums::absorb_or_shorten`] summed.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn finish_shortened<const SHORT: bool>(&self, prime: &Prime, out: &mut [u64]) {
        match SHORT {
            true => {
                for (low, out) in self.low.iter().zip(lanes_mut(out)) {
                    store(out, prime.reduce_small(*low));
                }
            }
            false => self.finish(prime, out),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn finish(&self, prime: &Prime, out: &mut [u64]) {
        for (k, out) in lanes_mut(out).iter_mut().enumerate() {
            store(out, prime.reduce(self.low[k], self.high[k]));
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn zero<const V: usize>() -> Words<V> {
    [_mm256_setzero_si256(); V]
}

#[inline]
#[target_feature(enable = "avx2")]
fn vectors_of<const V: usize>(words: &[u64]) -> Words<V> {
    let mut vectors = zero();
    for (vector, words) in vectors.iter_mut().zip(lanes(&words[..4 * V])) {
        *vector = load(words);
    }
    vectors
}

/// Sums of low halves times low halves.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_add<const V: usize>(sums: &mut Words<V>, a: &Words<V>, b: &Words<V>) {
    for k in 0..V {
        sums[k] = _mm256_add_epi64(sums[k], _mm256_mul_epu32(a[k], b[k]));
    }
}

/// Residues that take W bytes each.
#[inline]
#[target_feature(enable = "avx2")]
fn packed<const W: usize, const V: usize>(residues: &Residues, at: usize) -> Words<V> {
    let bytes = &residues.bytes[at * W..][..4 * W * V];
    let mut vectors = zero();
    for (k, vector) in vectors.iter_mut().enumerate() {
        let bytes = &bytes[4 * W * k..];
        *vector = if W == 4 {
            let bytes: &[u8; 16] = bytes.first_chunk().expect("four residues");
            // SAFETY: a reference to 16 bytes covers those read, at any alignment.
            _mm256_cvtepu32_epi64(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
        } else {
            let bytes: &[u8; 32] = bytes.first_chunk().expect("four residues");
            // SAFETY: as above, for 32 bytes.
            unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
        };
    }
    vectors
}

/// Bytes between what is read and what is asked for. Stretches of one operand are a tile long, too short for
/// the machine to see them coming; what lies behind a stretch is read in the next tile.
const AHEAD: usize = 256;

/// Asks for bytes that may be read later.
#[inline]
#[target_feature(enable = "avx2")]
fn prefetch(bytes: &[u8], at: usize) {
    // A prefetch never faults, wherever it points.
    _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(at).cast());
}

/// How many products of words up to `x` and residues a word holds.
fn terms_per_word(m: &Modulus, x: u64) -> usize {
    (u64::MAX / (x * (m.p - 1))) as usize
}

/// Ranges of up to `size` terms that cover `terms`.
fn batches(terms: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = terms.end;
    terms.step_by(size).map(move |start| start..end.min(start + size))
}

/// Weighted sums of words below 2^50, of which those beyond 32 bits take
/// another multiplication.
#[target_feature(enable = "avx2")]
fn combine(m: &Modulus, out: &mut [u64], y: &[&[u64]], weights: &[u64], bound: u64) {
    match bound <= 1 << 32 {
        true => combine_of::<false>(m, out, y, weights),
        false => combine_of::<true>(m, out, y, weights),
    }
}

/// The upper 18 bits of 15 words add less than 2^54 to the high halves.
#[target_feature(enable = "avx2")]
fn combine_of<const LONG: bool>(m: &Modulus, out: &mut [u64], y: &[&[u64]], weights: &[u64]) {
    const V: usize = 4;
    let prime = Prime::new(m);
    let size = terms_per_word(m, u64::from(u32::MAX));
    for (block, out) in out.chunks_exact_mut(4 * V).enumerate() {
        let at = 4 * V * block;
        let mut sums = Sums::<V>::none();
        for (y, weights) in y.chunks(size).zip(weights.chunks(size)) {
            let mut products = zero();
            for (y, &weight) in y.iter().zip(weights) {
                let (y, weight) = (vectors_of::<V>(&y[at..]), [splat(weight); V]);
                multiply_add(&mut products, &y, &weight);
                if LONG {
                    let mut upper = y;
                    for k in 0..V {
                        upper[k] = high_half(y[k]);
                    }
                    multiply_add(&mut sums.high, &upper, &weight);
                }
            }
            sums.absorb(&prime, &products);
        }
        sums.finish(&prime, out);
    }
}

/// Words of each operand read in one go: enough for memory to stream.
const TILE: usize = 512;
/// Terms read side by side: more streams than this defeat prefetching (16 sums of 24 terms, N = 16384: 76 ms
/// with 12 terms, 47 ms with 4 and what [`AHEAD`] asks for, 62 ms with 2; Zen 4 without AVX-512).
const TERMS: usize = 4;

/// Calls a function of the widths of two operands.
macro_rules! by_width {
    ($name:ident, $a:expr, $b:expr, ($($arg:expr),*)) => {
        match ($a.first().map_or(8, |a| a.width), $b.first().map_or(8, |b| b.width)) {
            (8, 4) => $name::<8, 4>($($arg),*),
            (4, 8) => $name::<4, 8>($($arg),*),
            (8, 8) => $name::<8, 8>($($arg),*),
            _ => unreachable!("one operand at rest at most, in four bytes"),
        }
    };
}

#[target_feature(enable = "avx2")]
fn dot(m: &Modulus, out: &mut [u64], a: &[Residues], b: &[Residues]) {
    by_width!(dot_of, a, b, (m, out, a, b))
}

#[target_feature(enable = "avx2")]
fn dot2(
    m: &Modulus,
    start: usize,
    out0: &mut [u64],
    out1: &mut [u64],
    a: &[Residues],
    b0: &[Residues],
    b1: &[Residues],
) {
    by_width!(dot2_of, a, b0, (m, start, out0, out1, a, b0, b1))
}

#[target_feature(enable = "avx2")]
fn dot_of<const A: usize, const B: usize>(m: &Modulus, out: &mut [u64], a: &[Residues], b: &[Residues]) {
    const V: usize = 4;
    let prime = Prime::new(m);
    let size = terms_per_word(m, m.p - 1);
    let n_terms = a.len().min(b.len());
    for (tile, out) in out.chunks_mut(TILE).enumerate() {
        let mut sums = [Sums::<V>::none(); TILE / (4 * V)];
        for terms in batches(0..n_terms, TERMS) {
            for (block, sums) in sums[..out.len() / (4 * V)].iter_mut().enumerate() {
                let at = tile * TILE + block * 4 * V;
                for terms in batches(terms.clone(), size) {
                    let mut products = zero();
                    for (a, b) in a[terms.clone()].iter().zip(&b[terms]) {
                        multiply_add(&mut products, &packed::<A, V>(a, at), &packed::<B, V>(b, at));
                    }
                    sums.absorb(&prime, &products);
                }
            }
        }
        for (out, sums) in out.chunks_exact_mut(4 * V).zip(&sums) {
            sums.finish(&prime, out);
        }
    }
}

#[target_feature(enable = "avx2")]
fn add_weighted(m: &Modulus, out: &mut [u64], panel: &[u64], terms: &[Weighted]) {
    const V: usize = 4;
    let (prime, len) = (Prime::new(m), out.len());
    let size = terms_per_word(m, m.p - 1);
    for (block, out) in out.chunks_exact_mut(4 * V).enumerate() {
        let mut sums = Sums::<V>::resume(out, false);
        for terms in terms.chunks(size) {
            let mut products = zero();
            for &Weighted { row, weight } in terms {
                let at = row as usize * len + block * 4 * V;
                multiply_add(&mut products, &vectors_of(&panel[at..at + 4 * V]), &[splat(weight); V]);
            }
            sums.absorb(&prime, &products);
        }
        sums.finish(&prime, out);
    }
}

#[target_feature(enable = "avx2")]
fn dot2_of<const A: usize, const B: usize>(
    m: &Modulus,
    start: usize,
    out0: &mut [u64],
    out1: &mut [u64],
    a: &[Residues],
    b0: &[Residues],
    b1: &[Residues],
) {
    const V: usize = 2;
    let prime = Prime::new(m);
    let size = terms_per_word(m, m.p - 1);
    let n_terms = a.len().min(b0.len()).min(b1.len());
    for (tile, (out0, out1)) in out0.chunks_mut(TILE).zip(out1.chunks_mut(TILE)).enumerate() {
        let mut sums = [[Sums::<V>::none(); 2]; TILE / (4 * V)];
        for terms in batches(0..n_terms, TERMS) {
            for (block, [sums0, sums1]) in sums[..out0.len() / (4 * V)].iter_mut().enumerate() {
                let at = start + tile * TILE + block * 4 * V;
                for terms in batches(terms.clone(), size) {
                    let (mut products0, mut products1) = (zero(), zero());
                    let factors = a[terms.clone()].iter().zip(&b0[terms.clone()]).zip(&b1[terms]);
                    for ((a, b0), b1) in factors {
                        prefetch(a.bytes, at * A + AHEAD);
                        let shared = packed::<A, V>(a, at);
                        multiply_add(&mut products0, &shared, &packed::<B, V>(b0, at));
                        multiply_add(&mut products1, &shared, &packed::<B, V>(b1, at));
                    }
                    sums0.absorb(&prime, &products0);
                    sums1.absorb(&prime, &products1);
                }
            }
        }
        let outs = out0.chunks_exact_mut(4 * V).zip(out1.chunks_exact_mut(4 * V));
        for ((out0, out1), [sums0, sums1]) in outs.zip(&sums) {
            sums0.finish(&prime, out0);
            sums1.finish(&prime, out1);
        }
    }
}

/// Batches of products that are summed reduced: four below 3 · 2^32 and a residue stay below 2^36.
const FEW: usize = 4;

#[target_feature(enable = "avx2")]
fn key_products(
    m: &Modulus,
    outs: &mut [[&mut [u64]; 2]],
    digits: &[&[u64]],
    keys: &[Residues],
    first: First,
) {
    let few = digits.len() <= FEW * terms_per_word(m, m.p - 1);
    match (keys.first().map_or(8, |key| key.width), few) {
        (4, true) => key_products_of::<4, true>(m, outs, digits, keys, first),
        (4, false) => key_products_of::<4, false>(m, outs, digits, keys, first),
        (8, _) => key_products_of::<8, false>(m, outs, digits, keys, first),
        _ => unreachable!("keys at rest take four bytes"),
    }
}

/// Tile by tile, so that the digits of a tile stay in the first-level cache for all keys, and with a request for the
/// next block of each row of a key, which comes from memory.
#[target_feature(enable = "avx2")]
fn key_products_of<const W: usize, const SHORT: bool>(
    m: &Modulus,
    outs: &mut [[&mut [u64]; 2]],
    digits: &[&[u64]],
    keys: &[Residues],
    first: First,
) {
    const V: usize = 4;
    let prime = Prime::new(m);
    let size = terms_per_word(m, m.p - 1);
    let degree = digits.first().map_or(0, |digit| digit.len());
    for tile in batches(0..degree, TILE) {
        for ([out0, out1], key) in outs.iter_mut().zip(keys) {
            for at in tile.clone().step_by(4 * V) {
                let (out0, out1) = (&mut out0[at..at + 4 * V], &mut out1[at..at + 4 * V]);
                let mut sums0 = Sums::<V>::resume(out0, first.is_fresh());
                let mut sums1 = Sums::<V>::resume(out1, first.is_fresh());
                let rows = key.row_place(degree, at, 2 * first.digit);
                for batch in batches(0..digits.len(), size) {
                    let (mut products0, mut products1) = (zero(), zero());
                    for i in batch {
                        let digit = vectors_of::<V>(&digits[i][at..]);
                        let row = rows + 2 * i * BLOCK;
                        let ahead = row + key.rows * BLOCK;
                        prefetch(key.bytes, ahead * W);
                        prefetch(key.bytes, (ahead + BLOCK) * W);
                        multiply_add(&mut products0, &digit, &packed::<W, V>(key, row));
                        multiply_add(&mut products1, &digit, &packed::<W, V>(key, row + BLOCK));
                    }
                    sums0.absorb_or_shorten::<SHORT>(&prime, &products0);
                    sums1.absorb_or_shorten::<SHORT>(&prime, &products1);
                }
                sums0.finish_shortened::<SHORT>(&prime, out0);
                sums1.finish_shortened::<SHORT>(&prime, out1);
            }
        }
    }
}
