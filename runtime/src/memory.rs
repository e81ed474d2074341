//! How much memory a program's encoded plaintexts may take, and where those go
//! that do not fit.
//!
//! A plaintext that an instruction reads `k` times and that is not kept is
//! encoded `k` times per run, and encoding takes time about in proportion to
//! its bytes. So every byte of it that is kept saves the same work, times `k`:
//! plaintexts with the most reads are kept first, among equals smaller ones,
//! for which the part of the work that does not grow with their bytes weighs
//! most, and then the earlier ones of the program. What fits in that order
//! is kept. Results do not depend on any of this.

use hecc_ir::machine::{Bound, free_memory};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// How a program's plaintexts are kept. By default those stay in memory that fit in half of what is free.
///
/// It bounds the plaintexts of each program by itself, and of those only the
/// encoded ones: neither the program they are encoded from nor scratch memory
/// of the encoder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainMemory {
    /// Most bytes of encoded plaintexts in memory: so many, half of what is free when they are
    /// encoded, or all, whatever is free. Unless all are asked for, no more than keys and ciphertexts leave.
    ///
    /// A thread needs one plaintext at a time, so that the threads together
    /// hold one each whatever the budget says, and two each while plaintexts
    /// are written to a file.
    pub budget: Bound,
    /// What becomes of plaintexts beyond the budget.
    pub overflow: Overflow,
}

impl PlainMemory {
    /// Bytes of plaintexts that may stay beside what leaves so many for them; `None` for all.
    pub(crate) fn budget_within(&self, left: Option<usize>) -> Option<usize> {
        let least = |a: Option<usize>, b: Option<usize>| a.into_iter().chain(b).min();
        match self.budget {
            Bound::All => None,
            Bound::Bytes(bytes) => least(Some(bytes), left),
            Bound::Free => least(free_memory().map(|free| free / 2), left),
        }
    }
}

/// What becomes of a plaintext that does not fit in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It is encoded by every instruction that reads it and dropped after. A
    /// quarter of the budget at most is set aside for this.
    #[default]
    Encode,
    /// It is encoded once, into a file without a name in this folder, and mapped
    /// from there: the system reads its pages when they are needed and forgets
    /// them when memory is short. The folder is to be on a disk; temporary
    /// folders are often memory themselves.
    Map(PathBuf),
}

/// Bytes of a program's encoded plaintexts, by where they are. Plaintexts that
/// no instruction reads are nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainBytes {
    /// In memory.
    pub resident: usize,
    /// In a mapped file.
    pub mapped: usize,
    /// Nowhere until an instruction needs them.
    pub on_the_fly: usize,
}

impl PlainBytes {
    /// All of them.
    pub fn total(&self) -> usize {
        self.resident + self.mapped + self.on_the_fly
    }
}

/// The bytes of one plaintext in a mapped file.
#[derive(Clone)]
pub struct MappedBytes {
    map: Arc<dyn AsRef<[u8]> + Send + Sync>,
    place: Range<usize>,
}

impl MappedBytes {
    pub(crate) fn new(map: Arc<dyn AsRef<[u8]> + Send + Sync>, place: Range<usize>) -> MappedBytes {
        MappedBytes { map, place }
    }

    /// The whole map; its bytes start at an address that is a multiple of 64.
    pub fn map(&self) -> &Arc<dyn AsRef<[u8]> + Send + Sync> {
        &self.map
    }

    /// Where in the map this plaintext is; starts at a multiple of 64.
    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }
}

impl AsRef<[u8]> for MappedBytes {
    fn as_ref(&self) -> &[u8] {
        &(*self.map).as_ref()[self.place()]
    }
}

impl fmt::Debug for MappedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MappedBytes").field(&self.place).finish()
    }
}
