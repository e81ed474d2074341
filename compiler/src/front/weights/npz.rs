//! NumPy archives: a zip file of `.npy` arrays.
//!
//! Archives are bounded twice: sizes that headers declare are checked before
//! anything is allocated, and data is unpacked piece by piece, so an archive
//! that declares little and unpacks to much stops at the limit.

use super::{ElementType, Tensor, all_finite, n_elements};
use crate::diag::{Code, Diagnostic, Label};
use crate::front::MAX_BYTES;
use indexmap::IndexMap;
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar, TypeStr};
use std::io::{self, Cursor, Read};

/// Longest array header; NumPy writes about a hundred bytes.
const MAX_HEADER: usize = 4096;
/// Bytes unpacked at a time.
const PIECE: usize = 1 << 16;

/// All arrays of an archive.
pub(super) fn read(
    path: &str,
    bytes: &[u8],
) -> Result<IndexMap<String, Result<Tensor, Diagnostic>>, Diagnostic> {
    let damaged = |message: String| malformed(path, None, message);
    let mut archive = npyz::npz::NpzArchive::new(Cursor::new(bytes))
        .map_err(|error| damaged(format!("not a readable archive: {error}")))?;
    let zip = archive.zip_archive();
    let mut entries = IndexMap::new();
    let mut budget = MAX_BYTES;
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).map_err(|error| damaged(error.to_string()))?;
        let file_name = file.name().to_owned();
        let Some(name) = npyz::npz::array_name_from_file_name(&file_name) else { continue };
        let array = Array { path, name };
        let tensor = array.read(&mut file, &mut budget)?;
        entries.insert(name.to_owned(), tensor);
    }
    Ok(entries)
}

fn malformed(path: &str, name: Option<&str>, message: String) -> Diagnostic {
    let place = match name {
        Some(name) => Label::item(path, format!("tensor `{name}`"), message),
        None => Label::file(path, message),
    };
    let title = "the archive is damaged";
    Diagnostic::error(Code::MalformedFile, title).label(place).help("write or download it again")
}

/// Where an array is, for messages.
struct Array<'a> {
    path: &'a str,
    name: &'a str,
}

impl Array<'_> {
    /// Outer errors are about the file, inner ones about this array's use.
    fn read(&self, file: &mut impl Read, budget: &mut u64) -> Result<Result<Tensor, Diagnostic>, Diagnostic> {
        let header = self.header(file)?;
        let Some((element, big_endian)) = element_type(&header.dtype()) else {
            return Ok(Err(self.unsupported(&header.dtype())));
        };
        let n = n_elements(header.shape()).ok_or_else(|| self.too_large())?;
        let unpacked = (n * size_of::<f64>()) as u64;
        *budget = budget.checked_sub(unpacked).ok_or_else(|| self.too_large())?;
        let mut values = self.elements(file, n, element, big_endian)?;
        let shape: Vec<usize> = header.shape().iter().map(|&d| d as usize).collect();
        if header.order() == Order::Fortran {
            values = row_major(&values, &shape);
        }
        let tensor = Tensor { shape, values, integral: element.is_integral() };
        Ok(all_finite(self.path, self.name, tensor))
    }

    fn malformed(&self, message: impl ToString) -> Diagnostic {
        malformed(self.path, Some(self.name), message.to_string())
    }

    fn too_large(&self) -> Diagnostic {
        let title = format!("the tensors take more than {MAX_BYTES} bytes");
        let place = Label::item(self.path, format!("tensor `{}`", self.name), "exceeds the limit");
        Diagnostic::error(Code::FileTooLarge, title).label(place)
    }

    fn unsupported(&self, dtype: &DType) -> Diagnostic {
        let title = format!("tensor `{}` has elements of type {}", self.name, dtype.descr());
        Diagnostic::error(Code::ElementType, title)
            .label(Label::item(self.path, format!("tensor `{}`", self.name), ""))
            .help("convert it with `.astype(numpy.float32)` before saving")
    }

    /// Reads up to the first element. The text is vetted before it is parsed:
    /// the parser recurses on brackets and multiplies extents unchecked.
    fn header(&self, file: &mut impl Read) -> Result<NpyHeader, Diagnostic> {
        let mut bytes = vec![0; 10];
        let truncated = |error: io::Error| self.malformed(format!("truncated header: {error}"));
        file.read_exact(&mut bytes).map_err(truncated)?;
        let mut length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        if bytes[6] > 1 {
            bytes.extend([0; 2]);
            file.read_exact(&mut bytes[10..]).map_err(truncated)?;
            length |= usize::from(u16::from_le_bytes([bytes[10], bytes[11]])) << 16;
        }
        if length > MAX_HEADER {
            return Err(self.malformed(format!("the header is {length} bytes long")));
        }
        let start = bytes.len();
        bytes.resize(start + length, 0);
        file.read_exact(&mut bytes[start..]).map_err(truncated)?;
        if !is_sane(&bytes[start..]) {
            return Err(self.malformed("the header does not describe an array"));
        }
        NpyHeader::from_reader(&bytes[..]).map_err(|error| self.malformed(error))
    }

    fn elements(
        &self,
        file: &mut impl Read,
        n: usize,
        element: ElementType,
        big_endian: bool,
    ) -> Result<Vec<f64>, Diagnostic> {
        let mut values = Vec::new();
        let mut piece = vec![0; PIECE];
        while values.len() < n {
            let missing = (n - values.len()) * element.n_bytes();
            let part = &mut piece[..missing.min(PIECE)];
            file.read_exact(part).map_err(|error| {
                let found = values.len();
                self.malformed(format!("ends after about {found} of {n} elements: {error}"))
            })?;
            values.extend(element.decode(part, big_endian));
        }
        // Reading the end makes the archive verify its checksum.
        match file.read(&mut piece[..1]).map_err(|error| self.malformed(error))? {
            0 => Ok(values),
            _ => Err(self.malformed(format!("holds more than the {n} elements it declares"))),
        }
    }
}

/// Whether a header is flat and its extents have a bounded product.
fn is_sane(header: &[u8]) -> bool {
    let count = |wanted: &[u8]| header.iter().filter(|b| wanted.contains(b)).count();
    if count(b"{") != 1 || count(b"(") > 32 || count(b"[") > 32 {
        return false;
    }
    let deepest = header.iter().fold((0i32, 0i32), |(depth, deepest), b| match b {
        b'(' | b'[' | b'{' => (depth + 1, deepest.max(depth + 1)),
        b')' | b']' | b'}' => (depth - 1, deepest),
        _ => (depth, deepest),
    });
    let numbers = header.split(|b| !b.is_ascii_digit()).filter(|n| !n.is_empty());
    let product = numbers.map(number).try_fold(1u64, |product, n| product.checked_mul(n?.max(1)));
    deepest.1 <= 4 && product.is_some()
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Element type and whether it is big-endian.
fn element_type(dtype: &DType) -> Option<(ElementType, bool)> {
    let DType::Plain(text) = dtype else { return None };
    Some((plain_type(text)?, text.endianness() == Endianness::Big))
}

fn plain_type(text: &TypeStr) -> Option<ElementType> {
    let n_bytes = text.num_bytes()?;
    match (text.type_char(), n_bytes) {
        (TypeChar::Float, 2) => Some(ElementType::F16),
        (TypeChar::Float, 4) => Some(ElementType::F32),
        (TypeChar::Float, 8) => Some(ElementType::F64),
        (TypeChar::Int, 1 | 2 | 4 | 8) => Some(ElementType::Signed(n_bytes)),
        (TypeChar::Uint, 1 | 2 | 4 | 8) => Some(ElementType::Unsigned(n_bytes)),
        (TypeChar::Bool, 1) => Some(ElementType::Bool),
        (_, _) => None,
    }
}

/// Reorders elements from first-axis-fastest to last-axis-fastest.
fn row_major(values: &[f64], shape: &[usize]) -> Vec<f64> {
    let mut index = vec![0; shape.len()];
    let mut strides = Vec::with_capacity(shape.len());
    shape.iter().fold(1, |stride, extent| {
        strides.push(stride);
        stride * extent
    });
    let next = |_| {
        let at: usize = index.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
        for (i, extent) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *extent {
                break;
            }
            *i = 0;
        }
        values[at]
    };
    (0..values.len()).map(next).collect()
}
