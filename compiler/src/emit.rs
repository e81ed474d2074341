//! Writes a leveled circuit as a program for an executor.
//!
//! Rotations of one ciphertext become one instruction, so that they share its
//! decomposition; a sum of plaintext products becomes one inner product, so
//! that it needs no reduction per term. Each plaintext is encoded once per
//! level and scale.

use crate::cost::term;
use crate::schedule::Outlook;
use hecc_ir::circuit::{Circuit, CtType, Op, Value};
use hecc_ir::plain::{Plain, PlainBits};
use hecc_ir::program::{Instr, KeyPlan, Manifest, PlainUse, Port, Program, RangeBasis, Reg};
use hecc_ir::scale::{Level, Scale, Step};
use std::collections::HashMap;

/// What a program says of itself beside what it computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts<'a> {
    /// Smallest and largest input element served.
    pub served: (f64, f64),
    /// Smallest and largest input element declared.
    pub declared: (f64, f64),
    /// How it is known that they have room.
    pub basis: RangeBasis,
    /// What decryption shows of each output.
    pub outlooks: &'a [Outlook],
    /// The machine that the circuit was scheduled for.
    pub target: &'a str,
}

/// Emits a program.
pub fn emit(circuit: &Circuit, facts: &Facts) -> Program {
    let mut emitter = Emitter {
        circuit,
        fused: fused_products(circuit),
        rotations: rotations_of(circuit),
        reg_of: vec![None; circuit.nodes.len()],
        consts: HashMap::new(),
        plains: HashMap::new(),
        program: Program {
            manifest: manifest(circuit, facts),
            target: facts.target.to_owned(),
            consts: Vec::new(),
            plains: Vec::new(),
            types: Vec::new(),
            instrs: Vec::new(),
            source_of: Vec::new(),
            sources: circuit.sources.clone(),
            outputs: Vec::new(),
        },
    };
    for value in circuit.values() {
        emitter.value(value);
    }
    for output in &circuit.outputs {
        let regs = output.values.iter().map(|&v| emitter.reg(v)).collect();
        emitter.program.outputs.push(regs);
    }
    let mut program = emitter.program;
    program.manifest.keys = program.required_keys();
    program
}

fn manifest(circuit: &Circuit, facts: &Facts) -> Manifest {
    let &Facts { served, declared, basis, outlooks, .. } = facts;
    let input_type = |index: usize| {
        let of_input =
            |v: &Value| matches!(circuit.node(*v).op, Op::Input { input, .. } if input as usize == index);
        circuit.values().find(of_input).map(|v| circuit.ty(v))
    };
    let inputs = circuit.inputs.iter().enumerate().map(|(index, input)| Port {
        name: input.name.clone(),
        layout: input.layout.clone(),
        ty: input_type(index).expect("a declared input is read"),
        range: served,
        declared,
        basis,
        expected: None,
    });
    let outputs = circuit.outputs.iter().zip(outlooks).map(|(output, outlook)| Port {
        name: output.name.clone(),
        layout: output.layout.clone(),
        ty: circuit.ty(output.values[0]),
        range: outlook.range,
        declared: outlook.range,
        basis,
        expected: Some(outlook.expected.clone()),
    });
    Manifest {
        name: circuit.name.clone(),
        params: circuit.params.clone().expect("a leveled circuit has parameters"),
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        keys: KeyPlan::default(),
    }
}

/// Rotations by the value they rotate.
fn rotations_of(circuit: &Circuit) -> HashMap<Value, Vec<(Step, Value)>> {
    let mut found: HashMap<Value, Vec<(Step, Value)>> = HashMap::new();
    for value in circuit.values() {
        if let Op::Rotate(operand, step) = circuit.node(value).op {
            found.entry(operand).or_default().push((step, value));
        }
    }
    found
}

/// Products with plaintexts that one sum alone reads are part of that sum, and so are
/// products with scalars when there are several.
fn fused_products(circuit: &Circuit) -> Vec<bool> {
    let uses = circuit.use_counts();
    let mut fused = vec![false; circuit.nodes.len()];
    for node in &circuit.nodes {
        let Op::Add(values) = &node.op else { continue };
        let products =
            || values.iter().filter(|value| uses[value.index()] == 1 && term(circuit, **value).is_some());
        if products().count() > 1 {
            products().for_each(|value| fused[value.index()] = true);
        }
        let is_plain = |value: &&Value| matches!(circuit.node(**value).op, Op::MulPlain(..));
        products().filter(is_plain).for_each(|value| fused[value.index()] = true);
    }
    fused
}

struct Emitter<'a> {
    circuit: &'a Circuit,
    fused: Vec<bool>,
    rotations: HashMap<Value, Vec<(Step, Value)>>,
    reg_of: Vec<Option<Reg>>,
    consts: HashMap<PlainBits, u32>,
    plains: HashMap<(u32, Level, Scale), u32>,
    program: Program,
}

impl Emitter<'_> {
    fn reg(&self, value: Value) -> Reg {
        self.reg_of[value.index()].expect("operands precede users")
    }

    fn fresh(&mut self, ty: CtType) -> Reg {
        self.program.types.push(ty);
        Reg(self.program.types.len() as u32 - 1)
    }

    fn define(&mut self, value: Value) -> Reg {
        let reg = self.fresh(self.circuit.ty(value));
        self.reg_of[value.index()] = Some(reg);
        reg
    }

    fn instr(&mut self, value: Value, instr: Instr) {
        self.program.instrs.push(instr);
        self.program.source_of.push(self.circuit.node(value).source.index() as u32);
    }

    fn value(&mut self, value: Value) {
        if self.reg_of[value.index()].is_some() {
            return;
        }
        let ty = self.circuit.ty(value);
        let instr = match &self.circuit.node(value).op {
            Op::MulPlain(..) | Op::MulScalar(..) if self.fused[value.index()] => return,
            Op::Add(values) => return self.sum(value, values),
            Op::Rotate(operand, _) => return self.rotations(value, *operand),
            Op::Input { input, ct } => Instr::Input { dst: self.define(value), input: *input, ct: *ct },
            Op::Zero => Instr::Zero { dst: self.define(value) },
            Op::Sub(a, b) => Instr::Sub { a: self.reg(*a), b: self.reg(*b), dst: self.define(value) },
            Op::Neg(a) => Instr::Neg { src: self.reg(*a), dst: self.define(value) },
            Op::AddPlain(a, c) => {
                let plain = self.plain(self.circuit.plain(*c).clone(), ty.level, ty.scale);
                Instr::AddPlain { src: self.reg(*a), plain, dst: self.define(value) }
            }
            Op::Mul(a, b) => Instr::Mul { a: self.reg(*a), b: self.reg(*b), dst: self.define(value) },
            Op::MulPlain(..) => {
                let terms = vec![self.term(value)];
                Instr::InnerProduct { terms, dst: self.define(value) }
            }
            Op::MulScalar(a, scalar) => {
                let scale = ty.scale - self.circuit.ty(*a).scale;
                Instr::MulScalar { src: self.reg(*a), scalar: *scalar, scale, dst: self.define(value) }
            }
            Op::Rescale(a) => Instr::Rescale { src: self.reg(*a), dst: self.define(value) },
            Op::Relin(a) => Instr::Relin { src: self.reg(*a), dst: self.define(value) },
            Op::DropLevel(a, _) => Instr::DropLevel { src: self.reg(*a), dst: self.define(value) },
        };
        self.instr(value, instr);
    }

    fn sum(&mut self, value: Value, values: &[Value]) {
        let (products, others): (Vec<Value>, Vec<Value>) = values.iter().partition(|v| self.fused[v.index()]);
        let terms: Vec<_> = products.iter().map(|&v| self.term(v)).collect();
        let mut summands: Vec<Reg> = others.iter().map(|&v| self.reg(v)).collect();
        if summands.is_empty() {
            let dst = self.define(value);
            return self.instr(value, Instr::InnerProduct { dst, terms });
        }
        if !terms.is_empty() {
            let dst = self.fresh(self.circuit.ty(products[0]));
            self.instr(value, Instr::InnerProduct { dst, terms });
            summands.push(dst);
        }
        let dst = self.define(value);
        self.instr(value, Instr::Sum { dst, terms: summands });
    }

    fn rotations(&mut self, value: Value, operand: Value) {
        let src = self.reg(operand);
        let siblings = self.rotations.remove(&operand).expect("rotations were collected");
        let outs = siblings.into_iter().map(|(step, rotated)| (step, self.define(rotated))).collect();
        self.instr(value, Instr::Rotate { src, outs });
    }

    /// Operand and plaintext of a product.
    fn term(&mut self, product: Value) -> (Reg, u32) {
        let (operand, constant) = match self.circuit.node(product).op {
            Op::MulPlain(operand, constant) => (operand, self.circuit.plain(constant).clone()),
            Op::MulScalar(operand, scalar) => (operand, Plain::new(vec![scalar])),
            _ => unreachable!("terms are products with plaintexts or scalars"),
        };
        let ty = self.circuit.ty(product);
        let scale = ty.scale - self.circuit.ty(operand).scale;
        (self.reg(operand), self.plain(constant, ty.level, scale))
    }

    fn plain(&mut self, constant: Plain, level: Level, scale: Scale) -> u32 {
        let program = &mut self.program;
        let constant = *self.consts.entry(PlainBits(constant)).or_insert_with_key(|PlainBits(plain)| {
            program.consts.push(plain.clone());
            program.consts.len() as u32 - 1
        });
        *self.plains.entry((constant, level, scale)).or_insert_with(|| {
            program.plains.push(PlainUse { constant, level, scale });
            program.plains.len() as u32 - 1
        })
    }
}
