//! Runs compiled HE programs.
//!
//! An [`Executor`] runs a [`Program`](hecc_ir::Program) on a [`Backend`]: plain
//! slots ([`Clear`]), plain slots with a noise estimate ([`Sim`]) or real
//! encryption ([`Ckks`]). [`Client`](client::Client) and [`server`] are the two
//! halves of an application; they exchange bytes in the formats of [`bundle`].
//! Secret keys exist in [`client`] alone, which a server can leave out
//! (`default-features = false`).
//!
//! ```no_run
//! use hecc_runtime::{Tensor, client::Client, server::Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::load(&std::fs::read("model.hecp")?)?;
//! let client = Client::from_manifest(&std::fs::read("model.hecm")?)?;
//! let session = server.session(&client.eval_keys()?)?;
//! let image = Tensor::new([1, 28, 28], vec![0.5; 784])?;
//! let reply = session.eval(&client.encrypt(&[image])?)?;
//! let scores = &client.decrypt(&reply.bundle)?[0];
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here panics on data from outside: programs, bundles and tensors
//! are checked and refused with an [`Error`].

pub mod backend;
pub mod bundle;
#[cfg(feature = "client")]
pub mod client;
pub mod dry;
pub mod error;
pub mod executor;
mod forecast;
pub mod limits;
mod map;
pub mod memory;
#[cfg(feature = "client")]
pub mod notice;
pub mod port;
pub mod report;
mod rules;
mod schedule;
pub mod server;

pub use backend::{Backend, ckks::Ckks, clear::Clear, sim::Sim};
pub use error::Error;
pub use executor::{Encoded, Executor, Prepared};
pub use hecc_ir::machine::{Bound, bound_process};
pub use hecc_ir::noise::{self, NoiseModel};
pub use hecc_ir::{Shape, Tensor, TensorError};
pub use limits::{Cancel, Limits};
pub use memory::{Overflow, PlainBytes, PlainMemory};
pub use report::{LayerTime, RunCost, RunMemory, RunReport};
