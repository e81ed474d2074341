//! Numbers that look drawn.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Numbers that look drawn and are the same for one seed with every version of every library.
pub struct Draws(SplitMix64);

impl Draws {
    /// A sequence that the seed determines.
    pub fn new(seed: u64) -> Draws {
        Draws(SplitMix64::seed_from_u64(seed))
    }

    /// The next one, from 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}
