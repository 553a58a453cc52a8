//! What a file of weights holds: what `gan inspect` does.

use std::path::Path;

use serde_json::json;

use crate::checkpoint;
use crate::report::Console;

/// Writes the metadata and then one line for each tensor to stdout: name, dtype, shape. With `json` each line is an
/// object.
///
/// # Errors
/// As [`checkpoint::describe`] and [`Console::data_bytes`].
pub fn inspect(file: &Path, json: bool, console: &Console) -> anyhow::Result<()> {
    let description = checkpoint::describe(file)?;
    let mut lines = String::new();
    let mut line = |object: serde_json::Value, text: String| {
        lines += &if json { object.to_string() } else { text };
        lines.push('\n');
    };
    for (key, value) in &description.metadata {
        line(json!({ "metadata": key, "value": value }), format!("# {key}: {value}"));
    }
    let names = description.tensors.keys().chain(description.unread.keys());
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let mut scalars = 0;
    for (name, (shape, dtype)) in &description.tensors {
        let dtype = dtype.as_str();
        scalars += shape.iter().product::<usize>();
        line(json!({ "name": name, "dtype": dtype, "shape": shape }), format!("{name:width$}  {dtype:4}  {shape:?}"));
    }
    for (name, what) in &description.unread {
        line(json!({ "name": name, "unread": what }), format!("{name:width$}  not read: {what}"));
    }
    console.note(&format!("{}: {} tensors, {scalars} numbers", file.display(), description.tensors.len()));
    console.data_bytes(lines.as_bytes())
}
