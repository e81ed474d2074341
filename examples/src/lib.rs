//! Holds the runnable examples; the library itself is empty.
