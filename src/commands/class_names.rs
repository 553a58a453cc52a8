use crate::error::legible;

/// Names of classes for a message, in a line: all of a few, else the first.
pub fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown = names.iter().take(SHOWN).map(|name| legible(name)).collect::<Vec<_>>().join(", ");
    match names.len() {
        0..=SHOWN => shown,
        count => format!("{shown}, ... ({count} in all)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_line() {
        let names = ["a\nb", "\u{1b}[31mred", "c"].map(String::from);
        assert_eq!(listed(&names), "a\\nb, \\u{1b}[31mred, c");
    }
}
