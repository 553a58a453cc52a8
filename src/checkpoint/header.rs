//! The header entries of our files: their keys, and what a saved configuration says.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Where a run has come to.
pub const STATE: &str = "gan.state";
/// The configuration, in checkpoints and in networks for use.
pub const CONFIG: &str = "gan.config";
/// What the network is that the file is for (`models::NetworkDescription`), in networks for use. Files from before lack it.
pub const NETWORK: &str = "gan.network";
/// Which line of checkpoints it belongs to, where the run has ever gone back (`run::line`).
pub const LINE: &str = "gan.line";
/// How many images the run's data have, and a hash of their content.
pub const DATA: &str = "gan.data";
/// The hash of the encoder that is fine-tuned.
pub const ENCODER: &str = "gan.encoder";
/// What the health of the run is judged by.
pub const HEALTH: &str = "gan.health";
/// How strong adaptive augmentation is.
pub const AUGMENT: &str = "gan.augment";
/// Which step the best network of the run is of, and its score, where one is kept (`Best`).
pub const BEST: &str = "gan.best";
/// How long the run has gone on without a new best, where one is kept.
pub const PATIENCE: &str = "gan.patience";
/// A record that waits for its scores.
pub const PENDING: &str = "gan.pending";
/// The rows of a table that are done.
pub const ROWS: &str = "gan.rows";
/// How the weights were made.
pub const MADE: &str = "gan.made";

/// Beside a saved configuration: the absolute paths of the files that it names by relative ones, by field.
pub const PLACES: &str = "places";

/// Where the file lies that a field of a saved configuration names, if that is kept beside it.
pub fn saved_place(config: &str, field: &str) -> Option<String> {
    let config: Value = serde_json::from_str(config).ok()?;
    let (place, named) = (config.get(PLACES)?.get(field)?.as_str()?, config.get(field)?.as_str()?);
    is_place_of(place, named).then(|| place.to_string())
}

/// Whether the absolute path `place` may be what a configuration calls `named`: somebody may have edited it.
pub fn is_place_of(place: &str, named: &str) -> bool {
    let named: PathBuf = Path::new(named).components().filter(|part| *part != Component::CurDir).collect();
    Path::new(place).ends_with(named)
}

/// A text field of a saved configuration.
pub fn saved_text(config: &str, field: &str) -> Option<String> {
    let config: Value = serde_json::from_str(config).ok()?;
    config.get(field)?.as_str().map(str::to_string)
}

/// The fields of a saved configuration in the order that they have there; `None` where it is none.
pub fn in_order(config: &str) -> Option<Vec<(String, Value)>> {
    struct Fields(Vec<(String, Value)>);

    impl<'de> Deserialize<'de> for Fields {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(Visit)
        }
    }

    struct Visit;

    impl<'de> Visitor<'de> for Visit {
        type Value = Fields;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
            let mut fields = Vec::new();
            while let Some(field) = map.next_entry()? {
                fields.push(field);
            }
            Ok(Fields(fields))
        }
    }

    serde_json::from_str::<Fields>(config).ok().map(|Fields(fields)| fields)
}

/// Reads a number, or NaN where there is `null`: JSON knows no NaN and no infinity.
pub fn number_or_null<'de, D: Deserializer<'de>, F>(deserializer: D) -> Result<F, D::Error>
where
    F: Deserialize<'de> + From<f32>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(|| F::from(f32::NAN)))
}
