//! Files: read up to a length that is known before, written whole or not at all.
//!
//! A command says what it reads and what it is going to write ([`Outputs`]) before it works; outputs that would
//! replace an input, keys or a file of another kind are refused then. What it writes is complete and on the disk
//! before any of it has a name, and whatever ends the process leaves what was there, or all that is new.

mod draft;
mod kept;
mod kind;
pub mod names;
mod outputs;
mod place;
mod read;

pub use kind::Kind;
pub use outputs::{Output, Outputs, Written};
pub use read::{artifact, bundle, text};
