/// Names of classes for a message: all of a few, else the first.
pub fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0..=SHOWN => shown,
        count => format!("{shown}, ... ({count} in all)"),
    }
}
