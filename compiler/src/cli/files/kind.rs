//! What files hold, as far as their first bytes and their names tell.

use hecc_ir::artifact;
use hecc_runtime::bundle;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program or a manifest.
    Artifact(artifact::Kind),
    /// Keys or ciphertexts.
    Bundle(bundle::Kind),
    /// Where a training was stopped.
    Checkpoint,
    /// A model, as text or ONNX.
    Model,
    /// Arrays of numbers: weights or samples.
    Arrays,
    /// Images of a data set.
    Images,
    /// Numbers for programs to read: a target profile, labels.
    Json,
    /// A plot.
    Plot,
    /// Something else, which nobody here knows.
    Other,
}

/// First bytes that tell.
const STARTS: [(&[u8], Kind); 7] = [
    (b"HECT", Kind::Checkpoint),
    (b"PK\x03\x04", Kind::Arrays),
    (b"\x89PNG", Kind::Images),
    (b"\0\0\x08\x01", Kind::Images),
    (b"\0\0\x08\x03", Kind::Images),
    (b"<svg", Kind::Plot),
    (b"{\n  \"name\": \"", Kind::Json),
];
/// Endings of names that tell where the first bytes do not.
const ENDINGS: [(&str, Kind); 9] = [
    ("checkpoint", Kind::Checkpoint),
    ("hec", Kind::Model),
    ("onnx", Kind::Model),
    ("data", Kind::Arrays),
    ("npz", Kind::Arrays),
    ("npy", Kind::Arrays),
    ("safetensors", Kind::Arrays),
    ("json", Kind::Json),
    ("svg", Kind::Plot),
];

impl Kind {
    /// Of the plain file at a path, if it has contents.
    pub fn of(path: &Path) -> Option<Kind> {
        path.metadata().ok().filter(|found| found.is_file() && found.len() > 0)?;
        let start = start_of(path).unwrap_or_default();
        Some(Kind::of_start(&start).or_else(|| Kind::of_name(path)).unwrap_or(Kind::Other))
    }

    fn of_start(start: &[u8]) -> Option<Kind> {
        let artifact = artifact::Kind::of(start).map(Kind::Artifact);
        let known = || STARTS.iter().find(|(known, _)| start.starts_with(known)).map(|&(_, kind)| kind);
        artifact.or_else(|| bundle::Kind::of(start).map(Kind::Bundle)).or_else(known)
    }

    fn of_name(path: &Path) -> Option<Kind> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        ENDINGS.iter().find(|(known, _)| ending == *known).map(|&(_, kind)| kind)
    }

    /// Whether no one but the owner may read such files.
    pub fn is_secret(self) -> bool {
        self == Kind::Bundle(bundle::Kind::SecretKey)
    }

    /// Whether such files are kept when new ones take their place.
    pub fn is_kept(self) -> bool {
        self.is_secret() || self == Kind::Bundle(bundle::Kind::EvalKeys)
    }
}

/// The first bytes of a file.
fn start_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(bundle::HEADER as u64).read_to_end(&mut start)?;
    Ok(start)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Artifact(kind) => write!(f, "a {kind}"),
            Kind::Bundle(kind) => write!(f, "{kind}"),
            Kind::Checkpoint => f.write_str("a checkpoint"),
            Kind::Model => f.write_str("a model"),
            Kind::Arrays => f.write_str("weights or samples"),
            Kind::Images => f.write_str("images of a data set"),
            Kind::Json => f.write_str("a profile or labels"),
            Kind::Plot => f.write_str("a plot"),
            Kind::Other => f.write_str("contents that hecc does not know"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_contents_then_by_names() {
        let folder = tempfile::tempdir().expect("a folder is given");
        let told = |name: &str, contents: &[u8]| {
            std::fs::write(folder.path().join(name), contents).expect("it is written");
            Kind::of(&folder.path().join(name))
        };
        assert_eq!(told("a.hect", b"HECA\x01"), Some(Kind::Artifact(artifact::Kind::Program)));
        assert_eq!(told("a.npz", b"HECB\x04"), Some(Kind::Bundle(bundle::Kind::SecretKey)));
        assert_eq!(told("a.hect", b"PK\x03\x04"), Some(Kind::Arrays));
        assert_eq!(told("a.HEC", b"model"), Some(Kind::Model));
        assert_eq!(told("a.hec", b""), None);
        assert_eq!(told("a.txt", b"notes"), Some(Kind::Other));
        assert_eq!(told("profile", b"{\n  \"name\": \"ckks-cpu\""), Some(Kind::Json));
        assert_eq!(Kind::of(folder.path()), None);
    }
}
