//! The type each operation gives its result and what it asks of its operands.
//!
//! Every back end consults these rules before it computes, so that all refuse
//! the same programs.

use crate::Error;
use hecc_ir::{CtType, Level, Params, Scale};

/// Operands of a sum or difference: levels and scales agree, the higher degree
/// is the result's.
pub fn same(a: CtType, b: CtType) -> Result<CtType, Error> {
    if a.level == b.level && a.scale == b.scale {
        return Ok(CtType { degree: a.degree.max(b.degree), ..a });
    }
    Err(refused(format!("cannot add {} and {}", show(a), show(b))))
}

/// A sum of any number of operands but none.
pub fn sum(mut types: impl Iterator<Item = CtType>) -> Result<CtType, Error> {
    let first = types.next().ok_or_else(|| refused("a sum needs an operand".into()))?;
    types.try_fold(first, same)
}

/// Products of ciphertexts and plaintexts, added to a sum of such products if there is one.
pub fn inner_product(
    sum: Option<CtType>,
    products: impl Iterator<Item = Result<CtType, Error>>,
) -> Result<CtType, Error> {
    let types: Vec<CtType> = sum.map(Ok).into_iter().chain(products).collect::<Result<_, _>>()?;
    self::sum(types.into_iter())
}

/// A ciphertext plus a plaintext: level and scale agree.
pub fn add_plain(ct: CtType, level: Level, scale: Scale) -> Result<CtType, Error> {
    if ct.level == level && ct.scale == scale {
        return Ok(ct);
    }
    Err(refused(format!("cannot add a plaintext at {level} scale {scale} to {}", show(ct))))
}

/// A ciphertext times a plaintext: levels agree, scales multiply.
pub fn mul_plain(ct: CtType, level: Level, scale: Scale) -> Result<CtType, Error> {
    if ct.level == level {
        return Ok(CtType { scale: ct.scale + scale, ..ct });
    }
    Err(refused(format!("cannot multiply {} with a plaintext at {level}", show(ct))))
}

/// A product of two ciphertexts: levels agree, both are linear.
pub fn mul(a: CtType, b: CtType) -> Result<CtType, Error> {
    if a.level == b.level && a.degree == 1 && b.degree == 1 {
        return Ok(CtType { level: a.level, scale: a.scale + b.scale, degree: 2 });
    }
    Err(refused(format!("cannot multiply {} and {}", show(a), show(b))))
}

/// A rotation takes linear ciphertexts.
pub fn rotate(ct: CtType) -> Result<CtType, Error> {
    if ct.degree == 1 {
        return Ok(ct);
    }
    Err(refused(format!("cannot rotate {} before it is relinearised", show(ct))))
}

/// A relinearisation leaves degree one.
pub fn relin(ct: CtType) -> Result<CtType, Error> {
    if ct.degree == 2 {
        return Ok(CtType { degree: 1, ..ct });
    }
    Err(refused(format!("cannot relinearise {}", show(ct))))
}

/// A rescale takes away the last prime.
pub fn rescale(ct: CtType, params: &Params) -> Result<CtType, Error> {
    let prime = params.q.get(ct.level.0 as usize);
    match (ct.level.below(), prime) {
        (Some(level), Some(&prime)) => Ok(CtType { level, scale: ct.scale - Scale::of_prime(prime), ..ct }),
        (None, _) | (_, None) => Err(refused(format!("cannot rescale {}", show(ct)))),
    }
}

/// A level drop goes down or stays.
pub fn drop_level(ct: CtType, level: Level) -> Result<CtType, Error> {
    if level <= ct.level {
        return Ok(CtType { level, ..ct });
    }
    Err(refused(format!("cannot raise {} to {level}", show(ct))))
}

fn show(ty: CtType) -> String {
    format!("a ciphertext at {} scale {} degree {}", ty.level, ty.scale, ty.degree)
}

fn refused(reason: String) -> Error {
    Error::Operands(reason)
}
