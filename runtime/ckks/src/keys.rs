//! Keys and their generation.
//!
//! The uniform halves of public material expand from a seed, so that only the
//! other halves travel. [`SecretKey`] is the one secret: it prints nothing, is
//! wiped on drop and has its own, explicitly named byte form.

use crate::automorphism::Automorphism;
use crate::context::Context;
use crate::error::Error;
use crate::packed::{Packed, Residues};
use crate::poly::Poly;
use crate::sampling::{Prng, Seed, Small, expand, expand_poly, transform_small};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A uniform ternary secret.
#[derive(Clone)]
pub struct SecretKey {
    pub(crate) ctx: Arc<Context>,
    pub(crate) small: Small,
    /// Transformed modulo every prime.
    pub(crate) poly: Zeroizing<Poly>,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl SecretKey {
    /// Draws a secret.
    ///
    /// # Errors
    /// [`Error::Entropy`].
    pub fn generate(ctx: &Arc<Context>) -> Result<SecretKey, Error> {
        Ok(SecretKey::draw(ctx, &mut Prng::from_entropy()?))
    }

    pub(crate) fn draw(ctx: &Arc<Context>, rng: &mut Prng) -> SecretKey {
        SecretKey::from_small(ctx, rng.ternary(ctx.ring_degree()))
    }

    pub(crate) fn from_small(ctx: &Arc<Context>, small: Small) -> SecretKey {
        let primes: Vec<usize> = (0..ctx.moduli().len()).collect();
        let poly = transform_small(ctx, &small, &primes);
        SecretKey { ctx: ctx.clone(), small, poly }
    }
}

/// Lets anyone encrypt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    pub(crate) fingerprint: u64,
    pub(crate) seed: Seed,
    /// An encryption of zero at the highest level.
    pub(crate) parts: [Poly; 2],
}

impl PublicKey {
    /// Memory it holds.
    pub fn byte_size(&self) -> usize {
        self.parts.iter().map(Poly::byte_size).sum()
    }
}

/// Moves a ciphertext part from one secret to another, at any level up to its own.
///
/// For each prime t of its level and the special primes, and each digit j, it
/// holds b = -a·to + e + \[t in digit j\]·P·from. This gadget does not depend on
/// the level, so a lower level uses a subset of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySwitchKey {
    pub(crate) fingerprint: u64,
    pub(crate) level: usize,
    pub(crate) n_digits: usize,
    pub(crate) seed: Seed,
    /// A group per prime; rows ordered by digit, then half (b before a).
    pub(crate) poly: Packed,
}

impl KeySwitchKey {
    /// Highest level it serves.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Memory it holds.
    pub fn byte_size(&self) -> usize {
        self.poly.byte_size()
    }

    /// A key whose uniform halves expand from a seed; `fill` gets prime, digit, the
    /// words to write and the uniform half.
    pub(crate) fn build(
        ctx: &Context,
        level: usize,
        seed: Seed,
        fill: impl Fn(usize, usize, &mut [u64], &[u64]) + Sync,
    ) -> KeySwitchKey {
        let n_digits = ctx.params().n_digits(level);
        let primes = ctx.extended(level);
        let poly = Packed::build(ctx, &primes, 2 * n_digits, |i, limbs| {
            let prime = primes[i];
            for (digit, pair) in limbs.chunks_exact_mut(2).enumerate() {
                let [b, a] = pair else { unreachable!("chunks of two") };
                expand(&seed, (digit * ctx.moduli().len() + prime) as u64, &ctx.moduli()[prime], a);
                fill(prime, digit, b, a);
            }
        });
        KeySwitchKey { fingerprint: ctx.fingerprint(), level, n_digits, seed, poly }
    }

    /// What the key holds modulo a prime, numbered as in [`Context::extended`] of its
    /// level: b and a of each digit in turn.
    pub(crate) fn modulo(&self, prime: usize) -> Residues<'_> {
        self.poly.group(prime)
    }
}

/// Rotates ciphertexts by one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GaloisKey {
    pub(crate) step: usize,
    pub(crate) key: KeySwitchKey,
    pub(crate) automorphism: Automorphism,
}

impl GaloisKey {
    pub(crate) fn new(ctx: &Context, step: usize, key: KeySwitchKey) -> GaloisKey {
        GaloisKey { step, key, automorphism: ctx.automorphism(step) }
    }

    /// Rotation to the left.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Highest level it serves.
    pub fn level(&self) -> usize {
        self.key.level
    }

    /// Memory it holds.
    pub fn byte_size(&self) -> usize {
        self.key.byte_size() + size_of_val(self.automorphism.sources.as_slice())
    }
}

/// Galois keys by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GaloisKeys {
    pub(crate) by_step: BTreeMap<usize, GaloisKey>,
}

impl GaloisKeys {
    /// Adds a key, replacing one of the same step.
    pub fn insert(&mut self, key: GaloisKey) {
        self.by_step.insert(key.step, key);
    }

    /// The key of a step below the slot count.
    pub fn get(&self, step: usize) -> Option<&GaloisKey> {
        self.by_step.get(&step)
    }

    /// Keys in order of their steps.
    pub fn iter(&self) -> impl Iterator<Item = &GaloisKey> {
        self.by_step.values()
    }

    /// Memory they hold.
    pub fn byte_size(&self) -> usize {
        self.iter().map(GaloisKey::byte_size).sum()
    }
}

/// Everything a server needs to compute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvalKeys {
    /// Relinearisation key.
    pub relin: Option<KeySwitchKey>,
    /// Galois keys.
    pub galois: GaloisKeys,
}

impl EvalKeys {
    /// The relinearisation key.
    ///
    /// # Errors
    /// [`Error::MissingRelinKey`].
    pub fn relin_key(&self) -> Result<&KeySwitchKey, Error> {
        self.relin.as_ref().ok_or(Error::MissingRelinKey)
    }

    /// Memory they hold.
    pub fn byte_size(&self) -> usize {
        self.relin.as_ref().map_or(0, KeySwitchKey::byte_size) + self.galois.byte_size()
    }
}

/// Makes the keys that belong to one secret.
pub struct KeyGenerator {
    ctx: Arc<Context>,
    secret: SecretKey,
    rng: Prng,
}

impl fmt::Debug for KeyGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyGenerator(..)")
    }
}

impl KeyGenerator {
    /// Draws a new secret.
    ///
    /// # Errors
    /// [`Error::Entropy`].
    pub fn new(ctx: &Arc<Context>) -> Result<KeyGenerator, Error> {
        KeyGenerator::from_secret(SecretKey::generate(ctx)?)
    }

    /// Makes keys for an existing secret.
    ///
    /// # Errors
    /// [`Error::Entropy`].
    pub fn from_secret(secret: SecretKey) -> Result<KeyGenerator, Error> {
        Ok(KeyGenerator { ctx: secret.ctx.clone(), secret, rng: Prng::from_entropy()? })
    }

    /// Repeatable secret and keys, for tests and benchmarks: whoever knows the
    /// seed knows the secret.
    pub fn insecure_from_seed(ctx: &Arc<Context>, seed: u64) -> KeyGenerator {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Prng::from_seed(bytes);
        let secret = SecretKey::draw(ctx, &mut rng);
        KeyGenerator { ctx: ctx.clone(), secret, rng }
    }

    /// The secret.
    pub fn secret_key(&self) -> &SecretKey {
        &self.secret
    }

    /// A public key.
    pub fn public_key(&mut self) -> PublicKey {
        let n_limbs = self.ctx.max_level() + 1;
        let seed = self.rng.public_seed();
        let primes: Vec<usize> = (0..n_limbs).collect();
        let error = self.rng.gaussian(self.ctx.ring_degree());
        let mut b = (*transform_small(&self.ctx, &error, &primes)).clone();
        let a = expand_poly(&self.ctx, &seed, n_limbs);
        b.sub_assign(&self.ctx, &Zeroizing::new(Poly::dot(&self.ctx, n_limbs, &[&a], &[&self.secret.poly])));
        PublicKey { fingerprint: self.ctx.fingerprint(), seed, parts: [b, a] }
    }

    /// The key that relinearises products up to `level`.
    ///
    /// # Errors
    /// [`Error::NoSuchLevel`].
    pub fn relin_key(&mut self, level: usize) -> Result<KeySwitchKey, Error> {
        let secret = self.secret.poly.clone();
        let n_limbs = self.ctx.max_level() + 1;
        let square = Zeroizing::new(Poly::dot(&self.ctx, n_limbs, &[&secret], &[&secret]));
        self.switch_key(&square, &secret, level)
    }

    /// The key that rotates to the left by `step` (modulo the slot count) up to `level`.
    ///
    /// It moves to the secret that the rotation itself turns into ours, so that
    /// rotating comes last and a decomposition serves many rotations
    /// (Bossuat et al., "Efficient bootstrapping for approximate homomorphic
    /// encryption with non-sparse keys", 2021, section 4.2).
    ///
    /// # Errors
    /// [`Error::NoSuchLevel`].
    pub fn galois_key(&mut self, step: usize, level: usize) -> Result<GaloisKey, Error> {
        let n_slots = self.ctx.n_slots();
        let step = step % n_slots;
        let back = self.ctx.automorphism(n_slots - step);
        let mut rotated = self.secret.poly.clone();
        for (out, limb) in rotated.limbs_mut().zip(self.secret.poly.limbs()) {
            crate::kernels::permute(self.ctx.vectors(), out, limb, &back);
        }
        let secret = self.secret.poly.clone();
        let key = self.switch_key(&secret, &rotated, level)?;
        Ok(GaloisKey::new(&self.ctx, step, key))
    }

    /// A relinearisation key up to a level, if wanted, and a Galois key per (step, level).
    ///
    /// # Errors
    /// [`Error::NoSuchLevel`].
    pub fn eval_keys(
        &mut self,
        relin: Option<usize>,
        rotations: &[(usize, usize)],
    ) -> Result<EvalKeys, Error> {
        let relin = relin.map(|level| self.relin_key(level)).transpose()?;
        let mut galois = GaloisKeys::default();
        for &(step, level) in rotations {
            galois.insert(self.galois_key(step, level)?);
        }
        Ok(EvalKeys { relin, galois })
    }

    fn switch_key(&mut self, from: &Poly, to: &Poly, level: usize) -> Result<KeySwitchKey, Error> {
        let ctx = &self.ctx;
        ctx.check_level(level)?;
        let n_digits = ctx.params().n_digits(level);
        let seed = self.rng.public_seed();
        let errors: Vec<Small> = (0..n_digits).map(|_| self.rng.gaussian(ctx.ring_degree())).collect();
        Ok(KeySwitchKey::build(ctx, level, seed, |prime, digit, b, a| {
            hide(ctx, prime, &errors[digit], a, to, b);
            if prime / ctx.params().digit_limbs == digit && prime <= level {
                add_gadget(ctx, prime, from, b);
            }
        }))
    }
}

/// b = error - a·to.
fn hide(ctx: &Context, prime: usize, error: &[i64], a: &[u64], to: &Poly, b: &mut [u64]) {
    let error = transform_small(ctx, error, &[prime]);
    let mut product = Zeroizing::new(vec![0; a.len()]);
    let [a, to] = [a, to.limb(prime)].map(Residues::of_words);
    crate::kernels::dot(&ctx.moduli()[prime], &mut product, &[a], &[to]);
    b.copy_from_slice(error.limb(0));
    crate::kernels::sub_assign(&ctx.moduli()[prime], b, &product);
}

/// b += P·from.
fn add_gadget(ctx: &Context, prime: usize, from: &Poly, b: &mut [u64]) {
    let m = &ctx.moduli()[prime];
    crate::kernels::add_scaled(m, b, from.limb(prime), ctx.special_factor(prime));
}
