//! What a decrypted output says, given the error that its manifest promises.

use hecc_ir::program::Port;

/// The error that most of an output's values stay below, as an absolute value: the precision that its manifest promises, relative
/// to the size of these values. Infinite where no precision is promised, and where a value is no finite number.
pub fn promised_error(port: &Port, values: &[f64]) -> f64 {
    let promise = port.expected.as_ref().map(|expected| expected.promise);
    let largest = values.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    let is_finite = values.iter().all(|x| x.is_finite());
    promise.filter(|_| is_finite).map_or(f64::INFINITY, |promise| promise.precision * promise.size(largest))
}

/// The class that stands out among values, each most likely within `error` of the exact one: the index of the largest, if no other
/// is nearer to it than twice the error. None of fewer than two values, and where a value or the error is no finite number.
pub fn standing_out(values: &[f64], error: f64) -> Option<usize> {
    let is_sound = values.len() > 1 && error.is_finite() && values.iter().all(|x| x.is_finite());
    let best =
        (0..values.len()).rev().max_by(|&a, &b| values[a].total_cmp(&values[b])).filter(|_| is_sound)?;
    let others = values.iter().enumerate().filter(|(index, _)| *index != best);
    let second = others.fold(f64::NEG_INFINITY, |max, (_, &x)| max.max(x));
    // Halves, for differences of finite numbers may be infinite.
    (values[best] / 2.0 - second / 2.0 >= error).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hecc_ir::program::{Expected, Promise, RangeBasis};
    use hecc_ir::{CtType, Layout, Level, Scale, Shape};

    fn port(promise: Option<Promise>) -> Port {
        let (range, basis) = ((-10.0, 10.0), RangeBasis::Samples);
        let ty = CtType { level: Level(0), scale: Scale::from_log2(40.0), degree: 1 };
        let expected = promise.map(|promise| Expected { promise, ..Expected::of_error(1e-6, 1) });
        let layout = Layout::contiguous(Shape(vec![3]), 8);
        Port { name: "y".into(), layout, ty, range, declared: range, basis, expected }
    }

    #[test]
    fn errors_are_relative_to_the_size_of_values() {
        let promised = port(Some(Promise { precision: 0.25, deviation: 0.0, typical: 2.0 }));
        assert_eq!(promised_error(&promised, &[1.0, -8.0, 0.5]), 2.0);
        assert_eq!(promised_error(&promised, &[0.0, 1.0, 0.0]), 0.5);
        for value in [f64::NAN, f64::INFINITY] {
            assert_eq!(promised_error(&promised, &[1.0, value]), f64::INFINITY);
        }
        for promise in [None, Some(Promise::NONE)] {
            assert_eq!(promised_error(&port(promise), &[1.0]), f64::INFINITY);
        }
    }

    #[test]
    fn a_class_stands_out_by_twice_the_error() {
        let values = [1.0, 3.0, 2.0];
        assert_eq!(standing_out(&values, 0.5), Some(1));
        assert_eq!(standing_out(&values, 0.501), None);
        assert_eq!(standing_out(&[2.0, 2.0], 0.0), Some(0));
        for error in [f64::INFINITY, f64::NAN] {
            assert_eq!(standing_out(&values, error), None);
            assert_eq!(standing_out(&[1e308, -1e308], error), None);
        }
        assert_eq!(standing_out(&[1e308, -1e308], 9e307), Some(0));
        assert_eq!(standing_out(&[1e308, -1e308], 1.1e308), None);
        let no_numbers = [&[1.0, f64::NAN][..], &[f64::INFINITY, 1.0], &[5.0, 1.0, -f64::NAN]];
        for values in no_numbers.into_iter().chain([&[][..], &[1.0]]) {
            assert_eq!(standing_out(values, 0.1), None, "{values:?}");
        }
    }
}
