//! Recycled, aligned memory for residues.
//!
//! Polynomials are as large as what allocators return to the system, and
//! faulting their pages in again costs more than most operations on them. A
//! dropped buffer is kept for the next one of its length, up to a limit, with its
//! contents: whoever holds secrets in one wipes them first.
//! Alignment to cache lines keeps vector loads within one.

use aligned_vec::{AVec, ConstAlign, avec};
use std::collections::BTreeMap;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::{Zeroize, Zeroizing};

/// Bytes kept for later, at most.
const MAX_KEPT: usize = 256 << 20;

type Words = AVec<u64, ConstAlign<64>>;

/// Words that return to the pool on drop.
#[derive(Debug)]
pub(crate) struct Buffer(Words);

/// Unused buffers by length.
struct Pool {
    by_len: BTreeMap<usize, Vec<Words>>,
    kept: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool::EMPTY);

/// The pool stays valid whatever panics elsewhere.
fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns memory kept for later polynomials to the allocator.
pub fn release_buffers() {
    let kept = mem::replace(&mut *pool(), Pool::EMPTY);
    drop(kept);
}

impl Pool {
    const EMPTY: Pool = Pool { by_len: BTreeMap::new(), kept: 0 };

    fn take(&mut self, len: usize) -> Option<Words> {
        let words = self.by_len.get_mut(&len)?.pop()?;
        self.kept -= len * size_of::<u64>();
        Some(words)
    }

    /// Keeps words, and gives back those that have no room: these, or all of
    /// another length, which may be of no more use.
    fn keep(&mut self, words: Words) -> Vec<Words> {
        let bytes = size_of_val(words.as_slice());
        if bytes == 0 || bytes > MAX_KEPT {
            return vec![words];
        }
        let mut refused = Vec::new();
        while self.kept + bytes > MAX_KEPT {
            let Some(len) = self.most_but(words.len()) else {
                refused.push(words);
                return refused;
            };
            let others = self.by_len.remove(&len).unwrap_or_default();
            self.kept -= others.len() * len * size_of::<u64>();
            refused.extend(others);
        }
        self.kept += bytes;
        self.by_len.entry(words.len()).or_default().push(words);
        refused
    }

    /// The length, other than the given one, of which most memory is kept.
    fn most_but(&self, len: usize) -> Option<usize> {
        let others = self.by_len.iter().filter(|(other, kept)| **other != len && !kept.is_empty());
        others.max_by_key(|(len, kept)| *len * kept.len()).map(|(len, _)| *len)
    }
}

impl Buffer {
    /// Words whose contents say nothing: the caller writes all of them.
    pub fn scratch(len: usize) -> Buffer {
        let recycled = pool().take(len);
        Buffer(recycled.unwrap_or_else(|| avec![[64]| 0; len]))
    }

    /// As [`Buffer::scratch`], for what may be secret: wiped on drop.
    pub fn wiped_scratch(len: usize) -> Zeroizing<Buffer> {
        Zeroizing::new(Buffer::scratch(len))
    }

    pub fn zeroed(len: usize) -> Buffer {
        let mut buffer = Buffer::scratch(len);
        buffer.fill(0);
        buffer
    }

    pub fn copy_of(words: &[u64]) -> Buffer {
        let mut buffer = Buffer::scratch(words.len());
        buffer.copy_from_slice(words);
        buffer
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let words = mem::replace(&mut self.0, avec![[64]|]);
        let refused = pool().keep(words);
        drop(refused);
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        Buffer::copy_of(self)
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Buffer) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Buffer {}

impl Deref for Buffer {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}

impl Zeroize for Buffer {
    fn zeroize(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_recycled_and_aligned() {
        // A length that no other test uses.
        const LEN: usize = 16 * 12_345;
        let mut first = Buffer::scratch(LEN);
        first.fill(7);
        assert_eq!(first.as_ptr() as usize % 64, 0);
        let place = first.as_ptr();
        drop(first);
        let second = Buffer::zeroed(LEN);
        assert_eq!(second.as_ptr(), place);
        assert!(second.iter().all(|&word| word == 0));
    }
}
