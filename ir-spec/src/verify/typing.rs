//! The typing rules of leveled circuits.
//!
//! [`result_problems`] holds them by [`Form`], what ops and instructions have in
//! common; circuits and programs are held to the same rules.

use super::{Place, Rule, Verifier};
use crate::circuit::{CtType, Op, Value};
use crate::params::Params;
use crate::scale::{Level, Scale};

impl Verifier<'_> {
    /// Checks the type of a node whose operands resolve.
    pub(super) fn types(&mut self, value: Value, ty: CtType, params: &Params) {
        let place = Place::Value(value);
        for (rule, message) in range_problems(ty, params) {
            self.report(rule, place, message);
        }
        let op = &self.circuit.node(value).op;
        let operands: Option<Vec<CtType>> =
            op.operands().into_iter().map(|v| self.circuit.node(v).ty).collect();
        for (rule, message) in
            operands.map_or(Vec::new(), |operands| result_problems(Form::of(op), &operands, ty, params))
        {
            self.report(rule, place, message);
        }
    }
}

/// A broken rule and what is wrong.
pub(crate) type Problem = (Rule, String);

/// What is wrong with a type on its own: level and scale within the modulus.
pub(crate) fn range_problems(ty: CtType, params: &Params) -> Vec<Problem> {
    let mut problems = Vec::new();
    match params.log_q(ty.level) {
        None => problems.push((Rule::LevelRange, format!("{} is above {}", ty.level, params.max_level()))),
        Some(log_q) if ty.scale <= Scale::ONE || ty.scale.log2() >= log_q => {
            problems.push((
                Rule::ScaleRange,
                format!("scale {} is not between 1 and the modulus 2^{log_q:.1}", ty.scale),
            ));
        }
        Some(_) => {}
    }
    if !(1..=2).contains(&ty.degree) {
        problems.push((Rule::DegreeRule, format!("degree {} is neither 1 nor 2", ty.degree)));
    }
    problems
}

/// How the type of a result follows from the types of operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// No operands; degree 1.
    Fresh,
    /// Equal levels and scales; the highest degree.
    Sum,
    /// The operand's type.
    Same,
    /// The operand's type, of degree 1.
    Rotation,
    /// Equal levels, degree 1; scales add up, degree 2.
    Product,
    /// A product with a plaintext: a higher scale.
    PlainProduct,
    /// One level and one prime's scale less.
    Rescale,
    /// Degree 2 to degree 1.
    Relin,
    /// A lower level, this one if it is given.
    DropLevel(Option<Level>),
}

impl Form {
    fn of(op: &Op) -> Form {
        match op {
            Op::Input { .. } | Op::Zero => Form::Fresh,
            Op::Add(_) | Op::Sub(..) => Form::Sum,
            Op::Neg(_) | Op::AddPlain(..) => Form::Same,
            Op::Rotate(..) => Form::Rotation,
            Op::Mul(..) => Form::Product,
            Op::MulPlain(..) | Op::MulScalar(..) => Form::PlainProduct,
            Op::Rescale(_) => Form::Rescale,
            Op::Relin(_) => Form::Relin,
            Op::DropLevel(_, level) => Form::DropLevel(Some(*level)),
        }
    }
}

/// What is wrong with the type of a result, given its operands' types.
pub(crate) fn result_problems(form: Form, operands: &[CtType], ty: CtType, params: &Params) -> Vec<Problem> {
    let mut check = Check { ty, problems: Vec::new() };
    let max_degree = operands.iter().map(|t| t.degree).max().unwrap_or(1);
    match form {
        Form::Fresh => check.degree(1),
        Form::Sum => {
            check.same_level(operands);
            check.same_scale(operands);
            check.degree(max_degree);
        }
        Form::Same => check.kept(operands[0]),
        Form::Rotation => {
            check.kept(operands[0]);
            check.operand_degree(operands, 1);
        }
        Form::Product => {
            check.same_level(operands);
            check.scale(operands[0].scale + operands[1].scale);
            check.operand_degree(operands, 1);
            check.degree(2);
        }
        Form::PlainProduct => {
            check.same_level(operands);
            check.scale_above(operands[0].scale);
            check.degree(max_degree);
        }
        Form::Rescale => check.rescaled(operands[0], params),
        Form::Relin => {
            check.same_level(operands);
            check.same_scale(operands);
            check.operand_degree(operands, 2);
            check.degree(1);
        }
        Form::DropLevel(level) => check.dropped(operands[0], level.unwrap_or(ty.level)),
    }
    check.problems
}

struct Check {
    ty: CtType,
    problems: Vec<Problem>,
}

impl Check {
    fn require(&mut self, holds: bool, rule: Rule, message: impl FnOnce() -> String) {
        if !holds {
            self.problems.push((rule, message()));
        }
    }

    fn level(&mut self, expected: Level) {
        let found = self.ty.level;
        self.require(found == expected, Rule::LevelRule, || {
            format!("result at {found}, expected {expected}")
        });
    }

    fn same_level(&mut self, operands: &[CtType]) {
        if let Some(odd) = operands.iter().find(|t| t.level != self.ty.level) {
            let message = format!("operand at {} but result at {}", odd.level, self.ty.level);
            self.problems.push((Rule::LevelRule, message));
        }
    }

    fn scale(&mut self, expected: Scale) {
        let found = self.ty.scale;
        self.require(found == expected, Rule::ScaleRule, || {
            format!("result has scale {found}, expected {expected}")
        });
    }

    fn same_scale(&mut self, operands: &[CtType]) {
        if let Some(odd) = operands.iter().find(|t| t.scale != self.ty.scale) {
            let message = format!("operand has scale {} but the result {}", odd.scale, self.ty.scale);
            self.problems.push((Rule::ScaleRule, message));
        }
    }

    fn scale_above(&mut self, operand: Scale) {
        let found = self.ty.scale;
        self.require(found > operand, Rule::ScaleRule, || {
            format!("result scale {found} leaves no scale for the plaintext above {operand}")
        });
    }

    fn degree(&mut self, expected: u8) {
        let found = self.ty.degree;
        self.require(found == expected, Rule::DegreeRule, || {
            format!("result has degree {found}, expected {expected}")
        });
    }

    fn operand_degree(&mut self, operands: &[CtType], expected: u8) {
        if let Some(odd) = operands.iter().find(|t| t.degree != expected) {
            self.problems
                .push((Rule::DegreeRule, format!("operand has degree {}, needs {expected}", odd.degree)));
        }
    }

    fn kept(&mut self, operand: CtType) {
        self.level(operand.level);
        self.scale(operand.scale);
        self.degree(operand.degree);
    }

    fn rescaled(&mut self, operand: CtType, params: &Params) {
        self.degree(operand.degree);
        match (operand.level.below(), params.q.get(operand.level.0 as usize)) {
            (Some(below), Some(&prime)) => {
                self.level(below);
                self.scale(operand.scale - Scale::of_prime(prime));
            }
            (None, _) => self.problems.push((Rule::LevelRule, "no prime is left to rescale by".to_owned())),
            (Some(_), None) => {}
        }
    }

    fn dropped(&mut self, operand: CtType, level: Level) {
        self.level(level);
        self.require(level < operand.level, Rule::LevelRule, || {
            format!("{level} is not below {}", operand.level)
        });
        self.scale(operand.scale);
        self.degree(operand.degree);
    }
}
