//! Plaintext operands and their compact serialised form.

use crate::limits::list::lack;
use crate::limits::{MAX_PLAIN_BYTES, MAX_SLOTS, PLAIN_OVERHEAD};
use crate::machine::{Excess, free_memory};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};
use thiserror::Error;

/// A plaintext operand: slot `i` is the value at `i` modulo the period.
///
/// The period is a power of two that divides the slot count and is the
/// smallest for its contents, so equal plaintexts compare equal. In memory few
/// different values are listed once, as weights of convolutions are. Serialised
/// as whichever is smallest: all values, runs between stretches of zeros, or
/// such a list. Clones share the contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Plain {
    contents: Arc<Contents>,
}

/// One period of values. Which form it has follows from their bits.
#[derive(Debug)]
enum Contents {
    /// All of them.
    Values(Vec<f64>),
    /// The different ones in the order of their bits, and which of them each slot holds.
    Listed { list: Vec<f64>, places: Vec<u8> },
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
    /// More values are listed than a byte can tell apart.
    #[error("a plaintext lists {0} values")]
    TooManyListed(usize),
    /// A slot holds a value that is not listed.
    #[error("a slot holds value {place} of a plaintext that lists {listed}")]
    Unlisted {
        /// Its place in the list.
        place: u8,
        /// Values listed.
        listed: usize,
    },
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
        Plain::of(Contents::of(values))
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
        Ok(Plain::of(Contents::of(values)))
    }

    fn of(contents: Contents) -> Plain {
        Plain { contents: Arc::new(contents) }
    }

    /// One period of the contents.
    pub fn values(&self) -> Cow<'_, [f64]> {
        match &*self.contents {
            Contents::Values(values) => Cow::Borrowed(values),
            Contents::Listed { list, places } => places.iter().map(|&place| list[place as usize]).collect(),
        }
    }

    /// Every value that occurs, some perhaps more than once.
    pub fn occurring(&self) -> &[f64] {
        match &*self.contents {
            Contents::Values(values) => values,
            Contents::Listed { list, .. } => list,
        }
    }

    /// Slot `slot`.
    pub fn at(&self, slot: usize) -> f64 {
        // Periods are powers of two.
        let slot = slot & (self.period() - 1);
        match &*self.contents {
            Contents::Values(values) => values[slot],
            Contents::Listed { list, places } => list[places[slot] as usize],
        }
    }

    /// Length of one period.
    pub fn period(&self) -> usize {
        match &*self.contents {
            Contents::Values(values) => values.len(),
            Contents::Listed { places, .. } => places.len(),
        }
    }

    /// Bytes that the contents take in memory.
    pub fn n_bytes(&self) -> usize {
        match &*self.contents {
            Contents::Values(values) => size_of_val(&values[..]),
            Contents::Listed { list, places } => size_of_val(&list[..]) + places.len(),
        }
    }

    /// The value of every slot when all are equal.
    pub fn uniform(&self) -> Option<f64> {
        (self.period() == 1).then(|| self.at(0))
    }

    /// Turned to the left by `step` slots.
    pub fn turned(&self, step: usize) -> Plain {
        let step = step & (self.period() - 1);
        if step == 0 {
            return self.clone();
        }
        Plain::of(match &*self.contents {
            Contents::Values(values) => Contents::Values(turned(values, step)),
            Contents::Listed { list, places } => {
                Contents::Listed { list: list.clone(), places: turned(places, step) }
            }
        })
    }

    /// Every slot so many times in a row, as the circuits of so many lanes need it.
    /// What is uniform stays as it is.
    pub fn widened(&self, lanes: usize) -> Plain {
        if lanes == 1 || self.period() == 1 {
            return self.clone();
        }
        // The halves of a period differ; so do those of the wider one.
        Plain::of(match &*self.contents {
            Contents::Values(values) => Contents::of(widened(values, lanes)),
            Contents::Listed { list, places } => {
                Contents::Listed { list: list.clone(), places: widened(places, lanes) }
            }
        })
    }

    /// Length of one period of [`Plain::widened`].
    pub fn widened_period(&self, lanes: usize) -> usize {
        if self.period() == 1 { 1 } else { self.period() * lanes }
    }

    /// True when every slot is zero.
    pub fn is_zero(&self) -> bool {
        self.occurring().iter().all(|&v| v == 0.0)
    }

    /// Slots that may be non-zero, within one period.
    pub fn support(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.period()).filter(|&slot| self.at(slot) != 0.0)
    }
}

fn turned<T: Clone>(period: &[T], step: usize) -> Vec<T> {
    [&period[step..], &period[..step]].concat()
}

fn widened<T: Copy>(period: &[T], lanes: usize) -> Vec<T> {
    period.iter().flat_map(|&item| std::iter::repeat_n(item, lanes)).collect()
}

impl PartialEq for Plain {
    fn eq(&self, other: &Plain) -> bool {
        self.period() == other.period() && (0..self.period()).all(|slot| self.at(slot) == other.at(slot))
    }
}

impl Contents {
    fn of(values: Vec<f64>) -> Contents {
        let Some(mut places) = places(&values) else {
            // What does not repeat may be a small part of what was allocated.
            return Contents::Values(values.into_boxed_slice().into_vec());
        };
        let mut order: Vec<usize> = (0..places.list.len()).collect();
        order.sort_unstable_by_key(|&place| places.list[place].to_bits());
        let mut rank = [0; MAX_LISTED];
        order.iter().enumerate().for_each(|(at, &place)| rank[place] = at as u8);
        places.of_slots.iter_mut().for_each(|place| *place = rank[*place as usize]);
        let list = order.iter().map(|&place| places.list[place]).collect();
        Contents::Listed { list, places: places.of_slots }
    }
}

/// Most values that are listed: as many as a byte can tell apart.
const MAX_LISTED: usize = 256;

/// The values of a plaintext, the different ones as they are met.
struct Places {
    list: Vec<f64>,
    of_slots: Vec<u8>,
}

/// Which of its different values each slot holds, if there are few: so few that a list of them
/// takes a quarter of the memory at most.
fn places(values: &[f64]) -> Option<Places> {
    let most = MAX_LISTED.min(values.len() / size_of::<f64>());
    let mut places = Places { list: Vec::new(), of_slots: Vec::with_capacity(values.len()) };
    // By hash, the place in the list plus one; zero where there is none.
    let mut table = [0u16; 4 * MAX_LISTED];
    for value in values {
        let mut at = hash_bits(*value, table.len());
        while table[at] != 0 && places.list[usize::from(table[at]) - 1].to_bits() != value.to_bits() {
            at = (at + 1) % table.len();
        }
        if table[at] == 0 {
            if places.list.len() == most {
                return None;
            }
            places.list.push(*value);
            table[at] = places.list.len() as u16;
        }
        places.of_slots.push((table[at] - 1) as u8);
    }
    Some(places)
}

/// A place below `n`, a power of two greater than one (multiplicative hashing). The factor is of this
/// process, so that no file can hold values that all have the same place.
fn hash_bits(value: f64, n: usize) -> usize {
    static FACTOR: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(MULTIPLIER) | 1);
    (value.to_bits().wrapping_mul(*FACTOR) >> (u64::BITS - n.ilog2())) as usize
}

/// The integer nearest to 2^64 over the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A plaintext that is told from others by its bits, as key of a map. Shares the
/// contents.
#[derive(Clone, Debug)]
pub struct PlainBits(pub Plain);

impl PartialEq for PlainBits {
    fn eq(&self, other: &PlainBits) -> bool {
        let is_same = |a: &[f64], b: &[f64]| {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
        };
        let [a, b] = [&self.0.contents, &other.0.contents];
        Arc::ptr_eq(a, b)
            || match (&**a, &**b) {
                (Contents::Values(a), Contents::Values(b)) => is_same(a, b),
                (Contents::Listed { list: a, places: p }, Contents::Listed { list: b, places: q }) => {
                    p == q && is_same(a, b)
                }
                (Contents::Values(_), Contents::Listed { .. })
                | (Contents::Listed { .. }, Contents::Values(_)) => false,
            }
    }
}

impl Eq for PlainBits {}

impl Hash for PlainBits {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Folded first: hashers are slow, and weights are many.
        let mix = |sum: u64, x: &f64| (sum.rotate_left(5) ^ x.to_bits()).wrapping_mul(MULTIPLIER);
        state.write_u64(self.0.occurring().iter().fold(0, mix));
        if let Contents::Listed { places, .. } = &*self.0.contents {
            state.write(places);
        }
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
    Sparse {
        period: u32,
        #[serde(deserialize_with = "crate::limits::list::bounded")]
        runs: Vec<(u32, Vec<f64>)>,
    },
    /// Values, and which of them each slot of a period holds.
    Listed { list: Vec<f64>, places: Vec<u8> },
}

/// Bytes a run costs beside its values: two short lengths.
const RUN_BYTES: usize = 4;

impl From<Plain> for Stored {
    fn from(plain: Plain) -> Stored {
        let runs = non_zero_runs(&plain.values());
        let bytes: usize = runs.iter().map(|(_, run)| RUN_BYTES + 8 * run.len()).sum();
        if bytes < plain.n_bytes() {
            return Stored::Sparse { period: plain.period() as u32, runs };
        }
        match &*plain.contents {
            Contents::Values(values) => Stored::Dense(values.clone()),
            Contents::Listed { list, places } => {
                Stored::Listed { list: list.clone(), places: places.clone() }
            }
        }
    }
}

impl TryFrom<Stored> for Plain {
    type Error = PlainError;

    fn try_from(stored: Stored) -> Result<Plain, PlainError> {
        match stored {
            Stored::Dense(values) => Plain::from_period(values),
            Stored::Sparse { period, runs } => Plain::from_period(unfold(period as usize, &runs)?),
            Stored::Listed { list, places } => Plain::from_period(look_up(&list, &places)?),
        }
    }
}

fn look_up(list: &[f64], places: &[u8]) -> Result<Vec<f64>, PlainError> {
    if places.len() > MAX_SLOTS {
        return Err(PlainError::Period(places.len()));
    }
    if list.len() > MAX_LISTED {
        return Err(PlainError::TooManyListed(list.len()));
    }
    let value = |&place: &u8| {
        list.get(place as usize).copied().ok_or(PlainError::Unlisted { place, listed: list.len() })
    };
    places.iter().map(value).collect()
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

/// Reads a plaintext arena of at most [`MAX_PLAIN_BYTES`] bytes in all, and no more than are free.
pub(crate) fn bounded_arena<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Plain>, D::Error> {
    deserializer.deserialize_seq(ArenaVisitor)
}

struct ArenaVisitor;

impl<'de> Visitor<'de> for ArenaVisitor {
    type Value = Vec<Plain>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plaintexts of at most {MAX_PLAIN_BYTES} bytes in all")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Plain>, A::Error> {
        let (mut arena, mut total) = (Vec::new(), 0);
        let available = free_memory().unwrap_or(usize::MAX);
        while let Some(plain) = seq.next_element::<Plain>()? {
            total += PLAIN_OVERHEAD + plain.n_bytes();
            if total > MAX_PLAIN_BYTES {
                return Err(A::Error::custom(format_args!(
                    "its weights take more than {MAX_PLAIN_BYTES} bytes of memory"
                )));
            }
            if total > available {
                let excess = Excess { needed: total, available };
                lack(excess);
                return Err(A::Error::custom(excess));
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
    fn as_many_values_are_listed_as_a_byte_tells_apart() {
        for (n_different, is_listed) in [(255, true), (256, true), (257, false)] {
            let plain = Plain::new((0..2048).map(|i| f64::from(i.min(n_different - 1))).collect());
            assert_eq!(matches!(*plain.contents, Contents::Listed { .. }), is_listed, "{n_different}");
            assert_eq!((plain.at(1), plain.at(2047)), (1.0, f64::from(n_different - 1)));
        }
        let too_many = Stored::Listed { list: vec![1.0; 257], places: vec![0] };
        assert_eq!(Plain::try_from(too_many).unwrap_err(), PlainError::TooManyListed(257));
    }

    #[test]
    fn few_values_are_listed_once() {
        let period = |n_different: usize| (0..4096).map(|i| ((i * i) % n_different) as f64 + 0.5).collect();
        let [few, many]: [Plain; 2] = [251, 2003].map(|n| Plain::new(period(n)));
        assert_eq!((few.n_bytes() < 2 * 4096, many.n_bytes()), (true, 8 * 4096));
        assert!(stored_len(&few) < 2 * 4096 && stored_len(&many) > 8 * 4096);
        for (plain, n) in [(few, 251), (many, 2003)] {
            let mut values: Vec<f64> = period(n);
            assert_eq!(*plain.values(), values);
            values.rotate_left(100);
            let turned = PlainBits(plain.turned(100));
            assert!(turned == PlainBits(Plain::new(values)) && turned != PlainBits(plain));
        }
    }

    #[test]
    fn signs_of_zero_are_told_apart_by_bits_alone() {
        let zeros = |at: usize| {
            let mut values = vec![0.0; 64];
            values[63] = 1.0;
            values[at] = -0.0;
            Plain::new(values)
        };
        assert_eq!(zeros(1), zeros(2));
        assert!(PlainBits(zeros(1)) != PlainBits(zeros(2)));
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
        let listed = |places: Vec<u8>| read(Stored::Listed { list: vec![1.0, 2.0], places });
        assert_eq!(listed(vec![0, 2]), PlainError::Unlisted { place: 2, listed: 2 });
        assert_eq!(listed(vec![0, 1, 0]), PlainError::Period(3));
        assert_eq!(listed(vec![0; 2 * MAX_SLOTS]), PlainError::Period(2 * MAX_SLOTS));
    }
}
