//! Files of users: read up to a length that is known before, and found where a model may name them.

use super::Room;
use crate::diag::{Code, Diagnostic, Label};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// The content of a plain file, which is refused unread if it is longer than `limit` bytes or than what is free.
///
/// # Errors
/// [`Code::UnreadableFile`], also for pipes and devices, and [`Code::FileTooLarge`].
pub fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, Diagnostic> {
    let file = open_plain(path)?;
    let length = file.metadata().map_err(|error| unreadable(path, &error))?.len();
    Room::default().take(Label::file(path.display().to_string(), ""), length)?;
    if length > limit {
        return Err(too_large(path, limit));
    }
    let mut bytes = Vec::new();
    let room = bytes.try_reserve_exact(length as usize + 1).map_err(io::Error::other);
    // The file may have grown, and those of the system tell no length.
    let read = room.and_then(|()| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > limit { Err(too_large(path, limit)) } else { Ok(bytes) }
}

/// The first bytes of a plain file: as many as asked for, or all if there are fewer.
///
/// # Errors
/// [`Code::UnreadableFile`], also for pipes and devices.
pub fn read_start(path: &Path, n_bytes: u64) -> Result<Vec<u8>, Diagnostic> {
    let mut bytes = Vec::new();
    let read = open_plain(path)?.take(n_bytes).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|error| unreadable(path, &error))
}

/// The first bytes of a file, which tell its kind; zeros where there are fewer.
pub(crate) fn first_bytes(path: &Path) -> Result<[u8; 4], Diagnostic> {
    let mut first = [0; 4];
    let bytes = read_start(path, first.len() as u64)?;
    first[..bytes.len()].copy_from_slice(&bytes);
    Ok(first)
}

/// Opens a plain file. Devices and pipes may never end, and opening a pipe may wait for ever.
pub(crate) fn open_plain(path: &Path) -> Result<File, Diagnostic> {
    let plain = |metadata: std::fs::Metadata| match metadata.is_file() {
        true => File::open(path),
        false => Err(io::Error::other("not a plain file")),
    };
    std::fs::metadata(path).and_then(plain).map_err(|error| unreadable(path, &error))
}

/// A file that the system does not give.
pub fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display().to_string();
    let title = format!("cannot read `{shown}`");
    Diagnostic::error(Code::UnreadableFile, title).label(Label::file(shown, error.to_string()))
}

fn too_large(path: &Path, limit: u64) -> Diagnostic {
    let title = format!("the file is larger than {limit} bytes");
    Diagnostic::error(Code::FileTooLarge, title).label(Label::file(path.display().to_string(), ""))
}

/// The path of a file that a model names by `location`: in the model's folder or below it, by its name and by
/// whatever links it goes through. Whoever sends a model can therefore not have other files read.
///
/// # Errors
/// Says why the location leads elsewhere.
pub(crate) fn beside(model: &Path, location: &str) -> Result<PathBuf, String> {
    let is_below = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    let mut parts = Path::new(location).components();
    if location.is_empty() || !parts.all(is_below) {
        return Err(format!("`{location}` is not a file in the model's folder or below"));
    }
    let folder = model.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let path = model.with_file_name(location);
    match (folder.canonicalize(), path.canonicalize()) {
        (Ok(folder), Ok(real)) if !real.starts_with(&folder) => {
            Err(format!("`{location}` is a link that leads out of the model's folder"))
        }
        // A file that is not there is refused by whoever reads it.
        (Ok(_) | Err(_), Ok(_) | Err(_)) => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn models_name_files_below_them() {
        let root = tempfile::tempdir().expect("a folder is given");
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("model/part")).expect("it is created");
        for name in ["outside.npz", "model/a.npz", "model/part/b.npz"] {
            fs::write(at(name), name).expect("it is written");
        }
        #[cfg(unix)]
        for (target, name) in
            [("part", "in"), ("part/b.npz", "b.npz"), ("../outside.npz", "out.npz"), ("..", "up")]
        {
            std::os::unix::fs::symlink(target, at("model").join(name)).expect("it is linked");
        }
        let found = |location: &str| beside(&at("model/m.hec"), location);
        let inside = ["a.npz", "./a.npz", "part/b.npz", "part/./b.npz", "in/b.npz", "b.npz", "absent.npz"];
        for location in inside {
            assert_eq!(found(location), Ok(at("model").join(location)));
        }
        let absolute = at("model/a.npz").display().to_string();
        let outside = ["", "..", "../outside.npz", "part/../a.npz", "../model/a.npz", &absolute];
        assert!(outside.into_iter().all(|location| found(location).is_err()));
        #[cfg(unix)]
        assert!(["out.npz", "up/outside.npz"].into_iter().all(|location| found(location).is_err()));
        #[cfg(unix)]
        assert!(found("up/model/a.npz").is_ok());
    }

    #[test]
    fn long_files_are_refused_before_they_are_read() {
        let file = tempfile::NamedTempFile::new().expect("a file is given");
        file.as_file().set_len(1 << 40).expect("it has holes");
        let refused = read_at_most(file.path(), 1 << 20).expect_err("it is too long");
        assert_eq!(refused.code, Code::FileTooLarge);
        assert_eq!(read_start(file.path(), 3), Ok(vec![0; 3]));
        file.as_file().set_len(3).expect("it is shorter now");
        assert_eq!(read_at_most(file.path(), 3), Ok(vec![0; 3]));
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_not_read() {
        let refused = read_at_most(Path::new("/dev/zero"), 8).expect_err("it never ends");
        assert_eq!(refused.code, Code::UnreadableFile);
        assert!(read_start(Path::new("/dev/zero"), 8).is_err());
    }
}
