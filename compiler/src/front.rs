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
use std::{fs::File, io::Read, path::Path};

/// Largest file, and most bytes of tensors after unpacking, that is read.
pub const MAX_BYTES: u64 = 4 << 30;

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

/// The content of a file of at most [`MAX_BYTES`].
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let shown = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        let title = format!("cannot read `{shown}`");
        let place = Label::file(&shown, error.to_string());
        Diagnostic::error(Code::UnreadableFile, title).label(place)
    };
    let mut bytes = Vec::new();
    // Devices and pipes may never end, and opening a pipe may wait for ever.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("not a plain file")));
    }
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        let title = format!("the file is larger than {MAX_BYTES} bytes");
        return Err(Diagnostic::error(Code::FileTooLarge, title).label(Label::file(shown, "")));
    }
    Ok(bytes)
}
