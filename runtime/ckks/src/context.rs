//! A validated ring with everything its operations look up.
//!
//! Primes are numbered `q[0], q[1], …` and then `p[0], p[1], …`. Polynomials
//! are kept transformed.

use crate::automorphism::Automorphism;
use crate::basis::Base;
use crate::error::Error;
use crate::modulus::{Factor, Modulus};
use crate::params::{MAX_BASE, Params};
use crate::simd::Vectors;
use crate::transform::Transform;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Most primes that are divided by at once.
const MAX_JOINED: usize = MAX_BASE + 1;

/// Parameters that passed every check, with their precomputed tables.
pub struct Context {
    params: Params,
    fingerprint: u64,
    moduli: Vec<Modulus>,
    transforms: Vec<Transform>,
    /// Rescaling from level `l`: the prime `q[l]` alone.
    limb_bases: Vec<Base>,
    /// Rescaling an extended polynomial from level `l`: `q[l]` and the special primes.
    extended_bases: Vec<Base>,
    /// The digit whose last prime is `q[l]`.
    digit_bases: Vec<Base>,
    special_base: Base,
    vectors: Vectors,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Context").field(&self.params).finish()
    }
}

impl Context {
    /// Checks the parameters and prepares the ring.
    ///
    /// # Errors
    /// Anything wrong with the parameters, security first among it.
    pub fn new(params: &Params) -> Result<Arc<Context>, Error> {
        params.validate()?;
        let (degree, n_q) = (params.ring_degree, params.q.len());
        let primes: Vec<u64> = params.q.iter().chain(&params.p).copied().collect();
        let moduli: Vec<Modulus> = primes.iter().map(|&p| Modulus::new(p, degree)).collect();
        let transforms = moduli.iter().map(|m| Transform::new(m, degree)).collect::<Result<Vec<_>, _>>()?;
        let base = |limbs: Range<usize>| Base::new(&moduli, limbs.collect(), degree);
        let with_special =
            |l: usize| Base::new(&moduli, [l].into_iter().chain(n_q..primes.len()).collect(), degree);
        let digit_start = |level| level / params.digit_limbs * params.digit_limbs;
        Ok(Arc::new(Context {
            extended_bases: (0..n_q).map(with_special).collect(),
            limb_bases: (0..n_q).map(|l| base(l..l + 1)).collect(),
            digit_bases: (0..n_q).map(|l| base(digit_start(l)..l + 1)).collect(),
            special_base: base(n_q..primes.len()),
            vectors: Vectors::without_prime(),
            fingerprint: params.fingerprint(),
            params: params.clone(),
            moduli,
            transforms,
        }))
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Ring degree N.
    pub fn ring_degree(&self) -> usize {
        self.params.ring_degree
    }

    /// Slots per ciphertext.
    pub fn n_slots(&self) -> usize {
        self.params.n_slots()
    }

    /// Highest level.
    pub fn max_level(&self) -> usize {
        self.params.max_level()
    }

    /// A hash that tells parameter sets apart.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Bits of the modulus of a level.
    pub fn log_q(&self, level: usize) -> f64 {
        self.params.q.iter().take(level + 1).map(|&q| (q as f64).log2()).sum()
    }

    pub(crate) fn moduli(&self) -> &[Modulus] {
        &self.moduli
    }

    /// What a rescale divides by, of polynomials modulo the primes of a level or of
    /// extended ones.
    pub(crate) fn rescale_base(&self, level: usize, extended: bool) -> &Base {
        if extended { &self.extended_bases[level] } else { &self.limb_bases[level] }
    }

    /// A base of ciphertext primes and, when extended, the special ones.
    pub(crate) fn base_of(&self, primes: &[usize], extended: bool) -> Result<Base, Error> {
        let special = if extended { self.params.q.len()..self.moduli.len() } else { 0..0 };
        let limbs: Vec<usize> = primes.iter().copied().chain(special).collect();
        match limbs.len() {
            1..=MAX_JOINED => Ok(Base::new(&self.moduli[..], limbs, self.ring_degree())),
            got => Err(Error::Count { what: "primes to divide by", got, min: 1, max: MAX_JOINED }),
        }
    }

    /// The special modulus P modulo a prime.
    pub(crate) fn special_factor(&self, prime: usize) -> Factor {
        let m = &self.moduli[prime];
        m.factor(self.params.p.iter().fold(1, |product, &p| m.mul(product, m.reduce(p))))
    }

    pub(crate) fn special_base(&self) -> &Base {
        &self.special_base
    }

    /// The digits of a polynomial at `level`.
    pub(crate) fn digits(&self, level: usize) -> impl Iterator<Item = &Base> {
        let size = self.params.digit_limbs;
        (0..self.params.n_digits(level)).map(move |j| &self.digit_bases[((j + 1) * size - 1).min(level)])
    }

    /// Primes of a polynomial at `level`, extended or not.
    pub(crate) fn primes_of(&self, level: usize, extended: bool) -> Vec<usize> {
        if extended { self.extended(level) } else { (0..=level).collect() }
    }

    /// Primes of a polynomial at `level` extended by the special primes.
    pub(crate) fn extended(&self, level: usize) -> Vec<usize> {
        (0..=level).chain(self.params.q.len()..self.moduli.len()).collect()
    }

    /// The vector instructions of this machine, for kernels without a prime.
    pub(crate) fn vectors(&self) -> Vectors {
        self.vectors
    }

    /// Coefficients to values.
    pub(crate) fn forward(&self, prime: usize, limb: &mut [u64]) {
        self.transforms[prime].forward(limb);
    }

    /// Values to coefficients times `N · factor`.
    pub(crate) fn inverse_scaled(&self, prime: usize, limb: &mut [u64], factor: Factor) {
        self.transforms[prime].inverse(&self.moduli[prime], limb, factor);
    }

    /// Values to coefficients.
    pub(crate) fn inverse(&self, prime: usize, limb: &mut [u64]) {
        let m = &self.moduli[prime];
        self.inverse_scaled(prime, limb, m.factor(m.invert(m.reduce(self.ring_degree() as u64))));
    }

    /// The Galois element of a rotation to the left, modulo 2N.
    fn galois_element(&self, step: usize) -> usize {
        let mask = 2 * self.ring_degree() - 1;
        (0..step % self.n_slots()).fold(1, |power, _| (power * 5) & mask)
    }

    /// The automorphism that rotates to the left.
    pub(crate) fn automorphism(&self, step: usize) -> Automorphism {
        Automorphism::new(self.ring_degree(), self.galois_element(step))
    }

    pub(crate) fn check_level(&self, level: usize) -> Result<(), Error> {
        match level <= self.max_level() {
            true => Ok(()),
            false => Err(Error::NoSuchLevel { level, max: self.max_level() }),
        }
    }

    pub(crate) fn check_owns(&self, fingerprint: u64) -> Result<(), Error> {
        match fingerprint == self.fingerprint {
            true => Ok(()),
            false => Err(Error::ForeignContext),
        }
    }
}
