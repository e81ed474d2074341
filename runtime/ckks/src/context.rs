//! A validated ring with everything its operations look up.
//!
//! Primes are numbered `q[0], q[1], …` and then `p[0], p[1], …`. Polynomials
//! are kept transformed; the order in which a transform leaves its values is
//! read off the transform itself, as exponents of one root of unity.

use crate::basis::Base;
use crate::error::Error;
use crate::modulus::Modulus;
use crate::params::Params;
use std::fmt;
use std::sync::Arc;
use tfhe_ntt::prime64::Plan;

/// Parameters that passed every check, with their precomputed tables.
pub struct Context {
    params: Params,
    fingerprint: u64,
    moduli: Vec<Modulus>,
    plans: Vec<Plan>,
    /// Rescaling from level `l`: the prime `q[l]` alone.
    limb_bases: Vec<Base>,
    /// The digit whose last prime is `q[l]`.
    digit_bases: Vec<Base>,
    special_base: Base,
    /// Transformed value `i` is the value at the root to the `exponents[i]`.
    exponents: Vec<u32>,
    /// Where the value at an odd exponent `e` is: `positions[e / 2]`.
    positions: Vec<u32>,
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
        let plans = primes.iter().map(|&p| plan(degree, p)).collect::<Result<Vec<_>, _>>()?;
        let exponents = transform_order(degree, &moduli, &plans)?;
        let base = |limbs| Base::new(&moduli, limbs, degree);
        let digit_start = |level| level / params.digit_limbs * params.digit_limbs;
        Ok(Arc::new(Context {
            limb_bases: (0..n_q).map(|l| base(l..l + 1)).collect(),
            digit_bases: (0..n_q).map(|l| base(digit_start(l)..l + 1)).collect(),
            special_base: base(n_q..primes.len()),
            positions: invert_order(&exponents),
            exponents,
            fingerprint: params.fingerprint(),
            params: params.clone(),
            moduli,
            plans,
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

    pub(crate) fn limb_base(&self, level: usize) -> &Base {
        &self.limb_bases[level]
    }

    pub(crate) fn special_base(&self) -> &Base {
        &self.special_base
    }

    /// The digits of a polynomial at `level`.
    pub(crate) fn digits(&self, level: usize) -> impl Iterator<Item = &Base> {
        let size = self.params.digit_limbs;
        (0..self.params.n_digits(level)).map(move |j| &self.digit_bases[((j + 1) * size - 1).min(level)])
    }

    /// Primes of a polynomial at `level` extended by the special primes.
    pub(crate) fn extended(&self, level: usize) -> Vec<usize> {
        (0..=level).chain(self.params.q.len()..self.moduli.len()).collect()
    }

    /// Coefficients to values.
    pub(crate) fn forward(&self, prime: usize, limb: &mut [u64]) {
        self.plans[prime].fwd(limb);
    }

    /// Values to coefficients times N.
    pub(crate) fn inverse_unscaled(&self, prime: usize, limb: &mut [u64]) {
        self.plans[prime].inv(limb);
    }

    /// Values to coefficients.
    pub(crate) fn inverse(&self, prime: usize, limb: &mut [u64]) {
        self.plans[prime].inv(limb);
        self.plans[prime].normalize(limb);
    }

    /// The Galois element of a rotation to the left, modulo 2N.
    pub(crate) fn galois_element(&self, step: usize) -> usize {
        let mask = 2 * self.ring_degree() - 1;
        (0..step % self.n_slots()).fold(1, |power, _| (power * 5) & mask)
    }

    /// Where each transformed value of a(X^element) comes from in those of a.
    pub(crate) fn automorphism(&self, element: usize) -> Vec<u32> {
        let mask = 2 * self.ring_degree() - 1;
        let source = |&exponent: &u32| self.positions[((exponent as usize * element) & mask) / 2];
        self.exponents.iter().map(source).collect()
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

fn plan(degree: usize, prime: u64) -> Result<Plan, Error> {
    Plan::try_new(degree, prime).ok_or(Error::Prime { prime, reason: "it has no transform" })
}

/// The exponent of each transformed value, from the transform of X; the first
/// value is the root the exponents are powers of. All primes share the order.
fn transform_order(degree: usize, moduli: &[Modulus], plans: &[Plan]) -> Result<Vec<u32>, Error> {
    let first = order_of(degree, &moduli[0], &plans[0], None)?;
    for (modulus, plan) in moduli.iter().zip(plans).skip(1) {
        order_of(degree, modulus, plan, Some(&first))?;
    }
    Ok(first)
}

/// Reads the order of one transform, or checks that it is `expected`.
fn order_of(degree: usize, m: &Modulus, plan: &Plan, expected: Option<&[u32]>) -> Result<Vec<u32>, Error> {
    let unknown = Error::Prime { prime: m.p, reason: "its transform has an unknown order" };
    let mut values = vec![0; degree];
    values[1] = 1;
    plan.fwd(&mut values);
    let square = m.mul(values[0], values[0]);
    let mut power_of = vec![values[0]; degree];
    for i in 1..degree {
        power_of[i] = m.mul(power_of[i - 1], square);
    }
    if let Some(expected) = expected {
        let agrees = values.iter().zip(expected).all(|(&v, &e)| v == power_of[e as usize / 2]);
        return if agrees { Ok(Vec::new()) } else { Err(unknown) };
    }
    let mut sorted: Vec<(u64, u32)> = power_of.into_iter().zip((0..).map(|i| 2 * i + 1)).collect();
    sorted.sort_unstable();
    let find = |v: &u64| sorted.binary_search_by_key(v, |entry| entry.0).map(|at| sorted[at].1);
    values.iter().map(find).collect::<Result<_, _>>().map_err(|_| unknown)
}

fn invert_order(exponents: &[u32]) -> Vec<u32> {
    let mut positions = vec![0; exponents.len()];
    for (position, &exponent) in exponents.iter().enumerate() {
        positions[exponent as usize / 2] = position as u32;
    }
    positions
}
