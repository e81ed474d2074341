//! What other layouts would cost than those of a plan, for people who ask why.

use super::{Search, State, Unplaced};
use crate::packing::assign::Fold;
use crate::packing::placement::Placement;
use crate::sparsity::NodeId;

/// Layouts that were weighed for the value of one node.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The node.
    pub node: NodeId,
    /// The one of the plan and the cheapest others, in ascending cost of the whole network.
    pub candidates: Vec<Candidate>,
}

/// One layout for the value of a node.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where its elements sit.
    pub placement: Placement,
    /// What brings partial sums together there.
    pub fold: Fold,
    /// Estimated price of the node alone, with the layouts before it as planned.
    pub node: f64,
    /// Estimated price of the whole network when what follows is planned for this layout.
    pub network: f64,
    /// Whether the plan has it.
    pub is_chosen: bool,
}

/// Candidates of a node that are followed to the end.
const MAX_FOLLOWED: usize = 4;

impl Search<'_> {
    /// The candidates of every node whose layout was a choice.
    ///
    /// # Errors
    /// As [`Search::plan`].
    pub(in crate::packing) fn choices(&self) -> Result<Vec<Choice>, Unplaced> {
        let chosen = self.cheapest()?;
        let choices = self.network.ids().map(|node| self.choice(&chosen, node));
        Ok(choices.filter(|choice| choice.candidates.len() > 1).collect())
    }

    fn choice(&self, chosen: &State, node: NodeId) -> Choice {
        let mut states = self.expand(&chosen.before(node), node);
        states.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        let is_chosen = |state: &State| {
            state.placements[node.0] == chosen.placements[node.0] && state.fold(node) == chosen.fold(node)
        };
        let planned = states.iter().position(is_chosen).map(|index| states.remove(index));
        states.truncate(MAX_FOLLOWED);
        let others = states.into_iter().filter_map(|state| self.candidate(state, node, false));
        let planned = planned.and_then(|state| self.candidate(state, node, true));
        let mut candidates: Vec<Candidate> = planned.into_iter().chain(others).collect();
        candidates.sort_by(|a, b| a.network.total_cmp(&b.network));
        Choice { node, candidates }
    }

    /// A state after a node, followed to the end; nothing when a later node has no place.
    fn candidate(&self, state: State, node: NodeId, is_chosen: bool) -> Option<Candidate> {
        let (placement, fold) = ((*state.placements[node.0]).clone(), state.fold(node));
        let price = state.costs[node.0];
        let network = self.cheapest_after(state).ok()?.cost;
        Some(Candidate { placement, fold, node: price, network, is_chosen })
    }
}

impl State {
    /// What was decided before a node.
    fn before(&self, node: NodeId) -> State {
        let costs = self.costs[..node.0].to_vec();
        State {
            placements: self.placements[..node.0].to_vec(),
            choices: self.choices[..node.0].to_vec(),
            cost: costs.iter().sum(),
            costs,
        }
    }

    fn fold(&self, node: NodeId) -> Fold {
        self.choices[node.0].as_ref().map_or(Fold::NONE, |choice| choice.fold)
    }
}
