//! Local search over turnings: moves are kept when they lower the price.

use super::tally::Tally;
use crate::rewrite::flow::{Edge, Flow, Turning};
use indexmap::IndexMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Search<'a> {
    flow: &'a Flow,
    tally: Tally<'a>,
    /// Nodes of one model layer, in the order of the layers.
    layers: Vec<Vec<usize>>,
    /// Length of the longest way to each node: nodes that stand side by side share it.
    rank: Vec<usize>,
    /// Edges that were linked again so far, moves taken back included.
    n_links: usize,
}

/// A change of the giant steps of one layer's products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// Giant steps at multiples of a unit.
    Even { unit: usize, offset: usize },
    /// One more giant step, for rotations that are as far from others.
    Reach { distance: usize },
}

/// Changes of one layer that are tried in full at one time.
const MAX_CHANGES: usize = 8;
/// Rounds over all moves, at most.
const MAX_ROUNDS: usize = 16;
/// Edges linked again, at most: no further move is tried after that.
const MAX_LINKS: usize = 1 << 23;
/// Cuts that all that comes behind is turned at.
const MAX_CUTS: usize = 256;
/// Angles tried for one set of nodes.
const MAX_ANGLES: usize = 512;
/// Rotations of one operand that a move is aimed at.
const MAX_AIMS: usize = 64;
/// Distances between rotations that are tried as giant steps in one go.
const MAX_DISTANCES: usize = 16;
/// Rotations of one operand whose distances are counted.
const MAX_ROTATIONS: usize = 512;
/// Distances tried as units of regular giant steps, besides powers of two.
const MAX_UNIT: usize = 24;

impl<'a> Search<'a> {
    pub fn new(flow: &'a Flow, tally: Tally<'a>) -> Search<'a> {
        Search { flow, tally, layers: layers(flow), rank: ranks(flow), n_links: 0 }
    }

    /// The best turning found.
    pub fn run(mut self) -> Turning {
        for _ in 0..MAX_ROUNDS {
            let before = self.tally.price;
            self.turn_sets();
            for layer in 0..self.layers.len() {
                self.split_layer(&self.products_of(layer));
                self.spare_giants(&self.layers[layer].clone());
            }
            (0..self.flow.nodes.len()).for_each(|node| self.spare_babies(node));
            if self.tally.price == before || self.is_spent() {
                break;
            }
        }
        self.tally.turning
    }

    /// True when no further move is to be tried.
    fn is_spent(&self) -> bool {
        self.n_links >= MAX_LINKS
    }

    fn n_slots(&self) -> usize {
        self.flow.n_slots
    }

    /// Turns layers, all that comes behind a cut, and single nodes.
    fn turn_sets(&mut self) {
        for layer in 0..self.layers.len() {
            self.turn_set(&self.layers[layer].clone());
        }
        let n_ranks = self.rank.iter().copied().max().unwrap_or(0);
        for cut in (1..=n_ranks).step_by(n_ranks.div_ceil(MAX_CUTS).max(1)) {
            let behind: Vec<usize> = (0..self.rank.len()).filter(|&node| self.rank[node] >= cut).collect();
            self.turn_set(&behind);
        }
        (0..self.flow.nodes.len()).for_each(|node| self.turn_set(&[node]));
    }

    /// Turns nodes by the angle that lowers the price most.
    fn turn_set(&mut self, nodes: &[usize]) {
        if self.is_spent() {
            return;
        }
        let edges = self.boundary(nodes);
        let mut best = (self.tally.price, 0);
        for angle in self.angles(nodes, &edges).into_iter().take(MAX_ANGLES) {
            if self.is_spent() {
                break;
            }
            self.turn_by(nodes, &edges, angle);
            best = best.min((self.tally.price, angle));
            self.turn_by(nodes, &edges, self.n_slots() - angle);
        }
        if best.1 != 0 {
            self.turn_by(nodes, &edges, best.1);
        }
    }

    fn turn_by(&mut self, nodes: &[usize], boundary: &[usize], angle: usize) {
        boundary.iter().for_each(|&edge| self.tally.unlink(edge));
        for &node in nodes {
            let turned = &mut self.tally.turning.angle[node];
            *turned = (*turned + angle) % self.flow.n_slots;
        }
        boundary.iter().for_each(|&edge| self.tally.link(edge));
        self.n_links += boundary.len();
    }

    /// Edges between a set of nodes and the rest.
    fn boundary(&self, nodes: &[usize]) -> Vec<usize> {
        let set: BTreeSet<usize> = nodes.iter().copied().collect();
        let touching = nodes.iter().flat_map(|&node| {
            let node = &self.flow.nodes[node];
            node.operands.iter().chain(&node.users).copied()
        });
        let is_in = |node: usize| set.contains(&node);
        let crosses = |edge: &usize| is_in(self.flow.edges[*edge].from) != is_in(self.flow.edges[*edge].to);
        touching.filter(crosses).collect::<BTreeSet<usize>>().into_iter().collect()
    }

    /// Angles that make a rotation on the boundary null; for a single node also
    /// those that make one equal to another of the same operand.
    fn angles(&self, nodes: &[usize], boundary: &[usize]) -> BTreeSet<usize> {
        let n = self.n_slots();
        let set: BTreeSet<usize> = nodes.iter().copied().collect();
        let mut angles = BTreeSet::new();
        for &edge in boundary {
            let (from, baby) = (self.flow.edges[edge].from, self.tally.baby(edge));
            if set.contains(&from) {
                angles.insert(baby);
                continue;
            }
            angles.insert((n - baby) % n);
            if nodes.len() == 1 {
                let others = self.tally.babies[from].keys().take(MAX_AIMS);
                angles.extend(others.map(|other| (other + n - baby) % n));
            }
        }
        angles.remove(&0);
        angles
    }

    fn products_of(&self, layer: usize) -> Vec<usize> {
        let operands = self.layers[layer].iter().flat_map(|&node| &self.flow.nodes[node].operands);
        operands.copied().filter(|&edge| self.flow.is_product(edge)).collect()
    }

    /// Tries regular giant steps for products, and irregular ones.
    fn split_layer(&mut self, products: &[usize]) {
        if products.len() < 2 {
            return;
        }
        let powers = (0..self.n_slots().trailing_zeros()).map(|bit| 1 << bit);
        let units: BTreeSet<usize> = (2..=MAX_UNIT).chain(powers).collect();
        let offsets = units.into_iter().flat_map(|unit| [0, unit / 2].map(|offset| (unit, offset)));
        let splits = offsets.map(|(unit, offset)| Change::Even { unit, offset }).collect();
        self.try_changes(products, splits);
        loop {
            let before = self.tally.price;
            let distances = self.distances(products).into_iter();
            self.try_changes(products, distances.map(|distance| Change::Reach { distance }).collect());
            if self.tally.price == before || self.is_spent() {
                return;
            }
        }
    }

    /// Makes the most promising changes one by one, each with what it allows to do
    /// without, and takes back those that do not lower the price.
    fn try_changes(&mut self, products: &[usize], changes: Vec<Change>) {
        if self.is_spent() {
            return;
        }
        let mut promising: Vec<_> = changes
            .into_iter()
            .map(|change| {
                let before = self.tally.clone();
                self.change(products, change);
                let price = std::mem::replace(&mut self.tally, before).price;
                (price, change)
            })
            .collect();
        promising.sort_unstable();
        for (_, change) in promising.into_iter().take(MAX_CHANGES) {
            let before = self.tally.clone();
            self.change(products, change);
            self.tidy(products);
            if self.tally.price >= before.price {
                self.tally = before;
            }
        }
    }

    fn change(&mut self, products: &[usize], change: Change) {
        self.n_links += products.len();
        match change {
            Change::Even { unit, offset } => self.split_evenly(products, unit, offset),
            Change::Reach { distance } => self.reach_by(products, distance),
        }
    }

    /// Does without rotations that others make up for, around these products.
    fn tidy(&mut self, products: &[usize]) {
        let ends = |end: fn(&Edge) -> usize| {
            products.iter().map(|&edge| end(&self.flow.edges[edge])).collect::<BTreeSet<usize>>()
        };
        let (sums, operands) = (ends(|edge| edge.to), ends(|edge| edge.from));
        self.spare_giants(&sums.into_iter().collect::<Vec<usize>>());
        operands.into_iter().for_each(|operand| self.spare_babies(operand));
    }

    /// Giant steps at multiples of `unit`.
    fn split_evenly(&mut self, products: &[usize], unit: usize, offset: usize) {
        let n = self.n_slots();
        for &edge in products {
            let centred = (self.whole(edge) + n / 2) % n;
            let giant = (centred + offset) / unit * unit;
            self.tally.set_giant(edge, (giant + n / 2) % n);
        }
    }

    /// By how much an edge rotates before and after its product.
    fn whole(&self, edge: usize) -> usize {
        (self.tally.baby(edge) + self.tally.turning.giant[edge]) % self.n_slots()
    }

    /// Distances between rotations of one operand, most frequent first.
    fn distances(&self, products: &[usize]) -> Vec<usize> {
        let n = self.n_slots();
        let operands: BTreeSet<usize> = products.iter().map(|&edge| self.flow.edges[edge].from).collect();
        let mut count: BTreeMap<usize, usize> = BTreeMap::new();
        for operand in operands {
            let babies: Vec<usize> = self.tally.babies[operand].keys().copied().take(MAX_ROTATIONS).collect();
            let pairs = babies.iter().flat_map(|&a| babies.iter().map(move |&b| (a + n - b) % n));
            pairs.filter(|&distance| distance != 0).for_each(|d| *count.entry(d).or_insert(0) += 1);
        }
        let mut ranked: Vec<(Reverse<usize>, usize)> =
            count.into_iter().map(|(d, c)| (Reverse(c), d)).collect();
        ranked.sort_unstable();
        ranked.into_iter().take(MAX_DISTANCES).map(|(_, distance)| distance).collect()
    }

    /// Vacates rotations that a giant step makes of others which stay.
    fn reach_by(&mut self, products: &[usize], distance: usize) {
        let n = self.n_slots();
        let mut readers: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for &edge in products {
            readers.entry((self.flow.edges[edge].from, self.tally.baby(edge))).or_default().push(edge);
        }
        let mut vacated = BTreeSet::new();
        for ((from, baby), edges) in readers {
            let base = (baby + n - distance) % n;
            let stays = !vacated.contains(&(from, base)) && self.tally.babies[from].contains_key(&base);
            let is_all = edges.len() == self.tally.babies[from][&baby] as usize;
            if baby == 0 || !stays || !is_all {
                continue;
            }
            for edge in edges {
                self.tally.set_giant(edge, (self.tally.turning.giant[edge] + distance) % n);
            }
            vacated.insert((from, baby));
        }
    }

    /// Tries to do without each giant step, in all of these sums and in each.
    fn spare_giants(&mut self, sums: &[usize]) {
        let giants = sums.iter().flat_map(|&sum| self.tally.giants[sum].keys().copied());
        for giant in giants.collect::<BTreeSet<usize>>().into_iter().filter(|&giant| giant != 0) {
            let behind = |search: &Search, sum: usize| search.edges_behind(sum, giant);
            self.spare(sums.iter().flat_map(|&sum| behind(self, sum)).collect());
            for &sum in sums {
                self.spare(behind(self, sum));
            }
        }
    }

    fn edges_behind(&self, sum: usize, giant: usize) -> Vec<usize> {
        let edges = self.flow.nodes[sum].operands.iter().copied();
        edges.filter(|&edge| self.tally.turning.giant[edge] == giant).collect()
    }

    /// Tries to do without each rotation of one node that products read.
    fn spare_babies(&mut self, node: usize) {
        let babies: Vec<usize> = self.tally.babies[node].keys().copied().filter(|&baby| baby != 0).collect();
        for baby in babies {
            let users = self.flow.nodes[node].users.iter().copied();
            let edges: Vec<usize> = users.filter(|&edge| self.tally.baby(edge) == baby).collect();
            if edges.iter().all(|&edge| self.flow.is_product(edge)) {
                self.spare(edges);
            }
        }
    }

    /// Gives each of these edges the giant step that costs least while none of
    /// them counts; takes it back unless the whole costs less.
    fn spare(&mut self, edges: Vec<usize>) {
        if self.is_spent() {
            return;
        }
        let before = self.tally.price;
        let giants: Vec<usize> = edges.iter().map(|&edge| self.tally.turning.giant[edge]).collect();
        edges.iter().for_each(|&edge| self.tally.unlink(edge));
        edges.iter().for_each(|&edge| self.link_cheapest(edge));
        if self.tally.price >= before {
            edges.iter().zip(giants).for_each(|(&edge, giant)| self.tally.set_giant(edge, giant));
        }
    }

    fn link_cheapest(&mut self, edge: usize) {
        let giants = self.giant_steps(edge);
        self.n_links += giants.len();
        let priced = giants.into_iter().map(|giant| {
            self.tally.turning.giant[edge] = giant;
            self.tally.link(edge);
            let price = self.tally.price;
            self.tally.unlink(edge);
            (price, giant)
        });
        self.tally.turning.giant[edge] = priced.min().expect("no giant step is always possible").1;
        self.tally.link(edge);
    }

    /// None, those that the sum has, and those that lead to a rotation that the
    /// operand is read at.
    fn giant_steps(&self, edge: usize) -> BTreeSet<usize> {
        let (Edge { from, to, .. }, n) = (self.flow.edges[edge], self.n_slots());
        let whole = self.whole(edge);
        let through = self.tally.babies[from].keys().take(MAX_AIMS).map(|baby| (whole + n - baby) % n);
        self.tally.giants[to].keys().copied().chain(through).chain([0]).collect()
    }
}

/// Nodes by model layer.
fn layers(flow: &Flow) -> Vec<Vec<usize>> {
    let mut by_source: IndexMap<_, Vec<usize>> = IndexMap::new();
    for (index, node) in flow.nodes.iter().enumerate() {
        by_source.entry(node.source).or_default().push(index);
    }
    by_source.into_values().collect()
}

/// The length of the longest way to each node.
fn ranks(flow: &Flow) -> Vec<usize> {
    let mut rank = vec![0; flow.nodes.len()];
    for (node, above) in flow.nodes.iter().enumerate() {
        let operands = above.operands.iter().map(|&edge| rank[flow.edges[edge].from] + 1);
        rank[node] = operands.max().unwrap_or(0);
    }
    rank
}
