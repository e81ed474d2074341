//! Where the bytes of an output go: to a plain file, through links, or through a pipe or device.

use super::Kind;
use super::draft::folder_of;
use hecc::diag::{Code, Diagnostic, Label};
use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Most links that are followed.
const MAX_LINKS: usize = 40;

/// Where an output goes.
#[derive(Debug)]
pub enum Place {
    /// A plain file that is not there yet.
    New(PathBuf),
    /// A plain file that is there, and who may use it.
    Taken(PathBuf, Permissions),
    /// A pipe, a device or an open file of this process.
    Stream(PathBuf),
}

impl Place {
    /// Where a file of a kind goes that the user names. Secrets go to plain files alone, which are named
    /// directly; everything else follows links. A name that is one of several of a file is freed for the output;
    /// the others keep the file.
    pub fn of(path: &Path, kind: Kind) -> Result<Place, Diagnostic> {
        let secret = |what| refused(path, what, "write the secret key to a new file, without links");
        if kind.is_secret() && path.is_symlink() {
            return Err(secret("a link"));
        }
        let end = follow(path).map_err(|error| refused(path, &error.to_string(), "choose another file"))?;
        match end {
            (end, None) => Ok(Place::New(end)),
            (end, Some(found)) if found.is_file() && !is_descriptor(&end) => {
                Ok(Place::Taken(end, found.permissions()))
            }
            (_, Some(found)) if found.is_dir() => Err(refused(path, "a folder", "name a file in it")),
            (_, Some(found)) if is_disk(&found) => Err(refused(path, "a disk", "name a file")),
            (_, Some(_)) if kind.is_secret() => Err(secret("a pipe or device")),
            (end, Some(_)) => Ok(Place::Stream(end)),
        }
    }

    /// Its path, behind all links.
    pub fn path(&self) -> &Path {
        match self {
            Place::New(path) | Place::Taken(path, _) | Place::Stream(path) => path,
        }
    }

    /// Whether it is what this process prints to, so that nothing else may be printed there.
    pub fn is_standard_output(&self) -> bool {
        let Place::Stream(path) = self else { return false };
        let streams = [path, Path::new("/dev/stdout")].map(|path| fs::metadata(path).ok());
        matches!(streams, [Some(ours), Some(standard)] if !is_terminal_or_null(&ours) && same(&ours, &standard))
    }
}

/// What a path leads to, and what is there. Links to open files of this process are not followed: those are written
/// to where they stand.
fn follow(path: &Path) -> io::Result<(PathBuf, Option<Metadata>)> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match path.symlink_metadata() {
            Ok(found) if found.is_symlink() && is_descriptor(&path) => {
                return Ok((path.clone(), Some(path.metadata()?)));
            }
            Ok(found) if found.is_symlink() => path = folder_of(&path).join(path.read_link()?),
            Ok(found) => return Ok((path, Some(found))),
            // A folder that cannot be made is the system's to refuse.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok((path, None));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links"))
}

/// Whether a path is that of an open file of a process.
fn is_descriptor(path: &Path) -> bool {
    let folder = folder_of(path).canonicalize().unwrap_or_default();
    folder.starts_with("/proc") && folder.ends_with("fd")
}

/// Whether two paths lead to one file, which may not be there yet.
pub fn is_same(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) if is_terminal_or_null(&a) || is_terminal_or_null(&b) => false,
        (Ok(found_a), Ok(found_b)) => same(&found_a, &found_b) || real(a) == real(b),
        (Err(_), Err(_)) => real(a) == real(b),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

/// The path of a file without links on the way to it.
fn real(path: &Path) -> PathBuf {
    let folder = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(folder).unwrap_or_else(|| path.to_owned())
}

#[cfg(unix)]
fn same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same(_: &Metadata, _: &Metadata) -> bool {
    false
}

/// Whether it may be read and written independently at the same time.
#[cfg(unix)]
fn is_terminal_or_null(found: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_char_device(&found.file_type())
}

#[cfg(not(unix))]
fn is_terminal_or_null(_: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn is_disk(found: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&found.file_type())
}

#[cfg(not(unix))]
fn is_disk(_: &Metadata) -> bool {
    false
}

fn refused(path: &Path, what: &str, help: &str) -> Diagnostic {
    let shown = path.display().to_string();
    Diagnostic::error(Code::BadDestination, format!("cannot write to `{shown}`"))
        .label(Label::file(shown, what))
        .help(help)
}
