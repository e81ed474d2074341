//! The client's half: the only code that holds a secret key.
//!
//! A [`Client`] makes keys for one manifest, encrypts inputs and decrypts
//! results. What it returns is safe to send, but for [`Client::save`] and what
//! [`Client::decrypt`] returns: an approximate scheme's decryption error depends
//! on the secret key, so exact decrypted values are for the client alone (Li,
//! Micciancio, "On the Security of Homomorphic Encryption on Approximate
//! Numbers", 2021). [`Client::decrypt_to_share`] is for values that others see.

mod sharing;

pub use sharing::{Loss, Shared, Sharing};

use crate::backend::ckks::{self, CkksCt};
use crate::bundle::{Fingerprint, Kind, Reader, Writer, cts};
use crate::executor::expect_type;
use crate::limits::{Held, Limits};
use crate::{Error, port};
use hecc_ckks::{Context, Encoder, KeyGenerator, SecretKey};
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
    fingerprint: Fingerprint,
    context: Arc<Context>,
    encoder: Encoder,
    secret: SecretKey,
    limits: Limits,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("manifest", &self.fingerprint).finish_non_exhaustive()
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
        Ok(Client::assemble(manifest, context, secret))
    }

    fn assemble(manifest: &Manifest, context: Arc<Context>, secret: SecretKey) -> Client {
        let fingerprint = Fingerprint::of(manifest);
        let encoder = Encoder::new(&context);
        let limits = Limits::default();
        Client { manifest: manifest.clone(), fingerprint, context, encoder, secret, limits }
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

    /// The secret key as the bytes of a key file. Wiped when dropped.
    pub fn save(&self) -> Zeroizing<Vec<u8>> {
        let secret = self.secret.to_secret_bytes();
        let mut writer = Writer::new(Kind::SecretKey, &self.fingerprint, secret.len() + size_of::<u64>());
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
        let secret = SecretKey::from_secret_bytes(&context, reader.bytes()?)?;
        reader.end()?;
        Ok(Client::assemble(manifest, context, secret))
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
        let mut writer = Writer::new(Kind::EvalKeys, &self.fingerprint, capacity);
        let written =
            writer.part(|bytes| generator.write_eval_keys(relin, &rotations, bytes, &|| cancel.is_stopped()));
        cancel.check()?;
        written?;
        Ok(writer.finish())
    }

    /// Encrypts one tensor for each input, as a bundle for the server.
    ///
    /// # Errors
    /// When a tensor's shape cannot stand for its input's ([`Shape::check`](hecc_ir::Shape::check)), or
    /// an element is not a number in the declared range; names the first such.
    pub fn encrypt(&self, tensors: &[Tensor]) -> Result<Vec<u8>, Error> {
        self.allow_ports(&self.manifest.inputs)?;
        self.encrypt_slots(Zeroizing::new(port::pack_one(&self.manifest, tensors)?))
    }

    /// Encrypts several samples, each of one tensor for each input, as one bundle:
    /// the server computes them all at once. There are at most as many as
    /// [`Manifest::lanes`]; of fewer, the other lanes compute with zeros.
    ///
    /// # Errors
    /// [`Error::Batch`] for none or too many, [`Error::Sample`] with what
    /// [`Client::encrypt`] refuses of one.
    pub fn encrypt_batch<S: AsRef<[Tensor]>>(&self, samples: &[S]) -> Result<Vec<u8>, Error> {
        self.allow_ports(&self.manifest.inputs)?;
        self.encrypt_slots(Zeroizing::new(port::pack_batch(&self.manifest, samples)?))
    }

    /// Encrypts the slots of the ciphertexts of every input.
    fn encrypt_slots(&self, slots: Zeroizing<Vec<Vec<Vec<f64>>>>) -> Result<Vec<u8>, Error> {
        self.limits.cancel.check()?;
        let inputs = self.manifest.inputs.iter().zip(slots.iter());
        let encrypted = inputs.map(|(port, cts)| self.encrypt_port(port, cts));
        let encrypted: Vec<_> = encrypted.collect::<Result<_, _>>()?;
        cts::write(&self.context, Kind::Inputs, &self.fingerprint, &encrypted)
    }

    fn encrypt_port(&self, port: &Port, cts: &[Vec<f64>]) -> Result<Vec<CkksCt>, Error> {
        cts.par_iter().map(|slots| ckks::encrypt(&self.encoder, &self.secret, slots, port.ty)).collect()
    }

    /// Decrypts a bundle of results to one row-major tensor for each output, for
    /// the client alone: values that others see come from [`Client::decrypt_to_share`].
    ///
    /// # Errors
    /// When the bytes are no bundle of results for this manifest, or a
    /// ciphertext is not of its output's type.
    pub fn decrypt(&self, bundle: &[u8]) -> Result<Vec<Vec<f64>>, Error> {
        Ok(self.decrypt_batch(bundle, 1)?.remove(0))
    }

    /// Decrypts the results of the first `n_samples` samples of a batch, each one row-major
    /// tensor for each output, for the client alone as those of [`Client::decrypt`].
    ///
    /// # Errors
    /// As [`Client::decrypt`], and [`Error::Batch`] for none or more than there are lanes.
    pub fn decrypt_batch(&self, bundle: &[u8], n_samples: usize) -> Result<Vec<Vec<Vec<f64>>>, Error> {
        let ports = &self.manifest.outputs;
        self.allow_ports(ports)?;
        let outputs = cts::read(&self.context, bundle, Kind::Results, &self.fingerprint, ports)?;
        let slots = ports.iter().zip(&outputs).map(|(port, cts)| self.decrypt_port(port, cts));
        let slots = Zeroizing::new(slots.collect::<Result<Vec<_>, _>>()?);
        port::unpack_batch(&self.manifest, &slots, n_samples)
    }

    /// Decrypts a bundle of results to values that may be shared.
    ///
    /// # Errors
    /// As [`Client::decrypt`] and [`Sharing::loss`], and when the system gives no randomness.
    pub fn decrypt_to_share(&self, bundle: &[u8], sharing: Sharing) -> Result<Shared, Error> {
        sharing.apply(Zeroizing::new(self.decrypt(bundle)?))
    }

    /// Refuses ciphertexts that take more memory than they may, with their slots and the bundle they travel in.
    fn allow_ports(&self, ports: &[Port]) -> Result<(), Error> {
        let bytes = ports.iter().map(|port| self.manifest.bytes_of(port)).fold(0, u64::saturating_add);
        self.limits.allow(Held::Ciphertexts, bytes.saturating_mul(2))
    }

    /// Slots of the ciphertexts of an output.
    fn decrypt_port(&self, port: &Port, cts: &[CkksCt]) -> Result<Vec<Vec<f64>>, Error> {
        for (i, ct) in cts.iter().enumerate() {
            expect_type(ct.ty(), port.ty, || format!("ciphertext {i} of output `{}`", port.name))?;
        }
        cts.par_iter().map(|ct| ckks::decrypt(&self.encoder, &self.secret, ct)).collect()
    }
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
