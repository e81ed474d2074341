//! What the decryption of an output shows if nothing went wrong: by this a client tells results
//! from noise.

use crate::layout::Layout;
use serde::{Deserialize, Serialize};

/// Clients look at slots together, at no fewer than these.
pub const MIN_TESTED_SLOTS: usize = 16;

/// Bounds that the ciphertexts of an output keep when they are decrypted. All are in slot units and hold
/// while values inside the circuit are no larger than it was scheduled for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Largest standard deviation of the error in the real or the imaginary part of a slot.
    pub error: f64,
    /// Largest magnitude of a coefficient of the encoded slots; infinite where nobody knows.
    pub coefficient: f64,
    /// For each ciphertext, the slots that are zero whatever the input is.
    #[serde(deserialize_with = "crate::limits::list::bounded_lists")]
    pub zeros: Vec<Vec<SlotRun>>,
    /// How precise results are.
    pub promise: Promise,
}

/// How precise an output is. Its errors are relative to its [size](Promise::size).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// Error that most elements stay below; infinite where nobody promises any.
    pub precision: f64,
    /// Standard deviation of the error of a slot, as predicted where it is largest.
    pub deviation: f64,
    /// Magnitude of the largest element for a typical input, not zero.
    pub typical: f64,
}

impl Promise {
    /// No promise.
    pub const NONE: Promise = Promise { precision: f64::INFINITY, deviation: 0.0, typical: 1.0 };

    /// What errors are relative to when the results of a run have this largest magnitude: that, or the typical one if that is larger.
    pub fn size(&self, largest: f64) -> f64 {
        largest.max(self.typical)
    }

    fn is_sound(&self) -> bool {
        let Promise { precision, deviation, typical } = *self;
        precision > 0.0 && deviation >= 0.0 && typical > 0.0 && deviation.is_finite() && typical.is_finite()
    }
}

/// Slots that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRun {
    /// The first of them.
    pub start: u32,
    /// How many they are.
    pub len: u32,
}

impl SlotRun {
    /// The runs of slots for which `is_in` is true.
    pub fn of(is_in: &[bool]) -> Vec<SlotRun> {
        let mut start = 0;
        let runs = is_in.chunk_by(|a, b| a == b).filter_map(|chunk| {
            let run = SlotRun { start, len: chunk.len() as u32 };
            start += run.len;
            chunk[0].then_some(run)
        });
        runs.collect()
    }

    fn end(&self) -> u64 {
        u64::from(self.start) + u64::from(self.len)
    }
}

impl Expected {
    /// Bounds of an output in so many ciphertexts of whose slots, coefficients and precision nothing is known.
    pub fn of_error(error: f64, n_cts: usize) -> Expected {
        Expected { error, coefficient: f64::INFINITY, zeros: vec![Vec::new(); n_cts], promise: Promise::NONE }
    }

    /// Slots of a ciphertext that are zero, ascending.
    pub fn zero_slots(&self, ct: usize) -> impl Iterator<Item = usize> + '_ {
        self.zeros[ct].iter().flat_map(|run| run.start as usize..run.end() as usize)
    }

    /// What makes it no expectation of an output with this layout, if anything.
    pub(super) fn problem(&self, layout: &Layout) -> Option<String> {
        let Expected { error, coefficient, zeros, promise } = self;
        if !(error.is_finite() && *error > 0.0 && *coefficient > 0.0) {
            return Some(format!("an error of {error} and coefficients of {coefficient} are no bounds"));
        }
        if !promise.is_sound() {
            return Some(format!("{promise:?} is no precision"));
        }
        if zeros.len() != layout.n_cts {
            return Some(format!("zeros of {} ciphertexts, not {}", zeros.len(), layout.n_cts));
        }
        let are_sound = |runs: &Vec<SlotRun>| {
            let apart = runs.windows(2).all(|pair| pair[0].end() <= u64::from(pair[1].start));
            let within = runs.iter().all(|run| run.len > 0 && run.end() <= layout.n_slots as u64);
            apart && within
        };
        (!zeros.iter().all(are_sound)).then(|| "zero slots that overlap or do not exist".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_the_slots_they_were_made_of() {
        for bits in 0u32..256 {
            let is_in: Vec<bool> = (0..8).map(|slot| bits >> slot & 1 == 1).collect();
            let expected = Expected { zeros: vec![SlotRun::of(&is_in)], ..Expected::of_error(1.0, 1) };
            let found: Vec<usize> = expected.zero_slots(0).collect();
            let wanted: Vec<usize> = (0..8).filter(|&slot| is_in[slot]).collect();
            assert_eq!(found, wanted);
        }
    }
}
