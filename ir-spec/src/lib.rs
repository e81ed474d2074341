//! What a homomorphic circuit means.
//!
//! This crate is the shared language of the compiler and the runtime and knows
//! neither of them: the [`Circuit`] with its ops and types, [`Layout`]s, ring
//! [`Params`] and [`Target`]s, the verifier, the reference evaluator, the text
//! format, and the executable [`Program`] with the files that carry it.
//! `SPEC.md` beside this crate is the same content for readers.

pub mod artifact;
pub mod builder;
pub mod circuit;
pub mod eval;
pub mod interval;
pub mod layout;
pub mod limits;
pub mod machine;
pub mod noise;
pub mod ops;
pub mod overflow;
pub mod params;
pub mod plain;
pub mod primes;
pub mod program;
pub mod scale;
pub mod size;
pub mod target;
pub mod tensor;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "text")]
pub mod text;
pub mod verify;

pub use artifact::{ArtifactError, read_manifest, read_program, write_manifest, write_program};
pub use circuit::{Builder, Circuit, Const, CtType, Input, Node, Op, Output, Plain, Source, Stage, Value};
pub use eval::eval;
pub use layout::{Layout, Position, Shape};
pub use params::{Params, SecurityLevel, Strength};
pub use program::{Instr, KeyPlan, Manifest, OpCounts, Program, ProgramError, Reg};
pub use scale::{Level, Scale, Step};
pub use target::Target;
pub use tensor::{Misfit, Tensor, TensorError};
pub use verify::{VerifyError, verify};
