//! Front ends: from the user's files to a [`Model`].
//!
//! [`load`] reads a model in any format hecc knows; [`data`] reads labelled
//! samples and [`weights`] named tensors. Everything here treats files as
//! data from outside: sizes are bounded, nothing panics, and every refusal is a
//! diagnostic that names the place.

pub mod data;
pub mod hec;
pub mod onnx;
mod shapes;
pub mod weights;

use crate::diag::{Code, Diagnostic, Diagnostics, Label};
use crate::model::Model;
use hecc_ir::machine::{Bound, Excess};
use std::{fs::File, io, io::Read, path::Path};

/// Largest file, and most bytes of tensors after unpacking, that is read, however much memory is free.
pub const MAX_BYTES: u64 = 4 << 30;

/// What is left of [`MAX_BYTES`] for the tensors of a file.
#[derive(Debug)]
pub(crate) struct Room(u64);

impl Default for Room {
    fn default() -> Room {
        Room(MAX_BYTES)
    }
}

impl Room {
    /// Takes bytes for what is at a place, before they are allocated.
    pub fn take(&mut self, place: Label, bytes: u64) -> Result<(), Diagnostic> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| large(place.clone(), None))?;
        let needed = usize::try_from(bytes).unwrap_or(usize::MAX);
        Bound::Free.check(needed).map_err(|excess| large(place, Some(excess)))
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

/// Reads a model; the extension, or else the content, says in which format.
/// Warnings are dropped; [`load_reporting`] keeps them.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Model, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    match load_reporting(path, options, &mut diagnostics) {
        Some(model) => Ok(model),
        None => Err(diagnostics),
    }
}

/// Like [`load`], adding errors and warnings to `diagnostics`. There is a model
/// exactly if no error was added.
pub fn load_reporting(path: &Path, options: &LoadOptions, diagnostics: &mut Diagnostics) -> Option<Model> {
    let bytes = diagnostics.take(read_bounded(path))?;
    match format_of(path, &bytes) {
        Some(Format::Onnx) => onnx::import(path, &bytes, options, diagnostics),
        Some(Format::Hec) => {
            let text = diagnostics.take(utf8(path, bytes))?;
            hec::load_text(path, &text, options, diagnostics)
        }
        None => {
            let title = "this is neither a .hec nor an ONNX model";
            let place = Label::file(path.display().to_string(), "");
            let diagnostic = Diagnostic::error(Code::UnknownFormat, title).label(place);
            diagnostics
                .push(diagnostic.help("export the network to ONNX, or describe it in the .hec language"));
            None
        }
    }
}

enum Format {
    Onnx,
    Hec,
}

fn format_of(path: &Path, bytes: &[u8]) -> Option<Format> {
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    match extension.as_ref().and_then(|e| e.to_str()) {
        Some("onnx") => Some(Format::Onnx),
        Some("hec") => Some(Format::Hec),
        Some(_) | None => sniff(bytes),
    }
}

/// A text with the word `model` is .hec; field 1 of an ONNX file is a small
/// integer, so it starts with the bytes 8 and a version.
fn sniff(bytes: &[u8]) -> Option<Format> {
    match bytes {
        [0x08, 1..=20, ..] => Some(Format::Onnx),
        [..] => std::str::from_utf8(bytes).ok().filter(|t| t.contains("model")).map(|_| Format::Hec),
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
    let file = open_plain(path)?;
    let place = || Label::file(path.display().to_string(), "");
    let length = file.metadata().map_err(|error| unreadable(path, &error))?.len();
    Room::default().take(place(), length)?;
    let mut bytes = Vec::new();
    // It may have grown since.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_BYTES { Err(large(place(), None)) } else { Ok(bytes) }
}

/// Opens a plain file: devices and pipes may never end, and opening a pipe may wait for ever.
pub(crate) fn open_plain(path: &Path) -> Result<File, Diagnostic> {
    if !std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.is_file() {
        return Err(unreadable(path, &io::Error::other("not a plain file")));
    }
    File::open(path).map_err(|error| unreadable(path, &error))
}

/// The first bytes of a file, which tell its kind; zeros where there are fewer.
pub(crate) fn first_bytes(path: &Path) -> Result<[u8; 4], Diagnostic> {
    let (mut bytes, mut first) = (Vec::new(), [0; 4]);
    let mut file = open_plain(path)?.take(first.len() as u64);
    file.read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    first[..bytes.len()].copy_from_slice(&bytes);
    Ok(first)
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display().to_string();
    let title = format!("cannot read `{shown}`");
    Diagnostic::error(Code::UnreadableFile, title).label(Label::file(&shown, error.to_string()))
}
