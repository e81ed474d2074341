//! A folder in which tests run the command, and what it says there.

use super::idx;
use super::npz::array;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Command, Output};
use tempfile::TempDir;
use zip::ZipWriter;

/// The model of a new folder.
pub const MODEL: &str = "model small {
  weights random(seed = 1)
  input x: [1, 4, 4] in 0..1
  f = flatten(x)
  h = dense(f, features = 6)
  a = square(h)
  y = dense(a, features = 3)
  output y
}
";

/// A message without the numbers that name manifests.
fn without_fingerprints(message: &str) -> String {
    let hidden = |word: &str| word.len() == 12 && word.chars().all(|c| c.is_ascii_hexdigit());
    let lines = message.lines().map(|line| {
        let words =
            line.split(' ').map(|word| if hidden(word.trim_end_matches(',')) { "FINGERPRINT" } else { word });
        words.collect::<Vec<_>>().join(" ") + "\n"
    });
    lines.collect()
}

/// A folder with the model `small.hec` and three samples of it, `data.npz`.
pub struct Folder(pub TempDir);

impl Folder {
    pub fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("small.hec", MODEL);
        folder.samples("data.npz", &[1, 4, 4], 0.5);
        folder
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), contents).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Three samples of a shape, around `mean`, labelled 0, 1, 2.
    pub fn samples(&self, name: &str, shape: &[u64], mean: f64) {
        let n: u64 = 3 * shape.iter().product::<u64>();
        let values: Vec<f64> = (0..n).map(|i| mean + 0.4 * (i as f64).sin()).collect();
        let file = std::fs::File::create(self.path(name)).unwrap();
        let mut npz = ZipWriter::new(std::io::BufWriter::new(file));
        array(&mut npz, "x", &[&[3], shape].concat(), values);
        array(&mut npz, "y", &[3], vec![0i64, 1, 2]);
    }

    /// Three images in MNIST's files, labelled 0, 1, 2, as a test part.
    pub fn digits(&self, name: &str, [rows, columns]: [u32; 2]) {
        let pixels: Vec<u8> = (0..3 * rows * columns).map(|i| (i * 37 % 256) as u8).collect();
        std::fs::create_dir(self.path(name)).unwrap();
        let images = idx::idx(&[3, rows, columns], &pixels);
        self.write(&format!("{name}/t10k-images-idx3-ubyte"), images);
        self.write(&format!("{name}/t10k-labels-idx1-ubyte"), idx::idx(&[3], &[0, 1, 2]));
    }

    pub fn hecc(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hecc"));
        command.current_dir(self.0.path()).env("NO_COLOR", "1").args(line.split_whitespace());
        command
    }

    /// What a command prints on a machine without vector instructions.
    pub fn prints_json_without_vectors(&self, line: &str) -> Value {
        let output = self.command(line).env("HECC_INSTRUCTIONS", "portable").output().unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a command prints that succeeds.
    pub fn prints(&self, line: &str) -> String {
        let output = self.hecc(line);
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn prints_json(&self, line: &str) -> Value {
        serde_json::from_str(&self.prints(line)).unwrap()
    }

    pub fn names(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// What a command says that refuses: a code, a place and a next step. It
    /// leaves no file behind.
    pub fn refuses(&self, line: &str) -> String {
        let before = self.names();
        let output = self.hecc(line);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}\n{message}");
        assert!(message.starts_with("error[H"), "{line}\n{message}");
        assert!(message.contains("┌─") || message.contains("-->"), "no place: {line}\n{message}");
        assert!(message.contains("help: "), "no next step: {line}\n{message}");
        assert_eq!(self.names(), before, "{line}");
        self.knows_its_advice(line, &message);
        format!("$ hecc {line}\n{}", without_fingerprints(&message))
    }

    /// Every option that a refusal advises is one of the command, or of the command it names.
    fn knows_its_advice(&self, line: &str, message: &str) {
        let advice: String = message.lines().skip_while(|line| !line.starts_with("help: ")).collect();
        let words = |text: &str| -> Vec<String> {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            text.split(|c: char| !is_part(c)).map(str::to_owned).collect()
        };
        let options = |command: &str| words(&self.prints(&format!("{command} --help")));
        // A command in backticks has options of its own.
        for (part, text) in advice.split('`').enumerate() {
            let named = text.strip_prefix("hecc ").filter(|_| part % 2 == 1);
            let command = named.unwrap_or(line).split_whitespace().take_while(|word| !word.starts_with('-'));
            let command = command.take(2).filter(|word| !word.contains('.')).collect::<Vec<_>>().join(" ");
            let advised = words(text).into_iter().filter(|word| word.starts_with("--"));
            for option in advised.collect::<Vec<_>>() {
                assert!(
                    options(&command).contains(&option),
                    "`{command}` has no {option}: {line}\n{message}"
                );
            }
        }
    }

    pub fn all_refused(&self, lines: &[&str]) -> String {
        lines.iter().map(|line| self.refuses(line)).collect::<Vec<_>>().join("\n")
    }

    /// Compiles, makes keys, encrypts the first sample.
    pub fn deployed() -> Folder {
        let folder = Folder::new();
        folder.prints("compile small.hec");
        folder.prints("keygen small.hecm");
        folder.prints("encrypt small.hecm --data data.npz");
        folder
    }

    /// Writes a file again with one bit flipped.
    pub fn flip(&self, from: &str, to: &str, at: usize) {
        let mut bytes = self.read(from);
        bytes[at] ^= 1 << (at % 8);
        self.write(to, bytes);
    }
}
