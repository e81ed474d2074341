//! Bundles of ciphertexts: the question, for each port its number of ciphertexts, for each
//! ciphertext its scale and its bytes.

use super::{BundleError, Fingerprint, KeyId, Kind, Question, Reader, Writer};
use crate::Error;
use crate::backend::ckks::CkksCt;
use hecc_ckks::{Ciphertext, Context};
use hecc_ir::program::Port;
use hecc_ir::{Manifest, Scale};
use std::sync::Arc;

/// What is the same for all ciphertexts of one key pair and one program.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// The ring.
    pub context: Arc<Context>,
    /// The manifest.
    pub fingerprint: Fingerprint,
    /// The key pair.
    pub keys: KeyId,
}

/// Ciphertexts of every input or output, and the question they ask or answer.
pub(crate) struct Asked {
    pub question: Question,
    pub ports: Vec<Vec<CkksCt>>,
}

impl Binding {
    /// Writes ciphertexts.
    pub(crate) fn write(&self, kind: Kind, asked: &Asked) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new(kind, &self.fingerprint, &self.keys, 0);
        asked.question.write(&mut writer);
        writer.count(asked.ports.len());
        for cts in &asked.ports {
            writer.count(cts.len());
            for ct in cts {
                writer.number(ct.ty().scale.raw() as u64);
                writer.bytes(&ct.inner().to_bytes(&self.context)?);
            }
        }
        Ok(writer.finish())
    }

    /// Reads ciphertexts of the inputs or outputs of a manifest; types are left to check.
    pub(crate) fn read(&self, kind: Kind, bytes: &[u8], manifest: &Manifest) -> Result<Asked, Error> {
        let mut reader = Reader::open(bytes, kind, &self.fingerprint)?;
        reader.expect_keys(self.keys)?;
        let question = Question::read(&mut reader)?;
        let (n_samples, lanes) = (question.n_samples, manifest.lanes());
        if !(1..=lanes).contains(&n_samples) {
            return Err(malformed(format!("it holds {n_samples} samples in {lanes} lanes")));
        }
        let ports = if kind == Kind::Inputs { &manifest.inputs } else { &manifest.outputs };
        let found = reader.count()?;
        if found != ports.len() {
            return Err(malformed(format!("it holds {found} tensors instead of {}", ports.len())));
        }
        let cts = ports.iter().map(|port| read_port(&self.context, &mut reader, port));
        let asked = Asked { question, ports: cts.collect::<Result<_, _>>()? };
        reader.end()?;
        Ok(asked)
    }
}

fn malformed(reason: String) -> Error {
    BundleError::Malformed(reason).into()
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
