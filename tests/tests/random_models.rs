//! Random models keep their meaning through every stage, and compile to the
//! same bytes whatever the number of threads.

use hecc::diag::Diagnostics;
use hecc::front::hec::{self, WriteError};
use hecc::front::{LoadOptions, weights::TensorFile};
use hecc::model::{LayerKind, Model};
use hecc::packing::{Family, Packing, TermPlan};
use hecc::pipeline::{CompileError, Compiled, Options, compile};
use hecc::schedule::{Evidence, Policy, Request, choose, place_rescales};
use hecc_ir::{Circuit, Op, SecurityLevel, artifact, eval, text, verify};
use hecc_runtime::{Executor, dry};
use hecc_tests::compiling::{compile_small, options_for, target_for};
use hecc_tests::models::{input_for, models, tensor_for};
use proptest::prelude::*;
use std::sync::Arc;

/// Slots per ciphertext: fewer than many tensors have elements, and more.
const N_SLOTS: [usize; 4] = [16, 64, 128, 512];

/// Relative errors asked for: with any, scales are the smallest there are.
const PRECISIONS: [f64; 3] = [f64::INFINITY, 1e-3, 1e-6];

const REQUEST: Request = Request {
    precision: f64::INFINITY,
    security: SecurityLevel::Insecure,
    headroom_bits: 2.0,
    max_prime_bits: 50,
};

/// `PROPTEST_CASES` asks for more cases.
fn config(divisor: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 4000,
        cases: default.cases / divisor,
        ..default
    }
}

/// Magnitudes that rounding errors are relative to: whatever the model passed through.
fn magnitude(model: &Model, input: &[f64]) -> f64 {
    model.eval(input).iter().flatten().fold(1.0, |max, x| max.max(x.abs()))
}

fn assert_close(stage: &str, found: &[f64], expected: &[f64], magnitude: f64) {
    assert_eq!(found.len(), expected.len(), "{stage}");
    for (i, (x, y)) in found.iter().zip(expected).enumerate() {
        assert!((x - y).abs() <= 1e-9 * magnitude, "{stage}: element {i} is {x}, expected {y}");
    }
}

fn assert_no_zero_work(compiled: &Compiled) {
    for plan in compiled.plan.linear.iter().flatten() {
        for term in &plan.terms {
            if let TermPlan::Map { diagonals, .. } = term {
                let kept = |products: &Vec<(u32, f64)>| products.iter().any(|p| p.1 != 0.0);
                assert!(diagonals.values().all(kept), "a diagonal of zeros was kept");
            }
        }
    }
    let is_zero = |circuit: &Circuit, op: &Op| match op {
        Op::MulPlain(_, c) => circuit.plain(*c).is_zero(),
        Op::MulScalar(_, s) => *s == 0.0,
        _ => false,
    };
    for circuit in [&compiled.lowered, &compiled.leveled] {
        assert!(
            !circuit.nodes.iter().any(|node| is_zero(circuit, &node.op)),
            "a product with zero was emitted"
        );
    }
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn every_stage_computes_the_model(
        model in models(), n_slots in prop::sample::select(&N_SLOTS), precision in prop::sample::select(&PRECISIONS), seed: u64,
    ) {
        prop_assert_eq!(model.check(), Ok(()));
        let input = input_for(&model, seed);
        let options = Options { precision, samples: vec![tensor_for(&model, &input)], ..options_for(n_slots) };
        let compiled = match compile(&model, &options) {
            Err(CompileError::TooCoarse { .. }) => return Err(TestCaseError::reject("outputs close to zero")),
            result => result.unwrap(),
        };
        verify(&compiled.lowered).unwrap();
        verify(&compiled.leveled).unwrap();
        compiled.program.verify().unwrap();
        assert_no_zero_work(&compiled);
        let (expected, magnitude) = (model.logits(&input), magnitude(&model, &input));
        let inputs = [input];
        assert_close("lowered", &eval(&compiled.lowered, &inputs)[0], &expected, magnitude);
        assert_close("leveled", &eval(&compiled.leveled, &inputs)[0], &expected, magnitude);
        let (program, tensors) = (Arc::new(compiled.program), [tensor_for(&model, &inputs[0])]);
        let executor = Executor::new(Some(1)).unwrap();
        let evaluated = dry::evaluate(&executor, program.clone(), &tensors).unwrap();
        assert_close("program", &evaluated.tensors[0], &expected, magnitude);
        let forecast = dry::forecast(&executor, program, &tensors).unwrap();
        assert_close("forecast", &forecast.tensors[0], &expected, magnitude);
    }

    /// Compilation takes the cheapest layouts; here each family has its turn.
    #[test]
    fn every_family_of_layouts_computes_the_model(
        model in models(), n_slots in prop::sample::select(&N_SLOTS), family in prop::sample::select(&Family::ALL), seed: u64,
    ) {
        let input = input_for(&model, seed);
        let options = Options { packing: Packing::Only(family), samples: vec![tensor_for(&model, &input)], ..options_for(n_slots) };
        let compiled = match compile(&model, &options) {
            Err(CompileError::Unplaced(_)) => return Err(TestCaseError::reject("no image, or too large a one")),
            result => result.unwrap(),
        };
        compiled.plan.placements.iter().for_each(|placement| placement.layout.check(n_slots).unwrap());
        let found = eval(&compiled.rewritten, std::slice::from_ref(&input));
        assert_close("rewritten", &found[0], &model.logits(&input), magnitude(&model, &input));
    }

    /// Compilation takes the cheapest placement of rescales; here each has its turn.
    #[test]
    fn every_placement_of_rescales_computes_the_circuit(
        model in models(), n_slots in prop::sample::select(&N_SLOTS),
    ) {
        let input = input_for(&model, 1);
        let lowered = compile_small(&model, n_slots, &input).unwrap().lowered;
        let samples = [input];
        let expected = eval(&lowered, &samples).remove(0);
        for policy in [Policy::Early, Policy::Late] {
            let circuit = place_rescales(&lowered, policy);
            let evidence = Evidence::of(&circuit, &samples, &[]);
            let ring = target_for(n_slots).rings.remove(0);
            let scheduled = choose(&[circuit], &evidence.outputs, &evidence, &REQUEST, &ring).unwrap();
            verify(&scheduled.circuit).unwrap();
            assert_close("leveled", &eval(&scheduled.circuit, &samples)[0], &expected, magnitude(&model, &samples[0]));
        }
    }

    #[test]
    fn circuits_survive_the_text_format(model in models(), n_slots in prop::sample::select(&N_SLOTS)) {
        let compiled = compile_small(&model, n_slots, &input_for(&model, 0)).unwrap();
        for circuit in [&compiled.lowered, &compiled.leveled] {
            prop_assert_eq!(&text::parse(&text::print(circuit)).unwrap(), circuit);
        }
        let bytes = artifact::write_program(&compiled.program);
        prop_assert_eq!(artifact::read_program(&bytes).unwrap(), compiled.program);
    }
}

/// The model that a text of the model language describes, with its weights.
fn read_hec(text: &str, weights: &[u8]) -> Model {
    let mut problems = Diagnostics::new();
    let mut read = |name: &str| TensorFile::parse(name, weights);
    let model = hec::translate("random.hec", text, &mut read, &LoadOptions::default(), &mut problems);
    model.unwrap_or_else(|| panic!("{problems}\n{text}"))
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn models_survive_the_model_language(model in models()) {
        // `random` is a word of the language.
        let model = Model { name: "model_of_chance".to_owned(), ..model };
        match hec::to_hec(&model, "random.npz") {
            Ok(text) => prop_assert_eq!(read_hec(&text, &hec::to_npz(&model)), model),
            Err(WriteError::Move { layer }) => {
                let layer = model.layers.iter().find(|l| l.name == layer).unwrap();
                let LayerKind::Move { source } = &layer.kind else { panic!("`{}` moves nothing", layer.name) };
                let n = model.layer(layer.inputs[0]).shape.n_elements();
                prop_assert!(!source.iter().copied().eq(0..n), "`{}` only reshapes", layer.name);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

proptest! {
    #![proptest_config(config(4))]

    #[test]
    fn the_number_of_threads_does_not_matter(model in models(), n_slots in prop::sample::select(&N_SLOTS)) {
        let compile_on = |n_threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            artifact::write_program(&pool.install(|| compile_small(&model, n_slots, &input_for(&model, 0))).unwrap().program)
        };
        prop_assert!(compile_on(1) == compile_on(3));
    }
}
