//! Writes NumPy archives.

use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use npyz::zip::{CompressionMethod, DateTime, write::FileOptions};
use std::io::{self, Cursor};

/// A constant tensor with its name in a file, row-major.
#[derive(Clone, Debug)]
pub(crate) struct NamedTensor<'a> {
    /// Name.
    pub name: String,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: &'a [f64],
}

/// The bytes of an `.npz` file of the tensors in the given order. Elements are
/// 32-bit floats where these hold all of a tensor exactly, else 64-bit ones.
pub(crate) fn npz_archive(tensors: &[NamedTensor<'_>]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let written = write(tensors, &mut NpzWriter::new(&mut bytes));
    written.expect("writing to memory does not fail");
    bytes.into_inner()
}

/// The bytes of an `.npz` file of one tensor.
pub fn to_npz(name: &str, shape: &[usize], values: &[f64]) -> Vec<u8> {
    npz_archive(&[NamedTensor { name: name.to_owned(), shape: shape.to_vec(), values }])
}

fn write(tensors: &[NamedTensor<'_>], writer: &mut NpzWriter<&mut Cursor<Vec<u8>>>) -> io::Result<()> {
    // Equal tensors give equal bytes, whenever they are written.
    let options = FileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    for tensor in tensors {
        let shape: Vec<u64> = tensor.shape.iter().map(|&extent| extent as u64).collect();
        let values = tensor.values.iter();
        if tensor.values.iter().all(|&value| f64::from(value as f32) == value) {
            let array = writer.array(&tensor.name, options)?;
            let mut array = array.default_dtype().shape(&shape).begin_nd()?;
            array.extend(values.map(|&value| value as f32))?;
            array.finish()?;
        } else {
            let array = writer.array(&tensor.name, options)?;
            let mut array = array.default_dtype().shape(&shape).begin_nd()?;
            array.extend(values)?;
            array.finish()?;
        }
    }
    writer.zip_writer().finish()?;
    Ok(())
}
