//! Tells results from noise.
//!
//! The slots of a circuit are real, so that the imaginary part of a decrypted slot is error; slots
//! that are zero in every result decrypt to error too, and lanes without a sample of their own repeat others. Another
//! key, a damaged or a foreign ciphertext make all of these as large as the modulus. Values that outgrow the
//! modulus wrap around: coefficients move by multiples of it. That leaves imaginary parts small, since the
//! encoding of real slots is symmetric and wraps symmetrically, but it shows in zero slots and in coefficients
//! near the modulus.
//!
//! Inputs unlike those that a program was compiled on may have errors that are small and still larger than promised. Zero slots,
//! lanes and imaginary parts show those of encryption and key switching. Those of rounded plaintexts are real, and none where a
//! plaintext is one number, so that they show in zero slots or lanes, or not at all: precision on inputs unlike the samples is
//! first of all a matter of compilation.
//!
//! # Samples
//!
//! Samples of a batch have slots of their own, and errors of their own size. So every sample is judged by its own slots, within
//! one ciphertext, and by the size of its own results: a coarse one does not hide among precise ones. Samples with fewer than
//! [`MIN_TESTED_SLOTS`] slots in a ciphertext are pooled with their neighbours until they have as many. Slots of several
//! ciphertexts are never pooled: errors at the same slot have the same factor in common, which follows from the secret key.
//!
//! # False alarms
//!
//! The error of a slot is Gaussian once the secret key is given. Averaged over keys, its variance is at
//! most σ², the square of [`Expected::error`]; for one key, the slot's variance is that times e²/2 at worst, where e, the squared
//! magnitude of the secret at that slot, has the exponential distribution. (For most errors it is e; errors of ciphertexts of
//! degree two have e².) A test looks at the root mean square of k different slots, [`MIN_TESTED_SLOTS`] or more, and gives
//! a false alarm beyond [`EXCESS`]·σ. Then either the mean of e²/2 exceeds v = [`EXCESS`], which has
//! probability at most
//!
//! k·exp(-L) + exp(-k·(c - 1 - ln c)) with c = 2v/L, for any L,
//!
//! since the mean of e² is at most that of e times the largest e (Chernoff's bound for sums of
//! exponential variables); or a Gaussian vector has a square more than r = [`EXCESS`]²/v times its mean, which
//! has probability at most exp(-(r - 1 - ln r)/2), however its elements are correlated. With L = 44 + ln k the sum
//! is below 2^-62.7. For every 16 slots there are at most four tests, two of absolute errors and two of relative ones, for empty
//! slots hold no lanes. So all of a thousand ciphertexts of 2^14 slots, however these are divided among samples, give a false
//! alarm with a probability below 2^-40. A test of this module computes it.
//!
//! Lanes of one sample are compared with their mean: their distances from it are no larger, in their sum of squares, than their errors.
//!
//! The precision that is promised is tested alike, with the largest standard deviation that is predicted for it in place of σ and
//! errors relative to the size of their own sample's results.

use crate::Error;
use hecc_ckks::Decoded;
use hecc_ir::Manifest;
use hecc_ir::noise::{NoiseModel, larger};
use hecc_ir::program::{Expected, MIN_TESTED_SLOTS, Port};
use std::fmt;
use std::iter::StepBy;
use std::ops::Range;

/// Errors may be as many times as large as their largest standard deviation.
pub const EXCESS: f64 = 128.0;

/// Coefficients are as far from the modulus as a sixteenth of it: those that wrap by a little come to lie between.
const LARGEST_SHARE: f64 = 7.0 / 16.0;

/// Errors above this share of the modulus hide what wraps around, whatever was predicted.
const LARGEST_ERROR_SHARE: f64 = 1.0 / 32.0;

/// A decrypted output as far as it tells whether it is a result. Numbers are in slot units unless they say otherwise; they
/// are for the client alone, as the result is. Root mean squares are those of the sample, or of the few that are looked at
/// together, and of the ciphertext where they are largest; they are NaN where any slot that they are of is no number.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Name of the output.
    pub output: String,
    /// Root mean square of the imaginary parts.
    pub imaginary: f64,
    /// Root mean square of slots that are zero in every result; none where there are fewer than [`MIN_TESTED_SLOTS`].
    pub zeros: Option<f64>,
    /// Root mean square of the distances of lanes that hold the same sample from their mean; none where there are fewer than
    /// [`MIN_TESTED_SLOTS`] slots in such lanes.
    pub lanes: Option<f64>,
    /// The largest of the three when errors are relative to the [size](hecc_ir::program::Promise::size) of their own sample's results.
    pub relative: f64,
    /// Largest magnitude of a coefficient.
    pub coefficient: f64,
    /// The element that is farthest from the middle of the output's range.
    pub farthest: Element,
    /// Bounds that a result keeps.
    pub bounds: Bounds,
}

/// An element of an output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Element {
    /// Sample it belongs to.
    pub sample: usize,
    /// Row-major index.
    pub index: usize,
    /// What it decrypts to.
    pub value: f64,
}

/// What is allowed for an output, in slot units unless it is said otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// For root mean squares of errors.
    pub error: f64,
    /// For the same in an output that is as precise as promised, relative to the size of results.
    pub promised: f64,
    /// For coefficients.
    pub coefficient: f64,
    /// For elements.
    pub range: (f64, f64),
}

/// A sign that an output is no result of its program on an input that the program was compiled for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Notice {
    /// Imaginary parts are larger than errors.
    Imaginary {
        /// Their root mean square.
        found: f64,
        /// The largest that is allowed.
        allowed: f64,
    },
    /// Slots that hold nothing are not empty.
    Zeros {
        /// The root mean square of what they hold.
        found: f64,
        /// The largest that is allowed.
        allowed: f64,
    },
    /// Lanes that hold the same sample differ.
    Lanes {
        /// The root mean square of their differences.
        found: f64,
        /// The largest that is allowed.
        allowed: f64,
    },
    /// Errors are larger than the precision that was promised.
    Coarse {
        /// Their root mean square, relative to the size of their sample's results.
        found: f64,
        /// The largest that is allowed.
        allowed: f64,
    },
    /// An element is outside the range of its output.
    Range {
        /// The element.
        element: Element,
        /// The range.
        range: (f64, f64),
    },
    /// A coefficient is so large that others may have wrapped around.
    Coefficient {
        /// The largest one.
        found: f64,
        /// The largest that is allowed.
        allowed: f64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Notice::Imaginary { found, allowed } => {
                write!(f, "its imaginary parts are {found:.1e} where errors are at most {allowed:.1e}")
            }
            Notice::Zeros { found, allowed } => {
                write!(f, "its empty slots hold {found:.1e} where errors are at most {allowed:.1e}")
            }
            Notice::Lanes { found, allowed } => {
                write!(f, "copies of a sample differ by {found:.1e} where errors are at most {allowed:.1e}")
            }
            Notice::Coarse { found, allowed } => {
                write!(f, "its errors are {found:.1e} of its size where {allowed:.1e} is promised")
            }
            Notice::Range { element: Element { index, value, .. }, range: (min, max) } => {
                write!(f, "element {index} is {value:.4e}, outside the expected {min:.4e} to {max:.4e}")
            }
            Notice::Coefficient { found, allowed } => {
                write!(f, "its largest coefficient is {found:.1e} where {allowed:.1e} is expected at most")
            }
        }
    }
}

/// What notices may mean, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Errors of the size of the modulus: another key, or a damaged or foreign ciphertext.
    Foreign,
    /// Errors are small, values are not: they outgrew what the program was compiled for.
    Overflow,
    /// Errors are larger than promised, and nothing else is wrong.
    Coarse,
}

impl Cause {
    /// The likely cause of notices.
    pub fn of(notices: &[Notice]) -> Cause {
        let cause = |notice: &Notice| match notice {
            Notice::Imaginary { .. } => Cause::Foreign,
            Notice::Zeros { .. } | Notice::Lanes { .. } => Cause::Overflow,
            Notice::Range { .. } | Notice::Coefficient { .. } => Cause::Overflow,
            Notice::Coarse { .. } => Cause::Coarse,
        };
        notices.iter().map(cause).min().unwrap_or(Cause::Overflow)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Foreign => {
                "another key, a damaged or foreign ciphertext, or an input far beyond what the program was \
                 compiled for"
            }
            Cause::Overflow => "values outgrew what the program was compiled for",
            Cause::Coarse => "the input is unlike those that the program was compiled on",
        })
    }
}

impl Evidence {
    /// Every way in which this is no result.
    pub fn notices(&self) -> Vec<Notice> {
        let Bounds { error: allowed, promised, coefficient, range } = self.bounds;
        let exceeds = |found: f64, allowed: f64| !matches!(found.partial_cmp(&allowed), Some(o) if o.is_le());
        let beyond = |found: Option<f64>| found.filter(|&found| exceeds(found, allowed));
        let imaginary = beyond(Some(self.imaginary)).map(|found| Notice::Imaginary { found, allowed });
        let zeros = beyond(self.zeros).map(|found| Notice::Zeros { found, allowed });
        let lanes = beyond(self.lanes).map(|found| Notice::Lanes { found, allowed });
        let value = self.farthest.value;
        let is_inside = value.is_finite() && (range.0..=range.1).contains(&value);
        let outside = (!is_inside).then_some(Notice::Range { element: self.farthest, range });
        let near = exceeds(self.coefficient, coefficient)
            .then_some(Notice::Coefficient { found: self.coefficient, allowed: coefficient });
        let seen: Vec<Notice> = [imaginary, zeros, lanes, outside, near].into_iter().flatten().collect();
        let coarse = seen.is_empty() && exceeds(self.relative, promised);
        let coarse = coarse.then_some(Notice::Coarse { found: self.relative, allowed: promised });
        seen.into_iter().chain(coarse).collect()
    }

    /// Looks at the ciphertexts of an output, in which so many lanes hold samples.
    pub(crate) fn of(manifest: &Manifest, port: &Port, cts: &[Decoded], n_samples: usize) -> Evidence {
        let lanes = manifest.lanes();
        let expected = port.expected.as_ref().expect("outputs of a manifest that verifies have expectations");
        let elements = || elements(port, cts, lanes, n_samples);
        let batch = Batch { lanes, n_samples, sizes: sizes(expected, elements(), n_samples) };
        let imaginary = batch.imaginary(cts);
        let (zeros, differences) = (batch.zeros(expected, cts), batch.differences(port, cts));
        let errors = [zeros, differences].into_iter().flatten().fold(imaginary, Errors::or);
        Evidence {
            output: port.name.clone(),
            imaginary: imaginary.absolute,
            zeros: zeros.map(|errors| errors.absolute),
            lanes: differences.map(|errors| errors.absolute),
            relative: errors.relative,
            coefficient: cts.iter().map(|ct| ct.largest_coefficient).fold(0.0, larger),
            farthest: farthest(port, elements()),
            bounds: Bounds::of(manifest, port, expected),
        }
    }
}

impl Bounds {
    fn of(manifest: &Manifest, port: &Port, expected: &Expected) -> Bounds {
        let log_modulus = NoiseModel::new(&manifest.params).log_modulus(port.ty.level);
        let modulus = (log_modulus - port.ty.scale.log2()).exp2();
        let error = (EXCESS * expected.error).min(LARGEST_ERROR_SHARE * modulus);
        let coefficient = expected.coefficient.min(LARGEST_SHARE * modulus);
        let promised = expected.promise.precision.max(EXCESS * expected.promise.deviation);
        Bounds { error, promised, coefficient, range: (port.range.0 - error, port.range.1 + error) }
    }
}

/// Root mean squares of the errors in some slots.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Errors {
    /// In slot units.
    absolute: f64,
    /// Relative to the size of the sample that each slot belongs to.
    relative: f64,
}

impl Errors {
    const NONE: Errors = Errors { absolute: 0.0, relative: 0.0 };

    /// The larger of both.
    fn or(self, other: Errors) -> Errors {
        let absolute = larger(self.absolute, other.absolute);
        Errors { absolute, relative: larger(self.relative, other.relative) }
    }
}

/// The samples that share the slots of ciphertexts.
struct Batch {
    /// Lanes, of which each sample has one or more.
    lanes: usize,
    n_samples: usize,
    /// What the errors of each sample are relative to.
    sizes: Vec<f64>,
}

impl Batch {
    /// The lanes that hold a sample: its own, and those that repeat it.
    fn lanes_of(&self, sample: usize) -> StepBy<Range<usize>> {
        (sample..self.lanes).step_by(self.n_samples)
    }

    /// Errors in the imaginary parts of all slots.
    fn imaginary(&self, cts: &[Decoded]) -> Errors {
        let of_ct = |ct: &Decoded| {
            let slots: Vec<usize> = (0..ct.imaginary.len() / self.lanes).collect();
            self.largest(&ct.imaginary, &slots)
        };
        cts.iter().map(of_ct).fold(Errors::NONE, Errors::or)
    }

    /// Errors in slots that hold nothing.
    fn zeros(&self, expected: &Expected, cts: &[Decoded]) -> Option<Errors> {
        let of_ct = |(index, ct): (usize, &Decoded)| {
            let slots: Vec<usize> = expected.zero_slots(index).collect();
            (slots.len() * self.lanes >= MIN_TESTED_SLOTS).then(|| self.largest(&ct.real, &slots))
        };
        cts.iter().enumerate().filter_map(of_ct).reduce(Errors::or)
    }

    /// Distances of lanes that hold the same sample from their mean, in all slots with elements.
    fn differences(&self, port: &Port, cts: &[Decoded]) -> Option<Errors> {
        let of_ct = |(index, ct): (usize, &Decoded)| {
            let homes = port.layout.home.iter().filter(|home| home.ct as usize == index);
            self.largest_difference(&ct.real, &homes.map(|home| home.slot as usize).collect::<Vec<_>>())
        };
        cts.iter().enumerate().filter_map(of_ct).reduce(Errors::or)
    }

    /// The largest errors of a pool of samples, of the ring's slots, where these slots of the circuit hold nothing else.
    fn largest(&self, values: &[f64], slots: &[usize]) -> Errors {
        let of_sample = |sample: usize| {
            slots.iter().flat_map(move |slot| self.held(&values[slot * self.lanes..], sample))
        };
        let pools = pools(self.n_samples, slots.len() * (self.lanes / self.n_samples));
        pools.map(|pool| self.errors(pool.flat_map(of_sample))).fold(Errors::NONE, Errors::or)
    }

    /// The same for distances from the mean. The first samples alone have more than one lane where not all have.
    fn largest_difference(&self, values: &[f64], slots: &[usize]) -> Option<Errors> {
        let n_repeated = self.n_samples.min(self.lanes - self.n_samples);
        let n_lanes: usize = (0..n_repeated).map(|sample| self.lanes_of(sample).len()).sum();
        if slots.len() * n_lanes < MIN_TESTED_SLOTS {
            return None;
        }
        let of_sample = |sample: usize| {
            slots.iter().flat_map(move |slot| self.distances(&values[slot * self.lanes..], sample))
        };
        let pools = pools(n_repeated, slots.len() * (self.lanes / self.n_samples).max(2));
        Some(pools.map(|pool| self.errors(pool.flat_map(of_sample))).fold(Errors::NONE, Errors::or))
    }

    /// A sample with what each of its lanes holds in a slot of the circuit, given all lanes.
    fn held(&self, lanes: &[f64], sample: usize) -> impl Iterator<Item = (usize, f64)> {
        self.lanes_of(sample).map(move |i| (sample, lanes[i]))
    }

    /// The same for how far they are from their mean.
    fn distances(&self, lanes: &[f64], sample: usize) -> impl Iterator<Item = (usize, f64)> {
        let mean = self.held(lanes, sample).map(|(_, x)| x).sum::<f64>() / self.lanes_of(sample).len() as f64;
        self.held(lanes, sample).map(move |(sample, x)| (sample, x - mean))
    }

    /// Root mean squares of errors, each with the sample that it belongs to.
    fn errors(&self, errors: impl Iterator<Item = (usize, f64)>) -> Errors {
        let (mut n, mut absolute, mut relative) = (0usize, 0.0, 0.0);
        for (sample, error) in errors {
            n += 1;
            absolute += error * error;
            relative += (error / self.sizes[sample]).powi(2);
        }
        let root = |squares: f64| (squares / n.max(1) as f64).sqrt();
        Errors { absolute: root(absolute), relative: root(relative) }
    }
}

/// Divides samples, each of so many slots or more, into pools of [`MIN_TESTED_SLOTS`] or more; one where all of them have fewer.
fn pools(n_samples: usize, n_slots: usize) -> impl Iterator<Item = Range<usize>> {
    let together = MIN_TESTED_SLOTS.div_ceil(n_slots.max(1));
    let n_pools = (n_samples / together).max(1);
    (0..n_pools).map(move |i| i * n_samples / n_pools..(i + 1) * n_samples / n_pools)
}

/// What the errors of each sample are relative to.
fn sizes(expected: &Expected, elements: impl Iterator<Item = Element>, n_samples: usize) -> Vec<f64> {
    let mut largest = vec![0.0f64; n_samples];
    elements.for_each(|Element { sample, value, .. }| largest[sample] = largest[sample].max(value.abs()));
    largest.into_iter().map(|largest| expected.promise.size(largest)).collect()
}

/// All elements of an output.
fn elements(port: &Port, cts: &[Decoded], lanes: usize, n_samples: usize) -> impl Iterator<Item = Element> {
    port.layout.home.iter().enumerate().flat_map(move |(index, p)| {
        let lane = &cts[p.ct as usize].real[p.slot as usize * lanes..][..n_samples];
        lane.iter().enumerate().map(move |(sample, &value)| Element { sample, index, value })
    })
}

/// The element that is farthest from the middle of the range; one that is not a number, if there is one.
fn farthest(port: &Port, elements: impl Iterator<Item = Element>) -> Element {
    let middle = (port.range.0 / 2.0 + port.range.1 / 2.0).clamp(f64::MIN, f64::MAX);
    let distance = |element: &Element| (element.value - middle).abs();
    elements.max_by(|a, b| distance(a).total_cmp(&distance(b))).expect("a tensor has elements")
}

/// Refuses outputs that are no results.
///
/// # Errors
/// [`Error::Implausible`] with the first such output.
pub(crate) fn refuse(evidence: &[Evidence]) -> Result<(), Error> {
    let found = evidence.iter().map(|evidence| (&evidence.output, evidence.notices()));
    match found.into_iter().find(|(_, notices)| !notices.is_empty()) {
        Some((output, notices)) => Err(Error::Implausible { output: output.clone(), notices }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bound of the probability that a test of k slots gives a false alarm.
    fn false_alarm(k: f64) -> f64 {
        let (variance, l) = (EXCESS, 44.0 + k.ln());
        let c = 2.0 * variance / l;
        let r = EXCESS * EXCESS / variance;
        let of_key = k * (-l).exp() + (-k * (c - 1.0 - c.ln())).exp();
        of_key + (-(r - 1.0 - r.ln()) / 2.0).exp()
    }

    #[test]
    fn false_alarms_are_rarer_than_one_in_two_to_the_forty() {
        let (tests, slots) = (4.0, 1024.0 * 16384.0);
        for k in [MIN_TESTED_SLOTS, 64, 512, 8192, 32768] {
            let (bound, pools) = (false_alarm(k as f64), slots / k as f64);
            assert!(bound < (-62.7f64).exp2() && tests * pools * bound < (-40f64).exp2(), "{k}: {bound:e}");
        }
        // Of fewer slots nothing like it can be said.
        assert!(false_alarm(4.0) > (-40f64).exp2());
    }

    fn evidence() -> Evidence {
        let bounds = Bounds { error: 1.0, promised: 0.75, coefficient: 10.0, range: (-5.0, 5.0) };
        let farthest = Element { sample: 0, index: 2, value: -4.0 };
        let (output, imaginary, coefficient) = (String::from("y"), 0.5, 3.0);
        let (zeros, lanes, relative) = (Some(0.5), None, 0.5);
        Evidence { output, imaginary, zeros, lanes, relative, coefficient, farthest, bounds }
    }

    #[test]
    fn each_bound_is_held() {
        type Change = fn(&mut Evidence);
        assert_eq!(evidence().notices(), []);
        let changes: [(Change, &str); 11] = [
            (|e| e.relative = 0.8, "its errors are 8.0e-1 of its size where 7.5e-1 is promised"),
            (|e| e.relative = f64::NAN, "its errors are NaN of its size where 7.5e-1 is promised"),
            (|e| e.imaginary = 2.0, "its imaginary parts are 2.0e0 where errors are at most 1.0e0"),
            (|e| e.imaginary = f64::NAN, "its imaginary parts are NaN where errors are at most 1.0e0"),
            (|e| e.zeros = Some(2.0), "its empty slots hold 2.0e0 where errors are at most 1.0e0"),
            (|e| e.zeros = Some(f64::NAN), "its empty slots hold NaN where errors are at most 1.0e0"),
            (|e| e.lanes = Some(2.0), "copies of a sample differ by 2.0e0 where errors are at most 1.0e0"),
            (|e| e.coefficient = f64::NAN, "its largest coefficient is NaN where 1.0e1 is expected at most"),
            (|e| e.coefficient = 11.0, "its largest coefficient is 1.1e1 where 1.0e1 is expected at most"),
            (|e| e.farthest.value = 6.0, "element 2 is 6.0000e0, outside the expected -5.0000e0 to 5.0000e0"),
            (|e| e.farthest.value = f64::NAN, "element 2 is NaN, outside the expected -5.0000e0 to 5.0000e0"),
        ];
        for (change, message) in changes {
            let mut changed = evidence();
            change(&mut changed);
            let notices = changed.notices();
            assert_eq!(notices.iter().map(ToString::to_string).collect::<Vec<_>>(), [message]);
            let cause = match message.split(' ').nth(1) {
                Some("imaginary") => Cause::Foreign,
                Some("errors") => Cause::Coarse,
                _ => Cause::Overflow,
            };
            assert_eq!(Cause::of(&notices), cause, "{message}");
        }
    }

    /// An element that is infinite is no result, even where nobody knows a range.
    #[test]
    fn results_are_finite() {
        let mut unbounded = evidence();
        unbounded.bounds.range = (f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(unbounded.notices(), []);
        unbounded.farthest.value = f64::INFINITY;
        assert!(matches!(unbounded.notices()[..], [Notice::Range { .. }]));
    }

    /// So many samples in so many lanes, with results of these sizes.
    fn batch(lanes: usize, sizes: &[f64]) -> Batch {
        Batch { lanes, n_samples: sizes.len(), sizes: sizes.to_vec() }
    }

    /// What the slots of a circuit hold in every lane: what `of` says of each lane.
    fn slots(n_slots: usize, lanes: usize, of: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..n_slots * lanes).map(|i| of(i % lanes)).collect()
    }

    #[test]
    fn samples_are_judged_each_by_itself() {
        let sizes = [1.0, 100.0, 1e-3, 1.0];
        let values = slots(32, 4, |lane| [1e-6, 1e-6, 1e-6, 0.5][lane]);
        let found = batch(4, &sizes).largest(&values, &(0..32).collect::<Vec<usize>>());
        assert_eq!(found.absolute, 0.5);
        let values = slots(32, 4, |_| 1e-6);
        let found = batch(4, &sizes).largest(&values, &(0..32).collect::<Vec<usize>>());
        assert!((found.absolute / 1e-6 - 1.0).abs() < 1e-9 && (found.relative / 1e-3 - 1.0).abs() < 1e-9);
        // The third sample is in lanes 2 and 6, which differ.
        let values = slots(16, 8, |lane| if lane == 6 { 3.0 } else { (lane % 4) as f64 });
        let found = batch(8, &sizes).largest_difference(&values, &(0..16).collect::<Vec<usize>>());
        assert_eq!(found, Some(Errors { absolute: 0.5, relative: 500.0 }));
    }

    #[test]
    fn pools_hold_every_sample_once_and_enough_slots() {
        for (n_samples, n_slots) in [(1, 1), (1, 64), (3, 5), (7, 16), (8, 15), (40, 1), (100, 3), (5, 0)] {
            let found: Vec<Range<usize>> = pools(n_samples, n_slots).collect();
            assert!(found.iter().cloned().flatten().eq(0..n_samples));
            let enough = |pool: &Range<usize>| pool.len() * n_slots >= MIN_TESTED_SLOTS;
            assert!(found.iter().all(enough) || found.len() == 1, "{found:?}");
            let has_most = |pool: &Range<usize>| (pool.len() / 2) * n_slots < MIN_TESTED_SLOTS;
            assert!(found.iter().all(has_most), "{found:?}");
        }
    }

    /// Of a few lanes alone nothing can be said.
    #[test]
    fn few_slots_are_not_tested_alone() {
        let large = slots(2, 8, |lane| lane as f64);
        assert_eq!(batch(8, &[1.0; 7]).largest_difference(&large, &[0, 1]), None);
        assert!(batch(8, &[1.0; 4]).largest_difference(&large, &[0, 1]).is_some());
        // Eight lanes of two slots are one pool.
        let one = slots(2, 8, |lane| if lane == 3 { 4.0 } else { 0.0 });
        let found = batch(8, &[1.0; 8]).largest(&one, &[0, 1]);
        assert_eq!(found.absolute, 2f64.sqrt());
    }

    #[test]
    fn a_slot_that_is_no_number_is_not_lost() {
        for nan in 0..4 {
            let values = slots(16, 4, |lane| if lane == nan { f64::NAN } else { 0.0 });
            let found = batch(4, &[1.0; 4]).largest(&values, &(0..16).collect::<Vec<usize>>());
            assert!(found.absolute.is_nan() && found.relative.is_nan());
            for errors in [found.or(Errors::NONE), Errors::NONE.or(found)] {
                assert!(errors.absolute.is_nan() && errors.relative.is_nan());
            }
        }
    }
}
