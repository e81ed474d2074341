//! Hybrid key switching and division by primes.
//!
//! Source: Han and Ki, "Better bootstrapping for approximate homomorphic
//! encryption" (2020), section 3; digits are read centred.

use crate::basis::{Base, Lifted};
use crate::context::Context;
use crate::error::Error;
use crate::kernels::{self, First};
use crate::keys::KeySwitchKey;
use crate::packed::Residues;
use crate::poly::{Poly, by_limb};
use rayon::prelude::*;
use std::ops::Range;

/// Keys applied together while one prime's digits stay in cache.
const GROUP: usize = 8;

/// Asked in the course of work: whether to stop.
pub(crate) type Ask<'a> = &'a (dyn Fn() -> bool + Sync);

/// A polynomial out of its transform, to be read in digits modulo any prime.
pub(crate) struct Decomposed<'a> {
    source: &'a Poly,
    level: usize,
    /// The context's numbers of the extended primes.
    primes: Vec<usize>,
    bases: Vec<&'a Base>,
    lifted: Vec<Lifted>,
}

impl<'a> Decomposed<'a> {
    /// Decomposes a polynomial at `level`.
    pub fn new(ctx: &'a Context, source: &'a Poly, level: usize) -> Decomposed<'a> {
        let bases: Vec<&Base> = ctx.digits(level).collect();
        let lifted = lift_all(ctx, &bases, |i| source.limb(i));
        Decomposed { source, level, primes: ctx.extended(level), bases, lifted }
    }

    /// Products with each key over the extended primes: what is switched, times the
    /// special modulus. Once `stop` says so, products are left out or unfinished.
    pub fn products(&self, ctx: &Context, keys: &[&KeySwitchKey], stop: Ask) -> Vec<[Poly; 2]> {
        let stored = (keys.len() > 1).then(|| self.store(ctx));
        let groups = keys.chunks(GROUP).take_while(|_| !stop());
        groups.flat_map(|keys| pairs(self.products_of(ctx, keys, stored.as_deref(), stop))).collect()
    }

    /// All digits modulo all extended primes, for many keys.
    fn store(&self, ctx: &Context) -> Vec<Poly> {
        let all = (0..self.primes.len()).into_par_iter();
        all.map(|t| digits_at(ctx, self.primes[t], &self.bases, &self.lifted)).collect()
    }

    fn products_of(
        &self,
        ctx: &Context,
        keys: &[&KeySwitchKey],
        stored: Option<&[Poly]>,
        stop: Ask,
    ) -> Vec<Poly> {
        let scratch = |_| Poly::scratch(ctx.ring_degree(), self.primes.len());
        let mut products: Vec<Poly> = (0..2 * keys.len()).map(scratch).collect();
        by_limb(&mut products).into_par_iter().enumerate().for_each(|(t, outs)| {
            let mut outs = outs.into_iter();
            let mut outs: Vec<[&mut [u64]; 2]> =
                std::iter::from_fn(|| Some([outs.next()?, outs.next()?])).collect();
            let rows: Vec<Residues> = keys.iter().map(|key| key.modulo(self.place_in(key, t))).collect();
            if stop() {
                return;
            }
            for digits in self.batches(ctx, t) {
                let fresh;
                let (foreign, from) = match stored {
                    Some(stored) => (&stored[t], 0),
                    None => {
                        let (bases, lifted) = (&self.bases[digits.clone()], &self.lifted[digits.clone()]);
                        fresh = digits_at(ctx, self.primes[t], bases, lifted);
                        (&fresh, digits.start)
                    }
                };
                let first = First { digit: digits.start };
                let own = self.own_digit(ctx, t).filter(|&own| own >= from);
                let limb = |digit: usize| match own {
                    Some(own) if own == digit => self.source.limb(t),
                    Some(own) if own < digit => foreign.limb(digit - from - 1),
                    _ => foreign.limb(digit - from),
                };
                let words: Vec<&[u64]> = digits.map(limb).collect();
                kernels::key_products(&ctx.moduli()[self.primes[t]], &mut outs, &words, &rows, first);
            }
        });
        products
    }

    /// Where a key of any higher level has an extended prime.
    fn place_in(&self, key: &KeySwitchKey, t: usize) -> usize {
        if t <= self.level { t } else { t + key.level - self.level }
    }

    /// Digits to be summed at once: as many as accumulators hold.
    fn batches(&self, ctx: &Context, t: usize) -> impl Iterator<Item = Range<usize>> {
        let (n_digits, size) = (self.bases.len(), ctx.moduli()[self.primes[t]].lazy_terms);
        (0..n_digits).step_by(size).map(move |start| start..n_digits.min(start + size))
    }

    /// The digit that contains an extended prime: there the polynomial is its own digit.
    fn own_digit(&self, ctx: &Context, t: usize) -> Option<usize> {
        (t <= self.level).then(|| t / ctx.params().digit_limbs)
    }
}

/// Lifts the limbs of several bases, limbs in parallel.
fn lift_all<'a>(ctx: &Context, bases: &[&Base], limb: impl Fn(usize) -> &'a [u64] + Sync) -> Vec<Lifted> {
    let places: Vec<(usize, usize)> =
        bases.iter().enumerate().flat_map(|(j, base)| (0..base.limbs().len()).map(move |i| (j, i))).collect();
    let lift = |&(j, i): &(usize, usize)| bases[j].lift_limb(ctx, i, limb(bases[j].limbs()[i]));
    let mut words = places.par_iter().map(lift).collect::<Vec<_>>().into_iter();
    bases.iter().map(|base| base.join(words.by_ref().take(base.limbs().len()).collect())).collect()
}

fn digits_at(ctx: &Context, prime: usize, bases: &[&Base], lifted: &[Lifted]) -> Poly {
    let foreign = || bases.iter().zip(lifted).filter(|(base, _)| !base.limbs().contains(&prime));
    let mut digits = Poly::scratch(ctx.ring_degree(), foreign().count());
    for (out, (base, lifted)) in digits.limbs_mut().zip(foreign()) {
        base.convert(ctx, lifted, prime, out);
        ctx.forward(prime, out);
    }
    digits
}

/// Divides polynomials by the product of a base, rounding to nearest; their
/// last limbs are those of the base, and the first `n_limbs` remain.
pub(crate) fn divide(ctx: &Context, base: &Base, polys: &[&Poly], n_limbs: usize) -> Vec<Poly> {
    let lifted: Vec<Lifted> = polys.par_iter().map(|poly| lift_tail(ctx, base, poly, n_limbs)).collect();
    let mut quotients: Vec<Poly> = polys.iter().map(|_| Poly::scratch(ctx.ring_degree(), n_limbs)).collect();
    by_limb(&mut quotients).into_par_iter().enumerate().for_each(|(t, outs)| {
        for ((out, poly), lifted) in outs.into_iter().zip(polys).zip(&lifted) {
            base.convert(ctx, lifted, t, out);
            ctx.forward(t, out);
            kernels::sub_scale(&ctx.moduli()[t], out, poly.limb(t), base.inverse(t));
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
