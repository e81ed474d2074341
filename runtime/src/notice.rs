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
//! # False alarms
//!
//! The error of a slot is Gaussian once the secret key is given. Averaged over keys, its variance is at
//! most σ², the square of [`Expected::error`]; for one key, the slot's variance is that times e²/2 at worst, where e, the squared
//! magnitude of the secret at that slot, has the exponential distribution. (For most errors it is e; errors of ciphertexts of
//! degree two have e².) A test looks at the root mean square of k slots, [`MIN_TESTED_SLOTS`] or more, and gives
//! a false alarm beyond [`EXCESS`]·σ. Then either the mean of e²/2 exceeds v = [`EXCESS`], which has
//! probability at most
//!
//! k·exp(-L) + exp(-k·(c - 1 - ln c)) with c = 2v/L, for any L,
//!
//! since the mean of e² is at most that of e times the largest e (Chernoff's bound for sums of
//! exponential variables); or a Gaussian vector has a square more than r = [`EXCESS`]²/v times its mean, which
//! has probability at most exp(-(r - 1 - ln r)/2), however its elements are correlated. With L = 36 + ln k the sum
//! is below 2^-51, and below 2^-40 for the tests of a thousand ciphertexts. A test of this module computes it.
//!
//! The precision that is promised is tested alike, with the root mean square that is predicted for it in place of σ.

use crate::Error;
use hecc_ckks::Decoded;
use hecc_ir::noise::NoiseModel;
use hecc_ir::program::{Expected, MIN_TESTED_SLOTS, Port};
use hecc_ir::{Manifest, Position};
use std::fmt;

/// Errors may be as many times as large as their largest standard deviation.
pub const EXCESS: f64 = 128.0;

/// Coefficients are as far from the modulus as a sixteenth of it: those that wrap by a little come to lie between.
const LARGEST_SHARE: f64 = 7.0 / 16.0;

/// Errors above this share of the modulus hide what wraps around, whatever was predicted.
const LARGEST_ERROR_SHARE: f64 = 1.0 / 32.0;

/// A decrypted output as far as it tells whether it is a result. All numbers are in slot units; they
/// are for the client alone, as the result is.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Name of the output.
    pub output: String,
    /// Root mean square of the imaginary parts in the ciphertext where it is largest.
    pub imaginary: f64,
    /// The same of slots that are zero in every result; none where there are fewer than [`MIN_TESTED_SLOTS`].
    pub zeros: Option<f64>,
    /// Root mean square of the differences between lanes that hold the same sample, if some do.
    pub lanes: Option<f64>,
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

/// What is allowed for an output, in slot units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// For root mean squares of errors.
    pub error: f64,
    /// For the same, in an output that is as precise as promised.
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
        /// Their root mean square.
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
                write!(f, "its errors are {found:.1e} where {allowed:.1e} is promised")
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
        let is_inside = (range.0..=range.1).contains(&self.farthest.value);
        let outside = (!is_inside).then_some(Notice::Range { element: self.farthest, range });
        let near = exceeds(self.coefficient, coefficient)
            .then_some(Notice::Coefficient { found: self.coefficient, allowed: coefficient });
        let seen: Vec<Notice> = [imaginary, zeros, lanes, outside, near].into_iter().flatten().collect();
        let shown = [Some(self.imaginary), self.zeros, self.lanes].into_iter().flatten();
        let found = shown.fold(0.0, f64::max);
        let coarse = seen.is_empty() && exceeds(found, promised);
        seen.into_iter().chain(coarse.then_some(Notice::Coarse { found, allowed: promised })).collect()
    }

    /// Looks at the ciphertexts of an output, in which so many lanes hold samples.
    pub(crate) fn of(manifest: &Manifest, port: &Port, cts: &[Decoded], n_samples: usize) -> Evidence {
        let lanes = manifest.lanes();
        let expected = port.expected.as_ref().expect("outputs of a manifest that verifies have expectations");
        let largest = |of: fn(&Decoded) -> f64| cts.iter().map(of).fold(0.0, f64::max);
        let elements = || elements(port, cts, lanes, n_samples);
        Evidence {
            output: port.name.clone(),
            imaginary: largest(|ct| rms(ct.imaginary.iter().copied())),
            zeros: zeros(expected, cts, lanes),
            lanes: (n_samples < lanes).then(|| differences(port, cts, lanes, n_samples)),
            coefficient: largest(|ct| ct.largest_coefficient),
            farthest: farthest(port, elements()),
            bounds: Bounds::of(
                manifest,
                port,
                expected,
                elements().map(|e| e.value.abs()).fold(0.0, f64::max),
            ),
        }
    }
}

impl Bounds {
    /// Of an output with this largest magnitude.
    fn of(manifest: &Manifest, port: &Port, expected: &Expected, largest: f64) -> Bounds {
        let log_modulus = NoiseModel::new(&manifest.params).log_modulus(port.ty.level);
        let modulus = (log_modulus - port.ty.scale.log2()).exp2();
        let error = (EXCESS * expected.error).min(LARGEST_ERROR_SHARE * modulus);
        let coefficient = expected.coefficient.min(LARGEST_SHARE * modulus);
        let promise = expected.promise;
        let promised = promise.size(largest) * promise.precision.max(EXCESS * promise.rms);
        Bounds { error, promised, coefficient, range: (port.range.0 - error, port.range.1 + error) }
    }
}

fn rms(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    (values.map(|x| x * x).sum::<f64>() / n.max(1.0)).sqrt()
}

/// The root mean square of what empty slots hold, in the ciphertext where it is largest.
fn zeros(expected: &Expected, cts: &[Decoded], lanes: usize) -> Option<f64> {
    let of_ct = |(index, ct): (usize, &Decoded)| {
        let blocks = expected.zero_slots(index).map(|slot| &ct.real[slot * lanes..(slot + 1) * lanes]);
        let values: Vec<f64> = blocks.flatten().copied().collect();
        (values.len() >= MIN_TESTED_SLOTS).then(|| rms(values.iter().copied()))
    };
    cts.iter().enumerate().filter_map(of_ct).reduce(f64::max)
}

/// The root mean square of the differences between what lanes without a sample of their own hold and what they repeat.
fn differences(port: &Port, cts: &[Decoded], lanes: usize, n_samples: usize) -> f64 {
    let of_place = |p: &Position| {
        let lane = &cts[p.ct as usize].real[p.slot as usize * lanes..][..lanes];
        (n_samples..lanes).map(move |i| lane[i] - lane[i % n_samples])
    };
    let differences: Vec<f64> = port.layout.home.iter().flat_map(of_place).collect();
    rms(differences.iter().copied()) / std::f64::consts::SQRT_2
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
        let (variance, l) = (EXCESS, 36.0 + k.ln());
        let c = 2.0 * variance / l;
        let r = EXCESS * EXCESS / variance;
        let of_key = k * (-l).exp() + (-k * (c - 1.0 - c.ln())).exp();
        of_key + (-(r - 1.0 - r.ln()) / 2.0).exp()
    }

    #[test]
    fn false_alarms_are_rarer_than_one_in_two_to_the_forty() {
        let (tests, cts) = (3.0, 1024.0);
        for k in [MIN_TESTED_SLOTS, 64, 512, 8192, 32768] {
            let bound = false_alarm(k as f64);
            assert!(bound < (-51f64).exp2() && tests * cts * bound < (-40f64).exp2(), "{k}: {bound:e}");
        }
        // Of fewer slots nothing like it can be said.
        assert!(false_alarm(4.0) > (-40f64).exp2());
    }

    fn evidence() -> Evidence {
        let bounds = Bounds { error: 1.0, promised: 0.75, coefficient: 10.0, range: (-5.0, 5.0) };
        let farthest = Element { sample: 0, index: 2, value: -4.0 };
        let (output, imaginary, coefficient) = (String::from("y"), 0.5, 3.0);
        Evidence { output, imaginary, zeros: Some(0.5), lanes: None, coefficient, farthest, bounds }
    }

    #[test]
    fn each_bound_is_held() {
        type Change = fn(&mut Evidence);
        assert_eq!(evidence().notices(), []);
        let changes: [(Change, &str); 9] = [
            (|e| e.imaginary = 0.8, "its errors are 8.0e-1 where 7.5e-1 is promised"),
            (|e| e.zeros = Some(0.8), "its errors are 8.0e-1 where 7.5e-1 is promised"),
            (|e| e.imaginary = 2.0, "its imaginary parts are 2.0e0 where errors are at most 1.0e0"),
            (|e| e.imaginary = f64::NAN, "its imaginary parts are NaN where errors are at most 1.0e0"),
            (|e| e.zeros = Some(2.0), "its empty slots hold 2.0e0 where errors are at most 1.0e0"),
            (|e| e.lanes = Some(2.0), "copies of a sample differ by 2.0e0 where errors are at most 1.0e0"),
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
}
