//! Hybrid key switching and division by primes.
//!
//! Source: Han and Ki, "Better bootstrapping for approximate homomorphic
//! encryption" (2020), section 3; digits are read centred.

use crate::basis::{Base, Lifted};
use crate::context::Context;
use crate::error::Error;
use crate::kernels;
use crate::keys::KeySwitchKey;
use crate::packed::Residues;
use crate::poly::{Poly, by_limb};
use rayon::prelude::*;
use std::borrow::Cow;

/// Keys applied together while one prime's digits stay in cache.
const GROUP: usize = 8;

/// A polynomial out of its transform, to be read in digits modulo any prime.
pub(crate) struct Decomposed<'a> {
    source: &'a Poly,
    level: usize,
    /// The context's numbers of the extended primes.
    primes: Vec<usize>,
    bases: Vec<&'a Base>,
    lifted: Vec<Lifted>,
}

/// The digits modulo one extended prime that do not contain it.
type Foreign = Poly;

impl<'a> Decomposed<'a> {
    /// Decomposes a polynomial at `level`.
    pub fn new(ctx: &'a Context, source: &'a Poly, level: usize) -> Decomposed<'a> {
        let bases: Vec<&Base> = ctx.digits(level).collect();
        let lifted = lift_all(ctx, &bases, |i| source.limb(i));
        Decomposed { source, level, primes: ctx.extended(level), bases, lifted }
    }

    fn foreign(&self, ctx: &Context, t: usize) -> Foreign {
        digits_at(ctx, self.primes[t], &self.bases, &self.lifted)
    }

    /// All digits modulo one extended prime; the digit that contains it is the
    /// polynomial itself.
    fn all<'b>(&'b self, ctx: &Context, t: usize, foreign: &'b Foreign) -> Vec<&'b [u64]> {
        let mut all: Vec<&[u64]> = foreign.limbs().collect();
        if t <= self.level {
            all.insert(t / ctx.params().digit_limbs, self.source.limb(t));
        }
        all
    }

    /// Products with each key, divided by the special modulus. Few keys use the
    /// digits of a prime as soon as they are made; many share stored ones.
    pub fn switch(&self, ctx: &Context, keys: &[&KeySwitchKey]) -> Vec<[Poly; 2]> {
        let all = 0..self.primes.len();
        let stored: Option<Vec<Foreign>> =
            (keys.len() > GROUP).then(|| all.into_par_iter().map(|t| self.foreign(ctx, t)).collect());
        let foreign = |t: usize| match &stored {
            Some(stored) => Cow::Borrowed(&stored[t]),
            None => Cow::Owned(self.foreign(ctx, t)),
        };
        keys.chunks(GROUP).flat_map(|group| self.switch_group(ctx, group, &foreign)).collect()
    }

    fn switch_group<'b>(
        &self,
        ctx: &Context,
        keys: &[&KeySwitchKey],
        foreign: &(impl Fn(usize) -> Cow<'b, Foreign> + Sync),
    ) -> Vec<[Poly; 2]> {
        let scratch = |_| Poly::scratch(ctx.ring_degree(), self.primes.len());
        let mut products: Vec<Poly> = (0..2 * keys.len()).map(scratch).collect();
        by_limb(&mut products).into_par_iter().enumerate().for_each(|(t, mut outs)| {
            let foreign = foreign(t);
            let digits = self.all(ctx, t, &foreign);
            for (out, key) in outs.chunks_exact_mut(2).zip(keys) {
                self.apply(ctx, t, &digits, key, out);
            }
        });
        pairs(divide(ctx, ctx.special_base(), &products, self.level + 1))
    }

    /// Product of the digits with one key modulo one extended prime.
    fn apply(&self, ctx: &Context, t: usize, digits: &[&[u64]], key: &KeySwitchKey, out: &mut [&mut [u64]]) {
        let place = if t <= self.level { t } else { t + key.level - self.level };
        let halves = |half: usize| -> Vec<Residues> {
            (0..digits.len()).map(|digit| key.pair(place, digit)[half]).collect()
        };
        let digits: Vec<Residues> = digits.iter().map(|digit| Residues::of_words(digit)).collect();
        let [out0, out1] = out else { unreachable!("pairs of outputs") };
        let modulus = &ctx.moduli()[self.primes[t]];
        kernels::dot2(modulus, out0, out1, &digits, &halves(0), &halves(1));
    }
}

/// Lifts the limbs of several bases, limbs in parallel.
fn lift_all<'a>(ctx: &Context, bases: &[&Base], limb: impl Fn(usize) -> &'a [u64] + Sync) -> Vec<Lifted> {
    let places: Vec<(usize, usize)> =
        bases.iter().enumerate().flat_map(|(j, base)| (0..base.limbs().len()).map(move |i| (j, i))).collect();
    let lift = |&(j, i): &(usize, usize)| bases[j].lift_limb(ctx, i, limb(bases[j].limbs().start + i));
    let mut words = places.par_iter().map(lift).collect::<Vec<_>>().into_iter();
    bases.iter().map(|base| base.join(words.by_ref().take(base.limbs().len()).collect())).collect()
}

fn digits_at(ctx: &Context, prime: usize, bases: &[&Base], lifted: &[Lifted]) -> Poly {
    let foreign = || bases.iter().zip(lifted).filter(|(base, _)| !base.limbs().contains(&prime));
    let mut digits = Poly::scratch(ctx.ring_degree(), foreign().count());
    let mut limbs: Vec<&mut [u64]> = digits.limbs_mut().collect();
    for (out, (base, lifted)) in limbs.iter_mut().zip(foreign()) {
        base.convert(ctx, lifted, prime, out);
    }
    ctx.forward_all(prime, &mut limbs);
    digits
}

/// Divides polynomials by the product of a base, rounding to nearest; their
/// last limbs are those of the base, and the first `n_limbs` remain.
pub(crate) fn divide(ctx: &Context, base: &Base, polys: &[Poly], n_limbs: usize) -> Vec<Poly> {
    let lifted: Vec<Lifted> = polys.par_iter().map(|poly| lift_tail(ctx, base, poly, n_limbs)).collect();
    let mut quotients: Vec<Poly> = polys.iter().map(|_| Poly::scratch(ctx.ring_degree(), n_limbs)).collect();
    by_limb(&mut quotients).into_par_iter().enumerate().for_each(|(t, mut outs)| {
        for (outs, (polys, lifted)) in outs.chunks_mut(2).zip(polys.chunks(2).zip(lifted.chunks(2))) {
            outs.iter_mut().zip(lifted).for_each(|(out, lifted)| base.convert(ctx, lifted, t, out));
            ctx.forward_all(t, outs);
            for (out, poly) in outs.iter_mut().zip(polys) {
                kernels::sub_scale(&ctx.moduli()[t], out, poly.limb(t), base.inverse(t));
            }
        }
    });
    quotients
}

/// Lifts the limbs of a base that follow the first `n_limbs` of a polynomial.
fn lift_tail(ctx: &Context, base: &Base, poly: &Poly, n_limbs: usize) -> Lifted {
    let words = (0..base.limbs().len()).into_par_iter();
    base.join(words.map(|i| base.lift_limb(ctx, i, poly.limb(n_limbs + i))).collect())
}

fn pairs(polys: Vec<Poly>) -> Vec<[Poly; 2]> {
    let mut polys = polys.into_iter();
    std::iter::from_fn(|| Some([polys.next()?, polys.next()?])).collect()
}

impl KeySwitchKey {
    /// Checks that the key may serve a ciphertext.
    pub(crate) fn check_serves(&self, ctx: &Context, level: usize) -> Result<(), Error> {
        ctx.check_owns(self.fingerprint)?;
        match level <= self.level {
            true => Ok(()),
            false => Err(Error::KeyLevel { key: self.level, ciphertext: level }),
        }
    }
}
