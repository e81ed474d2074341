//! Groups of weights and what they cost, from the compiler for the trainer.

use hecc::model::Model;
use hecc::packing::{Tally, WeightGroups};
use hecc::pipeline::{self, Options};
use hecc_ir::target::RingCost;
use hecc_train::prune::{Count, Group, Plan, Planner, Pricing};
use std::sync::Arc;

/// Plans models for one ring.
pub struct Packer<'a> {
    /// How to compile.
    pub options: &'a Options,
    /// The ring.
    pub ring: &'a RingCost,
    /// Whether groups cost their number of weights, not their time.
    pub by_count: bool,
}

impl Planner for Packer<'_> {
    fn plan(&self, model: &Model) -> Plan {
        let pipeline::Packed { network, plan, nominal } = pipeline::pack(model, self.options, self.ring);
        let packed = Arc::new(WeightGroups::of(model, &network, &plan, &nominal));
        let group = |diagonal: &hecc::packing::Diagonal| Group {
            layer: diagonal.layer,
            weights: diagonal.weights.clone(),
        };
        let groups: Vec<Group> = packed.diagonals.iter().map(group).collect();
        let pricing: Box<dyn Pricing> = match self.by_count {
            true => Box::new(Count::of(&groups)),
            false => Box::new(ByLatency { tally: packed.tally(), packed }),
        };
        Plan { groups, pricing }
    }

    fn cost_of(&self, model: &Model) -> Option<f64> {
        (!self.by_count).then(|| pipeline::packed_cost(model, self.options, self.ring))
    }
}

/// The diagonals of a plan, priced by its cost model.
struct ByLatency {
    packed: Arc<WeightGroups>,
    tally: Tally,
}

impl Pricing for ByLatency {
    fn cost(&self) -> f64 {
        self.tally.cost()
    }

    fn cost_without(&mut self, groups: &[usize]) -> f64 {
        self.tally.cost_without(groups)
    }

    fn remove(&mut self, group: usize) {
        self.tally.remove(group);
    }

    fn bundles(&self) -> Vec<Vec<usize>> {
        self.packed.bundles(self.tally.is_left())
    }
}
