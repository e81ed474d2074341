//! Sparse matrices by rows. Zeros are dropped when a row is made, so every
//! entry anyone sees is a product that has to be computed.

use super::convolution::Convolution;
use rayon::iter::Either;
use std::sync::Arc;

/// A sparse matrix. Clones share the entries.
#[derive(Clone, Debug)]
pub struct Matrix {
    n_cols: usize,
    /// Factor on all entries.
    scale: f64,
    entries: Arc<Entries>,
}

#[derive(Debug)]
enum Entries {
    Listed(Listed),
    Convolution(Convolution),
}

/// Compressed row form.
#[derive(Debug)]
struct Listed {
    starts: Vec<usize>,
    cols: Vec<u32>,
    weights: Vec<f64>,
}

impl Matrix {
    /// Collects rows of `(column, weight)`; weights on one column add up.
    pub fn from_rows(n_cols: usize, rows: impl IntoIterator<Item = Vec<(usize, f64)>>) -> Matrix {
        let mut listed = Listed { starts: vec![0], cols: Vec::new(), weights: Vec::new() };
        for mut row in rows {
            row.sort_unstable_by_key(|entry| entry.0);
            listed.push_sorted(&row);
        }
        Matrix { n_cols, scale: 1.0, entries: Arc::new(Entries::Listed(listed)) }
    }

    /// The matrix of a convolution.
    pub(super) fn of_convolution(convolution: Convolution) -> Matrix {
        let n_cols = convolution.n_cols();
        Matrix { n_cols, scale: 1.0, entries: Arc::new(Entries::Convolution(convolution)) }
    }

    /// The matrix that changes nothing.
    pub fn identity(n: usize) -> Matrix {
        Matrix::from_rows(n, (0..n).map(|i| vec![(i, 1.0)]))
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        match &*self.entries {
            Entries::Listed(listed) => listed.starts.len() - 1,
            Entries::Convolution(convolution) => convolution.n_rows(),
        }
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Number of non-zero entries.
    pub fn n_nonzeros(&self) -> usize {
        match &*self.entries {
            Entries::Listed(listed) => listed.cols.len(),
            Entries::Convolution(convolution) => convolution.n_nonzeros(),
        }
    }

    /// Non-zero entries of a row as `(column, weight)`, columns ascending.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let entries = match &*self.entries {
            Entries::Listed(listed) => Either::Left(listed.row(row)),
            Entries::Convolution(convolution) => Either::Right(convolution.row(row)),
        };
        entries.map(|(col, weight)| (col, weight * self.scale))
    }

    /// The map that applies `first` and then `self`.
    pub fn after(&self, first: &Matrix) -> Matrix {
        if let (Entries::Convolution(last), Entries::Convolution(tiles)) = (&*self.entries, &*first.entries)
            && self.scale * first.scale == 1.0
            && let Some(both) = last.after(tiles)
        {
            return Matrix::of_convolution(both);
        }
        let mut sums = Accumulator::new(first.n_cols);
        let rows = (0..self.n_rows()).map(|r| {
            for (middle, weight) in self.row(r) {
                first.row(middle).for_each(|(col, inner)| sums.add(col, weight * inner));
            }
            sums.take()
        });
        Matrix::from_rows(first.n_cols, rows)
    }

    /// Non-zeros of [`Matrix::after`], at most.
    pub fn n_products_after(&self, first: &Matrix) -> usize {
        let lens: Vec<usize> = (0..first.n_rows()).map(|row| first.row(row).count()).collect();
        let products = |row: usize| self.row(row).map(|(middle, _)| lens[middle]).sum::<usize>();
        (0..self.n_rows()).map(|row| products(row).min(first.n_cols)).sum()
    }

    /// Multiplies all entries by `factor`, which is neither zero nor so small that products become it.
    pub fn scaled(&self, factor: f64) -> Matrix {
        Matrix { scale: self.scale * factor, ..self.clone() }
    }

    /// Multiplies row `r` by `factor(r)`.
    pub fn scale_rows(&self, factor: impl Fn(usize) -> f64) -> Matrix {
        if let Entries::Convolution(convolution) = &*self.entries
            && let Some(scaled) = convolution.scale_rows(&factor)
        {
            return Matrix { scale: self.scale, ..Matrix::of_convolution(scaled) };
        }
        let scaled = |r: usize| self.row(r).map(|(c, w)| (c, w * factor(r))).collect();
        Matrix::from_rows(self.n_cols, (0..self.n_rows()).map(scaled))
    }

    /// Result row `i` is row `source[i]`.
    pub fn select_rows(&self, source: &[usize]) -> Matrix {
        Matrix::from_rows(self.n_cols, source.iter().map(|&r| self.row(r).collect()))
    }

    /// Rows and columns exchanged.
    pub fn transposed(&self) -> Matrix {
        let mut rows = vec![Vec::new(); self.n_cols];
        for row in 0..self.n_rows() {
            self.row(row).for_each(|(col, weight)| rows[col].push((row, weight)));
        }
        Matrix::from_rows(self.n_rows(), rows)
    }

    /// Matrix-vector product.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let dot = |r: usize| self.row(r).map(|(c, w)| w * x[c]).sum();
        (0..self.n_rows()).map(dot).collect()
    }

    /// True when the map changes nothing.
    pub fn is_identity(&self) -> bool {
        self.n_rows() == self.n_cols && (0..self.n_rows()).all(|r| self.row(r).eq(std::iter::once((r, 1.0))))
    }
}

impl Listed {
    fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[row]..self.starts[row + 1];
        let cols = self.cols[range.clone()].iter().map(|&c| c as usize);
        cols.zip(self.weights[range].iter().copied())
    }

    fn push_sorted(&mut self, row: &[(usize, f64)]) {
        for run in row.chunk_by(|a, b| a.0 == b.0) {
            let weight: f64 = run.iter().map(|entry| entry.1).sum();
            if weight != 0.0 {
                self.cols.push(run[0].0 as u32);
                self.weights.push(weight);
            }
        }
        self.starts.push(self.cols.len());
    }
}

/// Adds up one sparse row at a time in a dense scratch vector.
struct Accumulator {
    sums: Vec<f64>,
    touched: Vec<usize>,
    is_touched: Vec<bool>,
}

impl Accumulator {
    fn new(len: usize) -> Accumulator {
        Accumulator { sums: vec![0.0; len], touched: Vec::new(), is_touched: vec![false; len] }
    }

    fn add(&mut self, index: usize, value: f64) {
        if !std::mem::replace(&mut self.is_touched[index], true) {
            self.touched.push(index);
        }
        self.sums[index] += value;
    }

    fn take(&mut self) -> Vec<(usize, f64)> {
        let touched = std::mem::take(&mut self.touched);
        let drain = |index: usize| {
            self.is_touched[index] = false;
            (index, std::mem::take(&mut self.sums[index]))
        };
        touched.into_iter().map(drain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composition_applies_first_then_second() {
        let first = Matrix::from_rows(3, [vec![(0, 2.0), (2, 1.0)], vec![(1, -1.0)]]);
        let second = Matrix::from_rows(2, [vec![(0, 1.0), (1, 3.0)], vec![(0, 0.5)]]);
        let x = [1.0, 2.0, 3.0];
        let both = second.after(&first);
        assert_eq!(both.apply(&x), second.apply(&first.apply(&x)));
        assert_eq!((both.n_nonzeros(), second.n_products_after(&first)), (5, 5));
    }

    #[test]
    fn zeros_and_cancelled_weights_are_dropped() {
        let matrix = Matrix::from_rows(2, [vec![(0, 1.0), (0, -1.0), (1, 0.0)], vec![(1, 4.0)]]);
        assert_eq!(matrix.n_nonzeros(), 1);
    }
}
