//! Plain slots: what a program means, with levels and scales kept but without
//! encryption, keys or noise.

use super::{Backend, PlainType};
use crate::memory::MappedBytes;
use crate::{Cancel, Error, rules};
use hecc_ir::target::Basis;
use hecc_ir::{CtType, KeyPlan, Level, Params, Plain, Scale, Step};

/// The back end that computes on plain slots.
#[derive(Clone, Debug)]
pub struct Clear {
    params: Params,
    lanes: usize,
}

/// Slots as a ciphertext of the type would hold them.
#[derive(Clone, Debug, PartialEq)]
pub struct ClearCt {
    /// All slots of the ring.
    pub slots: Vec<f64>,
    /// Level, scale and degree.
    pub ty: CtType,
}

/// A plaintext with the level and scale it would be encoded at.
#[derive(Clone, Debug, PartialEq)]
pub struct ClearPlain {
    /// Contents, over the slots of the ring.
    pub plain: Plain,
    /// Level.
    pub level: Level,
    /// Scale.
    pub scale: Scale,
}

impl Clear {
    /// A back end with the slots and primes of `params`.
    pub fn new(params: &Params) -> Clear {
        Clear { params: params.clone(), lanes: 1 }
    }

    /// The same for programs of so many lanes.
    pub fn with_lanes(self, lanes: usize) -> Clear {
        Clear { lanes, ..self }
    }

    /// Slots in the shape of a ciphertext.
    ///
    /// # Errors
    /// When the number of slots is not the ring's.
    pub fn encrypt(&self, slots: &[f64], ty: CtType) -> Result<ClearCt, Error> {
        if slots.len() != self.params.n_slots() {
            let expected = self.params.n_slots();
            return Err(Error::Operands(format!("expected {expected} slots, found {}", slots.len())));
        }
        Ok(ClearCt { slots: slots.to_vec(), ty })
    }
}

impl Clear {
    /// Slots rotated to the left, in every lane.
    pub(super) fn rotated(&self, slots: &[f64], step: Step) -> Vec<f64> {
        let (wrapped, first) = slots.split_at(step.get() * self.lanes % slots.len());
        [first, wrapped].concat()
    }
}

impl ClearCt {
    fn map(&self, ty: CtType, f: impl Fn(f64) -> f64) -> ClearCt {
        ClearCt { slots: self.slots.iter().map(|&x| f(x)).collect(), ty }
    }

    fn zip(&self, other: &ClearCt, ty: CtType, f: impl Fn(f64, f64) -> f64) -> ClearCt {
        ClearCt { slots: self.slots.iter().zip(&other.slots).map(|(&x, &y)| f(x, y)).collect(), ty }
    }
}

impl Backend for Clear {
    type Ct = ClearCt;
    type Plain = ClearPlain;
    type Partial = ClearCt;

    fn params(&self) -> &Params {
        &self.params
    }

    fn lanes(&self) -> usize {
        self.lanes
    }

    fn check_keys(&self, _needed: &KeyPlan) -> Result<(), Error> {
        Ok(())
    }

    fn ct_type(&self, ct: &ClearCt) -> CtType {
        ct.ty
    }

    fn ct_bytes(&self, ct: &ClearCt) -> usize {
        size_of_val(&ct.slots[..])
    }

    fn type_bytes(&self, _ty: CtType, _basis: Basis) -> usize {
        self.params.n_slots() * size_of::<f64>()
    }

    fn key_bytes(&self) -> usize {
        0
    }

    fn plain_bytes(&self, plain: &Plain, _ty: PlainType) -> usize {
        plain.widened_period(self.lanes) * size_of::<f64>()
    }

    fn encode(&self, plain: &Plain, ty: PlainType) -> Result<ClearPlain, Error> {
        Ok(ClearPlain { plain: plain.widened(self.lanes), level: ty.level, scale: ty.scale })
    }

    fn write_plain(&self, plain: &ClearPlain, out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend(plain.plain.values().iter().flat_map(|value| value.to_le_bytes()));
        Ok(())
    }

    /// A copy: slots are small, and tests want the way through a file.
    fn map_plain(&self, bytes: MappedBytes, ty: PlainType) -> Result<ClearPlain, Error> {
        let (words, _) = bytes.as_ref().as_chunks();
        let values = words.iter().map(|&word| f64::from_le_bytes(word)).collect();
        let plain = Plain::from_period(values).map_err(|e| Error::Operands(e.to_string()))?;
        Ok(ClearPlain { plain, level: ty.level, scale: ty.scale })
    }

    fn zero(&self, ty: CtType) -> Result<ClearCt, Error> {
        Ok(ClearCt { slots: vec![0.0; self.params.n_slots()], ty })
    }

    fn rotate_many(&self, ct: &ClearCt, steps: &[Step], cancel: &Cancel) -> Result<Vec<ClearCt>, Error> {
        let ty = rules::rotate(ct.ty)?;
        let rotate = |&step: &Step| {
            cancel.check()?;
            Ok(ClearCt { slots: self.rotated(&ct.slots, step), ty })
        };
        steps.iter().map(rotate).collect()
    }

    fn add_products(
        &self,
        sum: Option<ClearCt>,
        terms: &[(&ClearCt, &ClearPlain)],
        cancel: &Cancel,
    ) -> Result<ClearCt, Error> {
        let products = terms.iter().map(|(ct, plain)| rules::mul_plain(ct.ty, plain.level, plain.scale));
        let ty = rules::inner_product(sum.as_ref().map(|sum| sum.ty), products)?;
        let mut slots = sum.map_or_else(|| vec![0.0; self.params.n_slots()], |sum| sum.slots);
        for (ct, plain) in terms {
            cancel.check()?;
            let values = plain.plain.values();
            let periods = slots.chunks_mut(values.len()).zip(ct.slots.chunks(values.len()));
            for (sums, xs) in periods {
                sums.iter_mut().zip(xs).zip(&*values).for_each(|((sum, x), value)| *sum += x * value);
            }
        }
        Ok(ClearCt { slots, ty })
    }

    fn total(&self, sum: ClearCt) -> Result<ClearCt, Error> {
        Ok(sum)
    }

    fn sum(&self, terms: &[&ClearCt], cancel: &Cancel) -> Result<ClearCt, Error> {
        let ty = rules::sum(terms.iter().map(|ct| ct.ty))?;
        let mut slots = vec![0.0; self.params.n_slots()];
        for ct in terms {
            cancel.check()?;
            slots.iter_mut().zip(&ct.slots).for_each(|(sum, x)| *sum += x);
        }
        Ok(ClearCt { slots, ty })
    }

    fn sub(&self, a: &ClearCt, b: &ClearCt) -> Result<ClearCt, Error> {
        Ok(a.zip(b, rules::same(a.ty, b.ty)?, |x, y| x - y))
    }

    fn neg(&self, ct: &ClearCt) -> Result<ClearCt, Error> {
        Ok(ct.map(ct.ty, |x| -x))
    }

    fn add_plain(&self, ct: &ClearCt, plain: &ClearPlain) -> Result<ClearCt, Error> {
        let ty = rules::add_plain(ct.ty, plain.level, plain.scale)?;
        let slots = ct.slots.iter().enumerate().map(|(i, x)| x + plain.plain.at(i)).collect();
        Ok(ClearCt { slots, ty })
    }

    fn mul_scalar(&self, ct: &ClearCt, scalar: f64, scale: Scale) -> Result<ClearCt, Error> {
        Ok(ct.map(rules::mul_plain(ct.ty, ct.ty.level, scale)?, |x| x * scalar))
    }

    fn mul(&self, a: &ClearCt, b: &ClearCt) -> Result<ClearCt, Error> {
        Ok(a.zip(b, rules::mul(a.ty, b.ty)?, |x, y| x * y))
    }

    fn relin(&self, ct: &ClearCt) -> Result<ClearCt, Error> {
        Ok(ct.map(rules::relin(ct.ty)?, |x| x))
    }

    fn rescale(&self, ct: &ClearCt) -> Result<ClearCt, Error> {
        Ok(ct.map(rules::rescale(ct.ty, &self.params)?, |x| x))
    }

    fn drop_level(&self, ct: &ClearCt, level: Level) -> Result<ClearCt, Error> {
        Ok(ct.map(rules::drop_level(ct.ty, level)?, |x| x))
    }
}
