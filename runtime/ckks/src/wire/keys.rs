//! The byte forms of keys.

use super::{Kind, Reader, header, write_limb, write_number, write_poly};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::Error;
use crate::keys::{EvalKeys, GaloisKey, GaloisKeys, KeyGenerator, KeySwitchKey, PublicKey, SecretKey};
use crate::poly::Poly;
use crate::sampling::expand_poly;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

impl PublicKey {
    /// Bytes: one polynomial and a seed.
    ///
    /// # Errors
    /// [`Error::ForeignContext`].
    pub fn to_bytes(&self, ctx: &Context) -> Result<Vec<u8>, Error> {
        ctx.check_owns(self.fingerprint)?;
        let mut bytes = header(Kind::PublicKey, self.fingerprint);
        bytes.extend(self.seed);
        write_poly(ctx, &mut bytes, &self.parts[0]);
        Ok(bytes)
    }

    /// Reads what [`PublicKey::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`], or [`Error::ForeignContext`] for other parameters.
    pub fn from_bytes(ctx: &Context, bytes: &[u8]) -> Result<PublicKey, Error> {
        let mut reader = Reader::open(bytes, Kind::PublicKey, ctx)?;
        let seed = reader.array()?;
        let n_limbs = ctx.max_level() + 1;
        let b = reader.poly(ctx, n_limbs)?;
        reader.close()?;
        let parts = [b, expand_poly(ctx, &seed, n_limbs)];
        Ok(PublicKey { fingerprint: ctx.fingerprint(), seed, parts })
    }
}

impl EvalKeys {
    /// Bytes: half of what the keys hold in memory, packed.
    ///
    /// # Errors
    /// [`Error::ForeignContext`].
    pub fn to_bytes(&self, ctx: &Context) -> Result<Vec<u8>, Error> {
        let mut bytes = header(Kind::EvalKeys, ctx.fingerprint());
        bytes.push(u8::from(self.relin.is_some()));
        if let Some(key) = &self.relin {
            write_switch_key(ctx, &mut bytes, key)?;
        }
        write_number(&mut bytes, self.galois.by_step.len());
        for key in self.galois.iter() {
            write_number(&mut bytes, key.step);
            write_switch_key(ctx, &mut bytes, &key.key)?;
        }
        Ok(bytes)
    }

    /// Reads what [`EvalKeys::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`], or [`Error::ForeignContext`] for other parameters.
    pub fn from_bytes(ctx: &Context, bytes: &[u8]) -> Result<EvalKeys, Error> {
        let mut reader = Reader::open(bytes, Kind::EvalKeys, ctx)?;
        let relin = if reader.flag()? { Some(read_switch_key(ctx, &mut reader)?) } else { None };
        let n_keys = reader.number(ctx.n_slots())?;
        let mut galois = GaloisKeys::default();
        for _ in 0..n_keys {
            let step = reader.number(ctx.n_slots() - 1)?;
            if galois.by_step.last_key_value().is_some_and(|(&last, _)| last >= step) {
                return Err(reader.malformed("its rotations are not in ascending order"));
            }
            galois.insert(GaloisKey::new(ctx, step, read_switch_key(ctx, &mut reader)?));
        }
        reader.close()?;
        Ok(EvalKeys { relin, galois })
    }
}

impl KeyGenerator {
    /// Appends what [`EvalKeys::to_bytes`] of [`KeyGenerator::eval_keys`] is, with one key in memory at a time.
    /// Asks before each key whether to stop.
    ///
    /// # Errors
    /// [`Error::NoSuchLevel`], [`Error::Stopped`].
    pub fn write_eval_keys(
        &mut self,
        relin: Option<usize>,
        rotations: &[(usize, usize)],
        bytes: &mut Vec<u8>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let ctx = self.secret_key().ctx.clone();
        let go_on = || if stop() { Err(Error::Stopped) } else { Ok(()) };
        bytes.extend(header(Kind::EvalKeys, ctx.fingerprint()));
        bytes.push(u8::from(relin.is_some()));
        if let Some(level) = relin {
            go_on()?;
            write_switch_key(&ctx, bytes, &self.relin_key(level)?)?;
        }
        let by_step: BTreeMap<usize, usize> =
            rotations.iter().map(|&(step, level)| (step % ctx.n_slots(), level)).collect();
        write_number(bytes, by_step.len());
        for (step, level) in by_step {
            go_on()?;
            write_number(bytes, step);
            write_switch_key(&ctx, bytes, &self.galois_key(step, level)?.key)?;
        }
        Ok(())
    }
}

fn write_switch_key(ctx: &Context, bytes: &mut Vec<u8>, key: &KeySwitchKey) -> Result<(), Error> {
    ctx.check_owns(key.fingerprint)?;
    write_number(bytes, key.level);
    bytes.extend(key.seed);
    let mut limb = Buffer::scratch(ctx.ring_degree());
    for (i, prime) in ctx.extended(key.level).into_iter().enumerate() {
        for digit in 0..key.n_digits {
            key.poly.unpack(i, 2 * digit, &mut limb);
            write_limb(ctx, bytes, prime, &limb);
        }
    }
    Ok(())
}

fn read_switch_key(ctx: &Context, reader: &mut Reader<'_>) -> Result<KeySwitchKey, Error> {
    let level = reader.number(ctx.max_level())?;
    let seed = reader.array()?;
    let n_digits = ctx.params().n_digits(level);
    let primes = ctx.extended(level).into_iter();
    let primes: Vec<usize> = primes.flat_map(|prime| std::iter::repeat_n(prime, n_digits)).collect();
    reader.has_limbs(ctx, primes.iter().copied())?;
    let mut poly = Poly::scratch(ctx.ring_degree(), primes.len());
    for (limb, prime) in poly.limbs_mut().zip(primes) {
        reader.limb(ctx, prime, limb)?;
    }
    let place = |prime: usize| if prime <= level { prime } else { prime + level - ctx.max_level() };
    Ok(KeySwitchKey::build(ctx, level, seed, |prime, digit, b, _| {
        b.copy_from_slice(poly.limb(place(prime) * n_digits + digit));
    }))
}

/// Coefficients of a secret per byte.
const PER_BYTE: usize = 4;

impl SecretKey {
    /// The secret itself, wiped on drop: for the client's own storage only.
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let header = header(Kind::SecretKey, self.ctx.fingerprint());
        let mut bytes = Zeroizing::new(Vec::with_capacity(header.len() + self.small.len() / PER_BYTE));
        bytes.extend(header);
        let pack = |group: &[i64]| group.iter().rev().fold(0, |byte, &x| byte << 2 | (x + 1) as u8);
        bytes.extend(self.small.chunks_exact(PER_BYTE).map(pack));
        bytes
    }

    /// Reads what [`SecretKey::to_secret_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`], or [`Error::ForeignContext`] for other parameters.
    pub fn from_secret_bytes(ctx: &Arc<Context>, bytes: &[u8]) -> Result<SecretKey, Error> {
        let mut reader = Reader::open(bytes, Kind::SecretKey, ctx)?;
        let packed = reader.take(ctx.ring_degree() / PER_BYTE)?;
        let mut small = Zeroizing::new(Vec::with_capacity(ctx.ring_degree()));
        for byte in packed {
            small.extend((0..PER_BYTE).map(|i| i64::from(byte >> (2 * i) & 3) - 1));
        }
        if small.contains(&2) {
            return Err(reader.malformed("a coefficient in it is not ternary"));
        }
        reader.close()?;
        Ok(SecretKey::from_small(ctx, small))
    }
}
