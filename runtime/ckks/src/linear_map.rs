//! A matrix, encoded for multiplication with encrypted vectors.
//!
//! The diagonal method: y = Σ_d diag_d ⊙ rot_d(x). Steps d are written as a giant
//! step plus a baby step (Halevi and Shoup, "Faster homomorphic linear
//! transformations in HElib", 2018, section 4), and every division by the special
//! modulus is put off that can be: babies and sums have none, a giant divides
//! one polynomial (Bossuat et al. 2021, section 4.2).

use crate::ciphertext::{Ciphertext, Plaintext};
use crate::encoder::Encoder;
use crate::error::Error;
use crate::evaluator::Evaluator;
use crate::keys::GaloisKeys;
use std::collections::{BTreeMap, BTreeSet};

/// The non-zero diagonals of a matrix.
#[derive(Clone, Debug)]
pub struct LinearMap {
    babies: Vec<usize>,
    /// By giant step: diagonals by position in `babies`, turned back by the giant.
    giants: Vec<(usize, Vec<(usize, Plaintext)>)>,
}

impl LinearMap {
    /// Encodes diagonals by step; diagonal `d` holds the factors of slot i + d in
    /// slot i, for i below its length, repeated to fill the slots. Babies are the
    /// steps modulo `n_babies`.
    ///
    /// # Errors
    /// [`Error::Empty`] without diagonals or babies, and as [`Encoder::encode`].
    pub fn encode(
        encoder: &Encoder,
        diagonals: &BTreeMap<usize, Vec<f64>>,
        n_babies: usize,
        level: usize,
        scale: f64,
    ) -> Result<LinearMap, Error> {
        if diagonals.is_empty() || n_babies == 0 {
            return Err(Error::Empty("linear_map"));
        }
        let babies: BTreeSet<usize> = diagonals.keys().map(|step| step % n_babies).collect();
        let babies: Vec<usize> = babies.into_iter().collect();
        let mut giants: BTreeMap<usize, Vec<(usize, Plaintext)>> = BTreeMap::new();
        for (step, diagonal) in diagonals {
            let (giant, baby) = (step - step % n_babies, step % n_babies);
            let mut turned = diagonal.clone();
            if !turned.is_empty() {
                turned.rotate_right(giant % diagonal.len());
            }
            let place = babies.partition_point(|&other| other < baby);
            let encoded = encoder.encode_extended(&turned, level, scale)?;
            giants.entry(giant).or_default().push((place, encoded));
        }
        Ok(LinearMap { babies, giants: giants.into_iter().collect() })
    }

    /// The rotations it takes keys for.
    pub fn steps(&self) -> Vec<usize> {
        let giants = self.giants.iter().map(|(giant, _)| giant);
        let steps: BTreeSet<usize> =
            self.babies.iter().chain(giants).copied().filter(|&step| step != 0).collect();
        steps.into_iter().collect()
    }

    /// Memory it holds.
    pub fn byte_size(&self) -> usize {
        self.giants.iter().flat_map(|(_, row)| row).map(|(_, diagonal)| diagonal.byte_size()).sum()
    }
}

impl Evaluator {
    /// The matrix times the slots of `ct`. The result may be extended; a rescale then
    /// does the division that was put off in passing.
    ///
    /// # Errors
    /// As [`Evaluator::rotate_many_extended`] and [`Evaluator::inner_product`].
    pub fn linear_map(
        &self,
        ct: &Ciphertext,
        map: &LinearMap,
        keys: &GaloisKeys,
    ) -> Result<Ciphertext, Error> {
        let babies = self.rotate_many_extended(ct, &map.babies, keys)?;
        let rows: Vec<Vec<(&Ciphertext, &Plaintext)>> = map
            .giants
            .iter()
            .map(|(_, row)| row.iter().map(|(baby, pt)| (&babies[*baby], pt)).collect())
            .collect();
        let products = self.inner_products(&rows)?;
        let turned = products.iter().zip(&map.giants).map(|(product, &(giant, _))| {
            let mut turned = self.rotate_many_extended(product, &[giant], keys)?;
            turned.pop().ok_or(Error::Empty("linear_map"))
        });
        let turned = turned.collect::<Result<Vec<_>, _>>()?;
        self.sum(&turned.iter().collect::<Vec<_>>())
    }
}
