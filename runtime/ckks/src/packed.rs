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

/// Residues that are read in one go: blocks of the rows of a group alternate.
pub(crate) const BLOCK: usize = 32;

/// Polynomials modulo several primes, one group of rows per prime.
///
/// Rows of a group are interleaved by blocks, so that whoever needs a block of all
/// of them reads one stretch of memory.
#[derive(Clone)]
pub(crate) struct Packed {
    degree: usize,
    rows: usize,
    groups: Vec<Place>,
    store: Store,
}

/// Bytes per residue of a group, and its first byte.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    width: usize,
    start: usize,
}

#[derive(Clone)]
enum Store {
    Owned(Buffer),
    Shared { memory: Shared, start: usize, len: usize },
}

/// Residues of one group, `width` bytes each; [`SLACK`] readable bytes follow them
/// unless the width is that of a word.
#[derive(Clone, Copy)]
pub(crate) struct Residues<'a> {
    pub bytes: &'a [u8],
    pub width: usize,
    pub rows: usize,
}

impl<'a> Residues<'a> {
    /// Words as they are.
    pub fn of_words(words: &'a [u64]) -> Residues<'a> {
        Residues { bytes: bytemuck::cast_slice(words), width: size_of::<u64>(), rows: 1 }
    }

    /// Where residue `at` of a row is, in a ring of the given degree.
    #[inline(always)]
    pub fn row_place(&self, degree: usize, at: usize, row: usize) -> usize {
        let block = BLOCK.min(degree);
        (at / block * self.rows + row) * block + at % block
    }

    /// Eight neighbouring residues.
    #[inline(always)]
    pub fn eight(&self, at: usize) -> [u64; 8] {
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
        write!(f, "Packed({} x {} limbs of {})", self.groups.len(), self.rows, self.degree)
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Packed) -> bool {
        self.rows == other.rows && self.groups == other.groups && self.bytes() == other.bytes()
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
    /// A group of rows modulo each of the given primes, made in parallel: `fill`
    /// gets the number of a group and its rows, with unspecified contents.
    pub fn build(
        ctx: &Context,
        primes: &[usize],
        rows: usize,
        fill: impl Fn(usize, &mut [&mut [u64]]) + Sync,
    ) -> Packed {
        let degree = ctx.ring_degree();
        let (groups, len) = places(ctx, primes, rows);
        let mut words = Buffer::scratch((len + SLACK).div_ceil(size_of::<u64>()));
        let slack = len / size_of::<u64>();
        words[slack..].fill(0);
        let mut outs = split(bytemuck::cast_slice_mut(&mut words), &groups, rows * degree);
        outs.par_iter_mut().enumerate().for_each(|(i, out)| {
            let mut scratch = Buffer::wiped_scratch(rows * degree);
            let mut limbs: Vec<&mut [u64]> = scratch.chunks_exact_mut(degree).collect();
            fill(i, &mut limbs);
            interleave(&limbs, out);
        });
        Packed { degree, rows, groups, store: Store::Owned(words) }
    }

    /// Views `memory` from byte `start` on as what [`Packed::bytes`] of another
    /// polynomial with one row showed; nothing when it is too short.
    pub fn view(ctx: &Context, primes: &[usize], memory: Shared, start: usize) -> Option<Packed> {
        let (groups, len) = places(ctx, primes, 1);
        let len = (len + SLACK).next_multiple_of(size_of::<u64>());
        let end = start.checked_add(len)?;
        (*memory).as_ref().get(start..end)?;
        Some(Packed {
            degree: ctx.ring_degree(),
            rows: 1,
            groups,
            store: Store::Shared { memory, start, len },
        })
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

    /// The rows of a group.
    pub fn group(&self, i: usize) -> Residues<'_> {
        let Place { width, start } = self.groups[i];
        let bytes = &self.bytes()[start..start + self.rows * self.degree * width + SLACK];
        Residues { bytes, width, rows: self.rows }
    }

    /// Writes the words of a row of a group.
    pub fn unpack(&self, i: usize, row: usize, words: &mut [u64]) {
        let residues = self.group(i);
        for (i, eight) in words.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *eight = residues.eight(residues.row_place(self.degree, 8 * i, row));
        }
    }
}

/// Where each group is, and the bytes of all.
fn places(ctx: &Context, primes: &[usize], rows: usize) -> (Vec<Place>, usize) {
    let mut end = 0;
    let place = |&prime: &usize| {
        let (width, start) = (ctx.moduli()[prime].byte_width(), end);
        end += rows * ctx.ring_degree() * width;
        Place { width, start }
    };
    (primes.iter().map(place).collect(), end)
}

/// The bytes of each group.
fn split<'a>(mut bytes: &'a mut [u8], groups: &[Place], residues: usize) -> Vec<&'a mut [u8]> {
    let mut parts = Vec::with_capacity(groups.len());
    for group in groups {
        let (part, rest) = bytes.split_at_mut(residues * group.width);
        parts.push(part);
        bytes = rest;
    }
    parts
}

/// Writes rows block by block, in the width that fills `out`.
fn interleave(rows: &[&mut [u64]], out: &mut [u8]) {
    let block = BLOCK.min(rows[0].len());
    let width = out.len() / (rows.len() * rows[0].len());
    for (i, out) in out.chunks_exact_mut(rows.len() * block * width).enumerate() {
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(block * width)) {
            pack(&row[i * block..(i + 1) * block], out);
        }
    }
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
