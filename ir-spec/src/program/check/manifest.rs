//! Checks of a manifest.

use super::super::{Manifest, Port};
use super::{Errors, ProgramPlace, ProgramRule};
use crate::limits::MAX_CLIENT_BYTES;
use crate::scale::Level;
use std::collections::HashSet;

pub(super) fn check(manifest: &Manifest) -> Errors {
    let mut errors = Errors::default();
    if let Err(error) = manifest.params.check() {
        errors.report(ProgramRule::ParamsSound, ProgramPlace::Params, error.to_string());
        return errors;
    }
    let (place, ports_ask) = (ProgramPlace::Input(0), manifest.port_bytes());
    errors.require(ports_ask <= MAX_CLIENT_BYTES, ProgramRule::PortSound, place, || excess(ports_ask));
    lanes(&mut errors, manifest);
    if errors.0.is_empty() {
        ports(&mut errors, manifest, &manifest.inputs, ProgramPlace::Input);
        ports(&mut errors, manifest, &manifest.outputs, ProgramPlace::Output);
    }
    expectations(&mut errors, manifest);
    keys(&mut errors, manifest);
    errors
}

/// The first port says how many slots the circuit has; the others are to agree.
fn lanes(errors: &mut Errors, manifest: &Manifest) {
    let (of_ring, n_slots) = (manifest.params.n_slots(), manifest.n_slots());
    let place = if manifest.inputs.is_empty() { ProgramPlace::Output(0) } else { ProgramPlace::Input(0) };
    let divides = manifest.params.lanes(n_slots).is_some();
    errors.require(divides, ProgramRule::PortSound, place, || {
        format!("{n_slots} slots do not divide the {of_ring} of the ring")
    });
}

fn excess(bytes: u64) -> String {
    format!("{} GiB of memory are needed, {} are allowed", bytes >> 30, MAX_CLIENT_BYTES >> 30)
}

fn ports(errors: &mut Errors, manifest: &Manifest, ports: &[Port], place: fn(usize) -> ProgramPlace) {
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let place = place(index);
        let new = names.insert(port.name.as_str());
        errors.require(new, ProgramRule::PortSound, place, || format!("the name `{}` is taken", port.name));
        if let Err(error) = port.layout.check(manifest.n_slots()) {
            errors.report(ProgramRule::PortSound, place, error.to_string());
        }
        for (low, high) in [port.range, port.declared] {
            let is_ordered = low <= high;
            errors.require(is_ordered, ProgramRule::PortSound, place, || {
                format!("{low} to {high} is no range")
            });
        }
        let degree = port.ty.degree;
        errors.require(degree == 1, ProgramRule::PortSound, place, || format!("degree {degree} is not 1"));
        errors.type_range(port.ty, &manifest.params, ProgramRule::PortSound, place);
    }
}

fn expectations(errors: &mut Errors, manifest: &Manifest) {
    for (index, port) in manifest.inputs.iter().enumerate().filter(|(_, port)| port.expected.is_some()) {
        let message = format!("{:?} is not decrypted: nothing is expected of it", port.name);
        errors.report(ProgramRule::Expectation, ProgramPlace::Input(index), message);
    }
    for (index, port) in manifest.outputs.iter().enumerate() {
        let none = || Some("nothing says what its decryption shows".to_owned());
        if let Some(problem) = port.expected.as_ref().map_or_else(none, |e| e.problem(&port.layout)) {
            errors.report(ProgramRule::Expectation, ProgramPlace::Output(index), problem);
        }
    }
}

fn keys(errors: &mut Errors, manifest: &Manifest) {
    let (keys, params, n_slots) = (&manifest.keys, &manifest.params, manifest.n_slots());
    let place = ProgramPlace::Keys;
    let any = !keys.rotations.is_empty() || keys.relin.is_some();
    errors.require(!any || !params.p.is_empty(), ProgramRule::KeyRange, place, || {
        "evaluation keys need special primes".to_owned()
    });
    for step in keys.rotations.keys() {
        errors.require(!step.is_zero() && step.get() < n_slots, ProgramRule::KeyRange, place, || {
            format!("step {step} is no rotation of {n_slots} slots")
        });
    }
    let levels = keys.rotations.values().copied().chain(keys.relin);
    for level in levels.filter(|&level: &Level| level > params.max_level()) {
        errors.report(ProgramRule::KeyRange, place, format!("{level} is above {}", params.max_level()));
    }
    let keys_ask = manifest.key_bytes();
    errors.require(keys_ask <= MAX_CLIENT_BYTES, ProgramRule::KeyRange, place, || excess(keys_ask));
}
