//! AVX-512 IFMA forms of the kernels, for primes below 2^50.
//!
//! A product of two residues is a low and a high half of 52 bits, which the
//! fused multiply-adds accumulate without carries; a sum is reduced once.
//! Holding an [`Ifma`] proves that the machine has the instructions, which is
//! what makes the calls sound. Other targets get an `Ifma` without values.

/// Words a kernel handles at a time; limbs must be a multiple of it long.
pub(crate) use crate::packed::BLOCK;

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
            add_scalar(x: &mut [u64], y: u64);
            add_scaled(out: &mut [u64], x: &[u64], factor: Factor);
            sub_scale(out: &mut [u64], x: &[u64], factor: Factor);
            reduce_offset(out: &mut [u64], x: &[u64], offset: u64);
            combine(out: &mut [u64], y: &[&[u64]], weights: &[u64]);
            dot(out: &mut [u64], a: &[Residues], b: &[Residues]);
            dot2(start: usize, out0: &mut [u64], out1: &mut [u64], a: &[Residues], b0: &[Residues], b1: &[Residues]);
            key_products(outs: &mut [[&mut [u64]; 2]], digits: &[&[u64]], keys: &[Residues], first: First);
        }
    };
}

use methods;

#[cfg(not(target_arch = "x86_64"))]
mod other {
    use crate::automorphism::Automorphism;
    use crate::kernels::First;
    use crate::modulus::{Factor, Modulus};
    use crate::packed::Residues;

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

        pub(crate) fn overflow(self, _: &mut [u64], _: &[&[u64]], _: &[f64]) {
            match self {}
        }

        pub(crate) fn permute(self, _: &mut [u64], _: &[u64], _: &Automorphism) {
            match self {}
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
