//! Arithmetic modulo one prime below 2^61.
//!
//! Residues are canonical, in `0..p`. Constants multiplied often carry a
//! precomputed quotient (Shoup, as in Harvey, "Faster arithmetic for
//! number-theoretic transforms", 2014).

use crate::simd::{Avx2, Fma, Vectors};

/// A constant factor `value` with `ratio` = floor(value · 2^64 / p).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Factor {
    pub value: u64,
    pub ratio: u64,
}

/// A prime and what reducing by it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modulus {
    pub p: u64,
    /// The factors 1, 2^32, 2^52 and 2^64; two of them are for vector forms alone.
    pub one: Factor,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
    pub two32: Factor,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
    pub two52: Factor,
    pub two64: Factor,
    /// Products that accumulators hold before a reduction.
    pub lazy_terms: usize,
    /// The form of the kernels for vectors modulo this prime.
    pub vectors: Vectors,
}

/// Products of primes below 2^61 that a double word holds.
pub(crate) const LAZY_TERMS: usize = 32;
/// Primes below this take the 52-bit kernels: sums of four stay below 2^52.
pub(crate) const NARROW: u64 = 1 << 50;

impl Modulus {
    /// Prepares a prime for vectors of `ring_degree` residues.
    pub fn new(p: u64, ring_degree: usize) -> Modulus {
        Modulus::with(p, Vectors::best(p, ring_degree))
    }

    /// Prepares a prime for a form of the kernels that takes it.
    pub fn with(p: u64, vectors: Vectors) -> Modulus {
        Modulus {
            p,
            one: Factor::new(1, p),
            two32: Factor::new((1 << 32) % p, p),
            two52: Factor::new((1 << 52) % p, p),
            two64: Factor::new(((1u128 << 64) % u128::from(p)) as u64, p),
            lazy_terms: match vectors {
                Vectors::None | Vectors::Sums(_) => LAZY_TERMS,
                Vectors::Avx2(_) => Avx2::LAZY_TERMS,
                Vectors::Fma(_) => Fma::LAZY_TERMS,
                Vectors::Ifma(_) => lazy_terms(p),
            },
            vectors,
        }
    }

    /// A factor for [`Modulus::scale`].
    pub fn factor(&self, value: u64) -> Factor {
        Factor::new(self.reduce(value), self.p)
    }

    /// x · factor, for any x.
    #[inline(always)]
    pub fn scale(&self, x: u64, factor: Factor) -> u64 {
        self.fold(self.scale_lazy(x, factor))
    }

    /// x · factor in `0..2p`, for any x.
    #[inline(always)]
    pub fn scale_lazy(&self, x: u64, factor: Factor) -> u64 {
        let quotient = ((u128::from(x) * u128::from(factor.ratio)) >> 64) as u64;
        x.wrapping_mul(factor.value).wrapping_sub(quotient.wrapping_mul(self.p))
    }

    /// From `0..2p` to `0..p`.
    #[inline(always)]
    pub fn fold(&self, x: u64) -> u64 {
        x.min(x.wrapping_sub(self.p))
    }

    /// Any word modulo p.
    #[inline(always)]
    pub fn reduce(&self, x: u64) -> u64 {
        self.scale(x, self.one)
    }

    /// Any double word modulo p.
    #[inline(always)]
    pub fn reduce_wide(&self, x: u128) -> u64 {
        let sum = self.scale_lazy((x >> 64) as u64, self.two64) + self.scale_lazy(x as u64, self.one);
        self.fold(sum.min(sum.wrapping_sub(2 * self.p)))
    }

    #[inline(always)]
    pub fn add(&self, x: u64, y: u64) -> u64 {
        self.fold(x + y)
    }

    #[inline(always)]
    pub fn sub(&self, x: u64, y: u64) -> u64 {
        self.fold(x + self.p - y)
    }

    #[inline(always)]
    pub fn neg(&self, x: u64) -> u64 {
        self.fold(self.p - x)
    }

    #[inline(always)]
    pub fn mul(&self, x: u64, y: u64) -> u64 {
        self.reduce_wide(u128::from(x) * u128::from(y))
    }

    pub fn pow(&self, x: u64, exponent: u64) -> u64 {
        let (mut square, mut result) = (x, 1);
        for bit in 0..64 - exponent.leading_zeros() {
            if exponent >> bit & 1 == 1 {
                result = self.mul(result, square);
            }
            square = self.mul(square, square);
        }
        result
    }

    pub fn invert(&self, x: u64) -> u64 {
        self.pow(x, self.p - 2)
    }

    /// A signed integer modulo p, without branches on it.
    #[inline(always)]
    pub fn lift(&self, x: i64) -> u64 {
        self.reduce_signed(i128::from(x))
    }

    /// A signed integer modulo p, without branches on it; |x| < 2^126.
    #[inline(always)]
    pub fn reduce_signed(&self, x: i128) -> u64 {
        let magnitude = self.reduce_wide(x.unsigned_abs());
        let mask = (x >> 127) as u64;
        (self.neg(magnitude) & mask) | (magnitude & !mask)
    }

    /// Whole bytes a residue takes at rest: as many as it needs, but four at least.
    pub fn byte_width(&self) -> usize {
        (self.width().div_ceil(8) as usize).max(4)
    }

    /// Bits a residue takes when written down.
    pub fn width(&self) -> u32 {
        64 - self.p.leading_zeros()
    }
}

impl Factor {
    fn new(value: u64, p: u64) -> Factor {
        Factor { value, ratio: ((u128::from(value) << 64) / u128::from(p)) as u64 }
    }
}

/// How many products keep the high accumulator below 2^52 after the carry of
/// the low one, and the low one below 2^64.
fn lazy_terms(p: u64) -> usize {
    let high = ((u128::from(p) * u128::from(p)) >> 52) as u64 + 1;
    (((1u64 << 52) - 4096) / high).min(4000) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reductions_agree_with_division(bits in 20u32..=60, x: u128, y: u64, z: i64) {
            let p = primes::near(bits, 32, 1, &[]).unwrap()[0];
            let m = Modulus::new(p, 32);
            let wide = u128::from(p);
            prop_assert_eq!(u128::from(m.reduce_wide(x)), x % wide);
            prop_assert_eq!(m.reduce(y), y % p);
            let a = m.reduce_wide(x);
            let b = m.reduce(y);
            prop_assert_eq!(u128::from(m.mul(a, b)), u128::from(a) * u128::from(b) % wide);
            prop_assert_eq!(m.scale(y, m.factor(a)), m.mul(b, a));
            prop_assert_eq!(m.add(m.sub(a, b), b), a);
            prop_assert_eq!(m.add(m.neg(a), a), 0);
            prop_assert_eq!(i128::from(m.lift(z)), i128::from(z).rem_euclid(i128::from(p)));
            if a != 0 {
                prop_assert_eq!(m.mul(a, m.invert(a)), 1);
            }
        }
    }
}
