//! The `idx` format of MNIST (LeCun, Cortes, Burges; <https://yann.lecun.com/exdb/mnist/>):
//! two zero bytes, the element type, the number of axes, the extents as
//! big-endian 32-bit numbers, the elements row-major.
//!
//! Only unsigned bytes are read. Everything that the header declares is checked
//! against limits and against the length of the file before anything is
//! allocated.

use crate::diag::{Code, Diagnostic, Label};
use crate::front::MAX_BYTES;
use crate::front::weights::n_elements;
use crate::model::MAX_ELEMENTS;
use hecc_ir::Shape;

const UNSIGNED_BYTE: u8 = 0x08;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file in memory.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    /// Path, for messages.
    pub path: &'a str,
    /// What it holds, for messages.
    pub item: &'static str,
    /// Content.
    pub bytes: &'a [u8],
}

/// A refusal that there is something to be gunzipped first.
pub(super) fn compressed(place: Label) -> Diagnostic {
    Diagnostic::error(Code::UnknownFormat, "the file is compressed").label(place).help("gunzip it")
}

/// Whether this looks like the header of an idx file.
pub(super) fn is_idx(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, 0x08..=0x0e, 1..=3, ..])
}

/// The first images of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Images {
    /// Shape [1, rows, columns] of one.
    pub shape: Shape,
    /// Pixels of each, divided by 255.
    pub samples: Vec<Vec<f64>>,
    /// How many the file holds.
    pub n_in_file: usize,
}

/// Reads images, at most so many.
pub(super) fn images(file: File<'_>, most: usize) -> Result<Images, Diagnostic> {
    let ([_, rows, columns], pixels) = file.array()?;
    let shape = Shape(vec![1, rows, columns]);
    // The product is a factor of one that `array` has bounded.
    if rows * columns > MAX_ELEMENTS {
        let title = format!("an image of shape {shape} has more than {MAX_ELEMENTS} elements");
        return Err(file.problem(Code::TensorTooLarge, title).help("use smaller images"));
    }
    let n_in_file = pixels.len() / (rows * columns);
    let n = n_in_file.min(most);
    super::bounded(Label::item(file.path, file.item, ""), n, n * rows * columns)?;
    let image = |pixels: &[u8]| pixels.iter().map(|&p| f64::from(p) / f64::from(u8::MAX)).collect();
    let samples = pixels.chunks_exact(rows * columns).take(n).map(image).collect();
    Ok(Images { shape, samples, n_in_file })
}

/// Class of each sample.
pub(super) fn labels(file: File<'_>) -> Result<Vec<usize>, Diagnostic> {
    let ([_], classes) = file.array()?;
    Ok(classes.iter().copied().map(usize::from).collect())
}

impl<'a> File<'a> {
    /// Extents, none of them zero, and as many elements as they say.
    fn array<const N_AXES: usize>(self) -> Result<([usize; N_AXES], &'a [u8]), Diagnostic> {
        let extents_and_elements = self.after_magic(N_AXES)?;
        let Some((extents, elements)) = extents(extents_and_elements) else {
            return Err(self.damaged("the file ends within its header"));
        };
        match n_elements(&extents.map(u64::from)) {
            None => Err(self.too_large()),
            Some(0) => Err(self.empty(&extents)),
            Some(n) if n != elements.len() => {
                Err(self.damaged(format!("the header declares {n} elements, {} follow it", elements.len())))
            }
            Some(_) => Ok((extents.map(|extent| extent as usize), elements)),
        }
    }

    /// What follows the first four bytes, if they announce unsigned bytes along
    /// so many axes.
    fn after_magic(self, n_axes: usize) -> Result<&'a [u8], Diagnostic> {
        match self.bytes {
            [first, second, ..] if [*first, *second] == GZIP => {
                Err(compressed(Label::item(self.path, self.item, "")))
            }
            [0, 0, UNSIGNED_BYTE, found, rest @ ..] if usize::from(*found) == n_axes => Ok(rest),
            [0, 0, UNSIGNED_BYTE, found, ..] => Err(self.wrong_axes(*found, n_axes)),
            [0, 0, element, _, ..] => Err(self.unsupported(*element)),
            [..] => Err(self
                .problem(Code::UnknownFormat, "this is not an idx file")
                .help("download MNIST's files again, or save the samples with `numpy.savez`")),
        }
    }

    fn problem(self, code: Code, title: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, title).label(Label::item(self.path, self.item, ""))
    }

    fn damaged(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(Code::MalformedFile, "the idx file is damaged")
            .label(Label::item(self.path, self.item, message))
            .help("write or download it again")
    }

    fn wrong_axes(self, found: u8, expected: usize) -> Diagnostic {
        let title = format!("the {} have rank {found}, not {expected}", self.item);
        let help = "images have the axes [n, rows, columns], labels [n]: were the files exchanged?";
        self.problem(Code::BadDataSet, title).help(help)
    }

    fn unsupported(self, element: u8) -> Diagnostic {
        let title = format!("the {} have elements of type {}", self.item, element_name(element));
        self.problem(Code::ElementType, title)
            .help("write unsigned bytes, or save the samples with `numpy.savez`")
    }

    fn too_large(self) -> Diagnostic {
        let title = format!("the {} take more than {MAX_BYTES} bytes", self.item);
        self.problem(Code::FileTooLarge, title).help("write fewer samples to a file")
    }

    fn empty(self, extents: &[u32]) -> Diagnostic {
        let shape = Shape(extents.iter().map(|&extent| extent as usize).collect());
        let title = format!("the {} have shape {shape}", self.item);
        self.problem(Code::BadDataSet, title).help("no extent may be zero")
    }
}

/// As many extents as asked for, and what follows them.
fn extents<const N: usize>(mut bytes: &[u8]) -> Option<([u32; N], &[u8])> {
    let mut extents = [0; N];
    for extent in &mut extents {
        let (first, rest) = bytes.split_first_chunk()?;
        *extent = u32::from_be_bytes(*first);
        bytes = rest;
    }
    Some((extents, bytes))
}

fn element_name(element: u8) -> String {
    match element {
        0x09 => String::from("signed byte"),
        0x0b => String::from("16-bit integer"),
        0x0c => String::from("32-bit integer"),
        0x0d => String::from("single precision float"),
        0x0e => String::from("double precision float"),
        _ => format!("{element:#04x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File<'_> {
        File { path: "f", item: "images", bytes }
    }

    #[test]
    fn pixels_become_fractions() {
        let bytes = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 51, 102];
        let read = |most| images(file(&bytes), most).expect("a sound file");
        let (all, one) = (read(usize::MAX), read(1));
        assert_eq!(all.shape, Shape(vec![1, 1, 2]));
        assert_eq!(all.samples, [[0.0, 1.0], [0.2, 0.4]]);
        assert_eq!(one, Images { samples: vec![vec![0.0, 1.0]], ..all });
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = [0, 0, 8, 1, 0, 0, 0, 2, 7, 9];
        assert_eq!(labels(file(&bytes)), Ok(vec![7, 9]));
        for n_bytes in 0..bytes.len() {
            let code = labels(file(&bytes[..n_bytes])).expect_err("cut").code;
            assert_eq!(code, if n_bytes < 4 { Code::UnknownFormat } else { Code::MalformedFile });
        }
    }

    #[test]
    fn declared_sizes_are_refused_before_the_length_is_looked_at() {
        let huge = |extents: [u32; 3]| {
            let bytes = [&[0, 0, 8, 3][..], &extents.map(u32::to_be_bytes).concat()].concat();
            images(file(&bytes), usize::MAX).expect_err("huge").code
        };
        assert_eq!(huge([u32::MAX; 3]), Code::FileTooLarge);
        assert_eq!(huge([1, 1 << 15, 1 << 15]), Code::FileTooLarge);
        assert_eq!(huge([0, 1 << 15, 1 << 15]), Code::BadDataSet);
        assert_eq!(huge([1, 1, 1]), Code::MalformedFile);
    }
}
