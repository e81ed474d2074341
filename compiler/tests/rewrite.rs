//! Rewriting keeps what a circuit computes, and never makes it dearer.

#![allow(clippy::unwrap_used)]

use hecc::cost::{Nominal, default_target};
use hecc::rewrite::{Objective, footprint, rewrite};
use hecc_ir::{Circuit, Stage, eval, testing, verify};
use proptest::prelude::*;

/// Levels that no random circuit exceeds.
const DEPTH: usize = 8;

fn nominal() -> Nominal {
    Nominal::new(&default_target().rings[0], DEPTH)
}

fn assert_same(before: &Circuit, after: &Circuit, seed: u64) {
    verify(after).unwrap();
    let tensors = testing::inputs_for(before, seed);
    let (expected, found) = (eval(before, &tensors), eval(after, &tensors));
    for (expected, found) in expected.iter().flatten().zip(found.iter().flatten()) {
        assert!((expected - found).abs() <= 1e-9 * (1.0 + expected.abs()), "{found} for {expected}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn meaning_stays_and_price_does_not_rise(circuit in testing::circuits(Stage::Abstract), seed: u64) {
        let nominal = nominal();
        let before = footprint(&circuit, &nominal);
        for objective in [Objective::Latency, Objective::Balanced, Objective::Memory] {
            let rewritten = rewrite(&circuit, &nominal, objective);
            assert_same(&circuit, &rewritten.circuit, seed);
            let after = footprint(&rewritten.circuit, &nominal);
            match objective {
                Objective::Latency | Objective::Balanced => prop_assert!(after.ns <= before.ns),
                Objective::Memory => prop_assert!(after.bytes <= before.bytes),
            }
        }
    }
}
