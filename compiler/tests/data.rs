//! Data sets: what is read from MNIST's files, and what is said about others.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

#[path = "support/idx.rs"]
mod support;

use hecc::front::data::{DataSet, Part};
use hecc_ir::Shape;
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
    assert_eq!(train.labels, Some(vec![7, 3]));
    let test = DataSet::read_part(folder.path(), Part::Test).unwrap();
    assert_eq!(test.shape, Shape(vec![1, 2, 2]));
    assert_eq!(test.samples, [[1.0, 0.0, 0.0, 0.0]]);
    assert_eq!(test.labels, Some(vec![255]));
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
