//! Decides where rotations stand.
//!
//! Expects an abstract circuit; leaves ones that compute the same, up to where
//! elements of inputs and outputs sit. Every node of the [`Flow`] may be computed at
//! any angle, and every product may be summed before any giant step. What counts
//! is at how many different rotations each value is read. It is retiming (Leiserson
//! and Saxe, "Retiming synchronous circuitry", 1991) with rotations in the place
//! of registers.

mod search;
mod tally;

use super::flow::{Contents, Flow, Turning, write};
use crate::cost::Nominal;
use hecc_ir::circuit::Circuit;
use rayon::prelude::*;
use search::Search;
use tally::{Rates, Tally};

/// How many uses a key counts for in itself, in one search after another. Searches
/// that avoid keys end in other places, some of them cheaper.
const KEY_WEIGHTS: [i64; 4] = [0, 1, 4, 16];

/// Ways to turn a circuit that may be cheaper.
pub(super) struct Turnings<'a> {
    circuit: &'a Circuit,
    flow: Flow,
    found: Vec<Turning>,
}

impl Turnings<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// The circuit of one of them.
    pub fn circuit(&self, index: usize, contents: Contents) -> Circuit {
        write(&self.flow, &self.found[index], self.circuit, contents)
    }
}

/// Searches for turnings.
pub(super) fn search<'a>(circuit: &'a Circuit, nominal: &Nominal) -> Turnings<'a> {
    let flow = Flow::of(circuit);
    let rates = tally::rates(&flow, nominal);
    let search_with = |weight: &i64| {
        let weighted: Vec<Rates> = rates.iter().map(|rates| rates.with_keys(*weight)).collect();
        let sparing = Search::new(&flow, Tally::of(&flow, flow.as_read(), &weighted)).run();
        let cheapest = Search::new(&flow, Tally::of(&flow, sparing.clone(), &rates)).run();
        [cheapest, sparing]
    };
    let mut found: Vec<Turning> = KEY_WEIGHTS.par_iter().flat_map_iter(search_with).collect();
    found.dedup();
    Turnings { circuit, flow, found }
}
