//! The units of a leveled circuit: levels, scales and rotation steps.
//!
//! Arithmetic between them is written here once. Scales are exact: they are
//! fixed-point base-2 logarithms, so products are integer sums and two values
//! either have the same scale or they do not.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};

/// How many rescales a ciphertext can still take: a ciphertext at level `l`
/// holds the primes `q_0 ..= q_l`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Level(pub u32);

impl Level {
    /// Number of primes a ciphertext at this level holds.
    pub fn n_limbs(self) -> usize {
        self.0 as usize + 1
    }

    /// The level after one rescale; `None` at level zero.
    pub fn below(self) -> Option<Level> {
        self.0.checked_sub(1).map(Level)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.0)
    }
}

/// Base-2 logarithm of the factor between a slot value and its encoding, in
/// fixed point with [`Scale::FRACTION_BITS`] fractional bits.
///
/// Multiplying ciphertexts adds scales, rescaling subtracts the prime's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scale(i64);

impl Scale {
    /// Resolution of the logarithm; the relative error of a scale is below 1e-12.
    pub const FRACTION_BITS: u32 = 40;

    /// The scale one, of values that are encoded as themselves.
    pub const ONE: Scale = Scale(0);

    /// The scale whose logarithm is nearest to `log2`.
    pub fn from_log2(log2: f64) -> Scale {
        Scale((log2 * Self::unit()).round() as i64)
    }

    /// The scale equal to a prime, which rescaling by it removes.
    pub fn of_prime(prime: u64) -> Scale {
        Scale::from_log2((prime as f64).log2())
    }

    /// Base-2 logarithm.
    pub fn log2(self) -> f64 {
        self.0 as f64 / Self::unit()
    }

    /// The factor itself.
    pub fn factor(self) -> f64 {
        self.log2().exp2()
    }

    /// The fixed-point representation, for exact printing.
    pub fn raw(self) -> i64 {
        self.0
    }

    /// Inverse of [`Scale::raw`].
    pub fn from_raw(raw: i64) -> Scale {
        Scale(raw)
    }

    fn unit() -> f64 {
        (1u64 << Self::FRACTION_BITS) as f64
    }
}

impl Add for Scale {
    type Output = Scale;
    fn add(self, other: Scale) -> Scale {
        Scale(self.0.saturating_add(other.0))
    }
}

impl Sub for Scale {
    type Output = Scale;
    fn sub(self, other: Scale) -> Scale {
        Scale(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2^{}", self.log2())
    }
}

/// A rotation to the left, reduced modulo the slot count when made: slot `i`
/// of the result is slot `i + step` of the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Step(u32);

impl Step {
    /// The rotation that does nothing.
    pub const ZERO: Step = Step(0);

    /// Reduces a signed step modulo `n_slots`.
    pub fn new(step: i64, n_slots: usize) -> Step {
        Step(step.rem_euclid(n_slots as i64) as u32)
    }

    /// The step in `0 .. n_slots`.
    pub fn get(self) -> usize {
        self.0 as usize
    }

    /// True for the rotation that does nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Composition of two rotations.
    pub fn compose(self, other: Step, n_slots: usize) -> Step {
        Step::new(i64::from(self.0) + i64::from(other.0), n_slots)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
