//! Values of a configuration, as they are typed.

use serde_json::Value;

/// A saved value as it is typed: the items of a list apart by commas, nothing for a switch that is on. `None` where nothing
/// was typed: of what is not set, of an empty list, and of a switch that is off.
pub(super) fn as_typed(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(items.iter().filter_map(as_typed).collect::<Vec<_>>().join(",")),
        Value::Number(_) | Value::Object(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_shown_as_they_are_typed() {
        for (value, typed) in [
            (json!(null), None),
            (json!(false), None),
            (json!([]), None),
            (json!(true), Some("")),
            (json!("ls"), Some("ls")),
            (json!(["dig", "g.safetensors"]), Some("dig,g.safetensors")),
            (json!(0.0001), Some("0.0001")),
            (json!(28), Some("28")),
        ] {
            assert_eq!(as_typed(&value).as_deref(), typed, "{value}");
        }
    }
}
