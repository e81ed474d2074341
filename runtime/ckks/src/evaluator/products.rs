//! Inner products of ciphertexts and plaintexts.

use super::weighted::{Row, Tiles};
use super::{Common, Evaluator, check_degree};
use crate::ciphertext::{Ciphertext, Contents, Plaintext};
use crate::error::Error;
use crate::kernels;
use crate::packed::{BLOCK, Packed, Residues};
use crate::poly::{Poly, by_limb};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;

/// One term of an inner product.
type Term<'a> = (&'a Ciphertext, &'a Plaintext);

/// Residues of each ciphertext that stay in the second-level cache while the rows
/// of a product of matrices take their turns.
const TILE: usize = 512;

/// Terms beyond which a single row is computed in tiles too, so that it can be stopped between them.
const LONG_ROW: usize = 1 << 12;
/// Most products of residues between two questions whether to stop, unless a block takes more.
const MAX_PRODUCTS: usize = 1 << 22;

/// Ciphertexts of inner products, each once, where they meet.
struct Operands<'a> {
    cts: Vec<Cow<'a, Ciphertext>>,
    /// By row: the ciphertext of each product with a polynomial, its plaintext and the level
    /// of that.
    rows: Vec<Vec<(usize, &'a Packed, usize)>>,
    /// By row: the products with constants.
    weighted: Tiles,
    /// Rows of such products alone.
    constant: Vec<bool>,
}

impl Evaluator {
    /// Σ ct · pt, reduced once instead of per term. It stays extended when a
    /// ciphertext is and all plaintexts are.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::ForeignContext`], and [`Error::Degree`] unless
    /// every ciphertext has degree 1, or all have one degree and all plaintexts are
    /// constant.
    pub fn inner_product(&self, terms: &[Term]) -> Result<Ciphertext, Error> {
        let mut products = self.inner_products(&[terms.to_vec()])?;
        products.pop().ok_or(Error::Empty("inner_product"))
    }

    /// Several inner products; ciphertexts that occur in several of them are read
    /// from memory once.
    ///
    /// # Errors
    /// As [`Evaluator::inner_product`].
    pub fn inner_products(&self, rows: &[Vec<Term>]) -> Result<Vec<Ciphertext>, Error> {
        let commons = rows.iter().map(|terms| self.common_of(terms)).collect::<Result<Vec<_>, _>>()?;
        let alike = |(row, common): (&Vec<Term>, &Common)| self.products(std::slice::from_ref(row), *common);
        match commons.split_first() {
            Some((&first, rest)) if rest.iter().all(|common| *common == first) => self.products(rows, first),
            _ => {
                let products = rows.iter().zip(&commons).map(alike).collect::<Result<Vec<_>, _>>()?;
                Ok(products.into_iter().flatten().collect())
            }
        }
    }

    fn common_of(&self, terms: &[Term]) -> Result<Common, Error> {
        let mut common = self.common("inner_product", terms.iter().map(|term| term.0))?;
        if terms.iter().any(|(_, pt)| matches!(pt.contents, Contents::Poly { .. })) {
            check_degree("inner_product", common.degree, 1)?;
        }
        for (_, pt) in terms {
            self.ctx.check_owns(pt.fingerprint)?;
            common.level = common.level.min(pt.level);
            common.extended &= pt.is_extended();
        }
        Ok(common)
    }

    fn products(&self, rows: &[Vec<Term>], common: Common) -> Result<Vec<Ciphertext>, Error> {
        let operands = self.operands(rows, common)?;
        let (n_parts, n_limbs) = (common.degree + 1, common.primes(&self.ctx).len());
        let scratch = |_| Poly::scratch(self.ctx.ring_degree(), n_limbs);
        let mut parts: Vec<Poly> = (0..n_parts * rows.len()).map(scratch).collect();
        by_limb(&mut parts).into_par_iter().enumerate().for_each(|(t, mut outs)| {
            if self.is_stopped() {
                return;
            }
            self.limb_products(&operands, common, t, &mut outs);
            self.limb_sums(&operands, common, t, outs);
        });
        let mut parts = parts.into_iter();
        let product = |terms: &Vec<Term>| {
            let scale_log2 = terms[0].0.scale_log2 + terms[0].1.scale_log2;
            let product = self.derived(parts.by_ref().take(n_parts).collect(), common.level, scale_log2);
            Ciphertext { extended: common.extended, ..product }
        };
        self.unless_stopped(rows.iter().map(product).collect())
    }

    fn operands<'a>(&self, rows: &[Vec<Term<'a>>], common: Common) -> Result<Operands<'a>, Error> {
        let (mut places, mut cts) = (HashMap::new(), Vec::new());
        let mut place = |ct: &'a Ciphertext| {
            *places.entry(std::ptr::from_ref(ct)).or_insert_with(|| {
                cts.push(self.meet(ct, common));
                cts.len() - 1
            })
        };
        let mut products = vec![Vec::new(); rows.len()];
        let mut sums: Vec<Row> = vec![Vec::new(); rows.len()];
        for ((terms, products), sums) in rows.iter().zip(&mut products).zip(&mut sums) {
            for &(ct, pt) in terms {
                self.unless_stopped(())?;
                match &pt.contents {
                    Contents::Poly { residues, .. } => products.push((place(ct), &**residues, pt.level)),
                    Contents::Constant(integer) => sums.push((place(ct), **integer)),
                }
            }
        }
        let constant = products.iter().map(Vec::is_empty).collect();
        let weighted = Tiles::of(&sums, cts.len());
        Ok(Operands { cts, rows: products, weighted, constant })
    }

    /// One limb of all products with polynomials, tile by tile.
    fn limb_products(&self, operands: &Operands, common: Common, t: usize, outs: &mut [&mut [u64]]) {
        let modulus = &self.ctx.moduli()[common.primes(&self.ctx)[t]];
        let plain = |level: usize| if t <= common.level { t } else { t + level - common.level };
        let limb = |ct: usize, k: usize| Residues::of_words(operands.cts[ct].parts[k].limb(t));
        let rows: Vec<[Vec<Residues>; 3]> = operands
            .rows
            .iter()
            .map(|terms| {
                [
                    terms.iter().map(|&(_, pt, level)| pt.group(plain(level))).collect(),
                    terms.iter().map(|&(ct, ..)| limb(ct, 0)).collect(),
                    terms.iter().map(|&(ct, ..)| limb(ct, 1)).collect(),
                ]
            })
            .collect();
        let longest = rows.iter().map(|[plains, ..]| plains.len()).max().unwrap_or(0);
        let tile = match rows.len() == 1 && longest <= LONG_ROW {
            true => self.ctx.ring_degree(),
            false => TILE.min((MAX_PRODUCTS / longest.max(1)).next_power_of_two()).max(BLOCK),
        };
        for start in (0..self.ctx.ring_degree()).step_by(tile) {
            for (out, [plains, parts0, parts1]) in outs.chunks_exact_mut(common.degree + 1).zip(&rows) {
                let [out0, out1] = out else { continue };
                if plains.is_empty() || self.is_stopped() {
                    continue;
                }
                let tile = start..out0.len().min(start + tile);
                let (out0, out1) = (&mut out0[tile.clone()], &mut out1[tile]);
                kernels::dot2(modulus, start, out0, out1, plains, parts0, parts1);
            }
        }
    }

    /// Adds one limb of all products with constants, each part by itself.
    fn limb_sums(&self, operands: &Operands, common: Common, t: usize, outs: Vec<&mut [u64]>) {
        if operands.weighted.is_empty() {
            return;
        }
        let modulus = &self.ctx.moduli()[common.primes(&self.ctx)[t]];
        let weighted = operands.weighted.modulo(modulus);
        let mut by_part: Vec<Vec<&mut [u64]>> = (0..=common.degree).map(|_| Vec::new()).collect();
        for (i, out) in outs.into_iter().enumerate() {
            by_part[i % (common.degree + 1)].push(out);
        }
        by_part.par_iter_mut().enumerate().for_each(|(k, outs)| {
            let limbs: Vec<&[u64]> = operands.cts.iter().map(|ct| ct.parts[k].limb(t)).collect();
            weighted.add(modulus, &limbs, outs, &operands.constant, &|| self.is_stopped());
        });
    }
}
