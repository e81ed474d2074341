//! Plaintexts and ciphertexts.

use crate::context::Context;
use crate::error::Error;
use crate::packed::Packed;
use crate::poly::Poly;
use crate::sampling::Seed;
use std::sync::Arc;
use zeroize::Zeroizing;

/// An encoded vector of slots at one level, in transformed form. Wiped on drop:
/// a decrypted one and its ciphertext give the secret key away.
#[derive(Clone, Debug, PartialEq)]
pub struct Plaintext {
    pub(crate) fingerprint: u64,
    pub(crate) contents: Contents,
    pub(crate) level: usize,
    pub(crate) scale_log2: f64,
}

/// The polynomial of a plaintext.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Contents {
    Poly {
        residues: Zeroizing<Packed>,
        /// Whether it is also modulo the special primes.
        extended: bool,
    },
    /// One integer, whose residues are at hand modulo any prime: all slots are equal.
    Constant(Zeroizing<i128>),
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

    /// Memory its residues take; nothing when it views memory of others, or when all
    /// slots are equal and it has none.
    pub fn byte_size(&self) -> usize {
        match &self.contents {
            Contents::Poly { residues, .. } => residues.byte_size(),
            Contents::Constant(_) => 0,
        }
    }

    /// Whether products with it may stay extended.
    pub fn is_extended(&self) -> bool {
        match self.contents {
            Contents::Poly { extended, .. } => extended,
            Contents::Constant(_) => true,
        }
    }

    /// Its residues, for [`Plaintext::view`]; nothing when it has none.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.contents {
            Contents::Poly { residues, .. } => Some(residues.bytes()),
            Contents::Constant(_) => None,
        }
    }

    /// A plaintext in memory of others, such as a mapped file, that holds at byte
    /// `start` what [`Plaintext::bytes`] of a plaintext of the same ring, level, scale
    /// and extension showed. The memory is trusted: other contents make a plaintext of
    /// unspecified slots. It is not wiped.
    ///
    /// # Errors
    /// [`Error::NoSuchLevel`], or [`Error::Malformed`] when the memory is too short.
    pub fn view(
        ctx: &Context,
        memory: Arc<dyn AsRef<[u8]> + Send + Sync>,
        start: usize,
        level: usize,
        scale_log2: f64,
        extended: bool,
    ) -> Result<Plaintext, Error> {
        ctx.check_level(level)?;
        let poly = Packed::view(ctx, &ctx.primes_of(level, extended), memory, start);
        let poly = poly.ok_or(Error::Malformed { what: "plaintext", reason: "its memory ends early" })?;
        let contents = Contents::Poly { residues: Zeroizing::new(poly), extended };
        Ok(Plaintext { fingerprint: ctx.fingerprint(), contents, level, scale_log2 })
    }

    /// A plaintext whose slots are all equal.
    pub(crate) fn constant(ctx: &Context, integer: i128, level: usize, scale_log2: f64) -> Plaintext {
        let contents = Contents::Constant(Zeroizing::new(integer));
        Plaintext { fingerprint: ctx.fingerprint(), contents, level, scale_log2 }
    }

    /// A plaintext by limb: `fill` gets the number of a prime and the words to write.
    pub(crate) fn from_limbs(
        ctx: &Context,
        level: usize,
        scale_log2: f64,
        extended: bool,
        fill: impl Fn(usize, &mut [u64]) + Sync,
    ) -> Plaintext {
        let primes = ctx.primes_of(level, extended);
        let residues = Packed::build(ctx, &primes, 1, |t, limbs| fill(primes[t], limbs[0]));
        let contents = Contents::Poly { residues: Zeroizing::new(residues), extended };
        Plaintext { fingerprint: ctx.fingerprint(), contents, level, scale_log2 }
    }

    /// Its residues as words.
    pub(crate) fn words(&self, ctx: &Context) -> Zeroizing<Poly> {
        let unpack = |t: usize, limb: &mut [u64]| match &self.contents {
            Contents::Poly { residues, .. } => residues.unpack(t, 0, limb),
            Contents::Constant(integer) => limb.fill(ctx.moduli()[t].reduce_signed(**integer)),
        };
        Zeroizing::new(Poly::build(ctx.ring_degree(), self.level + 1, unpack))
    }
}

/// An encrypted vector of slots: a polynomial in the secret, by coefficients.
#[derive(Clone, Debug, PartialEq)]
pub struct Ciphertext {
    pub(crate) fingerprint: u64,
    pub(crate) parts: Vec<Poly>,
    pub(crate) level: usize,
    pub(crate) scale_log2: f64,
    /// Whether the parts are over the extended primes and times the special modulus
    /// P: a key switch whose division by P is still to be done.
    pub(crate) extended: bool,
    /// What the second part of a fresh ciphertext expands from.
    pub(crate) seed: Option<Seed>,
}

impl Ciphertext {
    /// A result of computation.
    pub(crate) fn derived(ctx: &Context, parts: Vec<Poly>, level: usize, scale_log2: f64) -> Self {
        Ciphertext { fingerprint: ctx.fingerprint(), parts, level, scale_log2, extended: false, seed: None }
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

    /// Whether a division by the special modulus is still to be done; see
    /// [`Evaluator::rotate_many_extended`](crate::Evaluator::rotate_many_extended).
    pub fn is_extended(&self) -> bool {
        self.extended
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
        // Memory is recycled among all tests, so what others leave must not count: they do not hold this.
        const SECRET: u64 = 0x005e_c2e7_05e7;
        let q = crate::primes::near(43, 32768, 7, &[]).unwrap();
        let p = crate::primes::below(50, 32768, 1, &q).unwrap();
        let params = crate::Params {
            ring_degree: 32768,
            q,
            p,
            digit_limbs: 1,
            security: crate::SecurityLevel::Insecure,
        };
        let ctx = Context::new(&params).unwrap();
        let plaintext = Plaintext::from_limbs(&ctx, 6, 0.0, false, |_, limb| limb.fill(SECRET));
        let holds_it = |bytes: &[u8]| bytes.windows(5).any(|bytes| bytes == &SECRET.to_le_bytes()[..5]);
        let bytes = plaintext.bytes().expect("it has residues");
        let len = bytes.len();
        assert!(holds_it(bytes));
        drop(plaintext);
        for n_words in [len / 8, 32768] {
            let left = crate::buffer::Buffer::scratch(n_words);
            let bytes: Vec<u8> = left.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert!(!holds_it(&bytes), "{n_words} words");
        }
    }
}
