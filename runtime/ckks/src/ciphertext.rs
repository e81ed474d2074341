//! Plaintexts and ciphertexts.

use crate::context::Context;
use crate::error::Error;
use crate::poly::Poly;
use crate::sampling::Seed;
use zeroize::Zeroizing;

/// An encoded vector of slots at one level, in transformed form. Wiped on drop:
/// a decrypted one and its ciphertext give the secret key away.
#[derive(Clone, Debug, PartialEq)]
pub struct Plaintext {
    pub(crate) fingerprint: u64,
    pub(crate) poly: Zeroizing<Poly>,
    pub(crate) level: usize,
    pub(crate) scale_log2: f64,
}

impl Plaintext {
    /// Its primes are `q[..=level]`.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Base-2 logarithm of the scale, as far as it was tracked.
    pub fn scale_log2(&self) -> f64 {
        self.scale_log2
    }

    /// Memory it holds.
    pub fn byte_size(&self) -> usize {
        self.poly.byte_size()
    }
}

/// An encrypted vector of slots: a polynomial in the secret, by coefficients.
#[derive(Clone, Debug, PartialEq)]
pub struct Ciphertext {
    pub(crate) fingerprint: u64,
    pub(crate) parts: Vec<Poly>,
    pub(crate) level: usize,
    pub(crate) scale_log2: f64,
    /// What the second part of a fresh ciphertext expands from.
    pub(crate) seed: Option<Seed>,
}

impl Ciphertext {
    /// A result of computation.
    pub(crate) fn derived(ctx: &Context, parts: Vec<Poly>, level: usize, scale_log2: f64) -> Self {
        Ciphertext { fingerprint: ctx.fingerprint(), parts, level, scale_log2, seed: None }
    }

    /// An encryption of zero without noise or secret: the neutral element of sums.
    ///
    /// # Errors
    /// [`Error::NoSuchLevel`].
    pub fn zero(ctx: &Context, level: usize, scale_log2: f64) -> Result<Ciphertext, Error> {
        ctx.check_level(level)?;
        let part = Poly::zero(ctx.ring_degree(), level + 1);
        Ok(Ciphertext::derived(ctx, vec![part.clone(), part], level, scale_log2))
    }

    /// Its primes are `q[..=level]`: it can be rescaled `level` times.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Degree in the secret: 1, or 2 between a product and its relinearisation.
    pub fn degree(&self) -> usize {
        self.parts.len() - 1
    }

    /// Base-2 logarithm of the scale. Informational: products add it, rescaling
    /// subtracts the prime's, sums keep that of the first operand, and nothing is
    /// refused because of it.
    pub fn scale_log2(&self) -> f64 {
        self.scale_log2
    }

    /// Replaces the tracked scale.
    pub fn set_scale_log2(&mut self, scale_log2: f64) {
        self.scale_log2 = scale_log2;
    }

    /// Memory it holds.
    pub fn byte_size(&self) -> usize {
        self.parts.iter().map(Poly::byte_size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintexts_leave_nothing_in_recycled_memory() {
        // A length that no other test uses.
        const LEN: usize = 16 * 54_321;
        let poly = Zeroizing::new(Poly::build(LEN, 1, |_, limb| limb.fill(7)));
        drop(Plaintext { fingerprint: 0, poly, level: 0, scale_log2: 0.0 });
        assert!(Poly::scratch(LEN, 1).limb(0).iter().all(|&word| word == 0));
    }
}
