//! Encryption and decryption.
//!
//! A decrypted CKKS result carries noise that depends on the secret: publish
//! decrypted values only to those who may know the secret (Li and Micciancio,
//! "On the security of homomorphic encryption on approximate numbers", 2021), or
//! under more noise ([`WideGaussian`](crate::WideGaussian)).
//!
//! Nothing here branches on secrets, errors or messages, or looks up by them.

use crate::ciphertext::{Ciphertext, Plaintext};
use crate::context::Context;
use crate::error::Error;
use crate::keys::{PublicKey, SecretKey};
use crate::poly::Poly;
use crate::sampling::{Prng, expand_poly, transform_small};
use zeroize::Zeroizing;

impl SecretKey {
    /// Encrypts at the plaintext's level; half of the result expands from a seed.
    ///
    /// # Errors
    /// [`Error::ForeignContext`], [`Error::Entropy`].
    pub fn encrypt(&self, pt: &Plaintext) -> Result<Ciphertext, Error> {
        self.encrypt_with(pt, &mut Prng::from_entropy()?)
    }

    /// Repeatable encryption, for tests and benchmarks: whoever knows the seed
    /// can decrypt, and two encryptions with one seed reveal their difference.
    ///
    /// # Errors
    /// [`Error::ForeignContext`].
    pub fn insecure_encrypt_from_seed(&self, pt: &Plaintext, seed: [u8; 32]) -> Result<Ciphertext, Error> {
        self.encrypt_with(pt, &mut Prng::from_seed(seed))
    }

    fn encrypt_with(&self, pt: &Plaintext, rng: &mut Prng) -> Result<Ciphertext, Error> {
        let ctx = &self.ctx;
        ctx.check_owns(pt.fingerprint)?;
        let n_limbs = pt.level + 1;
        let seed = rng.public_seed();
        let a = expand_poly(ctx, &seed, n_limbs);
        let mask = Zeroizing::new(Poly::dot(ctx, n_limbs, &[&a], &[&self.poly]));
        let mut b = fresh_error(ctx, rng, n_limbs);
        b.add_assign(ctx, &pt.words(ctx));
        b.sub_assign(ctx, &mask);
        let mut ct = Ciphertext::derived(ctx, vec![b, a], pt.level, pt.scale_log2);
        ct.seed = Some(seed);
        Ok(ct)
    }

    /// Decrypts a ciphertext of any degree.
    ///
    /// # Errors
    /// [`Error::ForeignContext`].
    pub fn decrypt(&self, ct: &Ciphertext) -> Result<Plaintext, Error> {
        let ctx = &self.ctx;
        ctx.check_owns(ct.fingerprint)?;
        let ct = &*ct.reduced(ctx);
        let n_limbs = ct.level + 1;
        let (last, rest) = ct.parts.split_last().ok_or(Error::Empty("decrypt"))?;
        let poly = rest.iter().rev().fold(Zeroizing::new(last.clone()), |sum, part| {
            let mut product = Zeroizing::new(Poly::dot(ctx, n_limbs, &[&sum], &[&self.poly]));
            product.add_assign(ctx, part);
            product
        });
        let copy = |t: usize, limb: &mut [u64]| limb.copy_from_slice(poly.limb(t));
        Ok(Plaintext::from_limbs(ctx, ct.level, ct.scale_log2, false, copy))
    }
}

impl PublicKey {
    /// Encrypts at the plaintext's level.
    ///
    /// # Errors
    /// [`Error::ForeignContext`], [`Error::Entropy`].
    pub fn encrypt(&self, ctx: &Context, pt: &Plaintext) -> Result<Ciphertext, Error> {
        ctx.check_owns(pt.fingerprint)?;
        ctx.check_owns(self.fingerprint)?;
        let mut rng = Prng::from_entropy()?;
        let n_limbs = pt.level + 1;
        let primes: Vec<usize> = (0..n_limbs).collect();
        let mask = transform_small(ctx, &rng.ternary(ctx.ring_degree()), &primes);
        let [key0, key1] = &self.parts;
        let mut parts = Poly::dot2(ctx, n_limbs, &[&*mask], &[key0], &[key1]);
        for part in &mut parts {
            part.add_assign(ctx, &Zeroizing::new(fresh_error(ctx, &mut rng, n_limbs)));
        }
        parts[0].add_assign(ctx, &pt.words(ctx));
        Ok(Ciphertext::derived(ctx, parts.into(), pt.level, pt.scale_log2))
    }
}

fn fresh_error(ctx: &Context, rng: &mut Prng, n_limbs: usize) -> Poly {
    let primes: Vec<usize> = (0..n_limbs).collect();
    let mut error = transform_small(ctx, &rng.gaussian(ctx.ring_degree()), &primes);
    std::mem::replace(&mut *error, Poly::zero(ctx.ring_degree(), 0))
}
