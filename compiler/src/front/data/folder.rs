//! Where MNIST's files lie in a folder.

use super::{Part, idx};
use crate::diag::{Code, Diagnostic, Label};
use std::path::{Path, PathBuf};

/// The file of images.
pub(super) fn images(folder: &Path, part: Part) -> Result<PathBuf, Diagnostic> {
    find(folder, &format!("{}-images", stem(part)), "idx3-ubyte")
}

/// The file of labels.
pub(super) fn labels(folder: &Path, part: Part) -> Result<PathBuf, Diagnostic> {
    find(folder, &format!("{}-labels", stem(part)), "idx1-ubyte")
}

fn stem(part: Part) -> &'static str {
    match part {
        Part::Train => "train",
        Part::Test => "t10k",
    }
}

/// Some copies of MNIST have a dot before the kind of file.
fn find(folder: &Path, stem: &str, kind: &str) -> Result<PathBuf, Diagnostic> {
    let paths = ["-", "."].map(|separator| folder.join(format!("{stem}{separator}{kind}")));
    match paths.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(missing(folder, &paths)),
    }
}

fn missing(folder: &Path, paths: &[PathBuf; 2]) -> Diagnostic {
    let packed = paths.each_ref().map(|path| path.with_added_extension("gz"));
    if let Some(path) = packed.iter().find(|path| path.exists()) {
        return idx::compressed(Label::file(path.display().to_string(), ""));
    }
    let name = paths[0].file_name().expect("a name was joined to the folder").display();
    let place = Label::item(&folder.display().to_string(), format!("file `{name}`"), "");
    Diagnostic::error(Code::BadDataSet, format!("there is no file `{name}` in the folder"))
        .label(place)
        .help("name an .npz archive, or a folder with the files of MNIST or CIFAR-10 under their own names")
}
