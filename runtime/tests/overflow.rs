//! When results outgrow the modulus: what the simulation says, and what encryption does.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{Draft, params, values};
use hecc_ir::program::Expected;
use hecc_ir::{Program, Tensor, artifact};
use hecc_runtime::client::Client;
use hecc_runtime::server::Server;
use hecc_runtime::{Error, Executor, dry};
use std::sync::Arc;

/// The program with inputs of any size allowed.
fn unlimited(draft: Draft) -> Program {
    let mut program = draft.finish();
    program.manifest.inputs.iter_mut().for_each(|port| port.range = (-1e9, 1e9));
    program.manifest.inputs.iter_mut().for_each(|port| port.declared = port.range);
    program.manifest.outputs.iter_mut().for_each(|port| {
        (port.range, port.expected) = ((-1e9, 1e9), Some(Expected::of_error(1e-3, 1)));
    });
    program
}

fn tensor(input: &[f64]) -> Tensor {
    Tensor::new([input.len()], input.to_vec()).unwrap()
}

/// What encryption gives for a program with one input and one output, unless the result is refused.
fn encrypted(program: &Program, input: &[f64]) -> Option<Vec<f64>> {
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let server = Server::load(&artifact::write_program(program)).unwrap();
    let session = server.session(&client.eval_keys().unwrap()).unwrap();
    let sent = client.encrypt(&[tensor(input)]).unwrap();
    Some(client.decrypt(&session.eval(&sent).unwrap().bundle).ok()?.remove(0))
}

/// Bits that the simulation says are left, or that there are none.
fn headroom(program: &Program, input: &[f64]) -> Option<f64> {
    let executor = Executor::new(Some(1)).unwrap();
    match dry::forecast(&executor, Arc::new(program.clone()), &[tensor(input)]) {
        Ok(forecast) => Some(forecast.headroom),
        Err(Error::Overflow { needed, available, .. }) => {
            assert!(needed > available);
            None
        }
        Err(other) => panic!("{other}"),
    }
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

/// True of a result that was refused, or is another one.
fn is_wrong(found: &Option<Vec<f64>>, expected: &[f64]) -> bool {
    found.as_ref().is_none_or(|found| largest_difference(found, expected) > 1.0)
}

/// Decrypts its input at the lowest level, which has ten bits beyond the scale.
fn narrow() -> Program {
    let mut draft = Draft::new(&params(64, 2, 1));
    let x = draft.input();
    let y = draft.drop_level(x, 0);
    draft.output(y);
    unlimited(draft)
}

const N_SLOTS: usize = 32;

/// Bits left of a modulus of which decryption takes no result: somewhat more than its share.
const NEARLY_FULL: f64 = 0.25;

#[test]
fn coefficients_outgrow_the_modulus_and_slots_do_not() {
    let program = narrow();
    let peak: Vec<f64> = (0..N_SLOTS).map(|i| if i == 5 { 4096.0 } else { 0.25 }).collect();
    let left = headroom(&program, &peak).unwrap();
    assert!(left > 1.5 && left < 2.5, "{left}");
    assert!(largest_difference(&encrypted(&program, &peak).unwrap(), &peak) < 1e-3);
    let flat = vec![600.0; N_SLOTS];
    assert_eq!(headroom(&program, &flat), None);
    assert!(is_wrong(&encrypted(&program, &flat), &flat));
}

/// Inputs of many sizes: the simulation is right about each, on both sides. Decryption refuses what all but fills
/// the modulus too.
#[test]
fn encryption_fails_exactly_where_the_simulation_says() {
    let program = narrow();
    let (mut n_right, mut n_wrong) = (0, 0);
    for case in 0..48u64 {
        let size = 2f64.powf(7.0 + case as f64 / 8.0);
        let sign = |x: f64| if case % 3 == 0 { x.abs() } else { x };
        let input: Vec<f64> = values(N_SLOTS, case + 1).into_iter().map(|x| sign(x) * size).collect();
        let found = encrypted(&program, &input);
        match headroom(&program, &input) {
            Some(left) if found.is_none() => assert!(left < NEARLY_FULL, "{left} bits left, and refused"),
            Some(left) => {
                n_right += 1;
                let error = largest_difference(&found.unwrap(), &input);
                assert!(error < 1e-3, "{left} bits left, error {error}");
            }
            None => {
                n_wrong += 1;
                assert!(is_wrong(&found, &input), "size {size}");
            }
        }
    }
    assert!(n_right > 10 && n_wrong > 10, "{n_right} right, {n_wrong} wrong");
}

/// All operations are those of the ring modulo Q: what wraps around unwraps.
#[test]
fn values_may_outgrow_the_modulus_on_the_way() {
    let mut draft = Draft::new(&params(64, 2, 1));
    let x = draft.input();
    let huge = 2f64.powi(60);
    let turned = |draft: &mut Draft, scalar: f64| {
        let product = draft.mul_scalar(x, scalar);
        let turned = draft.rotate(product, &[1])[0];
        draft.rescale(turned)
    };
    let (a, b) = (turned(&mut draft, huge), turned(&mut draft, huge - 256.0));
    let y = draft.sub(a, b);
    draft.output(y);
    let program = unlimited(draft);
    let input = values(N_SLOTS, 7);
    let expected: Vec<f64> = (0..N_SLOTS).map(|i| 256.0 * input[(i + 1) % N_SLOTS]).collect();
    assert!(headroom(&program, &input).is_some());
    assert!(largest_difference(&encrypted(&program, &input).unwrap(), &expected) < 1e-3);
}
