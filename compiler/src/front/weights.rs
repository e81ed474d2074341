//! Named tensors from `.npz` and `.safetensors` files.
//!
//! Elements become `f64`. A tensor that cannot be used (NaN, unsupported
//! element type) is only an error when the model asks for it.

mod element;
mod npz;
mod safetensors;
mod save;

pub(crate) use element::ElementType;
pub use save::to_npz;
pub(crate) use save::{NamedTensor, npz_archive};

use super::{MAX_BYTES, read_bounded};
use crate::diag::{Code, Diagnostic, Label, closest, list};
use indexmap::IndexMap;
use std::path::Path;

/// A constant tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: Vec<f64>,
    /// Whether the elements were stored as integers.
    pub integral: bool,
}

/// The tensors of one file, in the order of the file.
#[derive(Clone, Debug)]
pub struct TensorFile {
    path: String,
    entries: IndexMap<String, Result<Tensor, Diagnostic>>,
}

impl TensorFile {
    /// Reads a file; its content says in which format.
    pub fn read(path: &Path) -> Result<TensorFile, Diagnostic> {
        TensorFile::parse(&path.display().to_string(), &read_bounded(path)?)
    }

    /// Reads a file that is in memory; `path` is for messages.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<TensorFile, Diagnostic> {
        let entries = match bytes {
            [b'P', b'K', ..] => npz::read(path, bytes)?,
            [_, _, _, _, _, _, _, _, b'{', ..] => safetensors::read(path, bytes)?,
            [..] => return Err(unknown_format(path)),
        };
        Ok(TensorFile { path: path.to_owned(), entries })
    }

    /// A tensor that the model needs.
    pub fn get(&self, name: &str) -> Result<&Tensor, Diagnostic> {
        match self.entries.get(name) {
            Some(Ok(tensor)) => Ok(tensor),
            Some(Err(problem)) => Err(problem.clone()),
            None => Err(self.unknown(name)),
        }
    }

    /// Whether the file holds a tensor of this name, usable or not.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    fn unknown(&self, name: &str) -> Diagnostic {
        let title = format!("there is no tensor `{name}`");
        let diagnostic =
            Diagnostic::error(Code::UnknownTensor, title).label(Label::file(&self.path, "does not hold it"));
        match closest(name, self.names()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(self.listing()),
        }
    }

    fn listing(&self) -> String {
        const SHOWN: usize = 12;
        let names: Vec<_> = self.names().take(SHOWN).map(|name| format!("`{name}`")).collect();
        let more = if self.entries.len() > SHOWN { ", ..." } else { "" };
        format!("the file holds {}{more}", names.join(", "))
    }
}

fn unknown_format(path: &str) -> Diagnostic {
    Diagnostic::error(Code::UnknownFormat, "this is neither an .npz nor a .safetensors file")
        .label(Label::file(path, ""))
        .help("save the weights with `numpy.savez` or `safetensors.torch.save_file`")
}

/// Elements of a tensor of the given extents, if it stays within what is left
/// of the budget.
pub(crate) fn n_elements(shape: &[u64]) -> Option<usize> {
    let product = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d))?;
    usize::try_from(product).ok().filter(|&n| n as u64 <= MAX_BYTES / size_of::<f64>() as u64)
}

/// Refuses NaN and infinity, naming the element by its index.
pub(crate) fn all_finite(path: &str, name: &str, tensor: Tensor) -> Result<Tensor, Diagnostic> {
    match tensor.values.iter().position(|v| !v.is_finite()) {
        None => Ok(tensor),
        Some(at) => {
            let index = list(&unravel(at, &tensor.shape));
            let title = format!("tensor `{name}` is {} at {index}", tensor.values[at]);
            let place = Label::item(path, format!("tensor `{name}`"), "");
            let help = "training has diverged or the file was overwritten: use another checkpoint";
            Err(Diagnostic::error(Code::NotFinite, title).label(place).help(help))
        }
    }
}

/// Index along each axis of a row-major element.
fn unravel(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&extent| {
            let along = at % extent;
            at /= extent;
            along
        })
        .collect();
    index.reverse();
    index
}
