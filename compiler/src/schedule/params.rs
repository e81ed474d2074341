//! Chooses the prime chain of one ring degree.
//!
//! A chain has one prime per rescale, a base of one or two primes that holds
//! the output, and special primes for key switching. Fewer, larger key-
//! switching digits cost more special primes and so leave less for precision;
//! each candidate takes the largest scale that fits the security bound, and
//! the cheapest one whose predicted error is small enough wins.

use super::expect::{Outlook, Zeros, outlooks, zero_slots};
use super::levels::{Levels, assign_levels};
use super::predict::{Prediction, own_errors, predict};
use super::typing::{Chain, has_terminal_squares, rescaled_values, type_circuit};
use crate::cost::price;
use hecc_ir::circuit::{Circuit, Op};
use hecc_ir::params::{Params, SecurityLevel};
use hecc_ir::primes::nearest_ntt_prime;
use hecc_ir::program::{MIN_TESTED_SLOTS, SlotRun};
use hecc_ir::scale::{Level, Scale};
use hecc_ir::target::{OpCost, RingCost};
use std::collections::BTreeMap;

/// What the chosen parameters must satisfy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Largest allowed error relative to the largest output element.
    pub precision: f64,
    /// Security to keep.
    pub security: SecurityLevel,
    /// Bits that values may grow beyond what the samples showed.
    pub headroom_bits: f64,
    /// Widest prime the engine takes.
    pub max_prime_bits: u32,
}

/// A leveled circuit and what is expected of it.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The leveled circuit.
    pub circuit: Circuit,
    /// Expected error.
    pub prediction: Prediction,
    /// What decryption shows of each output.
    pub outlooks: Vec<Outlook>,
    /// Estimated time, nanoseconds on one thread.
    pub cost_ns: f64,
}

/// Why one ring degree does not do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParamsError {
    /// The modulus the depth asks for exceeds the security bound.
    TooDeep {
        /// Rescales on the longest path.
        depth: u32,
        /// Largest secure modulus, bits.
        max_log_qp: u32,
    },
    /// The best chain is not precise enough.
    TooCoarse {
        /// Relative error of the best chain.
        reached: f64,
    },
}

/// One chain under consideration.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    bits: f64,
    base_bits: f64,
    base_limbs: usize,
    last_plain_bits: f64,
    digit_limbs: usize,
    special_bits: f64,
    special_limbs: usize,
}

/// What a value's scale is, relative to the canonical one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Clean,
    Raw,
    Terminal,
}

/// Largest magnitudes by kind and by level above the base, base-2 logarithms.
#[derive(Clone, Debug, PartialEq)]
struct Magnitudes {
    largest: BTreeMap<(Kind, u32), f64>,
    /// Products of ciphertexts are among the terminal values.
    terminal_squares: bool,
}

impl Magnitudes {
    /// Sorts the magnitudes of a circuit with rescales in place.
    fn of(circuit: &Circuit, levels: &Levels, largest: &[f64]) -> Magnitudes {
        let rescaled = rescaled_values(circuit);
        let mut raw = vec![false; circuit.nodes.len()];
        let mut found = BTreeMap::new();
        for value in circuit.values() {
            let op = &circuit.node(value).op;
            let passes = !matches!(op, Op::Rescale(_)) && op.operands().iter().any(|v| raw[v.index()]);
            raw[value.index()] = op.is_product() || passes;
            let Some(level) = levels.of(value) else { continue };
            let kind = match (raw[value.index()], rescaled[value.index()]) {
                (false, _) => Kind::Clean,
                (true, true) => Kind::Raw,
                (true, false) => Kind::Terminal,
            };
            let log2 = largest[value.index()].max(f64::MIN_POSITIVE).log2();
            let known = found.entry((kind, level.0 - levels.base.0)).or_insert(log2);
            *known = log2.max(*known);
        }
        Magnitudes { largest: found, terminal_squares: has_terminal_squares(circuit, levels, &rescaled) }
    }

    /// Bits the base must have so that every value fits its modulus.
    fn base_bits(&self, bits: f64, last_plain_bits: f64, headroom_bits: f64) -> f64 {
        let sign = 1.0;
        let needed = self.largest.iter().map(|(&(kind, above), &log2)| {
            let scale = match kind {
                Kind::Clean => bits,
                Kind::Raw => 2.0 * bits,
                Kind::Terminal if self.terminal_squares => 2.0 * bits,
                Kind::Terminal => bits + last_plain_bits,
            };
            scale + log2.max(0.0) + sign + headroom_bits - f64::from(above) * bits
        });
        needed.fold(bits, f64::max)
    }
}

/// Room for the error of a key switch: bits of the special primes beyond the
/// widest digit.
const SPECIAL_MARGIN_BITS: f64 = 2.0;
const MIN_SCALE_BITS: f64 = 20.0;
/// Special primes that engines take: none narrower, and no more of them.
const MIN_SPECIAL_PRIME_BITS: f64 = 20.5;
const MAX_SPECIAL_LIMBS: usize = 13;
const LAST_PLAIN_BITS: [f64; 4] = [18.0, 22.0, 26.0, 36.0];
const MAX_BASE_LIMBS: usize = 3;
const MAX_DIGIT_LIMBS: usize = 8;

/// A circuit with rescales in place and the largest magnitude of each value.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The circuit.
    pub circuit: Circuit,
    /// Over sample inputs, by value.
    pub largest: Vec<f64>,
}

/// A chain for one placement of rescales, with its price.
struct Priced<'a> {
    cost_ns: f64,
    circuit: &'a Circuit,
    chain: Chain,
    levels: Levels,
}

impl Priced<'_> {
    fn typed(&self) -> Circuit {
        type_circuit(self.circuit, &self.levels, &self.chain)
    }
}

/// Chooses among placements of rescales and chains for them. `samples` are
/// input tensors.
///
/// # Errors
/// When no chain of this ring is deep or precise enough.
pub fn choose(
    variants: &[Placed],
    samples: &[Vec<f64>],
    request: &Request,
    ring: &RingCost,
) -> Result<Scheduled, ParamsError> {
    let max_log_qp = request.security.max_log_qp(ring.ring_degree);
    let zeros = variants.first().map_or_else(Zeros::new, |placed| zero_slots(&placed.circuit));
    let guarded = Request { headroom_bits: request.headroom_bits + guard_bits(&zeros), ..*request };
    let mut priced: Vec<Priced> =
        variants.iter().flat_map(|placed| chains(placed, &guarded, ring, f64::from(max_log_qp))).collect();
    priced.sort_by(|a, b| a.cost_ns.total_cmp(&b.cost_ns));
    let mut trials = Trials { samples, precision: request.precision, failed: Vec::new() };
    if let Some(reached) = trials.reached(&priced).filter(|&reached| reached > request.precision) {
        return Err(ParamsError::TooCoarse { reached });
    }
    for candidate in &priced {
        let circuit = candidate.typed();
        if let Some(prediction) = trials.passes(candidate.circuit, &circuit) {
            let outlooks = outlooks(&circuit, &zeros, samples, request.headroom_bits);
            return Ok(Scheduled { circuit, prediction, outlooks, cost_ns: candidate.cost_ns });
        }
    }
    let depth =
        variants.iter().map(|placed| assign_levels(&placed.circuit, Level(0)).depth()).min().unwrap_or(0);
    Err(ParamsError::TooDeep { depth, max_log_qp })
}

/// Bits of the base that nothing should need, by which a client sees that coefficients outgrew the modulus: one
/// that wraps around comes to lie among those that do not with probability `2^-GUARD_BITS`.
const GUARD_BITS: f64 = 8.0;

/// Bits to leave free. Slots that are zero in every result show what wraps around without any.
fn guard_bits(zeros: &Zeros) -> f64 {
    let shows =
        |runs: &Vec<SlotRun>| runs.iter().map(|run| run.len as usize).sum::<usize>() >= MIN_TESTED_SLOTS;
    if zeros.iter().flatten().all(shows) { 0.0 } else { GUARD_BITS }
}

/// Predictions for chains until one is precise enough.
struct Trials<'a> {
    samples: &'a [Vec<f64>],
    precision: f64,
    /// Placements with the errors of operations that were too large.
    failed: Vec<(&'a Circuit, Vec<f64>)>,
}

impl<'a> Trials<'a> {
    /// What is predicted for a placement of rescales with types, if that is precise enough. When no error
    /// is smaller than for a chain that failed, nor is the result's.
    fn passes(&mut self, placed: &'a Circuit, typed: &Circuit) -> Option<Prediction> {
        let own = own_errors(typed);
        let exceeds =
            |failed: &[f64]| own.len() == failed.len() && own.iter().zip(failed).all(|(a, b)| a >= b);
        if self.failed.iter().any(|(circuit, failed)| std::ptr::eq(*circuit, placed) && exceeds(failed)) {
            return None;
        }
        let predictions = self.samples().map(|sample| predict(typed, &own, sample));
        let is_precise = |prediction: &Prediction| prediction.relative() <= self.precision;
        let predictions: Vec<Prediction> = predictions.take_while(is_precise).collect();
        if predictions.len() < self.samples().count() {
            // What exceeds this exceeds too what went beyond it.
            self.failed.retain(|(circuit, failed)| {
                !std::ptr::eq(*circuit, placed) || !failed.iter().zip(&own).all(|(a, b)| a >= b)
            });
            self.failed.push((placed, own));
            return None;
        }
        predictions.into_iter().max_by(|a, b| a.relative().total_cmp(&b.relative()))
    }

    /// A relative error that is small enough, if one of the finest chains has it; else the least of theirs. These are,
    /// for each scale of the last weights, those with the largest scale: no other chain is taken to be more precise.
    fn reached(&self, priced: &[Priced]) -> Option<f64> {
        let finest = LAST_PLAIN_BITS.into_iter().filter_map(|bits| {
            let alike = priced.iter().filter(|one| one.chain.last_plain == Scale::from_log2(bits));
            alike.max_by(|a, b| a.chain.finest().total_cmp(&b.chain.finest()))
        });
        let mut least: Option<f64> = None;
        for chain in finest {
            let error = self.worst(&chain.typed()).relative();
            least = Some(least.map_or(error, |least| least.min(error)));
            if error <= self.precision {
                break;
            }
        }
        least
    }

    fn worst(&self, typed: &Circuit) -> Prediction {
        let own = own_errors(typed);
        let predictions = self.samples().map(|sample| predict(typed, &own, sample));
        predictions.max_by(|a, b| a.relative().total_cmp(&b.relative())).expect("there is a sample")
    }

    fn samples(&self) -> impl Iterator<Item = &'a Vec<f64>> + use<'a> {
        self.samples.iter().take(PREDICTION_SAMPLES)
    }
}

/// Every chain that fits the security bound, priced.
fn chains<'a>(placed: &'a Placed, request: &Request, ring: &RingCost, budget: f64) -> Vec<Priced<'a>> {
    let circuit = &placed.circuit;
    let levels = assign_levels(circuit, Level(0));
    let depth = levels.depth();
    let magnitudes = Magnitudes::of(circuit, &levels, &placed.largest);
    let found = candidates(depth, &magnitudes, request, ring, budget).into_iter();
    let built = found.filter_map(|candidate| build(candidate, depth, ring.ring_degree, request));
    let price_chain = |chain: Chain| {
        let levels = assign_levels(circuit, Level(chain.params.max_level().0 - depth));
        let cost_ns = price(circuit, |value| levels.of(value), &OpCost { ring, params: &chain.params });
        Priced { cost_ns, circuit, chain, levels }
    };
    built.filter(|chain| chain.params.log_qp() <= budget).map(price_chain).collect()
}

/// Samples the prediction runs on; errors hardly depend on the input.
const PREDICTION_SAMPLES: usize = 2;

fn candidates(
    depth: u32,
    magnitudes: &Magnitudes,
    request: &Request,
    ring: &RingCost,
    budget: f64,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for base_limbs in 1..=MAX_BASE_LIMBS {
        for last_plain_bits in LAST_PLAIN_BITS {
            for digit_limbs in 1..=MAX_DIGIT_LIMBS.min(base_limbs + depth as usize) {
                for widths in widths(request, ring) {
                    let shape = Shape { base_limbs, last_plain_bits, digit_limbs, widths };
                    let candidate = widest(shape, depth, magnitudes, request.headroom_bits, budget);
                    found.extend(candidate.filter(|candidate| !found.contains(candidate)));
                }
            }
        }
    }
    found
}

/// Most bits of primes.
#[derive(Clone, Copy, Debug)]
struct Widths {
    chain: u32,
    special: u32,
}

/// As wide as they may be, and where wide primes take longer, special ones or all of them narrow.
fn widths(request: &Request, ring: &RingCost) -> Vec<Widths> {
    let widest = request.max_prime_bits;
    let narrow = ring.wide.map(|wide| wide.narrow_bits).filter(|&bits| bits < widest);
    let narrower =
        narrow.into_iter().flat_map(|special| [widest, special].map(|chain| Widths { chain, special }));
    std::iter::once(Widths { chain: widest, special: widest }).chain(narrower).collect()
}

/// What candidates differ in but for the scale.
#[derive(Clone, Copy, Debug)]
struct Shape {
    base_limbs: usize,
    last_plain_bits: f64,
    digit_limbs: usize,
    widths: Widths,
}

/// The candidate of a shape with the largest scale that fits the budget.
fn widest(
    shape: Shape,
    depth: u32,
    magnitudes: &Magnitudes,
    headroom_bits: f64,
    budget: f64,
) -> Option<Candidate> {
    let Shape { base_limbs, last_plain_bits, digit_limbs, widths } = shape;
    let [chain_bits, special_prime_bits] = [widths.chain, widths.special].map(|bits| f64::from(bits) - 0.1);
    let half_bits = (2.0 * MIN_SCALE_BITS) as u32..=2 * widths.chain;
    half_bits.rev().map(|half| f64::from(half) / 2.0).find_map(|bits| {
        let base_bits = magnitudes.base_bits(bits, last_plain_bits, headroom_bits);
        let limb = base_bits / base_limbs as f64;
        let in_base = digit_limbs.min(base_limbs);
        let first_digit = limb * in_base as f64 + bits * (digit_limbs - in_base) as f64;
        let needed = first_digit.max(bits * digit_limbs as f64) + SPECIAL_MARGIN_BITS;
        let special_limbs = (needed / special_prime_bits).ceil() as usize;
        let special_bits = needed.max(special_limbs as f64 * MIN_SPECIAL_PRIME_BITS);
        let fits = f64::from(depth) * bits + base_bits + special_bits < budget - 0.1;
        let in_range = limb >= MIN_SCALE_BITS && limb < chain_bits && bits < chain_bits;
        let candidate = Candidate {
            bits,
            base_bits,
            base_limbs,
            last_plain_bits,
            digit_limbs,
            special_bits,
            special_limbs,
        };
        (fits && in_range && special_limbs <= MAX_SPECIAL_LIMBS).then_some(candidate)
    })
}

/// Finds the primes of a candidate; each rescale prime is the nearest to the
/// scale it has to divide, so scales hardly drift.
fn build(candidate: Candidate, depth: u32, ring_degree: usize, request: &Request) -> Option<Chain> {
    let mut taken = Vec::new();
    let mut next = |log2: f64| {
        let prime = nearest_ntt_prime(log2, ring_degree, request.max_prime_bits, &taken)?;
        taken.push(prime);
        Some(prime)
    };
    let mut scale = Scale::from_log2(candidate.bits);
    let mut canonical = vec![scale];
    let mut q = Vec::new();
    for _ in 0..depth {
        let prime = next(scale.log2())?;
        scale = scale + scale - Scale::of_prime(prime);
        canonical.push(scale);
        q.push(prime);
    }
    for _ in 1..candidate.base_limbs {
        canonical.push(scale);
    }
    for _ in 0..candidate.base_limbs {
        q.push(next(candidate.base_bits / candidate.base_limbs as f64)?);
    }
    let special = candidate.special_bits / candidate.special_limbs as f64;
    let p = (0..candidate.special_limbs).map(|_| next(special)).collect::<Option<Vec<u64>>>()?;
    q.reverse();
    canonical.reverse();
    let params = Params { ring_degree, q, p, digit_limbs: candidate.digit_limbs, security: request.security };
    Some(Chain { params, canonical, last_plain: Scale::from_log2(candidate.last_plain_bits) })
}
