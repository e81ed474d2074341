//! Sets of slots.

use fixedbitset::FixedBitSet;
use std::sync::Arc;

/// A set of the slots of one ciphertext. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum SlotSet {
    /// Every slot.
    All,
    /// These.
    Some(Arc<FixedBitSet>),
}

impl SlotSet {
    pub fn of(bits: FixedBitSet) -> SlotSet {
        if bits.count_zeroes(..) == 0 { SlotSet::All } else { SlotSet::Some(Arc::new(bits)) }
    }

    pub fn none(n_slots: usize) -> SlotSet {
        SlotSet::of(FixedBitSet::with_capacity(n_slots))
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, SlotSet::Some(bits) if bits.is_clear())
    }

    pub fn contains(&self, slot: usize) -> bool {
        match self {
            SlotSet::All => true,
            SlotSet::Some(bits) => bits.contains(slot),
        }
    }

    pub fn union(&self, other: &SlotSet) -> SlotSet {
        match (self, other) {
            (SlotSet::Some(a), SlotSet::Some(b)) if a == b => self.clone(),
            (SlotSet::Some(a), SlotSet::Some(b)) => SlotSet::of(&**a | &**b),
            _ => SlotSet::All,
        }
    }

    pub fn intersection(&self, other: &SlotSet) -> SlotSet {
        match (self, other) {
            (SlotSet::All, set) | (set, SlotSet::All) => set.clone(),
            (SlotSet::Some(a), SlotSet::Some(b)) if a == b => self.clone(),
            (SlotSet::Some(a), SlotSet::Some(b)) => SlotSet::of(&**a & &**b),
        }
    }

    /// The slots at which a value turned by `step` to the left shows these.
    pub fn turned(&self, step: usize) -> SlotSet {
        let SlotSet::Some(bits) = self else { return SlotSet::All };
        let n = bits.len();
        let mut turned = FixedBitSet::with_capacity(n);
        bits.ones().for_each(|slot| turned.insert((slot + n - step % n) % n));
        SlotSet::of(turned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(slots: &[usize]) -> SlotSet {
        let mut bits = FixedBitSet::with_capacity(8);
        slots.iter().for_each(|&slot| bits.insert(slot));
        SlotSet::of(bits)
    }

    #[test]
    fn sets_turn_and_meet() {
        assert_eq!(set(&[0, 3]).turned(1), set(&[7, 2]));
        assert_eq!(set(&[0, 3]).intersection(&set(&[3, 4])), set(&[3]));
        assert_eq!(set(&[0, 1, 2, 3]).union(&set(&[4, 5, 6, 7])), SlotSet::All);
        assert_eq!(set(&[0]).intersection(&SlotSet::All), set(&[0]));
        assert!(SlotSet::none(8).is_empty() && !SlotSet::All.is_empty());
    }
}
