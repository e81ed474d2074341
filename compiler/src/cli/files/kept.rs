//! Keys that new ones take the place of: kept beside them, under their names with a number.

use super::place::is_same;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The name under which a file is kept.
fn kept(path: &Path, number: usize) -> PathBuf {
    path.with_added_extension(number.to_string())
}

/// Gives files that are there a second name each, of the first number that is free for all of them; the last gets
/// its first, by which [`restore`] knows that it was broken off.
pub fn keep(paths: &[&Path]) -> io::Result<Vec<PathBuf>> {
    let is_free = |number: &usize| paths.iter().all(|path| !is_there(&kept(path, *number)));
    let number = (1..).find(is_free).expect("there are more numbers than files");
    let mut seconds = Vec::new();
    for path in paths.iter().rev() {
        let second = kept(path, number);
        if let Err(error) = copy(path, &second) {
            seconds.iter().for_each(|second| drop(fs::remove_file(second)));
            return Err(error);
        }
        seconds.insert(0, second);
    }
    Ok(seconds)
}

/// A second name, or a copy where the file system has no such names. Never replaces anything.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let linked = fs::hard_link(from, to);
    if linked.is_ok() || is_there(to) {
        return linked;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut copy = options.open(to)?;
    io::copy(&mut fs::File::open(from)?, &mut copy)?;
    copy.sync_all()
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Undoes a replacement that was broken off: the last of `paths` is what the others belong to and was to be replaced
/// after them, so that it still has its second name. Then what is kept of the others belongs to it.
pub fn restore(paths: &[&Path]) -> io::Result<()> {
    let Some((last, others)) = paths.split_last() else { return Ok(()) };
    let numbers = (1..).take_while(|&number| paths.iter().any(|path| is_there(&kept(path, number))));
    let is_second = |number: &usize| are_names_of_one_file(last, &kept(last, *number));
    for number in numbers.filter(is_second).collect::<Vec<usize>>() {
        for other in others.iter().filter(|other| is_there(&kept(other, number))) {
            fs::rename(kept(other, number), other)?;
            // Of two names of one file both are left.
            let _ = fs::remove_file(kept(other, number));
        }
        fs::remove_file(kept(last, number))?;
    }
    Ok(())
}

/// Whether the file is still there when one of the two is gone, which is not so of links.
fn are_names_of_one_file(a: &Path, b: &Path) -> bool {
    let is_plain = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_file());
    is_plain(a) && is_plain(b) && is_same(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with two files, as after `keep`, and what is in it.
    fn folder() -> (tempfile::TempDir, [PathBuf; 2]) {
        let folder = tempfile::tempdir().expect("a folder is given");
        let paths = ["m.heck", "m.hecs"].map(|name| folder.path().join(name));
        paths.iter().for_each(|path| fs::write(path, "old").expect("there is room"));
        (folder, paths)
    }

    fn contents(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn nothing_kept_is_lost() {
        let (_folder, [keys, secret]) = folder();
        fs::write(kept(&secret, 1), "first").expect("there is room");
        fs::write(kept(&keys, 2), "second").expect("there is room");
        let seconds = keep(&[&keys, &secret]).expect("there is room");
        assert_eq!(seconds, [kept(&keys, 3), kept(&secret, 3)]);
        assert_eq!([kept(&secret, 1), kept(&keys, 2)].map(|path| contents(&path)), ["first", "second"]);
        assert!(seconds.iter().all(|path| contents(path) == "old"));
    }

    /// After the second names, after the first file, after both.
    #[cfg(unix)]
    #[test]
    fn broken_off_replacements_are_undone() {
        for n_replaced in 0..3 {
            let (_folder, paths) = folder();
            let [keys, secret] = paths.each_ref().map(PathBuf::as_path);
            keep(&[keys, secret]).expect("there is room");
            for path in paths.iter().take(n_replaced) {
                fs::remove_file(path).and_then(|()| fs::write(path, "new")).expect("there is room");
            }
            restore(&[keys, secret]).expect("it is undone");
            let (now, is_done) = ([keys, secret].map(contents), n_replaced == 2);
            assert_eq!(now, if is_done { ["new"; 2] } else { ["old"; 2] });
            assert!([keys, secret].into_iter().all(|path| is_there(&kept(path, 1)) == is_done));
        }
    }

    /// Who links to a kept key by hand keeps it.
    #[cfg(unix)]
    #[test]
    fn links_to_kept_files_are_left_alone() {
        let (_folder, [keys, secret]) = folder();
        fs::rename(&secret, kept(&secret, 1)).expect("it is there");
        std::os::unix::fs::symlink(kept(&secret, 1), &secret).expect("it is linked");
        restore(&[&keys, &secret]).expect("there is nothing to do");
        assert_eq!(contents(&kept(&secret, 1)), "old");
    }
}
