//! Groups that save only together.

use crate::nets::recipe;
use crate::prune::{is_left, learnt, pruned, pruning};
use hecc_model::Model;
use hecc_train::Recipe;
use hecc_train::prune::{Group, Plan, Planner, Pricing, Pruning, Score, blocks, singles};
use std::collections::BTreeSet;

/// Every column of a dense layer that any block of one weight is left in costs one.
#[derive(Clone)]
struct Columns {
    groups: Vec<Group>,
    column_of: Vec<usize>,
    is_left: Vec<bool>,
    is_bundled: bool,
}

impl Columns {
    fn of(model: &Model, n_columns: usize, is_bundled: bool) -> Columns {
        let groups = blocks(model, "first", &[1, 1]).unwrap();
        let column_of = groups.iter().map(|group| group.weights[0] as usize % n_columns).collect();
        Columns { column_of, is_left: vec![true; groups.len()], groups, is_bundled }
    }

    fn left(&self) -> BTreeSet<usize> {
        let places = self.column_of.iter().zip(&self.is_left);
        places.filter(|(_, is_left)| **is_left).map(|(column, _)| *column).collect()
    }
}

impl Planner for Columns {
    fn plan(&self, _model: &Model) -> Plan {
        Plan { groups: self.groups.clone(), pricing: Box::new(self.clone()) }
    }

    fn cost_of(&self, _model: &Model) -> Option<f64> {
        None
    }
}

impl Pricing for Columns {
    fn cost(&self) -> f64 {
        self.left().len() as f64
    }

    fn cost_without(&mut self, groups: &[usize]) -> f64 {
        let mut without = self.clone();
        groups.iter().for_each(|&group| without.remove(group));
        without.cost()
    }

    fn remove(&mut self, group: usize) {
        self.is_left[group] = false;
    }

    fn bundles(&self) -> Vec<Vec<usize>> {
        if !self.is_bundled {
            return singles(&self.is_left);
        }
        let of_column = |column| {
            let groups = 0..self.is_left.len();
            groups.filter(|&group| self.is_left[group] && self.column_of[group] == column).collect()
        };
        self.left().into_iter().map(of_column).collect()
    }
}

#[test]
fn bundles_go_as_a_whole() {
    let mut trainee = learnt(1);
    let mut columns = Columns::of(&trainee.model(), 12, true);
    let (kept, _) = pruned(&mut trainee, &columns, &pruning(0.5, 3));
    columns.is_left = is_left(&trainee.model(), &columns.groups);
    let kept = kept.unwrap();
    let left = columns.left();
    assert_eq!((kept.cost, kept.sparsity, left.len()), (0.5, 0.5, 6));
    assert!((0..192).all(|group| columns.is_left[group] == left.contains(&(group % 12))));
}

/// No single weight saves a column.
#[test]
fn what_saves_nothing_is_not_removed() {
    let mut trainee = learnt(1);
    let columns = Columns::of(&trainee.model(), 12, false);
    let (kept, _) = pruned(&mut trainee, &columns, &pruning(0.5, 2));
    let kept = kept.unwrap();
    assert_eq!((kept.cost, kept.sparsity), (1.0, 0.0));
}

/// Three elements in twelve tell the class: whoever drops their columns cannot learn it again.
#[test]
fn scores_find_the_columns_that_matter() {
    let mean_accuracy = |score: Score| {
        let accuracy_of = |seed: u64| {
            let mut trainee = learnt(seed);
            let pruning = Pruning { score, between: Recipe { seed, ..recipe(1) }, ..pruning(0.25, 3) };
            let columns = Columns::of(&trainee.model(), 12, true);
            pruned(&mut trainee, &columns, &pruning).0.unwrap().accuracy
        };
        (1..=4).map(accuracy_of).sum::<f64>() / 4.0
    };
    let [taylor, magnitude, random] = [Score::Taylor, Score::Magnitude, Score::Random].map(mean_accuracy);
    assert!(taylor > 0.95 && magnitude > 0.95 && random < 0.85, "{taylor}, {magnitude}, {random}");
}
