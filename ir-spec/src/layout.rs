//! Where a tensor's elements sit in ciphertext slots.
//!
//! A layout is a partial map from (ciphertext, slot) to tensor index. An
//! element may sit in several slots (replicas); slots without an element are
//! zero, or hold values nobody may rely on when the layout is `dirty`.

use crate::limits::{MAX_LAYOUT_SLOTS, MAX_SLOTS};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Extents of a tensor, outermost first (`[channels, height, width]` for images).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape(#[serde(deserialize_with = "crate::limits::list::bounded")] pub Vec<usize>);

impl Shape {
    /// Number of elements. Expects a shape for which [`Shape::checked_elements`] has one.
    pub fn n_elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Number of elements, or `None` when it exceeds what can be counted: see [`Shape::count`].
    pub fn checked_elements(&self) -> Option<usize> {
        Shape::count(&self.0)
    }

    /// Number of elements along some extents. `None` when it, or the product of those extents that are not zero,
    /// exceeds what can be counted: so the product of any of the extents can be counted where there is a number.
    pub fn count(extents: &[usize]) -> Option<usize> {
        let of_others =
            extents.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent.max(1)))?;
        Some(if extents.contains(&0) { 0 } else { of_others })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extents: Vec<_> = self.0.iter().map(|d| d.to_string()).collect();
        write!(f, "[{}]", extents.join("x"))
    }
}

/// One slot of one ciphertext of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Index of the ciphertext among those that hold the tensor.
    pub ct: u32,
    /// Slot within the ciphertext.
    pub slot: u32,
}

/// Placement of a tensor (row-major element index) in ciphertext slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Slots per ciphertext.
    pub n_slots: usize,
    /// Ciphertexts that hold the tensor.
    pub n_cts: usize,
    /// Logical shape of the tensor.
    pub shape: Shape,
    /// First position of each element, in row-major element order.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub home: Vec<Position>,
    /// Every element sits also at `home + offset` (same ciphertext, modulo
    /// `n_slots`) for each offset here. Zero is implied and not listed.
    #[serde(deserialize_with = "crate::limits::list::bounded")]
    pub replicas: Vec<u32>,
    /// Slots that hold no element may hold anything, not only zero.
    pub dirty: bool,
}

impl Layout {
    /// Elements in order from slot zero of the first ciphertext, no replicas.
    pub fn contiguous(shape: Shape, n_slots: usize) -> Layout {
        let place = |i: usize| Position { ct: (i / n_slots) as u32, slot: (i % n_slots) as u32 };
        let home: Vec<_> = (0..shape.n_elements()).map(place).collect();
        let n_cts = shape.n_elements().div_ceil(n_slots).max(1);
        Layout { n_slots, n_cts, shape, home, replicas: Vec::new(), dirty: false }
    }

    /// Every position of element `index`, its home first.
    pub fn positions(&self, index: usize) -> impl Iterator<Item = Position> + '_ {
        let home = self.home[index];
        let shifted = move |offset: u32| Position {
            ct: home.ct,
            slot: ((home.slot as usize + offset as usize) % self.n_slots) as u32,
        };
        std::iter::once(0).chain(self.replicas.iter().copied()).map(shifted)
    }

    /// Spreads a tensor (row-major) over slots, one vector per ciphertext.
    ///
    /// # Panics
    /// If `tensor` does not have the layout's number of elements.
    pub fn pack(&self, tensor: &[f64]) -> Vec<Vec<f64>> {
        assert_eq!(tensor.len(), self.home.len(), "tensor must match the layout's shape");
        let mut slots = vec![vec![0.0; self.n_slots]; self.n_cts];
        for (index, &value) in tensor.iter().enumerate() {
            for p in self.positions(index) {
                slots[p.ct as usize][p.slot as usize] = value;
            }
        }
        slots
    }

    /// Gathers a tensor (row-major) from slots; reads home positions only.
    pub fn unpack(&self, slots: &[Vec<f64>]) -> Vec<f64> {
        self.home.iter().map(|p| slots[p.ct as usize][p.slot as usize]).collect()
    }
}

/// A broken promise of a [`Layout`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// The slot count cannot be that of a ciphertext.
    #[error("slot count {0} is not a power of two up to {MAX_SLOTS}")]
    SlotCount(usize),
    /// The layout is for other ciphertexts.
    #[error("layout has {layout} slots per ciphertext where {circuit} are expected")]
    OtherSlotCount {
        /// Slots of the layout.
        layout: usize,
        /// Slots of the circuit or ring.
        circuit: usize,
    },
    /// No ciphertexts, or more than [`MAX_LAYOUT_SLOTS`] allows.
    #[error("{0} ciphertexts are none or too many")]
    CtCount(usize),
    /// An extent is zero or the element count overflows.
    #[error("shape {0} has a zero extent or too many elements")]
    Shape(Shape),
    /// One home per element is required.
    #[error("shape has {elements} elements but {homes} have a home")]
    HomeCount {
        /// Elements of the shape.
        elements: usize,
        /// Entries of `home`.
        homes: usize,
    },
    /// A home lies outside the ciphertexts.
    #[error("element {element} sits at {ct}:{slot}, outside the layout's ciphertexts")]
    OutOfRange {
        /// Row-major element index.
        element: usize,
        /// Its ciphertext.
        ct: u32,
        /// Its slot.
        slot: u32,
    },
    /// A replica offset is zero or not below the slot count.
    #[error("replica offset {0} is zero or not below the slot count")]
    Replica(u32),
    /// Two elements, or one element twice, at one position.
    #[error("element {element} shares position {ct}:{slot}")]
    Overlap {
        /// Row-major index of the later element.
        element: usize,
        /// Ciphertext of the shared position.
        ct: u32,
        /// Slot of the shared position.
        slot: u32,
    },
}

impl Layout {
    /// Checks every promise of a layout for ciphertexts of `n_slots` slots.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn check(&self, n_slots: usize) -> Result<(), LayoutError> {
        self.check_extents(n_slots)?;
        self.check_homes()?;
        self.check_distinct()
    }

    fn check_extents(&self, n_slots: usize) -> Result<(), LayoutError> {
        if !self.n_slots.is_power_of_two() || self.n_slots > MAX_SLOTS {
            return Err(LayoutError::SlotCount(self.n_slots));
        }
        if self.n_slots != n_slots {
            return Err(LayoutError::OtherSlotCount { layout: self.n_slots, circuit: n_slots });
        }
        if self.n_cts == 0 || self.n_cts > MAX_LAYOUT_SLOTS / self.n_slots {
            return Err(LayoutError::CtCount(self.n_cts));
        }
        let elements = self.shape.checked_elements().filter(|&n| n > 0);
        let elements = elements.ok_or_else(|| LayoutError::Shape(self.shape.clone()))?;
        if elements != self.home.len() {
            return Err(LayoutError::HomeCount { elements, homes: self.home.len() });
        }
        Ok(())
    }

    fn check_homes(&self) -> Result<(), LayoutError> {
        for (element, &Position { ct, slot }) in self.home.iter().enumerate() {
            if ct as usize >= self.n_cts || slot as usize >= self.n_slots {
                return Err(LayoutError::OutOfRange { element, ct, slot });
            }
        }
        match self.replicas.iter().find(|&&offset| offset == 0 || offset as usize >= self.n_slots) {
            Some(&offset) => Err(LayoutError::Replica(offset)),
            None => Ok(()),
        }
    }

    fn check_distinct(&self) -> Result<(), LayoutError> {
        let mut taken = vec![0u64; (self.n_cts * self.n_slots).div_ceil(64)];
        for element in 0..self.home.len() {
            for p in self.positions(element) {
                let address = p.ct as usize * self.n_slots + p.slot as usize;
                let (word, bit) = (&mut taken[address / 64], 1u64 << (address % 64));
                if *word & bit != 0 {
                    return Err(LayoutError::Overlap { element, ct: p.ct, slot: p.slot });
                }
                *word |= bit;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn extents_are_counted_with_their_parts() {
        assert_eq!(Shape::count(&[]), Some(1));
        assert_eq!(Shape::count(&[3, 4]), Some(12));
        assert_eq!(Shape::count(&[0, 5]), Some(0));
        for extents in [[0, 1 << 40, 1 << 40], [1 << 40, 1 << 40, 0], [1 << 40, 1 << 40, 1]] {
            assert_eq!(Shape::count(&extents), None);
        }
    }
}
