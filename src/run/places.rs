//! Where the files lie that a configuration names by relative paths, so that a run is resumed from any directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf, absolute};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::header::is_place_of;
use crate::data;

/// The fields of configurations that may be paths of what a resumed run reads.
const FIELDS: [&str; 3] = ["data", "weights", "evaluate_classifier"];

/// The absolute paths, by the fields that name them. They are kept beside the configuration and are no part of it: no result
/// depends on them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places(BTreeMap<String, String>);

impl Places {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the place that `field` has, whatever its configuration says.
    pub fn set(&mut self, field: &str, place: &Path) {
        self.0.extend(place.to_str().map(|place| (field.to_string(), place.to_string()))); // JSON has no other names
    }

    /// Of what the user names anew nothing is known.
    pub(super) fn forget(&mut self, typed: &[String]) {
        self.0.retain(|field, _| !typed.contains(field));
    }

    /// What to open for `field`, which the configuration says is `named`: that where something is there, else its place. A
    /// copy of a run with its data has these, not those of the original.
    pub fn find(&self, field: &str, named: &str) -> String {
        let place = self.kept(field, named).filter(|_| !Path::new(named).exists());
        place.unwrap_or(named).to_string()
    }

    fn kept(&self, field: &str, named: &str) -> Option<&str> {
        let place = self.0.get(field).filter(|place| Path::new(place).exists() && is_place_of(place, named));
        place.map(String::as_str)
    }

    /// As they are for `config` now.
    pub(super) fn of(&self, config: &Value) -> Self {
        let mut found = Self::default();
        for field in FIELDS {
            let Some(named) = config.get(field).and_then(Value::as_str) else { continue };
            let kept = self.kept(field, named).map(PathBuf::from);
            let is_path = Path::new(named).is_relative() && Path::new(named).exists();
            let is_path = is_path && !(field == "data" && data::is_name(named));
            if let Some(place) = absolute(named).ok().filter(|_| is_path).or(kept) {
                found.set(field, &place);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_that_are_there_have_places_and_names_have_none() {
        let manifest = absolute("Cargo.toml").unwrap();
        let config = json!({
            "data": "mnist", "weights": "Cargo.toml", "evaluate_classifier": null, "seed": 1, "model": "Cargo.toml"
        });
        let places = Places::default().of(&config);
        assert_eq!(serde_json::to_value(&places).unwrap(), json!({ "weights": manifest }));
        assert_eq!(places.find("weights", "Cargo.toml"), "Cargo.toml");
        assert_eq!(places.find("data", "mnist"), "mnist");
        // What is not there is where it was, as long as that is there and is called so.
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().join("encoder");
        std::fs::write(&there, "").unwrap();
        let kept: Places = serde_json::from_value(json!({ "weights": there, "data": "/not/there" })).unwrap();
        assert_eq!(kept.of(&config), places);
        let config = json!({ "data": "there", "weights": "encoder" });
        assert_eq!(serde_json::to_value(kept.of(&config)).unwrap(), json!({ "weights": there }));
        assert_eq!(kept.find("weights", "./encoder"), there.to_str().unwrap());
        assert_eq!((kept.find("weights", "w"), kept.find("data", "there")), ("w".to_string(), "there".to_string()));
        let mut typed = kept.clone();
        typed.forget(&["weights".to_string()]);
        assert_eq!(typed.find("weights", "encoder"), "encoder");
    }
}
