//! What is left of a plan, counted so that taking a diagonal away is cheap.

use super::assign::DiagonalKey;
use super::groups::WeightGroups;
use super::split::{Counts, Price, Split};
use std::collections::HashMap;

/// The cost of a plan with some of its diagonals.
#[derive(Clone, Debug)]
pub struct Tally {
    diagonals: Vec<Place>,
    is_left: Vec<bool>,
    maps: Vec<MapTally>,
    /// Uses by position, see [`Place`].
    uses: Vec<u32>,
    fixed_ns: f64,
}

/// Where a diagonal counts: positions in [`Tally::uses`].
#[derive(Clone, Copy, Debug)]
struct Place {
    map: usize,
    /// Diagonals of several layers may be one product.
    product: usize,
    baby: Option<Baby>,
    giant: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Baby {
    rotation: usize,
    operand: usize,
}

#[derive(Clone, Copy, Debug)]
struct MapTally {
    price: Price,
    counts: Counts,
    cost_ns: f64,
}

/// What uses are counted of, within a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Used {
    Product(DiagonalKey),
    Operand(u32),
    Baby(u32, i64),
    Giant(u32, i64),
}

impl Tally {
    /// All diagonals of some groups, of the maps with these splits and prices.
    pub(super) fn of(
        groups: &WeightGroups,
        maps: impl Iterator<Item = (Split, Price)>,
        fixed_ns: f64,
    ) -> Tally {
        let maps: Vec<(Split, Price)> = maps.collect();
        let mut positions: HashMap<(usize, Used), usize> = HashMap::new();
        let mut position = |map: usize, used: Used| {
            let next = positions.len();
            *positions.entry((map, used)).or_insert(next)
        };
        let place = |(map, (out, operand, step)): (usize, DiagonalKey)| {
            let baby = maps[map].0.baby(step);
            let giant = step - baby;
            Place {
                map,
                product: position(map, Used::Product((out, operand, step))),
                baby: (baby != 0).then(|| Baby {
                    rotation: position(map, Used::Baby(operand, baby)),
                    operand: position(map, Used::Operand(operand)),
                }),
                giant: (giant != 0).then(|| position(map, Used::Giant(out, giant))),
            }
        };
        let diagonals: Vec<Place> = groups.places().map(place).collect();
        let empty =
            |&(_, price): &(Split, Price)| MapTally { price, counts: Counts::default(), cost_ns: 0.0 };
        let mut tally = Tally {
            is_left: vec![false; diagonals.len()],
            uses: vec![0; positions.len()],
            maps: maps.iter().map(empty).collect(),
            diagonals,
            fixed_ns,
        };
        (0..tally.diagonals.len()).for_each(|diagonal| tally.set(diagonal, true));
        tally.maps.iter_mut().for_each(MapTally::update);
        tally
    }

    /// Estimated time of the network with what is left, nanoseconds on one thread.
    pub fn cost(&self) -> f64 {
        self.fixed_ns + self.maps.iter().map(|map| map.cost_ns).sum::<f64>()
    }

    /// The same without some more diagonals.
    pub fn cost_without(&mut self, diagonals: &[usize]) -> f64 {
        let gone: Vec<usize> = diagonals.iter().copied().filter(|&diagonal| self.is_left[diagonal]).collect();
        gone.iter().for_each(|&diagonal| self.remove(diagonal));
        let cost = self.cost();
        gone.iter().for_each(|&diagonal| self.put(diagonal, true));
        cost
    }

    /// Takes a diagonal away.
    pub fn remove(&mut self, diagonal: usize) {
        self.put(diagonal, false);
    }

    /// Which diagonals are left.
    pub fn is_left(&self) -> &[bool] {
        &self.is_left
    }

    fn put(&mut self, diagonal: usize, is_left: bool) {
        self.set(diagonal, is_left);
        self.maps[self.diagonals[diagonal].map].update();
    }

    /// Counts a diagonal in or out.
    fn set(&mut self, diagonal: usize, is_left: bool) {
        if std::mem::replace(&mut self.is_left[diagonal], is_left) == is_left {
            return;
        }
        let Place { map, product, baby, giant } = self.diagonals[diagonal];
        let counts = &mut self.maps[map].counts;
        // True where the first use comes or the last one goes.
        let mut turns = |position: usize| {
            let uses = &mut self.uses[position];
            *uses = if is_left { *uses + 1 } else { *uses - 1 };
            *uses == u32::from(is_left)
        };
        let count = |n: &mut usize, turns: bool| match (turns, is_left) {
            (true, true) => *n += 1,
            (true, false) => *n -= 1,
            (false, _) => {}
        };
        let is_product = turns(product);
        count(&mut counts.products, is_product);
        count(&mut counts.rotated, is_product && baby.is_some());
        if let Some(baby) = baby {
            count(&mut counts.babies, turns(baby.rotation));
            count(&mut counts.operands, turns(baby.operand));
        }
        if let Some(giant) = giant {
            count(&mut counts.giants, turns(giant));
        }
    }
}

impl MapTally {
    fn update(&mut self) {
        self.cost_ns = if self.counts.products == 0 { 0.0 } else { self.price.of(self.counts) };
    }
}
