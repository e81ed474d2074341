//! Groups of weights and what they cost, from the compiler for the trainer.

use hecc::model::Model;
use hecc::packing::{Diagonal, Tally, WeightGroups};
use hecc::pipeline::{self, Options, Packed};
use hecc_ir::target::RingCost;
use hecc_train::prune::{Group, Plan, Planner, Pricing};

/// Plans models for one ring.
pub struct Packer {
    /// How to compile, for one ring of the target.
    pub options: Options,
}

impl Packer {
    fn ring(&self) -> &RingCost {
        let ring = self.options.ring_degree.and_then(|degree| self.options.target.ring(degree));
        ring.expect("it was compiled for a ring of the target")
    }

    fn packed(&self, model: &Model) -> WeightGroups {
        let Packed { network, plan, nominal } =
            pipeline::pack(model, &self.options, self.ring()).expect("it is packed as it was compiled");
        WeightGroups::of(model, &network, &plan, &nominal)
    }

    /// The groups of a model's plan.
    pub fn groups(&self, model: &Model) -> Vec<Group> {
        groups(&self.packed(model))
    }
}

fn groups(packed: &WeightGroups) -> Vec<Group> {
    let group = |diagonal: &Diagonal| Group { layer: diagonal.layer, weights: diagonal.weights.clone() };
    packed.diagonals.iter().map(group).collect()
}

impl Planner for Packer {
    fn plan(&self, model: &Model) -> Plan {
        let packed = self.packed(model);
        Plan { groups: groups(&packed), pricing: Box::new(ByLatency { tally: packed.tally(), packed }) }
    }

    fn cost_of(&self, model: &Model) -> Option<f64> {
        Some(pipeline::packed_cost(model, &self.options, self.ring()))
    }
}

/// The diagonals of a plan, priced by its cost model.
struct ByLatency {
    packed: WeightGroups,
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
