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
    /// Name for messages, for example `ckks-cpu`.
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
    /// One multiply-accumulate of one limb.
    pub mul_acc_ns: f64,
    /// One addition of one limb.
    pub add_ns: f64,
    /// Converting one limb to one other prime (basis conversion).
    pub convert_ns: f64,
}

impl Target {
    /// The cost row of a ring degree.
    pub fn ring(&self, ring_degree: usize) -> Option<&RingCost> {
        self.rings.iter().find(|row| row.ring_degree == ring_degree)
    }
}

/// Prices operations of one parameter set in nanoseconds on one thread.
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
        let limbs = level.n_limbs() as f64;
        let extended = limbs + self.params.p.len() as f64;
        let digits = self.params.n_digits(level) as f64;
        limbs * self.ring.ntt_ns
            + digits * (extended - self.params.digit_limbs as f64) * self.ring.ntt_ns
            + digits * extended * self.params.digit_limbs as f64 * self.ring.convert_ns
    }

    /// Key-switching an already decomposed part: products with the key, then
    /// division by the special modulus.
    pub fn apply_key(&self, level: Level) -> f64 {
        let limbs = level.n_limbs() as f64;
        let special = self.params.p.len() as f64;
        let digits = self.params.n_digits(level) as f64;
        2.0 * digits * (limbs + special) * self.ring.mul_acc_ns
            + 2.0 * (limbs + special) * self.ring.ntt_ns
            + 2.0 * limbs * special * self.ring.convert_ns
    }

    /// One rotation on its own.
    pub fn rotate(&self, level: Level) -> f64 {
        self.decompose(level) + self.apply_key(level)
    }

    /// One product with an encoded plaintext, accumulated.
    pub fn mul_plain(&self, level: Level) -> f64 {
        2.0 * level.n_limbs() as f64 * self.ring.mul_acc_ns
    }

    /// One ciphertext product without relinearisation.
    pub fn mul(&self, level: Level) -> f64 {
        4.0 * level.n_limbs() as f64 * self.ring.mul_acc_ns
    }

    /// One squaring with relinearisation and rescale.
    pub fn square(&self, level: Level) -> f64 {
        self.mul(level) + self.relin(level) + self.rescale(level)
    }

    /// One relinearisation.
    pub fn relin(&self, level: Level) -> f64 {
        self.rotate(level)
    }

    /// One addition.
    pub fn add(&self, level: Level) -> f64 {
        2.0 * level.n_limbs() as f64 * self.ring.add_ns
    }

    /// One rescale.
    pub fn rescale(&self, level: Level) -> f64 {
        2.0 * (level.n_limbs() as f64 + 1.0) * self.ring.ntt_ns
    }
}
