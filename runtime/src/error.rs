//! Everything that can go wrong between a program, its keys and its data.

use crate::limits::Held;
#[cfg(feature = "client")]
use crate::notice::{Cause, Notice};
use hecc_ir::artifact::ArtifactError;
use hecc_ir::program::ProgramError;
use hecc_ir::{CtType, Level, SecurityLevel, Shape, Step, TensorError};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why something was refused or could not be computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes that are no program or manifest file, or a damaged one.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The program breaks invariants.
    #[error("the program is not valid: {}", listed(.0))]
    Program(Vec<ProgramError>),
    /// The manifest breaks invariants.
    #[error("the manifest is not valid: {}", listed(.0))]
    Manifest(Vec<ProgramError>),
    /// The back end was made for another ring or another number of lanes.
    #[error("the program and the back end have different ring parameters or lanes")]
    Params,
    /// Evaluation keys that the program needs and the back end lacks.
    #[error("missing evaluation keys: {}", missing_keys(.rotations, .relin))]
    MissingKeys {
        /// Rotation steps without a key for the level they are used at.
        rotations: Vec<(Step, Level)>,
        /// Level that lacks a relinearisation key.
        relin: Option<Level>,
    },
    /// The number of inputs differs from the manifest's.
    #[error("expected {expected} inputs, found {found}")]
    InputCount {
        /// Inputs of the manifest.
        expected: usize,
        /// Inputs given.
        found: usize,
    },
    /// The number of ciphertexts of an input or output differs from its layout's.
    #[error("`{port}` takes {expected} ciphertexts, found {found}")]
    CtCount {
        /// Name of the input or output.
        port: String,
        /// Ciphertexts of the layout.
        expected: usize,
        /// Ciphertexts given.
        found: usize,
    },
    /// A ciphertext has another level, scale or degree than the program says.
    #[error("{place} has type {}, expected {}", show_type(.found), show_type(.expected))]
    CtType {
        /// What carries the ciphertext.
        place: String,
        /// Type by the program.
        expected: CtType,
        /// Type of the ciphertext.
        found: CtType,
    },
    /// A batch holds no sample, or more than there are lanes.
    #[error("a batch holds 1 to {lanes} samples, found {found}")]
    Batch {
        /// Lanes of the program.
        lanes: usize,
        /// Samples given.
        found: usize,
    },
    /// Results of more samples were asked for than were encrypted.
    #[error("the result is of {encrypted} samples, asked for {asked}")]
    Samples {
        /// Samples that were encrypted together.
        encrypted: usize,
        /// Samples asked for.
        asked: usize,
    },
    /// A sample of a batch was refused.
    #[error("sample {sample}: {cause}")]
    Sample {
        /// Index within the batch.
        sample: usize,
        /// What is wrong with it.
        #[source]
        cause: Box<Error>,
    },
    /// Elements that make no tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A tensor has a shape that cannot stand for its input's, see [`Shape::check`].
    #[error("`{port}` takes tensors of shape {expected}, found {found}")]
    Shape {
        /// Name of the input.
        port: String,
        /// Shape of the input.
        expected: Shape,
        /// Shape given.
        found: Shape,
    },
    /// A tensor element is infinite or not a number.
    #[error("element {index} of `{port}` is {value}; only finite numbers can be encrypted")]
    NotFinite {
        /// Name of the input.
        port: String,
        /// Row-major index of the element.
        index: usize,
        /// The element.
        value: f64,
    },
    /// A tensor element is outside the range that the program serves.
    #[error("element {index} of `{port}` is {value}, outside {} {min} to {max}", range_name(*.is_declared))]
    OutOfRange {
        /// Name of the input.
        port: String,
        /// Row-major index of the element.
        index: usize,
        /// The element.
        value: f64,
        /// Smallest allowed element.
        min: f64,
        /// Largest allowed element.
        max: f64,
        /// Whether the model declares the element, though the program was compiled for less.
        is_declared: bool,
    },
    /// An operation was applied to operands that it does not take.
    #[error("{0}")]
    Operands(String),
    /// Values grew past what the modulus can hold.
    #[error("values need {needed:.1} bits, the modulus at {level} holds {available:.1}")]
    Overflow {
        /// Base-2 logarithm of the largest encoded value, with sign.
        needed: f64,
        /// Base-2 logarithm of the modulus.
        available: f64,
        /// Level of the ciphertext.
        level: Level,
    },
    /// An instruction failed.
    #[error("instruction {instr} ({mnemonic}, layer `{layer}`): {cause}")]
    Instruction {
        /// Index of the instruction.
        instr: usize,
        /// Its kind.
        mnemonic: &'static str,
        /// Model layer it came from.
        layer: String,
        /// What went wrong.
        #[source]
        cause: Box<Error>,
    },
    /// The encryption scheme refused.
    #[error(transparent)]
    Ckks(#[from] hecc_ckks::Error),
    /// Parameters that promise less security than a client demands.
    #[error(
        "the ring parameters promise {} bits of security, {} are demanded",
        promised.bits(),
        demanded.bits()
    )]
    Security {
        /// What the manifest promises.
        promised: SecurityLevel,
        /// What the client demands.
        demanded: SecurityLevel,
    },
    /// Bytes that are no bundle, a damaged one, or one for something else.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    /// A decrypted output that no run of the program gives.
    #[cfg(feature = "client")]
    #[error("output `{output}` is not plausible: {}: {}", noticed(.notices), Cause::of(.notices))]
    Implausible {
        /// Name of the output.
        output: String,
        /// Every sign of it.
        notices: Vec<Notice>,
    },
    /// Plaintexts could not be kept in a file.
    #[error("cannot keep plaintexts in a file in `{}`: {cause}", .folder.display())]
    Spill {
        /// Folder of the file.
        folder: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// More memory would be taken than [`Limits::memory`](crate::Limits::memory) allows.
    #[error(
        "{what} take {needed} bytes of memory, {available} are available; `Limits::with_memory` allows more"
    )]
    Memory {
        /// What would take it.
        what: Held,
        /// Bytes of it at once.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// A run would take longer than [`Limits::time`](crate::Limits::time) allows.
    #[error(
        "a run is predicted to take {:.1?}, {:.1?} are allowed; `Limits::with_time` allows more",
        .predicted,
        .limit
    )]
    Time {
        /// Time of a run.
        predicted: Duration,
        /// Time it may take.
        limit: Duration,
    },
    /// Work was stopped by [`Cancel::cancel`](crate::Cancel::cancel).
    #[error("stopped by the caller")]
    Cancelled,
    /// Work was stopped because the time that it was given is over.
    #[error("stopped at the end of the time that was allowed")]
    Deadline,
    /// The back end knows plaintexts in memory only.
    #[error("this back end cannot keep plaintexts in a file")]
    Unmappable,
    /// Decrypted values cannot be hidden as asked for.
    #[error("results cannot be shared like this: {0}")]
    Sharing(&'static str),
    /// A bound of the error in decrypted values that is smaller than what their manifest promises: what it hides would be too
    /// little. For the client alone, as the values are.
    #[error(
        "results cannot be shared like this: the error of this result may be {least:e}, {stated:e} is no bound of it"
    )]
    SharedError {
        /// The bound given.
        stated: f64,
        /// The smallest bound that is taken.
        least: f64,
    },
    /// Worker threads could not be started.
    #[error("cannot start worker threads: {0}")]
    Threads(String),
}

#[cfg(feature = "client")]
fn noticed(notices: &[Notice]) -> String {
    notices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn listed(errors: &[ProgramError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn range_name(is_declared: bool) -> &'static str {
    match is_declared {
        true => "what the program serves of the declared range,",
        false => "the declared range",
    }
}

fn missing_keys(rotations: &[(Step, Level)], relin: &Option<Level>) -> String {
    let rotations = rotations.iter().map(|(step, level)| format!("rotation by {step} at {level}"));
    let relin = relin.iter().map(|level| format!("relinearisation at {level}"));
    rotations.chain(relin).collect::<Vec<_>>().join(", ")
}

fn show_type(ty: &CtType) -> String {
    format!("{} scale {} degree {}", ty.level, ty.scale, ty.degree)
}
