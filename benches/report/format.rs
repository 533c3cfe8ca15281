//! Numbers as people read them.

/// `5.5 us`, `23 ms`.
pub fn seconds(value: f64) -> String {
    scaled(value * 1e9, 1000.0, &["ns", "us", "ms", "s"])
}

/// `280 B`, `11.4 MB`, in powers of a thousand.
pub fn bytes(value: f64) -> String {
    scaled(value, 1000.0, &["B", "KB", "MB", "GB", "TB"])
}

/// `1.05x`, `680x`.
pub fn ratio(value: f64) -> String {
    format!("{}x", significant(value))
}

/// `4,200/s`.
pub fn rate(value: f64) -> String {
    format!("{}/s", count(value))
}

/// `4,200`.
pub fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next().unwrap_or(&"");
    // 999.5 would be said as 1000.
    while value >= step * 0.9995 {
        let Some(larger) = units.next() else { break };
        value /= step;
        unit = larger;
    }
    format!("{} {unit}", significant(value))
}

/// Three significant digits at most, and no decimals of a hundred.
fn significant(value: f64) -> String {
    let text = match value.abs() {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_the_unit_that_fits() {
        assert_eq!(seconds(5.46e-6), "5.46 us");
        assert_eq!(seconds(0.0231), "23.1 ms");
        assert_eq!(seconds(0.000_999_8), "1 ms");
        assert_eq!(bytes(11_444_224.0), "11.4 MB");
        assert_eq!(bytes(276.4), "276 B");
        assert_eq!(ratio(1.0), "1x");
        assert_eq!(rate(14_254.4), "14,254/s");
        assert_eq!([count(999.0), count(1e3), count(1234567.0)], ["999", "1,000", "1,234,567"]);
        assert_eq!(ratio(679.6), "680x");
    }
}
