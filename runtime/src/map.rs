//! Files of encoded plaintexts that are mapped into memory.
//!
//! A [`Spill`] is written from start to end and then becomes a [`Map`], which
//! nobody can change. The only `unsafe` of this crate; its safe counterpart is
//! to encode instead ([`Overflow::Encode`](crate::memory::Overflow)), and tests
//! hold the two to the same results.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Every piece starts at a multiple of this many bytes, a cache line.
const ALIGNMENT: usize = 64;

/// A file under construction. It has no name, and the system deletes it when the
/// last handle and map of it are gone, however the process ends.
pub(crate) struct Spill {
    file: File,
    len: usize,
}

impl Spill {
    /// An empty file in a folder.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(crate) fn new(folder: &Path) -> io::Result<Spill> {
        Ok(Spill { file: tempfile::tempfile_in(folder)?, len: 0 })
    }

    /// Writes one piece and says where it is.
    ///
    /// # Errors
    /// When the system refuses it, as on a full disk.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<Range<usize>> {
        let start = self.len.next_multiple_of(ALIGNMENT);
        self.file.write_all(&[0; ALIGNMENT][..start - self.len])?;
        self.file.write_all(bytes)?;
        self.len = start + bytes.len();
        Ok(start..self.len)
    }

    /// Maps what was written, read-only.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(crate) fn map(self) -> io::Result<Arc<Map>> {
        // SAFETY: a map is sound while nobody writes to or truncates its file.
        // The file has no name by which another process could open it, or had one
        // for a moment that only this user may use, where the system makes no
        // nameless files; this handle is the only one, and it is closed when
        // this function returns.
        let map = unsafe { memmap2::Mmap::map(&self.file)? };
        Ok(Arc::new(Map(map)))
    }
}

/// Bytes of a file, mapped read-only.
#[derive(Debug)]
pub(crate) struct Map(memmap2::Mmap);

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_holds_what_was_written_at_aligned_places() {
        let mut spill = Spill::new(&std::env::temp_dir()).unwrap();
        let pieces = [vec![1; 64], vec![2; 5], Vec::new(), vec![3; 10_000]];
        let places = pieces.each_ref().map(|piece| spill.append(piece).unwrap());
        let map = spill.map().unwrap();
        let bytes: &[u8] = (*map).as_ref();
        for (place, piece) in places.into_iter().zip(&pieces) {
            assert!(place.start.is_multiple_of(ALIGNMENT));
            assert_eq!(&bytes[place], piece);
        }
        assert_eq!(bytes.as_ptr() as usize % ALIGNMENT, 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_refused() {
        assert!(Spill::new(Path::new("no such folder")).is_err());
    }
}
