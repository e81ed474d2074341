//! Residues to centred real numbers.
//!
//! Balanced mixed-radix digits (Garner, "The residue number system", 1959) of
//! an integer between -Q/2 and Q/2 are zero above its size, so that summing
//! them in floating point loses nothing but the rounding of the result. The
//! integers are decrypted data, with the error in them: nothing branches on them.

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

/// The representative nearest to zero, without branches on it.
fn balanced(m: &Modulus, digit: u64) -> i64 {
    let above = ((m.p / 2).wrapping_sub(digit) >> 63).wrapping_neg();
    digit.wrapping_sub(m.p & above) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_digits_are_nearest_to_zero() {
        for bits in [20, 40, 60] {
            let m = Modulus::new(crate::primes::near(bits, 32, 1, &[]).unwrap()[0], 32);
            let half = m.p / 2;
            for digit in [0, 1, half - 1, half, half + 1, m.p - 1] {
                let expected = if digit <= half { digit as i64 } else { digit as i64 - m.p as i64 };
                assert_eq!(balanced(&m, digit), expected, "{digit} modulo {}", m.p);
            }
        }
    }
}
