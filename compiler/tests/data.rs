//! Data sets: what is read from files of MNIST and CIFAR-10, and what is said about others.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

#[path = "support/png.rs"]
mod pictures;
#[path = "support/idx.rs"]
mod support;

use hecc::front::data::{DataSet, Labels, Part};
use hecc_ir::Shape;
use png::ColorType;
use support::idx;
use tempfile::TempDir;

/// A folder with files of these names and contents.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    folder
}

/// Two images of 1 x 2 pixels.
fn images() -> Vec<u8> {
    idx(&[2, 1, 2], &[0, 255, 51, 102])
}

fn labels() -> Vec<u8> {
    idx(&[2], &[7, 3])
}

/// What is said about files in memory.
fn refused(images: &[u8], labels: &[u8]) -> String {
    DataSet::parse_idx(("images", images), ("labels", labels)).unwrap_err().render(false)
}

/// What is said about the test part of a folder, which is called `FOLDER`.
fn refused_folder(files: &[(&str, Vec<u8>)]) -> String {
    let folder = folder(files);
    let message = DataSet::read(folder.path()).unwrap_err().render(false);
    message.replace(&folder.path().display().to_string(), "FOLDER")
}

#[test]
fn each_part_of_a_folder_is_read() {
    let folder = folder(&[
        ("train-images.idx3-ubyte", images()),
        ("train-labels-idx1-ubyte", labels()),
        ("t10k-images-idx3-ubyte", idx(&[1, 2, 2], &[255, 0, 0, 0])),
        ("t10k-labels.idx1-ubyte", idx(&[1], &[255])),
    ]);
    let train = DataSet::read_part(folder.path(), Part::Train).unwrap();
    assert_eq!(train.shape, Shape(vec![1, 1, 2]));
    assert_eq!(train.samples, [[0.0, 1.0], [0.2, 0.4]]);
    assert_eq!(train.labels, Some(Labels::Classes(vec![7, 3])));
    let test = DataSet::read_part(folder.path(), Part::Test).unwrap();
    assert_eq!(test.shape, Shape(vec![1, 2, 2]));
    assert_eq!(test.samples, [[1.0, 0.0, 0.0, 0.0]]);
    assert_eq!(test.labels, Some(Labels::Classes(vec![255])));
    assert_eq!(DataSet::read(folder.path()).unwrap(), test);
}

#[test]
fn an_archive_is_every_part() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("../examples/data/mnist_test_sample.npz");
    let whole = DataSet::read(&path).unwrap();
    for part in [Part::Train, Part::Test] {
        assert_eq!(DataSet::read_part(&path, part).unwrap(), whole);
    }
}

#[test]
fn files_that_are_missing_or_compressed_are_named() {
    let messages = [
        refused_folder(&[]),
        refused_folder(&[("t10k-images-idx3-ubyte", images())]),
        refused_folder(&[("t10k-images-idx3-ubyte.gz", vec![]), ("t10k-labels.idx1-ubyte.gz", vec![])]),
        refused_folder(&[
            ("t10k-images-idx3-ubyte", vec![0x1f, 0x8b, 8]),
            ("t10k-labels-idx1-ubyte", labels()),
        ]),
    ];
    insta::assert_snapshot!(messages.join("\n---\n"));
}

#[test]
fn files_that_are_no_data_set_are_refused() {
    let of_type = |element: u8| [&[0, 0, element][..], &images()[3..]].concat();
    let messages = [
        refused(b"", b"labels"),
        refused(&of_type(0x0d), &of_type(0x77)),
        refused(&labels(), &images()),
        refused(&images()[..9], &labels()[..9]),
        refused(&[images(), vec![0]].concat(), &labels()),
        refused(&idx(&[2, 0, 3], &[]), &idx(&[0], &[])),
        refused(&idx(&[u32::MAX; 3], &[0; 16]), &idx(&[u32::MAX], &[])),
        refused(&images(), &idx(&[3], &[1, 2, 3])),
        DataSet::parse("images", &images()).unwrap_err().render(false),
    ];
    insta::assert_snapshot!(messages.join("\n---\n"));
}

#[test]
fn images_larger_than_a_network_takes_are_refused() {
    let (rows, columns) = (1 << 14, (1 << 12) + 1);
    let images = idx(&[1, rows, columns], &vec![0; (rows * columns) as usize]);
    insta::assert_snapshot!(refused(&images, &idx(&[1], &[0])));
}

const BATCHES: [&str; 5] =
    ["data_batch_1.png", "data_batch_2.png", "data_batch_3.png", "data_batch_4.png", "data_batch_5.png"];

#[test]
fn each_part_of_cifar_is_read() {
    let mut files: Vec<(&str, Vec<u8>)> =
        BATCHES.iter().zip(1..).map(|(name, n)| (*name, pictures::images(n))).collect();
    let labels: Vec<String> = (0..15).map(|at| (at % 10).to_string()).collect();
    files.extend([
        ("train_lables.json", format!("[{}]", labels.join(", ")).into_bytes()),
        ("test_batch.png", pictures::images(2)),
        ("test_lables.json", b"[9,0]".to_vec()),
    ]);
    let folder = folder(&files);
    let test = DataSet::read(folder.path()).unwrap();
    assert_eq!((test.shape, test.labels), (Shape(vec![3, 32, 32]), Some(Labels::Classes(vec![9, 0]))));
    let image = &test.samples[1];
    assert_eq!((image.len(), image[0], image[1023]), (3072, 1.0 / 255.0, 1.0 / 255.0));
    assert!(image[1024..2048].iter().enumerate().all(|(pixel, x)| *x == (pixel / 4) as f64 / 255.0));
    assert!(image[2048..].iter().all(|x| *x == 1.0));
    let train = DataSet::read_part(folder.path(), Part::Train).unwrap();
    assert_eq!(train.labels.unwrap().classes("labels", 10).unwrap()[8..12], [8, 9, 0, 1]);
    let firsts: Vec<f64> = train.samples.iter().map(|sample| sample[0] * 255.0).collect();
    assert_eq!(firsts[..10], [0.0, 0.0, 1.0, 0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 3.0]);
    assert_eq!(train.samples.len(), 15);
}

/// What is said about a picture and labels in memory.
fn refused_cifar(picture: &[u8], labels: &[u8]) -> String {
    DataSet::parse_cifar(&[("picture", picture)], ("labels", labels)).unwrap_err().render(false)
}

#[test]
fn files_that_are_no_cifar_are_refused() {
    let sound = pictures::images(2);
    let folder = folder(&[("test_batch.png", sound.clone())]);
    let missing = DataSet::read(folder.path()).unwrap_err().render(false);
    let messages = [
        refused_cifar(b"", b""),
        refused_cifar(&sound[..20], b"[1, 2"),
        refused_cifar(&sound, b"[1, 2, 3]"),
        refused_cifar(&sound, b"[1, 10]"),
        refused_cifar(&sound, b"[1, 300]"),
        refused_cifar(&sound, b"{}"),
        refused_cifar(&pictures::png(ColorType::Rgb, 1023, &[0; 3069]), b"[1]"),
        refused_cifar(&pictures::png(ColorType::Rgba, 1024, &[0; 4096]), b"[1]"),
        missing.replace(&folder.path().display().to_string(), "FOLDER"),
    ];
    insta::assert_snapshot!(messages.join("\n---\n"));
}

#[test]
fn every_cut_picture_is_refused() {
    let sound = pictures::images(1);
    assert!(DataSet::parse_cifar(&[("picture", &sound)], ("labels", b"[1]")).is_ok());
    for n_bytes in 0..sound.len() {
        let message = refused_cifar(&sound[..n_bytes], b"[1]");
        let code = if n_bytes < 8 { "H002" } else { "H003" };
        assert!(message.contains(code), "{n_bytes} of {}: {message}", sound.len());
    }
}

/// A header may declare more images than any memory holds.
#[test]
fn pictures_beyond_the_limit_are_refused_before_they_are_decoded() {
    let mut huge = pictures::images(1);
    huge[20..24].copy_from_slice(&0x7fff_ffffu32.to_be_bytes());
    let crc = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    assert!(refused_cifar(&huge, b"[1]").contains("H004"));
}

/// The checksum of a PNG chunk.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
