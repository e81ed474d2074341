//! Vector forms of the kernels.
//!
//! With AVX-512 IFMA, for primes below 2^50: a product of two residues is a low
//! and a high half of 52 bits, which the fused multiply-adds accumulate without
//! carries; a sum is reduced once. With AVX2, for primes below 2^32: a product fits a
//! word, and sums of words are split into halves that have room for more. With AVX2 and FMA, for other primes
//! below 2^50: a product is two doubles ([`doubles`]).
//! Additions and subtractions have an AVX2 form for all primes.
//!
//! Holding an [`Ifma`], [`Avx2`] or [`Fma`] proves that the machine has the instructions,
//! which is what makes the calls sound. Other targets get these without values.

use crate::modulus::NARROW;

/// Words a kernel handles at a time; limbs must be a multiple of it long.
pub(crate) use crate::packed::BLOCK;

pub use instructions::Instructions;

#[cfg(target_arch = "x86_64")]
pub(crate) use {avx2::Avx2, doubles::transform::Roots, fma::Fma, ifma::Ifma};

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use other::{Avx2, Fma, Ifma, Roots};

/// The form of the kernels that a prime or a machine takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vectors {
    None,
    /// AVX2 where nothing is multiplied.
    Sums(Avx2),
    Avx2(Avx2),
    Fma(Fma),
    Ifma(Ifma),
}

impl Vectors {
    /// The fastest form for vectors of `ring_degree` residues modulo a prime.
    ///
    /// How many times faster AVX2 is than the portable form on one core that other work disturbed, the shortest of
    /// 200 and more (test `speedups`): of residues of 28 to 32 bits on an AMD EPYC (Zen 5), and of 40 bits, in
    /// doubles, on an Intel Xeon (fifth generation):
    ///
    /// | kernel | to 32 bits | 40 bits |
    /// |---|---|---|
    /// | `add_assign`, `sub_assign` (any prime) | 3.8 to 5.2 | |
    /// | `add_scalar` (any prime) | 6.2 to 8.3 | |
    /// | `scale`, `add_scaled` | 4.0 to 5.8 | 2.2 to 2.4 |
    /// | `sub_scale` | 4.1 to 4.9 | 2.0 |
    /// | `reduce_offset` | 2.8 to 3.5 | 3.8 |
    /// | `combine` | 1.8 to 2.6 | 2.4 |
    /// | `overflow` | 4.3 to 5.2 | |
    /// | `dot`, `dot2` (Zen 4; Xeon) | 4.8 to 6.4 | 4.1 to 4.8 |
    /// | `add_weighted` | | 3.3 |
    /// | `key_products` | 3.5 to 5.2 | 3.8 to 4.4 |
    /// | `permute` (no prime) | 1.7 to 1.8 | |
    pub fn best(p: u64, ring_degree: usize) -> Vectors {
        let form = match Instructions::in_use() {
            _ if !ring_degree.is_multiple_of(BLOCK) => None,
            Instructions::Portable => None,
            Instructions::Avx512 if p < NARROW => Ifma::detect().map(Vectors::Ifma),
            Instructions::Avx2 | Instructions::Avx512 => Avx2::detect().map(|avx2| Vectors::of_avx2(avx2, p)),
        };
        form.unwrap_or(Vectors::None)
    }

    /// The fastest form without AVX-512.
    fn of_avx2(avx2: Avx2, p: u64) -> Vectors {
        match Fma::detect() {
            _ if Avx2::PRIMES.contains(&p) => Vectors::Avx2(avx2),
            Some(fma) if Fma::PRIMES.contains(&p) => Vectors::Fma(fma),
            Some(_) | None => Vectors::Sums(avx2),
        }
    }

    /// The fastest form, where there is no prime.
    pub fn without_prime() -> Vectors {
        let form = match Instructions::in_use() {
            Instructions::Portable => None,
            Instructions::Avx2 => Avx2::detect().map(Vectors::Avx2),
            Instructions::Avx512 => Ifma::detect().map(Vectors::Ifma),
        };
        form.unwrap_or(Vectors::None)
    }

    /// The form of kernels without a prime that takes the words of both.
    pub fn common(self, other: Vectors) -> Vectors {
        match (self, other) {
            (Vectors::Ifma(ifma), Vectors::Ifma(_)) => Vectors::Ifma(ifma),
            (Vectors::Fma(fma), Vectors::Fma(_)) => Vectors::Fma(fma),
            (Vectors::Avx2(avx2), Vectors::Avx2(_) | Vectors::Fma(_)) => Vectors::Avx2(avx2),
            (Vectors::Fma(_), Vectors::Avx2(avx2)) => Vectors::Avx2(avx2),
            (Vectors::None | Vectors::Sums(_) | Vectors::Avx2(_) | Vectors::Fma(_) | Vectors::Ifma(_), _) => {
                Vectors::None
            }
        }
    }

    /// The form of kernels that add or subtract and do not multiply.
    pub fn of_sums(self) -> Vectors {
        match self {
            Vectors::Sums(avx2) => Vectors::Avx2(avx2),
            Vectors::None | Vectors::Avx2(_) | Vectors::Fma(_) | Vectors::Ifma(_) => self,
        }
    }
}

/// Defines methods of the forms by `$mac`, given the names of the arguments: those that add or subtract and
/// do not multiply.
macro_rules! sums {
    ($mac:ident) => {
        $mac! {
            add_assign(x: &mut [u64], y: &[u64]);
            sub_assign(x: &mut [u64], y: &[u64]);
            add_scalar(x: &mut [u64], y: u64);
        }
    };
}

/// The others, as [`sums`].
macro_rules! products {
    ($mac:ident) => {
        $mac! {
            scale(x: &mut [u64], factor: Factor);
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

use {products, sums};

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

    /// Has no values: the instructions do not exist here.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Fma {}

    /// Has no values: nothing transforms by it here.
    #[derive(Debug)]
    pub(crate) enum Roots {}

    macro_rules! absurd {
        ($($name:ident($($arg:ident: $ty:ty),*);)*) => {
            absurd!(@for Ifma $($name($($ty),*))*);
            absurd!(@for Avx2 $($name($($ty),*))*);
            absurd!(@for Fma $($name($($ty),*))*);
        };
        (@for $token:ident $($name:ident($($ty:ty),*))*) => { impl $token {
            $(#[allow(clippy::too_many_arguments)] // The portable form takes one less.
            pub(crate) fn $name(self, _: &Modulus, $(_: $ty),*) { match self {} })*
        } };
    }
    super::sums!(absurd);
    super::products!(absurd);

    macro_rules! without_prime {
        ($($token:ident)*) => { $(impl $token {
            pub(crate) const PRIMES: Range<u64> = 0..0;
            pub(crate) const LAZY_TERMS: usize = 0;

            pub(crate) fn detect() -> Option<$token> {
                None
            }

            pub(crate) fn overflow(self, _: &mut [u64], _: &[&[u64]], _: &[f64]) {
                match self {}
            }

            pub(crate) fn permute(self, _: &mut [u64], _: &[u64], _: &Automorphism) {
                match self {}
            }
        })* };
    }
    without_prime!(Avx2 Fma Ifma);

    impl Fma {
        pub(crate) fn roots(self, _: &Modulus, _: usize, _: u64) -> Roots {
            match self {}
        }

        pub(crate) fn forward(self, _: &Roots, _: &mut [u64]) {
            match self {}
        }

        pub(crate) fn inverse(self, _: &Roots, _: &mut [u64], _: Factor) {
            match self {}
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(any(target_arch = "x86_64", test))]
mod doubles;
#[cfg(target_arch = "x86_64")]
mod fma;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod instructions;

#[cfg(test)]
mod tests;
