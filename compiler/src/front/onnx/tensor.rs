//! Constants of an ONNX file, inline or in a file beside it.

use super::proto;
use crate::diag::{Code, Diagnostic, Label, list};
use crate::front::weights::{ElementType, Tensor, all_finite, n_elements};
use crate::front::{Room, file};
use indexmap::IndexMap;
use indexmap::map::Entry;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Reads constants; keeps the files it has opened for further tensors.
pub(super) struct TensorReader<'a> {
    /// Path of the model as the user gave it.
    pub path: &'a Path,
    /// The same, for messages.
    pub shown: &'a str,
    external: IndexMap<PathBuf, File>,
    /// Bounds what all constants take together: many may share a few bytes of a file.
    room: Room,
}

impl<'a> TensorReader<'a> {
    /// A reader for the model at `path`.
    pub fn new(path: &'a Path, shown: &'a str) -> TensorReader<'a> {
        TensorReader { path, shown, external: IndexMap::new(), room: Room::default() }
    }

    /// Elements and shape of a constant; `name` is for messages.
    pub fn read(&mut self, tensor: &proto::Tensor, name: &str) -> Result<Tensor, Diagnostic> {
        let shown = self.shown;
        let malformed = |message: String| {
            let place = Label::item(shown, format!("tensor `{name}`"), message);
            Diagnostic::error(Code::MalformedFile, "a constant is damaged").label(place)
        };
        let extents: Option<Vec<u64>> = tensor.dims.iter().map(|&d| u64::try_from(d).ok()).collect();
        let n = extents.as_deref().and_then(n_elements);
        let (Some(extents), Some(n)) = (extents, n) else {
            return Err(malformed(format!("its shape {} is impossible", list(&tensor.dims))));
        };
        let element = element_type(tensor.data_type).ok_or_else(|| {
            let title = format!("tensor `{name}` has ONNX element type {}", tensor.data_type);
            let place = Label::item(shown, format!("tensor `{name}`"), "");
            Diagnostic::error(Code::ElementType, title).label(place)
        })?;
        let values = match tensor.data_location {
            1 => self.external(tensor, name, n, element)?,
            _ => {
                let found = n_inline(tensor, element).map_err(malformed)?;
                if found != n {
                    return Err(malformed(format!("holds {found} elements, its shape {n}")));
                }
                let place = Label::item(shown, format!("tensor `{name}`"), "");
                self.room.take(place, bytes_of(n, 0))?;
                inline(tensor, element)
            }
        };
        let shape = extents.iter().map(|&d| d as usize).collect();
        let tensor = Tensor { shape, values, integral: element.is_integral() };
        all_finite(shown, name, tensor)
    }

    fn external(
        &mut self,
        tensor: &proto::Tensor,
        name: &str,
        n: usize,
        element: ElementType,
    ) -> Result<Vec<f64>, Diagnostic> {
        let shown = self.shown;
        let unusable = |message: String| {
            let title = "a tensor stored beside the model cannot be read";
            Diagnostic::error(Code::ExternalData, title)
                .label(Label::item(shown, format!("tensor `{name}`"), message))
                .help("keep the data file next to the .onnx file or below, as the exporter wrote them")
        };
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key);
        let location = entry("location").map_or("", |e| e.value.as_str());
        let file = file::beside(self.path, location).map_err(unusable)?;
        let number = |key: &str, default: usize| match entry(key) {
            Some(e) => e.value.parse().map_err(|_| unusable(format!("`{key}` is `{}`", e.value))),
            None => Ok(default),
        };
        let length = n.saturating_mul(element.n_bytes());
        let (offset, stated) = (number("offset", 0)?, number("length", length)?);
        if stated != length {
            return Err(unusable(format!("states {stated} bytes, its shape needs {length}")));
        }
        let file = opened(&mut self.external, file).map_err(|refused| unusable(refused.title))?;
        let size = file.metadata().map_err(|error| unusable(error.to_string()))?.len();
        if (offset as u64).saturating_add(length as u64) > size {
            return Err(unusable(format!(
                "`{location}` has {size} bytes, {length} from {offset} are needed"
            )));
        }
        let place = Label::item(shown, format!("tensor `{name}`"), "");
        self.room.take(place, bytes_of(n, length))?;
        let mut found = vec![0; length];
        let read = file.seek(SeekFrom::Start(offset as u64)).and_then(|_| file.read_exact(&mut found));
        read.map_err(|error| unusable(error.to_string()))?;
        Ok(element.decode(&found, false).collect())
    }

    /// The files that were read beside the model.
    pub fn into_files(self) -> impl Iterator<Item = PathBuf> {
        self.external.into_keys()
    }
}

/// The file at a path, which may be open already.
fn opened(external: &mut IndexMap<PathBuf, File>, path: PathBuf) -> Result<&mut File, Diagnostic> {
    Ok(match external.entry(path) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => {
            let file = file::open_plain(place.key())?;
            place.insert(file)
        }
    })
}

/// Bytes of memory that so many elements take, with those that they are read from.
fn bytes_of(n_elements: usize, n_read: usize) -> u64 {
    n_elements.saturating_mul(size_of::<f64>()).saturating_add(n_read) as u64
}

/// Type behind ONNX's number.
fn element_type(number: i32) -> Option<ElementType> {
    match number {
        1 => Some(ElementType::F32),
        2 => Some(ElementType::Unsigned(1)),
        3 => Some(ElementType::Signed(1)),
        4 => Some(ElementType::Unsigned(2)),
        5 => Some(ElementType::Signed(2)),
        6 => Some(ElementType::Signed(4)),
        7 => Some(ElementType::Signed(8)),
        9 => Some(ElementType::Bool),
        10 => Some(ElementType::F16),
        11 => Some(ElementType::F64),
        12 => Some(ElementType::Unsigned(4)),
        13 => Some(ElementType::Unsigned(8)),
        16 => Some(ElementType::Bf16),
        _ => None,
    }
}

/// Counts the elements that a constant holds itself.
fn n_inline(tensor: &proto::Tensor, element: ElementType) -> Result<usize, String> {
    let n_bytes = tensor.raw_data.len();
    if !n_bytes.is_multiple_of(element.n_bytes()) {
        return Err(format!("{n_bytes} bytes are not whole elements"));
    }
    if n_bytes > 0 {
        return Ok(n_bytes / element.n_bytes());
    }
    Ok(match element {
        ElementType::F32 => tensor.float_data.len(),
        ElementType::F64 => tensor.double_data.len(),
        ElementType::Signed(8) => tensor.int64_data.len(),
        ElementType::Unsigned(4 | 8) => tensor.uint64_data.len(),
        ElementType::F16
        | ElementType::Bf16
        | ElementType::Bool
        | ElementType::Signed(_)
        | ElementType::Unsigned(_) => tensor.int32_data.len(),
    })
}

/// The elements that a constant holds itself.
fn inline(tensor: &proto::Tensor, element: ElementType) -> Vec<f64> {
    if !tensor.raw_data.is_empty() {
        return element.decode(&tensor.raw_data, false).collect();
    }
    match element {
        ElementType::F32 => tensor.float_data.iter().map(|&v| f64::from(v)).collect(),
        ElementType::F64 => tensor.double_data.clone(),
        ElementType::Signed(8) => tensor.int64_data.iter().map(|&v| v as f64).collect(),
        ElementType::Unsigned(4 | 8) => tensor.uint64_data.iter().map(|&v| v as f64).collect(),
        ElementType::F16 | ElementType::Bf16 => {
            let bytes: Vec<u8> = tensor.int32_data.iter().flat_map(|&v| (v as u16).to_le_bytes()).collect();
            element.decode(&bytes, false).collect()
        }
        ElementType::Bool | ElementType::Signed(_) | ElementType::Unsigned(_) => {
            tensor.int32_data.iter().map(|&v| f64::from(v)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 16;

    /// A constant in single precision, in the file or at a place beside it.
    fn constant(location: Option<&str>) -> proto::Tensor {
        let entry = |location: &str| proto::Entry { key: "location".into(), value: location.into() };
        proto::Tensor {
            dims: vec![N as i64],
            data_type: 1,
            float_data: if location.is_some() { Vec::new() } else { vec![0.5; N] },
            external_data: location.map(entry).into_iter().collect(),
            data_location: i32::from(location.is_some()),
            ..Default::default()
        }
    }

    #[test]
    fn all_constants_share_one_room() {
        let folder = tempfile::tempdir().expect("a folder is given");
        let path = folder.path().join("net.onnx");
        std::fs::write(folder.path().join("data"), [0; 4 * N]).expect("it is written");
        for (constant, n_bytes) in [(constant(None), 8 * N), (constant(Some("data")), 12 * N)] {
            let mut reader = TensorReader::new(&path, "net.onnx");
            reader.room = Room { left: 2 * n_bytes as u64, ..Room::default() };
            let mut refused = || reader.read(&constant, "c").err().map(|refused| refused.code);
            assert_eq!([refused(), refused(), refused()], [None, None, Some(Code::FileTooLarge)]);
        }
    }

    #[test]
    fn elements_are_counted_before_they_take_room() {
        let mut reader = TensorReader::new(Path::new("net.onnx"), "net.onnx");
        let many = proto::Tensor { dims: vec![1 << 28], ..constant(None) };
        let raw = proto::Tensor { raw_data: vec![0; 4 * N + 1], ..constant(None) };
        for damaged in [many, raw] {
            let refused = reader.read(&damaged, "c").expect_err("it has other elements than its shape says");
            assert_eq!(refused.code, Code::MalformedFile);
        }
    }
}
