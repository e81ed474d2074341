//! Writes NumPy archives.

use npyz::WriterBuilder;
use npyz::npz;
use std::io::{self, BufWriter, Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

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
    let written = write(tensors, ZipWriter::new(&mut bytes));
    written.expect("writing to memory does not fail");
    bytes.into_inner()
}

/// The bytes of an `.npz` file of one tensor.
pub fn to_npz(name: &str, shape: &[usize], values: &[f64]) -> Vec<u8> {
    npz_archive(&[NamedTensor { name: name.to_owned(), shape: shape.to_vec(), values }])
}

fn write(tensors: &[NamedTensor<'_>], mut archive: ZipWriter<&mut Cursor<Vec<u8>>>) -> io::Result<()> {
    for tensor in tensors {
        let values = tensor.values.iter();
        if tensor.values.iter().all(|&value| f64::from(value as f32) == value) {
            write_array(tensor, values.map(|&value| value as f32), &mut archive)?;
        } else {
            write_array(tensor, values.copied(), &mut archive)?;
        }
    }
    archive.finish()?;
    Ok(())
}

/// Through a buffer: the compressor clears its own for every call, however little it is given.
fn write_array<T: npyz::AutoSerialize>(
    tensor: &NamedTensor<'_>,
    values: impl Iterator<Item = T>,
    archive: &mut ZipWriter<&mut Cursor<Vec<u8>>>,
) -> io::Result<()> {
    // Equal tensors give equal bytes, whenever they are written.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    let shape: Vec<u64> = tensor.shape.iter().map(|&extent| extent as u64).collect();
    archive.start_file(npz::file_name_from_array_name(&tensor.name), options)?;
    let mut buffer = BufWriter::with_capacity(1 << 16, archive);
    let mut array = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut buffer).begin_nd()?;
    array.extend(values)?;
    array.finish()?;
    buffer.flush()
}
