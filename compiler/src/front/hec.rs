//! The `.hec` model language.
use crate::{diag::*, model::Model, front::LoadOptions};
use std::path::Path;
/// Reads a model text.
pub fn load_text(_path: &Path, _text: &str, _options: &LoadOptions, _diagnostics: &mut Diagnostics) -> Option<Model> { None }
