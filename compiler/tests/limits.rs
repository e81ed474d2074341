//! Small files that ask for much: each is refused in little memory and time, or costs no more than what is asked of it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers outside of test functions

#[path = "support/folder.rs"]
#[allow(dead_code)]
mod folder;
#[path = "support/idx.rs"]
mod idx;
#[path = "support/npz.rs"]
mod npz;

use folder::Folder;
use hecc_ir::program::{Port, RangeBasis};
use hecc_ir::{
    CtType, KeyPlan, Layout, Level, Manifest, Params, Scale, SecurityLevel, Shape, Step, primes,
    write_manifest,
};
use std::io::{Cursor, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Address space of commands below, in KiB: far less than what the files ask for.
const SPACE: u64 = 1 << 20;
/// Time for a refusal, of a build that is not optimised.
const MOMENT: Duration = Duration::from_secs(20);

/// Runs a command in little address space, in which an allocation that is too large ends the process.
fn confined(folder: &Folder, line: &str) -> (Output, Duration) {
    let script = format!("ulimit -v {SPACE}; exec '{}' {line}", env!("CARGO_BIN_EXE_hecc"));
    let mut command = Command::new("sh");
    // Each thread would reserve address space that it does not use.
    command
        .current_dir(folder.path(""))
        .env("NO_COLOR", "1")
        .env("MALLOC_ARENA_MAX", "1")
        .args(["-c", &script]);
    let start = Instant::now();
    (command.output().unwrap(), start.elapsed())
}

/// What is said of a file that asks for too much.
fn refused(folder: &Folder, line: &str, code: &str) -> String {
    let (output, took) = confined(folder, line);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}\n{said}");
    assert!(said.contains(&format!("error[{code}]")), "{line}\n{said}");
    assert!(took < MOMENT, "{line}: {took:?}");
    said
}

fn accepted(folder: &Folder, line: &str) {
    let (output, _) = confined(folder, line);
    assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A manifest of few bytes whose keys take a hundred gibibytes.
fn greedy_manifest() -> Manifest {
    const N: usize = 1 << 16;
    let candidates = (1u64 << 40..).step_by(2 * N).map(|c| c + 1);
    let mut q: Vec<u64> = candidates.filter(|&c| primes::is_ntt_prime(c, N)).take(21).collect();
    let p = q.split_off(20);
    let params = Params { ring_degree: N, q, p, digit_limbs: 1, security: SecurityLevel::Insecure };
    let ty = CtType { level: params.max_level(), scale: Scale::from_log2(40.0), degree: 1 };
    let layout = Layout::contiguous(Shape(vec![4]), N / 2);
    let (range, basis) = ((0.0, 1.0), RangeBasis::Samples);
    let port = Port { name: "x".into(), layout, ty, range, declared: range, basis, expected: None };
    let rotations = (1..=300).map(|step| (Step::new(step, N / 2), Level(19))).collect();
    let keys = KeyPlan { rotations, relin: None };
    Manifest { name: "greedy".into(), params, inputs: vec![port], outputs: Vec::new(), keys }
}

#[test]
fn keys_of_a_small_manifest_are_counted_before_they_are_made() {
    let folder = Folder::new();
    let manifest = greedy_manifest();
    let bytes = write_manifest(&manifest);
    assert!(
        bytes.len() < 3000 && manifest.key_bytes() > 90 << 30,
        "{} {}",
        bytes.len(),
        manifest.key_bytes()
    );
    folder.write("greedy.hecm", bytes);
    let said = refused(&folder, "keygen greedy.hecm --insecure", "H082");
    assert!(said.contains("evaluation keys") && said.contains("--memory SIZE"), "{said}");
    refused(&folder, "keygen greedy.hecm --insecure --memory 1G", "H082");
}

/// An archive of an array of zeros.
fn zeros(shape: &str, n: usize) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = Cursor::new(Vec::new());
    let mut zip = ZipWriter::new(&mut bytes);
    zip.start_file("x.npy", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"\x93NUMPY\x01\x00").unwrap();
    zip.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
    zip.write_all(header.as_bytes()).unwrap();
    let piece = vec![0; 1 << 20];
    for start in (0..n).step_by(piece.len()) {
        zip.write_all(&piece[..piece.len().min(n - start)]).unwrap();
    }
    zip.finish().unwrap();
    bytes.into_inner()
}

/// Two hundred megabytes of pixels, which take eight times as many as numbers.
#[test]
fn archives_are_read_as_far_as_is_asked() {
    let folder = Folder::new();
    let n = 200 << 20;
    let images = zeros(&format!("({}, 1, 4, 4)", n / 16), n);
    assert!(images.len() < 1 << 20, "{}", images.len());
    folder.write("images.npz", images);
    folder.write("one.npz", zeros(&format!("(1, {n})"), n));
    accepted(&folder, "run small.hec --data images.npz --count 2");
    let said = refused(&folder, "run small.hec --data one.npz", "H023");
    assert!(said.contains("has more than"), "{said}");
    folder.prints("compile small.hec");
    folder.prints("keygen small.hecm");
    accepted(&folder, "encrypt small.hecm --data images.npz --index 3");
    // Weights that are not asked for are not read; those that are have room first.
    folder.write(
        "big.hec",
        "model m { weights \"images.npz\"\n input x: [4] in 0..1\n y = dense(x, weight = \"x\")\n output y }",
    );
    let said = refused(&folder, "compile big.hec", "H004");
    assert!(said.contains("--memory"), "{said}");
}

#[test]
fn archives_that_contradict_themselves_are_refused() {
    let folder = Folder::new();
    let twins = || {
        let mut bytes = Cursor::new(Vec::new());
        let mut zip = ZipWriter::new(&mut bytes);
        npz::array(&mut zip, "x", &[1, 1, 4, 4], vec![0.5f64; 16]);
        npz::array(&mut zip, "z", &[1, 1, 4, 4], vec![0.25f64; 16]);
        zip.finish().unwrap();
        bytes.into_inner()
    };
    let renamed: Vec<u8> = {
        let mut bytes = twins();
        let places: Vec<usize> = (0..bytes.len() - 5).filter(|&at| &bytes[at..at + 5] == b"z.npy").collect();
        places.into_iter().for_each(|at| bytes[at] = b'x');
        bytes
    };
    folder.write("twins.npz", renamed);
    assert!(refused(&folder, "run small.hec --data twins.npz", "H003").contains("one name"));
    // A header that declares more than the entry holds.
    folder.write("less.npz", zeros("(50000000, 1, 4, 4)", 1000));
    assert!(refused(&folder, "run small.hec --data less.npz", "H003").contains("declares"));
}

#[test]
fn long_evaluations_are_refused_by_a_time_limit() {
    let folder = Folder::deployed();
    let said = refused_here(&folder, "eval small.hecp --time-limit 10ms");
    assert!(said.contains("error[H044]") && said.contains("--time-limit"), "{said}");
    assert!(said.contains("10.0ms are allowed"), "{said}");
    folder.prints("eval small.hecp --time-limit 1h");
}

/// As [`Folder::refuses`], in all the memory there is.
fn refused_here(folder: &Folder, line: &str) -> String {
    folder.refuses(line)
}

#[test]
fn control_c_ends_a_command_at_once_and_leaves_nothing() {
    let folder = Folder::new();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/models/lenet5.onnx");
    let before = folder.names();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hecc"));
    command.current_dir(folder.path("")).args(["compile", model]).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let asked = Instant::now();
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "it is a long compilation");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8(output.stderr).unwrap().contains("error[H077]"));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(folder.names(), before);
}

/// Texts and models of few bytes.
#[test]
fn shapes_cost_nothing_until_they_are_allowed() {
    let folder = Folder::new();
    let texts = [
        ("wide", "model m { input x: [100000000000] in 0..1\n y = square(x)\n output y }", "H036"),
        (
            "dense",
            "model m { weights random(seed = 1)\n input x: [60000000] in 0..1\n y = dense(x, features = 60000000)\n output y }",
            "H023",
        ),
    ];
    for (name, text, code) in texts {
        folder.write(&format!("{name}.hec"), text);
        refused(&folder, &format!("compile {name}.hec"), code);
    }
    let many: String = (0..100).map(|i| format!("y{} = dense(y{i}, features = 8000)\n", i + 1)).collect();
    let text =
        format!("model m {{ weights random(seed = 1)\n input y0: [8000] in 0..1\n {many} output y100 }}");
    folder.write("many.hec", text);
    let (output, took) = confined(&folder, "compile many.hec");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(took < MOMENT && said.contains("error[H0"), "{took:?} {said}");
}

#[test]
fn strides_far_beyond_an_image_leave_one_pixel() {
    let folder = Folder::new();
    folder.write(
        "far.hec",
        "model far {
  weights random(seed = 1)
  input image: [1, 4, 4] in 0..1
  a = conv(image, out_channels = 2, kernel = 3, stride = 4294967295)
  b = avg_pool(image, kernel = 2, stride = 65536, padding = 1)
  c = conv(b, out_channels = 2, kernel = 1, stride = 65536)
  d = add(a, c)
  f = flatten(d)
  output f
}
",
    );
    folder.prints("check far.hec --data data.npz --count 1 --backend clear");
}
