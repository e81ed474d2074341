//! Parts of labelled samples.

use crate::nets::images;
use hecc_train::Samples;

/// Samples whose elements and label say which one it is.
fn numbered(n: usize) -> Samples {
    let elements = (0..2 * n).map(|at| at as f32).collect();
    Samples { shape: [2].into(), elements, labels: (0..n).collect() }
}

#[test]
fn samples_keep_their_labels_in_any_order() {
    let found = numbered(5).select(&[4, 1, 1]);
    let expected =
        Samples { shape: [2].into(), elements: vec![8.0, 9.0, 2.0, 3.0, 2.0, 3.0], labels: vec![4, 1, 1] };
    assert_eq!((&found, found.len()), (&expected, 3));
    assert_eq!(found.sample(0), [8.0, 9.0]);
}

#[test]
fn a_split_holds_each_sample_once() {
    for (n, share, n_second) in [(10, 0.3, 3), (10, 0.0, 1), (10, 1.0, 10), (1, 0.2, 1), (7, 0.5, 4)] {
        let (first, second) = numbered(n).split(share, 3);
        assert_eq!((first.len(), second.len()), (n - n_second, n_second), "{share} of {n}");
        let mut seen = [first.labels.clone(), second.labels.clone()].concat();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..n));
        for part in [first, second] {
            assert_eq!(part, numbered(n).select(&part.labels));
        }
    }
}

#[test]
fn one_seed_gives_one_split() {
    let samples = images(60, 1);
    assert_eq!(samples.split(0.4, 2), samples.split(0.4, 2));
    assert_ne!(samples.split(0.4, 2), samples.split(0.4, 3));
}
