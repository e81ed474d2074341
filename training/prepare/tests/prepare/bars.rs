//! A small network and images of bars, to prepare and to compile.

use crate::idx;
use clap::Parser;
use hecc::cli::args::ModelArgs;
use hecc::cli::form::Form;
use hecc::cli::session::{self, Built};
use hecc::diag::Diagnostics;
use hecc::front::{LoadOptions, load};
use hecc::model::Model;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

pub const MODEL: &str = "model bars {
  weights random(seed = 1)
  input x: [1, 8, 8] in 0..1
  c = conv(x, out_channels = 4, kernel = 3)
  r = relu(c)
  p = max_pool(r, kernel = 2)
  f = flatten(p)
  h = dense(f, features = 16)
  s = silu(h)
  y = dense(s, features = 3)
  output y
}
";

/// A command line that compiles.
#[derive(Parser)]
struct CompileLine {
    #[command(flatten)]
    model: ModelArgs,
}

/// A folder with the model `bars.hec` and images of bars in MNIST's files, `bars/`:
/// class 0 has a row, class 1 a column, class 2 both.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::write(folder.0.path().join("bars.hec"), MODEL).unwrap();
        std::fs::create_dir(folder.0.path().join("bars")).unwrap();
        folder.images("train", 600, 1);
        folder.images("t10k", 90, 2);
        folder
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn images(&self, part: &str, n: u32, seed: u64) {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for sample in 0..n {
            let class = sample % 3;
            let (row, column) = (random(8), random(8));
            for pixel in 0..64 {
                let is_bar = (class != 1 && pixel / 8 == row) || (class != 0 && pixel % 8 == column);
                pixels.push((random(60) + if is_bar { 180 } else { 0 }) as u8);
            }
            labels.push(class as u8);
        }
        let write = |kind: &str, bytes: Vec<u8>| {
            std::fs::write(self.path(&format!("bars/{part}-{kind}-ubyte")), bytes).unwrap();
        };
        write("images-idx3", idx::idx(&[n, 8, 8], &pixels));
        write("labels-idx1", idx::idx(&[n], &labels));
    }

    /// The command, not yet run.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hecc-prepare"));
        command.current_dir(self.0.path()).args(line.split(' '));
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    pub fn json(&self, line: &str) -> Value {
        let output = self.run(&format!("{line} --json"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn code(&self, line: &str) -> String {
        let output = self.run(&format!("{line} --json"));
        assert!(!output.status.success(), "`{line}` should be refused");
        let diagnostics: Value = serde_json::from_slice(&output.stderr).unwrap();
        diagnostics[0]["code"].as_str().unwrap().to_owned()
    }

    /// Compiles a model that was prepared, by the samples that were written beside it.
    pub fn compile(&self, name: &str) -> Result<Built, Diagnostics> {
        let [model, samples] = [".hec", "-samples.npz"].map(|suffix| self.path(&format!("{name}{suffix}")));
        let line = ["hecc compile".into(), model, "--calibrate".into(), samples];
        session::build(&CompileLine::parse_from(line).model, Form::Json)
    }

    pub fn model(&self, name: &str) -> Model {
        load(&self.path(name), &LoadOptions::default()).unwrap()
    }
}
