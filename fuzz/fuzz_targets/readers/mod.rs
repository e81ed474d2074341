//! What the fuzz targets of front ends do with bytes, for the tests that replay their seeds as well.

use hecc::diag::{Code, Diagnostic, Diagnostics};
use hecc::front::data::DataSet;
use hecc::front::hec::{self, WriteError};
use hecc::front::weights::TensorFile;
use hecc::front::{LoadOptions, onnx as graphs};
use hecc::model::Model;
use std::path::Path;
use std::sync::LazyLock;

/// Why bytes are refused.
type Read = Result<(), Diagnostics>;

/// Imports an ONNX file; an accepted model is sound.
pub fn onnx(data: &[u8]) -> Read {
    let path = Path::new("no/such/folder/fuzz.onnx");
    model_of(|options, diagnostics| graphs::import(path, data, options, diagnostics)).map(|_| ())
}

/// Weights for whatever file a text names.
static WEIGHTS: LazyLock<TensorFile> = LazyLock::new(|| {
    let bytes = include_bytes!("../../../examples/models/lenet5.npz");
    TensorFile::parse("lenet5.npz", bytes).expect("examples are sound")
});

/// Translates a model text; an accepted model is sound, and its own text reads as the same model.
pub fn hec(data: &[u8]) -> Read {
    let Ok(text) = std::str::from_utf8(data) else {
        return Err(Diagnostic::error(Code::UnreadableFile, "not text").into());
    };
    let mut read = |_: &str| Ok(WEIGHTS.clone());
    let (model, options) =
        model_of(|options, diagnostics| hec::translate("fuzz.hec", text, &mut read, options, diagnostics))?;
    write_and_read(&model, &options);
    Ok(())
}

/// The model that a front end reads, and with which options it does.
fn model_of(
    mut read: impl FnMut(&LoadOptions, &mut Diagnostics) -> Option<Model>,
) -> Result<(Model, LoadOptions), Diagnostics> {
    let mut found = Err(Diagnostics::new());
    for accept_unfriendly in [false, true] {
        let mut diagnostics = Diagnostics::new();
        let options = LoadOptions { accept_unfriendly, ..LoadOptions::default() };
        let model = read(&options, &mut diagnostics);
        diagnostics.render(false);
        found = match model {
            Some(model) => {
                assert_eq!(model.check(), Ok(()));
                Ok((model, options))
            }
            None => found.map_err(|_| diagnostics),
        };
    }
    found
}

fn write_and_read(model: &Model, options: &LoadOptions) {
    let text = match hec::to_hec(model, "w.npz") {
        Ok(text) => text,
        Err(WriteError::TooLong(_)) => return,
        Err(error) => panic!("{error}"),
    };
    let mut read = |name: &str| TensorFile::parse(name, &hec::to_npz(model));
    let mut diagnostics = Diagnostics::new();
    let again = hec::translate("written.hec", &text, &mut read, options, &mut diagnostics);
    assert_eq!(again.as_ref(), Some(model), "{diagnostics}");
}

/// Reads every tensor of an archive, and the archive as a data set.
pub fn weights(data: &[u8]) -> Read {
    let of_data_set = DataSet::parse("fuzz", data).map(|_| ());
    let file = TensorFile::parse("fuzz", data)?;
    for name in file.names() {
        file.get(name)?;
    }
    of_data_set
}

/// Reads images and labels in MNIST's format. The first two bytes are the length of the images.
pub fn idx(data: &[u8]) -> Read {
    let (images, labels) = halves(data)?;
    DataSet::parse_idx(("images", images), ("labels", labels)).map(assert_sound)
}

/// Reads a picture and labels of CIFAR-10. The first two bytes are the length of the picture.
pub fn cifar(data: &[u8]) -> Read {
    let (picture, labels) = halves(data)?;
    DataSet::parse_cifar(&[("picture", picture)], ("labels", labels)).map(assert_sound)
}

/// Two files behind the length of the first.
fn halves(data: &[u8]) -> Result<(&[u8], &[u8]), Diagnostics> {
    let Some((length, files)) = data.split_first_chunk() else {
        return Err(Diagnostic::error(Code::UnreadableFile, "too short").into());
    };
    let n_bytes = usize::from(u16::from_le_bytes(*length)).min(files.len());
    Ok(files.split_at(n_bytes))
}

/// What is read is of equal shapes, labelled and in range.
fn assert_sound(data: DataSet) {
    assert_eq!(data.labels.map(|labels| labels.len()), Some(data.samples.len()));
    assert!(data.samples.iter().all(|sample| sample.len() == data.shape.n_elements()));
    assert!(data.samples.iter().flatten().all(|pixel| (0.0..=1.0).contains(pixel)));
}
