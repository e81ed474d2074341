//! What a packing is estimated to take, and which of several serves the objective best.

use hecc::packing::{Packing, PackingPlan};
use hecc::pipeline::Options;
use hecc::rewrite::{Footprint, Objective};
use serde::Serialize;

/// What a packing is estimated to take.
#[derive(Clone, Copy, PartialEq, Serialize)]
pub(super) struct Estimate {
    /// Inputs that share every ciphertext.
    inputs_at_once: usize,
    rotations: usize,
    products: usize,
    input_ciphertexts: usize,
    /// Of a run.
    seconds: f64,
    /// When runs are full.
    inputs_per_second: f64,
    /// Of a run.
    memory_bytes: usize,
}

impl Estimate {
    /// What a plan takes on a ring.
    pub fn of(plan: &PackingPlan, footprint: Footprint, ring_degree: usize) -> Estimate {
        let (input, (rotations, products)) = (&plan.placements[0].layout, plan.counts());
        let (inputs_at_once, seconds) = (ring_degree / 2 / input.n_slots, plan.cost_ns * 1e-9);
        Estimate {
            inputs_at_once,
            rotations,
            products,
            input_ciphertexts: input.n_cts,
            seconds,
            inputs_per_second: inputs_at_once as f64 / seconds,
            memory_bytes: footprint.bytes,
        }
    }

    /// All of it for people: time in milliseconds, memory in megabytes.
    pub fn describe(&self) -> [String; 7] {
        let Estimate { inputs_at_once, rotations, products, input_ciphertexts, .. } = self;
        let [at_once, rotations, products, inputs] =
            [inputs_at_once, rotations, products, input_ciphertexts].map(usize::to_string);
        let run = format!("{:.2}", self.seconds * 1e3);
        let rate = format!("{:.1}", self.inputs_per_second);
        let memory = format!("{:.1}", self.memory_bytes as f64 / 1e6);
        [at_once, rotations, products, inputs, run, rate, memory]
    }
}

/// What decides among packings.
pub(super) enum Goal {
    /// Time of a run.
    Run,
    /// Time of so many inputs, or of each of many.
    Inputs(Option<usize>),
    /// Memory of a run.
    Memory,
}

impl Goal {
    /// That of the objective.
    pub fn of(options: &Options) -> Goal {
        match options.objective {
            Some(Objective::Throughput) => Goal::Inputs(options.batch),
            Some(Objective::Memory) => Goal::Memory,
            Some(Objective::Latency | Objective::Balanced) | None => Goal::Run,
        }
    }

    /// What is to be small.
    fn cost(&self, estimate: &Estimate) -> f64 {
        match self {
            Goal::Run => estimate.seconds,
            Goal::Inputs(None) => 1.0 / estimate.inputs_per_second,
            Goal::Inputs(Some(batch)) => batch.div_ceil(estimate.inputs_at_once) as f64 * estimate.seconds,
            Goal::Memory => estimate.memory_bytes as f64,
        }
    }

    /// The same for people.
    fn figure(&self, estimate: &Estimate) -> String {
        match self {
            Goal::Run => format!("{:.2} ms", estimate.seconds * 1e3),
            Goal::Inputs(batch) => {
                let rate = batch.unwrap_or(1) as f64 / self.cost(estimate);
                format!("{rate:.*} inputs/s", usize::from(rate < 100.0))
            }
            Goal::Memory => format!("{:.1} MB", estimate.memory_bytes as f64 / 1e6),
        }
    }

    /// Why a packing was chosen: it was asked for, or the best of the others that is something else costs more.
    pub fn why_chosen<'a>(
        &self,
        asked: Packing,
        chosen: &Estimate,
        others: impl Iterator<Item = (Packing, &'a Estimate)>,
    ) -> String {
        if asked != Packing::Searched {
            return format!("asked for: {}", self.figure(chosen));
        }
        let others = others.filter(|(_, other)| *other != chosen);
        let next = others.min_by(|(_, a), (_, b)| self.cost(a).total_cmp(&self.cost(b)));
        let next = next.map_or_else(String::new, |(packing, other)| {
            let lanes = match other.inputs_at_once {
                1 => String::new(),
                lanes => format!(" x {lanes}"),
            };
            format!(", next best {packing}{lanes} with {}", self.figure(other))
        });
        format!("chosen: {}{next}", self.figure(chosen))
    }

    /// Why another packing was not.
    pub fn why_not(&self, asked: Packing, other: &Estimate, chosen: &Estimate) -> String {
        match self {
            Goal::Run if other.inputs_at_once != chosen.inputs_at_once => {
                format!("{:.3} ms for each of a full batch", 1e3 / other.inputs_per_second)
            }
            _ if asked != Packing::Searched => beside(self.cost(other), self.cost(chosen)),
            Goal::Run | Goal::Inputs(_) | Goal::Memory => against(self.cost(other), self.cost(chosen)),
        }
    }
}

/// A cost beside that of the plan that a search found.
pub(super) fn against(cost: f64, chosen: f64) -> String {
    let missed = if percent_more(cost, chosen) < 0.0 { ", but the search did not come by it" } else { "" };
    format!("{}{missed}", beside(cost, chosen))
}

/// A cost beside another.
fn beside(cost: f64, other: f64) -> String {
    match percent_more(cost, other) {
        0.0 => String::from("costs as much"),
        percent if percent > 0.0 => format!("costs {percent:.1} % more"),
        percent => format!("costs {:.1} % less", -percent),
    }
}

/// Percent that a cost is above another; 0 where one digit after the point would show none.
fn percent_more(cost: f64, other: f64) -> f64 {
    let percent = 100.0 * (cost / other - 1.0);
    if cost == other || percent.abs() < 0.05 { 0.0 } else { percent }
}
