//! Polynomials of one layer's elements, as far as ONNX spells them out in
//! products and sums with constants.

/// A number per block of consecutive elements (row-major): one block for a
/// number that all elements share, one block per channel, or blocks of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coefficient {
    /// One value per block.
    pub values: Vec<f64>,
}

impl Coefficient {
    /// The same number for all elements.
    pub fn uniform(value: f64) -> Coefficient {
        Coefficient { values: vec![value] }
    }

    /// A number per block; blocks are equally long. Equal numbers shrink.
    pub fn blocks(values: Vec<f64>) -> Coefficient {
        match values.split_first() {
            Some((first, rest)) if rest.iter().all(|v| v == first) => Coefficient::uniform(*first),
            Some(_) | None => Coefficient { values },
        }
    }

    /// Combines element by element. Both block counts divide the number of
    /// elements; if neither divides the other, `n` blocks are used.
    fn zip(&self, other: &Coefficient, n: usize, f: impl Fn(f64, f64) -> f64) -> Coefficient {
        let (a, b) = (self.values.len(), other.values.len());
        let blocks = joint(a, b, n);
        let at = |i: usize| f(self.values[i / (blocks / a)], other.values[i / (blocks / b)]);
        Coefficient::blocks((0..blocks).map(at).collect())
    }

    /// The value of each of `n` blocks, if no block is split.
    pub fn expand(&self, n: usize) -> Option<Vec<f64>> {
        let blocks = self.values.len();
        let at = |i: usize| self.values[i / (n / blocks)];
        n.is_multiple_of(blocks).then(|| (0..n).map(at).collect())
    }

    /// The number, if all elements share it.
    pub fn as_uniform(&self) -> Option<f64> {
        match self.values[..] {
            [value] => Some(value),
            [..] => None,
        }
    }

    fn is_zero(&self) -> bool {
        self.values.iter().all(|&v| v == 0.0)
    }
}

/// Blocks in which two tensors of `n` elements agree that have `a` and `b` blocks.
fn joint(a: usize, b: usize, n: usize) -> usize {
    match a.max(b) {
        longest if longest.is_multiple_of(a) && longest.is_multiple_of(b) => longest,
        _ => n,
    }
}

/// `c0 + c1 x + c2 x^2 + ...`; the last coefficient is not zero unless it is
/// the only one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Polynomial {
    /// Constant first, at least one.
    pub coefficients: Vec<Coefficient>,
}

impl Polynomial {
    /// `x`.
    pub fn identity() -> Polynomial {
        Polynomial::affine(Coefficient::uniform(1.0), Coefficient::uniform(0.0))
    }

    /// `scale x + shift`.
    pub fn affine(scale: Coefficient, shift: Coefficient) -> Polynomial {
        Polynomial { coefficients: vec![shift, scale] }.trimmed()
    }

    /// The same number or numbers for any `x`.
    pub fn constant(value: Coefficient) -> Polynomial {
        Polynomial { coefficients: vec![value] }
    }

    fn trimmed(mut self) -> Polynomial {
        while self.coefficients.len() > 1 && self.coefficients.last().is_some_and(Coefficient::is_zero) {
            self.coefficients.pop();
        }
        self
    }

    /// Highest power.
    pub fn degree(&self) -> usize {
        self.coefficients.len() - 1
    }

    /// Whether it is `x`.
    pub fn is_identity(&self) -> bool {
        *self == Polynomial::identity()
    }

    /// Whether it is a multiple of a power.
    pub fn is_monomial(&self) -> bool {
        self.coefficients[..self.degree()].iter().all(Coefficient::is_zero)
    }

    /// The coefficients, if each is one number for all elements.
    pub fn as_uniform(&self) -> Option<Vec<f64>> {
        self.coefficients.iter().map(Coefficient::as_uniform).collect()
    }

    /// Sum, over tensors of `n` elements.
    pub fn add(&self, other: &Polynomial, n: usize) -> Polynomial {
        let zero = Coefficient::uniform(0.0);
        let at = |p: &'_ Polynomial, k: usize| p.coefficients.get(k).unwrap_or(&zero).clone();
        let longest = self.coefficients.len().max(other.coefficients.len());
        let sum = |k| at(self, k).zip(&at(other, k), n, |a, b| a + b);
        Polynomial { coefficients: (0..longest).map(sum).collect() }.trimmed()
    }

    /// Product, over tensors of `n` elements.
    pub fn mul(&self, other: &Polynomial, n: usize) -> Polynomial {
        let degree = self.degree() + other.degree();
        let mut coefficients = vec![Coefficient::uniform(0.0); degree + 1];
        for (i, a) in self.coefficients.iter().enumerate() {
            for (j, b) in other.coefficients.iter().enumerate() {
                let product = a.zip(b, n, |a, b| a * b);
                coefficients[i + j] = coefficients[i + j].zip(&product, n, |a, b| a + b);
            }
        }
        Polynomial { coefficients }.trimmed()
    }

    /// Numbers that [`Polynomial::add`] computes at most.
    pub fn sum_work(&self, other: &Polynomial, n: usize) -> usize {
        let blocks = |p: &Polynomial, power: usize| p.coefficients.get(power).map_or(1, |c| c.values.len());
        let longest = self.coefficients.len().max(other.coefficients.len());
        let sums = (0..longest).map(|power| joint(blocks(self, power), blocks(other, power), n));
        sums.fold(0, usize::saturating_add)
    }

    /// Products that [`Polynomial::mul`] computes at most, each followed by a sum.
    pub fn product_work(&self, other: &Polynomial, n: usize) -> usize {
        let powers = 0..=self.degree() + other.degree();
        powers.map(|power| self.work_of_power(other, power, n)).fold(0, usize::saturating_add)
    }

    /// Those of one coefficient of the result: all pairs have the blocks in which all of them agree.
    fn work_of_power(&self, other: &Polynomial, power: usize, n: usize) -> usize {
        let first = power.saturating_sub(other.degree());
        let pairs = first..=power.min(self.degree());
        let n_pairs = pairs.clone().count();
        let blocks = |i: usize| {
            joint(self.coefficients[i].values.len(), other.coefficients[power - i].values.len(), n)
        };
        n_pairs.saturating_mul(pairs.map(blocks).fold(1, |all, of_pair| joint(all, of_pair, n)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_products_and_sums_become_coefficients() {
        let x = Polynomial::identity();
        let constant = |value: f64| Polynomial::constant(Coefficient::uniform(value));
        let half = x.mul(&constant(0.5), 6);
        let p = half.mul(&x, 6).add(&x, 6).add(&constant(3.0), 6);
        assert_eq!(p.as_uniform(), Some(vec![3.0, 1.0, 0.5]));
        let by_channel = Polynomial::constant(Coefficient::blocks(vec![1.0, 2.0]));
        let by_row = Polynomial::constant(Coefficient::blocks(vec![1.0, 2.0, 3.0]));
        let both = x.mul(&by_channel, 6).mul(&by_row, 6);
        assert_eq!(both.coefficients[1].values, [1.0, 1.0, 2.0, 4.0, 6.0, 6.0]);
        let nothing = x.add(&x.mul(&constant(-1.0), 6), 6);
        assert_eq!(nothing.as_uniform(), Some(vec![0.0]));
    }

    #[test]
    fn work_is_known_before_it_is_done() {
        let by_channel = |degree: usize| Polynomial {
            coefficients: vec![Coefficient::blocks(vec![1.0, 2.0]); degree + 1],
        };
        assert_eq!(by_channel(3).product_work(&by_channel(2), 6), 4 * 3 * 2);
        assert_eq!(by_channel(3).sum_work(&by_channel(2), 6), 4 * 2);
        // Blocks of two and three elements agree in single ones.
        let by_row = Polynomial::constant(Coefficient::blocks(vec![1.0, 2.0, 3.0]));
        assert_eq!(by_channel(3).product_work(&by_row, 6), 4 * 6);
        assert_eq!(by_channel(3).sum_work(&by_row, 6), 6 + 3 * 2);
        let x = Polynomial::identity();
        assert_eq!((x.product_work(&x, 6), x.sum_work(&x, 6)), (4, 2));
    }
}
