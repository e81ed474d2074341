//! The negacyclic number-theoretic transform of one prime.
//!
//! `tfhe-ntt` does it, which picks vector instructions at run time. Values come out
//! in bit-reversed order of the exponents of one root of unity, on which
//! automorphisms rely, so that the order is checked. A transform of our own in
//! AVX-512 IFMA, levels fused in registers and two limbs side by side, made a whole
//! rotation 1.00 to 1.06 times as fast (N = 8192 and 16384, Zen 5): not enough to
//! keep it.

use crate::error::Error;
use crate::kernels;
use crate::modulus::{Factor, Modulus};
use tfhe_ntt::prime64::Plan;

/// Both directions for one prime.
pub(crate) struct Transform(Plan);

impl Transform {
    /// Prepares a prime that is 1 modulo 2N.
    ///
    /// # Errors
    /// [`Error::Prime`] for any other.
    pub fn new(m: &Modulus, degree: usize) -> Result<Transform, Error> {
        let refuse = |reason| Error::Prime { prime: m.p, reason };
        let plan = Plan::try_new(degree, m.p).ok_or(refuse("it has no transform"))?;
        match is_bit_reversed(m, &plan, degree) {
            true => Ok(Transform(plan)),
            false => Err(refuse("its transform has an unknown order")),
        }
    }

    /// Coefficients to values.
    pub fn forward(&self, limb: &mut [u64]) {
        self.0.fwd(limb);
    }

    /// Values to coefficients times `N · factor`.
    pub fn inverse(&self, m: &Modulus, limb: &mut [u64], factor: Factor) {
        self.0.inv(limb);
        kernels::scale(m, limb, factor);
    }
}

/// Whether the values of X are the odd powers of the first in bit-reversed order.
fn is_bit_reversed(m: &Modulus, plan: &Plan, degree: usize) -> bool {
    let mut values = vec![0; degree];
    values[1] = 1;
    plan.fwd(&mut values);
    let (root, square) = (values[0], m.mul(values[0], values[0]));
    let shift = degree.leading_zeros() + 1;
    let powers = std::iter::successors(Some(root), |&power| Some(m.mul(power, square)));
    (0..degree).zip(powers).all(|(i, power)| values[i.reverse_bits() >> shift] == power)
}
