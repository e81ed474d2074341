//! Writes small programs by hand and runs them on any back end.
#![allow(dead_code)]

use hecc_ir::program::{Expected, PlainUse, Port, RangeBasis};
use hecc_ir::{CtType, Instr, KeyPlan, Layout, Level, Manifest, Params, Plain, Program, Reg};
use hecc_ir::{Scale, SecurityLevel, Shape, Step, Tensor};
use hecc_runtime::{Backend, Error, Executor, RunReport, port};
use std::sync::Arc;

/// Scale of inputs; primes lie near it.
pub const LOG_SCALE: f64 = 40.0;

/// What the decryption of outputs is expected to show, in programs that no compiler predicted.
const OUTPUT_ERROR: f64 = 1e-6;
const OUTPUT_RANGE: (f64, f64) = (-1e3, 1e3);

/// Test parameters: primes for any ring up to 8192, of which the first is wide.
pub fn params(ring_degree: usize, n_levels: usize, digit_limbs: usize) -> Params {
    let q = [Q0].iter().chain(&Q[..n_levels]).copied().collect();
    Params { ring_degree, q, p: P[..digit_limbs].to_vec(), digit_limbs, security: SecurityLevel::Insecure }
}

const Q0: u64 = 0x3_ffff_ffff_c001;
const P: [u64; 2] = [0x3_ffff_fffc_c001, 0x3_ffff_ffef_4001];
const Q: [u64; 6] =
    [0xff_fffd_c001, 0xff_fff4_c001, 0xff_fff3_c001, 0xff_ffe8_0001, 0xff_ffe7_4001, 0xff_ffd6_c001];

/// A program under construction.
pub struct Draft {
    program: Program,
    n_slots: usize,
}

impl Draft {
    pub fn new(params: &Params) -> Draft {
        Draft::with_lanes(params, 1)
    }

    /// A program whose slots are so many of the ring each.
    pub fn with_lanes(params: &Params, lanes: usize) -> Draft {
        let manifest = Manifest {
            name: "draft".into(),
            params: params.clone(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            keys: KeyPlan::default(),
        };
        let program = Program {
            manifest,
            target: "any".into(),
            consts: Vec::new(),
            plains: Vec::new(),
            types: Vec::new(),
            instrs: Vec::new(),
            source_of: Vec::new(),
            sources: vec!["layer".into()],
            outputs: Vec::new(),
        };
        Draft { program, n_slots: params.n_slots() / lanes }
    }

    pub fn params(&self) -> &Params {
        &self.program.manifest.params
    }

    pub fn ty(&self, reg: Reg) -> CtType {
        self.program.types[reg.0 as usize]
    }

    /// The program with the keys it needs.
    pub fn finish(mut self) -> Program {
        self.program.manifest.keys = self.program.required_keys();
        self.program
    }

    fn reg(&mut self, ty: CtType) -> Reg {
        self.program.types.push(ty);
        Reg(self.program.types.len() as u32 - 1)
    }

    fn push(&mut self, ty: CtType, instr: impl FnOnce(Reg) -> Instr) -> Reg {
        let dst = self.reg(ty);
        self.emit(instr(dst));
        dst
    }

    fn emit(&mut self, instr: Instr) {
        self.program.instrs.push(instr);
        self.program.source_of.push(self.program.sources.len() as u32 - 1);
    }

    pub fn layer(&mut self, name: &str) {
        self.program.sources.push(name.into());
    }

    fn port(&self, name: String, ty: CtType) -> Port {
        let layout = Layout::contiguous(Shape(vec![self.n_slots]), self.n_slots);
        let (range, basis) = ((-1.0, 1.0), RangeBasis::Samples);
        Port { name, layout, ty, range, declared: range, basis, expected: None }
    }

    /// A new input of one ciphertext at the top level.
    pub fn input(&mut self) -> Reg {
        let scale = Scale::from_log2(LOG_SCALE);
        let ty = CtType { level: self.params().max_level(), scale, degree: 1 };
        let input = self.program.manifest.inputs.len() as u32;
        let port = self.port(format!("x{input}"), ty);
        self.program.manifest.inputs.push(port);
        self.push(ty, |dst| Instr::Input { dst, input, ct: 0 })
    }

    pub fn output(&mut self, reg: Reg) {
        let expected = Some(Expected::of_error(OUTPUT_ERROR, 1));
        let name = format!("y{}", self.program.outputs.len());
        let port = Port { range: OUTPUT_RANGE, expected, ..self.port(name, self.ty(reg)) };
        self.program.manifest.outputs.push(port);
        self.program.outputs.push(vec![reg]);
    }

    pub fn plain(&mut self, values: Vec<f64>, level: Level, scale: Scale) -> u32 {
        self.program.consts.push(Plain::new(values));
        let constant = self.program.consts.len() as u32 - 1;
        self.program.plains.push(PlainUse { constant, level, scale });
        self.program.plains.len() as u32 - 1
    }

    pub fn zero(&mut self, ty: CtType) -> Reg {
        self.push(ty, |dst| Instr::Zero { dst })
    }

    pub fn rotate(&mut self, src: Reg, steps: &[i64]) -> Vec<Reg> {
        let (ty, n_slots) = (self.ty(src), self.n_slots);
        let outs: Vec<_> = steps.iter().map(|&s| (Step::new(s, n_slots), self.reg(ty))).collect();
        let regs = outs.iter().map(|out| out.1).collect();
        self.emit(Instr::Rotate { src, outs });
        regs
    }

    /// Products with plaintexts at the scale of the last prime.
    pub fn inner_product(&mut self, terms: Vec<(Reg, Vec<f64>)>) -> Reg {
        let ty = self.ty(terms[0].0);
        let scale = self.prime(ty.level);
        let terms =
            terms.into_iter().map(|(reg, values)| (reg, self.plain(values, ty.level, scale))).collect();
        self.push(CtType { scale: ty.scale + scale, ..ty }, |dst| Instr::InnerProduct { dst, terms })
    }

    pub fn sum(&mut self, terms: Vec<Reg>) -> Reg {
        let degree = terms.iter().map(|&r| self.ty(r).degree).max().unwrap();
        self.push(CtType { degree, ..self.ty(terms[0]) }, |dst| Instr::Sum { dst, terms })
    }

    pub fn sub(&mut self, a: Reg, b: Reg) -> Reg {
        let degree = self.ty(a).degree.max(self.ty(b).degree);
        self.push(CtType { degree, ..self.ty(a) }, |dst| Instr::Sub { dst, a, b })
    }

    pub fn neg(&mut self, src: Reg) -> Reg {
        self.push(self.ty(src), |dst| Instr::Neg { dst, src })
    }

    pub fn add_plain(&mut self, src: Reg, values: Vec<f64>) -> Reg {
        let ty = self.ty(src);
        let plain = self.plain(values, ty.level, ty.scale);
        self.push(ty, |dst| Instr::AddPlain { dst, src, plain })
    }

    pub fn mul_scalar(&mut self, src: Reg, scalar: f64) -> Reg {
        let ty = self.ty(src);
        let scale = self.prime(ty.level);
        let ty = CtType { scale: ty.scale + scale, ..ty };
        self.push(ty, |dst| Instr::MulScalar { dst, src, scalar, scale })
    }

    pub fn mul(&mut self, a: Reg, b: Reg) -> Reg {
        let ty = CtType { scale: self.ty(a).scale + self.ty(b).scale, degree: 2, ..self.ty(a) };
        self.push(ty, |dst| Instr::Mul { dst, a, b })
    }

    pub fn relin(&mut self, src: Reg) -> Reg {
        let ty = CtType { degree: 1, ..self.ty(src) };
        self.push(ty, |dst| Instr::Relin { dst, src })
    }

    pub fn rescale(&mut self, src: Reg) -> Reg {
        let ty = self.ty(src);
        let level = ty.level.below().unwrap();
        let ty = CtType { level, scale: ty.scale - self.prime(ty.level), ..ty };
        self.push(ty, |dst| Instr::Rescale { dst, src })
    }

    pub fn drop_level(&mut self, src: Reg, level: u32) -> Reg {
        self.push(CtType { level: Level(level), ..self.ty(src) }, |dst| Instr::DropLevel { dst, src })
    }

    fn prime(&self, level: Level) -> Scale {
        Scale::of_prime(self.params().q[level.0 as usize])
    }
}

/// Reproducible values in -1 to 1.
pub fn values(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Reproducible inputs of a program.
pub fn inputs(program: &Program) -> Vec<Vec<f64>> {
    inputs_of_lane(program, 0)
}

/// The same for each lane.
pub fn batch(program: &Program) -> Vec<Vec<Vec<f64>>> {
    (0..program.manifest.lanes()).map(|lane| inputs_of_lane(program, lane)).collect()
}

fn inputs_of_lane(program: &Program, lane: usize) -> Vec<Vec<f64>> {
    let n_slots = program.manifest.n_slots();
    (0..program.manifest.inputs.len()).map(|i| values(n_slots, (1000 * lane + i) as u64 + 1)).collect()
}

/// Vectors as tensors.
pub fn tensors(vectors: &[Vec<f64>]) -> Vec<Tensor> {
    vectors.iter().cloned().map(Tensor::from).collect()
}

/// Runs a program on slots that `encrypt` turns into ciphertexts, on a batch.
pub fn run<B: Backend>(
    program: &Program,
    backend: B,
    n_threads: usize,
    encrypt: impl Fn(&B, &[f64], CtType) -> B::Ct,
) -> Result<RunReport<B::Ct>, Error> {
    let samples: Vec<_> = batch(program).iter().map(|sample| tensors(sample)).collect();
    let slots = port::pack_batch(&program.manifest, &samples)?;
    let ports = slots.iter().zip(&program.manifest.inputs);
    let cts = ports.map(|(cts, port)| cts.iter().map(|x| encrypt(&backend, x, port.ty)).collect()).collect();
    Executor::new(Some(n_threads))?.prepare(Arc::new(program.clone()), backend)?.run(cts)
}

/// Root mean square of the difference.
pub fn rms(a: &[f64], b: &[f64]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum();
    (sum / a.len() as f64).sqrt()
}
