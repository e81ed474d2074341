//! Chooses the prime chain of one ring degree.
//!
//! A chain has one prime per rescale, a base of one or two primes that holds
//! the output, and special primes for key switching. Fewer, larger key-
//! switching digits cost more special primes and so leave less for precision;
//! each candidate takes the largest scale that fits the security bound, and
//! the cheapest one whose predicted error is small enough wins.

use super::expect::{Zeros, zero_slots};
use super::levels::{Levels, assign_levels};
use super::outputs::{Evidence, Outputs};
use super::over_samples;
use super::predict::{Prediction, commonness, own_errors, predict};
use super::typing::{Chain, has_terminal_squares, rescaled_values, type_circuit};
use crate::cost::price;
use hecc_ir::circuit::{Circuit, Op, Plain};
use hecc_ir::limits::MAX_ENCODED_BITS;
use hecc_ir::noise::larger;
use hecc_ir::overflow::coefficient_bound;
use hecc_ir::params::{Params, SecurityLevel};
use hecc_ir::primes::nearest_ntt_prime;
use hecc_ir::program::{MIN_TESTED_SLOTS, Promise, SlotRun};
use hecc_ir::scale::{Level, Scale};
use hecc_ir::target::{OpCost, RingCost};
use std::collections::BTreeMap;

/// What the chosen parameters must satisfy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Largest allowed [`Prediction::relative`].
    pub precision: f64,
    /// Security to keep.
    pub security: SecurityLevel,
    /// Bits that outputs may grow beyond what is said of them.
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
    /// How precise every result is.
    pub promise: Promise,
    /// Bits of the base that no output may need: see the guard in [`choose`].
    pub guard_bits: f64,
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
    /// Chains of this depth would fit if values were small.
    TooLarge {
        /// Largest element of outputs.
        largest: f64,
        /// Bits that the base needs at the smallest scale.
        base_bits: f64,
        /// Bits of the widest coefficient of a plaintext at that scale.
        encoded_bits: f64,
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

/// What scale an encoded vector has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The canonical one: of values, and of factors that a rescale divides by.
    Clean,
    /// That of products to be rescaled.
    Raw,
    /// That of products that are never rescaled.
    Terminal,
    /// That of the factors of these.
    TerminalFactor,
}

/// What has to fit the modulus: the largest coefficients of outputs, and of plaintexts. Base-2 logarithms, by kind and
/// by level above the base, each with its margin.
#[derive(Clone, Debug, PartialEq)]
struct Needs {
    largest: BTreeMap<(Kind, u32), f64>,
    /// Those of plaintexts alone, inputs among them: what is encoded.
    encoded: BTreeMap<(Kind, u32), f64>,
    /// Products of ciphertexts are among the terminal values.
    terminal_squares: bool,
}

impl Needs {
    /// Those of a circuit with rescales in place.
    fn of(circuit: &Circuit, levels: &Levels, outputs: &Outputs, input: f64, request: &Request) -> Needs {
        let largest = outputs.with_errors(request.precision);
        let rescaled = rescaled_values(circuit);
        let terminal_squares = has_terminal_squares(circuit, levels, &rescaled);
        let mut needs = Needs { largest: BTreeMap::new(), encoded: BTreeMap::new(), terminal_squares };
        let mut is_raw = vec![false; circuit.nodes.len()];
        for value in circuit.values() {
            let op = &circuit.node(value).op;
            let passes = !matches!(op, Op::Rescale(_)) && op.operands().iter().any(|v| is_raw[v.index()]);
            is_raw[value.index()] = op.is_product() || passes;
            let Some(level) = levels.of(value) else { continue };
            let kind = match (is_raw[value.index()], rescaled[value.index()]) {
                (false, _) => Kind::Clean,
                (true, true) => Kind::Raw,
                (true, false) => Kind::Terminal,
            };
            let above = level.0 - levels.base.0;
            match op {
                Op::AddPlain(_, constant) => needs.plain(circuit.plain(*constant), kind, above),
                Op::MulPlain(_, constant) => needs.plain(circuit.plain(*constant), kind.factor(), above),
                Op::MulScalar(_, scalar) => {
                    needs.encoded(scalar.abs(), kind.factor(), above);
                }
                Op::Input { .. } => needs.encoded(input, kind, above),
                Op::Zero
                | Op::Add(_)
                | Op::Sub(..)
                | Op::Neg(_)
                | Op::Mul(..)
                | Op::Rotate(..)
                | Op::Rescale(_)
                | Op::Relin(_)
                | Op::DropLevel(..) => (),
            }
            if circuit.outputs.iter().any(|output| output.values.contains(&value)) {
                needs.coefficient(largest, kind, 0, request.headroom_bits);
            }
        }
        needs
    }

    fn plain(&mut self, plain: &Plain, kind: Kind, above: u32) {
        self.encoded(coefficient_bound(&plain.values()), kind, above);
    }

    fn encoded(&mut self, largest: f64, kind: Kind, above: u32) {
        self.coefficient(largest, kind, above, PLAIN_MARGIN_BITS);
        raise(&mut self.encoded, (kind, above), log2_with(largest, PLAIN_MARGIN_BITS));
    }

    fn coefficient(&mut self, largest: f64, kind: Kind, above: u32, headroom_bits: f64) {
        raise(&mut self.largest, (kind, above), log2_with(largest, headroom_bits));
    }

    /// Bits the base must have, when all scales and rescale primes have `bits`.
    fn base_bits(&self, bits: f64, last_plain_bits: f64) -> f64 {
        self.base_bits_of(|_| bits, |above| f64::from(above) * bits, last_plain_bits)
    }

    /// The same for the canonical scale, and the bits of the primes beyond the base, of each level above it.
    fn base_bits_of(
        &self,
        scale: impl Fn(u32) -> f64,
        beyond: impl Fn(u32) -> f64,
        last_plain_bits: f64,
    ) -> f64 {
        let needed = self.largest.iter().map(|(&(kind, above), &log2)| {
            self.scale_bits(kind, above, &scale, last_plain_bits) + log2 + SIGN_BITS - beyond(above)
        });
        needed.fold(scale(0), f64::max)
    }

    /// Bits of the widest coefficient of a plaintext with its sign, for the canonical scale of each level above the base.
    fn encoded_bits(&self, scale: impl Fn(u32) -> f64, last_plain_bits: f64) -> f64 {
        let bits = self.encoded.iter().map(|(&(kind, above), &log2)| {
            self.scale_bits(kind, above, &scale, last_plain_bits) + log2 + SIGN_BITS
        });
        bits.fold(0.0, f64::max)
    }

    /// Bits of the scale of encoded vectors of a kind.
    fn scale_bits(
        &self,
        kind: Kind,
        above: u32,
        canonical: &impl Fn(u32) -> f64,
        last_plain_bits: f64,
    ) -> f64 {
        let factor = if self.terminal_squares { canonical(0) } else { last_plain_bits };
        match kind {
            Kind::Clean => canonical(above),
            Kind::Raw => 2.0 * canonical(above),
            Kind::Terminal => canonical(0) + factor,
            Kind::TerminalFactor => factor,
        }
    }
}

/// Base-2 logarithm of a coefficient with a margin.
fn log2_with(largest: f64, margin_bits: f64) -> f64 {
    (largest.max(f64::MIN_POSITIVE).log2() + margin_bits).max(LEAST_LOG2)
}

/// Makes an entry at least as large as said.
fn raise(largest: &mut BTreeMap<(Kind, u32), f64>, key: (Kind, u32), log2: f64) {
    let known = largest.entry(key).or_insert(log2);
    *known = log2.max(*known);
}

impl Kind {
    /// That of the plaintext factors of products.
    fn factor(self) -> Kind {
        match self {
            Kind::Clean | Kind::Raw => Kind::Clean,
            Kind::Terminal | Kind::TerminalFactor => Kind::TerminalFactor,
        }
    }
}

/// Bits of the sign of a coefficient.
const SIGN_BITS: f64 = 1.0;
/// With its sign a coefficient counts at least a tenth of a bit beyond its scale: no scale exceeds its modulus.
const LEAST_LOG2: f64 = -0.9;
/// Bits that a base may lack of what is needed, for primes are not quite as wide as asked for; less than [`LEAST_LOG2`] leaves.
const MAX_LACKING_BITS: f64 = 0.05;
/// Bits beyond plaintexts, for primes that are not quite as wide as asked for, and so scales that are not quite as said.
const PLAIN_MARGIN_BITS: f64 = 0.5;
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

/// Chooses among placements of rescales in one circuit and chains for them, whose base holds the inputs, `outputs` and
/// headroom, and a guard by which clients see what outgrew it. Precision is judged on the samples of `evidence`.
///
/// # Errors
/// When no chain of this ring is deep or precise enough, or has room for values so large.
pub fn choose(
    variants: &[Circuit],
    outputs: &Outputs,
    evidence: &Evidence,
    request: &Request,
    ring: &RingCost,
) -> Result<Scheduled, ParamsError> {
    let max_log_qp = request.security.max_log_qp(ring.ring_degree);
    let zeros = variants.first().map_or_else(Zeros::new, zero_slots);
    let guard_bits = guard_bits(&zeros);
    let guarded = Request { headroom_bits: request.headroom_bits + guard_bits, ..*request };
    let of_variant =
        |circuit| chains(circuit, outputs, evidence.input, &guarded, ring, f64::from(max_log_qp));
    let mut priced: Vec<Priced> = variants.iter().flat_map(of_variant).collect();
    priced.sort_by(|a, b| a.cost_ns.total_cmp(&b.cost_ns));
    if priced.is_empty() {
        let misfits = variants.iter().map(|circuit| misfit(circuit, outputs, evidence.input, &guarded, ring));
        let shallowest = misfits.min_by_key(|&(depth, _)| depth);
        return Err(shallowest.map_or(ParamsError::TooDeep { depth: 0, max_log_qp }, |(_, cause)| cause));
    }
    let precision = request.precision;
    let mut trials = Trials { evidence, precision, hardest: evidence.hardest(), failed: Vec::new() };
    if trials.may_reach(&priced) {
        for candidate in &priced {
            let circuit = candidate.typed();
            if let Some((prediction, promise)) = trials.passes(candidate.circuit, &circuit) {
                return Ok(Scheduled {
                    circuit,
                    prediction,
                    promise,
                    guard_bits,
                    cost_ns: candidate.cost_ns,
                });
            }
        }
    }
    Err(ParamsError::TooCoarse { reached: trials.reached(&priced) })
}

/// The depth of a circuit that no chain fits, and whether that or large values are the cause.
fn misfit(
    circuit: &Circuit,
    outputs: &Outputs,
    input: f64,
    request: &Request,
    ring: &RingCost,
) -> (u32, ParamsError) {
    let max_log_qp = request.security.max_log_qp(ring.ring_degree);
    let levels = assign_levels(circuit, Level(0));
    let depth = levels.depth();
    let needs = Needs::of(circuit, &levels, outputs, input, request);
    let base_bits = needs.base_bits(MIN_SCALE_BITS, LAST_PLAIN_BITS[0]);
    let encoded_bits = needs.encoded_bits(|_| MIN_SCALE_BITS, LAST_PLAIN_BITS[0]);
    let small = Needs { largest: BTreeMap::new(), encoded: BTreeMap::new(), ..needs };
    let cause = match candidates(depth, &small, request, ring, f64::from(max_log_qp)).is_empty() {
        true => ParamsError::TooDeep { depth, max_log_qp },
        false => ParamsError::TooLarge { largest: outputs.element, base_bits, encoded_bits },
    };
    (depth, cause)
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
    evidence: &'a Evidence<'a>,
    precision: f64,
    /// The input with the largest relative error, as far as known.
    hardest: usize,
    /// Placements with the errors of operations that were too large.
    failed: Vec<(&'a Circuit, Vec<f64>)>,
}

impl<'a> Trials<'a> {
    /// What is predicted for a placement of rescales with types, if that is precise enough. When no error
    /// is smaller than for a chain that failed, nor is the result's.
    fn passes(&mut self, placed: &'a Circuit, typed: &Circuit) -> Option<(Prediction, Promise)> {
        let own = own_errors(typed);
        let exceeds =
            |failed: &[f64]| own.len() == failed.len() && own.iter().zip(failed).all(|(a, b)| a >= b);
        if self.failed.iter().any(|(circuit, failed)| std::ptr::eq(*circuit, placed) && exceeds(failed)) {
            return None;
        }
        // The hardest input alone can say no.
        let relative = self.relative(typed, &own, self.hardest);
        let common = if relative <= self.precision { self.common(typed, &own) } else { 1.0 };
        if common * relative <= self.precision {
            let worst = self.worst(typed, &own, common);
            if worst.0.relative <= self.precision {
                return Some(worst);
            }
        }
        // What exceeds this exceeds too what went beyond it.
        self.failed.retain(|(circuit, failed)| {
            !std::ptr::eq(*circuit, placed) || !failed.iter().zip(&own).all(|(a, b)| a >= b)
        });
        self.failed.push((placed, own));
        None
    }

    /// Whether one of the finest chains is precise enough on the hardest input.
    fn may_reach(&self, priced: &[Priced]) -> bool {
        finest(priced).any(|chain| {
            let typed = chain.typed();
            self.relative(&typed, &own_errors(&typed), self.hardest) <= self.precision
        })
    }

    /// The least relative error over all inputs among the finest chains.
    fn reached(&mut self, priced: &[Priced]) -> f64 {
        let mut error = |chain: &Priced| {
            let typed = chain.typed();
            let own = own_errors(&typed);
            let common = self.common(&typed, &own);
            self.worst(&typed, &own, common).0.relative
        };
        finest(priced).map(&mut error).fold(f64::INFINITY, f64::min)
    }

    fn relative(&self, typed: &Circuit, own: &[f64], input: usize) -> f64 {
        predict(typed, own, self.evidence.inputs[input]).max_error / self.evidence.references[input]
    }

    /// How many times larger errors are for what they have in common.
    fn common(&self, typed: &Circuit, own: &[f64]) -> f64 {
        commonness(typed, own, self.evidence.inputs[self.hardest])
    }

    /// What is predicted for all inputs, and what can be promised for it, when errors are so many times larger for what they have
    /// in common.
    fn worst(&mut self, typed: &Circuit, own: &[f64], common: f64) -> (Prediction, Promise) {
        let &Evidence { ref inputs, n_samples, typical, .. } = self.evidence;
        let found = over_samples(inputs, |input| predict(typed, own, input));
        let relative = |index: usize, error: f64| common * error / self.evidence.references[index];
        let share = |index: usize| relative(index, found[index].max_error);
        let hardest = (0..found.len()).max_by(|&a, &b| share(a).total_cmp(&share(b)));
        self.hardest = hardest.expect("there is a sample");
        let largest = |count: usize, of: &dyn Fn(usize) -> f64| (0..count).map(of).fold(0.0, larger);
        let prediction = Prediction {
            max_error: largest(n_samples, &|index| common * found[index].max_error),
            max_output: largest(n_samples, &|index| found[index].max_output),
            relative: share(self.hardest),
        };
        let allowed = |index: usize| share(index) * self.evidence.allowance(index);
        let deviation =
            |index: usize| relative(index, found[index].deviation) * self.evidence.allowance(index);
        let precision = larger(self.precision, largest(found.len(), &allowed));
        (prediction, Promise { precision, deviation: largest(found.len(), &deviation), typical })
    }
}

/// For each scale of the last weights the chain with the largest scale: no other is taken to be more precise.
fn finest<'a>(priced: &'a [Priced<'a>]) -> impl Iterator<Item = &'a Priced<'a>> {
    LAST_PLAIN_BITS.into_iter().filter_map(move |bits| {
        let alike = priced.iter().filter(|one| one.chain.last_plain == Scale::from_log2(bits));
        alike.max_by(|a, b| a.chain.finest().total_cmp(&b.chain.finest()))
    })
}

/// Every chain that fits the security bound, priced.
fn chains<'a>(
    circuit: &'a Circuit,
    outputs: &Outputs,
    input: f64,
    request: &Request,
    ring: &RingCost,
    budget: f64,
) -> Vec<Priced<'a>> {
    let levels = assign_levels(circuit, Level(0));
    let depth = levels.depth();
    let needs = Needs::of(circuit, &levels, outputs, input, request);
    let found = candidates(depth, &needs, request, ring, budget).into_iter();
    let built = found.filter_map(|candidate| build(candidate, depth, &needs, ring.ring_degree, request));
    let price_chain = |chain: Chain| {
        let levels = assign_levels(circuit, Level(chain.params.max_level().0 - depth));
        let cost_ns = price(circuit, |value| levels.of(value), &OpCost { ring, params: &chain.params });
        Priced { cost_ns, circuit, chain, levels }
    };
    built.filter(|chain| chain.params.log_qp() <= budget).map(price_chain).collect()
}

fn candidates(depth: u32, needs: &Needs, request: &Request, ring: &RingCost, budget: f64) -> Vec<Candidate> {
    let mut found = Vec::new();
    for base_limbs in 1..=MAX_BASE_LIMBS {
        for last_plain_bits in LAST_PLAIN_BITS {
            for digit_limbs in 1..=MAX_DIGIT_LIMBS.min(base_limbs + depth as usize) {
                for widths in widths(request, ring) {
                    let shape = Shape { base_limbs, last_plain_bits, digit_limbs, widths };
                    let candidate = widest(shape, depth, needs, budget);
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

/// The candidate of a shape with the largest scale that fits the budget, and at which all plaintexts can be encoded.
fn widest(shape: Shape, depth: u32, needs: &Needs, budget: f64) -> Option<Candidate> {
    let Shape { base_limbs, last_plain_bits, digit_limbs, widths } = shape;
    let [chain_bits, special_prime_bits] = [widths.chain, widths.special].map(|bits| f64::from(bits) - 0.1);
    let half_bits = (2.0 * MIN_SCALE_BITS) as u32..=2 * widths.chain;
    half_bits.rev().map(|half| f64::from(half) / 2.0).find_map(|bits| {
        let base_bits = needs.base_bits(bits, last_plain_bits);
        let limb = base_bits / base_limbs as f64;
        let in_base = digit_limbs.min(base_limbs);
        let first_digit = limb * in_base as f64 + bits * (digit_limbs - in_base) as f64;
        let needed = first_digit.max(bits * digit_limbs as f64) + SPECIAL_MARGIN_BITS;
        let special_limbs = (needed / special_prime_bits).ceil() as usize;
        let special_bits = needed.max(special_limbs as f64 * MIN_SPECIAL_PRIME_BITS);
        let fits = f64::from(depth) * bits + base_bits + special_bits < budget - 0.1;
        let in_range = limb >= MIN_SCALE_BITS && limb < chain_bits && bits < chain_bits;
        let can_encode = needs.encoded_bits(|_| bits, last_plain_bits) <= MAX_ENCODED_BITS;
        let candidate = Candidate {
            bits,
            base_bits,
            base_limbs,
            last_plain_bits,
            digit_limbs,
            special_bits,
            special_limbs,
        };
        let exists = fits && in_range && can_encode && special_limbs <= MAX_SPECIAL_LIMBS;
        exists.then_some(candidate)
    })
}

fn log2(prime: u64) -> f64 {
    (prime as f64).log2()
}

/// Finds the primes of a candidate; each rescale prime is the nearest to the
/// scale it has to divide, so scales hardly drift; the base follows them.
fn build(
    candidate: Candidate,
    depth: u32,
    needs: &Needs,
    ring_degree: usize,
    request: &Request,
) -> Option<Chain> {
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
    let beyond = |above: u32| q.iter().rev().take(above as usize).map(|&q| log2(q)).sum();
    let clean = |above: u32| canonical[(depth - above) as usize].log2();
    // What the margin of plaintexts does not cover is no chain.
    let excess = needs.encoded_bits(clean, candidate.last_plain_bits) - MAX_ENCODED_BITS;
    if excess > PLAIN_MARGIN_BITS {
        return None;
    }
    let mut lacking = needs.base_bits_of(clean, beyond, candidate.last_plain_bits);
    for limb in 0..candidate.base_limbs {
        let prime = next(lacking / (candidate.base_limbs - limb) as f64)?;
        lacking -= log2(prime);
        q.push(prime);
    }
    if lacking > MAX_LACKING_BITS {
        return None;
    }
    let special = candidate.special_bits / candidate.special_limbs as f64;
    let p = (0..candidate.special_limbs).map(|_| next(special)).collect::<Option<Vec<u64>>>()?;
    q.reverse();
    canonical.reverse();
    let params = Params { ring_degree, q, p, digit_limbs: candidate.digit_limbs, security: request.security };
    Some(Chain { params, canonical, last_plain: Scale::from_log2(candidate.last_plain_bits) })
}

#[cfg(test)]
mod tests {
    use super::super::place::{Policy, place_rescales};
    use super::*;
    use hecc_ir::circuit::{Builder, Input, Output};
    use hecc_ir::layout::{Layout, Shape};

    const N_SLOTS: usize = 8;

    /// A sum of a product with large numbers, squared before and after it is rescaled.
    fn sum_of_product(summand: f64) -> Circuit {
        let mut builder = Builder::new("by hand", N_SLOTS);
        let layout = Layout::contiguous(Shape(vec![N_SLOTS]), N_SLOTS);
        let range = (-1.0, 1.0);
        let input = builder.declare_input(Input { name: "x".into(), layout: layout.clone(), range });
        let x = builder.push(Op::Input { input, ct: 0 });
        let square = builder.push(Op::Mul(x, x));
        let summands = (0..N_SLOTS).map(|slot| summand + slot as f64).collect();
        let sum = builder.add_plain(square, Plain::new(summands));
        let values = vec![builder.push(Op::Mul(sum, sum))];
        builder.output(Output { name: "y".into(), layout, values });
        place_rescales(&builder.finish(), Policy::Late)
    }

    /// Bits that the summands of every chain take when they are encoded.
    fn encoded_bits(summand: f64) -> Vec<f64> {
        let circuit = sum_of_product(summand);
        let largest = summand * summand;
        let outputs = Outputs { coefficient: largest, element: largest };
        let request = Request {
            precision: 1e-3,
            security: SecurityLevel::Insecure,
            headroom_bits: 2.0,
            max_prime_bits: 61,
        };
        let (ntt_ns, mul_acc_ns, add_ns, convert_ns) = (1.0, 1.0, 1.0, 1.0);
        let (mul_scalar_ns, wide) = (None, None);
        let ring_degree = 1 << 13;
        let ring = RingCost { ring_degree, ntt_ns, mul_acc_ns, add_ns, convert_ns, mul_scalar_ns, wide };
        let found = chains(&circuit, &outputs, 1.0, &request, &ring, 1000.0);
        found.iter().flat_map(|chain| bits_of_summands(&chain.typed())).collect()
    }

    fn bits_of_summands(leveled: &Circuit) -> Vec<f64> {
        let bits = |value| {
            let Op::AddPlain(_, constant) = leveled.node(value).op else { return None };
            let coefficient = coefficient_bound(&leveled.plain(constant).values());
            Some(leveled.ty(value).scale.log2() + coefficient.log2() + 1.0)
        };
        leveled.values().filter_map(bits).collect()
    }

    /// Chains keep plaintexts as narrow as they must be, though the budget would allow for wider ones.
    #[test]
    fn plaintexts_of_every_chain_can_be_encoded() {
        for summand in [1.5, 1e3, 1e6, 1e12] {
            let bits = encoded_bits(summand);
            let widest = bits.iter().copied().fold(0.0, f64::max);
            assert!(!bits.is_empty() && widest <= MAX_ENCODED_BITS, "{summand}: {widest}");
            assert!(
                widest > MAX_ENCODED_BITS - 4.0,
                "{summand}: no scale is smaller than it must be, {widest}"
            );
        }
    }
}
