//! The whole way of a model, as one readable list.

mod elsewhere;
mod lanes;
mod pack;
mod ranges;
mod samples;

pub use elsewhere::Elsewhere;
pub use pack::Packed;
pub use ranges::{Range, Served};
pub use samples::representative;

use crate::cost::{self, Memory, Nominal, Objective, memory};
use crate::emit::{Facts, emit};
use crate::lower::{Ports, lower};
use crate::model::Model;
use crate::packing::{self, Family, Packing, PackingPlan, Unplaced};
use crate::rewrite::{self, Rewritten, Saturation, rewrite};
use crate::schedule::{self, Evidence, Outputs, ParamsError, Policy, Prediction, Request, Scheduled};
use crate::sparsity::Network;
use crate::validate::{Mismatch, Stages, validate_program, verified};
use hecc_ir::circuit::Circuit;
use hecc_ir::machine::{Bound, Excess};
use hecc_ir::params::SecurityLevel;
use hecc_ir::program::Program;
use hecc_ir::target::{RingCost, Target};
use hecc_ir::{Shape, Tensor};
use lanes::n_slots_on;
use pack::{Composed, Job, hopeless};
use ranges::Calibration;
use std::time::{Duration, Instant};

/// What a compilation is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest allowed error relative to the largest output element.
    pub precision: f64,
    /// Security to keep.
    pub security: SecurityLevel,
    /// Use this ring degree and no other.
    pub ring_degree: Option<usize>,
    /// How many inputs there are to be done.
    ///
    /// Under [`Objective::Throughput`] it is the compiler's choice how many share a run; without a
    /// number, as many as a run takes. Under every other objective one run takes them all; without
    /// a number, one. The smallest power of two that is as many then share every ciphertext, and each
    /// has the slots that the others leave: the whole ring if there is one, a single slot if
    /// there are as many as slots, or [`Packing::Batch`] is asked for.
    pub batch: Option<usize>,
    /// Inputs that show how large values become. Inputs drawn evenly from the declared range are
    /// used when there are none.
    pub samples: Vec<Tensor>,
    /// Bits that outputs may grow beyond what the samples showed.
    pub headroom_bits: f64,
    /// Whether no input of the declared range may outgrow the modulus, by a bound of what any gives, instead of by
    /// samples with headroom.
    pub range_bound: bool,
    /// The machine compiled for.
    pub target: Target,
    /// How tensors are packed.
    pub packing: Packing,
    /// Compare the program with the model.
    pub validate: bool,
    /// What the program is to be small in; with `None` packing takes the fastest plan, and the
    /// circuit stays as it was lowered.
    pub objective: Option<Objective>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            precision: 1e-4,
            security: SecurityLevel::Classical128,
            ring_degree: None,
            batch: None,
            samples: Vec::new(),
            headroom_bits: 2.0,
            range_bound: false,
            target: cost::default_target(),
            packing: Packing::default(),
            validate: true,
            objective: Some(Objective::default()),
        }
    }
}

/// A compiled model with what every stage produced.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The model without channels that zero weights make useless.
    pub model: Model,
    /// Linear maps and activations.
    pub network: Network,
    /// Placements and splits.
    pub plan: PackingPlan,
    /// The circuit before scheduling.
    pub lowered: Circuit,
    /// The circuit after rewriting.
    pub rewritten: Circuit,
    /// What the rewriter's e-graph held; `None` when it was not asked for or had nothing
    /// to do.
    pub saturation: Option<Saturation>,
    /// The leveled circuit.
    pub leveled: Circuit,
    /// What the executor runs.
    pub program: Program,
    /// Expected error.
    pub prediction: Prediction,
    /// Estimated evaluation time, nanoseconds on one thread.
    pub cost_ns: f64,
    /// Which inputs are served.
    pub served: Served,
    /// Of a program with [`Options::range_bound`], what one without it would be like, if there were one.
    pub without_bound: Option<Likeness>,
    /// Time that the comparison with the model took.
    pub validation: Duration,
}

/// What there is to compare of two programs for one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// Ring degree.
    pub ring_degree: usize,
    /// Bits of the whole modulus.
    pub log_qp: f64,
    /// Estimated evaluation time, nanoseconds on one thread.
    pub cost_ns: f64,
    /// Largest expected output.
    pub max_output: f64,
}

/// Why a model cannot be compiled.
#[derive(Clone, Debug, PartialEq)]
pub enum CompileError {
    /// No ring of the target is deep enough.
    TooDeep {
        /// Levels the model needs.
        depth: u32,
        /// Largest ring degree tried.
        ring_degree: usize,
        /// Its largest secure modulus, bits.
        max_log_qp: u32,
    },
    /// Values are too large for every ring of the target.
    TooLarge {
        /// Largest ring degree tried.
        ring_degree: usize,
        /// Largest element of the output.
        largest: f64,
        /// Bits of modulus that it takes at least to hold values.
        base_bits: f64,
        /// Bits of the widest coefficient of an encoded plaintext, at least; [`MAX_ENCODED_BITS`](hecc_ir::limits::MAX_ENCODED_BITS) may be encoded.
        encoded_bits: f64,
    },
    /// No ring of the target is precise enough.
    TooCoarse {
        /// Relative error asked for.
        requested: f64,
        /// Relative error of the best parameters.
        reached: f64,
    },
    /// No ring of the target has as many slots.
    BatchTooLarge {
        /// Inputs asked for.
        batch: usize,
        /// Slots of the largest ring.
        limit: usize,
    },
    /// The target has no measurements for the ring asked for.
    UnknownRing {
        /// The ring degree.
        ring_degree: usize,
        /// Ring degrees it has measurements for.
        available: Vec<usize>,
    },
    /// A sample has a shape that cannot stand for the input's, see [`Shape::check`].
    SampleShape {
        /// Shape of the input.
        expected: Shape,
        /// Shape of the sample.
        found: Shape,
    },
    /// A pass changed what the circuit computes: a defect of the compiler.
    Mismatch(Box<Mismatch>),
    /// The weights alone take more memory to compile than is free.
    NoMemory(Excess),
    /// A layer has no encrypted form.
    NotHeFriendly {
        /// The layer.
        layer: String,
    },
    /// A value overflowed or became NaN on a sample input.
    NotFinite {
        /// The layer it belongs to.
        layer: String,
    },
    /// No layout of the family asked for holds a layer.
    Unplaced(Unplaced),
    /// No ring has room for the bound of what inputs of the declared range give.
    BoundTooLarge {
        /// What is wrong with the best ring.
        cause: Box<CompileError>,
        /// The program without a bound, if there is one, and the bound of its outputs.
        without_bound: Option<(Likeness, f64)>,
    },
}

/// Compiles a model for the smallest ring that carries it, or under [`Objective::Throughput`] for the
/// ring and the number of inputs in a run that are expected to take least time for all inputs.
///
/// # Errors
/// When no ring of the target is deep and precise enough, or the samples do
/// not fit the model.
pub fn compile(model: &Model, options: &Options) -> Result<Compiled, CompileError> {
    if let Some(layer) = model.layers.iter().find(|layer| !layer.kind.is_he_friendly()) {
        return Err(CompileError::NotHeFriendly { layer: layer.name.clone() });
    }
    has_room(model)?;
    of_model(&model.clone().narrowed(), options, |job| job.compile())?.validated(model, options)
}

/// Bytes that a weight other than zero takes at least until there is a program: in the model and without its
/// useless channels, with its place in a matrix, and in the plaintexts of circuits and program.
const WEIGHT_BYTES: usize = 64;

/// Refuses models whose weights clearly have no room.
fn has_room(model: &Model) -> Result<(), CompileError> {
    let weights = model.layers.iter().filter_map(|layer| layer.kind.weights()).flatten();
    let n_weights = weights.filter(|&&weight| weight != 0.0).count();
    Bound::Free.check(n_weights.saturating_mul(WEIGHT_BYTES)).map_err(CompileError::NoMemory)
}

/// Work on a model in its normal form, whose neighbouring maps may be composed.
fn of_model<T>(model: &Model, options: &Options, work: impl FnOnce(&Job) -> T) -> T {
    let network = Network::of(model);
    work(&Job { model, network: &network, options, composes: true })
}

/// As [`compile`], of the normal form of a model or what has become of it, as it is.
///
/// # Errors
/// As [`compile`].
pub fn compile_network(
    model: &Model,
    network: &Network,
    options: &Options,
) -> Result<Compiled, CompileError> {
    Job { model, network, options, composes: false }.compile()?.validated(model, options)
}

/// Packs a model as [`compile`] does for a ring, without regard to whether it carries
/// the model. Useless channels stay.
///
/// # Errors
/// When the family of layouts asked for has no place for a layer.
pub fn pack(model: &Model, options: &Options, ring: &RingCost) -> Result<Packed, Unplaced> {
    of_model(model, options, |job| {
        let n_slots = job.n_slots(ring);
        job.plan(&job.networks(ring, n_slots), ring, n_slots)
    })
}

/// Slots that each input of a run has on a ring in the plan of [`pack`].
pub fn n_slots(model: &Model, options: &Options, ring: &RingCost) -> usize {
    of_model(model, options, |job| job.n_slots(ring))
}

/// What the plan of [`pack`] is estimated to take, nanoseconds on one thread; infinite when there
/// is none.
pub fn packed_cost(model: &Model, options: &Options, ring: &RingCost) -> f64 {
    match options.objective {
        Some(Objective::Memory) => {
            pack(model, options, ring).map_or(f64::INFINITY, |packed| packed.plan.cost_ns)
        }
        Some(Objective::Latency | Objective::Throughput | Objective::Balanced) | None => {
            of_model(model, options, |job| job.run_ns(ring, job.n_slots(ring)))
        }
    }
}

/// Bytes of ciphertexts that a run holds at least, where each element of a tensor takes a ciphertext of its
/// own; 0 where elements share ciphertexts, or no ring has the levels. It is known before there is a
/// circuit, which for a large network is itself too large to make.
pub fn least_ct_bytes(model: &Model, options: &Options) -> usize {
    if !has_single_slots(options) {
        return 0;
    }
    of_model(&model.clone().narrowed(), options, |job| {
        let remaining = memory::least_remaining(job.network);
        let depth = remaining.iter().copied().max().unwrap_or(0);
        let carries = |ring: &&RingCost| {
            hopeless(depth, options, ring).is_none() && n_slots_on(ring, options).is_some()
        };
        match job.rings().find(carries) {
            Some(ring) if n_slots_on(ring, options) == Some(1) => {
                memory::least_ct_bytes(job.network, &remaining, ring.ring_degree)
            }
            Some(_) | None => 0,
        }
    })
}

/// Whether inputs may have a slot each, and layouts for that are not ruled out.
fn has_single_slots(options: &Options) -> bool {
    let holds_vectors = match options.packing {
        Packing::Batch => return true,
        Packing::Only(family) => family == Family::Tiles,
        Packing::Searched | Packing::Naive | Packing::ZeroSkipping | Packing::SharedSteps => true,
    };
    let rings = &options.target.rings;
    holds_vectors
        && !lanes::are_chosen(options)
        && rings.iter().any(|ring| n_slots_on(ring, options) == Some(1))
}

impl Job<'_> {
    fn compile(&self) -> Result<Compiled, CompileError> {
        check_samples(self.model, self.options)?;
        let calibration = Calibration::new(self.model, self.network, self.options);
        match self.options.range_bound {
            true => self.compile_bounded(&calibration),
            false => self.compile_calibrated(&calibration),
        }
    }

    fn compile_calibrated(&self, calibration: &Calibration) -> Result<Compiled, CompileError> {
        match lanes::are_chosen(self.options) {
            true => self.compile_for_many(calibration),
            false => self.compile_on_smallest(calibration),
        }
    }

    /// With a bound, and without it to compare.
    fn compile_bounded(&self, calibration: &Calibration) -> Result<Compiled, CompileError> {
        let range = self.model.input().1;
        let options = Options { range_bound: false, validate: false, ..self.options.clone() };
        let without = Job { options: &options, ..*self }.compile_calibrated(calibration);
        match self.compile_calibrated(calibration) {
            Ok(compiled) => {
                let without_bound = without.as_ref().ok().map(Compiled::likeness);
                Ok(Compiled { without_bound, ..compiled })
            }
            Err(
                cause @ (CompileError::TooDeep { .. }
                | CompileError::TooLarge { .. }
                | CompileError::TooCoarse { .. }),
            ) => {
                let bound = |compiled: &Compiled| Outputs::at_most(&compiled.leveled, range).element;
                let without_bound = without.ok().map(|compiled| (compiled.likeness(), bound(&compiled)));
                Err(CompileError::BoundTooLarge { cause: Box::new(cause), without_bound })
            }
            Err(other) => Err(other),
        }
    }

    /// Slots for each input on a ring, as many as are asked for or chosen; one where larger batches
    /// have been refused, and all where nothing is carried.
    fn n_slots(&self, ring: &RingCost) -> usize {
        match lanes::are_chosen(self.options) {
            true => lanes::fastest(self, &[ring]).map_or(ring.ring_degree / 2, |way| way.n_slots),
            false => n_slots_on(ring, self.options).unwrap_or(1),
        }
    }

    /// On the ring and for as many inputs at once as take least time, among rings that carry it.
    fn compile_for_many(&self, calibration: &Calibration) -> Result<Compiled, CompileError> {
        let mut rings: Vec<&RingCost> = self.rings().collect();
        let mut failure = None;
        while let Some(way) = lanes::fastest(self, &rings) {
            match self.compile_for(calibration, way.ring, way.n_slots)? {
                Ok(compiled) => return Ok(compiled),
                Err(refusal) => failure = Some(explain(refusal, way.ring, self.options)),
            }
            // What is too deep or coarse for it is so for smaller ones.
            rings.retain(|ring| ring.ring_degree > way.ring.ring_degree);
        }
        let Some(failure) = failure else {
            // What no ring carries, none carries for one input: that says why.
            let options = Options { batch: Some(1), ..self.options.clone() };
            return Job { options: &options, ..*self }.compile_on_smallest(calibration);
        };
        Err(failure)
    }

    /// On the smallest ring that carries it, all inputs in one run.
    fn compile_on_smallest(&self, calibration: &Calibration) -> Result<Compiled, CompileError> {
        let options = self.options;
        let mut failure = CompileError::UnknownRing {
            ring_degree: options.ring_degree.unwrap_or(0),
            available: options.target.rings.iter().map(|ring| ring.ring_degree).collect(),
        };
        for ring in self.rings() {
            let Some(n_slots) = n_slots_on(ring, options) else {
                let batch = options.batch.unwrap_or(1);
                failure = CompileError::BatchTooLarge { batch, limit: ring.ring_degree / 2 };
                continue;
            };
            match self.compile_for(calibration, ring, n_slots)? {
                Ok(compiled) => return Ok(compiled),
                Err(refusal) => failure = explain(refusal, ring, options),
            }
        }
        Err(failure)
    }

    /// The rings that may be used, ascending.
    fn rings(&self) -> impl Iterator<Item = &RingCost> {
        let is_asked =
            |ring: &&RingCost| self.options.ring_degree.is_none_or(|asked| asked == ring.ring_degree);
        self.options.target.rings.iter().filter(is_asked)
    }

    fn compile_for(
        &self,
        calibration: &Calibration,
        ring: &RingCost,
        n_slots: usize,
    ) -> Result<Attempt, CompileError> {
        let networks = self.networks(ring, n_slots);
        let too_deep = |(_, network): &Composed| hopeless(packing::depth(network), self.options, ring);
        if let Some(error) = networks.iter().find_map(too_deep) {
            return Ok(Err(Refusal::Params(error)));
        }
        match self.plan(&networks, ring, n_slots) {
            Ok(packed) => finish(self.model, packed, self.options, calibration, ring),
            Err(unplaced) => Ok(Err(Refusal::Unplaced(unplaced))),
        }
    }
}

/// Why a ring does not carry a model.
enum Refusal {
    Params(ParamsError),
    Unplaced(Unplaced),
}

type Attempt = Result<Compiled, Refusal>;

/// Everything after packing.
fn finish(
    model: &Model,
    packed: Packed,
    options: &Options,
    calibration: &Calibration,
    ring: &RingCost,
) -> Result<Attempt, CompileError> {
    let Packed { network, plan, nominal } = packed;
    let lowered = lower(&network, &plan, &ports(model));
    let objective = options.objective.filter(|_| rewrite::has_room(&lowered));
    let rewriting = objective.map(|objective| rewrite(&lowered, &nominal, objective));
    let (rewritten, saturation) = match rewriting {
        Some(Rewritten { circuit, saturation, .. }) => (verified("rewrite", circuit), Some(saturation)),
        None => (lowered.clone(), None),
    };
    let (rewritten, fit) = match schedule(&rewritten, options, calibration, ring)? {
        Ok(fit) => (rewritten, fit),
        // What is cheaper may be less precise.
        Err(_) => match schedule(&lowered, options, calibration, ring)? {
            Ok(fit) => (lowered.clone(), fit),
            Err(error) => return Ok(Err(Refusal::Params(error))),
        },
    };
    let Fit { scheduled: Scheduled { circuit, prediction, promise, guard_bits, cost_ns }, margin_bits } = fit;
    let leveled = verified("schedule", circuit);
    let (served, promise) = match options.range_bound {
        true => (calibration.bounded(), promise),
        false => calibration.served(&leveled, promise, options.headroom_bits, guard_bits),
    };
    let outlooks = match options.range_bound {
        true => schedule::bounded_outlooks(&leveled, served.declared, margin_bits, promise),
        false => schedule::outlooks(&leveled, &calibration.inputs_of(&served), margin_bits, promise),
    };
    let (Served { range, declared, basis, .. }, target) = (served, options.target.name.as_str());
    let facts = Facts { served: range, declared, basis, outlooks: &outlooks, target };
    let program = emit(&leveled, &facts);
    let compiled = Compiled {
        model: model.clone(),
        network,
        plan,
        lowered,
        rewritten,
        saturation,
        leveled,
        program,
        prediction,
        cost_ns,
        served,
        without_bound: None,
        validation: Duration::ZERO,
    };
    Ok(Ok(compiled))
}

/// A circuit with levels, and by how many bits its outputs may grow.
struct Fit {
    scheduled: Scheduled,
    margin_bits: f64,
}

/// Bits beyond a bound, for errors and for primes that are not quite as wide as asked for.
const BOUND_MARGIN_BITS: f64 = 0.5;

/// Levels and parameters for an abstract circuit on one ring.
fn schedule(
    circuit: &Circuit,
    options: &Options,
    calibration: &Calibration,
    ring: &RingCost,
) -> Result<Result<Fit, ParamsError>, CompileError> {
    let samples = &calibration.samples;
    let others = calibration.others(options.range_bound);
    let evidence = Evidence::of(circuit, samples, &others);
    let seen = evidence.outputs;
    if !seen.is_finite() {
        return Err(not_finite(circuit, samples));
    }
    let variants = [Policy::Early, Policy::Late].map(|policy| schedule::place_rescales(circuit, policy));
    let fit = |outputs: Outputs, margin_bits: f64| {
        let request = Request {
            precision: options.precision,
            security: options.security,
            headroom_bits: margin_bits,
            max_prime_bits: options.target.max_prime_bits,
        };
        let scheduled = schedule::choose(&variants, &outputs, &evidence, &request, ring)?;
        Ok(Fit { scheduled, margin_bits })
    };
    if options.range_bound {
        let bound = Outputs::at_most(circuit, circuit.inputs[0].range);
        return Ok(fit(bound, BOUND_MARGIN_BITS));
    }
    let all = seen.or(Outputs::on(circuit, &calibration.extremes()));
    let for_samples = fit(seen, options.headroom_bits);
    if all == seen || !all.is_finite() {
        return Ok(for_samples);
    }
    let for_all = fit(all, options.headroom_bits);
    let price = |fit: &Fit| fit.scheduled.cost_ns;
    Ok(match (for_all, for_samples) {
        (Ok(all), Ok(samples)) if calibration.covers_extremes(price(&all), price(&samples)) => Ok(all),
        (_, for_samples) => for_samples,
    })
}

/// The layer in which a value of a sample is infinite or no number first.
fn not_finite(circuit: &Circuit, samples: &[Vec<f64>]) -> CompileError {
    let value = schedule::first_infinite(circuit, samples).expect("an output is not finite");
    CompileError::NotFinite { layer: circuit.sources[circuit.node(value).source.index()].clone() }
}

impl Compiled {
    /// The prices that packing and the rewriter worked with.
    pub fn nominal(&self, target: &Target) -> Option<Nominal> {
        let ring = target.ring(self.program.manifest.params.ring_degree)?;
        Some(Nominal::new(ring, packing::depth(&self.network)).in_unit(self.plan.unit))
    }

    fn likeness(&self) -> Likeness {
        let Compiled { cost_ns, prediction, .. } = *self;
        let params = &self.program.manifest.params;
        let (ring_degree, log_qp) = (params.ring_degree, params.log_qp());
        Likeness { ring_degree, log_qp, cost_ns, max_output: prediction.max_output }
    }

    /// Compares the program with the model on inputs of the served range.
    fn validated(self, model: &Model, options: &Options) -> Result<Compiled, CompileError> {
        if !options.validate {
            return Ok(self);
        }
        let started = Instant::now();
        let stages = Stages { lowered: &self.lowered, rewritten: &self.rewritten, leveled: &self.leveled };
        validate_program(model, stages, &self.program, &self.prediction).map_err(CompileError::Mismatch)?;
        Ok(Compiled { validation: started.elapsed(), ..self })
    }

    /// What a run is expected to hold.
    pub fn memory(&self) -> Memory {
        let level_of = |value| Some(self.leveled.ty(value).level);
        Memory::of(&self.leveled, level_of, &self.program.manifest.params)
    }

    /// Options that ask for the ring and for the inputs in a run that were chosen.
    pub fn settled(&self, options: &Options) -> Options {
        let objective = match options.objective {
            Some(Objective::Throughput) => Some(Objective::Latency),
            Some(Objective::Latency | Objective::Balanced | Objective::Memory) | None => options.objective,
        };
        let manifest = &self.program.manifest;
        let (batch, ring_degree) = (Some(manifest.lanes()), Some(manifest.params.ring_degree));
        Options { batch, ring_degree, objective, ..options.clone() }
    }
}

fn explain(refusal: Refusal, ring: &RingCost, options: &Options) -> CompileError {
    match refusal {
        Refusal::Params(ParamsError::TooDeep { depth, max_log_qp }) => {
            CompileError::TooDeep { depth, ring_degree: ring.ring_degree, max_log_qp }
        }
        Refusal::Params(ParamsError::TooLarge { largest, base_bits, encoded_bits }) => {
            CompileError::TooLarge { ring_degree: ring.ring_degree, largest, base_bits, encoded_bits }
        }
        Refusal::Params(ParamsError::TooCoarse { reached }) => {
            CompileError::TooCoarse { requested: options.precision, reached }
        }
        Refusal::Unplaced(unplaced) => CompileError::Unplaced(unplaced),
    }
}

fn ports(model: &Model) -> Ports<'_> {
    let (input, range) = model.input();
    Ports {
        model: &model.name,
        input: &model.layer(input).name,
        range,
        output: &model.layer(model.output).name,
    }
}

fn check_samples(model: &Model, options: &Options) -> Result<(), CompileError> {
    let (input, _) = model.input();
    let expected = &model.layer(input).shape;
    match options.samples.iter().find(|sample| expected.check(sample.shape()).is_err()) {
        Some(wrong) => {
            let (expected, found) = (expected.clone(), wrong.shape().clone());
            Err(CompileError::SampleShape { expected, found })
        }
        None => Ok(()),
    }
}
