//! NumPy archives: a zip file of `.npy` arrays, of which only those are read that somebody asks for.
//!
//! What an array takes is known from its header, and held against what its entry says and against limits before
//! anything is unpacked or allocated. Unpacking ends where the header says.

use super::{ElementType, Part, Tensor, Wanted, all_finite, counted_elements};
use crate::diag::{Code, Diagnostic, Label};
use crate::front::{Room, large};
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar, TypeStr};
use std::io::{self, Read, Seek};
use zip::ZipArchive;

/// Longest array header; NumPy writes about a hundred bytes.
const MAX_HEADER: usize = 4096;
/// Bytes unpacked at a time.
const PIECE: usize = 1 << 16;
/// Most bytes that deflate makes of one.
const MAX_EXPANSION: u64 = 1032;

/// A source of bytes in any order.
pub(super) trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// An archive whose directory was read.
pub(super) struct Archive {
    zip: ZipArchive<Box<dyn Source>>,
}

/// Reads the directory: the archive, and each array's name with its place.
pub(super) fn open(
    path: &str,
    source: Box<dyn Source>,
) -> Result<(Archive, Vec<(String, usize)>), Diagnostic> {
    let damaged = |message: String| malformed(path, None, message);
    let zip = ZipArchive::new(source).map_err(|e| damaged(format!("not a readable archive: {e}")))?;
    if zip.has_duplicate_names() {
        return Err(damaged(String::from("two of its entries have one name")));
    }
    let names = (0..zip.len()).filter_map(|index| {
        let name = zip.name_for_index(index)?.ok()?;
        Some((npyz::npz::array_name_from_file_name(&name)?.to_owned(), index))
    });
    let names = names.collect();
    Ok((Archive { zip }, names))
}

impl Archive {
    /// Reads what is wanted of the array at a place. Takes what that needs from `room`.
    pub fn read(
        &mut self,
        array: Array<'_>,
        index: usize,
        wanted: Wanted,
        room: &mut Room,
    ) -> Result<Part, Diagnostic> {
        let mut entry = self.zip.by_index(index).map_err(|e| array.malformed(e))?;
        let sizes = Sizes { unpacked: entry.size(), packed: entry.compressed_size() };
        array.read(&mut entry, sizes, wanted, room)
    }
}

/// Bytes of an entry by the directory.
#[derive(Clone, Copy)]
struct Sizes {
    unpacked: u64,
    packed: u64,
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
#[derive(Clone, Copy)]
pub(super) struct Array<'a> {
    /// Path of the file.
    pub path: &'a str,
    /// Name in the file.
    pub name: &'a str,
}

impl Array<'_> {
    fn read(
        &self,
        file: &mut impl Read,
        sizes: Sizes,
        wanted: Wanted,
        room: &mut Room,
    ) -> Result<Part, Diagnostic> {
        let (header, header_len) = self.header(file)?;
        let Some((element, big_endian)) = element_type(&header.dtype()) else {
            return Err(self.unsupported(&header.dtype()));
        };
        let place = || Label::item(self.path, format!("tensor `{}`", self.name), "");
        let n = counted_elements(header.shape()).ok_or_else(|| large(place(), None))?;
        self.is_plausible(n as u64 * element.n_bytes() as u64, header_len as u64, sizes)?;
        let whole: Vec<usize> = header.shape().iter().map(|&d| d as usize).collect();
        let is_row_major = header.order() == Order::C || whole.len() < 2;
        let rows = wanted.rows(&whole).map_err(|refused| refused.label(place()))?;
        let n_wanted = if is_row_major { rows.n_elements() } else { n };
        room.take(place(), n_wanted as u64 * size_of::<f64>() as u64)?;
        let mut values = self.elements(file, n_wanted, element, big_endian)?;
        if n_wanted == n {
            self.has_ended(file, n)?;
        }
        if !is_row_major {
            values = row_major(&values, &whole);
            values.truncate(rows.n_elements());
        }
        let tensor = Tensor { shape: rows.shape(&whole), values, integral: element.is_integral() };
        Ok(Part { tensor: all_finite(self.path, self.name, tensor)?, whole })
    }

    /// Whether the directory bears out what the header declares, which nothing was unpacked for yet.
    fn is_plausible(&self, data: u64, header_len: u64, sizes: Sizes) -> Result<(), Diagnostic> {
        let declared = data.saturating_add(header_len);
        if declared != sizes.unpacked {
            let found = sizes.unpacked;
            return Err(self.malformed(format!("its header declares {declared} bytes, the archive {found}")));
        }
        if declared / MAX_EXPANSION > sizes.packed {
            let packed = sizes.packed;
            return Err(self.malformed(format!("{packed} bytes cannot unpack to the {declared} it declares")));
        }
        Ok(())
    }

    fn malformed(&self, message: impl ToString) -> Diagnostic {
        malformed(self.path, Some(self.name), message.to_string())
    }

    fn unsupported(&self, dtype: &DType) -> Diagnostic {
        let title = format!("tensor `{}` has elements of type {}", self.name, dtype.descr());
        Diagnostic::error(Code::ElementType, title)
            .label(Label::item(self.path, format!("tensor `{}`", self.name), ""))
            .help("convert it with `.astype(numpy.float32)` before saving")
    }

    /// Reads up to the first element, and tells how many bytes that were. The text is vetted before it is
    /// parsed: the parser recurses on brackets and multiplies extents unchecked.
    fn header(&self, file: &mut impl Read) -> Result<(NpyHeader, usize), Diagnostic> {
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
        let header = NpyHeader::from_reader(&bytes[..]).map_err(|error| self.malformed(error))?;
        Ok((header, bytes.len()))
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
        Ok(values)
    }

    /// Reading the end makes the archive verify its checksum.
    fn has_ended(&self, file: &mut impl Read, n: usize) -> Result<(), Diagnostic> {
        match file.read(&mut [0]).map_err(|error| self.malformed(error))? {
            0 => Ok(()),
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
