//! Numbers as people read them: with the digits that an error leaves.

/// Digits where no error is known.
const N_DIGITS: i32 = 5;

/// A number down to the first digit that an error of this size reaches; zero if the number has none there or before.
pub fn with_error(value: f64, error: f64) -> String {
    if value == 0.0 || !value.is_finite() || !error.is_finite() {
        return significant(value, N_DIGITS);
    }
    let last = exponent(error);
    let value = if last > 0 || last > exponent(value) { rounded(value, last) } else { value };
    significant(value, exponent(value).saturating_sub(last).saturating_add(1))
}

/// A number without the digits behind one that stands for this power of ten.
fn rounded(value: f64, place: i32) -> f64 {
    let unit = 10f64.powi(place);
    // No negative zero.
    (value / unit).round() * unit + 0.0
}

/// An error behind the numbers that it is of.
pub fn plus_minus(error: f64) -> String {
    match error.is_finite() {
        true => format!(" ± {error:.1e}"),
        false => String::from(", without a bound of the error"),
    }
}

/// A number with as many digits as results have where nothing else is known.
pub fn alone(value: f64) -> String {
    significant(value, N_DIGITS)
}

/// A number with so many digits that are not leading zeros.
fn significant(value: f64, n_digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let decimals = (n_digits - 1).clamp(0, f64::DIGITS as i32);
    match exponent(value) {
        places @ -4..7 => format!("{value:.0$}", (decimals - places).max(0) as usize),
        _ => format!("{value:.0$e}", decimals as usize),
    }
}

/// Numbers of a result, the first of many.
pub fn list(values: &[f64], show: impl Fn(f64) -> String) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = values.iter().take(SHOWN).map(|&value| show(value)).collect();
    let more = if values.len() > SHOWN { format!(", ... ({} in all)", values.len()) } else { String::new() };
    format!("[{}{more}]", shown.join(", "))
}

/// The power of ten of the first digit.
fn exponent(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

#[cfg(test)]
mod tests {
    use super::{alone, list, plus_minus, with_error};

    #[test]
    fn small_numbers_keep_their_digits() {
        assert_eq!(alone(9e-6), "9.0000e-6");
        assert_eq!(alone(-0.000123456), "-0.00012346");
        assert_eq!([0.5, 12.345678, 1234567.8].map(alone), ["0.50000", "12.346", "1234568"]);
        assert_eq!(alone(1.5e300), "1.5000e300");
        assert_eq!([0.0, f64::NAN].map(alone), ["0", "NaN"]);
    }

    #[test]
    fn digits_end_where_the_error_begins() {
        assert_eq!(with_error(12.345678, 1e-3), "12.346");
        assert_eq!(with_error(9.0123e-6, 2e-9), "9.012e-6");
        let shown = [9e-6, -0.4, 0.7, -1.4, 96.0].map(|value| with_error(value, 1.0));
        assert_eq!(shown, ["0", "0", "1", "-1", "96"]);
        assert_eq!([1234567.8, 312.0, 49.0].map(|value| with_error(value, 120.0)), ["1234600", "300", "0"]);
        assert_eq!([2.5e9, 3e-7].map(|value| with_error(value, 4e7)), ["2.50e9", "0"]);
        assert_eq!(with_error(0.0, 1.0), "0");
        assert_eq!(with_error(1.5, 0.0), with_error(1.5, f64::MIN_POSITIVE));
    }

    #[test]
    fn errors_follow_numbers() {
        assert_eq!(plus_minus(0.00123), " ± 1.2e-3");
        assert_eq!(plus_minus(f64::INFINITY), ", without a bound of the error");
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list(&[1.0, 2.0], |x| x.to_string()), "[1, 2]");
        assert!(list(&[1.0; 12], |x| x.to_string()).ends_with("1, ... (12 in all)]"));
    }
}
