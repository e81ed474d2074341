//! From a network to a plan for one ring: maps composed and tensors placed as the objective wants it.

use super::{Options, ports};
use crate::cost::{Nominal, Objective, Unit};
use crate::lower::lower;
use crate::model::Model;
use crate::packing::{self, Family, Packing, PackingPlan, Unplaced};
use crate::rewrite::{self, Footprint};
use crate::schedule::ParamsError;
use crate::sparsity::Network;
use hecc_ir::target::RingCost;
use std::borrow::Cow;

/// A model with maps composed and tensors placed, and the prices that decided it.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Linear maps and activations.
    pub network: Network,
    /// Placements and splits.
    pub plan: PackingPlan,
    /// What operations cost at each level.
    pub nominal: Nominal,
}

impl Packed {
    /// What the plan takes as it is, before any rewriting. `model` is the one it was made for.
    pub fn footprint(&self, model: &Model) -> Footprint {
        rewrite::footprint(&lower(&self.network, &self.plan, &ports(model)), &self.nominal)
    }
}

/// What is to be packed.
pub(super) struct Job<'a> {
    pub model: &'a Model,
    pub network: &'a Network,
    pub options: &'a Options,
    /// Whether neighbouring maps may be composed.
    pub composes: bool,
}

/// A network, composed as plans of one unit want it.
pub(super) type Composed<'a> = (Unit, Cow<'a, Network>);

impl<'a> Job<'a> {
    /// The networks to plan for: one for each unit in which the best plan may be found.
    pub fn networks(&self, ring: &RingCost, n_slots: usize) -> Vec<Composed<'a>> {
        let units: &[Unit] = match self.options.objective {
            // A single slot leaves nothing to choose.
            Some(Objective::Memory) if n_slots > 1 => &[Unit::Ns, Unit::Bytes],
            Some(Objective::Latency | Objective::Throughput | Objective::Balanced | Objective::Memory)
            | None => &[Unit::Ns],
        };
        units.iter().map(|&unit| (unit, self.network_in(unit, ring, n_slots))).collect()
    }

    /// The network with neighbouring maps composed where the ring makes that cheaper, if anywhere.
    fn network_in(&self, unit: Unit, ring: &RingCost, n_slots: usize) -> Cow<'a, Network> {
        let price = |network: &Network| self.price(network, unit, ring, n_slots);
        let carries = |depth| hopeless(depth, self.options, ring).is_none();
        let composed = match self.composes {
            true => packing::composed_by_price(self.network, price, carries),
            false => None,
        };
        composed.map_or(Cow::Borrowed(self.network), Cow::Owned)
    }

    /// What a network's plan is estimated to take; infinite when there is none.
    fn price(&self, network: &Network, unit: Unit, ring: &RingCost, n_slots: usize) -> f64 {
        let nominal = Nominal::new(ring, packing::depth(network)).in_unit(unit);
        self.options.packing.price(network, n_slots, &nominal).unwrap_or(f64::INFINITY)
    }

    /// What the fastest plan is estimated to take, nanoseconds on one thread; infinite when there is
    /// none, or the ring is far too small.
    pub fn run_ns(&self, ring: &RingCost, n_slots: usize) -> f64 {
        let network = self.network_in(Unit::Ns, ring, n_slots);
        match hopeless(packing::depth(&network), self.options, ring) {
            Some(_) => f64::INFINITY,
            None => self.price(&network, Unit::Ns, ring, n_slots),
        }
    }

    /// The plan for one of [`Job::networks`] that the objective likes best.
    ///
    /// # Errors
    /// When the family of layouts asked for has no place for a layer.
    pub fn plan(&self, networks: &[Composed], ring: &RingCost, n_slots: usize) -> Result<Packed, Unplaced> {
        let asked = self.options.packing;
        let (fastest, others) = networks.split_first().expect("there is a unit to price in");
        let fastest = pack(asked, fastest, ring, n_slots)?;
        if others.is_empty() {
            return Ok(fastest);
        }
        // Prices in bytes add up what layers share, and only whole plans tell what they hold.
        let families = match asked {
            Packing::Searched => &Family::ALL[..],
            Packing::Only(_)
            | Packing::Batch
            | Packing::Naive
            | Packing::ZeroSkipping
            | Packing::SharedSteps => &[],
        };
        let kinds = || std::iter::once(asked).chain(families.iter().copied().map(Packing::Only));
        let others = others.iter().flat_map(|network| kinds().map(move |packing| (packing, network)));
        let packed = others.filter_map(|(packing, network)| pack(packing, network, ring, n_slots).ok());
        let weighed = |packed: Packed| (packed.footprint(self.model).bytes, packed);
        let less =
            |best: (usize, Packed), other: (usize, Packed)| if other.0 < best.0 { other } else { best };
        Ok(packed.map(weighed).fold(weighed(fastest), less).1)
    }
}

fn pack(
    packing: Packing,
    (unit, network): &Composed,
    ring: &RingCost,
    n_slots: usize,
) -> Result<Packed, Unplaced> {
    let nominal = Nominal::new(ring, packing::depth(network)).in_unit(*unit);
    let plan = packing.plan(network, n_slots, &nominal)?;
    Ok(Packed { network: network.clone().into_owned(), plan, nominal })
}

/// Bits a rescale takes at the very least; saves planning for rings that are
/// far too small.
const MIN_RESCALE_BITS: u32 = 20;

/// Why a ring has no room for so many levels, if it clearly has none.
pub(super) fn hopeless(depth: usize, options: &Options, ring: &RingCost) -> Option<ParamsError> {
    let max_log_qp = options.security.max_log_qp(ring.ring_degree);
    let needed = (depth as u32 + 1) * MIN_RESCALE_BITS;
    (needed > max_log_qp).then_some(ParamsError::TooDeep { depth: depth as u32, max_log_qp })
}
