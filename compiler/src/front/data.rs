//! Labelled samples from an `.npz` file: `x`, one sample per first index, and
//! optionally `y`, one class number per sample.

use super::weights::{Tensor, TensorFile};
use crate::diag::{Code, Diagnostic, Diagnostics, Label};
use crate::model::Model;
use hecc_ir::Shape;
use std::path::Path;

/// Samples of equal shape.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    /// Path, for messages.
    pub path: String,
    /// Shape of one sample.
    pub shape: Shape,
    /// Elements of each sample, row-major, as stored (pixels stored as
    /// `uint8` stay within 0..255).
    pub samples: Vec<Vec<f64>>,
    /// Class of each sample.
    pub labels: Option<Vec<usize>>,
}

impl DataSet {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<DataSet, Diagnostics> {
        DataSet::from_tensors(&path.display().to_string(), &TensorFile::read(path)?)
    }

    /// Reads a file that is in memory; `path` is for messages.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<DataSet, Diagnostics> {
        DataSet::from_tensors(path, &TensorFile::parse(path, bytes)?)
    }

    fn from_tensors(path: &str, file: &TensorFile) -> Result<DataSet, Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        let samples = diagnostics.take(file.get("x").and_then(|x| split(path, x)));
        let n = samples.as_ref().map(|(_, samples)| samples.len());
        let labels = match file.contains("y") {
            true => diagnostics.take(file.get("y").and_then(|y| classes(path, y, n))),
            false => None,
        };
        match samples {
            Some((shape, samples)) if !diagnostics.has_errors() => {
                Ok(DataSet { path: path.to_owned(), shape, samples, labels })
            }
            Some(_) | None => Err(diagnostics),
        }
    }

    /// Whether the samples are inputs of `model`: as many elements, all within
    /// its range.
    pub fn fits(&self, model: &Model) -> Result<(), Diagnostics> {
        let (id, (low, high)) = model.input();
        let expected = &model.layer(id).shape;
        let mut diagnostics = Diagnostics::new();
        let place = |message: &str| Label::item(&self.path, "array `x`", message);
        if self.shape.n_elements() != expected.n_elements() {
            let title = format!("samples have shape {}, the model takes {expected}", self.shape);
            diagnostics.push(Diagnostic::error(Code::DataMismatch, title).label(place("")));
        }
        let outside = |x: &f64| *x < low || *x > high;
        let found =
            self.samples.iter().enumerate().find_map(|(sample, values)| {
                values.iter().copied().find(|x| outside(x)).map(|x| (sample, x))
            });
        if let Some((sample, x)) = found {
            let title = format!("sample {sample} holds {x}, outside the model's range {low}..{high}");
            let help = "scale the samples as in training (pixels of 0..255: divide by 255), \
                        or declare the wider range";
            diagnostics.push(Diagnostic::error(Code::DataMismatch, title).label(place("")).help(help));
        }
        if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
    }
}

fn unusable(path: &str, array: &str, title: String) -> Diagnostic {
    let place = Label::item(path, format!("array `{array}`"), "");
    Diagnostic::error(Code::BadDataSet, title).label(place)
}

fn split(path: &str, x: &Tensor) -> Result<(Shape, Vec<Vec<f64>>), Diagnostic> {
    match x.shape[..] {
        [_, ref sample @ ..] if !sample.is_empty() && !x.values.is_empty() => {
            let n = sample.iter().product();
            let samples = x.values.chunks_exact(n).map(<[f64]>::to_vec).collect();
            Ok((Shape(sample.to_vec()), samples))
        }
        [..] => {
            let title = format!("`x` has shape {}", Shape(x.shape.clone()));
            let help = "save samples as [n, features] or [n, channels, height, width], n at least 1";
            Err(unusable(path, "x", title).help(help))
        }
    }
}

fn classes(path: &str, y: &Tensor, n_samples: Option<usize>) -> Result<Vec<usize>, Diagnostic> {
    if n_samples.is_some_and(|n| y.shape != [n]) {
        let title = format!("`y` has shape {}, not one label per sample", Shape(y.shape.clone()));
        return Err(unusable(path, "y", title).help("save labels as [n] integers"));
    }
    let class = |&y: &f64| {
        let is_class = y >= 0.0 && y <= f64::from(u32::MAX) && y.fract() == 0.0;
        is_class.then_some(y as usize).ok_or(y)
    };
    let classes: Result<Vec<_>, f64> = y.values.iter().map(class).collect();
    classes.map_err(|y| unusable(path, "y", format!("`{y}` is not a class number")))
}
