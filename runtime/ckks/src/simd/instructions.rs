//! How much of its processor the process uses.

use super::{Avx2, Ifma};
use std::sync::atomic::{AtomicU8, Ordering};

/// Vector instructions that kernels have forms for, fewest first. Results are the same bits with all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// None that a processor may lack.
    Portable,
    /// AVX2, and FMA where it is there.
    Avx2,
    /// AVX-512 IFMA.
    Avx512,
}

/// The most that may be used, by its place in [`Instructions::ALL`].
static LIMIT: AtomicU8 = AtomicU8::new(Instructions::Avx512 as u8);

impl Instructions {
    /// All of them, fewest first.
    pub const ALL: [Instructions; 3] = [Instructions::Portable, Instructions::Avx2, Instructions::Avx512];

    /// The most that this machine has.
    pub fn of_machine() -> Instructions {
        match (Ifma::detect(), Avx2::detect()) {
            (Some(_), _) => Instructions::Avx512,
            (None, Some(_)) => Instructions::Avx2,
            (None, None) => Instructions::Portable,
        }
    }

    /// The most that contexts use which are made now: what the machine has, within the limit.
    pub fn in_use() -> Instructions {
        Instructions::of_machine().min(Instructions::ALL[usize::from(LIMIT.load(Ordering::Relaxed))])
    }

    /// Sets the most that contexts of this process use which are made from now on, to measure on one
    /// machine what programs take on others. Transforms for [`Instructions::Portable`], and modulo primes from 2^50
    /// on, come from a library that uses what the machine has.
    pub fn limit(most: Instructions) {
        LIMIT.store(most as u8, Ordering::Relaxed);
    }

    /// The name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Instructions::Portable => "portable",
            Instructions::Avx2 => "avx2",
            Instructions::Avx512 => "avx512",
        }
    }

    /// The one of a name.
    pub fn named(name: &str) -> Option<Instructions> {
        Instructions::ALL.into_iter().find(|instructions| instructions.name() == name)
    }
}
