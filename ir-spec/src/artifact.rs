//! Files: programs and manifests in a versioned, checksummed container.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `HECA` |
//! | 4 | [`Kind`] |
//! | 5..7 | format number of that kind, little-endian as all numbers |
//! | 7..15 | payload length |
//! | 15..19 | CRC-32 of bytes 0..15 and the payload |
//! | 19.. | payload: the type in postcard's encoding |
//!
//! What is read has passed [`Program::verify`] or [`Manifest::verify`]. The
//! checksum finds damage, not forgery; a forged file is held to the same
//! checks and limits as any other. `crc32fast` computes it, in place of a table
//! of our own.

use crate::limits::list::take_lacked;
use crate::limits::{MAX_MANIFEST_BYTES, MAX_PROGRAM_BYTES};
use crate::machine::Excess;
use crate::program::{Manifest, Program, ProgramError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use thiserror::Error;

const MAGIC: [u8; 4] = *b"HECA";
const CHECKED: usize = 15;
/// Bytes before the payload: those that [`announced`] looks at.
pub const HEADER: usize = 19;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A [`Program`], by convention in `*.hecp`.
    Program,
    /// A [`Manifest`], by convention in `*.hecm`.
    Manifest,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 2] = [Kind::Program, Kind::Manifest];

    /// The format number written and read.
    pub fn format(self) -> u16 {
        match self {
            Kind::Program | Kind::Manifest => 4,
        }
    }

    /// Most bytes of a file of this kind.
    pub fn max_bytes(self) -> u64 {
        match self {
            Kind::Program => MAX_PROGRAM_BYTES,
            Kind::Manifest => MAX_MANIFEST_BYTES,
        }
    }

    /// The kind of the file that starts with these bytes, if it is one of ours.
    pub fn of(start: &[u8]) -> Option<Kind> {
        let &tag = start.strip_prefix(&MAGIC)?.first()?;
        Kind::ALL.into_iter().find(|kind| kind.tag() == tag)
    }

    pub(crate) fn tag(self) -> u8 {
        match self {
            Kind::Program => 1,
            Kind::Manifest => 2,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Program => "program",
            Kind::Manifest => "manifest",
        })
    }
}

/// Why bytes are no usable file. Each message says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArtifactError {
    /// The bytes do not start as a file of ours.
    #[error(
        "this is no hecc program or manifest; check the path, programs end in .hecp and manifests in .hecm"
    )]
    NotAnArtifact,
    /// A file of ours, but not the one asked for.
    #[error("this file holds a {found}, not a {expected}; pass the {expected} file instead")]
    WrongKind {
        /// What was asked for.
        expected: Kind,
        /// What the file holds.
        found: Kind,
    },
    /// Written by another version.
    #[error(
        "this {kind} has format {found}, this build reads format {}; compile the model again, or use the hecc version that wrote it",
        kind.format()
    )]
    OtherFormat {
        /// What the file holds.
        kind: Kind,
        /// Its format number.
        found: u16,
    },
    /// The file is shorter than it says.
    #[error("the file ends early: {found} of {expected} bytes; copy or download it again")]
    Truncated {
        /// Bytes the header announces, or those of the header itself.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The file is longer than it says.
    #[error("{0} bytes follow the end of the file's contents; copy or download it again")]
    TrailingBytes(u64),
    /// The contents are damaged.
    #[error("the checksum does not match, the file is damaged; copy or download it again")]
    Checksum,
    /// The contents, most often weights, take more memory than may be taken.
    #[error("for its contents, {0}")]
    Memory(Excess),
    /// The contents do not decode.
    #[error("the contents do not decode ({0}); the file was not written by hecc, compile the model again")]
    Undecodable(String),
    /// The contents decode to something that must not run.
    #[error("{}; the file was not written by hecc or hecc has a bug, compile the model again or report it", summary(.0))]
    Invalid(Vec<ProgramError>),
}

fn summary(errors: &[ProgramError]) -> String {
    match errors {
        [] => "the contents are invalid".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

/// The file of a program.
pub fn write_program(program: &Program) -> Vec<u8> {
    write(Kind::Program, program)
}

/// The file of a manifest.
pub fn write_manifest(manifest: &Manifest) -> Vec<u8> {
    write(Kind::Manifest, manifest)
}

/// Reads and verifies a program.
///
/// # Errors
/// See [`ArtifactError`].
pub fn read_program(bytes: &[u8]) -> Result<Program, ArtifactError> {
    let program: Program = read(Kind::Program, bytes)?;
    program.verify().map_err(ArtifactError::Invalid)?;
    Ok(program)
}

/// Reads and verifies a manifest.
///
/// # Errors
/// See [`ArtifactError`].
pub fn read_manifest(bytes: &[u8]) -> Result<Manifest, ArtifactError> {
    let manifest: Manifest = read(Kind::Manifest, bytes)?;
    manifest.verify().map_err(ArtifactError::Invalid)?;
    Ok(manifest)
}

fn write(kind: Kind, contents: &impl Serialize) -> Vec<u8> {
    seal(kind, postcard::to_extend(contents, vec![0; HEADER]).expect("programs and manifests always encode"))
}

/// Writes the header that fits a payload into the first [`HEADER`] bytes, which are room for it.
fn seal(kind: Kind, mut bytes: Vec<u8>) -> Vec<u8> {
    let (header, payload) = bytes.split_at_mut(HEADER);
    header[..4].copy_from_slice(&MAGIC);
    header[4] = kind.tag();
    header[5..7].copy_from_slice(&kind.format().to_le_bytes());
    header[7..CHECKED].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    let checksum = checksum(&header[..CHECKED], payload);
    header[CHECKED..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// What follows the header of a file, or all of what is too short to have one, behind a header
/// that fits it: so mutations of files reach what lies behind the checksum.
#[cfg(feature = "testing")]
pub(crate) fn resealed(kind: Kind, file: &[u8]) -> Vec<u8> {
    let payload = file.get(HEADER..).unwrap_or(file);
    seal(kind, [&[0; HEADER], payload].concat())
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

fn read<T: DeserializeOwned>(expected: Kind, bytes: &[u8]) -> Result<T, ArtifactError> {
    let payload = payload(expected, bytes)?;
    // Nothing is left of what was read before.
    take_lacked();
    let undecodable = |error: postcard::Error| {
        take_lacked().map_or_else(|| ArtifactError::Undecodable(error.to_string()), ArtifactError::Memory)
    };
    match postcard::take_from_bytes(payload).map_err(undecodable)? {
        (contents, []) => Ok(contents),
        (_, rest) => Err(ArtifactError::TrailingBytes(rest.len() as u64)),
    }
}

/// Bytes of the whole file that starts with these: the first [`HEADER`] of it, or all of a shorter one.
/// Whoever reads from elsewhere than memory learns from it how much there is to read.
///
/// # Errors
/// When they do not start a file of this kind and format.
pub fn announced(expected: Kind, start: &[u8]) -> Result<u64, ArtifactError> {
    if !start.starts_with(&MAGIC[..start.len().min(MAGIC.len())]) || start.is_empty() {
        return Err(ArtifactError::NotAnArtifact);
    }
    let truncated = ArtifactError::Truncated { expected: HEADER as u64, found: start.len() as u64 };
    let header = start.first_chunk::<HEADER>().ok_or(truncated)?;
    let kind = Kind::of(header).ok_or(ArtifactError::NotAnArtifact)?;
    if kind != expected {
        return Err(ArtifactError::WrongKind { expected, found: kind });
    }
    let found = u16::from_le_bytes([header[5], header[6]]);
    if found != kind.format() {
        return Err(ArtifactError::OtherFormat { kind, found });
    }
    let length = u64::from_le_bytes(header[7..CHECKED].try_into().expect("a length has eight bytes"));
    Ok(length.saturating_add(HEADER as u64))
}

/// The payload of a file whose header and checksum are right.
fn payload(expected: Kind, bytes: &[u8]) -> Result<&[u8], ArtifactError> {
    let (expected, found) = (announced(expected, bytes)?, bytes.len() as u64);
    if found < expected {
        return Err(ArtifactError::Truncated { expected, found });
    }
    if found > expected {
        return Err(ArtifactError::TrailingBytes(found - expected));
    }
    let (header, payload) = bytes.split_at(HEADER);
    let stored = u32::from_le_bytes(header[CHECKED..].try_into().expect("a checksum has four bytes"));
    if stored != checksum(&header[..CHECKED], payload) {
        return Err(ArtifactError::Checksum);
    }
    Ok(payload)
}
