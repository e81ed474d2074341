//! Where a model text takes its weights from.

use crate::diag::Diagnostic;
use crate::front::weights::TensorFile;

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

/// The SplitMix64 generator (Steele, Lea, Flood 2014): the same numbers on
/// every machine.
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// A sequence that the seed determines.
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.state;
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `n` numbers, even within `-bound..bound`.
    pub fn even(&mut self, n: usize, bound: f64) -> Vec<f64> {
        let unit = |bits: u64| (bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        (0..n).map(|_| unit(self.next()) * bound).collect()
    }
}
