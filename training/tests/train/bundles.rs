//! Groups that save only together.

use crate::nets::recipe;
use crate::prune::{is_left, learnt, pruned, pruning};
use hecc_train::Recipe;
use hecc_train::prune::{Group, Pricing, Pruning, Score, blocks, singles};
use std::collections::BTreeSet;

/// Every column of a dense layer that any group is left in costs one.
struct Columns {
    column_of: Vec<usize>,
    is_bundled: bool,
}

impl Columns {
    /// For blocks of one weight.
    fn of(groups: &[Group], n_columns: usize, is_bundled: bool) -> Columns {
        let column_of = groups.iter().map(|group| group.weights[0] as usize % n_columns).collect();
        Columns { column_of, is_bundled }
    }

    fn left(&self, is_left: &[bool]) -> BTreeSet<usize> {
        let places = self.column_of.iter().zip(is_left);
        places.filter(|(_, is_left)| **is_left).map(|(column, _)| *column).collect()
    }
}

impl Pricing for Columns {
    fn cost(&self, is_left: &[bool]) -> f64 {
        self.left(is_left).len() as f64
    }

    fn bundles(&self, is_left: &[bool]) -> Vec<Vec<usize>> {
        if !self.is_bundled {
            return singles(is_left);
        }
        let of_column = |column| {
            (0..is_left.len()).filter(|&group| is_left[group] && self.column_of[group] == column).collect()
        };
        self.left(is_left).into_iter().map(of_column).collect()
    }
}

#[test]
fn bundles_go_as_a_whole() {
    let mut trainee = learnt(1);
    let groups = blocks(&trainee.model(), "first", &[1, 1]).unwrap();
    let columns = Columns::of(&groups, 12, true);
    let (kept, _) = pruned(&mut trainee, &groups, &columns, &pruning(0.5, 3));
    let left = is_left(&trainee.model(), &groups);
    let kept = kept.unwrap();
    assert_eq!((kept.cost, kept.sparsity, columns.left(&left).len()), (0.5, 0.5, 6));
    assert!((0..groups.len()).all(|group| left[group] == columns.left(&left).contains(&(group % 12))));
}

/// No single weight saves a column.
#[test]
fn what_saves_nothing_is_not_removed() {
    let mut trainee = learnt(1);
    let groups = blocks(&trainee.model(), "first", &[1, 1]).unwrap();
    let columns = Columns::of(&groups, 12, false);
    let (kept, _) = pruned(&mut trainee, &groups, &columns, &pruning(0.5, 2));
    let kept = kept.unwrap();
    assert_eq!((kept.cost, kept.sparsity), (1.0, 0.0));
}

/// Three elements in twelve tell the class: whoever drops their columns cannot learn it again.
#[test]
fn scores_find_the_columns_that_matter() {
    let mean_accuracy = |score: Score| {
        let accuracy_of = |seed: u64| {
            let mut trainee = learnt(seed);
            let groups = blocks(&trainee.model(), "first", &[1, 1]).unwrap();
            let pruning = Pruning { score, between: Recipe { seed, ..recipe(1) }, ..pruning(0.25, 3) };
            let columns = Columns::of(&groups, 12, true);
            pruned(&mut trainee, &groups, &columns, &pruning).0.unwrap().accuracy
        };
        (1..=4).map(accuracy_of).sum::<f64>() / 4.0
    };
    let [taylor, magnitude, random] = [Score::Taylor, Score::Magnitude, Score::Random].map(mean_accuracy);
    assert!(taylor > 0.95 && magnitude > 0.95 && random < 0.85, "{taylor}, {magnitude}, {random}");
}
