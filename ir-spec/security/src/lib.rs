//! How wide the modulus of ring-LWE may be, and what security a modulus leaves.
//!
//! Holds for uniform ternary secrets and errors of width 3.2, the only ones that the engine draws.
//! The published tables are in `tables/` as their authors print them; `estimate.py` beside them
//! computes the estimates there. Everything that checks or reports security asks here.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// Most bits of a coefficient of an encoded vector, its sign among them: engines compute coefficients as integers of 128 bits, and
/// schedules choose scales with which none is wider. No matter of security, but a bound that both hold.
pub const MAX_ENCODED_BITS: f64 = 126.0;

/// What parameters promise against the best known classical attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum SecurityLevel {
    /// No promise: tests and experiments only.
    Insecure,
    /// 128 bits.
    Classical128,
    /// 192 bits.
    Classical192,
    /// 256 bits.
    Classical256,
}

/// The smallest ring degree of the tables, in which each row has twice the one before.
const LEAST_RING: usize = 1024;
const N_RINGS: usize = 7;

/// Ring degree, then largest log2(QP) for 128, 192 and 256 bits; 0 where the source has none.
type Row = [u32; 4];

/// Homomorphic Encryption Standard (2018), table 1, classical attacks, ternary secrets.
const STANDARD: [Row; 6] = include!("../tables/standard-2018.json");

/// Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption" (IACR ePrint
/// 2024/463), table 5.2, classical attacks, ternary secrets.
const GUIDELINES: [Row; N_RINGS] = include!("../tables/guidelines-2024.json");

impl SecurityLevel {
    /// Every level, weakest first.
    pub const ALL: [SecurityLevel; 4] = [
        SecurityLevel::Insecure,
        SecurityLevel::Classical128,
        SecurityLevel::Classical192,
        SecurityLevel::Classical256,
    ];

    /// Bits of security; 0 without a promise.
    pub const fn bits(self) -> u32 {
        match self {
            SecurityLevel::Insecure => 0,
            SecurityLevel::Classical128 => 128,
            SecurityLevel::Classical192 => 192,
            SecurityLevel::Classical256 => 256,
        }
    }

    /// Column of the published tables.
    const fn column(self) -> Option<usize> {
        match self {
            SecurityLevel::Insecure => None,
            SecurityLevel::Classical128 => Some(1),
            SecurityLevel::Classical192 => Some(2),
            SecurityLevel::Classical256 => Some(3),
        }
    }

    /// Largest log2(QP) that keeps the level on a ring: the least that a source has for it. It is 0
    /// where the newest source has no row, so that such a ring is refused, and [`u32::MAX`] without
    /// a promise.
    pub fn max_log_qp(self, ring_degree: usize) -> u32 {
        let Some(column) = self.column() else { return u32::MAX };
        let in_row = |row: &&Row| row[0] as usize == ring_degree;
        let newest = GUIDELINES.iter().find(in_row).map_or(0, |row| row[column]);
        STANDARD.iter().find(in_row).map_or(newest, |row| newest.min(row[column]))
    }
}

/// Bits of security that a modulus leaves, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strength {
    /// Against classical attacks; never as many as a level whose bound the modulus exceeds.
    pub classical: u32,
    /// Against quantum attacks, at an estimate that leaves out what each step of them costs.
    pub quantum: u32,
}

/// Bits of security in the columns of the estimates.
const STEPS: [f64; 9] = [64.0, 80.0, 96.0, 112.0, 128.0, 160.0, 192.0, 224.0, 256.0];

/// Largest log2(QP) by ring and step.
type Estimates = [[f64; STEPS.len()]; N_RINGS];

/// Gates of classical attacks.
const CLASSICAL: Estimates = include!("../tables/estimates-classical.json");

/// Steps of quantum attacks.
const QUANTUM: Estimates = include!("../tables/estimates-quantum.json");

impl Strength {
    /// What a modulus of `log_qp` bits leaves on a ring; nothing outside the tables, at most 256 bits
    /// within.
    pub fn of(ring_degree: usize, log_qp: f64) -> Strength {
        let exceeds = |level: &&SecurityLevel| log_qp > f64::from(level.max_log_qp(ring_degree));
        let exceeded = SecurityLevel::ALL.iter().find(exceeds).map_or(u32::MAX, |level| level.bits() - 1);
        let estimate = |estimates| interpolate(estimates, ring_degree, log_qp).unwrap_or(0);
        let classical = estimate(&CLASSICAL).min(exceeded);
        Strength { classical, quantum: estimate(&QUANTUM).min(classical) }
    }
}

/// Bits at a modulus: between two steps linear in its inverse, which the cost of attacks nearly is, and
/// proportional to it below the first. `None` outside the table.
fn interpolate(estimates: &Estimates, ring_degree: usize, log_qp: f64) -> Option<u32> {
    let row = estimates.iter().zip(0..).find(|(_, i)| LEAST_RING << i == ring_degree)?.0;
    let found = match row.iter().position(|&max_log_qp| max_log_qp < log_qp) {
        None => STEPS[STEPS.len() - 1],
        Some(0) => STEPS[0] * row[0] / log_qp,
        Some(above) => {
            let [from, to] = [above - 1, above].map(|step| row[step].recip());
            let share = (log_qp.recip() - from) / (to - from);
            STEPS[above - 1] + share * (STEPS[above] - STEPS[above - 1])
        }
    };
    Some(found as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISES: [SecurityLevel; 3] =
        [SecurityLevel::Classical128, SecurityLevel::Classical192, SecurityLevel::Classical256];

    fn rings() -> impl Iterator<Item = usize> {
        (0..N_RINGS).map(|i| LEAST_RING << i)
    }

    /// Written down here again from both papers, so that a slip in a table shows: the 2018 standard
    /// allows 109, 218, 438 and 881 bits where this has 106, 214, 430 and 868.
    #[test]
    fn the_stricter_source_decides() {
        let of = |level: SecurityLevel| rings().map(|n| level.max_log_qp(n)).collect::<Vec<_>>();
        assert_eq!(of(SecurityLevel::Classical128), [26, 53, 106, 214, 430, 868, 1747]);
        assert_eq!(of(SecurityLevel::Classical192), [0, 36, 73, 147, 297, 597, 1199]);
        assert_eq!(of(SecurityLevel::Classical256), [0, 27, 56, 114, 230, 462, 929]);
        assert_eq!(of(SecurityLevel::Insecure), [u32::MAX; N_RINGS]);
    }

    #[test]
    fn rings_outside_the_tables_have_no_security() {
        for ring_degree in [0, 1, 512, 3000, 131_072, usize::MAX] {
            assert!(PROMISES.iter().all(|level| level.max_log_qp(ring_degree) == 0));
            assert_eq!(Strength::of(ring_degree, 20.0), Strength { classical: 0, quantum: 0 });
        }
    }

    #[test]
    fn strength_agrees_with_the_bounds() {
        for (level, ring) in PROMISES.into_iter().flat_map(|level| rings().map(move |n| (level, n))) {
            let bound = f64::from(level.max_log_qp(ring));
            if bound > 0.0 {
                assert!(Strength::of(ring, bound).classical >= level.bits(), "{level:?} {ring}");
            }
            assert!(Strength::of(ring, bound + 1e-6).classical < level.bits(), "{level:?} {ring}");
        }
    }

    #[test]
    fn wider_moduli_are_weaker_and_quantum_attacks_stronger() {
        for ring in rings() {
            let strengths = (1..=20_000).map(|tenths| Strength::of(ring, f64::from(tenths) / 10.0));
            let strengths: Vec<Strength> = strengths.collect();
            assert!(strengths.iter().all(|found| found.quantum <= found.classical));
            assert!(strengths.is_sorted_by(|a, b| a.classical >= b.classical && a.quantum >= b.quantum));
        }
    }
}
