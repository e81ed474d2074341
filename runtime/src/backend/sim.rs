//! Plain slots with a noise estimate: predicts the error of an encrypted run
//! and tells results that outgrow the modulus, at a fraction of its cost.
//!
//! Errors are tracked slot by slot as variances in encoded units, by
//! [`NoiseModel`], as if those of different ciphertexts were independent; sums of what
//! was made of one value in several ways are therefore underestimated.

use super::clear::{Clear, ClearCt, ClearPlain};
use super::{Backend, PlainType};
use crate::memory::MappedBytes;
use crate::{Cancel, Error, NoiseModel};
use hecc_ckks::Embedding;
use hecc_ir::target::Basis;
use hecc_ir::{CtType, KeyPlan, Level, Params, Plain, Scale, Step};
use std::collections::HashMap;

/// The back end that computes on plain slots and estimates errors.
#[derive(Clone, Debug)]
pub struct Sim {
    clear: Clear,
    noise: NoiseModel,
    embedding: Embedding,
}

/// Slots and the variance of the error each would carry.
#[derive(Clone, Debug)]
pub struct SimCt {
    clear: ClearCt,
    variance: Vec<f64>,
}

/// A plaintext and the variance of its rounding.
#[derive(Clone, Debug)]
pub struct SimPlain {
    clear: ClearPlain,
    variance: f64,
}

impl SimCt {
    /// The slots without error.
    pub fn slots(&self) -> &[f64] {
        &self.clear.slots
    }

    /// Estimated standard deviation of each slot's error.
    pub fn std(&self) -> Vec<f64> {
        let scale = self.clear.ty.scale.factor();
        self.variance.iter().map(|v| v.sqrt() / scale).collect()
    }
}

impl Sim {
    /// A simulation of encryption with `params`.
    pub fn new(params: &Params) -> Sim {
        let embedding = Embedding::new(params.n_slots());
        Sim { clear: Clear::new(params), noise: NoiseModel::new(params), embedding }
    }

    /// The same for programs of so many lanes.
    pub fn with_lanes(self, lanes: usize) -> Sim {
        Sim { clear: self.clear.with_lanes(lanes), ..self }
    }

    fn rounded(&self, clear: ClearPlain) -> SimPlain {
        SimPlain { variance: self.noise.encode(clear.plain.period()).powi(2), clear }
    }

    /// A fresh encryption.
    ///
    /// # Errors
    /// When the number of slots is not the ring's, or a slot is not finite.
    pub fn encrypt(&self, slots: &[f64], ty: CtType) -> Result<SimCt, Error> {
        let clear = self.clear.encrypt(slots, ty)?;
        let variance = vec![self.noise.fresh().powi(2); slots.len()];
        self.checked(SimCt { clear, variance })
    }

    /// Bits of the modulus that decrypting a ciphertext leaves: by how many its largest coefficient, error
    /// included, could still grow.
    ///
    /// # Errors
    /// [`Error::Overflow`] when it has outgrown half of the modulus, so that something else would be
    /// decrypted. Ciphertexts that are not decrypted may.
    pub fn headroom(&self, ct: &SimCt) -> Result<f64, Error> {
        let CtType { level, scale, .. } = ct.clear.ty;
        let message = self.embedding.largest_coefficient(&ct.clear.slots) * scale.factor();
        let needed = (message + self.largest_coefficient_error(ct)).max(1.0).log2() + 1.0;
        let available = self.noise.log_modulus(level);
        if needed > available {
            Err(Error::Overflow { needed, available, level })
        } else {
            Ok(available - needed)
        }
    }

    /// A bound of the errors of coefficients that most runs stay below, in encoded units.
    fn largest_coefficient_error(&self, ct: &SimCt) -> f64 {
        let n_slots = ct.variance.len() as f64;
        let mean = ct.variance.iter().sum::<f64>() / n_slots;
        self.noise.largest_of(2 * ct.variance.len(), (mean / n_slots).sqrt())
    }

    /// Refuses a result that is not finite.
    fn checked(&self, ct: SimCt) -> Result<SimCt, Error> {
        let level = ct.clear.ty.level;
        let available = self.noise.log_modulus(level);
        match ct.clear.slots.iter().all(|x| x.is_finite()) {
            true => Ok(ct),
            false => Err(Error::Overflow { needed: f64::INFINITY, available, level }),
        }
    }

    /// A result whose errors are those of one operand plus independent ones of
    /// standard deviation `added`.
    fn noisier(&self, from: &SimCt, clear: ClearCt, added: f64) -> Result<SimCt, Error> {
        let variance = from.variance.iter().map(|v| v + added * added).collect();
        self.checked(SimCt { clear, variance })
    }
}

impl Backend for Sim {
    type Ct = SimCt;
    type Plain = SimPlain;
    type Partial = SimCt;

    fn params(&self) -> &Params {
        self.clear.params()
    }

    fn lanes(&self) -> usize {
        self.clear.lanes()
    }

    fn check_keys(&self, _needed: &KeyPlan) -> Result<(), Error> {
        Ok(())
    }

    fn ct_type(&self, ct: &SimCt) -> CtType {
        ct.clear.ty
    }

    /// Bytes of the ciphertext that is simulated.
    fn ct_bytes(&self, ct: &SimCt) -> usize {
        self.type_bytes(ct.clear.ty, Basis::Reduced)
    }

    fn key_bytes(&self) -> usize {
        0
    }

    /// Bytes of the plaintext that is simulated.
    fn plain_bytes(&self, plain: &Plain, ty: PlainType) -> usize {
        if plain.uniform().is_some() {
            return 0;
        }
        ty.level.n_limbs() * self.params().ring_degree * size_of::<u64>()
    }

    fn encode(&self, plain: &Plain, ty: PlainType) -> Result<SimPlain, Error> {
        Ok(self.rounded(self.clear.encode(plain, ty)?))
    }

    fn write_plain(&self, plain: &SimPlain, out: &mut Vec<u8>) -> Result<(), Error> {
        self.clear.write_plain(&plain.clear, out)
    }

    fn map_plain(&self, bytes: MappedBytes, ty: PlainType) -> Result<SimPlain, Error> {
        Ok(self.rounded(self.clear.map_plain(bytes, ty)?))
    }

    fn zero(&self, ty: CtType) -> Result<SimCt, Error> {
        let clear = self.clear.zero(ty)?;
        let variance = vec![0.0; clear.slots.len()];
        Ok(SimCt { clear, variance })
    }

    fn rotate_many(&self, ct: &SimCt, steps: &[Step], cancel: &Cancel) -> Result<Vec<SimCt>, Error> {
        let rotated = self.clear.rotate_many(&ct.clear, steps, cancel)?;
        let switched = self.noise.key_switch(ct.clear.ty.level);
        let with_errors = |(clear, &step): (ClearCt, &Step)| {
            cancel.check()?;
            let variance = self.clear.rotated(&ct.variance, step);
            let added = if step.is_zero() { 0.0 } else { switched };
            self.noisier(&SimCt { variance, ..ct.clone() }, clear, added)
        };
        rotated.into_iter().zip(steps).map(with_errors).collect()
    }

    fn add_products(
        &self,
        sum: Option<SimCt>,
        terms: &[(&SimCt, &SimPlain)],
        cancel: &Cancel,
    ) -> Result<SimCt, Error> {
        let clear_terms: Vec<_> = terms.iter().map(|(ct, plain)| (&ct.clear, &plain.clear)).collect();
        let (clear_sum, errors) = sum.map(|sum| (sum.clear, sum.variance)).unzip();
        let clear = self.clear.add_products(clear_sum, &clear_terms, cancel)?;
        let mut variance = errors.unwrap_or_else(|| vec![0.0; clear.slots.len()]);
        for (ct, plain) in terms {
            cancel.check()?;
            add_variances(&mut variance, ct, plain);
        }
        Ok(SimCt { clear, variance })
    }

    fn total(&self, sum: SimCt) -> Result<SimCt, Error> {
        self.checked(sum)
    }

    fn sum(&self, terms: &[&SimCt], cancel: &Cancel) -> Result<SimCt, Error> {
        let clear_terms: Vec<_> = terms.iter().map(|ct| &ct.clear).collect();
        let clear = self.clear.sum(&clear_terms, cancel)?;
        let mut copies: HashMap<*const SimCt, f64> = HashMap::new();
        terms.iter().for_each(|&ct| *copies.entry(ct).or_insert(0.0) += 1.0);
        let mut variance = vec![0.0; clear.slots.len()];
        for &ct in terms {
            cancel.check()?;
            // n copies of one error have n^2 times its variance: n for each of them.
            let n = copies[&std::ptr::from_ref(ct)];
            variance.iter_mut().zip(&ct.variance).for_each(|(sum, v)| *sum += n * v);
        }
        self.checked(SimCt { clear, variance })
    }

    fn sub(&self, a: &SimCt, b: &SimCt) -> Result<SimCt, Error> {
        let clear = self.clear.sub(&a.clear, &b.clear)?;
        let variance = a.variance.iter().zip(&b.variance).map(|(v, w)| v + w).collect();
        self.checked(SimCt { clear, variance })
    }

    fn neg(&self, ct: &SimCt) -> Result<SimCt, Error> {
        self.noisier(ct, self.clear.neg(&ct.clear)?, 0.0)
    }

    fn add_plain(&self, ct: &SimCt, plain: &SimPlain) -> Result<SimCt, Error> {
        let sum = self.clear.add_plain(&ct.clear, &plain.clear)?;
        self.noisier(ct, sum, plain.variance.sqrt())
    }

    fn mul_scalar(&self, ct: &SimCt, scalar: f64, scale: Scale) -> Result<SimCt, Error> {
        let clear = self.clear.mul_scalar(&ct.clear, scalar, scale)?;
        let (weight, rounding) = (scalar * scale.factor(), self.noise.scalar());
        let message = ct.clear.ty.scale.factor() * rounding;
        let error = |(v, x): (&f64, &f64)| v * weight * weight + (x * message).powi(2);
        let variance = ct.variance.iter().zip(&ct.clear.slots).map(error).collect();
        self.checked(SimCt { clear, variance })
    }

    fn mul(&self, a: &SimCt, b: &SimCt) -> Result<SimCt, Error> {
        let clear = self.clear.mul(&a.clear, &b.clear)?;
        let (a_scale, b_scale) = (a.clear.ty.scale.factor(), b.clear.ty.scale.factor());
        let error = |i: usize| {
            let (x, y) = (a.clear.slots[i] * a_scale, b.clear.slots[i] * b_scale);
            x * x * b.variance[i] + y * y * a.variance[i] + a.variance[i] * b.variance[i]
        };
        let variance = (0..clear.slots.len()).map(error).collect();
        self.checked(SimCt { clear, variance })
    }

    fn square(&self, ct: &SimCt) -> Result<SimCt, Error> {
        let clear = self.clear.square(&ct.clear)?;
        let scale = ct.clear.ty.scale.factor();
        let error = |(v, x): (&f64, &f64)| 4.0 * (x * scale).powi(2) * v + 2.0 * v * v;
        let variance = ct.variance.iter().zip(&ct.clear.slots).map(error).collect();
        self.checked(SimCt { clear, variance })
    }

    fn relin(&self, ct: &SimCt) -> Result<SimCt, Error> {
        self.noisier(ct, self.clear.relin(&ct.clear)?, self.noise.key_switch(ct.clear.ty.level))
    }

    fn rescale(&self, ct: &SimCt) -> Result<SimCt, Error> {
        let clear = self.clear.rescale(&ct.clear)?;
        let prime = (ct.clear.ty.scale - clear.ty.scale).factor();
        let variance = ct.variance.iter().map(|v| v / (prime * prime)).collect();
        let scaled = SimCt { variance, ..ct.clone() };
        self.noisier(&scaled, clear, self.noise.rescale(ct.clear.ty.degree))
    }

    fn drop_level(&self, ct: &SimCt, level: Level) -> Result<SimCt, Error> {
        self.noisier(ct, self.clear.drop_level(&ct.clear, level)?, 0.0)
    }
}

/// Adds the errors of a product, a period of the plaintext at a time.
fn add_variances(sums: &mut [f64], ct: &SimCt, plain: &SimPlain) {
    let (ct_scale, plain_scale) = (ct.clear.ty.scale.factor(), plain.clear.scale.factor());
    let values = plain.clear.plain.values();
    let operands = ct.clear.slots.chunks(values.len()).zip(ct.variance.chunks(values.len()));
    for (sums, (slots, variances)) in sums.chunks_mut(values.len()).zip(operands) {
        for (((sum, slot), variance), value) in sums.iter_mut().zip(slots).zip(variances).zip(&*values) {
            let (weight, message) = (value * plain_scale, slot * ct_scale);
            *sum += weight * weight * variance + message * message * plain.variance;
        }
    }
}
