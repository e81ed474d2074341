//! Decrypted results of every operation of the evaluator, as JSON.
//!
//! `cargo run --release -p hecc-ckks --example op_results -- --inputs FILE`
//!
//! Inputs are `{"x": [vector, …], "y": [vector, …], "steps": [step, …], "scalar": number}` with
//! vectors of as many values as there are slots; vectors of `x` are encrypted, those
//! of `y` encoded. Prints `{"operation": [slot, …], …}`. `tests/peers/op_results.py`
//! compares them with those of another library and says what each one computes.

mod common;

use clap::Parser;
use common::{Ring, World};
use hecc_ckks::*;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Decrypted results of every operation as JSON", long_about = None)]
struct Options {
    #[command(flatten)]
    ring: Ring,
    /// JSON file of input vectors, steps and a scalar.
    #[arg(long)]
    inputs: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let inputs = Inputs::from_json(&std::fs::read_to_string(&options.inputs)?)?;
    let results = Server::new(World::new(options.ring)?, &inputs)?.results()?;
    println!("{}", Value::Object(results));
    Ok(())
}

struct Inputs {
    x: Vec<Vec<f64>>,
    y: Vec<Vec<f64>>,
    steps: Vec<usize>,
    scalar: f64,
}

impl Inputs {
    fn from_json(text: &str) -> Result<Inputs, serde_json::Error> {
        let mut json: Value = serde_json::from_str(text)?;
        Ok(Inputs {
            x: serde_json::from_value(json["x"].take())?,
            y: serde_json::from_value(json["y"].take())?,
            steps: serde_json::from_value(json["steps"].take())?,
            scalar: serde_json::from_value(json["scalar"].take())?,
        })
    }
}

/// Operands and keys of the operations.
struct Server {
    world: World,
    x: Vec<Ciphertext>,
    y: Vec<Plaintext>,
    steps: Vec<usize>,
    scalar: f64,
    keys: EvalKeys,
}

impl Server {
    fn new(mut world: World, inputs: &Inputs) -> Result<Server, Error> {
        let rotations: Vec<_> = inputs.steps.iter().map(|&step| (step, world.level)).collect();
        Ok(Server {
            keys: world.keygen.eval_keys(Some(world.level), &rotations)?,
            x: inputs.x.iter().map(|vector| world.encrypt(vector)).collect::<Result<_, _>>()?,
            y: inputs.y.iter().map(|vector| world.encode(vector)).collect::<Result<_, _>>()?,
            steps: inputs.steps.clone(),
            scalar: inputs.scalar,
            world,
        })
    }

    /// Slots by operation.
    fn results(&self) -> Result<Map<String, Value>, Error> {
        let named = |(name, ct): (String, Ciphertext)| Ok((name, json!(self.world.decrypt(&ct)?)));
        let groups = [self.linear()?, self.products()?, self.rotations()?, self.chains()?];
        groups.into_iter().flatten().map(named).collect()
    }

    fn linear(&self) -> Result<Vec<(String, Ciphertext)>, Error> {
        let (ev, x, y) = (&self.world.evaluator, &self.x, &self.y);
        Ok(vec![
            ("add".into(), ev.add(&x[0], &x[1])?),
            ("sub".into(), ev.sub(&x[0], &x[1])?),
            ("neg".into(), ev.neg(&x[0])?),
            ("sum".into(), ev.sum(&x.iter().collect::<Vec<_>>())?),
            ("add_plain".into(), ev.add_plain(&x[0], &y[0])?),
            ("drop_level".into(), ev.drop_level(&x[0], self.world.level - 1)?),
        ])
    }

    fn products(&self) -> Result<Vec<(String, Ciphertext)>, Error> {
        let (ev, x, y) = (&self.world.evaluator, &self.x, &self.y);
        let terms: Vec<_> = x.iter().zip(y).collect();
        Ok(vec![
            ("mul_plain".into(), ev.mul_plain(&x[0], &y[0])?),
            ("inner_product".into(), ev.inner_product(&terms)?),
            ("mul_scalar".into(), ev.mul_scalar(&x[0], self.scalar, self.world.scale)?),
            ("mul_relin".into(), self.product(&x[0], &x[1])?),
            ("square_relin".into(), ev.relin(&ev.square(&x[0])?, self.keys.relin_key()?)?),
            ("rescale".into(), ev.rescale(&ev.mul_plain(&x[0], &y[0])?)?),
        ])
    }

    fn rotations(&self) -> Result<Vec<(String, Ciphertext)>, Error> {
        let (ev, x, keys) = (&self.world.evaluator, &self.x, &self.keys.galois);
        let many = ev.rotate_many(&x[0], &self.steps, keys)?;
        let named = self.steps.iter().map(|step| format!("rotate_many {step}")).zip(many);
        Ok([("rotate".into(), ev.rotate(&x[0], self.steps[0], keys)?)].into_iter().chain(named).collect())
    }

    fn chains(&self) -> Result<Vec<(String, Ciphertext)>, Error> {
        let (ev, x) = (&self.world.evaluator, &self.x);
        let first = ev.rescale(&self.product(&x[0], &x[1])?)?;
        let turned = ev.rotate(&first, self.steps[0], &self.keys.galois)?;
        let mixed = ev.rescale(&ev.mul_plain(&turned, &self.y[0])?)?;
        let mut product = x[0].clone();
        while product.level() > 1 {
            product = ev.rescale(&self.product(&product, &x[1])?)?;
        }
        Ok(vec![("product_rotate_product".into(), mixed), ("product_chain".into(), product)])
    }

    fn product(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        let ev = &self.world.evaluator;
        ev.relin(&ev.mul(a, b)?, self.keys.relin_key()?)
    }
}
