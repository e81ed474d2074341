//! Polynomials in transformed residue form.

use crate::buffer::Buffer;
use crate::context::Context;
use crate::kernels;
use crate::packed::{Packed, Residues};
use rayon::prelude::*;
use std::fmt;
use std::mem;
use std::sync::Arc;
use zeroize::Zeroize;

/// Residues of one polynomial modulo several primes, limb after limb. Copies share
/// their words until one of them is written to.
#[derive(Clone)]
pub(crate) struct Poly {
    degree: usize,
    n_limbs: usize,
    words: Arc<Buffer>,
}

impl PartialEq for Poly {
    fn eq(&self, other: &Poly) -> bool {
        self.degree == other.degree && self.words() == other.words()
    }
}

impl Eq for Poly {}

/// Prints no residues, which may be secret.
impl fmt::Debug for Poly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poly({} limbs of {})", self.limbs().count(), self.degree)
    }
}

/// Lets go of the words; the last to do so wipes them.
impl Zeroize for Poly {
    fn zeroize(&mut self) {
        let words = mem::replace(&mut self.words, Arc::new(Buffer::scratch(0)));
        self.n_limbs = 0;
        if let Some(mut words) = Arc::into_inner(words) {
            words.zeroize();
        }
    }
}

impl Poly {
    pub fn zero(degree: usize, n_limbs: usize) -> Poly {
        Poly { degree, n_limbs, words: Arc::new(Buffer::zeroed(degree * n_limbs)) }
    }

    /// Limbs whose contents say nothing: the caller writes all of them.
    pub fn scratch(degree: usize, n_limbs: usize) -> Poly {
        Poly { degree, n_limbs, words: Arc::new(Buffer::scratch(degree * n_limbs)) }
    }

    /// Writes each limb in parallel, given its number and unspecified contents.
    pub fn build(degree: usize, n_limbs: usize, fill: impl Fn(usize, &mut [u64]) + Sync) -> Poly {
        let mut poly = Poly::scratch(degree, n_limbs);
        poly.par_limbs_mut().for_each(|(t, limb)| fill(t, limb));
        poly
    }

    /// As [`Poly::build`], two polynomials at once.
    pub fn build_pair(
        degree: usize,
        n_limbs: usize,
        fill: impl Fn(usize, [&mut [u64]; 2]) + Sync,
    ) -> [Poly; 2] {
        let [mut x, mut y] = [Poly::scratch(degree, n_limbs), Poly::scratch(degree, n_limbs)];
        let limbs = x.par_limbs_mut().zip(y.par_limbs_mut());
        limbs.for_each(|((t, x), (_, y))| fill(t, [x, y]));
        [x, y]
    }

    fn words(&self) -> &[u64] {
        &self.words[..self.n_limbs * self.degree]
    }

    /// Words that no other polynomial shares.
    fn words_mut(&mut self) -> &mut [u64] {
        if Arc::get_mut(&mut self.words).is_none() {
            self.words = Arc::new(Buffer::copy_of(self.words()));
        }
        let own = Arc::get_mut(&mut self.words).expect("words that were just copied are not shared");
        &mut own[..self.n_limbs * self.degree]
    }

    pub fn limb(&self, t: usize) -> &[u64] {
        &self.words()[t * self.degree..(t + 1) * self.degree]
    }

    pub fn limbs(&self) -> impl Iterator<Item = &[u64]> {
        self.words().chunks_exact(self.degree)
    }

    pub fn limbs_mut(&mut self) -> impl Iterator<Item = &mut [u64]> {
        let degree = self.degree;
        self.words_mut().chunks_exact_mut(degree)
    }

    pub fn par_limbs_mut(&mut self) -> impl IndexedParallelIterator<Item = (usize, &mut [u64])> {
        let degree = self.degree;
        self.words_mut().par_chunks_exact_mut(degree).enumerate()
    }

    /// The first `n_limbs` limbs: shared, or copied where they are less than half of
    /// the memory that they would keep alive.
    pub fn prefix(&self, n_limbs: usize) -> Poly {
        let n_limbs = self.n_limbs.min(n_limbs);
        let words = &self.words[..n_limbs * self.degree];
        match 2 * words.len() < self.words.len() {
            true => Poly { n_limbs, words: Arc::new(Buffer::copy_of(words)), ..*self },
            false => Poly { n_limbs, ..self.clone() },
        }
    }

    /// Bytes of the memory that it keeps alive, which others may share.
    pub fn byte_size(&self) -> usize {
        size_of_val(&self.words[..])
    }

    /// self += other, over the limbs of self, which are modulo the first primes.
    pub fn add_assign(&mut self, ctx: &Context, other: &Poly) {
        let primes: Vec<usize> = (0..self.limbs().count()).collect();
        self.add_modulo(ctx, &primes, other);
    }

    /// self += other, over the limbs of self, which are modulo the given primes.
    pub fn add_modulo(&mut self, ctx: &Context, primes: &[usize], other: &Poly) {
        self.par_limbs_mut().for_each(|(t, limb)| {
            kernels::add_assign(&ctx.moduli()[primes[t]], limb, other.limb(t));
        });
    }

    /// self += P·other, over the limbs of other; self is extended.
    pub fn add_special(&mut self, ctx: &Context, other: &Poly) {
        let others = other.words().par_chunks_exact(self.degree);
        self.par_limbs_mut().zip(others).for_each(|((t, limb), other)| {
            kernels::add_scaled(&ctx.moduli()[t], limb, other, ctx.special_factor(t));
        });
    }

    /// self += integer in the first `n_limbs` limbs, or P·integer when self is extended.
    pub fn add_constant(&mut self, ctx: &Context, integer: i128, n_limbs: usize, extended: bool) {
        self.par_limbs_mut().take(n_limbs).for_each(|(t, limb)| {
            let modulus = &ctx.moduli()[t];
            let residue = modulus.reduce_signed(integer);
            let residue = if extended { modulus.scale(residue, ctx.special_factor(t)) } else { residue };
            kernels::add_scalar(modulus, limb, residue);
        });
    }

    /// self += other, over the limbs of self.
    pub fn add_packed(&mut self, ctx: &Context, other: &Packed) {
        self.par_limbs_mut().for_each(|(t, limb)| {
            let mut words = Buffer::wiped_scratch(limb.len());
            other.unpack(t, 0, &mut words);
            kernels::add_assign(&ctx.moduli()[t], limb, &words);
        });
    }

    /// self += self, modulo the first primes.
    pub fn double(&mut self, ctx: &Context) {
        self.par_limbs_mut().for_each(|(t, limb)| {
            let modulus = &ctx.moduli()[t];
            kernels::scale(modulus, limb, modulus.factor(2));
        });
    }

    /// self -= other, over the limbs of self, which are modulo the first primes.
    pub fn sub_assign(&mut self, ctx: &Context, other: &Poly) {
        let primes: Vec<usize> = (0..self.limbs().count()).collect();
        self.sub_modulo(ctx, &primes, other);
    }

    /// self -= other, over the limbs of self, which are modulo the given primes.
    pub fn sub_modulo(&mut self, ctx: &Context, primes: &[usize], other: &Poly) {
        self.par_limbs_mut().for_each(|(t, limb)| {
            kernels::sub_assign(&ctx.moduli()[primes[t]], limb, other.limb(t));
        });
    }

    /// Σ a·b over pairs of polynomials that have `n_limbs` limbs or more.
    pub fn dot(ctx: &Context, n_limbs: usize, a: &[&Poly], b: &[&Poly]) -> Poly {
        Poly::build(ctx.ring_degree(), n_limbs, |t, out| {
            kernels::dot(&ctx.moduli()[t], out, &limbs_at(a, t), &limbs_at(b, t));
        })
    }

    /// (Σ a·b0, Σ a·b1), as [`Poly::dot`].
    pub fn dot2(ctx: &Context, n_limbs: usize, a: &[&Poly], b0: &[&Poly], b1: &[&Poly]) -> [Poly; 2] {
        Poly::build_pair(ctx.ring_degree(), n_limbs, |t, [out0, out1]| {
            let [a, b0, b1] = [a, b0, b1].map(|polys| limbs_at(polys, t));
            kernels::dot2(&ctx.moduli()[t], 0, out0, out1, &a, &b0, &b1);
        })
    }
}

fn limbs_at<'a>(polys: &[&'a Poly], t: usize) -> Vec<Residues<'a>> {
    polys.iter().map(|poly| Residues::of_words(poly.limb(t))).collect()
}

/// The limbs of several polynomials, grouped by limb instead of by polynomial.
pub(crate) fn by_limb<'a>(polys: impl IntoIterator<Item = &'a mut Poly>) -> Vec<Vec<&'a mut [u64]>> {
    let mut groups: Vec<Vec<&mut [u64]>> = Vec::new();
    for poly in polys {
        for (t, limb) in poly.limbs_mut().enumerate() {
            if groups.len() <= t {
                groups.push(Vec::new());
            }
            groups[t].push(limb);
        }
    }
    groups
}
