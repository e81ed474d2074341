//! The `safetensors` format: a JSON header and one block of bytes.

use super::{ElementType, Tensor, all_finite, n_elements};
use crate::diag::{Code, Diagnostic, Label};
use crate::front::MAX_BYTES;
use indexmap::IndexMap;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// All tensors of a file.
pub(super) fn read(
    path: &str,
    bytes: &[u8],
) -> Result<IndexMap<String, Result<Tensor, Diagnostic>>, Diagnostic> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        Diagnostic::error(Code::MalformedFile, "the weights file is damaged")
            .label(Label::file(path, error.to_string()))
            .help("write or download it again")
    })?;
    let mut tensors: Vec<(String, TensorView<'_>)> = file.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut budget = MAX_BYTES / size_of::<f64>() as u64;
    let mut entries = IndexMap::new();
    for (name, view) in tensors {
        let tensor = convert(path, &name, &view, &mut budget);
        entries.insert(name, tensor);
    }
    Ok(entries)
}

fn convert(path: &str, name: &str, view: &TensorView<'_>, budget: &mut u64) -> Result<Tensor, Diagnostic> {
    let place = || Label::item(path, format!("tensor `{name}`"), "");
    let element = element_type(view.dtype()).ok_or_else(|| {
        let title = format!("tensor `{name}` has elements of type {}", view.dtype());
        let help = "convert it to float32 before saving";
        Diagnostic::error(Code::ElementType, title).label(place()).help(help)
    })?;
    let extents: Vec<u64> = view.shape().iter().map(|&d| d as u64).collect();
    let left = n_elements(&extents).and_then(|n| budget.checked_sub(n as u64));
    *budget = left.ok_or_else(|| {
        let title = format!("the tensors take more than {MAX_BYTES} bytes");
        Diagnostic::error(Code::FileTooLarge, title).label(place())
    })?;
    let values = element.decode(view.data(), false).collect();
    let tensor = Tensor { shape: view.shape().to_vec(), values, integral: element.is_integral() };
    all_finite(path, name, tensor)
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
