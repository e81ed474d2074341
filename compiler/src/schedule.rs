//! Gives an abstract circuit levels, scales and ring parameters.
//!
//! Three passes and a search: [`place_rescales`] decides where products are
//! rescaled and relinearised, [`assign_levels`] how many primes each value
//! needs, [`type_circuit`] writes the leveled circuit with exact scales. The search
//! in [`choose`] tries prime chains of one ring and takes the cheapest whose
//! predicted error meets the requested precision.

mod draws;
mod expect;
mod levels;
mod outputs;
mod params;
mod place;
mod predict;
mod typing;

pub use draws::Draws;
pub use expect::{Outlook, bounded_outlooks, outlooks};
pub use levels::{Levels, assign_levels};
pub use outputs::{Evidence, Outputs, first_infinite, fits_input};
pub use params::{ParamsError, Request, Scheduled, choose};
pub use place::{Policy, place_rescales};
pub use predict::Prediction;
pub use predict::extend;
pub use typing::{Chain, type_circuit};

use rayon::prelude::*;

/// Samples that are evaluated at once, which bounds memory.
const AT_ONCE: usize = 4;

/// Something about each sample, in order.
fn over_samples<S: Sync, T: Send>(samples: &[S], of: impl Fn(&S) -> T + Sync) -> Vec<T> {
    let of_chunk = |chunk: &[S]| chunk.par_iter().map(&of).collect::<Vec<T>>();
    samples.chunks(AT_ONCE).flat_map(of_chunk).collect()
}
