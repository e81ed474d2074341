//! Damaged files are refused or read; they never make the front ends panic.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

#[path = "support/onnx.rs"]
#[allow(dead_code)]
mod support;

#[path = "support/graphs.rs"]
mod graphs;
#[path = "support/idx.rs"]
mod idx;
#[path = "support/npz.rs"]
mod npz;
#[path = "support/png.rs"]
mod pictures;

use hecc::diag::Diagnostics;
use hecc::front::weights::TensorFile;
use hecc::front::{LoadOptions, data::DataSet, hec, onnx};
use proptest::prelude::*;
use proptest::sample::Index;
use std::path::{Path, PathBuf};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn read(name: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A change of a file: bytes replaced, cut out, repeated or inserted.
#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, u8),
    Cut(Index, usize),
    Repeat(Index, usize),
    Insert(Index, Vec<u8>),
    Truncate(Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let edit = prop_oneof![
        6 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        2 => (at(), 1usize..40).prop_map(|(at, n)| Edit::Cut(at, n)),
        2 => (at(), 1usize..40).prop_map(|(at, n)| Edit::Repeat(at, n)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, b)| Edit::Insert(at, b)),
        1 => at().prop_map(Edit::Truncate),
    ];
    prop::collection::vec(edit, 1..6)
}

fn apply(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    edits.iter().fold(bytes.to_vec(), |mut bytes, edit| {
        if bytes.is_empty() {
            return bytes;
        }
        let n_bytes = bytes.len();
        let part = |at: &Index, n: usize| at.index(n_bytes)..(at.index(n_bytes) + n).min(n_bytes);
        match edit {
            Edit::Replace(at, byte) => bytes[at.index(n_bytes)] = *byte,
            Edit::Cut(at, n) => drop(bytes.drain(part(at, *n))),
            Edit::Repeat(at, n) => {
                let copy = bytes[part(at, *n)].to_vec();
                bytes.splice(at.index(n_bytes)..at.index(n_bytes), copy);
            }
            Edit::Insert(at, new) => drop(bytes.splice(at.index(n_bytes)..at.index(n_bytes), new.clone())),
            Edit::Truncate(at) => bytes.truncate(at.index(n_bytes)),
        }
        bytes
    })
}

fn import(bytes: &[u8]) {
    for accept_unfriendly in [false, true] {
        import_with(bytes, &LoadOptions { accept_unfriendly, ..LoadOptions::default() });
    }
}

fn import_with(bytes: &[u8], options: &LoadOptions) {
    let mut diagnostics = Diagnostics::new();
    let model = onnx::import(Path::new("no/such/folder/net.onnx"), bytes, options, &mut diagnostics);
    assert_eq!(model.is_none(), diagnostics.has_errors());
    if let Some(model) = model {
        assert_eq!(model.check(), Ok(()));
    }
    diagnostics.render(true);
}

fn translate(text: &str) {
    for accept_unfriendly in [false, true] {
        translate_with(text, &LoadOptions { accept_unfriendly, ..LoadOptions::default() });
    }
}

fn translate_with(text: &str, options: &LoadOptions) {
    let weights = TensorFile::parse("w", &tiny_weights()).unwrap();
    let mut diagnostics = Diagnostics::new();
    let mut read = |_: &str| Ok(weights.clone());
    let model = hec::translate("m.hec", text, &mut read, options, &mut diagnostics);
    assert_eq!(model.is_none(), diagnostics.has_errors());
    if let Some(model) = model {
        assert_eq!(model.check(), Ok(()));
    }
    diagnostics.render(true);
}

fn tiny_weights() -> Vec<u8> {
    let header = br#"{"w":{"dtype":"F32","shape":[2,1,3,3],"data_offsets":[0,72]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([0x3c; 72]);
    bytes
}

/// A stored archive of one array that NumPy could have written.
fn tiny_archive() -> Vec<u8> {
    use std::io::Cursor;
    let mut bytes = Cursor::new(Vec::new());
    let mut archive = ZipWriter::new(&mut bytes);
    for name in ["x", "y"] {
        npz::array(&mut archive, name, &[4], vec![1i64, 2, 3, 4]);
    }
    archive.finish().unwrap();
    bytes.into_inner()
}

/// Asks for every tensor there is.
fn read_all(bytes: &[u8]) {
    if let Ok(file) = TensorFile::parse("w", bytes) {
        file.names().for_each(|name| drop(file.get(name)));
    }
}

/// Images and labels that MNIST could have held.
fn tiny_digits() -> [Vec<u8>; 2] {
    [idx::idx(&[3, 2, 2], &[0, 50, 100, 150, 200, 250, 1, 2, 3, 4, 5, 6]), idx::idx(&[3], &[9, 0, 4])]
}

fn read_digits(images: &[u8], labels: &[u8]) {
    is_sound(DataSet::parse_idx(("images", images), ("labels", labels)));
}

/// What is read has as many labels as samples, and every pixel in range.
fn is_sound(read: Result<DataSet, Diagnostics>) {
    match read {
        Ok(data) => {
            assert_eq!(data.labels.map(|labels| labels.len()), Some(data.samples.len()));
            assert!(data.samples.iter().all(|sample| sample.len() == data.shape.n_elements()));
            assert!(data.samples.iter().flatten().all(|pixel| (0.0..=1.0).contains(pixel)));
        }
        Err(diagnostics) => assert!(diagnostics.has_errors()),
    }
}

const TEXT: &str = "model m {
  weights \"w\"
  input x: [1, 6, 6] in 0..1
  c = conv(x, weight = \"w\", bias = [1, -2], stride = 2, padding = [1, 1], groups = 1)
  n = batch_norm(c, mean = 0, var = 1)
  p = avg_pool(n, kernel = 2, stride = 1)
  q = poly(p, [0.1, 0.5, 0.25])
  a = add(q, q)
  t = transpose(a, [2, 0, 1])
  u = max_pool(t, kernel = 1, stride = 1, padding = 0)
  g = gelu(u)
  f = reshape(g, [8])
  output f
}
";

/// `PROPTEST_CASES` asks for more cases.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.saturating_mul(2), ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn damaged_onnx(edits in edits(), file in 0usize..4) {
        let names = ["resnet_script", "view_script_dynamic", "moves_dynamo", "external"];
        import(&apply(&read(&format!("tests/fixtures/{}.onnx", names[file])), &edits));
    }

    /// Operands that are left out, results that are used, settings that contradict.
    #[test]
    fn senseless_onnx(choices in prop::collection::vec(any::<u32>(), 8..120)) {
        import(&graphs::graph(&choices));
    }

    #[test]
    fn damaged_text(edits in edits()) {
        translate(&String::from_utf8_lossy(&apply(TEXT.as_bytes(), &edits)));
    }

    #[test]
    fn any_text(text in "(model|input|output|conv|[a-z]|[0-9]|[ \n=(),\\[\\]{}\":.#-]|\\PC){0,60}") {
        translate(&text);
    }

    #[test]
    fn damaged_safetensors(edits in edits()) {
        read_all(&apply(&tiny_weights(), &edits));
    }

    #[test]
    fn damaged_npz(edits in edits()) {
        let damaged = apply(&tiny_archive(), &edits);
        read_all(&damaged);
        let _ = DataSet::parse("d", &damaged);
    }

    #[test]
    fn damaged_cifar(of_images in edits(), of_labels in edits()) {
        let (picture, labels) = (apply(&pictures::images(2), &of_images), apply(b"[3, 9]", &of_labels));
        is_sound(DataSet::parse_cifar(&[("picture", &picture)], ("labels", &labels)));
    }

    #[test]
    fn damaged_idx(of_images in edits(), of_labels in edits()) {
        let [images, labels] = tiny_digits();
        let (damaged_images, damaged_labels) = (apply(&images, &of_images), apply(&labels, &of_labels));
        read_digits(&damaged_images, &labels);
        read_digits(&images, &damaged_labels);
        read_digits(&damaged_images, &damaged_labels);
    }
}

#[test]
fn long_inputs_take_no_long_time() {
    let start = std::time::Instant::now();
    let cyclic: String = (0..50_000).map(|i| format!("a{i}=square(b{i})\n")).collect();
    for part in ["$ ", "a=b\n", "input ", "(", "[1,", ";", cyclic.as_str()] {
        let text = format!("model m {{\ninput x: [2] in 0..1\n{}", part.repeat(900_000 / part.len()));
        translate(&text);
        translate(&(text + "\n}"));
    }
    let squares: String = (0..20_000).map(|i| format!("a{}=add(a{i},a{i})\n", i + 1)).collect();
    translate(&format!("model m {{\ninput a0: [2] in 0..1\n{squares}output a20000\n}}"));
    let name = |i: usize| if i == 0 { "x".to_owned() } else { format!("v{i}") };
    let nodes: Vec<_> = (0..100_000).map(|i| support::node("Neg", "", &[&name(i)], &name(i + 1))).collect();
    import(&support::model(&nodes, &[], &[1, 4], "v100000"));
    assert!(start.elapsed().as_secs() < 60, "took {:?}", start.elapsed());
}

#[test]
fn undamaged_seeds_are_read() {
    translate(TEXT);
    assert!(TensorFile::parse("w", &tiny_weights()).unwrap().get("w").is_ok());
    let x = TensorFile::parse("d", &tiny_archive()).unwrap().get("x").unwrap().clone();
    assert_eq!(x.values, [1.0, 2.0, 3.0, 4.0]);
    let [images, labels] = tiny_digits();
    assert!(DataSet::parse_idx(("images", &images), ("labels", &labels)).is_ok());
    assert!(DataSet::parse_cifar(&[("picture", &pictures::images(2))], ("labels", b"[3, 9]")).is_ok());
}

#[test]
fn archives_that_unpack_to_too_much_are_refused() {
    let header = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    for shape in ["(1099511627776,)", "(4294967296, 4294967296, 4294967296)", "((((((1,),),),),),)"] {
        let bytes = archive(&header(shape), &[0; 16]);
        let diagnostics = TensorFile::parse("bomb.npz", &bytes).unwrap().get("x").unwrap_err();
        assert!(["H003", "H004"].contains(&diagnostics.code.as_str()), "{}", diagnostics.title);
    }
    let short = TensorFile::parse("short.npz", &archive(&header("(1000000,)"), &[0; 16])).unwrap();
    assert_eq!(short.get("x").unwrap_err().code.as_str(), "H003");
}

fn archive(header: &str, data: &[u8]) -> Vec<u8> {
    use std::io::{Cursor, Write};
    let mut bytes = Cursor::new(Vec::new());
    let mut zip = ZipWriter::new(&mut bytes);
    zip.start_file("x.npy", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"\x93NUMPY\x01\x00").unwrap();
    zip.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
    zip.write_all(header.as_bytes()).unwrap();
    zip.write_all(data).unwrap();
    zip.finish().unwrap();
    bytes.into_inner()
}
