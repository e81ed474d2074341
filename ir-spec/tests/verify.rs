//! Every rule of the verifier, broken once in a circuit that is otherwise fine.

use hecc_ir::verify::Rule;
use hecc_ir::{
    Circuit, Const, CtType, Level, Op, Plain, Scale, SecurityLevel, Source, Step, Value, text, verify,
};

fn dense() -> Circuit {
    text::parse(include_str!("circuits/dense.heir")).expect("the sample verifies")
}

fn square() -> Circuit {
    text::parse(include_str!("circuits/square.heir")).expect("the sample verifies")
}

/// Rules that `edit` breaks, without repetition.
fn broken(mut circuit: Circuit, edit: impl FnOnce(&mut Circuit)) -> Vec<Rule> {
    edit(&mut circuit);
    let mut rules: Vec<_> =
        verify(&circuit).expect_err("the edit breaks a rule").iter().map(|e| e.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

fn set(op: Op, at: usize) -> impl FnOnce(&mut Circuit) {
    move |c| c.nodes[at].op = op
}

fn retype(at: usize, edit: impl FnOnce(&mut CtType)) -> impl FnOnce(&mut Circuit) {
    move |c| edit(c.nodes[at].ty.as_mut().expect("the node is typed"))
}

#[test]
fn references_resolve() {
    let v = Value::new;
    assert_eq!(broken(dense(), set(Op::Neg(v(8)), 8)), [Rule::OperandOrder]);
    assert_eq!(broken(dense(), set(Op::MulPlain(v(0), Const::new(9)), 3)), [Rule::Handle]);
    assert_eq!(broken(dense(), set(Op::Input { input: 0, ct: 1 }, 0)), [Rule::Handle]);
    assert_eq!(broken(dense(), set(Op::Input { input: 7, ct: 0 }, 0)), [Rule::Handle]);
    assert_eq!(broken(dense(), |c| c.nodes[2].source = Source::new(5)), [Rule::Handle]);
    assert_eq!(broken(dense(), |c| c.outputs[0].values = vec![v(99)]), [Rule::Handle]);
}

#[test]
fn contents_are_sound() {
    let v = Value::new;
    assert_eq!(broken(dense(), set(Op::Add(vec![v(0)]), 4)), [Rule::Arity]);
    assert_eq!(broken(dense(), set(Op::Rotate(v(0), Step::new(16, 32)), 1)), [Rule::StepRange]);
    assert_eq!(
        broken(dense(), |c| c.consts[0] = Plain::new((0..32).map(f64::from).collect())),
        [Rule::Period]
    );
    assert_eq!(broken(dense(), |c| c.consts[0] = Plain::new(vec![f64::NAN])), [Rule::Finite]);
    assert_eq!(broken(dense(), set(Op::MulScalar(v(0), f64::INFINITY), 7)), [Rule::Finite]);
    assert_eq!(broken(dense(), |c| c.sources[1] = "fc1".into()), [Rule::UniqueName]);
    assert_eq!(broken(dense(), |c| c.inputs[0].range = (1.0, f64::NAN)), [Rule::InputRange]);
    assert_eq!(broken(dense(), |c| c.outputs[0].values.clear()), [Rule::OutputShape]);
    assert_eq!(broken(dense(), |c| c.n_slots = 12)[0], Rule::SlotCount);
}

#[test]
fn layouts_place_each_element_once() {
    let layout = |edit: fn(&mut hecc_ir::Layout)| broken(dense(), move |c| edit(&mut c.inputs[0].layout));
    assert_eq!(layout(|l| l.home[1] = l.home[0]), [Rule::LayoutSound]);
    assert_eq!(layout(|l| l.home[1].slot = 16), [Rule::LayoutSound]);
    assert_eq!(layout(|l| l.home[1].slot = 8), [Rule::LayoutSound]);
    assert_eq!(layout(|l| l.shape.0[0] = usize::MAX), [Rule::LayoutSound]);
    assert_eq!(layout(|l| l.replicas[0] = 16), [Rule::LayoutSound]);
    assert_eq!(layout(|l| l.n_cts = usize::MAX), [Rule::LayoutSound, Rule::OutputShape][..1]);
    assert_eq!(layout(|l| l.n_slots = 32), [Rule::LayoutSound]);
}

#[test]
fn stages_are_kept_apart() {
    let v = Value::new;
    assert_eq!(broken(dense(), set(Op::Rescale(v(0)), 8)), [Rule::AbstractOnly]);
    assert_eq!(broken(dense(), |c| c.params = square().params), [Rule::AbstractOnly]);
    assert_eq!(broken(dense(), |c| c.nodes[0].ty = square().nodes[0].ty), [Rule::AbstractOnly]);
    assert_eq!(broken(square(), |c| c.params = None), [Rule::ParamsSound]);
    assert_eq!(broken(square(), |c| c.nodes[6].ty = None), [Rule::Typed]);
    let claim = |c: &mut Circuit| c.params.as_mut().unwrap().security = SecurityLevel::Classical128;
    assert_eq!(broken(square(), claim), [Rule::ParamsSound]);
}

#[test]
fn types_follow_their_ops() {
    let v = Value::new;
    let scale = |log2: f64| move |ty: &mut CtType| ty.scale = Scale::from_log2(log2);
    assert!(broken(square(), retype(0, |ty| ty.level = Level(3))).contains(&Rule::LevelRange));
    assert_eq!(broken(square(), retype(6, scale(0.0))), [Rule::ScaleRange]);
    assert_eq!(broken(square(), retype(6, scale(38.5))), [Rule::ScaleRange]);
    assert_eq!(broken(square(), retype(6, |ty| ty.degree = 2)), [Rule::DegreeRule]);
    assert!(broken(square(), retype(1, scale(31.0))).contains(&Rule::ScaleRule));
    assert!(broken(square(), retype(1, |ty| ty.degree = 1)).contains(&Rule::DegreeRule));
    assert_eq!(broken(square(), retype(4, scale(30.0))), [Rule::ScaleRule]);
    assert_eq!(broken(square(), set(Op::Rotate(v(1), Step::new(1, 8)), 3)), [Rule::DegreeRule]);
    assert_eq!(broken(square(), set(Op::Relin(v(0)), 2)), [Rule::ScaleRule, Rule::DegreeRule]);
    assert_eq!(broken(square(), set(Op::Rescale(v(4)), 5)), [Rule::ScaleRule]);
    assert_eq!(broken(square(), set(Op::DropLevel(v(4), Level(2)), 5)), [Rule::LevelRule]);
    assert_eq!(broken(square(), set(Op::Add(vec![v(4), v(3)]), 5)), [Rule::LevelRule, Rule::ScaleRule]);
    assert_eq!(broken(square(), |c| c.outputs[0].values = vec![v(1)]), [Rule::OutputShape]);
}
