//! Tensors from outside and the one rule for which shapes they may have.
//!
//! A [`Tensor`] holds as many elements as its shape says. [`Shape::check`] decides whether a
//! tensor of one shape may stand for one of another; programs, data sets and clients ask it.

use crate::layout::Shape;
use thiserror::Error;

/// A row-major tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Shape,
    values: Vec<f64>,
}

/// A number of elements that is not the shape's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{n_values} elements make no tensor of shape {shape}")]
pub struct TensorError {
    /// The shape.
    pub shape: Shape,
    /// Elements given.
    pub n_values: usize,
}

impl Tensor {
    /// A tensor of a shape, such as `[1, 28, 28]`, from its row-major elements.
    ///
    /// # Errors
    /// When there are more or fewer elements than the shape says.
    pub fn new(shape: impl Into<Shape>, values: Vec<f64>) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        match shape.checked_elements() {
            Some(n) if n == values.len() => Ok(Tensor { shape, values }),
            Some(_) | None => Err(TensorError { shape, n_values: values.len() }),
        }
    }

    /// Extents, outermost first.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Elements, row-major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The elements alone.
    pub fn into_values(self) -> Vec<f64> {
        self.values
    }
}

/// A tensor with one axis.
impl From<Vec<f64>> for Tensor {
    fn from(values: Vec<f64>) -> Tensor {
        Tensor { shape: Shape(vec![values.len()]), values }
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Shape {
        Shape(extents.to_vec())
    }
}

/// How a tensor's shape misses the one that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It has another number of elements.
    Count,
    /// It has the axes in another order; lists the axis of the tensor that each expected axis is.
    Order(Vec<usize>),
    /// It has as many elements along other axes.
    Extents,
}

impl Shape {
    /// Tells whether a tensor of shape `found` may stand for one of this shape, element by
    /// element in row-major order. It may if both have the same extents in the same order, axes
    /// of extent one aside, or if this shape has no more than one axis besides those: a flat
    /// vector is the row-major order of whatever it was made from.
    ///
    /// # Errors
    /// How the shapes differ.
    pub fn check(&self, found: &Shape) -> Result<(), Misfit> {
        let (expected, extents) = (self.without_ones(), found.without_ones());
        if found.checked_elements() != self.checked_elements() {
            return Err(Misfit::Count);
        }
        if extents == expected || expected.len() <= 1 {
            return Ok(());
        }
        Err(self.axes_in(found).map_or(Misfit::Extents, Misfit::Order))
    }

    fn without_ones(&self) -> Vec<usize> {
        self.0.iter().copied().filter(|&extent| extent != 1).collect()
    }

    /// For each axis the first one of `other` with its extent that no axis before it took, if
    /// both have the same extents.
    fn axes_in(&self, other: &Shape) -> Option<Vec<usize>> {
        let mut is_taken = vec![false; other.0.len()];
        let mut take = |extent: &usize| {
            let axis = other.0.iter().zip(&is_taken).position(|(e, taken)| e == extent && !taken)?;
            is_taken[axis] = true;
            Some(axis)
        };
        let axes = self.0.iter().map(&mut take).collect::<Option<Vec<_>>>()?;
        (axes.len() == other.0.len()).then_some(axes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Misfit, Tensor};
    use crate::layout::Shape;

    fn check(expected: &[usize], found: &[usize]) -> Result<(), Misfit> {
        Shape(expected.to_vec()).check(&Shape(found.to_vec()))
    }

    #[test]
    fn axes_of_one_do_not_matter() {
        for found in [&[1, 28, 28][..], &[28, 28], &[28, 28, 1], &[28, 1, 28, 1]] {
            assert_eq!(check(&[1, 28, 28], found), Ok(()));
        }
        assert_eq!(check(&[1], &[]), Ok(()));
        assert_eq!(check(&[], &[1, 1]), Ok(()));
    }

    #[test]
    fn vectors_take_any_tensor_of_as_many_elements() {
        for found in [&[784][..], &[1, 28, 28], &[4, 14, 14]] {
            assert_eq!(check(&[784], found), Ok(()));
            assert_eq!(check(&[1, 784, 1], found), Ok(()));
        }
        assert_eq!(check(&[784], &[783]), Err(Misfit::Count));
    }

    #[test]
    fn as_many_elements_are_not_enough() {
        assert_eq!(check(&[3, 8, 8], &[3, 8, 8]), Ok(()));
        assert_eq!(check(&[3, 8, 8], &[8, 8, 3]), Err(Misfit::Order(vec![2, 0, 1])));
        assert_eq!(check(&[8, 8, 3], &[3, 8, 8]), Err(Misfit::Order(vec![1, 2, 0])));
        assert_eq!(check(&[1, 4, 6], &[1, 6, 4]), Err(Misfit::Order(vec![0, 2, 1])));
        for found in [&[3, 4, 16][..], &[192], &[3, 64], &[1, 8, 8, 3]] {
            assert_eq!(check(&[3, 8, 8], found), Err(Misfit::Extents), "{found:?}");
        }
        assert_eq!(check(&[3, 8, 8], &[usize::MAX, 2]), Err(Misfit::Count));
    }

    #[test]
    fn tensors_have_as_many_elements_as_their_shape_says() {
        assert!(Tensor::new([2, 3], vec![0.0; 6]).is_ok());
        assert!(Tensor::new([2, 3], vec![0.0; 5]).is_err());
        assert!(Tensor::new([usize::MAX, 2], Vec::new()).is_err());
        assert!(Tensor::new([0, usize::MAX, 2], Vec::new()).is_err());
        assert_eq!(Tensor::from(vec![1.0, 2.0]).shape(), &Shape(vec![2]));
    }
}
