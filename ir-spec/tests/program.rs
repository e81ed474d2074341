//! Every rule of programs and manifests, broken once; operation counts.

use hecc_ir::program::{Expected, Instr, ProgramRule, SlotRun};
use hecc_ir::testing::{circuit_from, program_of, programs};
use hecc_ir::{CtType, Level, Plain, Program, Reg, Scale, SecurityLevel, Stage, Step, text};
use proptest::prelude::*;

fn square() -> Program {
    program_of(&text::parse(include_str!("circuits/square.heir")).expect("the sample verifies"))
}

/// Rules that `edit` breaks, without repetition.
fn broken(edit: impl FnOnce(&mut Program)) -> Vec<ProgramRule> {
    let mut program = square();
    assert_eq!(program.verify(), Ok(()));
    edit(&mut program);
    let mut rules: Vec<_> =
        program.verify().expect_err("the edit breaks a rule").iter().map(|e| e.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

/// Sets the slots that the first output's ciphertext is said to leave empty.
fn zeros(program: &mut Program, runs: Vec<SlotRun>) {
    let expected = program.manifest.outputs[0].expected.as_mut().expect("it is an output");
    expected.zeros = vec![runs];
}

#[test]
fn manifests_are_checked() {
    let params = ProgramRule::ParamsSound;
    assert_eq!(broken(|p| p.manifest.params.ring_degree = 17), [params]);
    assert_eq!(broken(|p| p.manifest.params.digit_limbs = 0), [params]);
    assert_eq!(broken(|p| p.manifest.params.security = SecurityLevel::Classical128), [params]);
    let port = ProgramRule::PortSound;
    assert_eq!(broken(|p| p.manifest.inputs.push(p.manifest.inputs[0].clone())), [port]);
    assert_eq!(broken(|p| p.manifest.inputs[0].range = (f64::NAN, 1.0)), [port]);
    assert_eq!(broken(|p| p.manifest.outputs[0].layout.n_slots = 4), [port]);
    assert_eq!(broken(|p| p.manifest.inputs[0].layout.n_slots = 16), [port]);
    assert_eq!(broken(|p| p.manifest.outputs[0].ty.degree = 2), [port]);
    assert_eq!(broken(|p| p.manifest.outputs[0].ty.scale = Scale::ONE), [port]);
    let expectation = ProgramRule::Expectation;
    assert_eq!(broken(|p| p.manifest.outputs[0].expected = None), [expectation]);
    assert_eq!(broken(|p| p.manifest.inputs[0].expected = Some(Expected::of_error(1.0, 1))), [expectation]);
    let expects = |edit: fn(&mut Expected)| {
        broken(|p| edit(p.manifest.outputs[0].expected.as_mut().expect("it is an output")))
    };
    assert_eq!(expects(|e| e.error = 0.0), [expectation]);
    assert_eq!(expects(|e| e.error = f64::INFINITY), [expectation]);
    assert_eq!(expects(|e| e.coefficient = f64::NAN), [expectation]);
    assert_eq!(expects(|e| e.zeros.clear()), [expectation]);
    let run = |start, len| SlotRun { start, len };
    assert_eq!(broken(|p| zeros(p, vec![run(0, 9)])), [expectation]);
    assert_eq!(broken(|p| zeros(p, vec![run(u32::MAX, u32::MAX)])), [expectation]);
    assert_eq!(broken(|p| zeros(p, vec![run(0, 0)])), [expectation]);
    assert_eq!(broken(|p| zeros(p, vec![run(2, 2), run(3, 1)])), [expectation]);
    let key = ProgramRule::KeyRange;
    assert_eq!(broken(|p| p.manifest.params.p.clear()), [key]);
    assert_eq!(broken(|p| p.manifest.keys.relin = Some(Level(9))), [key]);
    assert_eq!(broken(|p| p.manifest.keys.rotations.extend([(Step::ZERO, Level(0))])), [key]);
}

#[test]
fn registers_are_checked() {
    assert_eq!(broken(|p| p.types[6].level = Level(7)), [ProgramRule::TypeRange]);
    assert_eq!(
        broken(|p| p.instrs[6] = Instr::Zero { dst: Reg(9) }),
        [ProgramRule::Handle, ProgramRule::WrittenOnce]
    );
    assert_eq!(broken(|p| p.instrs[6] = Instr::Zero { dst: Reg(0) }), [ProgramRule::WrittenOnce]);
    assert_eq!(
        broken(|p| p.instrs[3] = Instr::Neg { dst: Reg(3), src: Reg(5) }),
        [ProgramRule::ReadAfterWrite]
    );
    assert_eq!(
        broken(|p| p.instrs[0] = Instr::Input { dst: Reg(0), input: 0, ct: 1 }),
        [ProgramRule::Handle]
    );
    assert_eq!(broken(|p| p.plains.clear()), [ProgramRule::Handle]);
    assert_eq!(broken(|p| p.consts.clear()), [ProgramRule::Handle]);
    assert_eq!(broken(|p| p.source_of[0] = 1), [ProgramRule::Handle]);
    assert_eq!(broken(|p| p.source_of.truncate(1)), [ProgramRule::Layers]);
}

#[test]
fn instructions_are_typed() {
    let typing = [ProgramRule::Typing];
    let retype = |reg: usize, edit: fn(&mut CtType)| broken(move |p| edit(&mut p.types[reg]));
    assert_eq!(retype(0, |ty| ty.scale = Scale::from_log2(14.0)), typing);
    assert_eq!(retype(2, |ty| ty.degree = 2), typing);
    assert_eq!(broken(|p| p.plains[0].scale = Scale::from_log2(4.0)), typing);
    assert_eq!(broken(|p| p.plains[0].level = Level(1)), typing);
    let zero_scale = Instr::MulScalar { dst: Reg(5), src: Reg(4), scalar: 1.0, scale: Scale::ONE };
    assert_eq!(broken(|p| p.instrs[5] = zero_scale), typing);
    assert_eq!(
        broken(|p| p.instrs[4] = Instr::InnerProduct { dst: Reg(4), terms: vec![] }),
        [ProgramRule::Arity]
    );
    let endless =
        Instr::MulScalar { dst: Reg(5), src: Reg(4), scalar: f64::NAN, scale: Scale::from_log2(1.0) };
    assert_eq!(broken(|p| p.instrs[5] = endless), [ProgramRule::Contents]);
    assert_eq!(broken(|p| p.consts[0] = Plain::new(vec![f64::NAN])), [ProgramRule::Contents]);
    assert_eq!(
        broken(|p| p.consts[0] = Plain::new((0..16).map(f64::from).collect())),
        [ProgramRule::Contents]
    );
}

#[test]
fn keys_and_outputs_are_exact() {
    let keys = [ProgramRule::KeysExact];
    assert_eq!(broken(|p| p.manifest.keys.relin = None), keys);
    assert_eq!(broken(|p| p.manifest.keys.rotations.clear()), keys);
    assert_eq!(broken(|p| p.manifest.keys.rotations.extend([(Step::new(1, 8), Level(0))])), keys);
    assert_eq!(broken(|p| p.manifest.keys.relin = Some(Level(1))), keys);
    assert_eq!(broken(|p| p.outputs.clear()), [ProgramRule::Outputs]);
    assert_eq!(broken(|p| p.outputs[0].clear()), [ProgramRule::Outputs]);
    assert_eq!(broken(|p| p.outputs[0] = vec![Reg(1)]), [ProgramRule::Outputs]);
}

#[test]
fn counts_are_those_of_the_instructions() {
    let mut program = square();
    let counts = program.op_counts();
    assert_eq!((counts.rotations, counts.relins, counts.key_switches), (1, 1, 2));
    assert_eq!((counts.mul_ct, counts.mul_plain, counts.drop_levels, program.depth()), (1, 1, 1, 0));
    program.instrs[4] =
        Instr::InnerProduct { dst: Reg(4), terms: vec![(Reg(3), 0), (Reg(2), 0), (Reg(3), 0)] };
    assert_eq!(program.verify(), Ok(()));
    assert_eq!((program.op_counts().mul_plain, program.op_counts().adds), (3, 2));
}

proptest! {
    #[test]
    fn circuits_and_their_programs_count_alike(choices in prop::collection::vec(any::<u32>(), 0..200)) {
        let circuit = circuit_from(Stage::Leveled, &choices);
        let (mut counts, mut expected) = (program_of(&circuit).op_counts(), circuit.op_counts());
        (counts.hoisted_groups, expected.hoisted_groups) = (0, 0);
        prop_assert_eq!(counts, expected);
    }

    /// Whatever is changed, checking it does not panic.
    #[test]
    fn checks_never_panic(program in programs(), at: prop::sample::Index, reg in 0u32..80) {
        let mut program = program;
        let at = at.index(program.instrs.len());
        program.types.truncate(reg as usize);
        program.instrs[at] = Instr::Sum { dst: Reg(reg), terms: vec![Reg(reg / 2), Reg(u32::MAX)] };
        prop_assert!(program.verify().is_err());
    }
}
