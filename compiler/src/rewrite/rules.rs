//! The rewrite rules: equations between values, each with its condition.
//!
//! A rule looks at one node and returns a node that computes the same. Rules are
//! in [`RULES`]; tests ask for an example of each and check what it claims on
//! random slots. In the equations `R_k x` is `x` turned by `k`
//! slots to the left, `x . c` the product with a plaintext.

use super::demand::restricted;
use super::graph::{Graph, Node, PlainId, Scalar, product, sum, unturned};
use super::slots::SlotSet;
use egg::Id;
use hecc_ir::circuit::Plain;
use std::collections::BTreeMap;

/// One rule.
pub(super) struct Rule {
    /// What it does.
    pub name: &'static str,
    /// What it claims.
    pub equation: &'static str,
    /// A class equal to the given node of the given class, if the rule fires.
    pub apply: fn(&mut Graph, Id, &Node) -> Option<Id>,
}

/// Every rule, in the order in which they are tried.
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "zero-by-support",
        equation: "x = 0 where no slot of x can be other than zero",
        apply: zero_by_support,
    },
    Rule { name: "merge-rotations", equation: "R_a (R_b x) = R_{a+b} x", apply: merge_rotations },
    Rule {
        name: "rotate-by-period",
        equation: "R_k x = R_{k mod p} x for x of period p",
        apply: rotate_by_period,
    },
    Rule { name: "flatten-sums", equation: "(x + y) + z = x + y + z", apply: flatten_sums },
    Rule {
        name: "order-operands",
        equation: "x + y = y + x, x y = y x, in the order that makes equal nodes one",
        apply: order_operands,
    },
    Rule {
        name: "widen-fold",
        equation: "t + R_k t = x + R_s x + R_k x + R_{k+s} x for t = x + R_s x",
        apply: widen_fold,
    },
    Rule { name: "merge-products", equation: "(x . c) . d = x . (c d)", apply: merge_products },
    Rule { name: "add-products", equation: "x . c + x . d = x . (c + d)", apply: add_products },
    Rule { name: "factor-plaintext", equation: "x . c + y . c = (x + y) . c", apply: factor_plaintext },
    Rule {
        name: "restrict-plaintext",
        equation: "x . c = x . d where c and d agree on the slots at which x can be other than zero; x . 1 = x",
        apply: restrict_plaintext,
    },
    Rule {
        name: "pull-scalar",
        equation: "R_k (s x) = s R_k x, (s x) y = s (x y), s x + c = s (x + c / s)",
        apply: pull_scalar,
    },
    Rule { name: "merge-constants", equation: "(x + c) + d = x + (c + d)", apply: merge_constants },
    Rule { name: "add-constants-last", equation: "(x + c) + y = (x + y) + c", apply: add_constants_last },
    Rule { name: "drop-zero-terms", equation: "x + 0 = x", apply: drop_zero_terms },
    Rule { name: "cancel-terms", equation: "x + (-x) + y = y", apply: cancel_terms },
    Rule {
        name: "double-by-adding",
        equation: "2^k x = 2^{k-1} x + 2^{k-1} x, which needs no level; -2^k x = -(2^k x)",
        apply: double_by_adding,
    },
    Rule { name: "move-negation", equation: "-(-x) = x, -(x . c) = x . (-c)", apply: move_negation },
];

fn nodes(graph: &Graph, id: Id) -> impl Iterator<Item = &Node> {
    graph[id].nodes.iter()
}

fn is_zero(graph: &Graph, id: Id) -> bool {
    graph[id].data.support.is_empty()
}

/// The product with a plaintext, as a scalar where it is one.
fn times(graph: &mut Graph, plain: Plain, operand: Id) -> Id {
    let node = match plain.uniform() {
        Some(0.0) => Node::Zero,
        Some(1.0) => return operand,
        Some(scalar) => Node::MulScalar(Scalar::of(scalar), [operand]),
        None => Node::MulPlain(graph.analysis.intern(plain), [operand]),
    };
    graph.add(node)
}

fn add(graph: &mut Graph, terms: Vec<Id>) -> Id {
    match terms[..] {
        [] => graph.add(Node::Zero),
        [one] => one,
        _ => graph.add(sum(terms)),
    }
}

fn plus(graph: &mut Graph, operand: Id, plain: Plain) -> Id {
    if plain.is_zero() {
        return operand;
    }
    let plain = graph.analysis.intern(plain);
    graph.add(Node::AddPlain(plain, [operand]))
}

/// Slot by slot over the longer period; nothing when a value is beyond `limit`.
fn zip(a: &Plain, b: &Plain, limit: f64, f: impl Fn(f64, f64) -> f64) -> Option<Plain> {
    bounded((0..a.period().max(b.period())).map(|slot| f(a.at(slot), b.at(slot))).collect(), limit)
}

fn map(a: &Plain, limit: f64, f: impl Fn(f64) -> f64) -> Option<Plain> {
    bounded(a.values().iter().map(|&x| f(x)).collect(), limit)
}

fn bounded(values: Vec<f64>, limit: f64) -> Option<Plain> {
    values.iter().all(|value| value.abs() <= limit).then(|| Plain::new(values))
}

/// Least share of its terms' magnitudes that a sum keeps: what is left below it is their rounding.
const CANCELLED: f64 = 1e-12;

/// The sum of two plaintexts, zero in slots where they cancel.
fn total(a: &Plain, b: &Plain, limit: f64) -> Option<Plain> {
    zip(a, b, limit, |x, y| {
        let sum = x + y;
        if sum.abs() <= CANCELLED * (x.abs() + y.abs()) { 0.0 } else { sum }
    })
}

/// The factor and operand of a product with a plaintext or scalar.
fn as_product(graph: &Graph, node: &Node) -> Option<(Plain, Id)> {
    match *node {
        Node::MulPlain(plain, [operand]) => Some((graph.analysis.plain(plain).clone(), graph.find(operand))),
        Node::MulScalar(scalar, [operand]) => Some((Plain::new(vec![scalar.get()]), graph.find(operand))),
        _ => None,
    }
}

fn zero_by_support(graph: &mut Graph, class: Id, node: &Node) -> Option<Id> {
    let is_news = *node != Node::Zero && is_zero(graph, class);
    is_news.then(|| graph.add(Node::Zero))
}

fn merge_rotations(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::Rotate(step, [operand]) = *node else { return None };
    let (base, first) = unturned(graph, operand);
    if base == graph.find(operand) {
        return None;
    }
    let whole = (step + first) & (graph[base].data.period - 1);
    Some(if whole == 0 { base } else { graph.add(Node::Rotate(whole, [base])) })
}

fn rotate_by_period(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::Rotate(step, [operand]) = *node else { return None };
    let rest = step & (graph[operand].data.period - 1);
    (rest != step).then(|| if rest == 0 { operand } else { graph.add(Node::Rotate(rest, [operand])) })
}

/// Terms of all sums that flattening writes, at most.
const MAX_FLAT_TERMS: usize = 1 << 20;

/// Not again of what it wrote itself, which would grow around any cycle. Doublings
/// stay: flat, there would be a term for every unit of a factor.
fn flatten_sums(graph: &mut Graph, class: Id, node: &Node) -> Option<Id> {
    let Node::Add(terms) = node else { return None };
    if graph.analysis.flattened.contains(node) || is_doubling(graph, terms) {
        return None;
    }
    let class = graph.find(class);
    let shortest = |term: Id| {
        let sums = nodes(graph, term).filter_map(|node| match node {
            Node::Add(inner) if graph.find(term) != class && !is_doubling(graph, inner) => Some(inner),
            _ => None,
        });
        sums.min_by_key(|inner| (inner.len(), *inner))
    };
    let mut flat = Vec::new();
    for &term in terms {
        match shortest(term) {
            Some(inner) => flat.extend_from_slice(inner),
            None => flat.push(term),
        }
    }
    let context = &mut graph.analysis;
    if flat.len() == terms.len() || context.n_flat_terms + flat.len() > MAX_FLAT_TERMS {
        return None;
    }
    context.n_flat_terms += flat.len();
    let flat = sum(flat);
    graph.analysis.flattened.insert(flat.clone());
    Some(graph.add(flat))
}

fn is_doubling(graph: &Graph, terms: &[Id]) -> bool {
    matches!(*terms, [a, b] if graph.find(a) == graph.find(b))
}

fn order_operands(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let ordered = match node {
        Node::Add(terms) => sum(terms.iter().map(|term| graph.find(*term)).collect()),
        Node::Mul([a, b]) => product(graph.find(*a), graph.find(*b)),
        _ => return None,
    };
    (ordered != *node).then(|| graph.add(ordered))
}

fn widen_fold(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::Add(terms) = node else { return None };
    let &[a, b] = &terms[..] else { return None };
    let as_rotation = |of: Id, other: Id| {
        nodes(graph, of).find_map(|node| match *node {
            Node::Rotate(step, [base]) if graph.find(base) == graph.find(other) => Some(step),
            _ => None,
        })
    };
    let (inner, step) =
        as_rotation(b, a).map(|step| (a, step)).or_else(|| as_rotation(a, b).map(|step| (b, step)))?;
    let pair = nodes(graph, inner).find_map(|node| match node {
        Node::Add(terms) if terms.len() == 2 => Some([terms[0], terms[1]]),
        _ => None,
    })?;
    let [(x, first), (y, second)] = pair.map(|term| unturned(graph, term));
    if x != y {
        return None;
    }
    let mask = graph[x].data.period - 1;
    let steps = [first, second, first + step, second + step];
    let terms = steps.map(|step| match step & mask {
        0 => x,
        step => graph.add(Node::Rotate(step, [x])),
    });
    Some(graph.add(sum(terms.to_vec())))
}

fn merge_products(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let (outer, operand) = as_product(graph, node)?;
    let (inner, base) = nodes(graph, operand).find_map(|node| as_product(graph, node))?;
    let merged = zip(&inner, &outer, graph.analysis.max_constant, |a, b| a * b)?;
    Some(times(graph, merged, base))
}

/// Products with their operands, by what they have in common.
type Groups<K> = BTreeMap<K, Vec<(Node, Id)>>;

/// Products among the terms of a sum, by what `key` says of them, and other terms.
fn grouped<K: Ord>(
    graph: &Graph,
    terms: &[Id],
    key: impl Fn(&Node) -> Option<(K, Id)>,
) -> (Groups<K>, Vec<Id>) {
    let (mut groups, mut rest) = (Groups::<K>::new(), Vec::new());
    for &term in terms {
        match nodes(graph, term).find_map(|node| key(node).map(|found| (found, node.clone()))) {
            Some(((key, operand), node)) => groups.entry(key).or_default().push((node, operand)),
            None => rest.push(term),
        }
    }
    (groups, rest)
}

fn add_products(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::Add(terms) = node else { return None };
    let by_operand = |node: &Node| as_product(graph, node).map(|(_, operand)| (operand, operand));
    let (groups, mut rest) = grouped(graph, terms, by_operand);
    if groups.values().all(|group| group.len() == 1) {
        return None;
    }
    let limit = graph.analysis.max_constant;
    for (operand, group) in groups {
        let mut factors =
            group.iter().filter_map(|(node, _)| as_product(graph, node)).map(|(plain, _)| plain);
        let first = factors.next()?;
        let whole = factors.try_fold(first, |sum, factor| total(&sum, &factor, limit))?;
        rest.push(times(graph, whole, operand));
    }
    Some(add(graph, rest))
}

fn factor_plaintext(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::Add(terms) = node else { return None };
    if is_doubling(graph, terms) {
        return None;
    }
    let by_factor = |node: &Node| match *node {
        Node::MulPlain(plain, [operand]) => Some(((Some(plain), None), operand)),
        Node::MulScalar(scalar, [operand]) => Some(((None, Some(scalar)), operand)),
        _ => None,
    };
    let (groups, mut rest): (Groups<(Option<PlainId>, Option<Scalar>)>, _) = grouped(graph, terms, by_factor);
    if groups.values().all(|group| group.len() == 1) {
        return None;
    }
    for group in groups.into_values() {
        let operands: Vec<Id> = group.iter().map(|(_, operand)| *operand).collect();
        let (factor, _) = as_product(graph, &group[0].0)?;
        let whole = add(graph, operands);
        rest.push(times(graph, factor, whole));
    }
    Some(add(graph, rest))
}

fn restrict_plaintext(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::MulPlain(id, [operand]) = *node else { return None };
    let context = &graph.analysis;
    let support = &graph[operand].data.support;
    let plain = context.plain(id);
    if *support == SlotSet::All {
        return None;
    }
    let rest = restricted(plain, support, context.n_slots);
    (rest != *plain).then(|| times(graph, rest, operand))
}

/// Scalars through which a constant may pass: it is encoded with the error of the
/// scalar, which counts for more the more it grew.
const MODERATE: std::ops::RangeInclusive<f64> = 1e-3..=1e3;

fn pull_scalar(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let scalar = |operand: Id| {
        nodes(graph, operand).find_map(|node| match *node {
            Node::MulScalar(scalar, [base]) if scalar.get() != 0.0 => Some((scalar, base)),
            _ => None,
        })
    };
    let (scalar, rest) = match *node {
        Node::Rotate(step, [operand]) => {
            let (scalar, base) = scalar(operand)?;
            (scalar, graph.add(Node::Rotate(step, [base])))
        }
        Node::Mul([a, b]) => match (scalar(a), scalar(b)) {
            (Some((s, x)), Some((t, y))) => {
                let is_usable = |both: &f64| both.is_normal() && both.abs() <= graph.analysis.max_constant;
                let both = Some(s.get() * t.get()).filter(is_usable)?;
                (Scalar::of(both), graph.add(product(x, y)))
            }
            (Some((s, x)), None) => (s, graph.add(product(x, b))),
            (None, Some((t, y))) => (t, graph.add(product(a, y))),
            (None, None) => return None,
        },
        Node::AddPlain(plain, [operand]) => {
            let (scalar, base) = scalar(operand)?;
            if !MODERATE.contains(&scalar.get().abs()) {
                return None;
            }
            let context = &graph.analysis;
            let shifted = map(context.plain(plain), context.max_constant, |c| c / scalar.get())?;
            (scalar, plus(graph, base, shifted))
        }
        _ => return None,
    };
    Some(graph.add(Node::MulScalar(scalar, [rest])))
}

/// The summand and the operand of a class that is a sum with a plaintext.
fn as_shifted(graph: &Graph, id: Id) -> Option<(Plain, Id)> {
    nodes(graph, id).find_map(|node| match *node {
        Node::AddPlain(plain, [operand]) => Some((graph.analysis.plain(plain).clone(), operand)),
        _ => None,
    })
}

fn merge_constants(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::AddPlain(outer, [operand]) = *node else { return None };
    let (inner, base) = as_shifted(graph, operand)?;
    let whole = total(&inner, graph.analysis.plain(outer), graph.analysis.max_constant)?;
    Some(plus(graph, base, whole))
}

fn add_constants_last(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::Add(terms) = node else { return None };
    let mut bare = Vec::new();
    let mut whole: Option<Plain> = None;
    for &term in terms {
        match as_shifted(graph, term) {
            Some((plain, operand)) => {
                whole = Some(match whole {
                    Some(sum) => total(&sum, &plain, graph.analysis.max_constant)?,
                    None => plain,
                });
                bare.push(operand);
            }
            None => bare.push(term),
        }
    }
    let whole = whole?;
    let sum = add(graph, bare);
    Some(plus(graph, sum, whole))
}

fn drop_zero_terms(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::Add(terms) = node else { return None };
    let kept: Vec<Id> = terms.iter().copied().filter(|&term| !is_zero(graph, term)).collect();
    (kept.len() < terms.len()).then(|| add(graph, kept))
}

fn cancel_terms(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::Add(terms) = node else { return None };
    let negated = |term: Id| {
        nodes(graph, term).find_map(|node| match *node {
            Node::Neg([operand]) => Some(graph.find(operand)),
            _ => None,
        })
    };
    let (at, opposite) = terms.iter().enumerate().find_map(|(at, &term)| {
        let operand = negated(term)?;
        let opposite = terms.iter().position(|&other| graph.find(other) == operand)?;
        (opposite != at).then_some((at, opposite))
    })?;
    let kept = terms.iter().enumerate().filter(|&(index, _)| index != at && index != opposite);
    let kept = kept.map(|(_, &term)| term).collect();
    Some(add(graph, kept))
}

/// Powers of two that doublings stand for, at most: further ones would cost more than
/// the level they save.
const MAX_DOUBLED: f64 = 16.0;

fn double_by_adding(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::MulScalar(scalar, [operand]) = *node else { return None };
    let scalar = scalar.get();
    let is_whole_power = scalar.abs() <= MAX_DOUBLED && scalar.abs().log2().fract() == 0.0;
    if is_whole_power && scalar <= -1.0 {
        let positive = times(graph, Plain::new(vec![-scalar]), operand);
        return Some(graph.add(Node::Neg([positive])));
    }
    (is_whole_power && scalar >= 2.0).then(|| {
        let half = times(graph, Plain::new(vec![scalar / 2.0]), operand);
        graph.add(sum(vec![half, half]))
    })
}

fn move_negation(graph: &mut Graph, _: Id, node: &Node) -> Option<Id> {
    let Node::Neg([operand]) = *node else { return None };
    let double = nodes(graph, operand).find_map(|node| match *node {
        Node::Neg([base]) => Some(base),
        _ => None,
    });
    if double.is_some() {
        return double;
    }
    let (factor, base) = nodes(graph, operand).find_map(|node| as_product(graph, node))?;
    let negated = map(&factor, graph.analysis.max_constant, |x| -x)?;
    Some(times(graph, negated, base))
}

#[cfg(test)]
mod tests;
