//! Comma-separated values (RFC 4180), lines ending in a line feed.

/// A line of `fields`, quoted where they need it.
pub fn csv_line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let fields: Vec<String> = fields.into_iter().map(field).collect();
    fields.join(",") + "\n"
}

fn field(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_need_it() {
        assert_eq!(csv_line(["a b", "", "c,d", "e\"f"]), "a b,,\"c,d\",\"e\"\"f\"\n");
    }
}
