//! Chooses a placement for every node and a split for every map, by beam
//! search over the counted cost of the whole network.

mod choice;

use super::Packing;
use super::assign::{DiagonalKey, Diagonals, Fold, assign, diagonal_keys};
use super::candidates;
use super::placement::{Family, Placement};
use super::prefold::{self, Prefold};
use super::split::{Counts, Price, Seen, Split};
use crate::cost::{Nominal, Unit};
use crate::sparsity::{Activation, Factor, Linear, Matrix, Network, NodeId, NodeKind, Pool, Term};
use hecc_ir::layout::{Layout, Shape};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// A packed network, ready to be lowered.
#[derive(Clone, Debug)]
pub struct PackingPlan {
    /// Placement of each node's value.
    pub placements: Vec<Placement>,
    /// Plan of each linear node; `None` for inputs and activations.
    pub linear: Vec<Option<LinearPlan>>,
    /// Estimated time, nanoseconds on one thread.
    pub cost_ns: f64,
    /// How it was found.
    pub packing: Packing,
    /// What it was made small in.
    pub unit: Unit,
}

/// How one linear node is computed.
#[derive(Clone, Debug)]
pub struct LinearPlan {
    /// One per term of the node.
    pub terms: Vec<TermPlan>,
    /// Brings the partial sums of all terms together.
    pub fold: Fold,
}

/// How one term of a linear node is computed.
#[derive(Clone, Debug)]
pub enum TermPlan {
    /// The operand's ciphertexts as they are.
    Direct,
    /// A sparse map.
    Map {
        /// What is done to the operand first, without products.
        prefold: Option<Prefold>,
        /// Products by diagonal, before the fold.
        diagonals: Diagonals,
        /// Baby and giant steps.
        split: Split,
    },
}

/// Partial plans kept while searching, and among tiles, of which there are more shapes.
const BEAM_WIDTH: usize = 8;
const TILES_BEAM_WIDTH: usize = 16;

pub use choice::{Candidate, Choice};

/// Why a network cannot be packed as it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// The layer whose value has no place.
    pub layer: String,
    /// What was asked for.
    pub family: Family,
    /// Slots that a plane takes, when an input has fewer.
    pub needs_slots: Option<usize>,
    /// Slots that each input has.
    pub n_slots: usize,
    /// Inputs that share a ciphertext.
    pub n_inputs: usize,
}

/// Levels needed from each node's value to the output.
pub(super) fn remaining_levels(network: &Network) -> Vec<usize> {
    let mut remaining = vec![0; network.nodes.len()];
    for id in network.ids().collect::<Vec<_>>().into_iter().rev() {
        let here = remaining[id.0];
        match &network.node(id).kind {
            NodeKind::Input => {}
            NodeKind::Linear(linear) => linear.terms.iter().for_each(|term| {
                remaining[term.operand.0] = remaining[term.operand.0].max(here + 1);
            }),
            NodeKind::Activation(activation) => {
                let operand = activation.operand.0;
                remaining[operand] = remaining[operand].max(here + activation.depth());
            }
        }
    }
    remaining
}

/// Levels a network needs from input to output.
pub(crate) fn depth(network: &Network) -> usize {
    remaining_levels(network).into_iter().max().unwrap_or(0)
}

#[derive(Clone, Debug, Default)]
struct State {
    placements: Vec<Arc<Placement>>,
    choices: Vec<Option<Arc<Realisation>>>,
    /// Of each node, and of all.
    costs: Vec<f64>,
    cost: f64,
}

/// What realising a linear node needs.
#[derive(Debug)]
struct Realisation {
    fold: Fold,
    terms: Vec<Option<(Route, Split)>>,
}

/// What can become of a node.
#[derive(Debug)]
struct Step {
    placement: Arc<Placement>,
    choice: Option<Arc<Realisation>>,
    cost: f64,
}

/// Steps of a node by the placements of its operands. Searches that start after different layouts
/// meet the same ones behind them.
type Met = Mutex<Vec<(Vec<Arc<Placement>>, Arc<[Step]>)>>;

/// A way to compute a chain of factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// All factors as one map.
    Composed,
    /// The leading pool by rotations, the rest as one map.
    PoolFirst,
    /// Copies of the operand by so many rotations, then all factors as one map.
    Copied(usize),
}

/// A term on one route: the operand as the map sees it, and the map.
struct Leg {
    route: Route,
    operand: Placement,
    factor: Arc<Factor>,
    prefold: Option<Prefold>,
    /// Of use to results that repeat every so many slots alone.
    window: Option<usize>,
}

impl Leg {
    fn serves(&self, fold: Fold, n_slots: usize) -> bool {
        self.window.is_none_or(|window| fold.stride == window && fold.is_cyclic(n_slots))
    }
}

pub(super) struct Search<'a> {
    network: &'a Network,
    n_slots: usize,
    nominal: &'a Nominal,
    family: Option<Family>,
    remaining: Vec<usize>,
    /// Of each node, of each term.
    routes: Vec<Vec<Routes>>,
    /// Of each node.
    met: Vec<Met>,
}

/// The maps of one term, by route.
struct Routes {
    composed: Arc<Factor>,
    pool_first: Option<(Pool, Arc<Factor>)>,
}

fn routes_of(network: &Network, kind: &NodeKind) -> Vec<Routes> {
    let NodeKind::Linear(linear) = kind else { return Vec::new() };
    let routes = |term: &Term| Routes {
        composed: Arc::new(composed(network, term)),
        pool_first: match &term.factors[..] {
            [Factor { pool: Some(pool), .. }, rest] => Some((*pool, Arc::new(after_window_sum(rest, pool)))),
            _ => None,
        },
    };
    linear.terms.iter().map(routes).collect()
}

pub(super) fn composed(network: &Network, term: &Term) -> Factor {
    let node = network.node(term.operand);
    let identity = || Factor {
        matrix: Matrix::identity(node.shape.n_elements()),
        shape: node.shape.clone(),
        stride: Some([1, 1]),
        pool: None,
    };
    term.factors.iter().cloned().reduce(crate::sparsity::compose).unwrap_or_else(identity)
}

impl<'a> Search<'a> {
    /// A search among the layouts of one family, or of all.
    pub(super) fn new(
        network: &'a Network,
        n_slots: usize,
        nominal: &'a Nominal,
        family: Option<Family>,
    ) -> Search<'a> {
        let routes = network.nodes.iter().map(|node| routes_of(network, &node.kind)).collect();
        let met = network.ids().map(|_| Met::default()).collect();
        Search { network, n_slots, nominal, family, remaining: remaining_levels(network), routes, met }
    }

    /// The cheapest plan.
    ///
    /// # Errors
    /// When the family asked for has no place for a layer.
    pub(super) fn plan(&self) -> Result<PackingPlan, Unplaced> {
        Ok(self.realise(self.cheapest()?))
    }

    /// Estimated price of the cheapest plan.
    ///
    /// # Errors
    /// As [`Search::plan`].
    pub(super) fn price(&self) -> Result<f64, Unplaced> {
        Ok(self.cheapest()?.cost)
    }

    fn cheapest(&self) -> Result<State, Unplaced> {
        self.cheapest_after(State::default())
    }

    /// The cheapest way to go on from what was decided for the first nodes.
    fn cheapest_after(&self, state: State) -> Result<State, Unplaced> {
        let n_decided = state.placements.len();
        let width = if self.family == Some(Family::Tiles) { TILES_BEAM_WIDTH } else { BEAM_WIDTH };
        let mut beam = vec![state];
        for id in self.network.ids().skip(n_decided) {
            let mut next: Vec<State> =
                beam.par_iter().flat_map_iter(|state| self.expand(state, id)).collect();
            next.sort_by(|a, b| a.cost.total_cmp(&b.cost));
            beam = Vec::new();
            for state in next {
                if beam.len() < width && !beam.iter().any(|kept| self.same_frontier(kept, &state, id)) {
                    beam.push(state);
                }
            }
            if beam.is_empty() {
                return Err(self.unplaced(id));
            }
        }
        Ok(beam.swap_remove(0))
    }

    /// Says why no layout of the family asked for holds a node.
    fn unplaced(&self, id: NodeId) -> Unplaced {
        let node = self.network.node(id);
        let family = self.family.expect("without a family there is a place for everything");
        // Tiles are as small as they have to be.
        let plane = self.image_base().map(candidates::whole_plane).filter(|_| family != Family::Tiles);
        Unplaced {
            layer: node.name.clone(),
            family,
            needs_slots: plane.filter(|&plane| plane > self.n_slots),
            n_slots: self.n_slots,
            n_inputs: self.nominal.params().ring_degree / 2 / self.n_slots,
        }
    }

    fn expand(&self, state: &State, id: NodeId) -> Vec<State> {
        self.steps(state, id).iter().map(|step| state.with(step)).collect()
    }

    fn steps(&self, state: &State, id: NodeId) -> Arc<[Step]> {
        let operands = self.network.node(id).kind.operands();
        let operands: Vec<_> = operands.map(|operand| Arc::clone(&state.placements[operand.0])).collect();
        let met = || self.met[id.0].lock().expect("nothing panics while it holds steps");
        if let Some((_, steps)) = met().iter().find(|(known, _)| *known == operands) {
            return Arc::clone(steps);
        }
        let mut steps = self.new_steps(state, id);
        let mut met = met();
        // Placements are large, and the same again and again.
        let known = met.iter().flat_map(|(_, steps)| steps.iter()).map(|step| &step.placement);
        let known: Vec<Arc<Placement>> = known.cloned().collect();
        for step in &mut steps {
            if let Some(same) = known.iter().find(|known| ***known == *step.placement) {
                step.placement = Arc::clone(same);
            }
        }
        let steps: Arc<[Step]> = steps.into();
        met.push((operands, Arc::clone(&steps)));
        steps
    }

    fn new_steps(&self, state: &State, id: NodeId) -> Vec<Step> {
        let shape = &self.network.node(id).shape;
        match &self.network.node(id).kind {
            NodeKind::Input => {
                let first_rows = self.first_dense_rows(id);
                let found =
                    candidates::inputs(shape, self.image_base(), first_rows, self.family, self.n_slots);
                found.into_iter().map(|placement| Step::new(placement, None, 0.0)).collect()
            }
            NodeKind::Activation(activation) => {
                let mut placement = state.placements[activation.operand.0].reshaped(shape);
                // A shift is added to empty slots too.
                placement.layout.dirty |= activation.shift != 0.0;
                let cost = match self.nominal.unit() {
                    Unit::Ns => self.activation_ns(id, activation) * placement.layout.n_cts as f64,
                    // As many ciphertexts as its operand, and one key for all.
                    Unit::Bytes => 0.0,
                };
                vec![Step::new(placement, None, cost)]
            }
            NodeKind::Linear(linear) => self.linear_steps(state, id, linear),
        }
    }

    fn linear_steps(&self, state: &State, id: NodeId, linear: &Linear) -> Vec<Step> {
        let shape = &self.network.node(id).shape;
        if let Some(placement) = direct(state, linear) {
            let choice = Realisation { fold: Fold::NONE, terms: linear.terms.iter().map(|_| None).collect() };
            return vec![Step::new(placement.reshaped(shape), Some(choice), 0.0)];
        }
        let price = Price::of_unit(self.nominal, self.nominal.level(self.remaining[id.0] + 1), self.n_slots);
        let routes = linear.terms.iter().zip(&self.routes[id.0]);
        let legs: Vec<Vec<Leg>> =
            routes.map(|(t, routes)| self.legs(state, t.operand, routes, shape)).collect();
        let main = main_term(linear);
        let results = |leg: &Leg| {
            candidates::results(&leg.operand, shape, leg.factor.stride, self.family, self.n_slots)
        };
        let mut found: Vec<(Placement, Fold)> = Vec::new();
        // Copies are for results that other legs offer too.
        for result in legs[main].iter().filter(|leg| leg.window.is_none()).flat_map(results) {
            if !found.contains(&result) {
                found.push(result);
            }
        }
        let expand = |seen: &mut Seen, (placement, fold): (Placement, Fold)| {
            let priced: Vec<_> =
                legs.iter().map(|legs| self.price_term(legs, &placement, fold, &price, seen)).collect();
            let n_cts = placement.layout.n_cts;
            let cost = priced.iter().map(|p| p.1).sum::<f64>() + price.finish(fold.steps().count(), n_cts);
            let terms = priced.into_iter().map(|p| Some(p.0)).collect();
            Step::new(placement, Some(Realisation { fold, terms }), cost)
        };
        found.into_par_iter().map_init(Seen::default, expand).collect()
    }

    /// Time of an activation of one ciphertext: its squarings.
    fn activation_ns(&self, id: NodeId, activation: &Activation) -> f64 {
        let ops = self.nominal.ops();
        let levels = 1..=activation.depth();
        levels.map(|above| self.nominal.level(self.remaining[id.0] + above)).map(|l| ops.square(l)).sum()
    }

    /// The cheapest leg of one term for a given result.
    fn price_term(
        &self,
        legs: &[Leg],
        result: &Placement,
        fold: Fold,
        price: &Price,
        seen: &mut Seen,
    ) -> ((Route, Split), f64) {
        if self.n_slots == 1 {
            // Every entry is a product of its own, and nothing is rotated.
            let products = legs[0].factor.matrix.n_nonzeros();
            let split = Split { unit: 1, offset: 0 };
            return ((Route::Composed, split), price.of(Counts { products, ..Counts::default() }));
        }
        let legs = legs.iter().filter(|leg| leg.serves(fold, self.n_slots));
        let priced = legs.map(|leg| {
            let operand = &leg.operand;
            let keys = diagonal_keys(&leg.factor.matrix, &operand.layout, &result.layout, fold);
            let (split, cost) = Split::cheapest(&keys, &hints(operand, fold), self.n_slots, price, seen);
            let before = |prefold: &Prefold| price.prefold(prefold, operand.layout.n_cts);
            ((leg.route, split), cost + leg.prefold.as_ref().map_or(0.0, before))
        });
        priced.min_by(|a, b| a.1.total_cmp(&b.1)).expect("a term has a leg")
    }

    /// The ways to compute a term of a node.
    fn legs(&self, state: &State, operand: NodeId, routes: &Routes, shape: &Shape) -> Vec<Leg> {
        let placement = &*state.placements[operand.0];
        let leg = |route, (operand, prefold), factor: &Arc<Factor>, window| Leg {
            route,
            operand,
            factor: Arc::clone(factor),
            prefold,
            window,
        };
        let mut legs = vec![leg(Route::Composed, (placement.clone(), None), &routes.composed, None)];
        if let Some((pool, rest)) = &routes.pool_first
            && let Some((pooled, prefold)) =
                prefold::windows(placement, &self.network.node(operand).shape.0, pool)
        {
            legs.push(leg(Route::PoolFirst, (pooled, Some(prefold)), rest, None));
        }
        let window = shape.n_elements().next_power_of_two();
        if window < self.n_slots && (placement.grid.is_none() || routes.composed.stride.is_none()) {
            for (copied, prefold) in prefold::copies(placement, window) {
                let route = Route::Copied(prefold.n_rotations());
                legs.push(leg(route, (copied, Some(prefold)), &routes.composed, Some(window)));
            }
        }
        legs
    }

    /// Rows of the first map that reads the input, when it is not an image map.
    fn first_dense_rows(&self, input: NodeId) -> Option<usize> {
        let reads = |linear: &Linear| linear.terms.iter().any(|t| t.operand == input);
        self.network.nodes.iter().find_map(|node| match &node.kind {
            NodeKind::Linear(linear) if reads(linear) => {
                let factors = &linear.terms[main_term(linear)].factors;
                let is_image = factors.iter().all(|f| f.stride.is_some());
                (!is_image).then(|| node.shape.n_elements())
            }
            _ => None,
        })
    }

    /// Rows and columns a plane must have so that every image derived from the
    /// input by strided maps fits its grid.
    fn image_base(&self) -> Option<[usize; 2]> {
        let mut base: Option<[usize; 2]> = None;
        let mut strides: Vec<Option<[usize; 2]>> = Vec::new();
        for node in &self.network.nodes {
            let stride = match &node.kind {
                NodeKind::Input => Some([1, 1]),
                NodeKind::Activation(activation) => strides[activation.operand.0],
                NodeKind::Linear(linear) => {
                    let term = &linear.terms[main_term(linear)];
                    let steps = term.factors.iter().map(|f| f.stride);
                    steps.fold(strides[term.operand.0], |s, f| Some([s?[0] * f?[0], s?[1] * f?[1]]))
                }
            };
            if let (Some([sy, sx]), &[_, h, w]) = (stride, node.shape.0.as_slice()) {
                let so_far = base.unwrap_or([0, 0]);
                base = Some([so_far[0].max(h * sy), so_far[1].max(w * sx)]);
            }
            strides.push(stride);
        }
        base
    }

    /// True when two states agree on every placement that a later node reads.
    fn same_frontier(&self, a: &State, b: &State, after: NodeId) -> bool {
        let later = &self.network.nodes[after.0 + 1..];
        let read = |id: usize| later.iter().any(|node| node.kind.operands().any(|operand| operand.0 == id));
        (0..=after.0).filter(|&id| read(id)).all(|id| a.placements[id] == b.placements[id])
    }

    /// Assigns every product of the chosen plan.
    fn realise(&self, state: State) -> PackingPlan {
        let linear = self.network.ids().map(|id| {
            let choice = state.choices[id.0].as_ref()?;
            let NodeKind::Linear(linear) = &self.network.node(id).kind else { return None };
            let chosen = linear.terms.iter().zip(&choice.terms).zip(&self.routes[id.0]);
            let terms = chosen.map(|((term, chosen), routes)| match chosen {
                None => TermPlan::Direct,
                Some((route, split)) => {
                    let legs = self.legs(&state, term.operand, routes, &self.network.node(id).shape);
                    let leg = legs.into_iter().find(|leg| leg.route == *route).expect("the leg was priced");
                    let (matrix, result) = (&leg.factor.matrix, &state.placements[id.0].layout);
                    let diagonals = assign(matrix, term.scale, &leg.operand.layout, result, choice.fold);
                    TermPlan::Map { prefold: leg.prefold, diagonals, split: *split }
                }
            });
            Some(LinearPlan { terms: terms.collect(), fold: choice.fold })
        });
        let linear: Vec<Option<LinearPlan>> = linear.collect();
        let unit = self.nominal.unit();
        let cost_ns = match unit {
            Unit::Ns => state.cost,
            Unit::Bytes => self.network.ids().map(|id| self.node_ns(&state, &linear, id)).sum(),
        };
        let placements = state.placements.iter().map(|p| (**p).clone()).collect();
        let packing = self.family.map_or(Packing::Searched, Packing::Only);
        PackingPlan { placements, linear, cost_ns, packing, unit }
    }

    /// Time of one node as it was planned.
    fn node_ns(&self, state: &State, planned: &[Option<LinearPlan>], id: NodeId) -> f64 {
        let n_cts = |id: NodeId| state.placements[id.0].layout.n_cts;
        let (linear, plan) = match (&self.network.node(id).kind, &planned[id.0]) {
            (NodeKind::Activation(activation), _) => {
                return self.activation_ns(id, activation) * n_cts(id) as f64;
            }
            (NodeKind::Linear(linear), Some(plan)) => (linear, plan),
            (NodeKind::Input | NodeKind::Linear(_), _) => return 0.0,
        };
        let level = self.nominal.level(self.remaining[id.0] + 1);
        let price = Price::at(&self.nominal.ops(), level, self.n_slots);
        let maps = linear.terms.iter().zip(&plan.terms).filter_map(|(term, planned)| match planned {
            TermPlan::Direct => None,
            TermPlan::Map { prefold, diagonals, split } => {
                let keys: Vec<DiagonalKey> = diagonals.keys().copied().collect();
                let before = prefold.as_ref().map_or(0.0, |p| price.prefold(p, n_cts(term.operand)));
                Some(before + price.map_alone(&keys, *split, self.n_slots))
            }
        });
        let maps: Vec<f64> = maps.collect();
        if maps.is_empty() {
            0.0
        } else {
            maps.iter().sum::<f64>() + price.finish(plan.fold.steps().count(), n_cts(id))
        }
    }
}

impl PackingPlan {
    /// Rotations and plaintext products of its linear maps, before any rewriting.
    pub fn counts(&self) -> (usize, usize) {
        let linear = self.linear.iter().zip(&self.placements);
        let counts = linear.filter_map(|(plan, placement)| Some((plan.as_ref()?, placement.layout.n_cts)));
        counts.fold((0, 0), |(rotations, products), (plan, n_cts)| {
            let folds = plan.fold.steps().count() * n_cts;
            let terms = plan.terms.iter().map(TermPlan::counts);
            terms.fold((rotations + folds, products), |sum, term| (sum.0 + term.0, sum.1 + term.1))
        })
    }
}

impl TermPlan {
    fn counts(&self) -> (usize, usize) {
        let TermPlan::Map { prefold, diagonals, split } = self else { return (0, 0) };
        let distinct = |steps: &mut dyn Iterator<Item = (u32, i64)>| {
            steps.filter(|(_, step)| *step != 0).collect::<BTreeSet<_>>().len()
        };
        let babies = distinct(&mut diagonals.keys().map(|key| (key.1, split.baby(key.2))));
        let giants = distinct(&mut diagonals.keys().map(|key| (key.0, split.giant(key.2))));
        let n_operands = diagonals.keys().map(|key| key.1).collect::<BTreeSet<_>>().len();
        let before = prefold.as_ref().map_or(0, Prefold::n_rotations) * n_operands;
        (babies + giants + before, diagonals.len())
    }
}

impl Step {
    fn new(placement: Placement, choice: Option<Realisation>, cost: f64) -> Step {
        Step { placement: Arc::new(placement), choice: choice.map(Arc::new), cost }
    }
}

impl State {
    fn with(&self, step: &Step) -> State {
        let mut next = self.clone();
        next.placements.push(Arc::clone(&step.placement));
        next.choices.push(step.choice.clone());
        next.costs.push(step.cost);
        next.cost += step.cost;
        next
    }
}

/// The operand's placement and the map of a term as a plan computes it.
pub(super) fn planned_leg(
    network: &Network,
    placements: &[Placement],
    term: &Term,
    prefold: Option<&Prefold>,
) -> (Placement, Factor) {
    let placement = &placements[term.operand.0];
    let shape = &network.node(term.operand).shape.0;
    match (prefold, &term.factors[..]) {
        (Some(Prefold::Windows { .. }), [Factor { pool: Some(pool), .. }, rest]) => {
            let (pooled, _) = prefold::windows(placement, shape, pool).expect("the leg was planned");
            (pooled, rest.clone())
        }
        (Some(Prefold::Copies { steps }), _) => {
            (prefold::with_copies(placement, steps), composed(network, term))
        }
        (Some(Prefold::Windows { .. }) | None, _) => (placement.clone(), composed(network, term)),
    }
}

/// The result's placement when no term needs a product.
fn direct(state: &State, linear: &Linear) -> Option<Placement> {
    let first = &state.placements[linear.terms[0].operand.0];
    let same = |operand: NodeId| state.placements[operand.0].layout.home == first.layout.home;
    let plain = linear.terms.iter().all(|t| t.factors.is_empty() && same(t.operand));
    plain.then(|| {
        let mut placement = (**first).clone();
        let shared = |replica: &u32| {
            linear.terms.iter().all(|t| state.placements[t.operand.0].layout.replicas.contains(replica))
        };
        placement.layout.replicas.retain(shared);
        let n_kept = placement.layout.replicas.len();
        // Replicas that some operands lack hold what is no sum.
        let fills_others = |layout: &Layout| layout.dirty || layout.replicas.len() > n_kept;
        placement.layout.dirty =
            linear.terms.iter().any(|t| fills_others(&state.placements[t.operand.0].layout));
        placement
    })
}

/// The term with most products decides the result's placement.
fn main_term(linear: &Linear) -> usize {
    let n_products =
        |i: &usize| linear.terms[*i].factors.iter().map(|f| f.matrix.n_nonzeros()).sum::<usize>();
    (0..linear.terms.len()).max_by_key(n_products).expect("a linear node has terms")
}

/// The map after a pool, taking window sums instead of means.
fn after_window_sum(rest: &Factor, pool: &Pool) -> Factor {
    let mean = 1.0 / (pool.kernel[0] * pool.kernel[1]) as f64;
    Factor { matrix: rest.matrix.scaled(mean), ..rest.clone() }
}

/// Distances that suggest themselves as giant steps.
fn hints(operand: &Placement, fold: Fold) -> Vec<usize> {
    let mut hints = vec![fold.stride];
    if let Some(grid) = operand.grid {
        let [row, col] = grid.pitch();
        hints.extend([grid.base[1], row, 2 * row, col, grid.block, 2 * grid.block]);
    }
    hints
}
