//! AVX-512 IFMA forms of the kernels, for primes below 2^50.
//!
//! A product of two residues is a low and a high half of 52 bits, which the
//! fused multiply-adds accumulate without carries; a sum is reduced once.
//! Holding an [`Ifma`] proves that the machine has the instructions, which is
//! what makes the calls sound. Other targets get an `Ifma` without values.

/// Words a kernel handles at a time; limbs must be a multiple of it long.
pub(crate) const BLOCK: usize = 32;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::Ifma;

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use other::Ifma;

/// Defines the methods of [`Ifma`] by `$body`, given the names of the arguments.
macro_rules! methods {
    ($mac:ident) => {
        $mac! {
            add_assign(x: &mut [u64], y: &[u64]);
            sub_assign(x: &mut [u64], y: &[u64]);
            scale(x: &mut [u64], factor: Factor);
            scale_offset(x: &mut [u64], factor: Factor, offset: u64);
            sub_scale(out: &mut [u64], x: &[u64], factor: Factor);
            reduce_offset(out: &mut [u64], x: &[u64], offset: u64);
            combine(out: &mut [u64], y: &[&[u64]], weights: &[u64]);
            dot(out: &mut [u64], a: &[&[u64]], b: &[&[u64]]);
            dot2(out0: &mut [u64], out1: &mut [u64], a: &[&[u64]], b0: &[&[u64]], b1: &[&[u64]]);
        }
    };
}

#[cfg(not(target_arch = "x86_64"))]
mod other {
    use crate::modulus::{Factor, Modulus};

    /// Has no values: the instructions do not exist here.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Ifma {}

    macro_rules! absurd {
        ($($name:ident($($arg:ident: $ty:ty),*);)*) => { impl Ifma { $(
            pub(crate) fn $name(self, _: &Modulus, $(_: $ty),*) { match self {} }
        )* } };
    }
    methods!(absurd);

    impl Ifma {
        pub(crate) fn detect() -> Option<Ifma> {
            None
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::BLOCK;
    use crate::modulus::{Factor, Modulus};
    use std::arch::x86_64::*;

    /// Proof that this machine has AVX-512 F and IFMA.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Ifma(());

    impl Ifma {
        /// The proof, where the machine gives it.
        pub(crate) fn detect() -> Option<Ifma> {
            let present = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma");
            present.then_some(Ifma(()))
        }
    }

    macro_rules! calls {
        ($($name:ident($($arg:ident: $ty:ty),*);)*) => { impl Ifma { $(
            #[inline]
            pub(crate) fn $name(self, m: &Modulus, $($arg: $ty),*) {
                // SAFETY: `self` exists only where `detect` found the features
                // that the function enables; it has no other requirement.
                unsafe { $name(m, $($arg),*) }
            }
        )* } };
    }
    methods!(calls);

    type Lane = [u64; 8];
    /// Four vectors at once keep the multipliers busy.
    type Quad = [__m512i; 4];

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(words: &Lane) -> __m512i {
        // SAFETY: a reference to eight words covers the 64 bytes read; the
        // instruction takes any alignment.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(words: &mut Lane, value: __m512i) {
        // SAFETY: as in `load`, for the 64 bytes written.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn splat(word: u64) -> __m512i {
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
        value: __m512i,
        ratio: __m512i,
    }

    /// Constants of a prime in every lane.
    #[derive(Clone, Copy)]
    struct Prime {
        p: __m512i,
        twice: __m512i,
        mask: __m512i,
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
        fn fold(&self, x: __m512i) -> __m512i {
            _mm512_min_epu64(x, _mm512_sub_epi64(x, self.p))
        }

        /// x · factor for x below 2^52; the lazy result is below 2p.
        #[inline]
        #[target_feature(enable = "avx512f,avx512ifma")]
        fn scale(&self, x: __m512i, factor: Scaler) -> __m512i {
            let zero = _mm512_setzero_si512();
            let quotient = _mm512_madd52hi_epu64(zero, x, factor.ratio);
            let product = _mm512_madd52lo_epu64(zero, x, factor.value);
            let multiple = _mm512_madd52lo_epu64(zero, quotient, self.p);
            self.fold(_mm512_and_si512(_mm512_sub_epi64(product, multiple), self.mask))
        }

        #[inline]
        #[target_feature(enable = "avx512f")]
        fn add(&self, x: __m512i, y: __m512i) -> __m512i {
            self.fold(_mm512_add_epi64(x, y))
        }

        /// x - y + p, in `0..2p`.
        #[inline]
        #[target_feature(enable = "avx512f")]
        fn sub_lazy(&self, x: __m512i, y: __m512i) -> __m512i {
            _mm512_sub_epi64(_mm512_add_epi64(x, self.p), y)
        }

        /// low + 2^52 · high modulo p, where high stays below 2^52 after the
        /// carry of low. Both quotients are summed before they are multiplied:
        /// the difference is below 4p, hence exact modulo 2^52.
        #[inline]
        #[target_feature(enable = "avx512f,avx512ifma")]
        fn reduce(&self, low: __m512i, high: __m512i) -> __m512i {
            let zero = _mm512_setzero_si512();
            let high = _mm512_add_epi64(high, _mm512_srli_epi64::<52>(low));
            let low = _mm512_and_si512(low, self.mask);
            let quotient = _mm512_madd52hi_epu64(zero, high, self.two52.ratio);
            let quotient = _mm512_madd52hi_epu64(quotient, low, self.one.ratio);
            let sum = _mm512_madd52lo_epu64(low, high, self.two52.value);
            let multiple = _mm512_madd52lo_epu64(zero, quotient, self.p);
            let rest = _mm512_and_si512(_mm512_sub_epi64(sum, multiple), self.mask);
            self.fold(_mm512_min_epu64(rest, _mm512_sub_epi64(rest, self.twice)))
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

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn scale_offset(m: &Modulus, x: &mut [u64], factor: Factor, offset: u64) {
        let (prime, factor, offset) = (Prime::new(m), Scaler::new(factor), splat(offset));
        for x in lanes_mut(x) {
            store(x, prime.add(prime.scale(load(x), factor), offset));
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
    fn combine(m: &Modulus, out: &mut [u64], y: &[&[u64]], weights: &[u64]) {
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
            Sums { low: if fresh { zero } else { quad(out, 0) }, high: zero }
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

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn quad(words: &[u64], at: usize) -> Quad {
        let lanes = lanes(&words[at..at + BLOCK]);
        [load(&lanes[0]), load(&lanes[1]), load(&lanes[2]), load(&lanes[3])]
    }

    /// Words of each operand read in one go: enough for memory to stream.
    const TILE: usize = 512;
    /// Terms read side by side: more streams than this defeat prefetching.
    const TERMS: usize = 4;

    /// Partial sums go through `out`; their reduction leaves room for the next terms.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn dot(m: &Modulus, out: &mut [u64], a: &[&[u64]], b: &[&[u64]]) {
        let prime = Prime::new(m);
        for (tile, out) in out.chunks_mut(TILE).enumerate() {
            let start = tile * TILE;
            let group = TERMS.min(m.lazy_terms);
            for (first, (a, b)) in a.chunks(group).zip(b.chunks(group)).enumerate() {
                for (block, out) in out.chunks_exact_mut(BLOCK).enumerate() {
                    let at = start + block * BLOCK;
                    let mut sums = Sums::resume(out, first == 0);
                    for (a, b) in a.iter().zip(b) {
                        sums.add(&quad(a, at), &quad(b, at));
                    }
                    sums.finish(&prime, out);
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn dot2(m: &Modulus, out0: &mut [u64], out1: &mut [u64], a: &[&[u64]], b0: &[&[u64]], b1: &[&[u64]]) {
        let prime = Prime::new(m);
        let n_terms = a.len().min(b0.len()).min(b1.len());
        let group = TERMS.min(m.lazy_terms);
        for (tile, (out0, out1)) in out0.chunks_mut(TILE).zip(out1.chunks_mut(TILE)).enumerate() {
            for first in (0..n_terms).step_by(group) {
                let terms = first..n_terms.min(first + group);
                let outs = out0.chunks_exact_mut(BLOCK).zip(out1.chunks_exact_mut(BLOCK));
                for (block, (out0, out1)) in outs.enumerate() {
                    let at = tile * TILE + block * BLOCK;
                    let mut sums0 = Sums::resume(out0, first == 0);
                    let mut sums1 = Sums::resume(out1, first == 0);
                    for term in terms.clone() {
                        let shared = quad(a[term], at);
                        sums0.add(&shared, &quad(b0[term], at));
                        sums1.add(&shared, &quad(b1[term], at));
                    }
                    sums0.finish(&prime, out0);
                    sums1.finish(&prime, out1);
                }
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::kernels::portable;
    use crate::modulus::Modulus;
    use crate::primes;
    use proptest::prelude::*;

    const LEN: usize = 2 * BLOCK;

    /// Residues of `n` limbs, with the extremes among them.
    fn limbs(n: usize, bound: u64, seed: u64) -> Vec<Vec<u64>> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match state >> 61 {
                0 => 0,
                1 | 2 => bound - 1,
                _ => (state >> 3) % bound,
            }
        };
        (0..n).map(|_| (0..LEN).map(|_| next()).collect()).collect()
    }

    fn slices(limbs: &[Vec<u64>]) -> Vec<&[u64]> {
        limbs.iter().map(Vec::as_slice).collect()
    }

    proptest! {
        #[test]
        fn vector_forms_agree_with_portable(bits in 20u32..=50, seed: u64, n_terms in 1usize..70) {
            let Some(ifma) = Ifma::detect() else { return Ok(()) };
            let m = Modulus::new(primes::below(bits, LEN, 1, &[]).unwrap()[0], LEN);
            let a = limbs(n_terms, m.p, seed);
            let b = limbs(n_terms, m.p, seed ^ 0xabcdef);
            let factor = m.factor(b[0][7]);
            let check = |vector: &dyn Fn(&mut [u64]), plain: &dyn Fn(&mut [u64])| {
                let (mut x, mut y) = (a[0].clone(), a[0].clone());
                vector(&mut x);
                plain(&mut y);
                assert_eq!(x, y);
            };
            check(&|x| ifma.add_assign(&m, x, &b[0]), &|x| portable::add_assign(&m, x, &b[0]));
            check(&|x| ifma.sub_assign(&m, x, &b[0]), &|x| portable::sub_assign(&m, x, &b[0]));
            check(&|x| ifma.scale(&m, x, factor), &|x| portable::scale(&m, x, factor));
            check(&|x| ifma.scale_offset(&m, x, factor, 5), &|x| portable::scale_offset(&m, x, factor, 5));
            check(&|x| ifma.sub_scale(&m, x, &b[0], factor), &|x| portable::sub_scale(&m, x, &b[0], factor));
            let wide = limbs(15, 1 << 50, seed ^ 77);
            check(
                &|x| ifma.reduce_offset(&m, x, &wide[0], m.p - 1),
                &|x| portable::reduce_offset(&m, x, &wide[0], m.p - 1),
            );
            let weights = &b[0][..15];
            check(
                &|x| ifma.combine(&m, x, &slices(&wide), weights),
                &|x| portable::combine(&m, x, &slices(&wide), weights),
            );
            let (a_limbs, b_limbs) = (slices(&a), slices(&b));
            check(&|x| ifma.dot(&m, x, &a_limbs, &b_limbs), &|x| portable::dot(&m, x, &a_limbs, &b_limbs));
            check(
                &|x| ifma.dot2(&m, &mut [0; LEN], x, &a_limbs, &a_limbs, &b_limbs),
                &|x| portable::dot2(&m, &mut [0; LEN], x, &a_limbs, &a_limbs, &b_limbs),
            );
        }
    }
}
