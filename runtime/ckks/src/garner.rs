//! Residues to centred real numbers.
//!
//! Balanced mixed-radix digits (Garner, "The residue number system", 1959) of
//! an integer between -Q/2 and Q/2 are zero above its size, so that summing
//! them in floating point loses nothing but the rounding of the result.

use crate::context::Context;
use crate::modulus::{Factor, Modulus};
use crate::poly::Poly;
use rayon::prelude::*;
use zeroize::Zeroizing;

/// Constants of one level.
pub(crate) struct Garner {
    moduli: Vec<Modulus>,
    /// Per prime: the inverse of the product of those before it.
    inverses: Vec<Factor>,
}

impl Garner {
    pub fn new(ctx: &Context, level: usize) -> Garner {
        let moduli = ctx.moduli()[..=level].to_vec();
        let inverse = |(i, m): (usize, &Modulus)| {
            let before = moduli[..i].iter().fold(1, |product, q| m.mul(product, m.reduce(q.p)));
            m.factor(m.invert(before))
        };
        Garner { inverses: moduli.iter().enumerate().map(inverse).collect(), moduli }
    }

    /// The centred coefficients of a transformed polynomial; what they are
    /// computed from is wiped.
    pub fn reconstruct(&self, ctx: &Context, poly: &Poly) -> Zeroizing<Vec<f64>> {
        let residues = Zeroizing::new(Poly::build(ctx.ring_degree(), self.moduli.len(), |t, limb| {
            limb.copy_from_slice(poly.limb(t));
            ctx.inverse(t, limb);
        }));
        let digits = || Zeroizing::new(Vec::with_capacity(self.moduli.len()));
        let coefficients = (0..ctx.ring_degree()).into_par_iter().with_min_len(512);
        let centred = |digits: &mut Zeroizing<Vec<i64>>, k| self.centred(&residues, digits, k);
        Zeroizing::new(coefficients.map_init(digits, centred).collect())
    }

    fn centred(&self, residues: &Poly, digits: &mut Vec<i64>, k: usize) -> f64 {
        digits.clear();
        for (i, (m, &inverse)) in self.moduli.iter().zip(&self.inverses).enumerate() {
            let digit = m.scale(m.sub(residues.limb(i)[k], self.modulo(digits, m)), inverse);
            digits.push(balanced(m, digit));
        }
        let primes = self.moduli.iter().map(|m| m.p as f64);
        digits.iter().zip(primes).rev().fold(0.0, |sum, (&digit, prime)| sum * prime + digit as f64)
    }

    /// The integer with these digits modulo another prime.
    fn modulo(&self, digits: &[i64], m: &Modulus) -> u64 {
        let pairs = digits.iter().zip(&self.moduli).rev();
        pairs.fold(0, |sum, (&digit, q)| m.add(m.mul(sum, m.reduce(q.p)), m.lift(digit)))
    }
}

fn balanced(m: &Modulus, digit: u64) -> i64 {
    let signed = digit as i64;
    if digit > m.p / 2 { signed - m.p as i64 } else { signed }
}
