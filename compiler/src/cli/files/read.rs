//! Reading: the header first, then as much as it announces, and no more than its kind may have.
//!
//! Files of ours are read from pipes and devices too. What never ends, or is far too long, is refused by its
//! first bytes; nothing is set aside for bytes that do not come.

use super::super::problems;
use super::Kind;
use crate::front::large;
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::file;
use hecc_ir::machine::Bound;
use hecc_ir::{ArtifactError, Manifest, artifact};
use hecc_runtime::Error;
use hecc_runtime::bundle::{self, BundleError, Fingerprint};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes set aside at once for what comes through a pipe.
const PIECE: u64 = 1 << 20;
/// Most bytes of a text: a target profile, a circuit.
const MAX_TEXT: u64 = 1 << 28;

/// The bytes of a program or a manifest; whoever parses them checks the rest.
pub fn artifact(path: &Path, kind: artifact::Kind) -> Result<Vec<u8>, Diagnostics> {
    let refused = |error: ArtifactError| match known(path).filter(|_| error == ArtifactError::NotAnArtifact) {
        Some(found) => {
            let wanted = Kind::Artifact(kind);
            problems::other_kind(Code::BadProgram, path, [&found, &wanted], problems::COMPILE_AGAIN)
        }
        None => problems::artifact(path, error),
    };
    let announced = |start: &[u8]| artifact::announced(kind, start).map_err(refused);
    let absent = |error: io::Error| file::unreadable(path, &error).help(problems::COMPILE_AGAIN);
    Announced::open(path, artifact::HEADER, absent, announced)?.read(path, kind.max_bytes())
}

/// A text for programs to read.
pub fn text(path: &Path) -> Result<Vec<u8>, Diagnostics> {
    Ok(file::read_at_most(path, MAX_TEXT)?)
}

/// The bytes of a bundle for a manifest that verifies; whoever parses them checks the rest.
pub fn bundle(path: &Path, kind: bundle::Kind, manifest: &Manifest) -> Result<Vec<u8>, Diagnostics> {
    let fingerprint = Fingerprint::of(manifest);
    let refused = |error: BundleError| match known(path).filter(|_| error == BundleError::Magic) {
        Some(found) => {
            let (code, help) = problems::of_bundle(kind);
            problems::other_kind(code, path, [&found, &Kind::Bundle(kind)], help)
        }
        None => problems::bundle(kind, path, &Error::from(error)),
    };
    let announced = |start: &[u8]| bundle::announced(start, kind, &fingerprint).map_err(refused);
    let absent = |error: io::Error| file::unreadable(path, &error).help(where_to_find(kind));
    Announced::open(path, bundle::HEADER, absent, announced)?.read(path, kind.max_bytes(manifest))
}

/// What a file holds, if it is one of the kinds there are.
fn known(path: &Path) -> Option<Kind> {
    Kind::of(path).filter(|&found| found != Kind::Other)
}

/// An open file whose first bytes say how long it is.
struct Announced {
    file: File,
    start: Vec<u8>,
    n_bytes: u64,
}

impl Announced {
    /// Opens a file; `length` reads from its first bytes how many there are in all.
    fn open(
        path: &Path,
        header: usize,
        unreadable: impl Fn(io::Error) -> Diagnostic,
        length: impl Fn(&[u8]) -> Result<u64, Diagnostics>,
    ) -> Result<Announced, Diagnostics> {
        let file = File::open(path).map_err(&unreadable)?;
        let mut start = Vec::new();
        (&file).take(header as u64).read_to_end(&mut start).map_err(unreadable)?;
        let n_bytes = length(&start)?;
        Ok(Announced { file, start, n_bytes })
    }

    /// All bytes, or one more than there should be, or those before an early end: whoever parses them refuses
    /// these. What comes from a file is read without growing the buffer, which would leave copies of secrets.
    fn read(self, path: &Path, max_bytes: u64) -> Result<Vec<u8>, Diagnostics> {
        let Announced { file, start: mut bytes, n_bytes } = self;
        if n_bytes > max_bytes {
            return Err(too_large(path, n_bytes, max_bytes).into());
        }
        let there = file.metadata().ok().filter(|found| found.is_file()).map(|found| found.len());
        let (missing, room) = (n_bytes + 1 - bytes.len() as u64, n_bytes.min(there.unwrap_or(PIECE)) + 1);
        let place = || Label::file(path.display().to_string(), "");
        let whole = n_bytes.min(there.unwrap_or(n_bytes));
        Bound::Free.check(whole as usize).map_err(|excess| large(place(), Some(excess)))?;
        let reserved = bytes.try_reserve_exact((room as usize).saturating_sub(bytes.len()));
        let read =
            reserved.map_err(io::Error::other).and_then(|()| file.take(missing).read_to_end(&mut bytes));
        read.map_err(|error| file::unreadable(path, &error))?;
        Ok(bytes)
    }
}

/// The next step where a bundle is not there.
fn where_to_find(kind: bundle::Kind) -> &'static str {
    match kind {
        bundle::Kind::SecretKey => {
            "make keys with `hecc keygen`, or say with --secret where the secret key is"
        }
        bundle::Kind::EvalKeys => "make keys with `hecc keygen`, or say with --eval-keys where they are",
        bundle::Kind::Inputs => "encrypt samples with `hecc encrypt`, or say with --input where they are",
        bundle::Kind::Results => "evaluate with `hecc eval`, or say with --input where the result is",
    }
}

fn too_large(path: &Path, n_bytes: u64, max_bytes: u64) -> Diagnostic {
    let message = format!("announces {n_bytes} bytes; files of its kind have at most {max_bytes} here");
    Diagnostic::error(Code::FileTooLarge, "a file announces more bytes than it can have")
        .label(Label::file(path.display().to_string(), message))
        .help("copy or make the file again")
}
