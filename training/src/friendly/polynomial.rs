//! Polynomials near an activation.

use crate::trainee::keep_degree;
use hecc_model::Nonlinear;

/// Weight of points spread evenly over the range, against those that occur.
const EVEN_SHARE: f64 = 0.1;
const N_EVEN: usize = 256;

/// The polynomial, constant first, with the least mean squared error over the values
/// that occur and, with less weight, the whole range.
pub(super) fn fit_polynomial(function: Nonlinear, seen: &[f64], range: f64, degree: usize) -> Vec<f64> {
    let even = (0..N_EVEN).map(|i| range * (2.0 * i as f64 / (N_EVEN - 1) as f64 - 1.0));
    let weighted = seen.iter().map(|&x| (x, (1.0 - EVEN_SHARE) / seen.len().max(1) as f64));
    let points = weighted.chain(even.map(|x| (x, EVEN_SHARE / N_EVEN as f64)));
    // Normal equations in x / range, whose powers are of one size.
    let n = degree + 1;
    let mut rows = vec![vec![0.0; n + 1]; n];
    for (x, weight) in points {
        let (t, y) = (x / range, function.value(x));
        let powers: Vec<f64> = (0..n).map(|k| t.powi(k as i32)).collect();
        for (row, power) in rows.iter_mut().zip(&powers) {
            row.iter_mut().zip(&powers).for_each(|(sum, other)| *sum += weight * power * other);
            row[n] += weight * power * y;
        }
    }
    let solution = solve(rows);
    let mut coefficients: Vec<f64> =
        solution.iter().enumerate().map(|(k, c)| c / range.powi(k as i32)).collect();
    keep_degree(&mut coefficients);
    coefficients
}

/// Solves a symmetric positive system, rows with their right side, by elimination with
/// the largest pivot.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let n = rows.len();
    for column in 0..n {
        let largest = (column..n).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        rows.swap(column, largest.unwrap_or(column));
        let pivot = rows[column].clone();
        for row in (0..n).filter(|&row| row != column) {
            let factor = rows[row][column] / pivot[column];
            rows[row].iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_near_relu_is_found() {
        let seen: Vec<f64> = (0..1000).map(|i| f64::from(i) / 250.0 - 2.0).collect();
        let fitted = fit_polynomial(Nonlinear::Relu, &seen, 2.0, 2);
        // Least squares on [-r, r]: 3r/32 + x/2 + 15/(32 r) x^2.
        for (found, expected) in fitted.iter().zip([3.0 * 2.0 / 32.0, 0.5, 15.0 / 64.0]) {
            assert!((found - expected).abs() < 0.01, "{found} for {expected}");
        }
    }

    #[test]
    fn higher_degrees_come_closer() {
        let seen: Vec<f64> = (0..1000).map(|i| f64::from(i) / 125.0 - 4.0).collect();
        let error = |degree: usize| {
            let fitted = fit_polynomial(Nonlinear::Gelu, &seen, 4.0, degree);
            let value = |x: f64| fitted.iter().rev().fold(0.0, |sum, c| sum * x + c);
            seen.iter().map(|&x| (value(x) - Nonlinear::Gelu.value(x)).powi(2)).sum::<f64>()
        };
        assert!(error(4) < error(2) / 4.0 && error(8) < error(4) / 4.0);
    }
}
