//! Proof by example: a circuit before and after a pass, run on the same tensors.
//!
//! Tensors, not slots, are compared: a pass may move elements of inputs and outputs
//! to other slots when it changes their layouts.

use hecc_ir::circuit::Circuit;
use hecc_ir::layout::Position;
use hecc_ir::{eval, text, verify};

/// Where a circuit differs from the one that it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// The pass between them.
    pub pass: &'static str,
    /// Name of the output.
    pub output: String,
    /// Row-major index of the element.
    pub element: usize,
    /// Where the later circuit leaves it.
    pub position: Position,
    /// What the earlier circuit computes.
    pub expected: f64,
    /// What the later one does.
    pub found: f64,
    /// Both circuits as text, without constants.
    pub circuits: [String; 2],
}

/// Difference that rounding may explain, relative to the largest element.
const TOLERANCE: f64 = 1e-7;

/// Verifies `after` and compares it with `before` on tensors, one per input.
///
/// # Errors
/// The first element that differs.
///
/// # Panics
/// If `after` breaks an invariant of circuits: passes leave valid ones.
pub fn validate(
    pass: &'static str,
    before: &Circuit,
    after: &Circuit,
    tensors: &[Vec<f64>],
) -> Result<(), Box<Mismatch>> {
    if let Err(error) = verify(after) {
        panic!("`{pass}` leaves a valid circuit: {error:?}");
    }
    let results = [before, after].map(|circuit| eval(circuit, tensors));
    for (index, output) in after.outputs.iter().enumerate() {
        let [expected, found] = [&results[0][index], &results[1][index]];
        let largest = expected.iter().fold(f64::MIN_POSITIVE, |max, x| max.max(x.abs()));
        let is_same =
            |(a, b): (&f64, &f64)| (a - b).abs() <= TOLERANCE * largest || a.to_bits() == b.to_bits();
        if let Some(element) = expected.iter().zip(found).position(|pair| !is_same(pair)) {
            return Err(Box::new(Mismatch {
                pass,
                output: output.name.clone(),
                element,
                position: output.layout.home[element],
                expected: expected[element],
                found: found[element],
                circuits: [before, after].map(text::outline),
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use hecc_ir::circuit::{Builder, Input, Op, Output};
    use hecc_ir::{Layout, Shape, Stage, testing};
    use proptest::prelude::*;

    /// A circuit that turns its input.
    fn turning(step: i64) -> Circuit {
        let mut builder = Builder::new("turn", 8);
        let layout = Layout::contiguous(Shape(vec![8]), 8);
        let input = Input { name: "x".into(), layout: layout.clone(), range: (-1.0, 1.0) };
        let input = builder.declare_input(input);
        let x = builder.push(Op::Input { input, ct: 0 });
        let y = builder.rotate(x, step);
        builder.output(Output { name: "y".into(), layout, values: vec![y] });
        builder.finish()
    }

    proptest! {
        #[test]
        fn circuits_equal_themselves(circuit in testing::circuits(Stage::Abstract), seed: u64) {
            let tensors = testing::inputs_for(&circuit, seed);
            prop_assert_eq!(validate("nothing", &circuit, &circuit, &tensors), Ok(()));
        }
    }

    #[test]
    fn a_wrong_step_is_found() {
        let tensor: Vec<f64> = (0..8).map(f64::from).collect();
        let mismatch = validate("turn", &turning(1), &turning(2), &[tensor]).unwrap_err();
        let Mismatch { pass, output, element, position, expected, found, circuits } = *mismatch;
        assert_eq!((pass, output.as_str(), element, position.slot), ("turn", "y", 0, 0));
        assert_eq!((expected, found), (1.0, 2.0));
        assert!(circuits[0].contains("rotate %0, 1") && circuits[1].contains("rotate %0, 2"));
    }
}
