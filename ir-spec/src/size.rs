//! Bytes that keys, plaintexts and ciphertexts of a ring take, known before there are any.
//!
//! The one home of these numbers: what the compiler estimates, what a manifest asks of clients and servers, and
//! what the runtime holds against its bounds. Padding is left out, a few dozen bytes each.

use crate::params::Params;
use crate::scale::Level;
use crate::target::Basis;

/// Fewest bytes that a residue takes at rest.
const LEAST_WIDTH: usize = 4;

/// Sizes over the primes of a ring. Expects sound parameters.
#[derive(Clone, Copy, Debug)]
pub struct Sizes<'a>(pub &'a Params);

impl Sizes<'_> {
    /// Memory of a key for key switching at a level and below.
    pub fn key(&self, level: Level) -> usize {
        2 * self.0.n_digits(level) * self.plain(level, Basis::Extended)
    }

    /// The same key as it travels: a seed stands for one half, and residues take as many bits as they need.
    pub fn sent_key(&self, level: Level) -> usize {
        let limb = |prime: &u64| (self.0.ring_degree * bits(*prime)).div_ceil(u8::BITS as usize);
        self.0.n_digits(level) * self.primes(level, Basis::Extended).map(limb).sum::<usize>()
    }

    /// Memory of a plaintext that is encoded for a level: residues rest in as many whole bytes as they need.
    pub fn plain(&self, level: Level, basis: Basis) -> usize {
        let width = |prime: &u64| bits(*prime).div_ceil(u8::BITS as usize).max(LEAST_WIDTH);
        self.primes(level, basis).map(width).sum::<usize>() * self.0.ring_degree
    }

    /// Memory of a ciphertext of two polynomials in words.
    pub fn ct(&self, level: Level, basis: Basis) -> usize {
        2 * self.poly(level, basis)
    }

    /// Memory of a polynomial in words.
    pub fn poly(&self, level: Level, basis: Basis) -> usize {
        self.primes(level, basis).count() * self.0.ring_degree * size_of::<u64>()
    }

    fn primes(&self, level: Level, basis: Basis) -> impl Iterator<Item = &u64> {
        let special: &[u64] = match basis {
            Basis::Reduced => &[],
            Basis::Extended => &self.0.p,
        };
        self.0.q.iter().take(level.n_limbs()).chain(special)
    }
}

fn bits(prime: u64) -> usize {
    (u64::BITS - prime.leading_zeros()) as usize
}
