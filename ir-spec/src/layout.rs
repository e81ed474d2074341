//! Where a tensor's elements sit in ciphertext slots.
//!
//! A layout is a partial map from (ciphertext, slot) to tensor index. An
//! element may sit in several slots (replicas); slots without an element are
//! zero, or hold values nobody may rely on when the layout is `dirty`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Extents of a tensor, outermost first (`[channels, height, width]` for images).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape(pub Vec<usize>);

impl Shape {
    /// Number of elements.
    pub fn n_elements(&self) -> usize {
        self.0.iter().product()
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
    pub home: Vec<Position>,
    /// Every element sits also at `home + offset` (same ciphertext, modulo
    /// `n_slots`) for each offset here. Zero is implied and not listed.
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
