//! Vector forms of the kernels.
//!
//! With AVX-512 IFMA, for primes below 2^50: a product of two residues is a low
//! and a high half of 52 bits, which the fused multiply-adds accumulate without
//! carries; a sum is reduced once. With AVX2, for primes below 2^32: a product fits a
//! word, and sums of words are split into halves that have room for more.
//! Additions and subtractions have an AVX2 form for all primes.
//!
//! Holding an [`Ifma`] or [`Avx2`] proves that the machine has the instructions,
//! which is what makes the calls sound. Other targets get these without values.

use crate::modulus::NARROW;

/// Words a kernel handles at a time; limbs must be a multiple of it long.
pub(crate) use crate::packed::BLOCK;

#[cfg(target_arch = "x86_64")]
pub(crate) use {avx2::Avx2, ifma::Ifma};

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use other::{Avx2, Ifma};

/// The form of the kernels that a prime or a machine takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vectors {
    None,
    /// AVX2 where nothing is multiplied.
    Sums(Avx2),
    Avx2(Avx2),
    Ifma(Ifma),
}

impl Vectors {
    /// The fastest form for vectors of `ring_degree` residues modulo a prime.
    ///
    /// How many times faster AVX2 is than the portable form on one core of an AMD EPYC
    /// (Zen 5) that other work disturbed, residues of 28 to 32 bits, shortest of 300
    /// (test `speedups`):
    ///
    /// | kernel | ratio |
    /// |---|---|
    /// | `add_assign`, `sub_assign` (any prime) | 3.8 to 5.2 |
    /// | `add_scalar` (any prime) | 6.2 to 8.3 |
    /// | `scale`, `add_scaled` | 4.0 to 5.8 |
    /// | `sub_scale` | 4.1 to 4.9 |
    /// | `reduce_offset` | 2.8 to 3.5 |
    /// | `combine` | 1.8 to 2.6 |
    /// | `overflow` | 4.3 to 5.2 |
    /// | `dot`, `dot2` (Zen 4) | 4.8 to 6.4 |
    /// | `key_products` | 3.5 to 5.2 |
    /// | `permute` (no prime) | 1.7 to 1.8 |
    pub fn best(p: u64, ring_degree: usize) -> Vectors {
        match Vectors::of_machine() {
            _ if !ring_degree.is_multiple_of(BLOCK) => Vectors::None,
            Vectors::Ifma(ifma) if p < NARROW => Vectors::Ifma(ifma),
            Vectors::Avx2(avx2) if Avx2::PRIMES.contains(&p) => Vectors::Avx2(avx2),
            Vectors::Sums(avx2) | Vectors::Avx2(avx2) => Vectors::Sums(avx2),
            Vectors::None | Vectors::Ifma(_) => Avx2::detect().map_or(Vectors::None, Vectors::Sums),
        }
    }

    /// The fastest form, where there is no prime.
    pub fn of_machine() -> Vectors {
        let avx2 = || Avx2::detect().map(Vectors::Avx2);
        Ifma::detect().map(Vectors::Ifma).or_else(avx2).unwrap_or(Vectors::None)
    }

    /// The form that takes what both take.
    pub fn common(self, other: Vectors) -> Vectors {
        match (self, other) {
            (Vectors::Ifma(ifma), Vectors::Ifma(_)) => Vectors::Ifma(ifma),
            (Vectors::Avx2(avx2), Vectors::Avx2(_)) => Vectors::Avx2(avx2),
            (Vectors::None | Vectors::Sums(_) | Vectors::Avx2(_) | Vectors::Ifma(_), _) => Vectors::None,
        }
    }

    /// The form of kernels that add or subtract and do not multiply.
    pub fn of_sums(self) -> Vectors {
        match self {
            Vectors::Sums(avx2) => Vectors::Avx2(avx2),
            Vectors::None | Vectors::Avx2(_) | Vectors::Ifma(_) => self,
        }
    }
}

/// Defines the methods of [`Ifma`] and [`Avx2`] by `$mac`, given the names of
/// the arguments.
macro_rules! methods {
    ($mac:ident) => {
        $mac! {
            add_assign(x: &mut [u64], y: &[u64]);
            sub_assign(x: &mut [u64], y: &[u64]);
            scale(x: &mut [u64], factor: Factor);
            add_scalar(x: &mut [u64], y: u64);
            add_scaled(out: &mut [u64], x: &[u64], factor: Factor);
            sub_scale(out: &mut [u64], x: &[u64], factor: Factor);
            reduce_offset(out: &mut [u64], x: &[u64], offset: u64);
            combine(out: &mut [u64], y: &[&[u64]], weights: &[u64], bound: u64);
            dot(out: &mut [u64], a: &[Residues], b: &[Residues]);
            dot2(start: usize, out0: &mut [u64], out1: &mut [u64], a: &[Residues], b0: &[Residues], b1: &[Residues]);
            add_weighted(out: &mut [u64], panel: &[u64], terms: &[Weighted]);
            key_products(outs: &mut [[&mut [u64]; 2]], digits: &[&[u64]], keys: &[Residues], first: First);
        }
    };
}

use methods;

#[cfg(not(target_arch = "x86_64"))]
mod other {
    use crate::automorphism::Automorphism;
    use crate::kernels::{First, Weighted};
    use crate::modulus::{Factor, Modulus};
    use crate::packed::Residues;
    use std::ops::Range;

    /// Has no values: the instructions do not exist here.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Ifma {}

    /// Has no values: the instructions do not exist here.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Avx2 {}

    macro_rules! absurd {
        ($($name:ident($($arg:ident: $ty:ty),*);)*) => {
            absurd!(@for Ifma $($name($($ty),*))*);
            absurd!(@for Avx2 $($name($($ty),*))*);
        };
        (@for $token:ident $($name:ident($($ty:ty),*))*) => { impl $token {
            pub(crate) fn detect() -> Option<$token> {
                None
            }

            pub(crate) fn overflow(self, _: &mut [u64], _: &[&[u64]], _: &[f64]) {
                match self {}
            }

            pub(crate) fn permute(self, _: &mut [u64], _: &[u64], _: &Automorphism) {
                match self {}
            }

            $(#[allow(clippy::too_many_arguments)] // The portable form takes one less.
            pub(crate) fn $name(self, _: &Modulus, $(_: $ty),*) { match self {} })*
        } };
    }
    super::methods!(absurd);

    impl Avx2 {
        pub(crate) const PRIMES: Range<u64> = 0..0;
        pub(crate) const LAZY_TERMS: usize = 0;
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod ifma;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
