//! Rotation and relinearisation.

use super::{Evaluator, check_degree};
use crate::automorphism::Automorphism;
use crate::ciphertext::Ciphertext;
use crate::context::Context;
use crate::error::Error;
use crate::kernels;
use crate::keys::{GaloisKey, GaloisKeys, KeySwitchKey};
use crate::keyswitch::{Decomposed, divide};
use crate::poly::Poly;
use std::borrow::Cow;

impl Ciphertext {
    /// The same parts over the primes of its level.
    pub(crate) fn reduced(&self, ctx: &Context) -> Cow<'_, Ciphertext> {
        if !self.extended {
            return Cow::Borrowed(self);
        }
        let parts = divide(ctx, ctx.special_base(), &self.parts.iter().collect::<Vec<_>>(), self.level + 1);
        Cow::Owned(Ciphertext::derived(ctx, parts, self.level, self.scale_log2))
    }

    /// Other parts of the same kind.
    pub(crate) fn with_parts(&self, parts: Vec<Poly>) -> Ciphertext {
        let &Ciphertext { fingerprint, level, scale_log2, extended, .. } = self;
        Ciphertext { fingerprint, parts, level, scale_log2, extended, seed: None }
    }
}

impl Evaluator {
    /// Does the division by the special modulus that was put off, if any.
    ///
    /// # Errors
    /// [`Error::ForeignContext`].
    pub fn reduce(&self, ct: &Ciphertext) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        Ok(ct.reduced(&self.ctx).into_owned())
    }

    /// Degree 2 to degree 1.
    ///
    /// # Errors
    /// [`Error::Degree`], [`Error::ForeignContext`], [`Error::KeyLevel`].
    pub fn relin(&self, ct: &Ciphertext, key: &KeySwitchKey) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        check_degree("relin", ct.degree(), 2)?;
        key.check_serves(&self.ctx, ct.level)?;
        let decomposed = Decomposed::new(&self.ctx, &ct.parts[2], ct.level);
        let products = decomposed.products(&self.ctx, &[key], &|| self.is_stopped());
        let mut parts: Vec<Poly> = self.unless_stopped(products)?.into_iter().flatten().collect();
        for (part, own) in parts.iter_mut().zip(&ct.parts) {
            part.add_special(&self.ctx, own);
        }
        let switched = Ciphertext { extended: true, ..self.derived(parts, ct.level, ct.scale_log2) };
        self.reduce(&switched)
    }

    /// Rotation to the left: slot i of the result is slot i + `step` of `ct`.
    ///
    /// # Errors
    /// As [`Evaluator::rotate_many_extended`].
    pub fn rotate(&self, ct: &Ciphertext, step: usize, keys: &GaloisKeys) -> Result<Ciphertext, Error> {
        let mut rotated = self.rotate_many(ct, &[step], keys)?;
        rotated.pop().ok_or(Error::Empty("rotate"))
    }

    /// Rotations of one ciphertext, which share its decomposition (hoisting).
    ///
    /// # Errors
    /// As [`Evaluator::rotate_many_extended`].
    pub fn rotate_many(
        &self,
        ct: &Ciphertext,
        steps: &[usize],
        keys: &GaloisKeys,
    ) -> Result<Vec<Ciphertext>, Error> {
        let extended = self.rotate_many_extended(ct, steps, keys)?;
        extended.into_iter().map(|ct| if ct.extended { self.reduce(&ct) } else { Ok(ct) }).collect()
    }

    /// As [`Evaluator::rotate_many`], without the division by the special modulus at
    /// the end. Rotations by zero are copies.
    ///
    /// # Errors
    /// [`Error::Degree`] unless `ct` has degree 1, [`Error::MissingGaloisKey`],
    /// [`Error::KeyLevel`], [`Error::ForeignContext`].
    pub fn rotate_many_extended(
        &self,
        ct: &Ciphertext,
        steps: &[usize],
        keys: &GaloisKeys,
    ) -> Result<Vec<Ciphertext>, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        check_degree("rotate", ct.degree(), 1)?;
        let steps: Vec<usize> = steps.iter().map(|step| step % self.ctx.n_slots()).collect();
        let mut needed: Vec<usize> = steps.iter().copied().filter(|&step| step != 0).collect();
        needed.sort_unstable();
        needed.dedup();
        let keys =
            needed.iter().map(|&step| self.find(keys, step, ct.level)).collect::<Result<Vec<_>, _>>()?;
        let rotated = self.rotate_with(ct, &keys)?;
        if steps == needed {
            return Ok(rotated);
        }
        let result = |step: &usize| {
            needed
                .binary_search(step)
                .map_or_else(|_| ct.with_parts(ct.parts.clone()), |at| rotated[at].clone())
        };
        Ok(steps.iter().map(result).collect())
    }

    fn find<'a>(&self, keys: &'a GaloisKeys, step: usize, level: usize) -> Result<&'a GaloisKey, Error> {
        let key = keys.get(step).ok_or(Error::MissingGaloisKey { step })?;
        key.key.check_serves(&self.ctx, level)?;
        Ok(key)
    }

    fn rotate_with(&self, ct: &Ciphertext, keys: &[&GaloisKey]) -> Result<Vec<Ciphertext>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let primes = self.ctx.extended(ct.level);
        let part1 = self.reduced_part(ct, 1);
        let decomposed = Decomposed::new(&self.ctx, &part1, ct.level);
        let switch_keys: Vec<&KeySwitchKey> = keys.iter().map(|key| &key.key).collect();
        let rotate = |([mut part0, part1], key): ([Poly; 2], &&GaloisKey)| {
            match ct.extended {
                true => part0.add_modulo(&self.ctx, &primes, &ct.parts[0]),
                false => part0.add_special(&self.ctx, &ct.parts[0]),
            }
            let parts = [part0, part1].map(|part| self.permute(&part, &key.automorphism));
            self.unless_stopped(Ciphertext {
                extended: true,
                ..self.derived(parts.into(), ct.level, ct.scale_log2)
            })
        };
        let products = decomposed.products(&self.ctx, &switch_keys, &|| self.is_stopped());
        self.unless_stopped(products)?.into_iter().zip(keys).map(rotate).collect()
    }

    /// A part over the primes of the level.
    fn reduced_part<'a>(&self, ct: &'a Ciphertext, k: usize) -> Cow<'a, Poly> {
        if !ct.extended {
            return Cow::Borrowed(&ct.parts[k]);
        }
        let mut quotients = divide(&self.ctx, self.ctx.special_base(), &[&ct.parts[k]], ct.level + 1);
        Cow::Owned(quotients.pop().expect("as many quotients as dividends"))
    }

    fn permute(&self, poly: &Poly, map: &Automorphism) -> Poly {
        let n_limbs = poly.limbs().count();
        let vectors = self.ctx.vectors();
        Poly::build(self.ctx.ring_degree(), n_limbs, |t, out| {
            kernels::permute(vectors, out, poly.limb(t), map)
        })
    }
}
