//! How many inputs share a run, and on which ring.
//!
//! Where it is asked how long one run takes, the caller says how many inputs it has. Where it is
//! asked how long many inputs take, the more share a run the fewer runs there are and the
//! longer each: every number is priced, and the best is taken.

use super::Options;
use super::pack::Job;
use crate::cost::Objective;
use crate::packing::Packing;
use crate::sparsity::Network;
use hecc_ir::target::RingCost;

/// A ring whose slots some inputs share, and what the inputs asked for are estimated to take there.
pub(super) struct Way<'a> {
    pub ring: &'a RingCost,
    /// Slots of each input.
    pub n_slots: usize,
    total_ns: f64,
}

/// Whether the number of inputs in a run is for the compiler to choose. One input has nobody to share with.
pub(super) fn are_chosen(options: &Options) -> bool {
    options.objective == Some(Objective::Throughput) && options.batch != Some(1)
}

/// Slots that a ring has for each input of a run that takes as many as are asked for; `None` if it has
/// fewer than inputs.
pub(super) fn n_slots_on(ring: &RingCost, options: &Options) -> Option<usize> {
    let lanes = options.batch.unwrap_or(1).max(1).checked_next_power_of_two()?;
    let n_slots = Some(ring.ring_degree / 2 / lanes).filter(|&n_slots| n_slots > 0)?;
    Some(if options.packing == Packing::Batch { 1 } else { n_slots })
}

/// What takes least time for all inputs, of a few ways to use each ring; `None` when no ring carries
/// the network. Of equals it is the one with the smallest ring and the fewest inputs in a run.
pub(super) fn fastest<'a>(job: &Job, rings: &[&'a RingCost]) -> Option<Way<'a>> {
    let mut best: Option<Way<'a>> = None;
    for &ring in rings {
        for n_slots in slots_to_try(job.network, job.options, ring, best.as_ref()) {
            let total_ns = job.run_ns(ring, n_slots) * n_runs(job.options, ring.ring_degree / 2 / n_slots);
            if best.as_ref().map_or(f64::INFINITY, |way| way.total_ns) > total_ns {
                best = Some(Way { ring, n_slots, total_ns });
            }
        }
    }
    best
}

/// Runs that the inputs asked for take, so many at once; when any number may come, the part of a run
/// that each takes.
fn n_runs(options: &Options, lanes: usize) -> f64 {
    options.batch.map_or(1.0 / lanes as f64, |batch| batch.max(1).div_ceil(lanes) as f64)
}

/// Slots for each input that are worth a try on a ring. As long as there is no `best` these are all powers
/// of two that leave no more than half of the lanes empty, and a single slot. On a larger ring than
/// that of `best` they are as many slots as it has, or for as many inputs, for the price of a slot hardly
/// depends on the ring.
fn slots_to_try(network: &Network, options: &Options, ring: &RingCost, best: Option<&Way>) -> Vec<usize> {
    let all = ring.ring_degree / 2;
    let asked = options.batch.map_or(all, |batch| batch.checked_next_power_of_two().unwrap_or(all));
    let fewest = match options.packing {
        Packing::Batch => return vec![1],
        Packing::Searched
        | Packing::Only(_)
        | Packing::Naive
        | Packing::ZeroSkipping
        | Packing::SharedSteps => all / asked.clamp(1, all),
    };
    let mut found: Vec<usize> = (0..=all.ilog2()).map(|bit| all >> bit).filter(|&n| n >= fewest).collect();
    if options.packing == Packing::Searched && fewest > 1 {
        found.push(1);
    }
    if let Some(Way { ring: known, n_slots: known_slots, .. }) = best {
        let same_lanes = all / (known.ring_degree / 2 / known_slots);
        found.retain(|n_slots| [1, *known_slots, same_lanes].contains(n_slots));
    }
    found.retain(|&n_slots| n_slots == all || Packing::is_within_reach(network, n_slots));
    found
}
