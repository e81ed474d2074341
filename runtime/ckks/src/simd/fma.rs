//! Four doubles on machines with AVX2 and fused multiply-adds, for primes from 2^20 to 2^50.

use super::avx2::Avx2;
use super::doubles::transform::{self, Roots};
use super::doubles::{self, Doubles};
use crate::automorphism::Automorphism;
use crate::kernels::{First, Weighted};
use crate::modulus::{Factor, Modulus};
use crate::packed::Residues;
use std::arch::x86_64::*;
use std::ops::Range;

/// Proof that this machine has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fma(Avx2);

impl Fma {
    /// Primes that all kernels take.
    pub(crate) const PRIMES: Range<u64> = doubles::PRIMES;
    /// Digits that key products take in one go: sums are reduced on the way.
    pub(crate) const LAZY_TERMS: usize = 1 << 20;

    /// The proof, where the machine gives it.
    pub(crate) fn detect() -> Option<Fma> {
        Avx2::detect().filter(|_| is_x86_feature_detected!("fma")).map(Fma)
    }
}

macro_rules! calls {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => { impl Fma { $(
        #[inline]
        #[allow(clippy::too_many_arguments)] // The portable form takes one less.
        pub(crate) fn $name(self, m: &Modulus, $($arg: $ty),*) {
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn enabled(fma: Fma, m: &Modulus, $($arg: $ty),*) {
                doubles::$name(fma, m, $($arg),*);
            }
            // SAFETY: `self` exists only where `detect` found the features
            // that the function enables; it has no other requirement.
            unsafe { enabled(self, m, $($arg),*) }
        }
    )* } };
}
super::products!(calls);

/// Sums have no use for doubles.
macro_rules! by_avx2 {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => { impl Fma { $(
        #[inline]
        pub(crate) fn $name(self, m: &Modulus, $($arg: $ty),*) {
            self.0.$name(m, $($arg),*);
        }
    )* } };
}
super::sums!(by_avx2);

impl Fma {
    pub(crate) fn overflow(self, out: &mut [u64], words: &[&[u64]], reciprocals: &[f64]) {
        self.0.overflow(out, words, reciprocals);
    }

    pub(crate) fn permute(self, out: &mut [u64], x: &[u64], map: &Automorphism) {
        self.0.permute(out, x, map);
    }

    /// What transforms of `degree` residues, 32 at least, look up.
    pub(crate) fn roots(self, m: &Modulus, degree: usize, root: u64) -> Roots {
        Roots::new(m, degree, root)
    }

    /// Coefficients to values.
    pub(crate) fn forward(self, roots: &Roots, limb: &mut [u64]) {
        #[target_feature(enable = "avx2,fma")]
        fn enabled(fma: Fma, roots: &Roots, limb: &mut [u64]) {
            transform::forward(fma, roots, limb);
        }
        // SAFETY: as for the kernels above.
        unsafe { enabled(self, roots, limb) }
    }

    /// Values to coefficients times `N · factor`.
    pub(crate) fn inverse(self, roots: &Roots, limb: &mut [u64], factor: Factor) {
        #[target_feature(enable = "avx2,fma")]
        fn enabled(fma: Fma, roots: &Roots, limb: &mut [u64], factor: Factor) {
            transform::inverse(fma, roots, limb, factor);
        }
        // SAFETY: as for the kernels above.
        unsafe { enabled(self, roots, limb, factor) }
    }
}

/// Defines operations by the instruction of each.
macro_rules! instructions {
    ($($name:ident($($arg:ident),*) = $instruction:expr;)*) => { $(
        #[inline(always)]
        fn $name(self, $($arg: __m256d),*) -> __m256d {
            // SAFETY: `self` exists only where `detect` found AVX2 and FMA.
            unsafe { $instruction }
        }
    )* };
}

impl Doubles for Fma {
    type Four = __m256d;

    instructions! {
        add(x, y) = _mm256_add_pd(x, y);
        sub(x, y) = _mm256_sub_pd(x, y);
        mul(x, y) = _mm256_mul_pd(x, y);
        mul_add(x, y, z) = _mm256_fmadd_pd(x, y, z);
        mul_sub(x, y, z) = _mm256_fmsub_pd(x, y, z);
        sub_mul(z, x, y) = _mm256_fnmadd_pd(x, y, z);
        or(x, y) = _mm256_or_pd(x, y);
        xor(x, y) = _mm256_xor_pd(x, y);
        where_negative(x, y) = _mm256_and_pd(_mm256_cmp_pd::<_CMP_LT_OQ>(x, _mm256_setzero_pd()), y);
    }

    #[inline(always)]
    fn splat(self, x: f64) -> __m256d {
        // SAFETY: `self` exists only where `detect` found AVX2 and FMA.
        unsafe { _mm256_set1_pd(x) }
    }

    #[inline(always)]
    fn load(self, doubles: &[f64; 4]) -> __m256d {
        // SAFETY: as above, and a reference to four doubles covers the 32 bytes read; the
        // instruction takes any alignment.
        unsafe { _mm256_loadu_pd(doubles.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, doubles: &mut [f64; 4], x: __m256d) {
        // SAFETY: as in `load`, for the 32 bytes written.
        unsafe { _mm256_storeu_pd(doubles.as_mut_ptr(), x) }
    }

    /// Each half of a vector takes two words from the bytes where they begin.
    #[inline(always)]
    fn unpack<const W: usize>(self, bytes: &[u8; 32]) -> __m256d {
        // SAFETY: as above; words have 4 to 8 bytes, so that the last byte read is 2W + 15 < 32, and the
        // pattern has 32 bytes too.
        unsafe {
            let at = |byte: usize| _mm_loadu_si128(bytes[byte..byte + 16].as_ptr().cast());
            let halves = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(at(0)), at(2 * W));
            let pattern = const { &spread_bytes(W) };
            let pattern = _mm256_loadu_si256(pattern.as_ptr().cast());
            _mm256_castsi256_pd(match W {
                8 => halves,
                _ => _mm256_shuffle_epi8(halves, pattern),
            })
        }
    }

    #[inline(always)]
    fn transpose(self, [a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
        // SAFETY: `self` exists only where `detect` found AVX2 and FMA.
        unsafe {
            let (even0, odd0) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
            let (even1, odd1) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
            [
                _mm256_permute2f128_pd::<0x20>(even0, even1),
                _mm256_permute2f128_pd::<0x20>(odd0, odd1),
                _mm256_permute2f128_pd::<0x31>(even0, even1),
                _mm256_permute2f128_pd::<0x31>(odd0, odd1),
            ]
        }
    }

    #[inline(always)]
    fn prefetch(self, bytes: &[u8], at: usize) {
        // SAFETY: a prefetch never faults, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(at).cast()) }
    }
}

/// Byte j of a word comes from byte j of `width`, of two words per half; bytes beyond are zero.
const fn spread_bytes(width: usize) -> [u8; 32] {
    let mut bytes = [0x80; 32];
    let mut i = 0;
    while i < 32 {
        if i % 8 < width {
            bytes[i] = (i % 16 / 8 * width + i % 8) as u8;
        }
        i += 1;
    }
    bytes
}
