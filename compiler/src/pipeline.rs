//! The whole way of a model, as one readable list.

use crate::cost::{self, Nominal};
use crate::emit::emit;
use crate::lower::{Ports, lower};
use crate::model::Model;
use crate::packing::{self, Packing, PackingPlan, Unplaced};
use crate::rewrite::{self, Objective, Rewritten, Saturation, rewrite};
use crate::schedule::{self, ParamsError, Placed, Policy, Prediction, Request, Scheduled};
use crate::sparsity::Network;
use crate::validate::{Mismatch, spread, validate};
use hecc_ir::circuit::Circuit;
use hecc_ir::params::SecurityLevel;
use hecc_ir::program::Program;
use hecc_ir::target::{RingCost, Target};

/// What a compilation is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest allowed error relative to the largest output element.
    pub precision: f64,
    /// Security to keep.
    pub security: SecurityLevel,
    /// Use this ring degree and no other.
    pub ring_degree: Option<usize>,
    /// Inputs that one run of the program is to take at least. The smallest power of two
    /// of them that is as many share every ciphertext, and each has the slots that the others
    /// leave: the whole ring if there is one, a single slot if there are as many as slots, or
    /// [`Packing::Batch`] is asked for.
    pub batch: usize,
    /// Inputs (row-major tensors) that show how large values become. Inputs
    /// drawn evenly from the declared range are used when there are none.
    pub samples: Vec<Vec<f64>>,
    /// Bits that values may grow beyond what the samples showed.
    pub headroom_bits: f64,
    /// The machine compiled for.
    pub target: Target,
    /// How tensors are packed.
    pub packing: Packing,
    /// Compare circuits before and after every pass.
    pub validate: bool,
    /// What the rewriter makes the program small in; `None` leaves the circuit
    /// as it was lowered.
    pub objective: Option<Objective>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            precision: 1e-4,
            security: SecurityLevel::Classical128,
            ring_degree: None,
            batch: 1,
            samples: Vec::new(),
            headroom_bits: 2.0,
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
    /// Samples do not have the input's number of elements.
    SampleShape {
        /// Elements the model takes.
        expected: usize,
        /// Elements of the sample.
        found: usize,
    },
    /// A pass changed what the circuit computes: a defect of the compiler.
    Mismatch(Box<Mismatch>),
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
}

/// Compiles a model for the smallest ring that carries it.
///
/// # Errors
/// When no ring of the target is deep and precise enough, or the samples do
/// not fit the model.
pub fn compile(model: &Model, options: &Options) -> Result<Compiled, CompileError> {
    if let Some(layer) = model.layers.iter().find(|layer| !layer.kind.is_he_friendly()) {
        return Err(CompileError::NotHeFriendly { layer: layer.name.clone() });
    }
    let model = model.clone().narrowed();
    let network = Network::of(&model);
    on_some_ring(&model, options, |ring, samples| {
        let composed = composed(&network, options, ring);
        compile_for(&model, composed.as_ref().unwrap_or(&network), options, samples, ring)
    })
}

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

/// Packs a model as [`compile`] does for a ring, without regard to whether it carries
/// the model. Useless channels stay.
///
/// # Errors
/// When the family of layouts asked for has no place for a layer.
pub fn pack(model: &Model, options: &Options, ring: &RingCost) -> Result<Packed, Unplaced> {
    let network = network_for(model, options, ring);
    let nominal = Nominal::new(ring, packing::depth(&network));
    let plan = options.packing.plan(&network, n_slots(ring, options), &nominal)?;
    Ok(Packed { network, plan, nominal })
}

/// What the plan of [`pack`] is estimated to take, nanoseconds on one thread; infinite when there
/// is none.
pub fn packed_cost(model: &Model, options: &Options, ring: &RingCost) -> f64 {
    price(&network_for(model, options, ring), options, ring)
}

/// The normal form of a model, composed as a ring wants it.
fn network_for(model: &Model, options: &Options, ring: &RingCost) -> Network {
    let network = Network::of(model);
    composed(&network, options, ring).unwrap_or(network)
}

/// The network with neighbouring maps composed where the ring makes that cheaper, if anywhere.
fn composed(network: &Network, options: &Options, ring: &RingCost) -> Option<Network> {
    let price = |network: &Network| price(network, options, ring);
    packing::composed_by_price(network, price, |depth| hopeless(depth, options, ring).is_none())
}

/// What a network's plan is estimated to take, nanoseconds on one thread; infinite when there is none.
fn price(network: &Network, options: &Options, ring: &RingCost) -> f64 {
    let nominal = Nominal::new(ring, packing::depth(network));
    options.packing.price(network, n_slots(ring, options), &nominal).unwrap_or(f64::INFINITY)
}

/// Slots that a ring has for each input of a batch that is not too large for it.
pub fn n_slots(ring: &RingCost, options: &Options) -> usize {
    slots_on(ring, options).unwrap_or(1)
}

/// Slots that a ring has for each input; `None` if it has fewer than inputs.
fn slots_on(ring: &RingCost, options: &Options) -> Option<usize> {
    let lanes = options.batch.max(1).checked_next_power_of_two()?;
    let n_slots = Some(ring.ring_degree / 2 / lanes).filter(|&n_slots| n_slots > 0)?;
    Some(if options.packing == Packing::Batch { 1 } else { n_slots })
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
    on_some_ring(model, options, |ring, samples| compile_for(model, network, options, samples, ring))
}

/// What `compile` makes on the smallest ring that carries it.
fn on_some_ring(
    model: &Model,
    options: &Options,
    compile: impl Fn(&RingCost, &[Vec<f64>]) -> Result<Attempt, CompileError>,
) -> Result<Compiled, CompileError> {
    let samples = samples(model, options)?;
    let mut failure = CompileError::UnknownRing {
        ring_degree: options.ring_degree.unwrap_or(0),
        available: options.target.rings.iter().map(|ring| ring.ring_degree).collect(),
    };
    for ring in &options.target.rings {
        if options.ring_degree.is_some_and(|asked| asked != ring.ring_degree) {
            continue;
        }
        if slots_on(ring, options).is_none() {
            failure = CompileError::BatchTooLarge { batch: options.batch, limit: ring.ring_degree / 2 };
            continue;
        }
        match compile(ring, &samples)? {
            Ok(compiled) => return Ok(compiled),
            Err(refusal) => failure = explain(refusal, ring, options),
        }
    }
    Err(failure)
}

/// Why a ring does not carry a model.
enum Refusal {
    Params(ParamsError),
    Unplaced(Unplaced),
}

type Attempt = Result<Compiled, Refusal>;

fn compile_for(
    model: &Model,
    network: &Network,
    options: &Options,
    samples: &[Vec<f64>],
    ring: &RingCost,
) -> Result<Attempt, CompileError> {
    let depth = packing::depth(network);
    if let Some(error) = hopeless(depth, options, ring) {
        return Ok(Err(Refusal::Params(error)));
    }
    let nominal = Nominal::new(ring, depth);
    let plan = match options.packing.plan(network, n_slots(ring, options), &nominal) {
        Ok(plan) => plan,
        Err(unplaced) => return Ok(Err(Refusal::Unplaced(unplaced))),
    };
    let lowered = lower(network, &plan, &ports(model));
    let objective = options.objective.filter(|_| rewrite::has_room(&lowered));
    let rewriting = objective.map(|objective| rewrite(&lowered, &nominal, objective));
    let (rewritten, saturation) = match rewriting {
        Some(Rewritten { circuit, saturation, .. }) => (circuit, Some(saturation)),
        None => (lowered.clone(), None),
    };
    let tensors = [spread_over_input(model, N_MADE_SAMPLES as u64)];
    let check = |pass, before: &Circuit, after: &Circuit| match options.validate {
        true => validate(pass, before, after, &tensors).map_err(CompileError::Mismatch),
        false => Ok(()),
    };
    check("rewrite", &lowered, &rewritten)?;
    let (rewritten, scheduled) = match schedule(&rewritten, options, samples, ring)? {
        Ok(scheduled) => (rewritten, scheduled),
        // What is cheaper may be less precise.
        Err(_) => match schedule(&lowered, options, samples, ring)? {
            Ok(scheduled) => (lowered.clone(), scheduled),
            Err(error) => return Ok(Err(Refusal::Params(error))),
        },
    };
    check("schedule", &rewritten, &scheduled.circuit)?;
    let Scheduled { circuit, prediction, cost_ns } = scheduled;
    let program = emit(&circuit, prediction.max_output * options.headroom_bits.exp2());
    let network = network.clone();
    Ok(Ok(Compiled {
        model: model.clone(),
        network,
        plan,
        lowered,
        rewritten,
        saturation,
        leveled: circuit,
        program,
        prediction,
        cost_ns,
    }))
}

/// Levels and parameters for an abstract circuit on one ring.
fn schedule(
    circuit: &Circuit,
    options: &Options,
    samples: &[Vec<f64>],
    ring: &RingCost,
) -> Result<Result<Scheduled, ParamsError>, CompileError> {
    let variants = [Policy::Early, Policy::Late].map(|policy| {
        let circuit = schedule::place_rescales(circuit, policy);
        let largest = schedule::magnitudes(&circuit, samples);
        Placed { circuit, largest }
    });
    if let Some(layer) = variants.iter().find_map(overflowing_layer) {
        return Err(CompileError::NotFinite { layer });
    }
    let request = Request {
        precision: options.precision,
        security: options.security,
        headroom_bits: options.headroom_bits,
        max_prime_bits: options.target.max_prime_bits,
    };
    Ok(schedule::choose(&variants, samples, &request, ring))
}

impl Compiled {
    /// The prices that the rewriter worked with.
    pub fn nominal(&self, target: &Target) -> Option<Nominal> {
        let ring = target.ring(self.program.manifest.params.ring_degree)?;
        Some(Nominal::new(ring, packing::depth(&self.network)))
    }
}

fn overflowing_layer(placed: &Placed) -> Option<String> {
    let index = placed.largest.iter().position(|m| !m.is_finite())?;
    let source = placed.circuit.nodes[index].source;
    Some(placed.circuit.sources[source.index()].clone())
}

/// Bits a rescale takes at the very least; saves planning for rings that are
/// far too small.
const MIN_RESCALE_BITS: u32 = 20;

fn hopeless(depth: usize, options: &Options, ring: &RingCost) -> Option<ParamsError> {
    let max_log_qp = hecc_ir::params::max_log_qp_128(ring.ring_degree).unwrap_or(0);
    let needed = (depth as u32 + 1) * MIN_RESCALE_BITS;
    let secure = options.security == SecurityLevel::Classical128;
    (secure && needed > max_log_qp).then_some(ParamsError::TooDeep { depth: depth as u32, max_log_qp })
}

fn explain(refusal: Refusal, ring: &RingCost, options: &Options) -> CompileError {
    match refusal {
        Refusal::Params(ParamsError::TooDeep { depth, max_log_qp }) => {
            CompileError::TooDeep { depth, ring_degree: ring.ring_degree, max_log_qp }
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

/// Sample inputs made when the caller has none.
const N_MADE_SAMPLES: usize = 4;

fn samples(model: &Model, options: &Options) -> Result<Vec<Vec<f64>>, CompileError> {
    let (input, _) = model.input();
    let expected = model.layer(input).shape.n_elements();
    if let Some(wrong) = options.samples.iter().find(|s| s.len() != expected) {
        return Err(CompileError::SampleShape { expected, found: wrong.len() });
    }
    if !options.samples.is_empty() {
        return Ok(options.samples.clone());
    }
    Ok((0..N_MADE_SAMPLES as u64).map(|seed| spread_over_input(model, seed)).collect())
}

fn spread_over_input(model: &Model, seed: u64) -> Vec<f64> {
    let (input, range) = model.input();
    spread(model.layer(input).shape.n_elements(), range, seed)
}
