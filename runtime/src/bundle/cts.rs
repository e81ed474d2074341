//! Bundles of ciphertexts: for each port its number of ciphertexts, for each
//! ciphertext its scale and its bytes.

use super::{BundleError, Fingerprint, Kind, Reader, Writer};
use crate::Error;
use crate::backend::ckks::CkksCt;
use hecc_ckks::{Ciphertext, Context};
use hecc_ir::Scale;
use hecc_ir::program::Port;

/// Writes the ciphertexts of every port.
pub(crate) fn write(
    context: &Context,
    kind: Kind,
    fingerprint: &Fingerprint,
    ports: &[Vec<CkksCt>],
) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new(kind, fingerprint, 0);
    writer.count(ports.len());
    for cts in ports {
        writer.count(cts.len());
        for ct in cts {
            writer.number(ct.ty().scale.raw() as u64);
            writer.bytes(&ct.inner().to_bytes(context)?);
        }
    }
    Ok(writer.finish())
}

/// Reads the ciphertexts of `ports`; types are left to check.
pub(crate) fn read(
    context: &Context,
    bytes: &[u8],
    kind: Kind,
    fingerprint: &Fingerprint,
    ports: &[Port],
) -> Result<Vec<Vec<CkksCt>>, Error> {
    let mut reader = Reader::open(bytes, kind, fingerprint)?;
    let found = reader.count()?;
    if found != ports.len() {
        let reason = format!("it holds {found} tensors instead of {}", ports.len());
        return Err(BundleError::Malformed(reason).into());
    }
    let cts = ports.iter().map(|port| read_port(context, &mut reader, port)).collect::<Result<_, _>>()?;
    reader.end()?;
    Ok(cts)
}

fn read_port(context: &Context, reader: &mut Reader, port: &Port) -> Result<Vec<CkksCt>, Error> {
    let (expected, found) = (port.layout.n_cts, reader.count()?);
    if found != expected {
        return Err(Error::CtCount { port: port.name.clone(), expected, found });
    }
    (0..found).map(|_| read_ct(context, reader)).collect()
}

fn read_ct(context: &Context, reader: &mut Reader) -> Result<CkksCt, Error> {
    let scale = Scale::from_raw(reader.number()? as i64);
    let malformed = |e: hecc_ckks::Error| BundleError::Malformed(e.to_string());
    let inner = Ciphertext::from_bytes(context, reader.bytes()?).map_err(malformed)?;
    Ok(CkksCt::new(inner, scale))
}
