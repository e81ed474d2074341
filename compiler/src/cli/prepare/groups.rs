//! Groups of weights and what they cost, from the compiler for the trainer.

use hecc::packing::WeightGroups;
use hecc_train::prune::{Group, Pricing};

/// The diagonals of a plan, priced by its cost model.
pub struct ByLatency(pub WeightGroups);

impl ByLatency {
    /// One group per diagonal.
    pub fn groups(&self) -> Vec<Group> {
        let group = |diagonal: &hecc::packing::Diagonal| Group {
            layer: diagonal.layer,
            weights: diagonal.weights.clone(),
        };
        self.0.diagonals.iter().map(group).collect()
    }
}

impl Pricing for ByLatency {
    fn cost(&self, is_left: &[bool]) -> f64 {
        self.0.price(is_left)
    }

    fn bundles(&self, is_left: &[bool]) -> Vec<Vec<usize>> {
        self.0.bundles(is_left)
    }
}
