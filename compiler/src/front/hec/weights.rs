//! Where a model text takes its weights from.

use crate::diag::Diagnostic;
use crate::front::weights::TensorFile;
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A source of weights.
pub(super) enum Weights {
    /// None was declared.
    None,
    /// One was declared but could not be read; this was reported.
    Broken,
    /// Tensors by name.
    File(TensorFile),
    /// Made up, for networks whose cost is of interest rather than their
    /// output.
    Random(Random),
}

/// Reads the weights file of a given path.
pub(super) type Reader<'r> = &'r mut dyn FnMut(&str) -> Result<TensorFile, Diagnostic>;

/// Numbers that look drawn, the same on every machine.
pub(super) struct Random(SplitMix64);

impl Random {
    /// A sequence that the seed determines.
    pub fn new(seed: u64) -> Random {
        Random(SplitMix64::seed_from_u64(seed))
    }

    /// `n` numbers, even within `-bound..bound`.
    pub fn even(&mut self, n: usize, bound: f64) -> Vec<f64> {
        let unit = |bits: u64| (bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        (0..n).map(|_| unit(self.0.next_u64()) * bound).collect()
    }
}
