//! Ring parameters of RNS-CKKS and the security table they are held against.

use crate::scale::Level;
use serde::{Deserialize, Serialize};

/// A ring, its prime chain and the decomposition used by key switching.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// Ring degree N, a power of two; a ciphertext has N/2 slots.
    pub ring_degree: usize,
    /// Ciphertext primes; `q[0]` is dropped last. A level-`l` ciphertext holds `q[..=l]`.
    pub q: Vec<u64>,
    /// Special primes of hybrid key switching.
    pub p: Vec<u64>,
    /// Ciphertext primes per key-switching digit.
    pub digit_limbs: usize,
    /// What the parameters promise; [`SecurityLevel::Insecure`] must be asked for by name.
    pub security: SecurityLevel,
}

/// Security against the best known classical attacks, ternary secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecurityLevel {
    /// 128 bits by the table of homomorphicencryption.org.
    Classical128,
    /// No promise: tests and experiments only.
    Insecure,
}

impl Params {
    /// Slots per ciphertext.
    pub fn n_slots(&self) -> usize {
        self.ring_degree / 2
    }

    /// The level of a fresh ciphertext.
    pub fn max_level(&self) -> Level {
        Level(self.q.len() as u32 - 1)
    }

    /// Bits of the whole modulus QP, which security depends on.
    pub fn log_qp(&self) -> f64 {
        self.q.iter().chain(&self.p).map(|&prime| (prime as f64).log2()).sum()
    }

    /// Key-switching digits of a ciphertext at `level`.
    pub fn n_digits(&self, level: Level) -> usize {
        level.n_limbs().div_ceil(self.digit_limbs)
    }
}

/// Largest log2(QP) that keeps 128 bits of classical security for a uniform
/// ternary secret and error width 3.2, by ring degree.
///
/// Source: Homomorphic Encryption Standard (2018), table 1; the row of 65536 is
/// from Bossuat et al., "Security Guidelines for Implementing Homomorphic
/// Encryption" (2024), table 5.2.
pub const MAX_LOG_QP_128: [(usize, u32); 7] =
    [(1024, 27), (2048, 54), (4096, 109), (8192, 218), (16384, 438), (32768, 881), (65536, 1747)];

/// The bound of [`MAX_LOG_QP_128`] for one ring degree; `None` outside the table.
pub fn max_log_qp_128(ring_degree: usize) -> Option<u32> {
    MAX_LOG_QP_128.iter().find(|row| row.0 == ring_degree).map(|row| row.1)
}
