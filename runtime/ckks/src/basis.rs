//! Conversion of centred residues from one group of primes to another.
//!
//! A [`Base`] reads the residues modulo its primes as one integer x with
//! |x| ≤ D/2, D their product, and writes x modulo any other prime. It serves
//! key-switching digits, division by the special primes and rescaling.
//! Method: Halevi, Polyakov, Shoup, "An improved RNS variant of the BFV
//! homomorphic encryption scheme" (2019), section 2.2; a base of one prime
//! needs no correction term.

use crate::buffer::Buffer;
use crate::context::Context;
use crate::kernels;
use crate::modulus::{Factor, Modulus, NARROW};
use crate::simd::Vectors;

/// A group of primes, by their place in the context.
#[derive(Debug)]
pub(crate) struct Base {
    limbs: Vec<usize>,
    /// Per source prime q: (N · D/q)^-1 modulo q; N undoes the transform's factor.
    lift: Vec<Factor>,
    /// Half of D when the base is one prime: added before reading, taken away after.
    half: u64,
    /// 1/q per source prime.
    reciprocals: Vec<f64>,
    targets: Vec<Target>,
    /// The largest source prime, which bounds the words.
    bound: u64,
    /// The form that all sources take.
    vectors: Vectors,
}

/// What one target prime needs.
#[derive(Debug)]
struct Target {
    /// D/q per source prime, then -D.
    weights: Vec<u64>,
    half: u64,
    /// 1/D, zero for the base's own primes.
    inverse: Factor,
}

/// Words of a polynomial modulo each source prime, ready for conversion.
pub(crate) struct Lifted {
    words: Vec<Buffer>,
}

impl Base {
    pub fn new(moduli: &[Modulus], limbs: Vec<usize>, ring_degree: usize) -> Base {
        let sources: Vec<Modulus> = limbs.iter().map(|&limb| moduli[limb]).collect();
        let product = |m: &Modulus, skip: Option<usize>| {
            let factors = sources.iter().enumerate().filter(|(i, _)| Some(*i) != skip);
            factors.fold(1, |product, (_, q)| m.mul(product, m.reduce(q.p)))
        };
        let half = if sources.len() == 1 { sources[0].p / 2 } else { 0 };
        let target = |m: &Modulus| {
            let whole = product(m, None);
            let weights = (0..sources.len()).map(|i| product(m, Some(i)));
            Target {
                weights: weights.chain([m.neg(whole)]).collect(),
                half: m.reduce(half),
                inverse: m.factor(m.invert(whole)),
            }
        };
        let lift = |(i, m): (usize, &Modulus)| {
            m.factor(m.invert(m.mul(product(m, Some(i)), m.reduce(ring_degree as u64))))
        };
        Base {
            lift: sources.iter().enumerate().map(lift).collect(),
            half,
            reciprocals: sources.iter().map(|m| 1.0 / m.p as f64).collect(),
            targets: moduli.iter().map(target).collect(),
            bound: sources.iter().map(|m| m.p).max().unwrap_or_default(),
            vectors: sources.iter().map(|m| m.vectors).reduce(Vectors::common).unwrap_or(Vectors::None),
            limbs,
        }
    }

    /// The primes it reads.
    pub fn limbs(&self) -> &[usize] {
        &self.limbs
    }

    /// Modular inverse of D.
    pub fn inverse(&self, target: usize) -> Factor {
        self.targets[target].inverse
    }

    /// Takes limb `i` of the base in transformed form out of its transform.
    pub fn lift_limb(&self, ctx: &Context, i: usize, limb: &[u64]) -> Buffer {
        let prime = self.limbs[i];
        let mut words = Buffer::copy_of(limb);
        ctx.inverse_scaled(prime, &mut words, self.lift[i]);
        if self.half != 0 {
            kernels::add_scalar(&ctx.moduli()[prime], &mut words, self.half);
        }
        words
    }

    /// Joins lifted limbs, all of them and in order.
    pub fn join(&self, mut words: Vec<Buffer>) -> Lifted {
        if words.len() > 1 {
            let mut overflow = Buffer::scratch(words[0].len());
            let limbs: Vec<&[u64]> = words.iter().map(|limb| &limb[..]).collect();
            kernels::overflow(self.vectors, &mut overflow, &limbs, &self.reciprocals);
            words.push(overflow);
        }
        Lifted { words }
    }

    /// The centred integer modulo a prime, as coefficients.
    pub fn convert(&self, ctx: &Context, lifted: &Lifted, target: usize, out: &mut [u64]) {
        let modulus = &ctx.moduli()[target];
        let constants = &self.targets[target];
        match lifted.words.as_slice() {
            [words] => kernels::reduce_offset(modulus, out, words, constants.half, self.bound > NARROW),
            many => {
                let slices: Vec<&[u64]> = many.iter().map(|words| &words[..]).collect();
                kernels::combine(modulus, out, &slices, &constants.weights, self.bound);
            }
        }
    }
}
