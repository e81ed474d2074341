//! Times of the steps that operations consist of, on the machine at hand.
//!
//! They are for predictions within a factor of two, so that a few milliseconds are enough to take them. What a
//! compiler prices with is measured on whole operations, by whoever has the time.

use crate::buffer::Buffer;
use crate::context::Context;
use crate::kernels::{self, Weighted};
use crate::packed::{BLOCK, Packed, Residues};
use std::time::Instant;

/// Nanoseconds that each step takes for one limb on one thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTimes {
    /// A transform in either direction.
    pub transform: f64,
    /// Reading a limb of a key or plaintext, multiplying with it and accumulating.
    pub multiply: f64,
    /// An addition.
    pub add: f64,
    /// A conversion to one other prime.
    pub convert: f64,
    /// A product with a number, accumulated, among others that are computed together.
    pub scale: f64,
}

/// Times that each step is tried; the shortest counts.
const TRIES: usize = 5;
/// Products that are summed together.
const TERMS: usize = 8;
/// Products with numbers that are summed together.
const NUMBERS: usize = 128;

impl Context {
    /// Measures steps modulo a prime, counted from the first ciphertext prime on with the special primes last.
    /// Expects one that there is.
    pub fn measure(&self, prime: usize) -> StepTimes {
        let mut limb = Buffer::zeroed(self.ring_degree());
        let other = Buffer::zeroed(self.ring_degree());
        let modulus = &self.moduli()[prime];
        StepTimes {
            transform: shortest(|| self.forward(prime, &mut limb)),
            add: shortest(|| kernels::add_assign(modulus, &mut limb, &other)),
            multiply: self.measure_products(prime),
            convert: self.measure_conversion(prime),
            scale: self.measure_numbers(prime),
        }
    }

    fn measure_products(&self, prime: usize) -> f64 {
        let packed: Vec<Packed> = (0..TERMS).map(|_| Packed::build(self, &[prime], 1, zeros)).collect();
        let plains: Vec<Residues> = packed.iter().map(|packed| packed.group(0)).collect();
        let limbs: Vec<Buffer> = (0..2 * TERMS).map(|_| Buffer::zeroed(self.ring_degree())).collect();
        let words: Vec<Residues> = limbs.iter().map(|limb| Residues::of_words(limb)).collect();
        let (parts0, parts1) = words.split_at(TERMS);
        let mut outs = [0, 1].map(|_| Buffer::zeroed(self.ring_degree()));
        let [out0, out1] = &mut outs;
        let modulus = &self.moduli()[prime];
        shortest(|| kernels::dot2(modulus, 0, out0, out1, &plains, parts0, parts1)) / TERMS as f64
    }

    /// From the special primes where there are some, as after a key switch.
    fn measure_conversion(&self, prime: usize) -> f64 {
        let base = match self.special_base().limbs() {
            [] => self.rescale_base(0, false),
            [..] => self.special_base(),
        };
        let limb = Buffer::zeroed(self.ring_degree());
        let n_sources = base.limbs().len();
        let lifted = base.join((0..n_sources).map(|i| base.lift_limb(self, i, &limb)).collect());
        let mut out = Buffer::zeroed(self.ring_degree());
        shortest(|| base.convert(self, &lifted, prime, &mut out)) / n_sources as f64
    }

    fn measure_numbers(&self, prime: usize) -> f64 {
        let block = BLOCK.min(self.ring_degree());
        let (mut out, panel) = (Buffer::zeroed(block), Buffer::zeroed(NUMBERS * block));
        let terms: Vec<Weighted> = (0..NUMBERS as u32).map(|row| Weighted { row, weight: 0 }).collect();
        let modulus = &self.moduli()[prime];
        let of_block = shortest(|| kernels::add_weighted(modulus, &mut out, &panel, &terms));
        of_block / NUMBERS as f64 * (self.ring_degree() / block) as f64
    }
}

fn zeros(_group: usize, limbs: &mut [&mut [u64]]) {
    limbs.iter_mut().for_each(|limb| limb.fill(0));
}

/// Nanoseconds of the shortest of several tries.
fn shortest(mut step: impl FnMut()) -> f64 {
    let mut time = || {
        let start = Instant::now();
        step();
        start.elapsed().as_nanos() as f64
    };
    (0..TRIES).map(|_| time()).fold(f64::INFINITY, f64::min)
}
