//! What a file of weights holds: what `gan inspect` does.

use std::path::Path;

use serde_json::json;

use crate::checkpoint::Weights;
use crate::checkpoint::header::{CONFIG, in_order};
use crate::commands::errors;
use crate::error::one_line;
use crate::pretrained::recognise;
use crate::report::Console;

/// Networks of a file that are named.
const MOST_NETWORKS: usize = 32;

/// Writes the metadata (of a configuration one setting a line), the networks that are recognised, and then one line for each
/// tensor to stdout: name, dtype, shape. With `json` each line is an object, and so is a whole configuration.
///
/// # Errors
/// As [`Weights::open`] and [`Console::data_bytes`].
pub fn inspect(file: &Path, json: bool, console: &Console) -> anyhow::Result<()> {
    let weights = Weights::open(file)?;
    let mut lines = String::new();
    let mut line = |object: serde_json::Value, text: String| {
        lines += &if json { object.to_string() } else { text };
        lines.push('\n');
    };
    for (key, value) in &weights.metadata {
        line(json!({ "metadata": key, "value": value }), metadata_text(key, value));
    }
    let networks = recognise(&weights).unwrap_or_else(|error| {
        console.warning(&errors::text(&error));
        Vec::new()
    });
    for network in networks.iter().take(MOST_NETWORKS) {
        let (name, shape) = (network.prefix.trim_end_matches('.'), network.description.image_shape);
        let at = if name.is_empty() { String::new() } else { format!(" at {name}") };
        line(
            json!({ "network": network.description, "at": name }),
            format!("# network{at}: {}, images of {shape}", network.words()),
        );
    }
    let names = weights.signature.keys().chain(weights.unread.keys());
    let width = names.map(|name| one_line(name).chars().count()).max().unwrap_or(0);
    let mut scalars = 0;
    for (name, (shape, dtype)) in &weights.signature {
        let dtype = dtype.as_str();
        scalars += shape.iter().product::<usize>();
        line(
            json!({ "name": name, "dtype": dtype, "shape": shape }),
            format!("{:width$}  {dtype:4}  {shape:?}", one_line(name)),
        );
    }
    for (name, what) in &weights.unread {
        line(json!({ "name": name, "unread": what }), format!("{:width$}  not read: {what}", one_line(name)));
    }
    console.note(&format!("{}: {} tensors, {scalars} numbers", file.display(), weights.signature.len()));
    console.data_bytes(lines.as_bytes())
}

/// An entry of the metadata for people.
fn metadata_text(key: &str, value: &str) -> String {
    let settings = if key == CONFIG { in_order(value) } else { None };
    let Some(settings) = settings else { return format!("# {}: {}", one_line(key), one_line(value)) };
    let line = |(name, value): &(String, serde_json::Value)| {
        format!("\n#   {}: {}", one_line(name), one_line(&value.to_string()))
    };
    format!("# {key}:{}", settings.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_has_a_line_a_setting_in_its_order() {
        let config = r#"{"model":"lsgan","data":"a\nb","batch_size":16,"init":[],"augment":{"kind":"none"}}"#;
        assert_eq!(
            metadata_text(CONFIG, config),
            "# gan.config:\n#   model: \"lsgan\"\n#   data: \"a\\nb\"\n#   batch_size: 16\n#   init: []\n#   augment: \
             {\"kind\":\"none\"}"
        );
        for value in ["{\"cut\": ", "[1]", "a\u{1b}[2J\nb"] {
            assert_eq!(metadata_text(CONFIG, value).lines().count(), 1, "{value}");
            assert!(!metadata_text(CONFIG, value).contains('\u{1b}'));
        }
        assert_eq!(metadata_text("gan.network", config), format!("# gan.network: {config}"));
    }
}
