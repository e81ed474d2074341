//! What ops compute, checked by hand on few slots.

use hecc_ir::eval::{eval, eval_each, eval_slots, eval_values};
use hecc_ir::testing::{any_circuits, inputs_for};
use hecc_ir::{Circuit, text};
use proptest::prelude::*;

fn circuit(body: &str, result: &str) -> Circuit {
    let header = "hecc-ir 1 circuit \"t\" abstract slots 4 layers \"l\"";
    let layout = "layout [4] { cts 1 home 0:0 (4 by 1) }";
    let text = format!(
        "{header} input \"x\" range (-9, 9) {layout} const $0 period 2 {{ 10 -1 }} \
         layer \"l\" {{ %0 = input 0:0 {body} }} output \"y\" = {result} {layout}"
    );
    text::parse(&text).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

fn run(op: &str) -> Vec<f64> {
    eval(&circuit(&format!("%1 = {op}"), "%1"), &[vec![1.0, 2.0, 3.0, 4.0]]).remove(0)
}

#[test]
fn ops_compute_their_equations() {
    assert_eq!(run("zero"), [0.0; 4]);
    assert_eq!(run("add %0, %0, %0"), [3.0, 6.0, 9.0, 12.0]);
    assert_eq!(run("sub %0, %0"), [0.0; 4]);
    assert_eq!(run("neg %0"), [-1.0, -2.0, -3.0, -4.0]);
    assert_eq!(run("add_plain %0, $0"), [11.0, 1.0, 13.0, 3.0]);
    assert_eq!(run("mul %0, %0"), [1.0, 4.0, 9.0, 16.0]);
    assert_eq!(run("mul_plain %0, $0"), [10.0, -2.0, 30.0, -4.0]);
    assert_eq!(run("mul_scalar %0, 0.5"), [0.5, 1.0, 1.5, 2.0]);
    assert_eq!(run("rotate %0, 1"), [2.0, 3.0, 4.0, 1.0]);
    assert_eq!(run("rotate %0, -1"), [4.0, 1.0, 2.0, 3.0]);
}

#[test]
fn an_operand_outlives_its_last_reuse() {
    let c = circuit("%1 = rotate %0, 1 %2 = mul %1, %0 %3 = sub %2, %1 %4 = add %3, %0, %3", "%4");
    assert_eq!(eval(&c, &[vec![1.0, 2.0, 3.0, 4.0]]), [vec![1.0, 8.0, 19.0, 10.0]]);
}

proptest! {
    /// Freeing values early and computing products in their sums changes nothing.
    #[test]
    fn outputs_are_among_the_values(circuit in any_circuits(), seed: u64) {
        let tensors = inputs_for(&circuit, seed);
        let packed: Vec<_> = circuit.inputs.iter().zip(&tensors).map(|(i, t)| i.layout.pack(t)).collect();
        let values = eval_values(&circuit, &packed);
        for (output, slots) in circuit.outputs.iter().zip(eval_slots(&circuit, &packed)) {
            let expected: Vec<_> = output.values.iter().map(|v| values[v.index()].clone()).collect();
            prop_assert_eq!(slots, expected);
        }
        let mut visited = vec![None; values.len()];
        eval_each(&circuit, &packed, |value, slots| visited[value.index()] = Some(slots.to_vec()));
        prop_assert_eq!(visited, values.into_iter().map(Some).collect::<Vec<_>>());
    }
}
