//! RNS-CKKS for compiled circuits: approximate arithmetic on encrypted vectors.
//!
//! A [`Context`] holds checked [`Params`]. A [`KeyGenerator`] makes a
//! [`SecretKey`], a [`PublicKey`] and [`EvalKeys`]; an [`Encoder`] turns real
//! vectors into [`Plaintext`]s; keys encrypt and decrypt; an [`Evaluator`]
//! computes. Polynomials stay transformed (NTT), limbs are words modulo primes of
//! 20 to 60 bits, and primes below 2^50 take the fastest kernels. Results do not
//! depend on the number of threads.
//!
//! ```
//! use hecc_ckks::{Context, Encoder, Evaluator, KeyGenerator, Params, SecurityLevel, primes};
//!
//! # fn main() -> Result<(), hecc_ckks::Error> {
//! let q = primes::near(40, 8192, 3, &[])?;
//! let p = primes::below(50, 8192, 1, &q)?;
//! let params = Params { ring_degree: 8192, q, p, digit_limbs: 1, security: SecurityLevel::Classical128 };
//! let ctx = Context::new(&params)?;
//! let mut keygen = KeyGenerator::new(&ctx)?;
//! let keys = keygen.eval_keys(Some(2), &[(1, 2)])?;
//! let (encoder, evaluator) = (Encoder::new(&ctx), Evaluator::new(&ctx));
//!
//! let scale = 2f64.powi(40);
//! let ct = keygen.secret_key().encrypt(&encoder.encode(&[1.0, 2.0, 3.0, 4.0], 2, scale)?)?;
//! let rotated = evaluator.rotate(&ct, 1, &keys.galois)?;
//! let product = evaluator.relin(&evaluator.mul(&ct, &rotated)?, keys.relin_key()?)?;
//! let result = evaluator.rescale(&product)?;
//!
//! let slots = encoder.decode(&keygen.secret_key().decrypt(&result)?, result.scale_log2().exp2())?;
//! assert!((slots[0] - 2.0).abs() < 1e-5 && (slots[3] - 4.0).abs() < 1e-5);
//! # Ok(())
//! # }
//! ```

mod automorphism;
mod basis;
mod buffer;
mod ciphertext;
mod context;
mod crypt;
mod embedding;
mod encoder;
mod error;
mod evaluator;
mod garner;
mod kernels;
mod keys;
mod keyswitch;
mod linear_map;
mod measure;
mod modulus;
mod packed;
mod params;
mod poly;
pub mod primes;
mod sampling;
mod simd;
mod transform;
mod wire;

pub use buffer::release_buffers;
pub use ciphertext::{Ciphertext, Plaintext};
pub use context::Context;
pub use embedding::Embedding;
pub use encoder::{Decoded, Encoder};
pub use error::Error;
pub use evaluator::{Evaluator, Stop};
pub use hecc_security::SecurityLevel;
pub use keys::{EvalKeys, GaloisKey, GaloisKeys, KeyGenerator, KeySwitchKey, PublicKey, SecretKey};
pub use linear_map::LinearMap;
pub use measure::StepTimes;
pub use params::Params;
pub use sampling::{WideGaussian, public_bytes};
pub use simd::Instructions;
