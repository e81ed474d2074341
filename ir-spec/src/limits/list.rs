//! Lists in files, read within bounds.
//!
//! An element without content has a byte or two in a file and dozens in memory. So what a list takes is counted while
//! it is read: against [`MAX_LIST_BYTES`], and against what is free.

use super::{MAX_LIST_BYTES, allocated};
use crate::circuit::CtType;
use crate::layout::{Layout, Position};
use crate::machine::{Excess, Tally};
use crate::program::{Instr, PlainUse, Port, Reg, SlotRun};
use crate::scale::Step;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Elements that a list has room for at once when so many are announced; beyond them it grows with what it holds.
const AHEAD: usize = 4096;
thread_local! {
    /// What was lacked by what was read last on this thread: errors of formats carry no data.
    static LACKED: Cell<Option<Excess>> = const { Cell::new(None) };
}

/// Notes what is lacked by what is being read on this thread.
pub(crate) fn lack(excess: Excess) {
    LACKED.set(Some(excess));
}

/// Takes what was lacked by what was read last on this thread, if it was refused for want of memory.
pub(crate) fn take_lacked() -> Option<Excess> {
    LACKED.take()
}

/// An element of a list, which may hold memory beside its own.
pub(crate) trait Held {
    /// Bytes that it holds elsewhere.
    fn held(&self) -> usize {
        0
    }
}

impl Held for f64 {}
impl Held for u32 {}
impl Held for u64 {}
impl Held for usize {}
impl Held for Position {}
impl Held for SlotRun {}
impl Held for Reg {}
impl Held for CtType {}
impl Held for PlainUse {}
impl Held for (Reg, u32) {}
impl Held for (Step, Reg) {}

impl Held for String {
    fn held(&self) -> usize {
        allocated(self.len())
    }
}

impl<T: Held> Held for Vec<T> {
    fn held(&self) -> usize {
        allocated(size_of_val(&self[..])) + self.iter().map(T::held).sum::<usize>()
    }
}

/// A number of zeros and the values behind them.
impl Held for (u32, Vec<f64>) {
    fn held(&self) -> usize {
        self.1.held()
    }
}

impl Held for Instr {
    fn held(&self) -> usize {
        match self {
            Instr::Rotate { outs, .. } => outs.held(),
            Instr::InnerProduct { terms, .. } => terms.held(),
            Instr::Sum { terms, .. } => terms.held(),
            Instr::Input { .. }
            | Instr::Zero { .. }
            | Instr::Sub { .. }
            | Instr::Neg { .. }
            | Instr::AddPlain { .. }
            | Instr::MulScalar { .. }
            | Instr::Mul { .. }
            | Instr::Relin { .. }
            | Instr::Rescale { .. }
            | Instr::DropLevel { .. } => 0,
        }
    }
}

impl Held for Port {
    fn held(&self) -> usize {
        let Layout { shape, home, replicas, .. } = &self.layout;
        let zeros = self.expected.as_ref().map_or(0, |expected| expected.zeros.held());
        self.name.held() + shape.0.held() + home.held() + replicas.held() + zeros
    }
}

/// Reads a list of a file.
///
/// # Errors
/// When it takes more than [`MAX_LIST_BYTES`] or than is free, and those of the format.
pub(crate) fn bounded<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Held,
{
    deserializer.deserialize_seq(ListVisitor(PhantomData))
}

/// Reads a list of lists.
///
/// # Errors
/// As [`bounded`].
pub(crate) fn bounded_lists<'de, D, T>(deserializer: D) -> Result<Vec<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Held,
{
    let lists = deserializer.deserialize_seq(ListVisitor::<Inner<T>>(PhantomData))?;
    Ok(lists.into_iter().map(|inner| inner.0).collect())
}

/// Reads a map whose keys and values hold no memory beside their own.
///
/// # Errors
/// As [`bounded`].
pub(crate) fn bounded_map<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    deserializer.deserialize_map(MapVisitor(PhantomData))
}

struct MapVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for MapVisitor<K, V> {
    type Value = BTreeMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map of at most {MAX_LIST_BYTES} bytes")
    }

    /// Nodes of a tree are half full at least.
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<BTreeMap<K, V>, A::Error> {
        let (mut map, mut budget) = (BTreeMap::new(), Budget::default());
        while let Some((key, value)) = entries.next_entry::<K, V>()? {
            budget.take::<A::Error>(2 * (size_of::<K>() + size_of::<V>() + size_of::<usize>()))?;
            map.insert(key, value);
        }
        Ok(map)
    }
}

/// A list within a list.
struct Inner<T>(Vec<T>);

impl<'de, T: Deserialize<'de> + Held> Deserialize<'de> for Inner<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Inner<T>, D::Error> {
        bounded(deserializer).map(Inner)
    }
}

impl<T: Held> Held for Inner<T> {
    fn held(&self) -> usize {
        self.0.held()
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Held> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_LIST_BYTES} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let (mut list, mut budget) = (Vec::new(), Budget::default());
        while let Some(element) = seq.next_element::<T>()? {
            if list.len() == list.capacity() {
                // As many more as are announced, but no more than are there already: what is announced may be false.
                let announced = seq.size_hint().unwrap_or(list.len());
                let more = 1 + announced.min(list.len().max(AHEAD));
                budget.take::<A::Error>(more.saturating_mul(size_of::<T>()))?;
                list.reserve_exact(more);
            }
            budget.take::<A::Error>(element.held())?;
            list.push(element);
        }
        Ok(list)
    }
}

/// Counts what a list takes.
#[derive(Default)]
struct Budget {
    total: usize,
    tally: Tally,
}

impl Budget {
    fn take<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.total = self.total.saturating_add(bytes);
        if self.total > MAX_LIST_BYTES {
            return Err(E::custom(format_args!("a list takes more than {MAX_LIST_BYTES} bytes of memory")));
        }
        self.tally.take(bytes).map_err(|excess| {
            lack(excess);
            E::custom(excess)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Lists {
        #[serde(deserialize_with = "bounded")]
        names: Vec<String>,
        #[serde(deserialize_with = "bounded_lists")]
        runs: Vec<Vec<u32>>,
    }

    #[test]
    fn lists_are_read_as_they_were_written() {
        let n = 3 * AHEAD;
        let names: Vec<String> = (0..n).map(|i| "x".repeat(i % 3)).collect();
        let runs: Vec<Vec<u32>> = (0..n as u32).map(|i| (0..i % 4).collect()).collect();
        let bytes = postcard::to_allocvec(&(&names, &runs)).unwrap();
        let read: Lists = postcard::from_bytes(&bytes).unwrap();
        assert_eq!((read.names.capacity(), read.runs.len()), (n, n));
        assert_eq!(read, Lists { names, runs });
        assert!(postcard::from_bytes::<Lists>(&bytes[..n]).is_err());
    }

    #[test]
    fn what_elements_hold_is_counted() {
        let lists = vec![vec![1u32, 2], Vec::new()];
        assert_eq!(lists.held(), allocated(2 * size_of::<Vec<u32>>()) + allocated(8));
        assert_eq!((String::new().held(), Vec::<u32>::new().held()), (0, 0));
        let sum = Instr::Sum { dst: Reg(0), terms: vec![Reg(1); 4] };
        assert_eq!((sum.held(), Instr::Zero { dst: Reg(0) }.held()), (allocated(16), 0));
    }

    #[test]
    fn a_list_takes_no_more_than_it_may() {
        let mut budget = Budget { total: MAX_LIST_BYTES - 8, tally: Tally::default() };
        assert_eq!(budget.take::<serde::de::value::Error>(8), Ok(()));
        assert!(budget.take::<serde::de::value::Error>(1).is_err());
    }
}
