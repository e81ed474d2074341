//! The client's half: the only code that holds a secret key.
//!
//! A [`Client`] makes keys for one manifest, encrypts inputs and decrypts
//! results. What it returns is safe to send, but for [`Client::save`] and what
//! [`Client::decrypt`] returns: an approximate scheme's decryption error depends
//! on the secret key, so exact decrypted values are for the client alone (Li,
//! Micciancio, "On the Security of Homomorphic Encryption on Approximate
//! Numbers", 2021). [`Client::decrypt_to_share`] is for values that others see.

mod answer;
mod sharing;

pub use answer::{promised_error, standing_out};
pub use sharing::{Loss, Shared, Sharing};

use crate::backend::ckks::{self, CkksCt};
use crate::bundle::cts::{Asked, Binding};
use crate::bundle::{Fingerprint, InputId, KeyId, Kind, Question, Reader, Writer};
use crate::executor::expect_type;
use crate::limits::{Held, Limits};
use crate::notice::{self, Evidence};
use crate::{Error, port};
use hecc_ckks::{Context, Decoded, Encoder, KeyGenerator, SecretKey};
use hecc_ir::program::Port;
use hecc_ir::{KeyPlan, Manifest, SecurityLevel, Tensor, artifact};
use rayon::prelude::*;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes that a key takes in a bundle beside its residues, and those around all of them, at most.
const KEY_OVERHEAD: usize = 64;

/// Secret key and manifest of one client of one program.
pub struct Client {
    manifest: Manifest,
    binding: Binding,
    encoder: Encoder,
    secret: SecretKey,
    limits: Limits,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("manifest", &self.binding.fingerprint).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a secret key for the manifest in a file's bytes.
    ///
    /// # Errors
    /// When the bytes are no manifest, and as [`Client::generate`].
    pub fn from_manifest(bytes: &[u8]) -> Result<Client, Error> {
        Client::generate(&artifact::read_manifest(bytes)?)
    }

    /// Makes a secret key.
    ///
    /// # Errors
    /// When the manifest is invalid or its parameters give less than 128-bit
    /// security.
    pub fn generate(manifest: &Manifest) -> Result<Client, Error> {
        Client::generate_demanding(SecurityLevel::Classical128, manifest)
    }

    /// Makes a secret key even if the manifest says that it gives no security:
    /// for tests and experiments.
    ///
    /// # Errors
    /// When the manifest is invalid.
    pub fn generate_insecure(manifest: &Manifest) -> Result<Client, Error> {
        Client::generate_demanding(SecurityLevel::Insecure, manifest)
    }

    /// Makes a secret key if the manifest promises `demanded` security or more.
    ///
    /// # Errors
    /// [`Error::Security`] when it promises less, and when it is invalid.
    pub fn generate_demanding(demanded: SecurityLevel, manifest: &Manifest) -> Result<Client, Error> {
        let context = checked_context(demanded, manifest)?;
        let secret = SecretKey::generate(&context)?;
        Ok(Client::assemble(manifest, context, secret, KeyId::draw()?))
    }

    fn assemble(manifest: &Manifest, context: Arc<Context>, secret: SecretKey, keys: KeyId) -> Client {
        let encoder = Encoder::new(&context);
        let binding = Binding { context, fingerprint: Fingerprint::of(manifest), keys };
        let limits = Limits::default();
        Client { manifest: manifest.clone(), binding, encoder, secret, limits }
    }

    /// The same client with other limits: of the memory that keys and ciphertexts may take, which is what is
    /// free by default, and a token that stops the making of keys.
    pub fn with_limits(self, limits: Limits) -> Client {
        Client { limits, ..self }
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Identity of the secret key and of the evaluation keys made of it. Anyone may know it.
    pub fn keys(&self) -> KeyId {
        self.binding.keys
    }

    fn writer(&self, kind: Kind, capacity: usize) -> Writer {
        Writer::new(kind, &self.binding.fingerprint, &self.binding.keys, capacity)
    }

    /// The secret key as the bytes of a key file. Wiped when dropped.
    pub fn save(&self) -> Zeroizing<Vec<u8>> {
        let secret = self.secret.to_secret_bytes();
        let mut writer = self.writer(Kind::SecretKey, secret.len() + size_of::<u64>());
        writer.bytes(&secret);
        Zeroizing::new(writer.finish())
    }

    /// Reads a key file that [`Client::save`] wrote for the same manifest.
    ///
    /// # Errors
    /// When the bytes are not such a file, and as [`Client::generate`].
    pub fn load(manifest: &Manifest, bytes: &[u8]) -> Result<Client, Error> {
        Client::load_demanding(SecurityLevel::Classical128, manifest, bytes)
    }

    /// As [`Client::load`] for parameters without security.
    ///
    /// # Errors
    /// When the bytes are not a key file for the manifest.
    pub fn load_insecure(manifest: &Manifest, bytes: &[u8]) -> Result<Client, Error> {
        Client::load_demanding(SecurityLevel::Insecure, manifest, bytes)
    }

    /// As [`Client::load`] for another level than 128 bits.
    ///
    /// # Errors
    /// When the bytes are not a key file for the manifest, and as [`Client::generate_demanding`].
    pub fn load_demanding(
        demanded: SecurityLevel,
        manifest: &Manifest,
        bytes: &[u8],
    ) -> Result<Client, Error> {
        let context = checked_context(demanded, manifest)?;
        let mut reader = Reader::open(bytes, Kind::SecretKey, &Fingerprint::of(manifest))?;
        let (keys, secret) = (reader.keys(), SecretKey::from_secret_bytes(&context, reader.bytes()?)?);
        reader.end()?;
        Ok(Client::assemble(manifest, context, secret, keys))
    }

    /// The evaluation keys the program needs, as a bundle for the server.
    ///
    /// # Errors
    /// When the system gives no randomness; [`Error::Memory`] for more than may be taken, [`Error::Cancelled`].
    pub fn eval_keys(&self) -> Result<Vec<u8>, Error> {
        let cancel = self.limits.token();
        self.limits.allow(Held::Keys, self.manifest.keygen_bytes())?;
        let (KeyPlan { relin, rotations }, lanes) = (&self.manifest.keys, self.manifest.lanes());
        let rotations: Vec<_> =
            rotations.iter().map(|(step, level)| (step.get() * lanes, level.0 as usize)).collect();
        let mut generator = KeyGenerator::from_secret(self.secret.clone())?;
        let relin = relin.map(|level| level.0 as usize);
        let capacity = self.manifest.sent_key_bytes() as usize + KEY_OVERHEAD * (rotations.len() + 2);
        let mut writer = self.writer(Kind::EvalKeys, capacity);
        let written =
            writer.part(|bytes| generator.write_eval_keys(relin, &rotations, bytes, &|| cancel.is_stopped()));
        cancel.check()?;
        written?;
        Ok(writer.finish())
    }

    /// Encrypts one tensor for each input, as a bundle for the server.
    /// [`Question::of`] the bundle tells its result from others.
    ///
    /// # Errors
    /// When a tensor's shape cannot stand for its input's ([`Shape::check`](hecc_ir::Shape::check)), or
    /// an element is not a number in the declared range; names the first such.
    pub fn encrypt(&self, tensors: &[Tensor]) -> Result<Vec<u8>, Error> {
        self.allow_ports(&self.manifest.inputs)?;
        self.encrypt_slots(1, Zeroizing::new(port::pack_one(&self.manifest, tensors)?))
    }

    /// Encrypts several samples, each of one tensor for each input, as one bundle:
    /// the server computes them all at once. There are at most as many as
    /// [`Manifest::lanes`]; of fewer, the other lanes repeat them.
    ///
    /// # Errors
    /// [`Error::Batch`] for none or too many, [`Error::Sample`] with what
    /// [`Client::encrypt`] refuses of one.
    pub fn encrypt_batch<S: AsRef<[Tensor]>>(&self, samples: &[S]) -> Result<Vec<u8>, Error> {
        self.allow_ports(&self.manifest.inputs)?;
        self.encrypt_slots(samples.len(), Zeroizing::new(port::pack_batch(&self.manifest, samples)?))
    }

    /// Encrypts the slots of the ciphertexts of every input.
    fn encrypt_slots(
        &self,
        n_samples: usize,
        slots: Zeroizing<Vec<Vec<Vec<f64>>>>,
    ) -> Result<Vec<u8>, Error> {
        self.limits.cancel.check()?;
        let question = Question { input: InputId::draw()?, n_samples };
        let inputs = self.manifest.inputs.iter().zip(slots.iter());
        let encrypted = inputs.map(|(port, cts)| self.encrypt_port(port, cts));
        let ports = encrypted.collect::<Result<_, _>>()?;
        self.binding.write(Kind::Inputs, &Asked { question, ports })
    }

    fn encrypt_port(&self, port: &Port, cts: &[Vec<f64>]) -> Result<Vec<CkksCt>, Error> {
        cts.par_iter().map(|slots| ckks::encrypt(&self.encoder, &self.secret, slots, port.ty)).collect()
    }

    /// Decrypts a bundle of results to one row-major tensor for each output, for
    /// the client alone: values that others see come from [`Client::decrypt_to_share`].
    /// Which input they answer is not asked; [`Client::decrypt_answer`] does.
    ///
    /// # Errors
    /// When the bytes are no bundle of results for this manifest and key pair, when a
    /// ciphertext is not of its output's type, and [`Error::Implausible`] when no run of the program on inputs
    /// that it was compiled for gives such a result.
    pub fn decrypt(&self, bundle: &[u8]) -> Result<Vec<Vec<f64>>, Error> {
        Ok(self.decrypt_batch(bundle, 1)?.remove(0))
    }

    /// Decrypts the results of the first `n_samples` samples of a batch, each one row-major
    /// tensor for each output, for the client alone as those of [`Client::decrypt`].
    ///
    /// # Errors
    /// As [`Client::decrypt`]; [`Error::Batch`] for none or more than there are lanes, [`Error::Samples`] for
    /// more than were encrypted.
    pub fn decrypt_batch(&self, bundle: &[u8], n_samples: usize) -> Result<Vec<Vec<Vec<f64>>>, Error> {
        port::check_count(&self.manifest, n_samples)?;
        let Opened { question: Question { n_samples: encrypted, .. }, outputs } = self.open(bundle)?;
        if n_samples > encrypted {
            return Err(Error::Samples { encrypted, asked: n_samples });
        }
        notice::refuse(&self.evidence_of(&outputs, encrypted))?;
        let slots = outputs.into_iter().map(|cts| cts.into_iter().map(real).collect()).collect();
        port::unpack_batch(&self.manifest, &Zeroizing::<Vec<Vec<Vec<f64>>>>::new(slots), n_samples)
    }

    /// As [`Client::decrypt_batch`] for all samples of an encryption, of which the client kept the question.
    ///
    /// # Errors
    /// As [`Client::decrypt`], and when the results answer another question.
    pub fn decrypt_answer(&self, bundle: &[u8], question: &Question) -> Result<Vec<Vec<Vec<f64>>>, Error> {
        question.check(Question::answered(bundle)?)?;
        self.decrypt_batch(bundle, question.n_samples)
    }

    /// Decrypts the results of a single sample to values that may be shared.
    ///
    /// # Errors
    /// As [`Client::decrypt`] and [`Sharing::loss`], [`Error::SharedError`] when the bound of the error is smaller than the
    /// error that the manifest promises, when a value is too large for the steps, when the bundle holds results of
    /// several samples, and when the system gives no randomness.
    pub fn decrypt_to_share(&self, bundle: &[u8], sharing: Sharing) -> Result<Shared, Error> {
        if Question::answered(bundle)?.n_samples > 1 {
            return Err(Error::Sharing(
                "results of several samples cannot be shared: encrypt one sample alone",
            ));
        }
        sharing.loss(self.manifest.outputs.iter().map(|port| port.layout.home.len()).sum())?;
        let results = Zeroizing::new(self.decrypt(bundle)?);
        self.check_bound(sharing.error(), &results)?;
        sharing.apply(results)
    }

    /// Refuses a bound of the error of results that the manifest does not promise to hold. Whether it does depends on these
    /// results and their errors, so that the answer is for the client alone.
    fn check_bound(&self, stated: f64, results: &[Vec<f64>]) -> Result<(), Error> {
        let ports = self.manifest.outputs.iter().zip(results);
        let promised = ports.map(|(port, values)| promised_error(port, values));
        // Where nothing is promised, the bound is the caller's alone.
        match promised.filter(|error| error.is_finite()).reduce(f64::max) {
            Some(promised) if stated < promised => Err(Error::SharedError { stated, least: promised }),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses ciphertexts that take more memory than they may, with their slots and the bundle they travel in.
    fn allow_ports(&self, ports: &[Port]) -> Result<(), Error> {
        let bytes = ports.iter().map(|port| self.manifest.bytes_of(port)).fold(0, u64::saturating_add);
        self.limits.allow(Held::Ciphertexts, bytes.saturating_mul(2))
    }

    /// What tells whether a bundle of results is one, by output, for the client alone: decrypting
    /// refuses it if any of them has a notice.
    ///
    /// # Errors
    /// As [`Client::decrypt`], except [`Error::Implausible`].
    pub fn evidence(&self, bundle: &[u8]) -> Result<Vec<Evidence>, Error> {
        let Opened { question, outputs } = self.open(bundle)?;
        Ok(self.evidence_of(&outputs, question.n_samples))
    }

    fn evidence_of(&self, outputs: &[Vec<Decoded>], n_samples: usize) -> Vec<Evidence> {
        let ports = self.manifest.outputs.iter().zip(outputs);
        ports.map(|(port, cts)| Evidence::of(&self.manifest, port, cts, n_samples)).collect()
    }

    /// Decrypts every ciphertext of a bundle of results.
    fn open(&self, bundle: &[u8]) -> Result<Opened, Error> {
        self.allow_ports(&self.manifest.outputs)?;
        let Asked { question, ports } = self.binding.read(Kind::Results, bundle, &self.manifest)?;
        let outputs = self.manifest.outputs.iter().zip(&ports);
        let outputs = outputs.map(|(port, cts)| self.decrypt_port(port, cts)).collect::<Result<_, _>>()?;
        Ok(Opened { question, outputs })
    }

    fn decrypt_port(&self, port: &Port, cts: &[CkksCt]) -> Result<Vec<Decoded>, Error> {
        for (i, ct) in cts.iter().enumerate() {
            expect_type(ct.ty(), port.ty, || format!("ciphertext {i} of output `{}`", port.name))?;
        }
        cts.par_iter().map(|ct| ckks::decrypt(&self.encoder, &self.secret, ct)).collect()
    }
}

/// Decrypted results, before anything is known of them.
struct Opened {
    question: Question,
    outputs: Vec<Vec<Decoded>>,
}

/// The slots, for the caller to wipe.
fn real(mut decoded: Decoded) -> Vec<f64> {
    std::mem::take(&mut *decoded.real)
}

fn checked_context(demanded: SecurityLevel, manifest: &Manifest) -> Result<Arc<Context>, Error> {
    let promised = manifest.params.security;
    if promised < demanded {
        return Err(Error::Security { promised, demanded });
    }
    manifest.verify().map_err(Error::Manifest)?;
    Limits::default().allow(Held::Ring, manifest.ring_bytes())?;
    Ok(Context::new(&ckks::params(&manifest.params))?)
}
