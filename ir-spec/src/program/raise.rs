//! The circuit that a program runs: emission read backwards.

use super::{Instr, Port, Program, Reg};
use crate::circuit::{Circuit, Const, Input, Node, Op, Output, Source, Stage, Value};

impl Program {
    /// The leveled circuit that the program runs, with inputs and outputs as its manifest has them:
    /// for looking at what a program means. Sums may have a single term. Expects a program that verifies.
    pub fn circuit(&self) -> Circuit {
        let mut raising =
            Raising { program: self, nodes: Vec::new(), value_of: vec![None; self.types.len()] };
        for (instr, &source) in self.instrs.iter().zip(&self.source_of) {
            raising.instr(instr, Source::new(source as usize));
        }
        let (manifest, values) = (&self.manifest, &raising.value_of);
        let value = |reg: &Reg| values[reg.0 as usize].expect("registers are written before they are read");
        let input =
            |port: &Port| Input { name: port.name.clone(), layout: port.layout.clone(), range: port.range };
        let output = |(port, regs): (&Port, &Vec<Reg>)| Output {
            name: port.name.clone(),
            layout: port.layout.clone(),
            values: regs.iter().map(value).collect(),
        };
        Circuit {
            name: manifest.name.clone(),
            stage: Stage::Leveled,
            n_slots: manifest.n_slots(),
            params: Some(manifest.params.clone()),
            inputs: manifest.inputs.iter().map(input).collect(),
            outputs: manifest.outputs.iter().zip(&self.outputs).map(output).collect(),
            sources: self.sources.clone(),
            consts: self.consts.clone(),
            nodes: raising.nodes,
        }
    }
}

struct Raising<'a> {
    program: &'a Program,
    nodes: Vec<Node>,
    value_of: Vec<Option<Value>>,
}

impl Raising<'_> {
    fn value(&self, reg: Reg) -> Value {
        self.value_of[reg.0 as usize].expect("registers are written before they are read")
    }

    fn constant(&self, plain: u32) -> Const {
        Const::new(self.program.plains[plain as usize].constant as usize)
    }

    /// Appends a node with the type of a register that holds it, or one like it.
    fn push(&mut self, op: Op, like: Reg, source: Source) -> Value {
        let ty = Some(self.program.types[like.0 as usize]);
        self.nodes.push(Node { op, ty, source });
        Value::new(self.nodes.len() - 1)
    }

    fn write(&mut self, dst: Reg, op: Op, source: Source) {
        self.value_of[dst.0 as usize] = Some(self.push(op, dst, source));
    }

    fn instr(&mut self, instr: &Instr, source: Source) {
        let (dst, op) = match instr {
            Instr::Input { dst, input, ct } => (dst, Op::Input { input: *input, ct: *ct }),
            Instr::Zero { dst } => (dst, Op::Zero),
            Instr::Rotate { src, outs } => {
                let src = self.value(*src);
                return outs.iter().for_each(|&(step, dst)| self.write(dst, Op::Rotate(src, step), source));
            }
            Instr::InnerProduct { dst, terms } => {
                let products = terms.iter().map(|&(reg, plain)| {
                    let op = Op::MulPlain(self.value(reg), self.constant(plain));
                    self.push(op, *dst, source)
                });
                let products: Vec<Value> = products.collect();
                (dst, Op::Add(products))
            }
            Instr::Sum { dst, terms } => (dst, Op::Add(terms.iter().map(|&reg| self.value(reg)).collect())),
            Instr::Sub { dst, a, b } => (dst, Op::Sub(self.value(*a), self.value(*b))),
            Instr::Neg { dst, src } => (dst, Op::Neg(self.value(*src))),
            Instr::AddPlain { dst, src, plain } => {
                (dst, Op::AddPlain(self.value(*src), self.constant(*plain)))
            }
            Instr::MulScalar { dst, src, scalar, .. } => (dst, Op::MulScalar(self.value(*src), *scalar)),
            Instr::Mul { dst, a, b } => (dst, Op::Mul(self.value(*a), self.value(*b))),
            Instr::Relin { dst, src } => (dst, Op::Relin(self.value(*src))),
            Instr::Rescale { dst, src } => (dst, Op::Rescale(self.value(*src))),
            Instr::DropLevel { dst, src } => {
                let level = self.program.types[dst.0 as usize].level;
                (dst, Op::DropLevel(self.value(*src), level))
            }
        };
        self.write(*dst, op, source);
    }
}
