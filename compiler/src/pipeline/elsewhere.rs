//! What a compiled model takes on another machine than the one it was compiled for.

use super::{Calibration, Compiled, Options, schedule};
use crate::cost::price;
use hecc_ir::target::{OpCost, Target};

/// Expected times on a machine, nanoseconds on one thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elsewhere {
    /// Of the program as it is.
    pub as_compiled_ns: f64,
    /// Of the same rewritten circuit with levels and primes chosen for that machine.
    pub as_scheduled_ns: f64,
}

impl Compiled {
    /// What a run is expected to take on the machine of `target`, and what it might with other primes. `options`
    /// are those that it was compiled with. `None` when the target has no costs for the ring, or no chain
    /// keeps to the options there.
    pub fn on(&self, target: &Target, options: &Options) -> Option<Elsewhere> {
        let params = &self.program.manifest.params;
        let ring = target.ring(params.ring_degree)?;
        let level_of = |value| Some(self.leveled.ty(value).level);
        let as_compiled_ns = price(&self.leveled, level_of, &OpCost { ring, params });
        let options = Options { target: target.clone(), ..options.clone() };
        let calibration = Calibration::new(&self.model, &self.network, &options);
        let scheduled = schedule(&self.rewritten, &options, &calibration, ring).ok()?.ok()?.scheduled;
        Some(Elsewhere { as_compiled_ns, as_scheduled_ns: scheduled.cost_ns.min(as_compiled_ns) })
    }
}
