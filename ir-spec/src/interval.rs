//! Intervals that numbers lie in, as slots of the evaluator: bounds of what a circuit computes on any
//! input of a range.
//!
//! Values that depend on each other are taken for independent, but for a value and itself in a
//! square. So bounds hold, and are reached where every input counts once. Rounding of the bounds themselves
//! is left to the caller's margin.

use crate::eval::Scalar;

/// All numbers from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Smallest number.
    pub low: f64,
    /// Largest number.
    pub high: f64,
}

impl Interval {
    /// The interval of one number.
    pub fn point(x: f64) -> Interval {
        Interval { low: x, high: x }
    }

    /// Largest magnitude of a number in it.
    pub fn magnitude(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    fn between(a: f64, b: f64) -> Interval {
        Interval { low: a.min(b), high: a.max(b) }
    }
}

impl Scalar for Interval {
    const ZERO: Interval = Interval { low: 0.0, high: 0.0 };

    fn add(self, other: Interval) -> Interval {
        Interval { low: self.low + other.low, high: self.high + other.high }
    }

    fn sub(self, other: Interval) -> Interval {
        Interval { low: self.low - other.high, high: self.high - other.low }
    }

    fn mul(self, other: Interval) -> Interval {
        let [a, b] = [self.low, self.high].map(|x| Interval::between(x * other.low, x * other.high));
        Interval { low: a.low.min(b.low), high: a.high.max(b.high) }
    }

    fn square(self) -> Interval {
        let squares = Interval::between(self.low * self.low, self.high * self.high);
        let has_zero = self.low <= 0.0 && self.high >= 0.0;
        Interval { low: if has_zero { 0.0 } else { squares.low }, ..squares }
    }

    fn plus(self, number: f64) -> Interval {
        Interval { low: self.low + number, high: self.high + number }
    }

    fn times(self, number: f64) -> Interval {
        Interval::between(self.low * number, self.high * number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interval() -> impl Strategy<Value = Interval> {
        (-9.0..9.0, -9.0..9.0).prop_map(|(a, b)| Interval::between(a, b))
    }

    fn holds(interval: Interval, x: f64) -> bool {
        let slack = 1e-12 * (1.0 + x.abs());
        (interval.low - slack..=interval.high + slack).contains(&x)
    }

    proptest! {
        #[test]
        fn what_numbers_give_lies_in_what_intervals_give(
            a in interval(), b in interval(), t in 0.0..=1.0, u in 0.0..=1.0, number in -9.0..9.0,
        ) {
            let within = |i: Interval, t: f64| i.low + (i.high - i.low) * t;
            let (x, y) = (within(a, t), within(b, u));
            prop_assert!(holds(a.add(b), x + y) && holds(a.sub(b), x - y));
            prop_assert!(holds(a.mul(b), x * y) && holds(a.square(), x * x));
            prop_assert!(holds(a.plus(number), x + number) && holds(a.times(number), x * number));
        }
    }

    #[test]
    fn squares_are_not_negative() {
        let across = Interval { low: -3.0, high: 2.0 };
        assert_eq!(across.square(), Interval { low: 0.0, high: 9.0 });
        assert_eq!(across.mul(across), Interval { low: -6.0, high: 9.0 });
    }
}
