//! Computation on ciphertexts.
//!
//! Operands at different levels meet at the lower one. Scales are the caller's
//! business: no operation is refused because of them.
//!
//! A key switch ends with a division by the special modulus P, which costs more than
//! its products. It may be put off: an *extended* ciphertext is P times what it
//! stands for, over the ciphertext primes and the special ones. Sums and products
//! with extended plaintexts stay extended, a rescale divides by P in passing, and
//! everything else divides first (double hoisting: Bossuat et al., "Efficient
//! bootstrapping for approximate homomorphic encryption with non-sparse keys",
//! 2021, section 4.2).

mod products;
mod switching;
mod weighted;

use crate::ciphertext::{Ciphertext, Contents, Plaintext};
use crate::context::Context;
use crate::encoder::{check_fits, check_scale};
use crate::error::Error;
use crate::kernels;
use crate::keyswitch::divide;
use crate::poly::Poly;
use rayon::prelude::*;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Computes on ciphertexts of one ring.
#[derive(Clone)]
pub struct Evaluator {
    ctx: Arc<Context>,
    stop: Option<Stop>,
}

/// Tells whether work is to stop; once it says so, it does for ever. Called from any thread.
pub type Stop = Arc<dyn Fn() -> bool + Send + Sync>;

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator").field("ctx", &self.ctx).finish_non_exhaustive()
    }
}

impl Evaluator {
    /// An evaluator for a ring.
    pub fn new(ctx: &Arc<Context>) -> Evaluator {
        Evaluator { ctx: ctx.clone(), stop: None }
    }

    /// The same, whose sums, inner products and rotations ask time and again whether to stop, however many terms
    /// they have, and then end with [`Error::Stopped`].
    pub fn until(&self, stop: Stop) -> Evaluator {
        Evaluator { ctx: self.ctx.clone(), stop: Some(stop) }
    }

    fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop())
    }

    /// What was computed, unless parts of it were left out.
    fn unless_stopped<T>(&self, result: T) -> Result<T, Error> {
        if self.is_stopped() { Err(Error::Stopped) } else { Ok(result) }
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
        let common = self.common("sub", [a, b].into_iter())?;
        let (a, b) = (self.meet(a, common), self.meet(b, common));
        let mut out = self.cut(&a, common.level);
        for (out, part) in out.parts.iter_mut().zip(&b.parts) {
            out.sub_modulo(&self.ctx, &common.primes(&self.ctx), part);
        }
        Ok(out)
    }

    /// -a.
    ///
    /// # Errors
    /// [`Error::ForeignContext`].
    pub fn neg(&self, a: &Ciphertext) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(a.fingerprint)?;
        let primes = self.ctx.primes_of(a.level, a.extended);
        let negate = |part: &Poly| {
            let mut out = Poly::zero(self.ctx.ring_degree(), primes.len());
            out.sub_modulo(&self.ctx, &primes, part);
            out
        };
        Ok(a.with_parts(a.parts.iter().map(negate).collect()))
    }

    /// Sum of ciphertexts of one degree.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::ForeignContext`], [`Error::Degree`].
    pub fn sum(&self, terms: &[&Ciphertext]) -> Result<Ciphertext, Error> {
        self.sum_for("sum", terms)
    }

    fn sum_for<'a>(&self, op: &'static str, terms: &[&'a Ciphertext]) -> Result<Ciphertext, Error> {
        let common = self.common(op, terms.iter().copied())?;
        let meet = |term: &&'a Ciphertext| self.unless_stopped(()).map(|()| self.meet(term, common));
        let terms: Vec<Cow<Ciphertext>> = terms.iter().map(meet).collect::<Result<_, _>>()?;
        let primes = common.primes(&self.ctx);
        let mut out = self.cut(&terms[0], common.level);
        for (k, part) in out.parts.iter_mut().enumerate() {
            part.par_limbs_mut().for_each(|(t, limb)| {
                for term in terms[1..].iter().take_while(|_| !self.is_stopped()) {
                    kernels::add_assign(&self.ctx.moduli()[primes[t]], limb, term.parts[k].limb(t));
                }
            });
        }
        self.unless_stopped(out)
    }

    /// ct + pt.
    ///
    /// # Errors
    /// [`Error::ForeignContext`].
    pub fn add_plain(&self, ct: &Ciphertext, pt: &Plaintext) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        self.ctx.check_owns(pt.fingerprint)?;
        let mut out = self.cut(ct, ct.level.min(pt.level));
        match (&pt.contents, out.extended) {
            (Contents::Constant(integer), extended) => {
                out.parts[0].add_constant(&self.ctx, **integer, out.level + 1, extended);
            }
            (Contents::Poly { residues, .. }, false) => out.parts[0].add_packed(&self.ctx, residues),
            (Contents::Poly { .. }, true) => {
                out.parts[0].add_special(&self.ctx, &pt.words(&self.ctx).prefix(out.level + 1));
            }
        }
        Ok(out)
    }

    /// ct · pt.
    ///
    /// # Errors
    /// As [`Evaluator::inner_product`].
    pub fn mul_plain(&self, ct: &Ciphertext, pt: &Plaintext) -> Result<Ciphertext, Error> {
        self.inner_product(&[(ct, pt)])
    }

    /// ct · value, with the value encoded at `scale` as one integer.
    ///
    /// # Errors
    /// [`Error::ForeignContext`], [`Error::NotFinite`], [`Error::Scale`], [`Error::Overflow`].
    pub fn mul_scalar(&self, ct: &Ciphertext, value: f64, scale: f64) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        let integer = self.scalar(value, scale, ct.level)?;
        let mut out = ct.with_parts(ct.parts.clone());
        let primes = self.ctx.primes_of(ct.level, ct.extended);
        for part in &mut out.parts {
            part.par_limbs_mut().for_each(|(t, limb)| {
                let modulus = &self.ctx.moduli()[primes[t]];
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
        let common = self.common("mul", [a, b].into_iter())?;
        check_degree("mul", common.degree, 1)?;
        let [a, b] = [a, b].map(|ct| ct.reduced(&self.ctx));
        let ([a0, a1], [b0, b1]) = ([&a.parts[0], &a.parts[1]], [&b.parts[0], &b.parts[1]]);
        let dot = |x: &[&Poly], y: &[&Poly]| Poly::dot(&self.ctx, common.level + 1, x, y);
        let parts = vec![dot(&[a0], &[b0]), dot(&[a0, a1], &[b1, b0]), dot(&[a1], &[b1])];
        Ok(self.derived(parts, common.level, a.scale_log2 + b.scale_log2))
    }

    /// a · a, of degree 2.
    ///
    /// # Errors
    /// As [`Evaluator::mul`].
    pub fn square(&self, a: &Ciphertext) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(a.fingerprint)?;
        check_degree("square", a.degree(), 1)?;
        let a = a.reduced(&self.ctx);
        let (a0, a1) = (&a.parts[0], &a.parts[1]);
        let dot = |x: &Poly, y: &Poly| Poly::dot(&self.ctx, a.level + 1, &[x], &[y]);
        let mut cross = dot(a0, a1);
        cross.double(&self.ctx);
        Ok(self.derived(vec![dot(a0, a0), cross, dot(a1, a1)], a.level, 2.0 * a.scale_log2))
    }

    /// Division by the last prime, rounded to nearest.
    ///
    /// # Errors
    /// [`Error::NoPrimeLeft`] at level zero, [`Error::ForeignContext`].
    pub fn rescale(&self, ct: &Ciphertext) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        let level = ct.level.checked_sub(1).ok_or(Error::NoPrimeLeft)?;
        let base = self.ctx.rescale_base(ct.level, ct.extended);
        let parts = divide(&self.ctx, base, &ct.parts.iter().collect::<Vec<_>>(), level + 1);
        let prime = self.ctx.params().q[ct.level] as f64;
        Ok(self.derived(parts, level, ct.scale_log2 - prime.log2()))
    }

    /// ct · 2^exponent: the same polynomials at another scale.
    pub fn mul_power_of_two(&self, ct: &Ciphertext, exponent: i32) -> Ciphertext {
        let mut product = ct.clone();
        product.scale_log2 -= f64::from(exponent);
        product
    }

    /// Division by the last primes down to `level`, one rounding for all of them.
    ///
    /// # Errors
    /// [`Error::LevelRises`], [`Error::ForeignContext`], [`Error::Count`] for more
    /// primes than are converted together.
    pub fn rescale_to(&self, ct: &Ciphertext, level: usize) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        if level > ct.level {
            return Err(Error::LevelRises { from: ct.level, to: level });
        }
        if level == ct.level {
            return self.reduce(ct);
        }
        let dropped: Vec<usize> = (level + 1..=ct.level).collect();
        let base = self.ctx.base_of(&dropped, ct.extended)?;
        let parts = divide(&self.ctx, &base, &ct.parts.iter().collect::<Vec<_>>(), level + 1);
        let primes = dropped.iter().map(|&l| (self.ctx.params().q[l] as f64).log2());
        Ok(self.derived(parts, level, ct.scale_log2 - primes.sum::<f64>()))
    }

    /// Forgets primes down to `level`.
    ///
    /// # Errors
    /// [`Error::LevelRises`], [`Error::ForeignContext`].
    pub fn drop_level(&self, ct: &Ciphertext, level: usize) -> Result<Ciphertext, Error> {
        self.ctx.check_owns(ct.fingerprint)?;
        match level <= ct.level {
            true => Ok(self.cut(ct, level)),
            false => Err(Error::LevelRises { from: ct.level, to: level }),
        }
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

    /// Where ciphertexts of this ring and one degree meet.
    fn common<'a>(
        &self,
        op: &'static str,
        mut terms: impl Iterator<Item = &'a Ciphertext>,
    ) -> Result<Common, Error> {
        let first = terms.next().ok_or(Error::Empty(op))?;
        self.ctx.check_owns(first.fingerprint)?;
        let mut common = Common { level: first.level, degree: first.degree(), extended: first.extended };
        for term in terms {
            self.ctx.check_owns(term.fingerprint)?;
            check_degree(op, term.degree(), common.degree)?;
            common.level = common.level.min(term.level);
            common.extended |= term.extended;
        }
        Ok(common)
    }

    /// A ciphertext that starts with the limbs it shares with others.
    fn meet<'a>(&self, ct: &'a Ciphertext, common: Common) -> Cow<'a, Ciphertext> {
        match (ct.extended, common.extended) {
            (false, false) => Cow::Borrowed(ct),
            (true, true) if ct.level == common.level => Cow::Borrowed(ct),
            (true, true) => Cow::Owned(self.cut(ct, common.level)),
            (false, true) => Cow::Owned(self.extended(ct, common.level)),
            (true, false) => ct.reduced(&self.ctx),
        }
    }

    /// A copy times the special modulus, over extended primes.
    fn extended(&self, ct: &Ciphertext, level: usize) -> Ciphertext {
        let n_limbs = self.ctx.extended(level).len();
        let extend = |part: &Poly| {
            Poly::build(self.ctx.ring_degree(), n_limbs, |t, out| match t <= level {
                true => {
                    out.copy_from_slice(part.limb(t));
                    kernels::scale(&self.ctx.moduli()[t], out, self.ctx.special_factor(t));
                }
                false => out.fill(0),
            })
        };
        let parts = ct.parts.iter().map(extend).collect();
        Ciphertext { extended: true, ..self.derived(parts, level, ct.scale_log2) }
    }

    /// A copy cut to a level; unless special primes follow, it shares the words.
    fn cut(&self, ct: &Ciphertext, level: usize) -> Ciphertext {
        if !ct.extended || ct.level == level {
            let n_limbs = self.ctx.primes_of(level, ct.extended).len();
            let parts = ct.parts.iter().map(|part| part.prefix(n_limbs));
            return Ciphertext { level, ..ct.with_parts(parts.collect()) };
        }
        let n_limbs = self.ctx.primes_of(level, ct.extended).len();
        let source = |t: usize| if t <= level { t } else { t + ct.level - level };
        let copy = |part: &Poly| {
            Poly::build(self.ctx.ring_degree(), n_limbs, |t, out| out.copy_from_slice(part.limb(source(t))))
        };
        let parts = ct.parts.iter().map(copy).collect();
        Ciphertext { extended: ct.extended, ..self.derived(parts, level, ct.scale_log2) }
    }

    fn derived(&self, parts: Vec<Poly>, level: usize, scale_log2: f64) -> Ciphertext {
        Ciphertext::derived(&self.ctx, parts, level, scale_log2)
    }
}

/// What ciphertexts have in common when an operation joins them.
#[derive(Clone, Copy, PartialEq)]
struct Common {
    level: usize,
    degree: usize,
    extended: bool,
}

impl Common {
    fn primes(self, ctx: &Context) -> Vec<usize> {
        ctx.primes_of(self.level, self.extended)
    }
}

fn check_degree(op: &'static str, got: usize, wanted: usize) -> Result<(), Error> {
    match got == wanted {
        true => Ok(()),
        false => Err(Error::Degree { op, wanted, got }),
    }
}
