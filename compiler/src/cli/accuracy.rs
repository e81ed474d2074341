//! How encrypted results compare with plain ones: by the class that they name, or by their values.

use super::session::Built;
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::data::{DataSet, Labels};
use hecc::model::Model;
use hecc_runtime::client;
use serde::Serialize;

/// What a network's outputs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// The largest output names a class.
    Classify,
    /// Every output is a value of its own.
    Regress,
}

impl Task {
    /// What was asked for; else a network with several outputs classifies if its samples are
    /// labelled with a class each.
    ///
    /// # Errors
    /// When the labels are no classes of the network, or no values of its outputs.
    pub fn of(asked: Option<Task>, data: &DataSet, model: &Model) -> Result<Task, Diagnostics> {
        let outputs = &model.layer(model.output).shape;
        let n_outputs = outputs.n_elements();
        let is_vector = |labels: &Labels| match labels {
            Labels::Classes(_) => true,
            // One number for several outputs can only be meant as a class.
            Labels::Targets { shape, .. } => shape.n_elements() == 1,
        };
        let has_classes = data.labels.as_ref().is_some_and(is_vector) && n_outputs > 1;
        let task = asked.unwrap_or(if has_classes { Task::Classify } else { Task::Regress });
        match (task, &data.labels) {
            (Task::Classify, _) if n_outputs < 2 => return Err(no_classes()),
            (Task::Classify, Some(labels)) => labels.classes(&data.path, n_outputs).map(|_| ())?,
            (Task::Regress, Some(labels)) => labels.check_targets(&data.path, outputs)?,
            (_, None) => {}
        }
        Ok(task)
    }
}

fn no_classes() -> Diagnostics {
    Diagnostic::error(Code::BadArguments, "a network with one output names no class")
        .label(Label::file("command line", "--task classify"))
        .help("leave --task out: results are compared by their values")
        .into()
}

/// How results of some samples are judged.
pub struct Judge<'a> {
    /// What the outputs are for.
    pub task: Task,
    /// Labels of the samples; they fit the task.
    pub labels: Option<&'a Labels>,
    /// Error that two equal values may have, relative to the largest output.
    pub precision: f64,
    /// Largest output that is known of.
    pub largest: f64,
}

impl<'a> Judge<'a> {
    /// By what a model was compiled for.
    ///
    /// # Errors
    /// As [`Task::of`].
    pub fn of(asked: Option<Task>, data: &'a DataSet, built: &Built) -> Result<Judge<'a>, Diagnostics> {
        Ok(Judge {
            task: Task::of(asked, data, &built.model)?,
            labels: data.labels.as_ref(),
            precision: built.options.precision,
            largest: built.compiled.prediction.max_output,
        })
    }

    /// Whether a result is the plain one: it names the same class, or no value is off by more
    /// than the precision.
    pub fn agrees(&self, plain: &[f64], found: &[f64]) -> bool {
        match self.task {
            Task::Classify => argmax(plain) == argmax(found),
            Task::Regress => self.relative(plain, max_difference(plain, found)) <= self.precision,
        }
    }

    /// An error relative to the largest output.
    pub fn relative(&self, plain: &[f64], error: f64) -> f64 {
        let largest = plain.iter().fold(self.largest, |max, x| max.max(x.abs()));
        if error == 0.0 { 0.0 } else { error / largest }
    }

    /// The class that stands out in a result whose values have an error up to `error`.
    pub fn class(&self, outputs: &[f64], error: f64) -> Option<usize> {
        match self.task {
            Task::Classify => client::standing_out(outputs, error),
            Task::Regress => None,
        }
    }

    /// Classes of the samples.
    fn classes(&self) -> Option<&'a [usize]> {
        match (self.task, self.labels?) {
            (Task::Classify, Labels::Classes(classes)) => Some(classes),
            (Task::Classify, Labels::Targets { .. }) | (Task::Regress, _) => None,
        }
    }

    /// How many results name the class of their sample; an empty one names none.
    pub fn n_correct<'r>(&self, results: impl Iterator<Item = &'r [f64]>) -> Option<usize> {
        let classes = self.classes()?.iter();
        Some(results.zip(classes).filter(|&(outputs, class)| argmax(outputs) == Some(*class)).count())
    }

    /// How far results are from the values that the samples are labelled with.
    pub fn label_error<'r>(&self, results: impl Iterator<Item = &'r [f64]>) -> Option<LabelError> {
        let labels = self.labels.filter(|_| self.task == Task::Regress)?;
        let pairs = results.enumerate().flat_map(|(sample, outputs)| {
            let label = labels.values(sample);
            outputs.iter().zip(label).map(|(x, y)| [(x - y).abs(), y.abs()]).collect::<Vec<_>>()
        });
        let (n, [error, label]) =
            pairs.fold((0, [0.0; 2]), |(n, [error, label]), [e, y]| (n + 1, [error + e, label + y]));
        Some(LabelError {
            mean_abs: error / f64::from(n.max(1)),
            relative: (label > 0.0).then(|| error / label),
        })
    }
}

/// Distance of results from labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LabelError {
    /// Mean absolute error of an output.
    pub mean_abs: f64,
    /// The same over the mean absolute label, where one is not zero.
    pub relative: Option<f64>,
}

/// Agreement and errors over some samples.
#[derive(Debug, Serialize)]
pub struct Accuracy {
    /// What the outputs are for.
    pub task: Task,
    /// Samples compared.
    pub n: usize,
    /// Results that are the plain ones: the same class, or values within the precision.
    pub agree: usize,
    /// Predictions that equal the label, where labels are classes.
    pub correct: Option<usize>,
    /// Plain predictions that equal the label.
    pub plain_correct: Option<usize>,
    /// Distance from labels that are values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_err: Option<LabelError>,
    /// The same of plain results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain_label_err: Option<LabelError>,
    /// Largest error of an output element.
    pub max_abs_err: f64,
    /// Root of the mean square error.
    pub rms_err: f64,
    /// Largest plain output element.
    pub max_abs_logit: f64,
    /// Largest error relative to the largest output element.
    pub relative_err: f64,
}

impl Accuracy {
    /// Compares outputs sample by sample.
    pub fn of(plain: &[Vec<f64>], encrypted: &[Vec<f64>], judge: &Judge) -> Accuracy {
        let pairs = || plain.iter().zip(encrypted);
        let errors = || pairs().flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| a - b);
        let n_logits = plain.iter().map(Vec::len).sum::<usize>().max(1);
        let max_abs_err = pairs().map(|(a, b)| max_difference(a, b)).fold(0.0, f64::max);
        let max_abs_logit = plain.iter().flatten().fold(0.0, |max: f64, x| max.max(x.abs()));
        let [of_plain, of_encrypted] = [plain, encrypted].map(|all| all.iter().map(Vec::as_slice));
        Accuracy {
            task: judge.task,
            n: encrypted.len(),
            agree: pairs().filter(|(a, b)| judge.agrees(a, b)).count(),
            correct: judge.n_correct(of_encrypted.clone()),
            plain_correct: judge.n_correct(of_plain.clone()),
            label_err: judge.label_error(of_encrypted),
            plain_label_err: judge.label_error(of_plain),
            max_abs_err,
            rms_err: (errors().map(|e| e * e).sum::<f64>() / n_logits as f64).sqrt(),
            max_abs_logit,
            relative_err: max_abs_err / max_abs_logit.max(f64::MIN_POSITIVE),
        }
    }
}

/// What people read in place of a class where there is none.
pub const NO_CLASS: &str = "no class stands out";

/// Index of the largest element, the first of several.
fn argmax(values: &[f64]) -> Option<usize> {
    let largest = values.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
    largest.map(|(index, _)| index)
}

/// Largest absolute difference; infinite if one is not a number.
pub fn max_difference(a: &[f64], b: &[f64]) -> f64 {
    let difference =
        |(x, y): (&f64, &f64)| if x.is_nan() || y.is_nan() { f64::INFINITY } else { (x - y).abs() };
    a.iter().zip(b).map(difference).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::{Accuracy, Judge, LabelError, Task};
    use hecc::front::data::Labels;
    use hecc_ir::Shape;

    fn judge(task: Task, labels: &Labels) -> Judge<'_> {
        Judge { task, labels: Some(labels), precision: 1e-4, largest: 0.0 }
    }

    #[test]
    fn ties_go_to_the_first_and_errors_are_counted() {
        let plain = [vec![2.0, 2.0], vec![0.0, 4.0]];
        let encrypted = [vec![2.0, 2.0], vec![3.0, 1.0]];
        let accuracy = Accuracy::of(&plain, &encrypted, &judge(Task::Classify, &Labels::Classes(vec![0, 1])));
        assert_eq!((accuracy.n, accuracy.agree), (2, 1));
        assert_eq!((accuracy.correct, accuracy.plain_correct), (Some(1), Some(2)));
        assert_eq!((accuracy.max_abs_err, accuracy.max_abs_logit), (3.0, 4.0));
        assert_eq!((accuracy.rms_err, accuracy.relative_err), (4.5f64.sqrt(), 0.75));
        assert_eq!(accuracy.label_err, None);
    }

    #[test]
    fn values_agree_within_the_precision() {
        let plain = [vec![2.0], vec![-1e-6]];
        let labels = Labels::Targets { shape: Shape(vec![1]), values: vec![vec![3.0], vec![1.0]] };
        let accuracy = |encrypted: [f64; 2]| {
            Accuracy::of(&plain, &encrypted.map(|x| vec![x]), &judge(Task::Regress, &labels))
        };
        assert_eq!(accuracy([2.0 + 1e-4, -1e-6]).agree, 2);
        assert_eq!(accuracy([2.0 + 3e-4, -1e-6]).agree, 1);
        assert_eq!(accuracy([2.0, -2e-6]).agree, 1);
        assert_eq!(accuracy([f64::NAN, -1e-6]).agree, 1);
        let found = accuracy([1.0, 3.0]);
        assert_eq!((found.correct, found.plain_correct), (None, None));
        assert_eq!(found.label_err, Some(LabelError { mean_abs: 2.0, relative: Some(1.0) }));
    }

    #[test]
    fn errors_are_relative_to_the_largest_output_that_is_known() {
        let labels = Labels::Classes(vec![0]);
        let judge = Judge { largest: 100.0, ..judge(Task::Regress, &labels) };
        assert!(judge.agrees(&[1e-3], &[9e-3]));
        assert!(!judge.agrees(&[1e-3], &[2e-2]));
    }
}
