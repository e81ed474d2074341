//! Real encryption: RNS-CKKS by `hecc-ckks`, with scales kept exact.

use super::{Backend, PlainType};
use crate::memory::MappedBytes;
use crate::{Cancel, Error, rules};
use hecc_ckks::{Ciphertext, Context, Encoder, EvalKeys, Evaluator, Plaintext, StepTimes};
use hecc_ir::target::{RingCost, WidePrimes};
use hecc_ir::{CtType, KeyPlan, Level, Manifest, Params, Plain, Scale, Step};
use std::sync::{Arc, OnceLock};

/// The back end that computes on ciphertexts.
pub struct Ckks {
    params: Params,
    lanes: usize,
    encoder: Encoder,
    evaluator: Evaluator,
    keys: EvalKeys,
    /// Bytes of an encoded plaintext by level, without and with special primes, once
    /// they are asked for.
    plain_bytes: OnceLock<Vec<[usize; 2]>>,
}

/// A ciphertext and its exact scale.
#[derive(Clone, Debug)]
pub struct CkksCt {
    inner: Ciphertext,
    scale: Scale,
}

/// A plaintext and its exact scale.
#[derive(Clone, Debug)]
pub struct CkksPlain {
    inner: Plaintext,
    scale: Scale,
}

impl CkksCt {
    /// A ciphertext whose slots are encoded at `scale`.
    pub fn new(inner: Ciphertext, scale: Scale) -> CkksCt {
        CkksCt { inner, scale }
    }

    /// The ciphertext without its scale.
    pub fn inner(&self) -> &Ciphertext {
        &self.inner
    }

    /// Level, scale and degree.
    pub fn ty(&self) -> CtType {
        let degree = u8::try_from(self.inner.degree()).unwrap_or(u8::MAX);
        CtType { level: Level(self.inner.level() as u32), scale: self.scale, degree }
    }
}

impl CkksPlain {
    fn level(&self) -> Level {
        Level(self.inner.level() as u32)
    }
}

impl Ckks {
    /// A back end for one ring and one client's keys.
    pub fn new(context: &Arc<Context>, params: &Params, keys: EvalKeys) -> Ckks {
        let (encoder, evaluator) = (Encoder::new(context), Evaluator::new(context));
        let (params, plain_bytes) = (params.clone(), OnceLock::new());
        Ckks { params, lanes: 1, encoder, evaluator, keys, plain_bytes }
    }

    /// The same for programs of so many lanes.
    pub fn with_lanes(self, lanes: usize) -> Ckks {
        Ckks { lanes, ..self }
    }

    /// Slots of the ring that a rotation goes.
    fn ring_step(&self, step: Step) -> usize {
        step.get() * self.lanes
    }

    /// Encodes something for every type and weighs it: all plaintexts of a type are alike,
    /// but for uniform ones, which are integers.
    fn weigh_plains(&self) -> Vec<[usize; 2]> {
        let one = |level, rotations| {
            let ty = PlainType { level: Level(level), scale: Scale::from_log2(0.0), rotations };
            self.encode_values(&[1.0, 0.0], ty).map_or(usize::MAX, |one| one.byte_size())
        };
        (0..self.params.q.len() as u32).map(|level| [one(level, false), one(level, true)]).collect()
    }

    fn encode_values(&self, values: &[f64], ty: PlainType) -> Result<Plaintext, Error> {
        let (level, scale) = (ty.level.0 as usize, ty.scale.factor());
        Ok(match ty.rotations {
            true => self.encoder.encode_extended(values, level, scale)?,
            false => self.encoder.encode(values, level, scale)?,
        })
    }

    /// An evaluator that stops with a token.
    fn until(&self, cancel: &Cancel) -> Evaluator {
        let cancel = cancel.clone();
        self.evaluator.until(Arc::new(move || cancel.is_stopped()))
    }

    /// Sum of ciphertexts of any degrees: those of degree one are added first
    /// and then multiplied by the constant one, which changes their degree alone.
    fn sum_of_degrees(&self, terms: &[&Ciphertext], evaluator: &Evaluator) -> Result<Ciphertext, Error> {
        let (linear, mut others): (Vec<_>, Vec<_>) = terms.iter().copied().partition(|ct| ct.degree() == 1);
        if linear.is_empty() || others.is_empty() {
            return Ok(evaluator.sum(terms)?);
        }
        let lifted = self.lift(&evaluator.sum(&linear)?)?;
        others.push(&lifted);
        Ok(evaluator.sum(&others)?)
    }

    fn lift(&self, ct: &Ciphertext) -> Result<Ciphertext, Error> {
        let one = self.encoder.encode(&[1.0], ct.level(), 1.0)?;
        let zero = Ciphertext::zero(self.evaluator.context(), ct.level(), 0.0)?;
        Ok(self.evaluator.mul(ct, &self.evaluator.add_plain(&zero, &one)?)?)
    }
}

/// A result of `ty` and what is behind it.
fn typed(inner: Ciphertext, ty: CtType) -> CkksCt {
    CkksCt { inner, scale: ty.scale }
}

/// Terms without their scales.
fn inner_terms<'a>(terms: &[(&'a CkksCt, &'a CkksPlain)]) -> Vec<(&'a Ciphertext, &'a Plaintext)> {
    terms.iter().map(|(ct, plain)| (&ct.inner, &plain.inner)).collect()
}

impl Backend for Ckks {
    type Ct = CkksCt;
    type Plain = CkksPlain;
    type Partial = CkksCt;

    fn params(&self) -> &Params {
        &self.params
    }

    fn lanes(&self) -> usize {
        self.lanes
    }

    fn check_keys(&self, needed: &KeyPlan) -> Result<(), Error> {
        let serves = |key: Option<usize>, level: Level| key.is_some_and(|max| max >= level.0 as usize);
        let galois = |step: Step| self.keys.galois.get(self.ring_step(step)).map(|key| key.level());
        let rotations: Vec<_> = needed.rotations.iter().map(|(&step, &level)| (step, level)).collect();
        let rotations: Vec<_> =
            rotations.into_iter().filter(|&(step, level)| !serves(galois(step), level)).collect();
        let held = self.keys.relin.as_ref().map(|key| key.level());
        let relin = needed.relin.filter(|&level| !serves(held, level));
        if rotations.is_empty() && relin.is_none() {
            return Ok(());
        }
        Err(Error::MissingKeys { rotations, relin })
    }

    fn ct_type(&self, ct: &CkksCt) -> CtType {
        ct.ty()
    }

    fn ct_bytes(&self, ct: &CkksCt) -> usize {
        ct.inner.byte_size()
    }

    fn key_bytes(&self) -> usize {
        self.keys.byte_size()
    }

    fn missing_key_bytes(&self, manifest: &Manifest) -> usize {
        let planned = usize::try_from(manifest.key_bytes()).unwrap_or(usize::MAX);
        planned.saturating_sub(self.keys.byte_size())
    }

    /// Measured with the narrowest and the widest prime, which may take another form of each step.
    fn step_times(&self) -> Option<RingCost> {
        let primes = || self.params.q.iter().chain(&self.params.p);
        let (narrow, narrowest) = primes().enumerate().min_by_key(|(_, prime)| **prime)?;
        let (wide, _) = primes().enumerate().max_by_key(|(_, prime)| **prime)?;
        let [few, many] = [narrow, wide].map(|prime| self.evaluator.context().measure(prime));
        let times = |times: &StepTimes| times.transform + times.multiply;
        let factor = times(&many) / times(&few);
        let wide = WidePrimes { narrow_bits: u64::BITS - narrowest.leading_zeros(), factor: factor.max(1.0) };
        Some(RingCost {
            ring_degree: self.params.ring_degree,
            ntt_ns: few.transform,
            mul_acc_ns: few.multiply,
            add_ns: few.add,
            convert_ns: few.convert,
            mul_scalar_ns: Some(few.scale),
            wide: Some(wide),
        })
    }

    fn plain_bytes(&self, plain: &Plain, ty: PlainType) -> usize {
        if plain.uniform().is_some() {
            return 0;
        }
        let bytes = self.plain_bytes.get_or_init(|| self.weigh_plains());
        bytes.get(ty.level.0 as usize).map_or(usize::MAX, |bytes| bytes[usize::from(ty.rotations)])
    }

    fn encode(&self, plain: &Plain, ty: PlainType) -> Result<CkksPlain, Error> {
        Ok(CkksPlain { inner: self.encode_values(&plain.widened(self.lanes).values(), ty)?, scale: ty.scale })
    }

    fn write_plain(&self, plain: &CkksPlain, out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend(plain.inner.bytes().ok_or(Error::Unmappable)?);
        Ok(())
    }

    fn map_plain(&self, bytes: MappedBytes, ty: PlainType) -> Result<CkksPlain, Error> {
        let (memory, start) = (bytes.map().clone(), bytes.place().start);
        let (level, scale_log2) = (ty.level.0 as usize, ty.scale.log2());
        let context = self.evaluator.context();
        let inner = Plaintext::view(context, memory, start, level, scale_log2, ty.rotations)?;
        Ok(CkksPlain { inner, scale: ty.scale })
    }

    fn zero(&self, ty: CtType) -> Result<CkksCt, Error> {
        let zero = Ciphertext::zero(self.evaluator.context(), ty.level.0 as usize, ty.scale.log2())?;
        Ok(typed(zero, ty))
    }

    fn rotate_many(&self, ct: &CkksCt, steps: &[Step], cancel: &Cancel) -> Result<Vec<CkksCt>, Error> {
        let ty = rules::rotate(ct.ty())?;
        let steps: Vec<usize> = steps.iter().map(|&step| self.ring_step(step)).collect();
        let evaluator = self.until(cancel);
        let rotated = evaluator.rotate_many_extended(&ct.inner, &steps, &self.keys.galois)?;
        Ok(rotated.into_iter().map(|inner| typed(inner, ty)).collect())
    }

    fn inner_products(
        &self,
        rows: &[Vec<(&CkksCt, &CkksPlain)>],
        cancel: &Cancel,
    ) -> Result<Vec<CkksCt>, Error> {
        let ty = |terms: &Vec<(&CkksCt, &CkksPlain)>| {
            let product =
                |(ct, plain): &(&CkksCt, &CkksPlain)| rules::mul_plain(ct.ty(), plain.level(), plain.scale);
            rules::inner_product(None, terms.iter().map(product))
        };
        let types = rows.iter().map(ty).collect::<Result<Vec<_>, _>>()?;
        let inner: Vec<_> = rows.iter().map(|terms| inner_terms(terms)).collect();
        let products = self.until(cancel).inner_products(&inner)?;
        Ok(products.into_iter().zip(types).map(|(product, ty)| typed(product, ty)).collect())
    }

    fn add_products(
        &self,
        sum: Option<CkksCt>,
        terms: &[(&CkksCt, &CkksPlain)],
        cancel: &Cancel,
    ) -> Result<CkksCt, Error> {
        let products = terms.iter().map(|(ct, plain)| rules::mul_plain(ct.ty(), plain.level(), plain.scale));
        let ty = rules::inner_product(sum.as_ref().map(CkksCt::ty), products)?;
        let products = self.until(cancel).inner_product(&inner_terms(terms))?;
        match sum {
            None => Ok(typed(products, ty)),
            Some(sum) => Ok(typed(self.evaluator.add(&sum.inner, &products)?, ty)),
        }
    }

    fn total(&self, sum: CkksCt) -> Result<CkksCt, Error> {
        Ok(sum)
    }

    fn sum(&self, terms: &[&CkksCt], cancel: &Cancel) -> Result<CkksCt, Error> {
        let ty = rules::sum(terms.iter().map(|ct| ct.ty()))?;
        let inner: Vec<_> = terms.iter().map(|ct| &ct.inner).collect();
        Ok(typed(self.sum_of_degrees(&inner, &self.until(cancel))?, ty))
    }

    fn sub(&self, a: &CkksCt, b: &CkksCt) -> Result<CkksCt, Error> {
        let ty = rules::same(a.ty(), b.ty())?;
        if a.inner.degree() == b.inner.degree() {
            return Ok(typed(self.evaluator.sub(&a.inner, &b.inner)?, ty));
        }
        let negated = self.evaluator.neg(&b.inner)?;
        Ok(typed(self.sum_of_degrees(&[&a.inner, &negated], &self.evaluator)?, ty))
    }

    fn neg(&self, ct: &CkksCt) -> Result<CkksCt, Error> {
        Ok(typed(self.evaluator.neg(&ct.inner)?, ct.ty()))
    }

    fn add_plain(&self, ct: &CkksCt, plain: &CkksPlain) -> Result<CkksCt, Error> {
        let ty = rules::add_plain(ct.ty(), plain.level(), plain.scale)?;
        Ok(typed(self.evaluator.add_plain(&ct.inner, &plain.inner)?, ty))
    }

    fn mul_scalar(&self, ct: &CkksCt, scalar: f64, scale: Scale) -> Result<CkksCt, Error> {
        let ty = rules::mul_plain(ct.ty(), ct.ty().level, scale)?;
        Ok(typed(self.evaluator.mul_scalar(&ct.inner, scalar, scale.factor())?, ty))
    }

    fn mul(&self, a: &CkksCt, b: &CkksCt) -> Result<CkksCt, Error> {
        let ty = rules::mul(a.ty(), b.ty())?;
        Ok(typed(self.evaluator.mul(&a.inner, &b.inner)?, ty))
    }

    fn square(&self, ct: &CkksCt) -> Result<CkksCt, Error> {
        let ty = rules::mul(ct.ty(), ct.ty())?;
        Ok(typed(self.evaluator.square(&ct.inner)?, ty))
    }

    fn relin(&self, ct: &CkksCt) -> Result<CkksCt, Error> {
        let ty = rules::relin(ct.ty())?;
        Ok(typed(self.evaluator.relin(&ct.inner, self.keys.relin_key()?)?, ty))
    }

    fn rescale(&self, ct: &CkksCt) -> Result<CkksCt, Error> {
        let ty = rules::rescale(ct.ty(), &self.params)?;
        Ok(typed(self.evaluator.rescale(&ct.inner)?, ty))
    }

    fn drop_level(&self, ct: &CkksCt, level: Level) -> Result<CkksCt, Error> {
        let ty = rules::drop_level(ct.ty(), level)?;
        Ok(typed(self.evaluator.drop_level(&ct.inner, level.0 as usize)?, ty))
    }
}

/// Ring parameters in the scheme's terms.
pub fn params(params: &Params) -> hecc_ckks::Params {
    let Params { ring_degree, q, p, digit_limbs, security } = params.clone();
    hecc_ckks::Params { ring_degree, q, p, digit_limbs, security }
}

/// A fresh encryption of slots.
#[cfg(feature = "client")]
pub(crate) fn encrypt(
    encoder: &Encoder,
    secret: &hecc_ckks::SecretKey,
    slots: &[f64],
    ty: CtType,
) -> Result<CkksCt, Error> {
    let plain = encoder.encode(slots, ty.level.0 as usize, ty.scale.factor())?;
    Ok(typed(secret.encrypt(&plain)?, ty))
}

/// The slots of a ciphertext, and what else tells whether it is a result.
#[cfg(feature = "client")]
pub(crate) fn decrypt(
    encoder: &Encoder,
    secret: &hecc_ckks::SecretKey,
    ct: &CkksCt,
) -> Result<hecc_ckks::Decoded, Error> {
    Ok(encoder.decode_complex(&secret.decrypt(&ct.inner)?, ct.scale.factor())?)
}
