//! Numbers as people read them.

/// A whole number with its thousands set apart: `7,214`.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 && digits != "0" { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && value.is_finite() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with what is counted: `1 step`, `7 steps`.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// A fraction of 1 in per cent: `45.3 %`.
pub(super) fn percent(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0.0, 999.0, 1000.0, 1234567.0, -4321.4].map(grouped), ["0", "999", "1,000", "1,234,567", "-4,321"]);
        assert_eq!([0, 1, 12].map(|count| counted(count, "step")), ["0 steps", "1 step", "12 steps"]);
        assert_eq!([0.0, 0.4531, 1.0, f64::NAN].map(percent), ["0.0 %", "45.3 %", "100.0 %", "NaN %"]);
    }
}
