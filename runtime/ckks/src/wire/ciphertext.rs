//! The byte form of ciphertexts.

use super::{Kind, Reader, header, write_number, write_poly};
use crate::ciphertext::Ciphertext;
use crate::context::Context;
use crate::error::Error;
use crate::sampling::expand_poly;

impl Ciphertext {
    /// Bytes; those of a fresh symmetric encryption hold one part and a seed.
    ///
    /// # Errors
    /// [`Error::ForeignContext`].
    pub fn to_bytes(&self, ctx: &Context) -> Result<Vec<u8>, Error> {
        ctx.check_owns(self.fingerprint)?;
        let reduced = self.reduced(ctx);
        let mut bytes = header(Kind::Ciphertext, self.fingerprint);
        write_number(&mut bytes, self.level);
        write_number(&mut bytes, self.degree());
        bytes.extend(self.scale_log2.to_le_bytes());
        bytes.push(u8::from(self.seed.is_some()));
        bytes.extend(self.seed.iter().flatten());
        let n_written = if self.seed.is_some() { 1 } else { self.parts.len() };
        for part in &reduced.parts[..n_written] {
            write_poly(ctx, &mut bytes, part);
        }
        Ok(bytes)
    }

    /// Reads what [`Ciphertext::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`], or [`Error::ForeignContext`] for other parameters.
    pub fn from_bytes(ctx: &Context, bytes: &[u8]) -> Result<Ciphertext, Error> {
        let mut reader = Reader::open(bytes, Kind::Ciphertext, ctx)?;
        let level = reader.number(ctx.max_level())?;
        let degree = reader.number(2)?;
        let scale_log2 = f64::from_le_bytes(reader.array()?);
        let seed = if reader.flag()? { Some(reader.array()?) } else { None };
        if degree == 0 || (seed.is_some() && degree != 1) || !scale_log2.is_finite() {
            return Err(reader.malformed("its degree or scale is invalid"));
        }
        let n_written = if seed.is_some() { 1 } else { degree + 1 };
        let mut parts = (0..n_written).map(|_| reader.poly(ctx, level + 1)).collect::<Result<Vec<_>, _>>()?;
        reader.close()?;
        parts.extend(seed.map(|seed| expand_poly(ctx, &seed, level + 1)));
        Ok(Ciphertext { fingerprint: ctx.fingerprint(), parts, level, scale_log2, extended: false, seed })
    }
}
