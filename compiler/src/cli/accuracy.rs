//! How encrypted results compare with plain ones.

use serde::Serialize;

/// Agreement and errors over some samples.
#[derive(Debug, Serialize)]
pub struct Accuracy {
    /// Samples compared.
    pub n: usize,
    /// Predictions that are the plain ones.
    pub agree: usize,
    /// Predictions that equal the label, where there are labels.
    pub correct: Option<usize>,
    /// Plain predictions that equal the label.
    pub plain_correct: Option<usize>,
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
    pub fn of(plain: &[Vec<f64>], encrypted: &[Vec<f64>], labels: Option<&[usize]>) -> Accuracy {
        let pairs = || plain.iter().zip(encrypted);
        let errors = || pairs().flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| a - b);
        let n_logits = plain.iter().map(Vec::len).sum::<usize>().max(1);
        let max_abs_err = pairs().map(|(a, b)| max_difference(a, b)).fold(0.0, f64::max);
        let max_abs_logit = plain.iter().flatten().fold(0.0, |max: f64, x| max.max(x.abs()));
        let is_correct = |(logits, label): &(&Vec<f64>, &usize)| argmax(logits) == **label;
        Accuracy {
            n: encrypted.len(),
            agree: pairs().filter(|(a, b)| argmax(a) == argmax(b)).count(),
            correct: labels.map(|labels| encrypted.iter().zip(labels).filter(is_correct).count()),
            plain_correct: labels.map(|labels| plain.iter().zip(labels).filter(is_correct).count()),
            max_abs_err,
            rms_err: (errors().map(|e| e * e).sum::<f64>() / n_logits as f64).sqrt(),
            max_abs_logit,
            relative_err: max_abs_err / max_abs_logit.max(f64::MIN_POSITIVE),
        }
    }
}

/// Index of the largest element, the first of several.
pub fn argmax(values: &[f64]) -> usize {
    let largest = values.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
    largest.map_or(0, |(index, _)| index)
}

/// Largest absolute difference.
pub fn max_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::Accuracy;

    #[test]
    fn ties_go_to_the_first_and_errors_are_counted() {
        let plain = [vec![2.0, 2.0], vec![0.0, 4.0]];
        let encrypted = [vec![2.0, 2.0], vec![3.0, 1.0]];
        let accuracy = Accuracy::of(&plain, &encrypted, Some(&[0, 1]));
        assert_eq!((accuracy.n, accuracy.agree), (2, 1));
        assert_eq!((accuracy.correct, accuracy.plain_correct), (Some(1), Some(2)));
        assert_eq!((accuracy.max_abs_err, accuracy.max_abs_logit), (3.0, 4.0));
        assert_eq!((accuracy.rms_err, accuracy.relative_err), (4.5f64.sqrt(), 0.75));
    }
}
