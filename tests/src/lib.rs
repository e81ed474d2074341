//! Holds the tests of the whole workspace under `tests/`; the library itself is
//! empty but for the pages of the book, whose blocks of Rust run as
//! documentation tests.

#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../book/src/deployment.md")]
    mod deployment {}
    #[doc = include_str!("../../book/src/packing.md")]
    mod packing {}
}
