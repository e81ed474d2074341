//! The text format: exact round trips, precise refusals, no panics.

use hecc_ir::testing::{any_circuits, circuits, inputs_for};
use hecc_ir::{Stage, eval, text, verify};
use proptest::prelude::*;

proptest! {
    #[test]
    fn generated_circuits_verify(circuit in any_circuits()) {
        prop_assert_eq!(verify(&circuit), Ok(()));
    }

    #[test]
    fn text_survives_a_round_trip(circuit in any_circuits()) {
        let printed = text::print(&circuit);
        let parsed = text::parse(&printed).map_err(|e| TestCaseError::fail(format!("{}\n{printed}", e[0])))?;
        prop_assert_eq!(&parsed, &circuit);
        prop_assert_eq!(text::print(&parsed), printed);
    }

    #[test]
    fn evaluation_is_finite_and_blind_to_the_text(circuit in circuits(Stage::Leveled), seed: u64) {
        let inputs = inputs_for(&circuit, seed);
        let outputs = eval(&circuit, &inputs);
        prop_assert!(outputs.iter().flatten().all(|v| v.is_finite()));
        prop_assert_eq!(eval(&text::parse(&text::print(&circuit)).unwrap(), &inputs), outputs);
    }
}
