//! Numbers as people read them.

use crate::counts::thousands;

/// `0.9417` as `94.2 %`; whole at both ends, where a rounded number would claim too much: `99.96 %` is not `100.0 %`.
pub(super) fn percent(part: f64) -> String {
    let text = format!("{:.1}", part * 100.0);
    let text = match text.as_str() {
        "100.0" if part < 1.0 => "99.9",
        "0.0" if part > 0.0 => "0.1",
        "100.0" => "100",
        "0.0" => "0",
        other => other,
    };
    format!("{text}\u{a0}%")
}

/// Three decimals, by the same rule at 1.
pub(super) fn decimal(number: f64) -> String {
    let text = format!("{number:.3}");
    if text == "1.000" && number < 1.0 { "0.999".to_owned() } else { text }
}

/// A probability, two decimals, by the same rule at 1.
pub(super) fn probability(p: f32) -> String {
    let text = format!("{p:.2}");
    if text == "1.00" && p < 1.0 { ">0.99".to_owned() } else { text }
}

/// A number as it comes, four digits that count, without zeros at the end: `0.0316`, `1e-5`, `12,345`.
pub(super) fn plain(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        let sign = if number < 0.0 { "-" } else { "" };
        return format!("{sign}{}", thousands(number.abs() as usize));
    }
    let exponent = number.abs().log10().floor();
    if (-4.0..6.0).contains(&exponent) {
        let decimals = (3.0 - exponent).max(0.0) as usize;
        let text = format!("{number:.decimals$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        return text.to_owned();
    }
    let text = format!("{number:.3e}");
    match text.split_once('e') {
        Some((digits, power)) if digits.contains('.') => {
            format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rounded_number_never_claims_to_be_perfect() {
        assert_eq!(percent(0.9417), "94.2\u{a0}%");
        assert_eq!(percent(0.9999), "99.9\u{a0}%");
        assert_eq!(percent(1.0), "100\u{a0}%");
        assert_eq!(percent(0.0001), "0.1\u{a0}%");
        assert_eq!(decimal(0.9999), "0.999");
        assert_eq!(probability(0.999), ">0.99");
    }

    #[test]
    fn plain_numbers_keep_four_digits_and_no_zeros() {
        let all = [0.031_62, 0.5, 1e-5, 12345.0, 7.1234, 10_000_000.5, -2.0];
        let shown = all.map(plain);
        assert_eq!(shown, ["0.03162", "0.5", "1e-5", "12,345", "7.123", "1e7", "-2"]);
    }
}
