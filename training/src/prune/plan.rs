//! Groups of weights and what they cost, from whoever knows.

use super::Group;
use hecc_model::Model;

/// What groups cost, and which of them are left.
pub trait Pricing {
    /// Cost of a network with the groups that are left, in any unit.
    fn cost(&self) -> f64;

    /// The same without some more groups.
    fn cost_without(&mut self, groups: &[usize]) -> f64;

    /// A group is gone.
    fn remove(&mut self, group: usize);

    /// Sets of groups that may be worth more together than one by one, of those that
    /// are left.
    fn bundles(&self) -> Vec<Vec<usize>>;
}

/// How a model is computed.
pub struct Plan {
    /// Weights that are worth removing together; groups may overlap.
    pub groups: Vec<Group>,
    /// What they cost; all are left.
    pub pricing: Box<dyn Pricing>,
}

/// Who plans how models are computed.
pub trait Planner {
    /// A plan for a model, whose weights may be zero already.
    fn plan(&self, model: &Model) -> Plan;

    /// What a model with fewer channels would cost, in the unit of [`Pricing::cost`];
    /// nothing where channels are to stay, whatever their weights are.
    fn cost_of(&self, model: &Model) -> Option<f64>;
}

/// The same groups for as long as it takes, each costing as many as it has weights.
#[derive(Clone, Debug)]
pub struct ByCount(pub Vec<Group>);

impl Planner for ByCount {
    fn plan(&self, _model: &Model) -> Plan {
        Plan { groups: self.0.clone(), pricing: Box::new(Count::of(&self.0)) }
    }

    fn cost_of(&self, _model: &Model) -> Option<f64> {
        None
    }
}

/// Every group costs as many as it has weights.
#[derive(Clone, Debug)]
pub struct Count {
    sizes: Vec<usize>,
    is_left: Vec<bool>,
    cost: usize,
}

impl Count {
    /// For some groups.
    pub fn of(groups: &[Group]) -> Count {
        let sizes: Vec<usize> = groups.iter().map(|group| group.weights.len()).collect();
        Count { is_left: vec![true; sizes.len()], cost: sizes.iter().sum(), sizes }
    }
}

impl Pricing for Count {
    fn cost(&self) -> f64 {
        self.cost as f64
    }

    fn cost_without(&mut self, groups: &[usize]) -> f64 {
        let gone = groups.iter().filter(|&&group| self.is_left[group]).map(|&group| self.sizes[group]);
        (self.cost - gone.sum::<usize>()) as f64
    }

    fn remove(&mut self, group: usize) {
        if std::mem::replace(&mut self.is_left[group], false) {
            self.cost -= self.sizes[group];
        }
    }

    fn bundles(&self) -> Vec<Vec<usize>> {
        singles(&self.is_left)
    }
}

/// Each group that is left by itself.
pub fn singles(is_left: &[bool]) -> Vec<Vec<usize>> {
    (0..is_left.len()).filter(|&group| is_left[group]).map(|group| vec![group]).collect()
}
