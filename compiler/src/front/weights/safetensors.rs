//! The `safetensors` format: a JSON header and one block of bytes.

use super::{ElementType, Part, Tensor, Wanted, all_finite, counted_elements};
use crate::diag::{Code, Diagnostic, Label};
use crate::front::{Room, large};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// A file whose header was read.
pub(super) struct File {
    bytes: Vec<u8>,
}

/// Reads the header: the file, and the names of its tensors in alphabetical order.
pub(super) fn open(path: &str, bytes: Vec<u8>) -> Result<(File, Vec<String>), Diagnostic> {
    let mut names: Vec<String> =
        parsed(path, &bytes)?.names().into_iter().map(|name| name.to_string()).collect();
    names.sort();
    Ok((File { bytes }, names))
}

fn parsed<'a>(path: &str, bytes: &'a [u8]) -> Result<SafeTensors<'a>, Diagnostic> {
    SafeTensors::deserialize(bytes).map_err(|error| {
        Diagnostic::error(Code::MalformedFile, "the weights file is damaged")
            .label(Label::file(path, error.to_string()))
            .help("write or download it again")
    })
}

impl File {
    /// Reads what is wanted of a tensor that there is. Takes what that needs from `room`.
    pub fn read(&self, path: &str, name: &str, wanted: Wanted, room: &mut Room) -> Result<Part, Diagnostic> {
        let file = parsed(path, &self.bytes)?;
        let view = file.tensor(name).expect("the header names the tensor");
        convert(path, name, &view, wanted, room)
    }
}

fn convert(
    path: &str,
    name: &str,
    view: &TensorView<'_>,
    wanted: Wanted,
    room: &mut Room,
) -> Result<Part, Diagnostic> {
    let place = || Label::item(path, format!("tensor `{name}`"), "");
    let element = element_type(view.dtype()).ok_or_else(|| {
        let title = format!("tensor `{name}` has elements of type {}", view.dtype());
        let help = "convert it to float32 before saving";
        Diagnostic::error(Code::ElementType, title).label(place()).help(help)
    })?;
    let extents: Vec<u64> = view.shape().iter().map(|&d| d as u64).collect();
    counted_elements(&extents).ok_or_else(|| large(place(), None))?;
    let whole = view.shape().to_vec();
    let rows = wanted.rows(&whole).map_err(|refused| refused.label(place()))?;
    room.take(place(), rows.n_elements() as u64 * size_of::<f64>() as u64)?;
    let bytes = &view.data()[..rows.n_elements() * element.n_bytes()];
    let values = element.decode(bytes, false).collect();
    let tensor = Tensor { shape: rows.shape(&whole), values, integral: element.is_integral() };
    Ok(Part { tensor: all_finite(path, name, tensor)?, whole })
}

fn element_type(dtype: Dtype) -> Option<ElementType> {
    match dtype {
        Dtype::F16 => Some(ElementType::F16),
        Dtype::BF16 => Some(ElementType::Bf16),
        Dtype::F32 => Some(ElementType::F32),
        Dtype::F64 => Some(ElementType::F64),
        Dtype::BOOL => Some(ElementType::Bool),
        Dtype::I8 => Some(ElementType::Signed(1)),
        Dtype::I16 => Some(ElementType::Signed(2)),
        Dtype::I32 => Some(ElementType::Signed(4)),
        Dtype::I64 => Some(ElementType::Signed(8)),
        Dtype::U8 => Some(ElementType::Unsigned(1)),
        Dtype::U16 => Some(ElementType::Unsigned(2)),
        Dtype::U32 => Some(ElementType::Unsigned(4)),
        Dtype::U64 => Some(ElementType::Unsigned(8)),
        _ => None,
    }
}
