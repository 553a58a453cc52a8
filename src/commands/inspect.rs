//! What a file of weights holds: what `gan inspect` does.

use std::path::Path;

use serde_json::json;

use crate::checkpoint::Weights;
use crate::commands::errors;
use crate::pretrained::recognise;
use crate::report::Console;

/// Networks of a file that are named.
const MOST_NETWORKS: usize = 32;

/// Writes the metadata, the networks that are recognised, and then one line for each tensor to stdout: name, dtype, shape.
/// With `json` each line is an object.
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
        line(json!({ "metadata": key, "value": value }), format!("# {key}: {value}"));
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
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let mut scalars = 0;
    for (name, (shape, dtype)) in &weights.signature {
        let dtype = dtype.as_str();
        scalars += shape.iter().product::<usize>();
        line(json!({ "name": name, "dtype": dtype, "shape": shape }), format!("{name:width$}  {dtype:4}  {shape:?}"));
    }
    for (name, what) in &weights.unread {
        line(json!({ "name": name, "unread": what }), format!("{name:width$}  not read: {what}"));
    }
    console.note(&format!("{}: {} tensors, {scalars} numbers", file.display(), weights.signature.len()));
    console.data_bytes(lines.as_bytes())
}
