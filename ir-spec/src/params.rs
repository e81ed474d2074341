//! Ring parameters of RNS-CKKS, held against what security they promise.

use crate::limits::{MAX_PRIME_BITS, MAX_PRIMES, MAX_SLOTS};
use crate::primes::is_ntt_prime;
use crate::scale::Level;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use hecc_security::{SecurityLevel, Strength};

/// A ring, its prime chain and the decomposition used by key switching.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// Ring degree N, a power of two; a ciphertext has N/2 slots.
    pub ring_degree: usize,
    /// Ciphertext primes; `q[0]` is dropped last. A level-`l` ciphertext holds `q[..=l]`.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub q: Vec<u64>,
    /// Special primes of hybrid key switching.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub p: Vec<u64>,
    /// Ciphertext primes per key-switching digit.
    pub digit_limbs: usize,
    /// What the parameters promise; [`SecurityLevel::Insecure`] must be asked for by name.
    pub security: SecurityLevel,
}

impl Params {
    /// Slots of the ring. A circuit may have fewer: [`Params::lanes`].
    pub fn n_slots(&self) -> usize {
        self.ring_degree / 2
    }

    /// How many runs of a circuit of `n_slots` slots the slots of the ring hold side by
    /// side; `None` unless these slots divide those of the ring.
    pub fn lanes(&self, n_slots: usize) -> Option<usize> {
        let of_ring = self.n_slots();
        (n_slots > 0 && of_ring.is_multiple_of(n_slots)).then(|| of_ring / n_slots)
    }

    /// The level of a fresh ciphertext.
    pub fn max_level(&self) -> Level {
        Level(self.q.len() as u32 - 1)
    }

    /// Bits of the whole modulus QP, which security depends on.
    pub fn log_qp(&self) -> f64 {
        self.q.iter().chain(&self.p).map(|&prime| (prime as f64).log2()).sum()
    }

    /// Bits of security that the parameters leave, whatever they promise.
    pub fn strength(&self) -> Strength {
        Strength::of(self.ring_degree, self.log_qp())
    }

    /// Key-switching digits of a ciphertext at `level`.
    pub fn n_digits(&self, level: Level) -> usize {
        level.n_limbs().div_ceil(self.digit_limbs)
    }
}

/// A broken promise of [`Params`].
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ParamsError {
    /// The ring degree is no power of two in the supported range.
    #[error("ring degree {0} is not a power of two from 2 to twice {MAX_SLOTS}")]
    RingDegree(usize),
    /// An empty or overlong chain.
    #[error("{q} ciphertext primes and {p} special primes: one to {MAX_PRIMES} in all are supported")]
    PrimeCount {
        /// Ciphertext primes.
        q: usize,
        /// Special primes.
        p: usize,
    },
    /// Not a prime congruent to one modulo 2N, or too wide.
    #[error("{0} is not a prime of at most {MAX_PRIME_BITS} bits that is 1 modulo twice the ring degree")]
    Prime(u64),
    /// A prime occurs twice.
    #[error("prime {0} occurs twice")]
    Repeated(u64),
    /// Key-switching digits need one to all of the ciphertext primes.
    #[error("{0} primes per key-switching digit: one to the number of ciphertext primes are possible")]
    DigitLimbs(usize),
    /// The modulus is too wide for the promised security.
    #[error(
        "log2(QP) = {log_qp:.1} breaks {}-bit security at ring degree {ring_degree}, which allows {bound}",
        level.bits()
    )]
    Security {
        /// What is promised.
        level: SecurityLevel,
        /// Ring degree.
        ring_degree: usize,
        /// Bits of the whole modulus.
        log_qp: f64,
        /// Most bits allowed; zero outside the table.
        bound: u32,
    },
}

impl Params {
    /// Checks that the parameters describe a ring an engine can build and that
    /// they keep the security they claim.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn check(&self) -> Result<(), ParamsError> {
        if !self.ring_degree.is_power_of_two() || !(2..=2 * MAX_SLOTS).contains(&self.ring_degree) {
            return Err(ParamsError::RingDegree(self.ring_degree));
        }
        let (q, p) = (self.q.len(), self.p.len());
        if q == 0 || q > MAX_PRIMES || p > MAX_PRIMES || q + p > MAX_PRIMES {
            return Err(ParamsError::PrimeCount { q, p });
        }
        if self.digit_limbs == 0 || self.digit_limbs > q {
            return Err(ParamsError::DigitLimbs(self.digit_limbs));
        }
        self.check_primes()?;
        self.check_security()
    }

    /// Bits of the modulus of a ciphertext at `level`; `None` above the chain.
    pub fn log_q(&self, level: Level) -> Option<f64> {
        let primes = self.q.get(..level.n_limbs())?;
        Some(primes.iter().map(|&prime| (prime as f64).log2()).sum())
    }

    fn check_primes(&self) -> Result<(), ParamsError> {
        let mut seen = Vec::new();
        for &prime in self.q.iter().chain(&self.p) {
            if prime >> MAX_PRIME_BITS != 0 || !is_ntt_prime(prime, self.ring_degree) {
                return Err(ParamsError::Prime(prime));
            }
            if seen.contains(&prime) {
                return Err(ParamsError::Repeated(prime));
            }
            seen.push(prime);
        }
        Ok(())
    }

    fn check_security(&self) -> Result<(), ParamsError> {
        let Params { ring_degree, security: level, .. } = *self;
        let (log_qp, bound) = (self.log_qp(), level.max_log_qp(ring_degree));
        match log_qp <= f64::from(bound) {
            true => Ok(()),
            false => Err(ParamsError::Security { level, ring_degree, log_qp, bound }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain of `count` primes just above 2^`bits`.
    fn chain(ring_degree: usize, bits: u32, count: usize) -> Params {
        let candidates = (1..).map(|k| (1u64 << bits) + k * 2 * ring_degree as u64 + 1);
        let mut q: Vec<u64> = candidates.filter(|&c| is_ntt_prime(c, ring_degree)).take(count).collect();
        let p = vec![q.pop().expect("there are as many")];
        Params { ring_degree, q, p, digit_limbs: 1, security: SecurityLevel::Classical128 }
    }

    /// Every ring and promise with a bound.
    fn bounds() -> impl Iterator<Item = (usize, SecurityLevel, u32)> {
        let rings = (10..=16).map(|log2| 1 << log2);
        let all = rings.flat_map(|degree| SecurityLevel::ALL.map(|level| (degree, level)));
        let bounds = all.map(|(degree, level)| (degree, level, level.max_log_qp(degree)));
        bounds.filter(|&(_, level, bound)| level != SecurityLevel::Insecure && bound > 0)
    }

    #[test]
    fn every_row_of_the_security_table_is_enforced() {
        for (degree, level, row) in bounds() {
            let count = row.div_ceil(54).max(2);
            let mut params = Params { security: level, ..chain(degree, row / count + 1, count as usize) };
            let refused = params.check();
            let expected = |e: &ParamsError| {
                matches!(e, ParamsError::Security { level: l, ring_degree, bound, .. }
                    if (*l, *ring_degree, *bound) == (level, degree, row))
            };
            assert!(refused.as_ref().is_err_and(expected), "{degree}: {refused:?}");
            params.security = SecurityLevel::Insecure;
            assert_eq!(params.check(), Ok(()));
        }
    }

    #[test]
    fn chains_within_the_security_table_are_accepted() {
        for (degree, bits, count) in [(2048, 26, 2), (4096, 35, 3), (8192, 53, 4), (16384, 53, 8)] {
            assert_eq!(chain(degree, bits, count).check(), Ok(()));
        }
    }

    #[test]
    fn rings_outside_the_security_table_are_refused() {
        for degree in [256, 512] {
            let refused = chain(degree, 20, 2).check();
            assert!(matches!(refused, Err(ParamsError::Security { bound: 0, .. })), "{refused:?}");
        }
    }
}
