//! Front ends: from the user's files to a [`Model`].
//!
//! [`load`] reads a model in any format hecc knows; [`data`] reads labelled
//! samples and [`weights`] named tensors. Everything here treats files as
//! data from outside: sizes are bounded, nothing panics, and every refusal is a
//! diagnostic that names the place.

pub mod data;
pub mod file;
pub mod hec;
pub mod onnx;
mod shapes;
pub mod weights;

use crate::diag::{Code, Diagnostic, Diagnostics, Label};
use crate::model::Model;
use hecc_ir::machine::{Excess, Tally, free_memory};
use std::path::{Path, PathBuf};

/// Largest file, and most bytes of tensors after unpacking, that is read, however much memory is free.
pub const MAX_BYTES: u64 = 4 << 30;

/// What is left of [`MAX_BYTES`] for the tensors of a file.
#[derive(Debug)]
pub(crate) struct Room {
    left: u64,
    /// Counts pieces that are too small to ask for what is free.
    tally: Tally,
}

impl Default for Room {
    fn default() -> Room {
        Room { left: MAX_BYTES, tally: Tally::default() }
    }
}

impl Room {
    /// Takes bytes for what is at a place, before they are allocated.
    pub fn take(&mut self, place: Label, bytes: u64) -> Result<(), Diagnostic> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| large(place.clone(), None))?;
        let needed = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.tally.take(needed).map_err(|excess| large(place, Some(excess)))
    }
}

/// A refusal of what takes more than [`MAX_BYTES`], or more than is free.
pub(crate) fn large(place: Label, excess: Option<Excess>) -> Diagnostic {
    let (title, help) = match excess {
        None => (
            format!("the file or its tensors take more than {MAX_BYTES} bytes"),
            "divide them into several files, or write fewer samples",
        ),
        Some(Excess { needed, available }) => (
            format!("reading this takes {needed} bytes of memory, {available} are free"),
            "free memory, or allow more with --memory",
        ),
    };
    Diagnostic::error(Code::FileTooLarge, title).label(place).help(help)
}

/// What the caller knows better than the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// Smallest and largest element of the input, in place of what the model
    /// file says.
    pub input_range: Option<(f64, f64)>,
    /// Whether max pools and activations other than polynomials are read, for
    /// models that training will change; else they are refused.
    pub accept_unfriendly: bool,
}

/// A model and the files that it was read from, the one that was named first.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The model.
    pub model: Model,
    /// Paths of the file, and of those that it names.
    pub files: Vec<PathBuf>,
}

/// Reads a model; the extension, or else the content, says in which format.
/// Warnings are dropped; [`load_reporting`] keeps them.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Model, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    match load_reporting(path, options, &mut diagnostics) {
        Some(loaded) => Ok(loaded.model),
        None => Err(diagnostics),
    }
}

/// Like [`load`], adding errors and warnings to `diagnostics`. There is a model
/// exactly if no error was added.
pub fn load_reporting(path: &Path, options: &LoadOptions, diagnostics: &mut Diagnostics) -> Option<Loaded> {
    match diagnostics.take(format_of(path))? {
        Format::Onnx => {
            let bytes = diagnostics.take(read_bounded(path))?;
            onnx::load(path, &bytes, options, diagnostics)
        }
        Format::Hec => {
            let bytes = file::read_at_most(path, hec::MAX_TEXT as u64);
            let text = diagnostics.take(bytes.and_then(|bytes| utf8(path, bytes)))?;
            hec::load_text(path, &text, options, diagnostics)
        }
    }
}

enum Format {
    Onnx,
    Hec,
}

fn format_of(path: &Path) -> Result<Format, Diagnostic> {
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    match extension.as_ref().and_then(|e| e.to_str()) {
        Some("onnx") => Ok(Format::Onnx),
        Some("hec") => Ok(Format::Hec),
        Some(_) | None => sniff(path),
    }
}

/// A text with the word `model` is .hec; field 1 of an ONNX file is a small
/// integer, so it starts with the bytes 8 and a version.
fn sniff(path: &Path) -> Result<Format, Diagnostic> {
    let start = file::read_start(path, hec::MAX_TEXT as u64)?;
    match start[..] {
        [0x08, 1..=20, ..] => Ok(Format::Onnx),
        [..] if std::str::from_utf8(&start).is_ok_and(|text| text.contains("model")) => Ok(Format::Hec),
        [..] => Err(Diagnostic::error(Code::UnknownFormat, "this is neither a .hec nor an ONNX model")
            .label(Label::file(path.display().to_string(), ""))
            .help("export the network to ONNX, or describe it in the .hec language")),
    }
}

fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String, Diagnostic> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let place = Label::file(path.display().to_string(), format!("byte {at} is not UTF-8"));
        Diagnostic::error(Code::MalformedFile, "the model text is not UTF-8").label(place)
    })
}

/// The content of a file of at most [`MAX_BYTES`], and no more than is free.
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let free = free_memory().map_or(MAX_BYTES, |free| free as u64);
    file::read_at_most(path, MAX_BYTES.min(free))
}
