//! Diagnostics of impossible layers.

use crate::diag::{Code, Diagnostic};
use crate::model::ShapeError;

/// The diagnostic code of this kind of problem.
pub(super) fn code(error: &ShapeError) -> Code {
    match error {
        ShapeError::Arity { .. } | ShapeError::Order => Code::BadArgument,
        ShapeError::Rank { .. }
        | ShapeError::Extent { .. }
        | ShapeError::Window { .. }
        | ShapeError::Differ(..)
        | ShapeError::Stated { .. } => Code::ShapeMismatch,
        ShapeError::Parameter { .. } | ShapeError::LeadingZero | ShapeError::Range(..) => Code::BadParameter,
        ShapeError::TooLarge(_) | ShapeError::TooManyWeights(_) => Code::TensorTooLarge,
        ShapeError::NotFinite(_) => Code::NotFinite,
        ShapeError::Name => Code::DuplicateName,
    }
}

/// The next step, where there is an obvious one.
fn help(error: &ShapeError) -> Option<&'static str> {
    match error {
        ShapeError::Rank { expected, .. } if expected.contains("vector") => Some("flatten the value first"),
        ShapeError::Window { .. } => Some("use a smaller kernel or more padding"),
        ShapeError::Rank { .. }
        | ShapeError::Arity { .. }
        | ShapeError::Extent { .. }
        | ShapeError::Differ(..)
        | ShapeError::Parameter { .. }
        | ShapeError::TooLarge(_)
        | ShapeError::TooManyWeights(_)
        | ShapeError::NotFinite(_)
        | ShapeError::LeadingZero
        | ShapeError::Range(..)
        | ShapeError::Stated { .. }
        | ShapeError::Order
        | ShapeError::Name => None,
    }
}

/// A diagnostic without places, about the layer called `name`.
pub(super) fn diagnostic(error: &ShapeError, name: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error(code(error), format!("layer `{name}`: {error}"));
    Diagnostic { help: help(error).map(str::to_owned), ..diagnostic }
}
