//! The hecc compiler: from a model description to an executable HE program.
pub mod model;
