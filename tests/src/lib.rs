//! What tests of the whole workspace share: random models, compiling them for
//! small rings, and dumps of every stage. The pages of the book are here too, so
//! that their blocks of Rust run as documentation tests.

pub mod compiling;
pub mod dump;
pub mod encrypted;
pub mod models;

#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../book/src/batches.md")]
    mod batches {}
    #[doc = include_str!("../../book/src/deployment.md")]
    mod deployment {}
    #[doc = include_str!("../../book/src/packing.md")]
    mod packing {}
    #[doc = include_str!("../../book/src/security.md")]
    mod security {}
}
