//! Gives an abstract circuit levels, scales and ring parameters.
//!
//! Three passes and a search: [`place_rescales`] decides where products are
//! rescaled and relinearised, [`assign_levels`] how many primes each value
//! needs, [`type_circuit`] writes the leveled circuit with exact scales. The search
//! in [`choose`] tries prime chains of one ring and takes the cheapest whose
//! predicted error meets the requested precision.

mod expect;
mod levels;
mod params;
mod place;
mod predict;
mod typing;

pub use expect::Outlook;
pub use levels::{Levels, assign_levels};
pub use params::{ParamsError, Placed, Request, Scheduled, choose};
pub use place::{Policy, place_rescales};
pub use predict::{Prediction, magnitudes};
pub use typing::{Chain, type_circuit};
