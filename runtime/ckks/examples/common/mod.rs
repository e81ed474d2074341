//! A ring named on the command line, with one client and one server in it.

#![allow(dead_code)] // Each example uses its own part of it.

use clap::Args;
use hecc_ckks::*;
use std::sync::Arc;

/// Shape of the prime chain; what is not 128-bit secure is refused.
#[derive(Args, Clone, Copy)]
pub struct Ring {
    /// Ring degree N; a ciphertext has N/2 slots.
    #[arg(long, default_value_t = 8192)]
    pub ring_degree: usize,
    /// Ciphertext primes.
    #[arg(long, default_value_t = 4)]
    pub limbs: usize,
    /// Bits of each ciphertext prime, and of the scale.
    #[arg(long, default_value_t = 40)]
    pub bits: u32,
    /// Bits of each special prime.
    #[arg(long, default_value_t = 50)]
    pub special_bits: u32,
    /// Ciphertext primes per key-switching digit; there are as many special primes.
    #[arg(long, default_value_t = 1)]
    pub digit_limbs: usize,
}

impl Ring {
    fn params(self) -> Result<Params, Error> {
        let Ring { ring_degree, limbs, bits, special_bits, digit_limbs } = self;
        let q = primes::near(bits, ring_degree, limbs, &[])?;
        let p = primes::below(special_bits, ring_degree, digit_limbs, &q)?;
        Ok(Params { ring_degree, q, p, digit_limbs, security: SecurityLevel::Classical128 })
    }
}

/// Everything that client and server hold; evaluation keys are made on demand.
pub struct World {
    pub ctx: Arc<Context>,
    pub keygen: KeyGenerator,
    pub encoder: Encoder,
    pub evaluator: Evaluator,
    pub level: usize,
    pub scale: f64,
}

impl World {
    /// Keys are repeatable, encryption is not.
    pub fn new(ring: Ring) -> Result<World, Error> {
        let ctx = Context::new(&ring.params()?)?;
        Ok(World {
            keygen: KeyGenerator::insecure_from_seed(&ctx, 1),
            encoder: Encoder::new(&ctx),
            evaluator: Evaluator::new(&ctx),
            level: ctx.max_level(),
            scale: f64::from(ring.bits).exp2(),
            ctx,
        })
    }

    pub fn galois(&mut self, steps: &[usize]) -> Result<GaloisKeys, Error> {
        let rotations: Vec<_> = steps.iter().map(|&step| (step, self.level)).collect();
        Ok(self.keygen.eval_keys(None, &rotations)?.galois)
    }

    pub fn encode(&self, values: &[f64]) -> Result<Plaintext, Error> {
        self.encoder.encode(values, self.level, self.scale)
    }

    pub fn encrypt(&self, values: &[f64]) -> Result<Ciphertext, Error> {
        self.keygen.secret_key().encrypt(&self.encode(values)?)
    }

    pub fn decrypt(&self, ct: &Ciphertext) -> Result<Vec<f64>, Error> {
        self.encoder.decode(&self.keygen.secret_key().decrypt(ct)?, ct.scale_log2().exp2())
    }
}
