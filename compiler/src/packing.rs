//! Decides where every tensor sits and how every linear map is computed.
//!
//! A packing is a [`Placement`] per network node. A linear map between two
//! placements is a set of generalised diagonals, summed over windows of the
//! result ([`Fold`]); its rotations are split into baby and giant steps. All
//! choices are made by counted cost in [`plan`].

mod assign;
mod candidates;
mod placement;
mod plan;
mod split;
mod thin;

pub use assign::{Diagonals, Fold, assign};
pub use placement::{Grid, Placement};
pub(crate) use plan::depth;
pub use plan::{LinearPlan, PackingPlan, Prefold, TermPlan, plan};
pub use split::Split;
pub use thin::thin;
