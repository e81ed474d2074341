//! Named tensors from `.npz` and `.safetensors` files.
//!
//! Elements become `f64`. Only tensors that somebody asks for are read, so that one that cannot be used (NaN,
//! unsupported element type, damage) is an error for nobody else.

mod element;
mod npz;
mod safetensors;
mod save;

pub(crate) use element::ElementType;
pub use save::to_npz;
pub(crate) use save::{NamedTensor, npz_archive};

use super::file::{first_bytes, open_plain};
use super::{MAX_BYTES, Room, read_bounded};
use crate::diag::{Code, Diagnostic, Label, closest, list};
use crate::model::MAX_ELEMENTS;
use hecc_ir::Shape;
use indexmap::IndexMap;
use std::fmt;
use std::io::{BufReader, Cursor};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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

/// The first rows of a tensor along its first axis, and the shape of the whole.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// What was read.
    pub tensor: Tensor,
    /// Extents of the tensor in the file.
    pub whole: Vec<usize>,
}

/// How much of a tensor is read.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// All of it.
    All,
    /// So many rows, each no larger than a model's input may be.
    Rows(usize),
}

/// Rows along the first axis; a scalar is one.
#[derive(Clone, Copy, Debug)]
struct Rows {
    count: usize,
    n_elements: usize,
}

impl Wanted {
    /// Those that there are of a shape. Expects a product of extents that can be counted.
    fn rows(self, shape: &[usize]) -> Result<Rows, Diagnostic> {
        let (count, row) = shape.split_first().map_or((1, shape), |(&count, row)| (count, row));
        let n_elements = row.iter().product();
        match self {
            Wanted::All => Ok(Rows { count, n_elements }),
            Wanted::Rows(_) if n_elements > MAX_ELEMENTS => {
                let row = Shape(row.to_vec());
                let title = format!("a sample of shape {row} has more than {MAX_ELEMENTS} elements");
                Err(Diagnostic::error(Code::TensorTooLarge, title).help("use smaller samples"))
            }
            Wanted::Rows(most) => Ok(Rows { count: count.min(most), n_elements }),
        }
    }
}

impl Rows {
    fn n_elements(self) -> usize {
        self.count * self.n_elements
    }

    /// Their shape, given that of the whole.
    fn shape(self, whole: &[usize]) -> Vec<usize> {
        let mut shape = whole.to_vec();
        if let Some(count) = shape.first_mut() {
            *count = self.count;
        }
        shape
    }
}

/// The tensors of one file, in the order of the file. Clones share what was read.
#[derive(Clone)]
pub struct TensorFile {
    path: String,
    contents: Arc<Contents>,
}

/// Where tensors come from, and those that were asked for.
struct Contents {
    source: Mutex<(Source, Room)>,
    entries: IndexMap<String, Entry>,
}

/// A tensor with its place in the file.
struct Entry {
    index: usize,
    tensor: OnceLock<Result<Tensor, Diagnostic>>,
}

enum Source {
    Archive(npz::Archive),
    Safetensors(safetensors::File),
}

impl fmt::Debug for TensorFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names().collect();
        f.debug_struct("TensorFile").field("path", &self.path).field("names", &names).finish()
    }
}

impl TensorFile {
    /// Reads a file; its content says in which format.
    pub fn read(path: &Path) -> Result<TensorFile, Diagnostic> {
        let shown = path.display().to_string();
        match first_bytes(path)? {
            [b'P', b'K', ..] => TensorFile::archive(&shown, Box::new(BufReader::new(open_plain(path)?))),
            _ => TensorFile::of_bytes(&shown, read_bounded(path)?),
        }
    }

    /// Reads a file that is in memory; `path` is for messages.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<TensorFile, Diagnostic> {
        TensorFile::of_bytes(path, bytes.to_vec())
    }

    fn of_bytes(path: &str, bytes: Vec<u8>) -> Result<TensorFile, Diagnostic> {
        match bytes[..] {
            [b'P', b'K', ..] => TensorFile::archive(path, Box::new(Cursor::new(bytes))),
            [_, _, _, _, _, _, _, _, b'{', ..] => {
                let (file, names) = safetensors::open(path, bytes)?;
                let names = names.into_iter().map(|name| (name, 0)).collect();
                Ok(TensorFile::new(path, Source::Safetensors(file), names))
            }
            [..] => Err(unknown_format(path)),
        }
    }

    fn archive(path: &str, source: Box<dyn npz::Source>) -> Result<TensorFile, Diagnostic> {
        let (archive, names) = npz::open(path, source)?;
        Ok(TensorFile::new(path, Source::Archive(archive), names))
    }

    fn new(path: &str, source: Source, names: Vec<(String, usize)>) -> TensorFile {
        let entry = |(name, index)| (name, Entry { index, tensor: OnceLock::new() });
        let entries = names.into_iter().map(entry).collect();
        let contents = Contents { source: Mutex::new((source, Room::default())), entries };
        TensorFile { path: path.to_owned(), contents: Arc::new(contents) }
    }

    /// A tensor that the model needs; read when it is first asked for.
    pub fn get(&self, name: &str) -> Result<&Tensor, Diagnostic> {
        let entry = self.entry(name)?;
        let read = || self.read_entry(name, entry, Wanted::All).map(|part| part.tensor);
        entry.tensor.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// The first `n_rows` of a tensor along its first axis, or all if there are fewer, without reading the others.
    pub(crate) fn first_rows(&self, name: &str, n_rows: usize) -> Result<Part, Diagnostic> {
        self.read_entry(name, self.entry(name)?, Wanted::Rows(n_rows))
    }

    fn entry(&self, name: &str) -> Result<&Entry, Diagnostic> {
        self.contents.entries.get(name).ok_or_else(|| self.unknown(name))
    }

    fn read_entry(&self, name: &str, entry: &Entry, wanted: Wanted) -> Result<Part, Diagnostic> {
        let path = self.path.as_str();
        let mut source = self.contents.source.lock().unwrap_or_else(PoisonError::into_inner);
        let (source, room) = &mut *source;
        match source {
            Source::Archive(archive) => archive.read(npz::Array { path, name }, entry.index, wanted, room),
            Source::Safetensors(file) => file.read(path, name, wanted, room),
        }
    }

    /// Whether the file holds a tensor of this name, usable or not.
    pub fn contains(&self, name: &str) -> bool {
        self.contents.entries.contains_key(name)
    }

    /// Names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.contents.entries.keys().map(String::as_str)
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
        let more = if self.contents.entries.len() > SHOWN { ", ..." } else { "" };
        format!("the file holds {}{more}", names.join(", "))
    }
}

fn unknown_format(path: &str) -> Diagnostic {
    Diagnostic::error(Code::UnknownFormat, "this is neither an .npz nor a .safetensors file")
        .label(Label::file(path, ""))
        .help("save the weights with `numpy.savez` or `safetensors.torch.save_file`")
}

/// Elements of a tensor of the given extents, if they stay within [`MAX_BYTES`].
pub(crate) fn n_elements(shape: &[u64]) -> Option<usize> {
    counted_elements(shape).filter(|&n| n as u64 <= MAX_BYTES / size_of::<f64>() as u64)
}

/// Elements of a tensor of the given extents, of which perhaps not all are read, if their bytes can be counted, and so can those
/// of any part.
fn counted_elements(shape: &[u64]) -> Option<usize> {
    let extents: Vec<usize> = shape.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<_>>()?;
    Shape::count(&extents).filter(|n| n.checked_mul(size_of::<f64>()).is_some())
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
