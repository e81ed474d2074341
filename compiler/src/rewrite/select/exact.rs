//! Exact selection in small regions.
//!
//! A region is some classes that may choose anew while all others keep their node. Its
//! cheapest choice is an integer program: one variable per node, one per class that is
//! needed, one per decomposition that is paid. It starts from the choice as it was, and
//! only a cheaper one is taken. Source, for the program without decompositions and
//! regions: Yang et al., "Equality saturation for tensor graph superoptimization" (2021).

use super::prices::Prices;
use super::{Choice, decomposed, operands, ordered};
use crate::rewrite::graph::{Graph, Node};
use egg::{Id, Language};
use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOptions, Variable};
use std::collections::{BTreeMap, BTreeSet};

/// Classes that choose at once.
const REGION: usize = 24;
/// Classes of one program, with those that only come along, and its conditions.
const MAX_MEMBERS: usize = 512;
const MAX_CONDITIONS: usize = 4096;
/// Regions of one circuit.
const MAX_REGIONS: usize = 64;
/// Nodes of the search tree per program. Work is bounded, never time, so that every
/// machine chooses the same.
const MAX_TREE: u64 = 2000;
/// Programs per region: each choice in a circle is forbidden and the rest tried again.
const MAX_TRIES: usize = 32;

/// Chooses anew, region by region; the choice never gets dearer.
pub(super) fn improve(graph: &Graph, prices: &Prices<'_>, roots: &[Id], chosen: &mut Choice) {
    let choosable = choosable(graph, roots, chosen);
    let starts = (0..choosable.len()).step_by(REGION / 2);
    for start in starts.take(MAX_REGIONS) {
        let end = choosable.len().min(start + REGION);
        let free: BTreeSet<Id> = choosable[start..end].iter().copied().collect();
        if let Some(region) = Region::new(graph, prices, roots, chosen, &free)
            && let Some(better) = region.solve(chosen, roots)
        {
            *chosen = better;
        }
        if end == choosable.len() {
            break;
        }
    }
}

/// Classes that might be needed and have more than one node to choose from.
fn choosable(graph: &Graph, roots: &[Id], chosen: &Choice) -> Vec<Id> {
    let mut reached: BTreeSet<Id> = BTreeSet::new();
    let mut open = roots.to_vec();
    while let Some(class) = open.pop() {
        if reached.insert(class) {
            let nodes = graph[class].nodes.iter();
            open.extend(nodes.flat_map(|node| node.children()).map(|id| graph.find(*id)));
        }
    }
    reached.retain(|class| candidates(graph, chosen, *class).len() > 1);
    reached.into_iter().collect()
}

/// The nodes of a class whose operands can all be computed, the chosen one first and
/// each set of operands once: the e-graph may hold sums in several orders.
fn candidates<'a>(graph: &'a Graph, chosen: &'a Choice, class: Id) -> Vec<&'a Node> {
    let mut known = BTreeSet::new();
    let is_usable = |node: &&Node| {
        let mut operands = operands(graph, node);
        operands.sort_unstable();
        let can_be_had = operands.iter().all(|id| *id != class && chosen.contains_key(id));
        can_be_had && known.insert((node.discriminant(), operands))
    };
    chosen.get(&class).into_iter().chain(&graph[class].nodes).filter(is_usable).collect()
}

/// The operands that all of some nodes have.
fn read_anyway(graph: &Graph, nodes: &[&Node]) -> BTreeSet<Id> {
    let sets = nodes.iter().map(|node| operands(graph, node).into_iter().collect::<BTreeSet<Id>>());
    sets.reduce(|common, set| common.intersection(&set).copied().collect()).unwrap_or_default()
}

/// Part of an e-graph that chooses anew.
struct Region<'a> {
    graph: &'a Graph,
    prices: &'a Prices<'a>,
    /// Classes of the region that are needed whatever it chooses.
    entries: BTreeSet<Id>,
    /// Nodes to choose from, for each class that may be needed for the region alone; the
    /// first is the present choice.
    members: BTreeMap<Id, Vec<&'a Node>>,
    /// Decompositions that are paid outside the region.
    paid: BTreeSet<Id>,
}

/// Which node each needed class takes.
type Taken = BTreeMap<Id, usize>;

impl<'a> Region<'a> {
    /// The region of some classes; none when too much hangs on it.
    fn new(
        graph: &'a Graph,
        prices: &'a Prices<'a>,
        roots: &[Id],
        chosen: &'a Choice,
        free: &BTreeSet<Id>,
    ) -> Option<Region<'a>> {
        let (mut outside, mut entries, mut paid) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut open = roots.to_vec();
        while let Some(class) = open.pop() {
            if !free.contains(&class) {
                if outside.insert(class) {
                    let node = chosen.get(&class)?;
                    paid.extend(decomposed(graph, node));
                    open.extend(operands(graph, node));
                }
            } else if entries.insert(class) {
                open.extend(read_anyway(graph, &candidates(graph, chosen, class)));
            }
        }
        let mut members: BTreeMap<Id, Vec<&Node>> = BTreeMap::new();
        let mut open: Vec<Id> = entries.iter().copied().collect();
        let mut n_conditions = 0;
        while let Some(class) = open.pop() {
            if members.contains_key(&class) || outside.contains(&class) {
                continue;
            }
            let mut nodes = candidates(graph, chosen, class);
            nodes.truncate(if free.contains(&class) { usize::MAX } else { 1 });
            let needed = nodes.iter().flat_map(|node| operands(graph, node));
            open.extend(needed.filter(|id| !outside.contains(id)));
            n_conditions += nodes.iter().map(|node| 1 + node.children().len()).sum::<usize>();
            members.insert(class, nodes);
            if members.len() > MAX_MEMBERS || n_conditions > MAX_CONDITIONS {
                return None;
            }
        }
        Some(Region { graph, prices, entries, members, paid })
    }

    /// A cheaper choice without circles, if there is one that the bounds let find.
    fn solve(&self, chosen: &Choice, roots: &[Id]) -> Option<Choice> {
        let mut forbidden: Vec<Taken> = Vec::new();
        for _ in 0..MAX_TRIES {
            let taken = Program::of(self, &forbidden).solve(self)?;
            let mut better = chosen.clone();
            better.extend(taken.iter().map(|(class, &node)| (*class, self.members[class][node].clone())));
            let Err(circle) = ordered(self.graph, &better, roots) else { return Some(better) };
            forbidden.push(taken.into_iter().filter(|(class, _)| circle.contains(class)).collect());
        }
        None
    }

    /// What the nodes taken need of the region, from its entries on.
    fn needed(&self, take: impl Fn(Id) -> usize) -> Taken {
        let mut taken = Taken::new();
        let mut open: Vec<Id> = self.entries.iter().copied().collect();
        while let Some(class) = open.pop() {
            if let Some(nodes) = self.members.get(&class).filter(|_| !taken.contains_key(&class)) {
                taken.insert(class, take(class));
                open.extend(operands(self.graph, nodes[taken[&class]]));
            }
        }
        taken
    }

    /// The decomposition that a node needs and nothing outside pays.
    fn unpaid(&self, node: &Node) -> Option<Id> {
        decomposed(self.graph, node).filter(|class| !self.paid.contains(class))
    }

    fn largest_price(&self) -> u64 {
        let nodes =
            self.members.iter().flat_map(|(class, nodes)| nodes.iter().map(move |node| (*class, node)));
        let price = |(class, node): (Id, &&Node)| {
            let decomposition = self.unpaid(node).map_or(0, |class| self.prices.decomposition(class));
            self.prices.own(class, node).max(decomposition)
        };
        nodes.map(price).max().unwrap_or(1)
    }

    /// What a choice costs, picoseconds.
    fn price(&self, taken: &Taken) -> u64 {
        let nodes = || taken.iter().map(|(class, &node)| (*class, self.members[class][node]));
        let own: u64 = nodes().map(|(class, node)| self.prices.own(class, node)).sum();
        let decompositions: BTreeSet<Id> = nodes().filter_map(|(_, node)| self.unpaid(node)).collect();
        own + decompositions.into_iter().map(|class| self.prices.decomposition(class)).sum::<u64>()
    }
}

/// A region as an integer program; every variable is 0 or 1.
struct Program {
    problem: Problem,
    needed: BTreeMap<Id, Variable>,
    takes: BTreeMap<Id, Vec<Variable>>,
    decompositions: BTreeMap<Id, Variable>,
}

impl Program {
    /// The program of a region, without some ways that go in circles.
    fn of(region: &Region<'_>, forbidden: &[Taken]) -> Program {
        let mut program = Program::variables(region);
        for (class, nodes) in &region.members {
            let takes = program.takes[class].clone();
            program.at_least(&takes, program.needed[class]);
            for (node, take) in nodes.iter().zip(takes) {
                let operands: BTreeSet<Id> = operands(region.graph, node).into_iter().collect();
                let needed = operands.iter().filter_map(|operand| program.needed.get(operand));
                let decomposition = region.unpaid(node).map(|class| &program.decompositions[&class]);
                for required in needed.chain(decomposition).copied().collect::<Vec<_>>() {
                    program.at_least(&[required], take);
                }
            }
        }
        for way in forbidden {
            let nodes = way.iter().map(|(class, &node)| (program.takes[class][node], 1.0));
            let nodes: Vec<(Variable, f64)> = nodes.collect();
            program.problem.add_constraint(&nodes, ComparisonOp::Le, way.len() as f64 - 1.0);
        }
        program
    }

    /// Which classes are needed, which nodes are taken, which decompositions are paid.
    /// The largest price is 1: solvers compare with absolute tolerances.
    fn variables(region: &Region<'_>) -> Program {
        let unit = region.largest_price() as f64;
        let mut problem = Problem::new(OptimizationDirection::Minimize);
        let (mut needed, mut takes) = (BTreeMap::new(), BTreeMap::new());
        let mut decompositions = BTreeMap::new();
        for (&class, nodes) in &region.members {
            let least = if region.entries.contains(&class) { 1.0 } else { 0.0 };
            needed.insert(class, problem.add_var(0.0, (least, 1.0)));
            let own = nodes.iter().map(|node| region.prices.own(class, node) as f64 / unit);
            takes.insert(class, own.map(|price| problem.add_binary_var(price)).collect());
            for class in nodes.iter().filter_map(|node| region.unpaid(node)) {
                let price = region.prices.decomposition(class) as f64 / unit;
                decompositions.entry(class).or_insert_with(|| problem.add_var(price, (0.0, 1.0)));
            }
        }
        Program { problem, needed, takes, decompositions }
    }

    /// The sum of some variables is at least another one.
    fn at_least(&mut self, variables: &[Variable], other: Variable) {
        let terms = variables.iter().map(|variable| (*variable, 1.0)).chain([(other, -1.0)]);
        self.problem.add_constraint(terms.collect::<Vec<_>>(), ComparisonOp::Ge, 0.0);
    }

    /// A choice that costs less than the present one, if the solver finds one.
    fn solve(&self, region: &Region<'_>) -> Option<Taken> {
        let present = region.needed(|_| 0);
        let mut options = SolveOptions::default();
        options.node_limit = Some(MAX_TREE);
        options.warm_start = Some(self.assignment(region, &present));
        let solution = self.problem.solve_with(options).ok()?.into_solution().ok()?;
        let is_one = |variable: &Variable| solution.var_value(*variable) > 0.5;
        let found = region.needed(|class| self.takes[&class].iter().position(is_one).unwrap_or(0));
        (region.price(&found) < region.price(&present)).then_some(found)
    }

    /// A choice as values of all variables.
    fn assignment(&self, region: &Region<'_>, choice: &Taken) -> Vec<(Variable, f64)> {
        let nodes = choice.iter().map(|(class, &node)| region.members[class][node]);
        let paid: BTreeSet<Id> = nodes.filter_map(|node| region.unpaid(node)).collect();
        let value = |is_one: bool| f64::from(u8::from(is_one));
        let needed = self.needed.iter().map(|(class, v)| (*v, value(choice.contains_key(class))));
        let taken = self.takes.iter().flat_map(|(class, variables)| {
            let node = choice.get(class);
            variables.iter().enumerate().map(move |(at, v)| (*v, value(node == Some(&at))))
        });
        let paid = self.decompositions.iter().map(|(class, v)| (*v, value(paid.contains(class))));
        needed.chain(taken).chain(paid).collect()
    }
}
