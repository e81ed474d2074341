//! Tensors on their way into and out of slots, checked against the manifest.

use crate::Error;
use hecc_ir::Manifest;
use hecc_ir::program::Port;

/// Slots of the ciphertexts of every input, in manifest order.
///
/// # Errors
/// As [`pack`], or when the number of tensors is not the manifest's.
pub fn pack_all(manifest: &Manifest, tensors: &[Vec<f64>]) -> Result<Vec<Vec<Vec<f64>>>, Error> {
    let expected = manifest.inputs.len();
    if tensors.len() != expected {
        return Err(Error::InputCount { expected, found: tensors.len() });
    }
    manifest.inputs.iter().zip(tensors).map(|(port, tensor)| pack(port, tensor)).collect()
}

/// Slots of the ciphertexts of one input; `tensor` is row-major.
///
/// # Errors
/// When the tensor has another number of elements than the port's shape, or an
/// element is not a number within the port's range.
pub fn pack(port: &Port, tensor: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
    let expected = port.layout.home.len();
    if tensor.len() != expected {
        return Err(Error::Shape { port: port.name.clone(), expected, found: tensor.len() });
    }
    tensor.iter().enumerate().try_for_each(|(index, &value)| check_element(port, index, value))?;
    Ok(port.layout.pack(tensor))
}

/// The row-major tensor of one output.
///
/// # Errors
/// When there are not as many ciphertexts or slots as the layout has.
pub fn unpack(port: &Port, slots: &[Vec<f64>]) -> Result<Vec<f64>, Error> {
    let (expected, found) = (port.layout.n_cts, slots.len());
    if expected != found {
        return Err(Error::CtCount { port: port.name.clone(), expected, found });
    }
    if let Some(odd) = slots.iter().find(|ct| ct.len() != port.layout.n_slots) {
        let (expected, found) = (port.layout.n_slots, odd.len());
        return Err(Error::Operands(format!("expected {expected} slots, found {found}")));
    }
    Ok(port.layout.unpack(slots))
}

fn check_element(port: &Port, index: usize, value: f64) -> Result<(), Error> {
    let (min, max) = port.range;
    if !value.is_finite() {
        return Err(Error::NotFinite { port: port.name.clone(), index, value });
    }
    if !(min..=max).contains(&value) {
        return Err(Error::OutOfRange { port: port.name.clone(), index, value, min, max });
    }
    Ok(())
}
