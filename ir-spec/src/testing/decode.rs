//! Decoding a list of choices into a circuit.

use super::leveled;
use crate::circuit::{Circuit, Const, CtType, Input, Node, Op, Output, Plain, Source, Stage, Value};
use crate::layout::{Layout, Position, Shape};
use crate::scale::Step;

/// Most products on a path.
const MAX_PRODUCTS: u32 = 3;

/// Reads choices in order; zeros when they run out.
pub(super) struct Choices<'a>(std::slice::Iter<'a, u32>);

impl Choices<'_> {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0.next().map_or(0, |&choice| choice as usize % bound)
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn left(&self) -> bool {
        self.0.len() > 0
    }
}

pub(super) struct Decoder<'a> {
    pub(super) choices: Choices<'a>,
    pub(super) circuit: Circuit,
    products: Vec<u32>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(stage: Stage, choices: &'a [u32]) -> Decoder<'a> {
        let mut choices = Choices(choices.iter());
        let n_slots = 8 << choices.below(4);
        let params = (stage == Stage::Leveled).then(|| {
            let ring_degree = (2 * n_slots) << choices.below(3);
            leveled::params(ring_degree, choices.below(4))
        });
        let circuit = Circuit {
            name: choices.pick(&["net", "a \"quoted\" name", ""]).to_owned(),
            stage,
            n_slots,
            params,
            inputs: Vec::new(),
            outputs: Vec::new(),
            sources: vec!["model".to_owned(), "conv\n1".to_owned(), "act".to_owned()],
            consts: Vec::new(),
            nodes: Vec::new(),
        };
        Decoder { choices, circuit, products: Vec::new() }
    }

    pub(super) fn finish(mut self) -> Circuit {
        self.inputs();
        self.consts();
        while self.choices.left() {
            self.node();
        }
        self.outputs();
        self.circuit
    }

    fn inputs(&mut self) {
        for input in 0..1 + self.choices.below(2) as u32 {
            let layout = self.layout();
            for ct in 0..layout.n_cts as u32 {
                let ty = self.circuit.params.as_ref().map(leveled::fresh);
                self.push(Op::Input { input, ct }, ty);
            }
            let range = self.choices.pick(&[(-1.0, 1.0), (0.0, 0.1), (f64::NEG_INFINITY, f64::INFINITY)]);
            self.circuit.inputs.push(Input { name: format!("x{input}"), layout, range });
        }
    }

    /// Distinct positions `start + i * odd` in a pool that leaves room for replicas.
    fn layout(&mut self) -> Layout {
        let n_slots = self.circuit.n_slots;
        let n_cts = self.choices.pick(&[1, 2, 3, 4]);
        let replicas = if self.choices.below(3) == 1 { vec![n_slots as u32 / 2] } else { Vec::new() };
        let room = n_slots / (1 + replicas.len());
        let pool = if n_cts == 3 { 2 * room } else { n_cts * room };
        let shapes: [&[usize]; 6] = [&[], &[4], &[1, 3], &[2, 1, 2], &[3, 5], &[2, 4, 4]];
        let fitting: Vec<_> =
            shapes.into_iter().filter(|extents| extents.iter().product::<usize>() <= pool).collect();
        let shape = Shape(self.choices.pick(&fitting).to_vec());
        let (start, odd) = (self.choices.below(pool), 2 * self.choices.below(pool) + 1);
        let place = |i: usize| {
            let at = (start + i * odd) % pool;
            Position { ct: (at / room) as u32, slot: (at % room) as u32 }
        };
        let home = (0..shape.n_elements()).map(place).collect();
        Layout { n_slots, n_cts, shape, home, replicas, dirty: self.choices.below(2) == 1 }
    }

    fn consts(&mut self) {
        let n_slots = self.circuit.n_slots;
        for _ in 0..1 + self.choices.below(3) {
            let period = n_slots >> self.choices.below(3);
            let (head, tail) = (self.number(), self.number());
            let (every, until) = (1 + self.choices.below(4), self.choices.below(period + 1));
            let at = |i: usize| if i < until && i.is_multiple_of(every) { head } else { tail };
            self.circuit.consts.push(Plain::new((0..period).map(at).collect()));
        }
    }

    fn number(&mut self) -> f64 {
        let any = self.choices.below(1 << 31) as f64 / f64::from(1u32 << 31);
        self.choices.pick(&[0.0, -0.0, 1.0, -1.0, 0.5, 1.0 / 3.0, 0.1, -1e-9, any])
    }

    fn node(&mut self) {
        let a = self.value();
        let c = Const::new(self.choices.below(self.circuit.consts.len()));
        let op = match self.choices.below(13) {
            0 => Op::Zero,
            1 | 2 => self.sum(a),
            3 => Op::Sub(a, self.partner(a)),
            4 => Op::AddPlain(a, c),
            5 => Op::Mul(a, self.partner(a)),
            6 | 7 => Op::MulPlain(a, c),
            8 => Op::MulScalar(a, self.number()),
            9 | 10 => Op::Rotate(a, Step::new(self.choices.below(1 << 16) as i64, self.circuit.n_slots)),
            11 => Op::Neg(a),
            _ => self.scheduled(a),
        };
        self.try_push(op, a);
    }

    /// Appends an op if depth and types allow, else `neg`, which always fits.
    fn try_push(&mut self, op: Op, a: Value) {
        if self.products_of(&op) > MAX_PRODUCTS {
            return self.try_push(Op::Neg(a), a);
        }
        match self.circuit.stage {
            Stage::Abstract => self.push(op, None),
            Stage::Leveled => match self.result(&op) {
                Some(ty) => self.push(op, Some(ty)),
                None => self.push(Op::Neg(a), self.circuit.node(a).ty),
            },
        }
    }

    fn products_of(&self, op: &Op) -> u32 {
        let below = op.operands().into_iter().map(|v| self.products[v.index()]).max().unwrap_or(0);
        below + u32::from(matches!(op, Op::Mul(..)))
    }

    fn push(&mut self, op: Op, ty: Option<CtType>) {
        self.products.push(self.products_of(&op));
        let source = Source::new(self.choices.below(3));
        self.circuit.nodes.push(Node { op, ty, source });
    }

    fn value(&mut self) -> Value {
        let n = self.circuit.nodes.len();
        Value::new(n - 1 - self.choices.below(n))
    }

    fn sum(&mut self, a: Value) -> Op {
        let mut values = vec![a, self.partner(a)];
        if self.choices.below(2) == 1 {
            values.push(self.partner(a));
        }
        Op::Add(values)
    }

    /// A value that may be added to `a`.
    fn partner(&mut self, a: Value) -> Value {
        let key = |v: Value| self.circuit.node(v).ty.map(|ty| (ty.level, ty.scale));
        let fitting: Vec<Value> = self.circuit.values().filter(|&v| key(v) == key(a)).collect();
        self.choices.pick(&fitting)
    }

    fn outputs(&mut self) {
        for output in 0..1 + self.choices.below(2) {
            let layout = self.layout();
            let ready = |v: &Value| self.circuit.node(*v).ty.is_none_or(|ty| ty.degree == 1);
            let ready: Vec<Value> = self.circuit.values().filter(ready).collect();
            let first = self.choices.pick(&ready);
            let alike = |v: &Value| self.circuit.node(*v).ty == self.circuit.node(first).ty;
            let alike: Vec<Value> = ready.into_iter().filter(alike).collect();
            let values = (0..layout.n_cts).map(|_| self.choices.pick(&alike)).collect();
            self.circuit.outputs.push(Output { name: format!("y{output}"), layout, values });
        }
    }
}
