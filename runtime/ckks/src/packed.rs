//! Polynomials at rest: whole bytes per residue instead of words.
//!
//! Keys and encoded plaintexts are read once per use and fill most of the memory,
//! so that operations on them go as fast as memory does. They are kept in as few bytes
//! per residue as their primes need, and unpacked in registers.

use crate::buffer::Buffer;
use crate::context::Context;
use rayon::prelude::*;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroize;

/// Bytes behind packed residues that loads of whole vectors may touch.
pub(crate) const SLACK: usize = 64;

/// Memory that someone else owns, for example a mapped file.
pub(crate) type Shared = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Residues modulo several primes, limb after limb.
#[derive(Clone)]
pub(crate) struct Packed {
    degree: usize,
    /// Bytes per residue and first byte, by limb.
    limbs: Vec<(usize, usize)>,
    store: Store,
}

#[derive(Clone)]
enum Store {
    Owned(Buffer),
    Shared { memory: Shared, start: usize, len: usize },
}

/// Residues of one limb, `width` bytes each; [`SLACK`] readable bytes follow them
/// unless the width is that of a word.
#[derive(Clone, Copy)]
pub(crate) struct Residues<'a> {
    pub bytes: &'a [u8],
    pub width: usize,
}

impl<'a> Residues<'a> {
    /// Words as they are.
    pub fn of_words(words: &'a [u64]) -> Residues<'a> {
        Residues { bytes: bytemuck::cast_slice(words), width: size_of::<u64>() }
    }

    /// Eight neighbouring residues.
    #[inline(always)]
    pub fn block(&self, at: usize) -> [u64; 8] {
        let from = at * self.width;
        match self.width {
            8 => std::array::from_fn(|i| word_at(self.bytes, from + 8 * i, u64::MAX)),
            4 => std::array::from_fn(|i| word_at(self.bytes, from + 4 * i, u64::from(u32::MAX))),
            width => {
                let mask = (1 << (8 * width)) - 1;
                std::array::from_fn(|i| word_at(self.bytes, from + width * i, mask))
            }
        }
    }
}

#[inline(always)]
fn word_at(bytes: &[u8], at: usize, mask: u64) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word) & mask
}

/// Prints no residues, which may be secret.
impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} limbs of {})", self.limbs.len(), self.degree)
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Packed) -> bool {
        self.limbs == other.limbs && self.bytes() == other.bytes()
    }
}

impl Eq for Packed {}

/// Wipes what it owns.
impl Zeroize for Packed {
    fn zeroize(&mut self) {
        if let Store::Owned(words) = &mut self.store {
            words.zeroize();
        }
    }
}

impl Packed {
    /// Limbs modulo the given primes, made in groups of `group` in parallel: `fill`
    /// gets the number of a group and words with unspecified contents for it.
    pub fn build(
        ctx: &Context,
        primes: &[usize],
        group: usize,
        fill: impl Fn(usize, &mut [&mut [u64]]) + Sync,
    ) -> Packed {
        let degree = ctx.ring_degree();
        let (limbs, len) = places(ctx, primes);
        let mut words = Buffer::scratch((len + SLACK).div_ceil(size_of::<u64>()));
        let mut outs = split(bytemuck::cast_slice_mut(&mut words), &limbs, degree);
        outs.par_chunks_mut(group).enumerate().for_each(|(i, outs)| {
            let mut scratch = Scratch(Buffer::scratch(outs.len() * degree));
            let mut rows: Vec<&mut [u64]> = scratch.0.chunks_exact_mut(degree).collect();
            fill(i, &mut rows);
            for (out, row) in outs.iter_mut().zip(rows) {
                pack(row, out);
            }
        });
        Packed { degree, limbs, store: Store::Owned(words) }
    }

    /// Views `memory` from byte `start` on as the limbs that [`Packed::bytes`] of
    /// another polynomial showed; nothing when it is too short.
    pub fn view(ctx: &Context, primes: &[usize], memory: Shared, start: usize) -> Option<Packed> {
        let (limbs, len) = places(ctx, primes);
        let len = len + SLACK;
        let end = start.checked_add(len)?;
        (*memory).as_ref().get(start..end)?;
        Some(Packed { degree: ctx.ring_degree(), limbs, store: Store::Shared { memory, start, len } })
    }

    /// All bytes, slack included.
    pub fn bytes(&self) -> &[u8] {
        match &self.store {
            Store::Owned(words) => bytemuck::cast_slice(words),
            Store::Shared { memory, start, len } => &(**memory).as_ref()[*start..start + len],
        }
    }

    /// Bytes of memory that it owns.
    pub fn byte_size(&self) -> usize {
        match &self.store {
            Store::Owned(words) => size_of_val(&words[..]),
            Store::Shared { .. } => 0,
        }
    }

    pub fn limb(&self, t: usize) -> Residues<'_> {
        let (width, start) = self.limbs[t];
        Residues { bytes: &self.bytes()[start..start + self.degree * width + SLACK], width }
    }

    /// Writes the words of a limb.
    pub fn unpack(&self, t: usize, words: &mut [u64]) {
        let residues = self.limb(t);
        for (i, block) in words.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *block = residues.block(8 * i);
        }
    }
}

/// Words on their way to a packed form, wiped on drop: they may be secret.
struct Scratch(Buffer);

impl Drop for Scratch {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Bytes per residue and first byte of each limb, and the bytes of all.
fn places(ctx: &Context, primes: &[usize]) -> (Vec<(usize, usize)>, usize) {
    let mut start = 0;
    let place = |&prime: &usize| {
        let width = ctx.moduli()[prime].byte_width();
        let at = start;
        start += ctx.ring_degree() * width;
        (width, at)
    };
    (primes.iter().map(place).collect(), start)
}

/// The bytes of each limb.
fn split<'a>(mut bytes: &'a mut [u8], limbs: &[(usize, usize)], degree: usize) -> Vec<&'a mut [u8]> {
    let mut parts = Vec::with_capacity(limbs.len());
    for &(width, _) in limbs {
        let (part, rest) = bytes.split_at_mut(degree * width);
        parts.push(part);
        bytes = rest;
    }
    parts
}

/// Cuts words to the width that fills `out`.
fn pack(words: &[u64], out: &mut [u8]) {
    match out.len() / words.len() {
        4 => pack_to::<4>(words, out),
        5 => pack_to::<5>(words, out),
        6 => pack_to::<6>(words, out),
        7 => pack_to::<7>(words, out),
        _ => pack_to::<8>(words, out),
    }
}

fn pack_to<const WIDTH: usize>(words: &[u64], out: &mut [u8]) {
    for (out, word) in out.as_chunks_mut::<WIDTH>().0.iter_mut().zip(words) {
        out.copy_from_slice(&word.to_le_bytes()[..WIDTH]);
    }
}
