//! What a program is compiled for: ring limits and measured operation costs.
//!
//! Costs are data, not code: a target profile is a JSON file of times measured
//! on one machine, and [`Target`] only composes them.

use crate::params::Params;
use crate::scale::Level;
use serde::{Deserialize, Serialize};

/// A machine and scheme to compile for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Name for messages, for example `ckks-avx512`.
    pub name: String,
    /// Widest ciphertext prime the engine takes, in bits.
    pub max_prime_bits: u32,
    /// Measured costs by ring degree, ascending.
    pub rings: Vec<RingCost>,
}

/// Times of primitive steps at one ring degree, one thread, nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RingCost {
    /// Ring degree N.
    pub ring_degree: usize,
    /// One forward or inverse number-theoretic transform of one limb.
    pub ntt_ns: f64,
    /// Reading one limb of a key or plaintext and multiplying and accumulating with
    /// it. That time hardly depends on whether the limb meets one other, as a key's
    /// does, or two, as a plaintext's.
    pub mul_acc_ns: f64,
    /// One addition of one limb.
    pub add_ns: f64,
    /// Converting one limb to one other prime (basis conversion).
    pub convert_ns: f64,
    /// Multiplying one limb by a number and accumulating, among others that are
    /// computed together. Profiles without it price products with numbers as those with
    /// plaintexts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mul_scalar_ns: Option<f64>,
    /// What wide primes take longer, if they do: the times are those of narrow ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wide: Option<WidePrimes>,
}

/// Primes that the vector instructions of a machine do not take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WidePrimes {
    /// Narrow primes have so many bits at most.
    pub narrow_bits: u32,
    /// How many times as long everything but additions takes for a limb of a wide prime.
    pub factor: f64,
}

impl RingCost {
    /// How many times as long everything but additions takes for the primes of `params` as it would if
    /// all were narrow.
    pub fn slowdown(&self, params: &Params) -> f64 {
        let ops = OpCost { ring: self, params };
        let n_primes = params.q.len() + params.p.len();
        (ops.work_of(&params.q) + ops.work_of(&params.p)) / n_primes as f64
    }
}

impl Target {
    /// The cost row of a ring degree.
    pub fn ring(&self, ring_degree: usize) -> Option<&RingCost> {
        self.rings.iter().find(|row| row.ring_degree == ring_degree)
    }
}

/// Over which primes a ciphertext is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Those of its level.
    Reduced,
    /// The special primes too: the division of a key switch is still to be done.
    Extended,
}

/// Prices operations of one parameter set in nanoseconds on one thread. Every
/// price is a linear form of the measured times.
#[derive(Clone, Debug)]
pub struct OpCost<'a> {
    /// Measured primitives.
    pub ring: &'a RingCost,
    /// Parameters that give the number of limbs and digits.
    pub params: &'a Params,
}

impl OpCost<'_> {
    /// Decomposing one ciphertext part for key switching; rotations of one
    /// ciphertext share it (hoisting).
    pub fn decompose(&self, level: Level) -> f64 {
        let (n_limbs, extended) = (level.n_limbs() as f64, self.work(level, Basis::Extended));
        let digits = self.params.n_digits(level) as f64;
        // Digits have their own limbs already.
        let own = n_limbs.min(self.params.digit_limbs as f64) * self.work(level, Basis::Reduced) / n_limbs;
        digits * extended * self.ring.ntt_ns + n_limbs * (extended - own) * self.ring.convert_ns
    }

    /// Key-switching an already decomposed part: products with the key and the
    /// permutation of a rotation. The result is extended.
    pub fn apply_key(&self, level: Level) -> f64 {
        let digits = self.params.n_digits(level) as f64;
        let products = 2.0 * digits * self.work(level, Basis::Extended) * self.ring.mul_acc_ns;
        products + (2.0 * self.n_limbs(level, Basis::Extended) + level.n_limbs() as f64) * self.ring.add_ns
    }

    /// One rotation of a reduced ciphertext, or relinearisation, that leaves its
    /// result extended.
    pub fn rotate(&self, level: Level) -> f64 {
        self.decompose(level) + self.apply_key(level)
    }

    /// Division of one extended part by the special modulus.
    pub fn divide(&self, level: Level) -> f64 {
        self.divide_by(self.params.p.len(), self.work_of(&self.params.p), level)
    }

    /// Division of an extended ciphertext by the special modulus.
    pub fn reduce(&self, level: Level) -> f64 {
        2.0 * self.divide(level)
    }

    /// Reading one ciphertext that products with plaintexts are made of, however
    /// many: what is summed together is computed together.
    pub fn gather(&self, level: Level, basis: Basis) -> f64 {
        self.add(level, basis)
    }

    /// One product with an encoded plaintext, accumulated, besides [`OpCost::gather`].
    pub fn mul_plain(&self, level: Level, basis: Basis) -> f64 {
        self.work(level, basis) * self.ring.mul_acc_ns
    }

    /// One product with a number, accumulated, besides [`OpCost::gather`].
    pub fn mul_scalar(&self, level: Level, basis: Basis) -> f64 {
        match self.ring.mul_scalar_ns {
            Some(ns) => 2.0 * self.work(level, basis) * ns,
            None => self.mul_plain(level, basis),
        }
    }

    /// One product of reduced ciphertexts without relinearisation.
    pub fn mul(&self, level: Level) -> f64 {
        4.0 * self.work(level, Basis::Reduced) * self.ring.mul_acc_ns
    }

    /// One squaring with relinearisation and rescale.
    pub fn square(&self, level: Level) -> f64 {
        let below = level.below().unwrap_or(level);
        self.mul(level) + self.relin(level) + self.rescale(below, Basis::Reduced)
    }

    /// One relinearisation.
    pub fn relin(&self, level: Level) -> f64 {
        self.rotate(level) + self.reduce(level)
    }

    /// One addition.
    pub fn add(&self, level: Level, basis: Basis) -> f64 {
        2.0 * self.n_limbs(level, basis) * self.ring.add_ns
    }

    /// One rescale down to a level. An extended ciphertext is divided by the
    /// special modulus at the same time.
    pub fn rescale(&self, level: Level, basis: Basis) -> f64 {
        let special: &[u64] = match basis {
            Basis::Reduced => &[],
            Basis::Extended => &self.params.p,
        };
        let dropped = self.params.q.get(level.n_limbs()).map_or(1.0, |&prime| self.work_of(&[prime]));
        2.0 * self.divide_by(special.len() + 1, dropped + self.work_of(special), level)
    }

    /// Dividing one part by `n` primes of so much work: out of their transforms, conversion to
    /// the primes that remain, back into theirs, and the difference to what was there.
    fn divide_by(&self, n: usize, work: f64, level: Level) -> f64 {
        let limbs = self.work(level, Basis::Reduced);
        let conversions = n as f64 * limbs * self.ring.convert_ns;
        (work + limbs) * self.ring.ntt_ns + conversions + level.n_limbs() as f64 * self.ring.add_ns
    }

    fn n_limbs(&self, level: Level, basis: Basis) -> f64 {
        let special = match basis {
            Basis::Reduced => 0,
            Basis::Extended => self.params.p.len(),
        };
        (level.n_limbs() + special) as f64
    }

    /// Limbs, each counted as many times as it takes longer than one of a narrow prime.
    fn work(&self, level: Level, basis: Basis) -> f64 {
        let special = match basis {
            Basis::Reduced => 0.0,
            Basis::Extended => self.work_of(&self.params.p),
        };
        // Levels above the chain are priced too, before it is chosen.
        let chain = &self.params.q[..level.n_limbs().min(self.params.q.len())];
        (level.n_limbs() - chain.len()) as f64 + self.work_of(chain) + special
    }

    fn work_of(&self, primes: &[u64]) -> f64 {
        let Some(WidePrimes { narrow_bits, factor }) = self.ring.wide else { return primes.len() as f64 };
        let n_wide = primes.iter().filter(|prime| **prime >> narrow_bits.min(63) > 0).count() as f64;
        primes.len() as f64 + n_wide * (factor - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::SecurityLevel;

    #[test]
    fn wide_primes_slow_a_ring_down_by_their_share() {
        let (q, p) = (vec![(1 << 31) - 1, 1 << 31], vec![1 << 49]);
        let params = Params { ring_degree: 16, q, p, digit_limbs: 1, security: SecurityLevel::Insecure };
        let wide = Some(WidePrimes { narrow_bits: 31, factor: 4.0 });
        let times = RingCost {
            ring_degree: 16,
            ntt_ns: 1.0,
            mul_acc_ns: 1.0,
            add_ns: 1.0,
            convert_ns: 1.0,
            mul_scalar_ns: None,
            wide: None,
        };
        assert_eq!(times.slowdown(&params), 1.0);
        assert_eq!(RingCost { wide, ..times }.slowdown(&params), 3.0);
    }
}
