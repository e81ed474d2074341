//! Holds the tests of the whole workspace under `tests/`; the library itself is empty.
