//! Decides where every tensor sits and how every linear map is computed.
//!
//! A packing is a [`Placement`] per network node. A linear map between two
//! placements is a set of generalised diagonals, summed over windows of the
//! result ([`Fold`]); its rotations are split into baby and giant steps. All
//! choices are made by counted cost in [`plan`].

mod assign;
mod candidates;
mod compose;
mod diagonals;
mod groups;
mod placement;
mod plan;
mod split;
mod tally;
mod thin;

pub use assign::{Diagonals, Fold, assign};
pub(crate) use compose::composed_by_price;
pub use groups::{Diagonal, LayerSparsity, WeightGroups};
pub use placement::{Grid, Placement};
pub(crate) use plan::depth;
pub use plan::{LinearPlan, PackingPlan, Prefold, TermPlan, plan};
pub use split::Split;
pub use tally::Tally;
pub use thin::thin;

use crate::cost::Nominal;
use crate::sparsity::Network;
use diagonals::Use;

/// How a network is packed. All but the last are for comparison.
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
}

impl Packing {
    /// Plans a network for ciphertexts of `n_slots`.
    pub fn plan(self, network: &Network, n_slots: usize, nominal: &Nominal) -> PackingPlan {
        let by_diagonals = |makes_use| diagonals::plan(network, n_slots, nominal, makes_use);
        match self {
            Packing::Naive => by_diagonals(Use::Nothing),
            Packing::ZeroSkipping => by_diagonals(Use::Zeros),
            Packing::SharedSteps => by_diagonals(Use::ZerosAndSteps),
            Packing::Searched => plan(network, n_slots, nominal),
        }
    }

    /// What [`Packing::plan`] estimates, nanoseconds on one thread.
    pub(crate) fn price(self, network: &Network, n_slots: usize, nominal: &Nominal) -> f64 {
        match self {
            Packing::Searched => plan::price(network, n_slots, nominal),
            Packing::Naive | Packing::ZeroSkipping | Packing::SharedSteps => {
                self.plan(network, n_slots, nominal).cost_ns
            }
        }
    }
}
