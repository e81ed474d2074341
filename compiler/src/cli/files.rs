//! Reading files of bounded size, and writing files whole or not at all.

use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Largest file that is read.
const MAX_BYTES: u64 = 64 << 30;

/// Contents of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Diagnostics> {
    read_at_most(path, MAX_BYTES)
}

/// Contents of a file, or as many bytes of them.
pub fn read_at_most(path: &Path, n_bytes: u64) -> Result<Vec<u8>, Diagnostics> {
    let unreadable = |e: std::io::Error| {
        let shown = path.display().to_string();
        let title = format!("cannot read `{shown}`");
        Diagnostic::error(Code::UnreadableFile, title).label(Label::file(shown, e.to_string()))
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(n_bytes).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// As the system's defaults say.
    Normal,
    /// The owner alone.
    Secret,
}

/// Writes a file through a temporary one beside it, so that it appears complete
/// or not at all.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), Diagnostics> {
    let unwritable = |e: std::io::Error| {
        let shown = path.display().to_string();
        let title = format!("cannot write `{shown}`");
        let place = Label::file(shown, e.to_string());
        Diagnostic::error(Code::UnwritableFile, title).label(place).help("choose a folder you may write to")
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let mut file = temporary(access).tempfile_in(folder).map_err(unwritable)?;
    file.write_all(bytes).map_err(unwritable)?;
    file.persist(path).map_err(|e| unwritable(e.error))?;
    Ok(())
}

/// Temporary files are private; others get the rights the user's mask leaves.
#[cfg(unix)]
fn temporary(access: Access) -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    match access {
        Access::Normal => builder.permissions(std::fs::Permissions::from_mode(0o666)),
        Access::Secret => &mut builder,
    };
    builder
}

#[cfg(not(unix))]
fn temporary(_: Access) -> tempfile::Builder<'static, 'static> {
    tempfile::Builder::new()
}
