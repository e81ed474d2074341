//! What to call several models, which often are files of one name in folders of
//! their own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The shortest part of each path, from its end, that tells it from the others,
/// without what all have at the end: `keep30` for `a/keep30/m.hec` beside
/// `a/keep50/m.hec`. A path that is there again is counted.
pub fn distinguish(paths: &[PathBuf]) -> Vec<String> {
    let stems: Vec<_> = paths.iter().map(|path| components(&path.with_extension(""))).collect();
    let whole: Vec<_> = paths.iter().map(|path| components(path)).collect();
    let names = shortest(&stems).or_else(|| shortest(&whole));
    names.unwrap_or_else(|| counted(&whole.iter().map(|parts| parts.join("/")).collect::<Vec<_>>()))
}

/// The folder that contains the model's folder, if the system knows it.
pub fn series(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.ancestors().nth(2).and_then(Path::file_name);
    folder.map_or_else(|| String::from("models"), |name| name.to_string_lossy().into_owned())
}

fn components(path: &Path) -> Vec<String> {
    path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
}

/// As few last components as make all different, if any number does.
fn shortest(paths: &[Vec<String>]) -> Option<Vec<String>> {
    let longest = paths.iter().map(Vec::len).max()?;
    let last = |path: &Vec<String>, n: usize| path[path.len().saturating_sub(n)..].to_vec();
    let ends = |n: usize| paths.iter().map(|path| last(path, n)).collect::<Vec<_>>();
    let ends =
        (1..=longest).map(ends).find(|ends| ends.iter().collect::<BTreeSet<_>>().len() == ends.len())?;
    let n_common = (0..).take_while(|&n| is_common(&ends, n)).count();
    Some(ends.iter().map(|end| end[..end.len() - n_common].join("/")).collect())
}

/// Whether all have the same component at a place from the end, and one before it.
fn is_common(ends: &[Vec<String>], from_end: usize) -> bool {
    let part = |end: &Vec<String>| {
        end.len().checked_sub(from_end + 2).map(|_| end[end.len() - 1 - from_end].clone())
    };
    let first = part(&ends[0]);
    first.is_some() && ends.iter().all(|end| part(end) == first)
}

/// A number behind every name that was there before.
fn counted(names: &[String]) -> Vec<String> {
    let before = |index: usize| names[..index].iter().filter(|name| **name == names[index]).count();
    let counted = |(index, name): (usize, &String)| match before(index) {
        0 => name.clone(),
        n => format!("{name} ({})", n + 1),
    };
    names.iter().enumerate().map(counted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_called_by_what_tells_them_apart() {
        let called = |paths: &[&str]| distinguish(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(called(&["d/keep30/m.hec", "d/keep50/m.hec", "m/m.hec"]), ["keep30", "keep50", "m"]);
        assert_eq!(called(&["d/small.hec", "d/large.onnx"]), ["small", "large"]);
        assert_eq!(called(&["a/x/m.hec", "b/x/m.hec"]), ["a", "b"]);
        assert_eq!(called(&["a/x/m.hec", "b/x/m.hec", "b/y/m.hec"]), ["a/x", "b/x", "b/y"]);
        assert_eq!(called(&["m.hec", "d/m.hec"]), ["m", "d/m"]);
        assert_eq!(called(&["d/m.hec", "d/m.onnx"]), ["m.hec", "m.onnx"]);
        assert_eq!(called(&["d/m.hec", "d/m.hec"]), ["d/m.hec", "d/m.hec (2)"]);
    }

    #[test]
    fn series_are_folders_of_folders() {
        assert_eq!(series(Path::new("/runs/derived/keep30/m.hec")), "derived");
        assert_eq!(series(Path::new("/m.hec")), "models");
    }
}
