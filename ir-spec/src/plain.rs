//! Plaintext operands and their compact serialised form.

use crate::limits::{MAX_PLAIN_VALUES, MAX_SLOTS};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use thiserror::Error;

/// A plaintext operand: slot `i` is `values[i % values.len()]`.
///
/// The period is a power of two that divides the slot count and is the
/// smallest for its contents, so equal plaintexts compare equal. Serialised
/// as whichever is smaller: all values, or runs between stretches of zeros.
/// Clones share the contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Plain {
    values: Arc<[f64]>,
}

/// Why values are no [`Plain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlainError {
    /// The period is no power of two up to the largest slot count.
    #[error("plaintext period {0} is not a power of two up to {MAX_SLOTS}")]
    Period(usize),
    /// The contents repeat within the period.
    #[error("plaintext of period {0} repeats within it")]
    NotMinimal(usize),
    /// Runs of a sparse plaintext reach past its period.
    #[error("plaintext runs reach past the period {0}")]
    Overrun(usize),
}

impl Plain {
    /// Shrinks `values` (a power of two long) to its smallest period.
    ///
    /// # Panics
    /// If the length is not a power of two.
    pub fn new(mut values: Vec<f64>) -> Plain {
        assert!(values.len().is_power_of_two(), "a plaintext has a power-of-two length");
        while repeats(&values) {
            values.truncate(values.len() / 2);
        }
        Plain { values: values.into() }
    }

    /// Accepts one smallest period as it is.
    ///
    /// # Errors
    /// If the length is no power of two up to [`MAX_SLOTS`], or not the
    /// smallest period.
    pub fn from_period(values: Vec<f64>) -> Result<Plain, PlainError> {
        if !values.len().is_power_of_two() || values.len() > MAX_SLOTS {
            return Err(PlainError::Period(values.len()));
        }
        if repeats(&values) {
            return Err(PlainError::NotMinimal(values.len()));
        }
        Ok(Plain { values: values.into() })
    }

    /// One period of the contents.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Slot `slot`.
    pub fn at(&self, slot: usize) -> f64 {
        self.values[slot % self.values.len()]
    }

    /// Length of one period.
    pub fn period(&self) -> usize {
        self.values.len()
    }

    /// The value of every slot when all are equal.
    pub fn uniform(&self) -> Option<f64> {
        (self.values.len() == 1).then(|| self.values[0])
    }

    /// Every slot so many times in a row, as the circuits of so many lanes need it.
    /// What is uniform stays as it is.
    pub fn widened(&self, lanes: usize) -> Plain {
        if lanes == 1 || self.values.len() == 1 {
            return self.clone();
        }
        // The halves of a period differ; so do those of the wider one.
        Plain { values: self.values.iter().flat_map(|&v| std::iter::repeat_n(v, lanes)).collect() }
    }

    /// Length of one period of [`Plain::widened`].
    pub fn widened_period(&self, lanes: usize) -> usize {
        if self.values.len() == 1 { 1 } else { self.values.len() * lanes }
    }

    /// True when every slot is zero.
    pub fn is_zero(&self) -> bool {
        self.values.iter().all(|&v| v == 0.0)
    }

    /// Slots that may be non-zero, within one period.
    pub fn support(&self) -> impl Iterator<Item = usize> + '_ {
        self.values.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(i, _)| i)
    }
}

/// A plaintext that is told from others by its bits, as key of a map. Shares the
/// contents.
#[derive(Clone, Debug)]
pub struct PlainBits(pub Plain);

impl PartialEq for PlainBits {
    fn eq(&self, other: &PlainBits) -> bool {
        let [a, b] = [&self.0.values, &other.0.values];
        let is_same = || a.iter().zip(b.iter()).all(|(x, y)| x.to_bits() == y.to_bits());
        Arc::ptr_eq(a, b) || (a.len() == b.len() && is_same())
    }
}

impl Eq for PlainBits {}

impl Hash for PlainBits {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.values.iter().for_each(|x| state.write_u64(x.to_bits()));
    }
}

fn repeats(values: &[f64]) -> bool {
    values.len() > 1 && values[..values.len() / 2] == values[values.len() / 2..]
}

/// What is written for a [`Plain`].
#[derive(Serialize, Deserialize)]
enum Stored {
    /// One period.
    Dense(Vec<f64>),
    /// Runs, each after a number of zeros; zeros fill up the period.
    Sparse { period: u32, runs: Vec<(u32, Vec<f64>)> },
}

/// Bytes a run costs beside its values: two short lengths.
const RUN_BYTES: usize = 4;

impl From<Plain> for Stored {
    fn from(plain: Plain) -> Stored {
        let runs = non_zero_runs(&plain.values);
        let bytes: usize = runs.iter().map(|(_, run)| RUN_BYTES + 8 * run.len()).sum();
        if bytes < 8 * plain.values.len() {
            Stored::Sparse { period: plain.values.len() as u32, runs }
        } else {
            Stored::Dense(plain.values.to_vec())
        }
    }
}

impl TryFrom<Stored> for Plain {
    type Error = PlainError;

    fn try_from(stored: Stored) -> Result<Plain, PlainError> {
        match stored {
            Stored::Dense(values) => Plain::from_period(values),
            Stored::Sparse { period, runs } => Plain::from_period(unfold(period as usize, &runs)?),
        }
    }
}

/// Stretches without positive zero, each with the number of zeros before it.
fn non_zero_runs(values: &[f64]) -> Vec<(u32, Vec<f64>)> {
    let mut runs: Vec<(u32, Vec<f64>)> = Vec::new();
    let mut gap = 0;
    for &value in values {
        match runs.last_mut() {
            _ if value.to_bits() == 0 => gap += 1,
            Some((_, run)) if gap == 0 => run.push(value),
            Some(_) | None => runs.push((std::mem::take(&mut gap), vec![value])),
        }
    }
    runs
}

fn unfold(period: usize, runs: &[(u32, Vec<f64>)]) -> Result<Vec<f64>, PlainError> {
    if period > MAX_SLOTS {
        return Err(PlainError::Period(period));
    }
    let mut values = Vec::with_capacity(period);
    for (gap, run) in runs {
        if values.len() + *gap as usize + run.len() > period {
            return Err(PlainError::Overrun(period));
        }
        values.resize(values.len() + *gap as usize, 0.0);
        values.extend_from_slice(run);
    }
    values.resize(period, 0.0);
    Ok(values)
}

/// Reads a plaintext arena of at most [`MAX_PLAIN_VALUES`] values in all.
pub(crate) fn bounded_arena<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Plain>, D::Error> {
    deserializer.deserialize_seq(ArenaVisitor)
}

struct ArenaVisitor;

impl<'de> Visitor<'de> for ArenaVisitor {
    type Value = Vec<Plain>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plaintexts of at most {MAX_PLAIN_VALUES} values in all")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Plain>, A::Error> {
        let (mut arena, mut total) = (Vec::new(), 0);
        while let Some(plain) = seq.next_element::<Plain>()? {
            total += plain.period();
            if total > MAX_PLAIN_VALUES {
                return Err(A::Error::custom("too many plaintext values"));
            }
            arena.push(plain);
        }
        Ok(arena)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored_len(plain: &Plain) -> usize {
        let bytes = postcard::to_allocvec(plain).unwrap();
        assert_eq!(postcard::from_bytes::<Plain>(&bytes).unwrap(), *plain);
        bytes.len()
    }

    #[test]
    fn sparse_plaintexts_are_stored_as_runs() {
        let mut values = vec![0.0; 4096];
        values[7] = 1.5;
        values[8] = -0.0;
        assert!(stored_len(&Plain::new(values)) < 40);
        assert!(stored_len(&Plain::new((0..64).map(f64::from).collect())) < 64 * 8 + 8);
        assert!(stored_len(&Plain::new(vec![0.0])) < 8);
    }

    #[test]
    fn wider_plaintexts_repeat_each_slot() {
        let plain = Plain::new(vec![1.0, 2.0]);
        assert_eq!(plain.widened(1), plain);
        assert_eq!(plain.widened(2), Plain::from_period(vec![1.0, 1.0, 2.0, 2.0]).unwrap());
        assert_eq!(plain.widened(4).period(), plain.widened_period(4));
        let uniform = Plain::new(vec![3.0]);
        assert_eq!((uniform.widened(8), uniform.widened_period(8)), (uniform, 1));
    }

    #[test]
    fn broken_plaintexts_are_refused() {
        let read = |stored: Stored| Plain::try_from(stored).unwrap_err();
        assert_eq!(read(Stored::Dense(vec![1.0, 1.0])), PlainError::NotMinimal(2));
        assert_eq!(read(Stored::Dense(vec![1.0, 2.0, 3.0])), PlainError::Period(3));
        assert_eq!(
            read(Stored::Sparse { period: u32::MAX, runs: Vec::new() }),
            PlainError::Period(u32::MAX as usize)
        );
        assert_eq!(
            read(Stored::Sparse { period: 4, runs: vec![(u32::MAX, vec![1.0])] }),
            PlainError::Overrun(4)
        );
    }
}
