//! Files that are complete and on the disk before they get the name that others know.
//!
//! Where the system has files without a name (Linux, on most file systems) a draft is one, so that nothing is left
//! of it however the process ends. Elsewhere it has a name of ours. Drafts are locked as long as their process
//! lives, and those that are not are removed by the next command that writes to the folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempPath};

/// Names of drafts: between them stand so many random letters and digits.
const NAME: (&str, usize, &str) = (".hecc-", 12, ".tmp");

/// A file in the folder where it is going to be.
pub struct Draft {
    file: File,
    folder: PathBuf,
    /// The name it has for now, if it has one.
    name: Option<TempPath>,
}

impl Draft {
    /// Writes a draft, with rights that the user's mask does not take, and waits until it is on the disk.
    pub fn write(folder: &Path, mode: u32, bytes: &[u8]) -> io::Result<Draft> {
        let mut draft = unnamed(folder, mode).or_else(|_| named(folder, mode))?;
        // Systems without locks keep drafts of processes that were killed.
        let _ = draft.file.try_lock();
        draft.file.write_all(bytes)?;
        draft.file.sync_all()?;
        Ok(draft)
    }

    /// Gives the file the rights of the one that it replaces.
    pub fn set_permissions(&self, permissions: fs::Permissions) -> io::Result<()> {
        self.file.set_permissions(permissions)
    }

    /// Names the file, unless there is one of this name.
    pub fn create(self, path: &Path) -> io::Result<()> {
        match self.name {
            Some(name) => name.persist_noclobber(path).map_err(|refused| refused.error),
            None => link(&self.file, path),
        }
    }

    /// Names the file, which takes the place of another at once.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        let linked = |name: &Path| link(&self.file, name);
        let name = match self.name {
            Some(name) => name,
            None => builder().make_in(&self.folder, linked)?.into_temp_path(),
        };
        name.persist(path).map_err(|refused| refused.error)
    }
}

/// Makes names of drafts.
fn builder() -> Builder<'static, 'static> {
    let (prefix, n_random, suffix) = NAME;
    let mut builder = Builder::new();
    builder.prefix(prefix).rand_bytes(n_random).suffix(suffix);
    builder
}

/// Moves a file to a name of ours, under which the next command removes it if this process does not.
pub fn set_aside(path: &Path) -> io::Result<TempPath> {
    let folder = folder_of(path);
    Ok(builder().make_in(&folder, |name| fs::rename(path, name))?.into_temp_path())
}

/// A file without a name.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Path, mode: u32) -> io::Result<Draft> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(open(folder, flags, Mode::from_raw_mode(mode))?);
    // Its name is given through this one.
    fs::metadata(descriptor(&file))?;
    Ok(Draft { file, folder: folder.to_owned(), name: None })
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Path, _: u32) -> io::Result<Draft> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A file with a name of ours.
fn named(folder: &Path, mode: u32) -> io::Result<Draft> {
    let create = |name: &Path| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        options.open(name)
    };
    let (file, name) = builder().make_in(folder, create)?.into_parts();
    Ok(Draft { file, folder: folder.to_owned(), name: Some(name) })
}

/// Names a file that has none.
#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    Ok(linkat(CWD, descriptor(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The path of an open file of this process.
#[cfg(target_os = "linux")]
fn descriptor(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Removes what is left of processes that were killed.
pub fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_name));
    let plain = ours.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    for path in plain.map(|entry| entry.path()) {
        if File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            // Whoever may not remove it has nothing to lose by it.
            let _ = fs::remove_file(&path);
        }
    }
}

fn is_name(name: &str) -> bool {
    let (prefix, n_random, suffix) = NAME;
    let random = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(suffix));
    random.is_some_and(|random| random.len() == n_random && random.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// The folder that holds a file.
pub fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// Waits until the names in a folder are on the disk; systems that cannot tell keep them their own way.
pub fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("it is read");
        let name =
            |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().display().to_string());
        let mut names: Vec<String> = entries.map(name).collect::<Result<_, _>>().expect("they are read");
        names.sort();
        names
    }

    #[test]
    fn drafts_get_their_names_at_once_or_never() {
        let folder = tempfile::tempdir().expect("a folder is given");
        let at = |name: &str| folder.path().join(name);
        for make in [unnamed, named] {
            let Ok(mut draft) = make(folder.path(), 0o666) else { continue };
            draft.file.write_all(b"new").expect("there is room");
            fs::write(at("old"), "old").expect("there is room");
            let refused = draft.create(&at("old")).expect_err("it is there");
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(
                (names(folder.path()), fs::read(at("old")).ok()),
                (vec!["old".into()], Some(b"old".into()))
            );
            for place in [Draft::create, Draft::replace] {
                let mut draft = make(folder.path(), 0o666).expect("as before");
                draft.file.write_all(b"new").expect("there is room");
                place(draft, &at("new")).expect("it is named");
                assert_eq!((names(folder.path()).len(), fs::read(at("new")).ok()), (2, Some(b"new".into())));
                fs::remove_file(at("new")).expect("it is there");
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_system_has_files_without_names() {
        let folder = tempfile::tempdir().expect("a folder is given");
        let draft = Draft::write(folder.path(), 0o600, b"secret").expect("there is room");
        assert!(draft.name.is_some() || names(folder.path()).is_empty());
    }

    #[test]
    fn drafts_are_swept_when_their_process_is_gone() {
        let folder = tempfile::tempdir().expect("a folder is given");
        let living = named(folder.path(), 0o600).expect("there is room");
        living.file.try_lock().expect("it is ours");
        for name in
            [".hecc-abcdefGHIJ12.tmp", ".hecc-short.tmp", ".hecc-abcdefGHIJ1_.tmp", "hecc-abcdefGHIJ12.tmp"]
        {
            fs::write(folder.path().join(name), "").expect("there is room");
        }
        sweep(folder.path());
        let left = names(folder.path());
        assert!(left.len() == 4 && !left.contains(&String::from(".hecc-abcdefGHIJ12.tmp")), "{left:?}");
        drop(living);
        assert_eq!(names(folder.path()).len(), 3);
    }
}
