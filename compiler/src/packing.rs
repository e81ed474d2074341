//! Decides where every tensor sits and how every linear map is computed.
//!
//! A packing is a [`Placement`] per network node. A linear map between two
//! placements is a set of generalised diagonals, summed over windows of the
//! result ([`Fold`]); its rotations are split into baby and giant steps. All
//! choices are made by counted cost in [`Packing::plan`].

mod assign;
mod candidates;
mod compose;
mod diagonals;
mod groups;
mod placement;
mod plan;
mod prefold;
mod split;
mod tally;
mod thin;

pub use assign::{DiagonalKey, Diagonals, Fold, assign};
pub(crate) use compose::composed_by_price;
pub use groups::{Diagonal, LayerSparsity, WeightGroups};
pub use placement::{Family, FillOrder, Grid, Placement};
pub(crate) use plan::depth;
pub use plan::{Candidate, Choice, LinearPlan, PackingPlan, TermPlan, Unplaced};
pub use prefold::Prefold;
pub use split::Split;
pub use tally::Tally;
pub use thin::thin;

use crate::cost::Nominal;
use crate::sparsity::Network;
use diagonals::Use;
use plan::Search;
use std::fmt;

/// Products of a circuit of one slot that is tried unasked, at most.
const MAX_NUMBERS: usize = 1 << 22;
/// The same of other circuits, which are rewritten too.
const MAX_PLAINTEXTS: usize = 1 << 16;

/// How a network is packed. The first three are for comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// Tensors in order, every diagonal of every map.
    Naive,
    /// Tensors in order, every diagonal that is not zero.
    ZeroSkipping,
    /// The same, with baby and giant steps.
    SharedSteps,
    /// Whatever a search finds cheapest.
    #[default]
    Searched,
    /// The same among layouts of one family.
    Only(Family),
    /// One element per ciphertext, one input per slot.
    Batch,
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Packing::Naive => f.write_str("naive"),
            Packing::ZeroSkipping => f.write_str("zero skipping"),
            Packing::SharedSteps => f.write_str("shared steps"),
            Packing::Searched => f.write_str("any"),
            Packing::Only(family) => family.fmt(f),
            Packing::Batch => f.write_str("batch"),
        }
    }
}

impl Packing {
    /// Plans a network for ciphertexts of `n_slots`, priced with `nominal`.
    ///
    /// # Errors
    /// When the family asked for has no place for a layer.
    pub fn plan(self, network: &Network, n_slots: usize, nominal: &Nominal) -> Result<PackingPlan, Unplaced> {
        match self.method() {
            Method::Diagonals(makes_use) => Ok(diagonals::plan(network, n_slots, nominal, makes_use)),
            Method::Search(family) => Search::new(network, n_slots, nominal, family).plan(),
        }
    }

    /// Whether circuits of `n_slots` for a network are small enough to be tried unasked: those of few slots
    /// lay out their maps almost entry by entry.
    pub fn is_within_reach(network: &Network, n_slots: usize) -> bool {
        match n_slots {
            0 | 1 => network.n_nonzeros() <= MAX_NUMBERS,
            _ => network.n_nonzeros() / n_slots <= MAX_PLAINTEXTS,
        }
    }

    /// What other layouts were weighed for each node, when there is a search, in the unit of `nominal`.
    ///
    /// # Errors
    /// As [`Packing::plan`].
    pub fn choices(
        self,
        network: &Network,
        n_slots: usize,
        nominal: &Nominal,
    ) -> Result<Vec<Choice>, Unplaced> {
        match self.method() {
            Method::Diagonals(_) => Ok(Vec::new()),
            Method::Search(family) => Search::new(network, n_slots, nominal, family).choices(),
        }
    }

    /// What [`Packing::plan`] is estimated to take, in the unit of `nominal`.
    ///
    /// # Errors
    /// As [`Packing::plan`].
    pub(crate) fn price(self, network: &Network, n_slots: usize, nominal: &Nominal) -> Result<f64, Unplaced> {
        match self.method() {
            Method::Diagonals(_) => Ok(self.plan(network, n_slots, nominal)?.cost_ns),
            Method::Search(family) => Search::new(network, n_slots, nominal, family).price(),
        }
    }

    fn method(self) -> Method {
        match self {
            Packing::Naive => Method::Diagonals(Use::Nothing),
            Packing::ZeroSkipping => Method::Diagonals(Use::Zeros),
            Packing::SharedSteps => Method::Diagonals(Use::ZerosAndSteps),
            Packing::Searched | Packing::Batch => Method::Search(None),
            Packing::Only(family) => Method::Search(Some(family)),
        }
    }
}

/// How a plan is made.
enum Method {
    Diagonals(Use),
    /// Among the layouts of one family, or of all.
    Search(Option<Family>),
}
