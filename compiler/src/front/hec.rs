//! The `.hec` model language: a network as a list of layers.
//!
//! ```text
//! model lenet5 {
//!   weights "lenet5.npz"
//!   input image: [1, 28, 28] in 0..1
//!   conv1 = conv(image, weight = "0.weight", bias = "0.bias", padding = 2)
//!   act1 = square(conv1)
//!   pool1 = avg_pool(act1, kernel = 2)
//!   output pool1
//! }
//! ```
//!
//! Statements end with the line, `#` and `//` begin comments. `weights
//! random(seed = 1)` makes weights up; layers then state `out_channels` and
//! `kernel` or `features`.

mod arguments;
mod ast;
mod build;
mod layers;
mod lexer;
mod names;
mod resolve;
mod syntax;
mod weights;
mod write;

pub use write::{WriteError, to_hec, to_npz};

use super::{LoadOptions, Loaded, file, weights::TensorFile};
use crate::diag::{Code, Diagnostic, Diagnostics, Label, Source};
use crate::model::Model;
use std::path::Path;

/// Longest model text, in bytes.
pub(super) const MAX_TEXT: usize = 1 << 20;

/// Translates a model text that is in memory. `path` names it in messages and
/// says where its weights file is: in the same folder or below. There is a model exactly if no error was
/// added to `diagnostics`.
pub fn load_text(
    path: &Path,
    text: &str,
    options: &LoadOptions,
    diagnostics: &mut Diagnostics,
) -> Option<Loaded> {
    let mut files = vec![path.to_owned()];
    let mut read = |name: &str| {
        let weights = file::beside(path, name).map_err(elsewhere)?;
        files.push(weights.clone());
        TensorFile::read(&weights)
    };
    let model = translate(&path.display().to_string(), text, &mut read, options, diagnostics)?;
    Some(Loaded { model, files })
}

/// Weights that do not lie where the model is.
fn elsewhere(why: String) -> Diagnostic {
    Diagnostic::error(Code::ExternalData, "the weights do not lie beside the model")
        .note(why)
        .help("put the weights into the model's folder or one below it, and name them by a path from there")
}

/// Like [`load_text`], with weights from `read`, which is given the path in the
/// text.
pub fn translate(
    name: &str,
    text: &str,
    read: &mut dyn FnMut(&str) -> Result<TensorFile, Diagnostic>,
    options: &LoadOptions,
    diagnostics: &mut Diagnostics,
) -> Option<Model> {
    if text.len() > MAX_TEXT {
        let title = format!("a model text of {} bytes, the limit is {MAX_TEXT}", text.len());
        diagnostics.push(Diagnostic::error(Code::FileTooLarge, title).label(Label::file(name, "")));
        return None;
    }
    let source = Source::new(name, text);
    let mut found = Diagnostics::new();
    let file = syntax::parse(&source, &mut found);
    let model = file.and_then(|file| resolve::resolve(&source, &file, read, options, &mut found));
    let model = model.filter(|_| !found.has_errors());
    diagnostics.extend(found);
    model
}
