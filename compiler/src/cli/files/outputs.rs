//! What a command writes, given what it reads.

use super::Kind;
use super::draft::{Draft, folder_of, set_aside, sweep, sync_folder};
use super::kept;
use super::place::{Place, is_same};
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempPath;

/// Rights of secrets and of everything else, before the user's mask.
const MODES: [u32; 2] = [0o600, 0o666];
/// Times that a folder is waited for, and how long each time.
const WAIT: (usize, Duration) = (100, Duration::from_millis(10));

/// One file to write.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    /// The path that the user gave.
    pub path: &'a Path,
    /// What it holds.
    pub kind: Kind,
    /// Its contents.
    pub bytes: &'a [u8],
}

/// Where outputs went, for whoever reports it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    /// One went to standard output, where nothing else may follow it.
    pub on_standard_output: bool,
}

/// The rules for what a command writes.
#[derive(Clone, Debug)]
pub struct Outputs {
    inputs: Vec<PathBuf>,
    force: bool,
}

impl Outputs {
    /// For a command that reads these files, and was told to replace what is in the way or not.
    pub fn beside(inputs: impl IntoIterator<Item = impl Into<PathBuf>>, force: bool) -> Outputs {
        Outputs { inputs: inputs.into_iter().map(Into::into).collect(), force }
    }

    /// Refuses paths that the command may not write to, before it works; all of them together. What an
    /// earlier command left unfinished is tidied up first.
    pub fn check(&self, planned: &[(&Path, Kind)]) -> Result<(), Diagnostics> {
        let places = planned.iter().filter_map(|&(path, kind)| Some((Place::of(path, kind).ok()?, kind)));
        let places: Vec<(Place, Kind)> = places.collect();
        places.iter().for_each(|(place, _)| sweep(&folder_of(place.path())));
        let places: Vec<(&Place, Kind)> = places.iter().map(|(place, kind)| (place, *kind)).collect();
        let _locks = lock_keys(&places)?;
        self.places(planned).map(drop)
    }

    /// Writes files so that all of them are complete and on the disk before the first one has its name. The last one
    /// is what the others are worth nothing without, and gets its name last. Should that fail, or the
    /// process be killed, what was there before is there again, at the latest after the next [`Outputs::check`].
    pub fn write(&self, outputs: &[Output<'_>]) -> Result<Written, Diagnostics> {
        let planned: Vec<_> = outputs.iter().map(|output| (output.path, output.kind)).collect();
        self.check(&planned)?;
        let places = self.places(&planned)?;
        let drafts = outputs.iter().zip(&places).map(|(output, place)| draft(output, place));
        let drafts: Vec<_> = drafts.collect::<Result<_, _>>()?;
        let kinds = outputs.iter().map(|output| output.kind);
        let mut locks = lock_keys(&places.iter().zip(kinds).collect::<Vec<_>>())?;
        if let (true, Some(last)) = (locks.is_empty(), places.last()) {
            // Whoever started this command may hold the folder: what is no key is not worth waiting for.
            locks.extend(lock(&folder_of(last.path())).ok().flatten());
        }
        // It may have taken long enough for others to write there.
        let places = self.places(&planned)?;
        let on_standard_output = places.iter().any(Place::is_standard_output);
        let ready = outputs.iter().zip(places).zip(drafts);
        place_all(ready.map(|((output, place), draft)| Ready { output, place, draft }).collect())?;
        Ok(Written { on_standard_output })
    }

    fn places(&self, planned: &[(&Path, Kind)]) -> Result<Vec<Place>, Diagnostics> {
        let (mut places, mut problems) = (Vec::new(), Diagnostics::new());
        for (index, &(path, kind)) in planned.iter().enumerate() {
            let place = Place::of(path, kind).and_then(|place| self.allow(place, path, kind));
            places.extend(problems.take(place));
            let twin = planned[..index].iter().find(|(other, _)| is_same(other, path));
            problems.extend(twin.map(|(other, _)| twins(path, other)));
        }
        if problems.is_empty() { Ok(places) } else { Err(problems) }
    }

    /// Refuses a place that holds an input, keys or something of another kind.
    fn allow(&self, place: Place, path: &Path, kind: Kind) -> Result<Place, Diagnostic> {
        if let Some(input) = self.inputs.iter().find(|input| is_same(input, place.path())) {
            return Err(own_input(path, input));
        }
        match &place {
            Place::Taken(end, _) if holds_other_keys(end, kind) => Err(keys_in_the_way(path, kind)),
            Place::Taken(..) if self.force => Ok(place),
            Place::Taken(end, _) => match Kind::of(end).filter(|found| *found != kind) {
                Some(found) => Err(in_the_way(path, kind, found)),
                None if kind.is_kept() => Err(exists(path)),
                None => Ok(place),
            },
            Place::New(_) | Place::Stream(_) => Ok(place),
        }
    }
}

/// Locks the folders of keys, so that those of two commands never mix, and undoes a replacement of them that was broken off. Locks
/// nothing where no place is for keys.
fn lock_keys(places: &[(&Place, Kind)]) -> Result<Vec<File>, Diagnostic> {
    let keys = places.iter().filter(|(_, kind)| kind.is_kept()).map(|(place, _)| *place);
    let files = keys.clone().filter(|place| !matches!(place, Place::Stream(_)));
    let mut folders: Vec<(PathBuf, PathBuf)> = files
        .map(|place| folder_of(place.path()))
        .map(|folder| (folder.canonicalize().unwrap_or_default(), folder))
        .collect();
    // In one order for all, and none twice: a second lock would wait for the first.
    folders.sort();
    folders.dedup_by(|a, b| a.0 == b.0);
    let locks = folders.iter().map(|(_, folder)| {
        lock(folder).map_err(|refused| match refused {
            fs::TryLockError::WouldBlock => busy(folder),
            fs::TryLockError::Error(error) => unwritable(folder, &error),
        })
    });
    let locks: Vec<Option<File>> = locks.collect::<Result<_, _>>()?;
    let keys: Vec<&Path> = keys.map(Place::path).collect();
    if let Some(last) = keys.last() {
        kept::restore(&keys).map_err(|error| unwritable(last, &error))?;
    }
    Ok(locks.into_iter().flatten().collect())
}

/// Keeps others from naming files in a folder, as long as the file is open; none where the system has no such locks.
///
/// # Errors
/// When others hold the folder for long, and when it may not be read, so that nobody can tell.
fn lock(folder: &Path) -> Result<Option<File>, fs::TryLockError> {
    let file = match File::open(folder) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(fs::TryLockError::Error(error));
        }
        Err(_) => return Ok(None),
    };
    let (times, pause) = WAIT;
    for _ in 0..times {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(pause),
            Err(fs::TryLockError::Error(_)) => return Ok(None),
        }
    }
    Err(fs::TryLockError::WouldBlock)
}

/// The contents on the disk, without a name yet; nothing for what goes through a stream.
fn draft(output: &Output<'_>, place: &Place) -> Result<Option<Draft>, Diagnostic> {
    let [secret, normal] = MODES;
    let mode = if output.kind.is_secret() { secret } else { normal };
    let write = |path: &Path| {
        let folder = folder_of(path);
        if folder.metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        fs::create_dir_all(&folder)?;
        Draft::write(&folder, mode, output.bytes)
    };
    match place {
        Place::New(path) | Place::Taken(path, _) => {
            write(path).map(Some).map_err(|error| unwritable(output.path, &error))
        }
        Place::Stream(_) => Ok(None),
    }
}

/// An output that only lacks its name.
struct Ready<'a> {
    output: &'a Output<'a>,
    place: Place,
    draft: Option<Draft>,
}

impl Ready<'_> {
    /// Names it, or sends it through its stream.
    fn put(self) -> io::Result<()> {
        let Ready { output, place, draft } = self;
        match (place, draft) {
            (Place::New(path), Some(draft)) if output.kind.is_kept() => draft.create(&path),
            (Place::New(path), Some(draft)) => draft.replace(&path),
            (Place::Taken(path, permissions), Some(draft)) => {
                if !output.kind.is_secret() {
                    draft.set_permissions(permissions)?;
                }
                draft.replace(&path)
            }
            (Place::Stream(path), None) => {
                OpenOptions::new().append(true).open(path)?.write_all(output.bytes)
            }
            (Place::New(_) | Place::Taken(..), None) | (Place::Stream(_), Some(_)) => {
                Err(io::Error::other("it was changed while the command ran"))
            }
        }
    }
}

/// Names all outputs in order, or none.
fn place_all(ready: Vec<Ready<'_>>) -> Result<(), Diagnostic> {
    let mut before = Before::default();
    let paths: Vec<&Path> = ready.iter().map(|ready| ready.output.path).collect();
    let folders: Vec<PathBuf> = ready.iter().map(|ready| folder_of(ready.place.path())).collect();
    let mut placed = before.secure(&ready).map_err(|error| (0, error));
    for (index, ready) in ready.into_iter().enumerate() {
        let (path, is_new) = (ready.place.path().to_owned(), matches!(ready.place, Place::New(_)));
        placed = placed.and_then(|()| ready.put().map_err(|error| (index, error)));
        if placed.is_ok() && is_new {
            before.created.push(path);
        }
        // On one disk names are kept in order.
        if folders.get(index + 1) != Some(&folders[index]) {
            sync_folder(&folders[index]);
        }
    }
    placed.map_err(|(index, error)| {
        before.restore();
        unwritable(paths[index], &error)
    })
}

/// What was there before.
#[derive(Default)]
struct Before {
    /// Files that were not there.
    created: Vec<PathBuf>,
    /// Files that are kept, and under which name.
    kept: Vec<(PathBuf, PathBuf)>,
    /// The text of a model: while the weights it names are replaced it is not there, so that no one takes it
    /// for theirs. Programs and manifests tell by themselves whether they belong together.
    aside: Option<(PathBuf, TempPath)>,
}

impl Before {
    /// Sees to it that nothing is lost by what is going to be replaced.
    fn secure(&mut self, ready: &[Ready<'_>]) -> io::Result<()> {
        let taken = |ready: &Ready<'_>| matches!(ready.place, Place::Taken(..));
        let keys: Vec<&Path> = ready
            .iter()
            .filter(|ready| ready.output.kind.is_kept() && taken(ready))
            .map(|ready| ready.place.path())
            .collect();
        let second = kept::keep(&keys)?;
        self.kept = keys.iter().map(|path| path.to_path_buf()).zip(second).collect();
        if let [_, .., last] = ready
            && taken(last)
            && last.output.kind == Kind::Model
        {
            self.aside = Some((last.place.path().to_owned(), set_aside(last.place.path())?));
        }
        Ok(())
    }

    /// Brings it back as far as the system allows.
    fn restore(self) {
        for path in self.created {
            let _ = fs::remove_file(path);
        }
        for (path, second) in self.kept {
            let _ = fs::rename(&second, path);
            // Of two names of one file both are left.
            let _ = fs::remove_file(second);
        }
        if let Some((path, aside)) = self.aside {
            let _ = aside.persist(path);
        }
    }
}

/// A file that the system does not take.
fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display().to_string();
    let help = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "make room, or choose a folder with more of it"
        }
        io::ErrorKind::AlreadyExists => "another command wrote there meanwhile: run this one again",
        _ => "choose a folder you may write to",
    };
    Diagnostic::error(Code::UnwritableFile, format!("cannot write `{shown}`"))
        .label(Label::file(shown, error.to_string()))
        .help(help)
}

/// Keys that would mix with those of another command.
fn busy(folder: &Path) -> Diagnostic {
    let shown = folder.display().to_string();
    Diagnostic::error(Code::UnwritableFile, format!("no keys are written to `{shown}` now"))
        .label(Label::file(shown, "another command holds the folder's lock"))
        .help("wait until it is done, and run this command again")
}

fn own_input(path: &Path, input: &Path) -> Diagnostic {
    let shown = path.display().to_string();
    Diagnostic::error(Code::OwnInput, format!("`{shown}` is an input of this command"))
        .label(Label::file(shown, format!("is read as `{}`", input.display())))
        .help("choose another place for the output")
}

fn twins(path: &Path, other: &Path) -> Diagnostic {
    let shown = path.display().to_string();
    Diagnostic::error(Code::OwnInput, "two outputs are one file")
        .label(Label::file(shown, format!("is also `{}`", other.display())))
        .help("choose a file for each")
}

fn exists(path: &Path) -> Diagnostic {
    let shown = path.display().to_string();
    let there =
        Kind::of(path).map_or_else(|| String::from("holds something"), |found| format!("holds {found}"));
    Diagnostic::error(Code::KeyExists, format!("`{shown}` exists, and keys are never replaced"))
        .label(Label::file(shown, there))
        .help("choose other files with --secret and --eval-keys, or make new keys with --force, which keeps the old ones beside them")
}

/// Whether there is a secret key, or evaluation keys, at a path that something else is to be written to.
fn holds_other_keys(path: &Path, kind: Kind) -> bool {
    Kind::of(path).is_some_and(|found| found.is_kept() && found != kind)
}

/// Keys are lost to no other kind of file, whatever else may be replaced.
fn keys_in_the_way(path: &Path, kind: Kind) -> Diagnostic {
    let shown = path.display().to_string();
    Diagnostic::error(Code::OtherContents, format!("`{shown}` holds keys, not {kind}"))
        .label(Label::file(shown, "would be lost"))
        .help("choose another file: --force replaces no keys by something else")
}

fn in_the_way(path: &Path, kind: Kind, found: Kind) -> Diagnostic {
    let shown = path.display().to_string();
    Diagnostic::error(Code::OtherContents, format!("`{shown}` holds {found}, not {kind}"))
        .label(Label::file(shown, "would be lost"))
        .help("choose another file, or replace this one with --force")
}
