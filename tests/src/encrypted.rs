//! Client and server of one program in one process; what they exchange are
//! bytes, as between two machines.

use hecc_ir::{Program, SecurityLevel, Tensor, artifact};
use hecc_runtime::Error;
use hecc_runtime::client::Client;
use hecc_runtime::notice::Evidence;
use hecc_runtime::server::{Server, Session};

/// Both halves, with keys made and loaded.
pub struct Connected {
    client: Client,
    session: Session,
}

impl Connected {
    /// Sets up both halves.
    ///
    /// # Panics
    /// If one of them refuses the program.
    pub fn new(program: &Program) -> Connected {
        let secure = program.manifest.params.security >= SecurityLevel::Classical128;
        let generate = if secure { Client::generate } else { Client::generate_insecure };
        let client = generate(&program.manifest).expect("the manifest is sound");
        let server = Server::load(&artifact::write_program(program)).expect("the program is sound");
        let session = server.session(&client.eval_keys().expect("keys are made")).expect("keys fit");
        Connected { client, session }
    }

    /// Encrypts, evaluates, decrypts.
    ///
    /// # Panics
    /// If one of the halves refuses what the other sent.
    pub fn predict(&self, input: &[f64]) -> Vec<f64> {
        self.predict_batch(&[input.to_vec()]).remove(0)
    }

    /// The same for several inputs at once.
    ///
    /// # Panics
    /// As [`Connected::predict`].
    pub fn predict_batch(&self, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        self.try_predict_batch(inputs).expect("the result is sound")
    }

    /// The same, unless decryption refuses the result.
    ///
    /// # Errors
    /// As [`Client::decrypt_batch`].
    ///
    /// # Panics
    /// If an input or what was sent is refused.
    pub fn try_predict_batch(&self, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Error> {
        let results = self.client.decrypt_batch(&self.evaluate(inputs), inputs.len())?;
        Ok(results.into_iter().map(|mut outputs| outputs.remove(0)).collect())
    }

    /// What the decryption of the first output shows.
    ///
    /// # Panics
    /// As [`Connected::predict`].
    pub fn evidence(&self, inputs: &[Vec<f64>]) -> Evidence {
        self.client.evidence(&self.evaluate(inputs)).expect("the result is readable").remove(0)
    }

    fn evaluate(&self, inputs: &[Vec<f64>]) -> Vec<u8> {
        let shape = &self.client.manifest().inputs[0].layout.shape;
        let tensor = |input: &Vec<f64>| Tensor::new(shape.clone(), input.clone()).expect("inputs are whole");
        let batch: Vec<_> = inputs.iter().map(|input| [tensor(input)]).collect();
        let sent = self.client.encrypt_batch(&batch).expect("the inputs are sound");
        self.session.eval(&sent).expect("the ciphertexts are sound").bundle
    }
}
