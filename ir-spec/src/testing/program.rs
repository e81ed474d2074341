//! Programs of random circuits.

use crate::circuit::{Circuit, Op, Value};
use crate::program::{Expected, Instr, KeyPlan, Manifest, PlainUse, Port, Program, RangeBasis, Reg};
use crate::scale::{Level, Scale};
use std::collections::BTreeMap;

/// The plainest program of a leveled circuit from [`super::circuits`]: one
/// instruction per node, one plaintext per use.
pub fn program_of(circuit: &Circuit) -> Program {
    let params = circuit.params.clone().expect("leveled circuits have params");
    let mut program = Program {
        manifest: Manifest {
            name: circuit.name.clone(),
            params,
            inputs: input_ports(circuit),
            outputs: output_ports(circuit),
            keys: KeyPlan::default(),
        },
        target: String::from("any"),
        consts: circuit.consts.clone(),
        plains: Vec::new(),
        types: circuit.values().map(|value| circuit.ty(value)).collect(),
        instrs: Vec::new(),
        source_of: circuit.nodes.iter().map(|node| node.source.index() as u32).collect(),
        sources: circuit.sources.clone(),
        outputs: circuit
            .outputs
            .iter()
            .map(|output| output.values.iter().map(|&v| reg(v)).collect())
            .collect(),
    };
    for value in circuit.values() {
        let instr = instr(circuit, &mut program.plains, value);
        program.instrs.push(instr);
    }
    program.manifest.keys = program.required_keys();
    program
}

fn reg(value: Value) -> Reg {
    Reg(value.index() as u32)
}

/// Ports of inputs; their first ciphertext is the first value that reads it.
fn input_ports(circuit: &Circuit) -> Vec<Port> {
    let mut types = BTreeMap::new();
    for value in circuit.values() {
        if let Op::Input { input, .. } = circuit.node(value).op {
            types.insert(input as usize, circuit.ty(value));
        }
    }
    let inputs = circuit.inputs.iter().enumerate();
    inputs
        .map(|(index, input)| Port {
            name: input.name.clone(),
            layout: input.layout.clone(),
            ty: types[&index],
            range: input.range,
            declared: input.range,
            basis: RangeBasis::Samples,
            expected: None,
        })
        .collect()
}

fn output_ports(circuit: &Circuit) -> Vec<Port> {
    let outputs = circuit.outputs.iter();
    outputs
        .map(|output| Port {
            name: output.name.clone(),
            layout: output.layout.clone(),
            ty: circuit.ty(output.values[0]),
            range: (-1.0, 1.0),
            declared: (-1.0, 1.0),
            basis: RangeBasis::Samples,
            expected: Some(Expected::of_error(1e-3, output.layout.n_cts)),
        })
        .collect()
}

fn instr(circuit: &Circuit, plains: &mut Vec<PlainUse>, value: Value) -> Instr {
    let (dst, ty) = (reg(value), circuit.ty(value));
    let factor = |a: Value| ty.scale - circuit.ty(a).scale;
    let mut encode = |constant: usize, level: Level, scale: Scale| {
        plains.push(PlainUse { constant: constant as u32, level, scale });
        plains.len() as u32 - 1
    };
    match &circuit.node(value).op {
        Op::Input { input, ct } => Instr::Input { dst, input: *input, ct: *ct },
        Op::Zero => Instr::Zero { dst },
        Op::Add(values) => Instr::Sum { dst, terms: values.iter().map(|&v| reg(v)).collect() },
        Op::Sub(a, b) => Instr::Sub { dst, a: reg(*a), b: reg(*b) },
        Op::Neg(a) => Instr::Neg { dst, src: reg(*a) },
        Op::AddPlain(a, c) => {
            Instr::AddPlain { dst, src: reg(*a), plain: encode(c.index(), ty.level, ty.scale) }
        }
        Op::Mul(a, b) => Instr::Mul { dst, a: reg(*a), b: reg(*b) },
        Op::MulPlain(a, c) => {
            Instr::InnerProduct { dst, terms: vec![(reg(*a), encode(c.index(), ty.level, factor(*a)))] }
        }
        Op::MulScalar(a, s) => Instr::MulScalar { dst, src: reg(*a), scalar: *s, scale: factor(*a) },
        Op::Rotate(a, step) => Instr::Rotate { src: reg(*a), outs: vec![(*step, dst)] },
        Op::Rescale(a) => Instr::Rescale { dst, src: reg(*a) },
        Op::Relin(a) => Instr::Relin { dst, src: reg(*a) },
        Op::DropLevel(a, _) => Instr::DropLevel { dst, src: reg(*a) },
    }
}
