//! Computation on ciphertexts.
//!
//! Operands at different levels meet at the lower one. Scales are the caller's
//! business: no operation is refused because of them.

use crate::automorphism::Automorphism;
use crate::ciphertext::{Ciphertext, Plaintext};
use crate::context::Context;
use crate::encoder::{check_fits, check_scale};
use crate::error::Error;
use crate::kernels;
use crate::keys::{GaloisKey, GaloisKeys, KeySwitchKey};
use crate::keyswitch::{Decomposed, divide};
use crate::packed::Residues;
use crate::poly::Poly;
use rayon::prelude::*;
use std::sync::Arc;

/// Computes on ciphertexts of one ring.
#[derive(Clone, Debug)]
pub struct Evaluator {
    ctx: Arc<Context>,
}

impl Evaluator {
    /// An evaluator for a ring.
    pub fn new(ctx: &Arc<Context>) -> Evaluator {
        Evaluator { ctx: ctx.clone() }
    }

    /// The ring.
    pub fn context(&self) -> &Arc<Context> {
        &self.ctx
    }

    /// a + b.
    ///
    /// # Errors
    /// [`Error::ForeignContext`], or [`Error::Degree`] when degrees differ.
    pub fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        self.sum_for("add", &[a, b])
    }

    /// a - b.
    ///
    /// # Errors
    /// As [`Evaluator::add`].
    pub fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        let (level, degree) = self.common("sub", [a, b].into_iter())?;
        let mut out = self.prefix(a, level, degree);
        for (out, part) in out.parts.iter_mut().zip(&b.parts) {
            out.sub_assign(&self.ctx, part);
        }
        Ok(out)
    }

    /// -a.
    ///
    /// # Errors
    /// [`Error::ForeignContext`].
    pub fn neg(&self, a: &Ciphertext) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(a.fingerprint)?;
        let zero = Poly::zero(self.ctx.ring_degree(), a.level + 1);
        let negate = |part: &Poly| {
            let mut out = zero.clone();
            out.sub_assign(&self.ctx, part);
            out
        };
        Ok(self.derived(a.parts.iter().map(negate).collect(), a.level, a.scale_log2))
    }

    /// Sum of ciphertexts of one degree.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::ForeignContext`], [`Error::Degree`].
    pub fn sum(&self, terms: &[&Ciphertext]) -> Result<Ciphertext, Error> {
        self.sum_for("sum", terms)
    }

    fn sum_for(&self, op: &'static str, terms: &[&Ciphertext]) -> Result<Ciphertext, Error> {
        let (level, degree) = self.common(op, terms.iter().copied())?;
        let mut out = self.prefix(terms[0], level, degree);
        for (k, part) in out.parts.iter_mut().enumerate() {
            part.par_limbs_mut().for_each(|(t, limb)| {
                for term in &terms[1..] {
                    kernels::add_assign(&self.ctx.moduli()[t], limb, term.parts[k].limb(t));
                }
            });
        }
        Ok(out)
    }

    /// ct + pt.
    ///
    /// # Errors
    /// [`Error::ForeignContext`].
    pub fn add_plain(&self, ct: &Ciphertext, pt: &Plaintext) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        self.ctx.check_owns(pt.fingerprint)?;
        let mut out = self.prefix(ct, ct.level.min(pt.level), ct.degree());
        out.parts[0].add_packed(&self.ctx, &pt.poly);
        Ok(out)
    }

    /// ct · pt.
    ///
    /// # Errors
    /// As [`Evaluator::inner_product`].
    pub fn mul_plain(&self, ct: &Ciphertext, pt: &Plaintext) -> Result<Ciphertext, Error> {
        self.inner_product(&[(ct, pt)])
    }

    /// Σ ct · pt, reduced once instead of per term.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::ForeignContext`], and [`Error::Degree`] unless
    /// every ciphertext has degree 1.
    pub fn inner_product(&self, terms: &[(&Ciphertext, &Plaintext)]) -> Result<Ciphertext, Error> {
        let (level, degree) = self.common("inner_product", terms.iter().map(|term| term.0))?;
        check_degree("inner_product", degree, 1)?;
        for (_, pt) in terms {
            self.ctx.check_owns(pt.fingerprint)?;
        }
        let level = terms.iter().fold(level, |level, (_, pt)| level.min(pt.level));
        let parts = Poly::build_pair(self.ctx.ring_degree(), level + 1, |t, [out0, out1]| {
            let plains: Vec<Residues> = terms.iter().map(|(_, pt)| pt.poly.group(t)).collect();
            let part = |k: usize| terms.iter().map(|(ct, _)| Residues::of_words(ct.parts[k].limb(t))).collect::<Vec<_>>();
            kernels::dot2(&self.ctx.moduli()[t], out0, out1, &plains, &part(0), &part(1));
        });
        let scale_log2 = terms[0].0.scale_log2 + terms[0].1.scale_log2;
        Ok(self.derived(parts.into(), level, scale_log2))
    }

    /// ct · value, with the value encoded at `scale` as one integer.
    ///
    /// # Errors
    /// [`Error::ForeignContext`], [`Error::NotFinite`], [`Error::Scale`], [`Error::Overflow`].
    pub fn mul_scalar(&self, ct: &Ciphertext, value: f64, scale: f64) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        let integer = self.scalar(value, scale, ct.level)?;
        let mut out = self.prefix(ct, ct.level, ct.degree());
        for part in &mut out.parts {
            part.par_limbs_mut().for_each(|(t, limb)| {
                let modulus = &self.ctx.moduli()[t];
                kernels::scale(modulus, limb, modulus.factor(modulus.reduce_signed(integer)));
            });
        }
        out.scale_log2 += scale.log2();
        Ok(out)
    }

    /// a · b, of degree 2.
    ///
    /// # Errors
    /// [`Error::ForeignContext`], and [`Error::Degree`] unless both have degree 1.
    pub fn mul(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        let (level, degree) = self.common("mul", [a, b].into_iter())?;
        check_degree("mul", degree, 1)?;
        let ([a0, a1], [b0, b1]) = ([&a.parts[0], &a.parts[1]], [&b.parts[0], &b.parts[1]]);
        let dot = |x: &[&Poly], y: &[&Poly]| Poly::dot(&self.ctx, level + 1, x, y);
        let parts = vec![dot(&[a0], &[b0]), dot(&[a0, a1], &[b1, b0]), dot(&[a1], &[b1])];
        Ok(self.derived(parts, level, a.scale_log2 + b.scale_log2))
    }

    /// a · a, of degree 2.
    ///
    /// # Errors
    /// As [`Evaluator::mul`].
    pub fn square(&self, a: &Ciphertext) -> Result<Ciphertext, Error> {
        self.mul(a, a)
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
        let mut parts: Vec<Poly> = decomposed.switch(&self.ctx, &[key]).into_iter().flatten().collect();
        for (part, own) in parts.iter_mut().zip(&ct.parts) {
            part.add_assign(&self.ctx, own);
        }
        Ok(self.derived(parts, ct.level, ct.scale_log2))
    }

    /// Division by the last prime, rounded to nearest.
    ///
    /// # Errors
    /// [`Error::NoPrimeLeft`] at level zero, [`Error::ForeignContext`].
    pub fn rescale(&self, ct: &Ciphertext) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        let level = ct.level.checked_sub(1).ok_or(Error::NoPrimeLeft)?;
        let parts = divide(&self.ctx, self.ctx.limb_base(ct.level), &ct.parts, level + 1);
        let prime = self.ctx.params().q[ct.level] as f64;
        Ok(self.derived(parts, level, ct.scale_log2 - prime.log2()))
    }

    /// Forgets primes down to `level`.
    ///
    /// # Errors
    /// [`Error::LevelRises`], [`Error::ForeignContext`].
    pub fn drop_level(&self, ct: &Ciphertext, level: usize) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        match level <= ct.level {
            true => Ok(self.prefix(ct, level, ct.degree())),
            false => Err(Error::LevelRises { from: ct.level, to: level }),
        }
    }

    /// Rotation to the left: slot i of the result is slot i + `step` of `ct`.
    ///
    /// # Errors
    /// As [`Evaluator::rotate_many`].
    pub fn rotate(&self, ct: &Ciphertext, step: usize, keys: &GaloisKeys) -> Result<Ciphertext, Error> {
        let mut rotated = self.rotate_many(ct, &[step], keys)?;
        rotated.pop().ok_or(Error::Empty("rotate"))
    }

    /// Rotations of one ciphertext, which share its decomposition (hoisting).
    ///
    /// # Errors
    /// [`Error::Degree`] unless `ct` has degree 1, [`Error::MissingGaloisKey`],
    /// [`Error::KeyLevel`], [`Error::ForeignContext`].
    pub fn rotate_many(
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
        let rotated = self.rotate_with(ct, &keys);
        let result = |step: &usize| match needed.binary_search(step) {
            Ok(at) => rotated[at].clone(),
            Err(_) => self.prefix(ct, ct.level, 1),
        };
        match steps == needed {
            true => Ok(rotated),
            false => Ok(steps.iter().map(result).collect()),
        }
    }

    fn find<'a>(&self, keys: &'a GaloisKeys, step: usize, level: usize) -> Result<&'a GaloisKey, Error> {
        let key = keys.get(step).ok_or(Error::MissingGaloisKey { step })?;
        key.key.check_serves(&self.ctx, level)?;
        Ok(key)
    }

    fn rotate_with(&self, ct: &Ciphertext, keys: &[&GaloisKey]) -> Vec<Ciphertext> {
        if keys.is_empty() {
            return Vec::new();
        }
        let decomposed = Decomposed::new(&self.ctx, &ct.parts[1], ct.level);
        let switch_keys: Vec<&KeySwitchKey> = keys.iter().map(|key| &key.key).collect();
        let switched = decomposed.switch(&self.ctx, &switch_keys);
        let rotate = |([mut part0, part1], key): ([Poly; 2], &&GaloisKey)| {
            part0.add_assign(&self.ctx, &ct.parts[0]);
            let parts = [part0, part1].map(|part| self.permute(&part, &key.automorphism));
            self.derived(parts.into(), ct.level, ct.scale_log2)
        };
        switched.into_iter().zip(keys).map(rotate).collect()
    }

    fn permute(&self, poly: &Poly, map: &Automorphism) -> Poly {
        let n_limbs = poly.limbs().count();
        Poly::build(self.ctx.ring_degree(), n_limbs, |t, out| kernels::permute(self.ctx.vectors(), out, poly.limb(t), map))
    }

    /// The integer that encodes a scalar.
    fn scalar(&self, value: f64, scale: f64, level: usize) -> Result<i128, Error> {
        check_scale(scale)?;
        let scaled = (value * scale).round();
        if !scaled.is_finite() {
            return Err(Error::NotFinite { index: 0 });
        }
        check_fits(&self.ctx, scaled.abs(), level)?;
        Ok(scaled as i128)
    }

    /// The lowest level and the one degree of ciphertexts of this ring.
    fn common<'a>(
        &self,
        op: &'static str,
        mut terms: impl Iterator<Item = &'a Ciphertext>,
    ) -> Result<(usize, usize), Error> {
        let first = terms.next().ok_or(Error::Empty(op))?;
        self.ctx.check_owns(first.fingerprint)?;
        let mut level = first.level;
        for term in terms {
            self.ctx.check_owns(term.fingerprint)?;
            check_degree(op, term.degree(), first.degree())?;
            level = level.min(term.level);
        }
        Ok((level, first.degree()))
    }

    /// A copy cut to a level.
    fn prefix(&self, ct: &Ciphertext, level: usize, degree: usize) -> Ciphertext {
        let parts = ct.parts.iter().take(degree + 1).map(|part| part.prefix(level + 1));
        self.derived(parts.collect(), level, ct.scale_log2)
    }

    fn derived(&self, parts: Vec<Poly>, level: usize, scale_log2: f64) -> Ciphertext {
        Ciphertext::derived(&self.ctx, parts, level, scale_log2)
    }
}

fn check_degree(op: &'static str, got: usize, wanted: usize) -> Result<(), Error> {
    match got == wanted {
        true => Ok(()),
        false => Err(Error::Degree { op, wanted, got }),
    }
}
