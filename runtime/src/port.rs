//! Tensors on their way into and out of slots, checked against the manifest, which is expected to verify.
//!
//! A batch holds a sample for each lane: slot `s` of sample `i` is slot
//! `s * lanes + i` of the ring. A sample is one tensor for each input or output; those of outputs
//! are the row-major elements alone.

use crate::Error;
use hecc_ir::program::Port;
use hecc_ir::{Manifest, Tensor};

/// Slots of the ring for the ciphertexts of every input, in manifest order. Lanes
/// without a sample of their own repeat the others, in order: no lane computes with what is no input, and a
/// client can see that lanes with the same sample have the same result.
///
/// # Errors
/// [`Error::Batch`] for no sample or more than there are lanes; [`Error::Sample`] with what
/// [`pack_one`] refuses.
pub fn pack_batch<S: AsRef<[Tensor]>>(
    manifest: &Manifest,
    samples: &[S],
) -> Result<Vec<Vec<Vec<f64>>>, Error> {
    check_count(manifest, samples.len())?;
    let mut slots = empty(manifest);
    for (sample, tensors) in samples.iter().enumerate() {
        let refused = |cause| Error::Sample { sample, cause: Box::new(cause) };
        pack(manifest, tensors.as_ref(), sample, &mut slots).map_err(refused)?;
    }
    repeat_lanes(manifest, samples.len(), &mut slots);
    Ok(slots)
}

/// As [`pack_batch`] for one sample.
///
/// # Errors
/// When the number of tensors is not the manifest's, a tensor's shape cannot stand for its
/// port's ([`Shape::check`](hecc_ir::Shape::check)), or an element is not a number within the port's range.
pub fn pack_one(manifest: &Manifest, tensors: &[Tensor]) -> Result<Vec<Vec<Vec<f64>>>, Error> {
    let mut slots = empty(manifest);
    pack(manifest, tensors, 0, &mut slots)?;
    repeat_lanes(manifest, 1, &mut slots);
    Ok(slots)
}

/// Fills the lanes after the first ones with what these hold.
fn repeat_lanes(manifest: &Manifest, n_samples: usize, slots: &mut [Vec<Vec<f64>>]) {
    let lanes = manifest.lanes();
    for slot in slots.iter_mut().flatten().flat_map(|ct| ct.chunks_mut(lanes)) {
        (n_samples..lanes).for_each(|lane| slot[lane] = slot[lane - n_samples]);
    }
}

/// The first samples of a batch, from the slots of the ciphertexts of every output.
///
/// # Errors
/// [`Error::Batch`] for no sample or more than there are lanes, and when there are not as
/// many ciphertexts or slots as the manifest says.
pub fn unpack_batch(
    manifest: &Manifest,
    outputs: &[Vec<Vec<f64>>],
    n_samples: usize,
) -> Result<Vec<Vec<Vec<f64>>>, Error> {
    check_count(manifest, n_samples)?;
    let ports = || manifest.outputs.iter().zip(outputs);
    ports().try_for_each(|(port, cts)| check_cts(manifest, port, cts))?;
    let lanes = manifest.lanes();
    let tensor = |sample: usize, port: &Port, cts: &[Vec<f64>]| {
        port.layout.home.iter().map(|p| cts[p.ct as usize][p.slot as usize * lanes + sample]).collect()
    };
    let tensors = |sample: usize| ports().map(|(port, cts)| tensor(sample, port, cts)).collect();
    Ok((0..n_samples).map(tensors).collect())
}

/// Refuses a number of samples that no batch has.
pub(crate) fn check_count(manifest: &Manifest, found: usize) -> Result<(), Error> {
    let lanes = manifest.lanes();
    if (1..=lanes).contains(&found) { Ok(()) } else { Err(Error::Batch { lanes, found }) }
}

fn check_cts(manifest: &Manifest, port: &Port, cts: &[Vec<f64>]) -> Result<(), Error> {
    let (expected, found) = (port.layout.n_cts, cts.len());
    if expected != found {
        return Err(Error::CtCount { port: port.name.clone(), expected, found });
    }
    let expected = manifest.params.n_slots();
    match cts.iter().find(|ct| ct.len() != expected) {
        Some(odd) => Err(Error::Operands(format!("expected {expected} slots, found {}", odd.len()))),
        None => Ok(()),
    }
}

fn empty(manifest: &Manifest) -> Vec<Vec<Vec<f64>>> {
    let n_slots = manifest.params.n_slots();
    manifest.inputs.iter().map(|port| vec![vec![0.0; n_slots]; port.layout.n_cts]).collect()
}

/// Writes a sample into its lane.
fn pack(
    manifest: &Manifest,
    tensors: &[Tensor],
    sample: usize,
    slots: &mut [Vec<Vec<f64>>],
) -> Result<(), Error> {
    let (expected, found, lanes) = (manifest.inputs.len(), tensors.len(), manifest.lanes());
    if found != expected {
        return Err(Error::InputCount { expected, found });
    }
    for ((port, tensor), cts) in manifest.inputs.iter().zip(tensors).zip(slots) {
        check_tensor(port, tensor)?;
        for (index, &value) in tensor.values().iter().enumerate() {
            for place in port.layout.positions(index) {
                cts[place.ct as usize][place.slot as usize * lanes + sample] = value;
            }
        }
    }
    Ok(())
}

fn check_tensor(port: &Port, tensor: &Tensor) -> Result<(), Error> {
    let (expected, found) = (&port.layout.shape, tensor.shape());
    if expected.check(found).is_err() {
        let (expected, found) = (expected.clone(), found.clone());
        return Err(Error::Shape { port: port.name.clone(), expected, found });
    }
    tensor.values().iter().enumerate().try_for_each(|(index, &value)| check_element(port, index, value))
}

fn check_element(port: &Port, index: usize, value: f64) -> Result<(), Error> {
    let (min, max) = port.range;
    if !value.is_finite() {
        return Err(Error::NotFinite { port: port.name.clone(), index, value });
    }
    if !(min..=max).contains(&value) {
        let is_declared = (port.declared.0..=port.declared.1).contains(&value);
        let (min, max) = if is_declared { port.range } else { port.declared };
        return Err(Error::OutOfRange { port: port.name.clone(), index, value, min, max, is_declared });
    }
    Ok(())
}
