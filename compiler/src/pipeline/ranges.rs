//! Which inputs a program serves, as calibration and extreme inputs show or as a bound proves.

use super::Options;
use crate::model::Model;
use crate::schedule::{self, Outputs};
use crate::sparsity::{Network, NodeId, NodeKind, Term};
use crate::validate::{finite, spread};
use hecc_ir::circuit::Circuit;
use hecc_ir::program::{Promise, RangeBasis};
use serde::Serialize;

/// Smallest and largest element.
pub type Range = (f64, f64);

/// The inputs that a program serves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Served {
    /// Elements that are allowed.
    pub range: Range,
    /// Elements that the model declares.
    pub declared: Range,
    /// How it is known that `range` has room.
    #[serde(serialize_with = "basis_name")]
    pub basis: RangeBasis,
    /// Bits by which an output of an extreme input of `range` outgrows what results may need of the modulus, so that it is
    /// refused when it is decrypted; zero if all that were tried fit. Others may outgrow it too, unless there is a bound.
    pub excess_bits: f64,
}

fn basis_name<S: serde::Serializer>(basis: &RangeBasis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match basis {
        RangeBasis::Samples => "samples",
        RangeBasis::Bound => "bound",
    })
}

impl Served {
    /// True when all that the model declares is served.
    pub fn is_whole(&self) -> bool {
        self.range == self.declared
    }
}

/// Inputs that show how large values become.
pub(super) struct Calibration {
    /// Tensors; drawn from the declared range if the caller has none.
    pub samples: Vec<Vec<f64>>,
    is_drawn: bool,
    declared: Range,
    /// What the caller's samples span; of drawn ones, what they were drawn from.
    spanned: Range,
    /// The heaviest row of weights that reads the input, if there is one.
    heaviest: Vec<f64>,
}

/// Samples drawn when the caller has none.
const N_DRAWN: u64 = 4;
/// Inputs drawn beside the samples.
const N_OTHERS_DRAWN: u64 = 2;
/// Samples that are stretched over other ranges.
const N_STRETCHED: usize = 2;
/// Halvings that find how far a range reaches.
const N_HALVINGS: usize = 8;

impl Calibration {
    /// Of a model and its normal form.
    pub fn new(model: &Model, network: &Network, options: &Options) -> Calibration {
        let (input, declared) = model.input();
        let n = model.layer(input).shape.n_elements();
        let is_drawn = options.samples.is_empty();
        let drawn = || (0..N_DRAWN).map(|seed| spread(n, declared, seed)).collect();
        let given = || options.samples.iter().map(|sample| sample.values().to_vec()).collect();
        let samples: Vec<Vec<f64>> = if is_drawn { drawn() } else { given() };
        let spanned = if is_drawn { finite(declared) } else { span(&samples) };
        Calibration { samples, is_drawn, declared, spanned, heaviest: heaviest_row(network) }
    }

    /// Whether to pay for extreme inputs, which take so much time where samples take less.
    pub fn covers_extremes(&self, extremes_ns: f64, samples_ns: f64) -> bool {
        self.is_drawn || extremes_ns <= MAX_PRICE_OF_EXTREMES * samples_ns
    }

    /// Inputs of what is served for sure, unlike the samples, on which the program is to be precise as well: extreme ones, drawn
    /// ones, and one with a single element that is not at the low end.
    pub fn others(&self, is_bounded: bool) -> Vec<Vec<f64>> {
        self.others_of(if is_bounded { finite(self.declared) } else { self.spanned })
    }

    fn others_of(&self, range: Range) -> Vec<Vec<f64>> {
        let n = self.samples[0].len();
        let mut single = vec![range.0; n];
        single[n / 2] = range.1;
        let drawn = (0..N_OTHERS_DRAWN).map(|seed| spread(n, range, !seed));
        self.extremes_of(range).into_iter().chain(drawn).chain([single]).collect()
    }

    /// Extreme inputs of what samples span.
    pub fn extremes(&self) -> Vec<Vec<f64>> {
        self.extremes_of(self.spanned)
    }

    /// All elements at one end of a range, or at different ends: in turn, as drawn, and as the heaviest weights
    /// that read them want it.
    fn extremes_of(&self, (low, high): Range) -> Vec<Vec<f64>> {
        let n = self.samples[0].len();
        let coins = spread(n, (-1.0, 1.0), N_DRAWN);
        let weight = |i: usize| self.heaviest.get(i).copied().unwrap_or(0.0);
        let ends = |is_high: &dyn Fn(usize) -> bool| {
            (0..n).map(|i| if is_high(i) { high } else { low }).collect::<Vec<f64>>()
        };
        let mut found = vec![
            ends(&|_| false),
            ends(&|_| true),
            ends(&|i| i % 2 == 0),
            ends(&|i| coins[i] > 0.0),
            ends(&|i| weight(i) > 0.0),
            ends(&|i| weight(i) < 0.0),
        ];
        found.dedup();
        found
    }

    /// What a scheduled circuit serves and promises there, when its base has room for samples, perhaps for extreme inputs, and
    /// `guard_bits` for nothing.
    pub fn served(
        &self,
        leveled: &Circuit,
        promise: Promise,
        headroom_bits: f64,
        guard_bits: f64,
    ) -> (Served, Promise) {
        let bits_left = |outputs: &Outputs| outputs.bits_left(leveled) - guard_bits;
        let has_room = |input: &Vec<f64>| {
            let outputs = Outputs::on(leveled, std::slice::from_ref(input));
            let outputs_fit = outputs.is_finite() && bits_left(&outputs) >= headroom_bits / 2.0;
            outputs_fit && schedule::fits_input(leveled, input)
        };
        let promised = |range: Range| {
            let stretched = self.samples.iter().take(N_STRETCHED).map(|sample| self.stretched(sample, range));
            let inputs: Vec<Vec<f64>> = self.others_of(range).into_iter().chain(stretched).collect();
            inputs.iter().all(has_room).then(|| schedule::extend(leveled, promise, &inputs)).flatten()
        };
        let fits = |range: Range| promised(range).is_some();
        let (declared, spanned) = (finite(self.declared), self.spanned);
        let range = match self.is_drawn {
            // Nobody vouches for drawn samples: what is served is what extreme inputs allow.
            true => widest(centre(declared), declared, fits),
            false => widest(spanned, within(spanned, declared), fits),
        };
        let extremes = Outputs::on(leveled, &self.extremes_of(range));
        let excess_bits = (-bits_left(&extremes)).max(0.0);
        let served = Served { range, declared: self.declared, basis: RangeBasis::Samples, excess_bits };
        (served, promised(range).unwrap_or(promise))
    }

    /// What shows how large values become on what is served: samples, as they are and stretched, and extreme inputs if there is room
    /// for them.
    pub fn inputs_of(&self, served: &Served) -> Vec<Vec<f64>> {
        let is_wider = served.range != self.spanned;
        let stretched = self.samples.iter().filter(|_| is_wider).map(|x| self.stretched(x, served.range));
        let extremes = if served.excess_bits > 0.0 { Vec::new() } else { self.extremes_of(served.range) };
        self.samples.iter().cloned().chain(stretched).chain(extremes).collect()
    }

    /// What a circuit serves that has room for a bound.
    pub fn bounded(&self) -> Served {
        Served { range: self.declared, declared: self.declared, basis: RangeBasis::Bound, excess_bits: 0.0 }
    }

    /// A sample moved from what samples span to another range.
    fn stretched(&self, sample: &[f64], (low, high): Range) -> Vec<f64> {
        let (from, to) = self.spanned;
        let slope = if to > from { (high - low) / (to - from) } else { 0.0 };
        sample.iter().map(|x| low + (x - from) * slope).collect()
    }
}

/// Most time that room for extreme inputs may take, in times of that for samples.
const MAX_PRICE_OF_EXTREMES: f64 = 1.02;

/// Smallest and largest element of some tensors.
fn span(samples: &[Vec<f64>]) -> Range {
    let elements = || samples.iter().flatten().copied();
    (elements().fold(f64::INFINITY, f64::min), elements().fold(f64::NEG_INFINITY, f64::max))
}

/// The number of a range that is nearest to zero.
fn centre((low, high): Range) -> Range {
    let nearest = 0.0f64.clamp(low, high);
    (nearest, nearest)
}

/// A range that holds another.
fn within((from, to): Range, (low, high): Range) -> Range {
    (low.min(from), high.max(to))
}

/// The widest of the ranges between two that fits, if any does; else the narrowest.
fn widest(narrow: Range, wide: Range, fits: impl Fn(Range) -> bool) -> Range {
    let between = |part: f64| (narrow.0 + (wide.0 - narrow.0) * part, narrow.1 + (wide.1 - narrow.1) * part);
    if narrow == wide || fits(wide) {
        return wide;
    }
    let (mut fitting, mut step) = (0.0, 0.5);
    for _ in 0..N_HALVINGS {
        if fits(between(fitting + step)) {
            fitting += step;
        }
        step /= 2.0;
    }
    between(fitting)
}

/// Of the rows of maps that read the input, the one with the largest sum of magnitudes, as weights of all elements.
fn heaviest_row(network: &Network) -> Vec<f64> {
    let terms = network.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Linear(linear) => Some(&linear.terms),
        NodeKind::Input | NodeKind::Activation(_) => None,
    });
    let reads_input = |term: &&Term| term.operand == NodeId(0) && term.factors.len() == 1;
    let maps = terms.flatten().filter(reads_input).map(|term| &term.factors[0].matrix);
    let rows = maps.flat_map(|map| (0..map.n_rows()).map(move |row| (map, row)));
    let weighed = rows.map(|(map, row)| (map.row(row).map(|(_, w)| w.abs()).sum::<f64>(), map, row));
    let Some((_, map, row)) = weighed.max_by(|a, b| a.0.total_cmp(&b.0)) else { return Vec::new() };
    let mut weights = vec![0.0; map.n_cols()];
    map.row(row).for_each(|(col, weight)| weights[col] = weight);
    weights
}
