//! What samples are labelled with: a class each, or numbers that a network is to compute.

use super::unusable;
use crate::diag::{Code, Diagnostic, Label};
use crate::front::weights::Tensor;
use hecc_ir::Shape;

/// Labels of samples, in their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// A whole number of each sample: its class, or the one number to be computed.
    Classes(Vec<usize>),
    /// Numbers to be computed.
    Targets {
        /// Shape of the numbers of one sample.
        shape: Shape,
        /// Numbers of each sample, row-major.
        values: Vec<Vec<f64>>,
    },
}

impl Labels {
    /// Samples that have a label.
    pub fn len(&self) -> usize {
        match self {
            Labels::Classes(classes) => classes.len(),
            Labels::Targets { values, .. } => values.len(),
        }
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps those of the first `n` samples.
    pub fn truncate(&mut self, n: usize) {
        match self {
            Labels::Classes(classes) => classes.truncate(n),
            Labels::Targets { values, .. } => values.truncate(n),
        }
    }

    /// The numbers of one sample.
    ///
    /// # Panics
    /// When there are not as many samples.
    pub fn values(&self, sample: usize) -> Vec<f64> {
        match self {
            Labels::Classes(classes) => vec![classes[sample] as f64],
            Labels::Targets { values, .. } => values[sample].clone(),
        }
    }

    /// The classes, if all are among `n_classes`; `path` is for messages.
    pub fn classes(&self, path: &str, n_classes: usize) -> Result<&[usize], Diagnostic> {
        let (label, sample) = match self {
            Labels::Classes(classes) => match classes.iter().position(|&class| class >= n_classes) {
                None => return Ok(classes),
                Some(sample) => (classes[sample] as f64, sample),
            },
            Labels::Targets { shape, values } if shape.n_elements() == 1 => {
                let is_class = |label: f64| label >= 0.0 && label < n_classes as f64 && label.fract() == 0.0;
                let sample = values.iter().position(|label| !is_class(label[0])).unwrap_or(0);
                (values[sample][0], sample)
            }
            Labels::Targets { shape, .. } => {
                let title = format!("`y` has {} numbers for each sample, not a class", shape.n_elements());
                let help = "save class numbers as [n] integers: of one-hot rows, `y.argmax(1)`";
                return Err(misfit(path, title).help(help));
            }
        };
        let title =
            format!("label {label} of sample {sample} is no class of a network with {n_classes} outputs");
        let help = match n_classes {
            0 | 1 => String::from("classes need a network with two outputs or more"),
            _ => format!("classes are whole numbers from 0 to {}", n_classes - 1),
        };
        Err(misfit(path, title).help(help))
    }

    /// Checks that there is a number for each output of a network; `path` is for messages.
    pub fn check_targets(&self, path: &str, outputs: &Shape) -> Result<(), Diagnostic> {
        let found = match self {
            Labels::Classes(_) => Shape(Vec::new()),
            Labels::Targets { shape, .. } => shape.clone(),
        };
        outputs.check(&found).map_err(|_| {
            let title = format!("`y` has shape {found} for each sample, the network's output {outputs}");
            misfit(path, title).help("save a number for each output, or classes as [n] integers")
        })
    }

    /// From an array whose first axis are samples.
    pub(super) fn read(path: &str, y: &Tensor, n_samples: Option<usize>) -> Result<Labels, Diagnostic> {
        let of_one = match y.shape[..] {
            [n, ref of_one @ ..] if n_samples.is_none_or(|expected| n == expected) => of_one.to_vec(),
            [..] => {
                let title = format!("`y` has shape {}, not one label per sample", Shape(y.shape.clone()));
                return Err(unusable(path, "y", title).help("save labels as [n] integers or [n, outputs]"));
            }
        };
        let n_values = of_one.iter().product::<usize>();
        if n_values == 1
            && let Some(classes) = y.values.iter().map(class).collect()
        {
            return Ok(Labels::Classes(classes));
        }
        if n_values == 0 {
            let title = format!("`y` has shape {}, without elements", Shape(y.shape.clone()));
            return Err(unusable(path, "y", title).help("leave `y` out where there are no labels"));
        }
        super::bounded(Label::item(path, "array `y`", ""), y.values.len() / n_values, y.values.len())?;
        let values = y.values.chunks_exact(n_values).map(<[f64]>::to_vec).collect();
        Ok(Labels::Targets { shape: Shape(of_one), values })
    }
}

fn misfit(path: &str, title: String) -> Diagnostic {
    Diagnostic::error(Code::DataMismatch, title).label(Label::item(path, "labels", ""))
}

/// The class that a number stands for, if it is one.
fn class(label: &f64) -> Option<usize> {
    let is_class = *label >= 0.0 && *label <= f64::from(u32::MAX) && label.fract() == 0.0;
    is_class.then_some(*label as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(shape: &[usize], values: &[f64]) -> Labels {
        let y = Tensor { shape: shape.to_vec(), values: values.to_vec(), integral: false };
        Labels::read("f", &y, Some(2)).expect("labels of two samples")
    }

    #[test]
    fn whole_numbers_are_classes() {
        for shape in [&[2][..], &[2, 1]] {
            assert_eq!(labels(shape, &[3.0, 0.0]), Labels::Classes(vec![3, 0]));
        }
        assert!(labels(&[2], &[3.0, 0.5]).classes("f", 10).is_err());
        assert_eq!(labels(&[2], &[3.0, 0.0]).classes("f", 4), Ok(&[3, 0][..]));
    }

    #[test]
    fn labels_that_are_no_class_are_named() {
        let title = |labels: Labels| labels.classes("f", 3).expect_err("no class").title;
        assert!(title(labels(&[2], &[2.0, 3.0])).starts_with("label 3 of sample 1"));
        assert!(title(labels(&[2], &[2.0, -1.0])).starts_with("label -1 of sample 1"));
        assert!(title(labels(&[2], &[0.5, 1.0])).starts_with("label 0.5 of sample 0"));
        assert!(title(labels(&[2, 2], &[0.0, 1.0, 1.0, 0.0])).starts_with("`y` has 2 numbers"));
    }

    #[test]
    fn targets_are_one_for_each_output() {
        let pairs = labels(&[2, 2], &[0.5, 1.0, -2.0, 4.0]);
        assert_eq!(pairs.values(1), [-2.0, 4.0]);
        assert!(pairs.check_targets("f", &Shape(vec![2])).is_ok());
        assert!(pairs.check_targets("f", &Shape(vec![3])).is_err());
        assert!(labels(&[2], &[7.0, 8.0]).check_targets("f", &Shape(vec![1])).is_ok());
        assert!(labels(&[2], &[7.0, 8.0]).check_targets("f", &Shape(vec![2])).is_err());
    }

    #[test]
    fn other_numbers_of_labels_are_refused() {
        let y = |shape: &[usize]| Tensor {
            shape: shape.to_vec(),
            values: vec![0.0; shape.iter().product()],
            integral: true,
        };
        for shape in [&[][..], &[3], &[2, 0], &[1, 2]] {
            assert!(Labels::read("f", &y(shape), Some(2)).is_err(), "{shape:?}");
        }
    }
}
