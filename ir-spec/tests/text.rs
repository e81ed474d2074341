//! The text format: exact round trips, precise refusals, no panics.

use hecc_ir::testing::{any_circuits, circuits, inputs_for};
use hecc_ir::{Circuit, Stage, eval, text, verify};
use proptest::prelude::*;

const DENSE: &str = include_str!("circuits/dense.heir");
const SQUARE: &str = include_str!("circuits/square.heir");

/// The error lines of a text that is refused.
fn refusal(text: &str) -> Vec<String> {
    text::parse(text).expect_err("the text is refused").iter().map(|e| e.to_string()).collect()
}

/// The error lines of a sample in which `from` is replaced.
fn refused(sample: &str, from: &str, to: &str) -> Vec<String> {
    assert!(sample.contains(from), "{from} occurs in the sample");
    refusal(&sample.replacen(from, to, 1))
}

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

    /// Any text is read or refused; what is read verifies.
    #[test]
    fn mutated_texts_never_panic(
        circuit in any_circuits(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..12), 1..4),
    ) {
        let mut printed = text::print(&circuit);
        for (at, from, length) in edits {
            let (at, from) = (at.index(printed.len()), from.index(printed.len()));
            let piece: String = printed.chars().skip(from).take(length).collect();
            let at = printed.floor_char_boundary(at);
            let end = printed.floor_char_boundary((at + length).min(printed.len()));
            printed.replace_range(at..end, &piece);
        }
        if let Ok(parsed) = text::parse(&printed) {
            prop_assert_eq!(verify(&parsed), Ok(()));
        }
    }

    #[test]
    fn noise_never_panics(noise in "\\PC{0,80}") {
        for text in [format!("hecc-ir 1 {noise}"), noise] {
            prop_assert!(text::parse(&text).is_err());
        }
    }
}

fn sample(text: &str) -> Circuit {
    text::parse(text).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

#[test]
fn dumps_read_well() {
    for (name, text) in [("dense", DENSE), ("square", SQUARE)] {
        let printed = text::print(&sample(text));
        insta::assert_snapshot!(name, printed);
    }
}

#[test]
fn long_lists_stay_readable() {
    let mut circuit = sample(DENSE);
    circuit.n_slots = 1024;
    circuit.inputs[0].layout = hecc_ir::Layout::contiguous(hecc_ir::Shape(vec![3, 500]), 1024);
    circuit.outputs[0].layout.n_slots = 1024;
    let ramp = (0..1024).map(|i| if i % 32 < 28 && i < 900 { 1.0 } else { 0.0 });
    circuit.consts[0] = hecc_ir::Plain::new(ramp.collect());
    circuit.consts[1] = hecc_ir::Plain::new((0..64).map(|i| f64::from(i) / 64.0).collect());
    let printed = text::print(&circuit);
    assert_eq!(sample(&printed), circuit);
    insta::assert_snapshot!("long_lists", printed);
}

#[test]
fn refusals_name_line_and_invariant() {
    let refusals = [
        refusal(""),
        refusal("hecc-ir 2\nanything"),
        refused(DENSE, "neg %7", "neg %7 ?"),
        refused(DENSE, "neg %7", "negate %7"),
        refused(DENSE, "neg %7", "neg %7, %6"),
        refused(DENSE, "%8 = neg", "%9 = neg"),
        refused(DENSE, "neg %7", "neg %8"),
        refused(DENSE, "rotate %0, -1", "rotate %0, 16"),
        refused(DENSE, "0*7 }", "0*8 }"),
        refused(DENSE, "0*7 }", "0*6 }"),
        refused(DENSE, "0*7 }", "0*0 }"),
        refused(DENSE, "period 16", "period 1048576"),
        refused(DENSE, "(2 by 4, 3 by 1)", "(2 by 14, 3 by 1)"),
        refused(DENSE, "(2 by 4, 3 by 1)", "(99999999999 by 0)"),
        refused(DENSE, "(2 by 4, 3 by 1)", "(2 by 1, 3 by 1)"),
        refused(DENSE, "slots 16", "slots 99999999999999999999"),
        refused(DENSE, "layer \"act\" {", "layer \"relu\" {"),
        refused(DENSE, "%6, 0.1", "%6, 1e999"),
        refused(DENSE, "output", "output output"),
        refused(SQUARE, "L1 2^35", "L1 2^34"),
        refused(SQUARE, "524801", "524802"),
    ];
    let report = refusals.concat().join("\n");
    insta::assert_snapshot!("refusals", report);
}
