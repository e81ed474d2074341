//! Archives of arrays.

use npyz::WriterBuilder;
use std::io::{Seek, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Writes an array of an archive.
pub fn array<T: npyz::AutoSerialize>(
    archive: &mut ZipWriter<impl Write + Seek>,
    name: &str,
    shape: &[u64],
    values: Vec<T>,
) {
    archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape);
    let mut writer = options.writer(archive).begin_nd().unwrap();
    writer.extend(values).unwrap();
    writer.finish().unwrap();
}
