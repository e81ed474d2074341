//! Samples to train on, to watch and to test.

use hecc::cli::prepare::TrainArgs;
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::data::{DataSet, Part};
use hecc::front::weights;
use hecc::model::Model;
use hecc_train::{Samples, TrainError, Trainee};
use std::path::Path;

/// Share of the training samples that is only watched.
const WATCHED: f64 = 0.05;
/// Samples written for calibration.
const N_CALIBRATION: usize = 16;

/// All samples of a preparation.
pub struct Data {
    /// Trained on.
    pub train: Samples,
    /// Held back, to decide when to stop.
    pub validation: Samples,
    /// Tested at the end; none when there are no test samples.
    pub test: Option<Samples>,
}

impl Data {
    /// Reads the samples that the arguments name.
    pub fn read(args: &TrainArgs, model: &Model) -> Result<Data, Diagnostics> {
        let mut all = read(&args.data, Part::Train, model)?;
        if let Some(limit) = args.limit.filter(|&limit| limit < all.len()) {
            all = all.select(&(0..limit).collect::<Vec<usize>>());
        }
        if all.len() < 2 {
            let title = "training needs two samples or more: one to learn from and one to watch";
            return Err(unusable(&args.data, title));
        }
        let (train, validation) = all.split(WATCHED, args.seed);
        let test = match &args.test {
            Some(path) => Some(read(path, Part::Test, model)?),
            None if args.data.is_dir() => Some(read(&args.data, Part::Test, model)?),
            None => None,
        };
        Ok(Data { train, validation, test })
    }

    /// Accuracy on the test samples, or on those held back.
    pub fn accuracy(&self, trainee: &Trainee) -> Result<f64, TrainError> {
        trainee.accuracy(self.test.as_ref().unwrap_or(&self.validation))
    }

    /// An `.npz` file of some samples.
    pub fn calibration(&self) -> Vec<u8> {
        let n = N_CALIBRATION.min(self.validation.len());
        let elements = self.validation.elements[..n * self.validation.n_elements()].iter();
        let values: Vec<f64> = elements.map(|&x| f64::from(x)).collect();
        weights::to_npz("x", &[&[n], &self.validation.shape.0[..]].concat(), &values)
    }
}

fn read(path: &Path, part: Part, model: &Model) -> Result<Samples, Diagnostics> {
    // Another shape is found before all samples are unpacked.
    DataSet::read_first(path, part, 1)?.fits(model)?;
    let data = DataSet::read_part(path, part)?;
    data.fits(model)?;
    let Some(labels) = &data.labels else {
        return Err(unusable(path, "the samples have no labels `y` to learn from"));
    };
    let labels = labels.classes(&data.path, model.layer(model.output).shape.n_elements())?.to_vec();
    let elements = data.samples.iter().flatten().map(|&x| x as f32).collect();
    Ok(Samples { shape: data.shape, elements, labels })
}

fn unusable(path: &Path, title: &str) -> Diagnostics {
    let place = Label::file(path.display().to_string(), "");
    Diagnostic::error(Code::BadDataSet, title).label(place).into()
}
