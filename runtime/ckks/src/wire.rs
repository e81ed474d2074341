//! Ciphertexts and keys as bytes.
//!
//! Every form starts with a magic number, the format, what it is and the
//! fingerprint of its parameters. Residues take as many bits as their prime;
//! halves that expand from a seed travel as the seed. What comes from outside is
//! checked to the last bit, and nothing is allocated that the length of the
//! input does not justify. There is no authentication: a changed byte is refused
//! when it makes the form invalid, and otherwise decrypts to something else.

mod bits;
mod ciphertext;
mod keys;

use crate::context::Context;
use crate::error::Error;
use crate::poly::Poly;
use bits::{pack, packed_len, unpack};

const MAGIC: [u8; 4] = *b"hecc";
/// Raised whenever the bytes of any form change.
const FORMAT: u16 = 2;

/// What a byte string holds.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Ciphertext = 1,
    PublicKey = 2,
    EvalKeys = 3,
    SecretKey = 4,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Ciphertext => "ciphertext",
            Kind::PublicKey => "public key",
            Kind::EvalKeys => "evaluation keys",
            Kind::SecretKey => "secret key",
        }
    }
}

/// Header of every form.
fn header(kind: Kind, fingerprint: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.push(kind as u8);
    bytes.extend(fingerprint.to_le_bytes());
    bytes
}

/// What is left of a byte string.
struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks the header.
    fn open(bytes: &'a [u8], kind: Kind, ctx: &Context) -> Result<Reader<'a>, Error> {
        let mut reader = Reader { what: kind.name(), rest: bytes };
        reader.expect(&MAGIC, "it does not start as one")?;
        reader.expect(
            &FORMAT.to_le_bytes(),
            "another version made it, in a format that this one does not read",
        )?;
        reader.expect(&[kind as u8], "it holds something else")?;
        ctx.check_owns(u64::from_le_bytes(reader.array()?))?;
        Ok(reader)
    }

    fn malformed(&self, reason: &'static str) -> Error {
        Error::Malformed { what: self.what, reason }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(self.malformed("it ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn expect(&mut self, expected: &[u8], reason: &'static str) -> Result<(), Error> {
        match self.take(expected.len())? == expected {
            true => Ok(()),
            false => Err(self.malformed(reason)),
        }
    }

    /// A number that must be at most `max`.
    fn number(&mut self, max: usize) -> Result<usize, Error> {
        let number = u32::from_le_bytes(self.array()?) as usize;
        match number <= max {
            true => Ok(number),
            false => Err(self.malformed("a number in it is out of range")),
        }
    }

    fn flag(&mut self) -> Result<bool, Error> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(self.malformed("a flag in it is neither 0 nor 1")),
        }
    }

    /// Refuses to go on unless limbs of these primes can follow.
    fn has_limbs(&self, ctx: &Context, primes: impl Iterator<Item = usize>) -> Result<(), Error> {
        match self.rest.len() >= primes.map(|prime| limb_len(ctx, prime)).sum() {
            true => Ok(()),
            false => Err(self.malformed("it ends early")),
        }
    }

    fn limb(&mut self, ctx: &Context, prime: usize, limb: &mut [u64]) -> Result<(), Error> {
        let m = &ctx.moduli()[prime];
        let bytes = self.take(limb_len(ctx, prime))?;
        unpack(bytes, m.width(), limb);
        match limb.iter().all(|&word| word < m.p) {
            true => Ok(()),
            false => Err(self.malformed("a residue in it exceeds its prime")),
        }
    }

    /// A polynomial over the first `n_limbs` primes.
    fn poly(&mut self, ctx: &Context, n_limbs: usize) -> Result<Poly, Error> {
        self.has_limbs(ctx, 0..n_limbs)?;
        let mut poly = Poly::scratch(ctx.ring_degree(), n_limbs);
        for (prime, limb) in poly.limbs_mut().enumerate() {
            self.limb(ctx, prime, limb)?;
        }
        Ok(poly)
    }

    fn close(self) -> Result<(), Error> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(self.malformed("bytes follow its end")),
        }
    }
}

fn limb_len(ctx: &Context, prime: usize) -> usize {
    packed_len(ctx.ring_degree(), ctx.moduli()[prime].width())
}

fn write_number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend((number as u32).to_le_bytes());
}

fn write_limb(ctx: &Context, bytes: &mut Vec<u8>, prime: usize, limb: &[u64]) {
    pack(limb, ctx.moduli()[prime].width(), bytes);
}

fn write_poly(ctx: &Context, bytes: &mut Vec<u8>, poly: &Poly) {
    for (prime, limb) in poly.limbs().enumerate() {
        write_limb(ctx, bytes, prime, limb);
    }
}
