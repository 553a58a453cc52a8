//! What a saved network was trained on, as far as its file says: so that nobody judges it by what it has seen.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use crate::checkpoint::header::CONFIG;
use crate::checkpoint::header::MADE;
use crate::data::Dataset;
use crate::data::test_part::TestPart;

/// The training images of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedOn {
    /// `--data` of its run.
    pub data: String,
    /// The first so many; all where there is none.
    first: Option<usize>,
    /// Whether the validation part was held out.
    holds_out: bool,
    /// Whether a part was of the set's places. Runs from before took it in the order of the files.
    balanced: bool,
    /// What was held out to test on, of a set that brings no test images.
    test_part: TestPart,
}

impl TrainedOn {
    /// What the header entries of a file say; `None` where they do not say it.
    pub fn of(metadata: &BTreeMap<String, String>) -> Option<Self> {
        let config = metadata.get(CONFIG).or_else(|| metadata.get(MADE))?;
        let config: Value = serde_json::from_str(config).ok()?;
        let watches = |every: &str, reference: &str| {
            config[every].as_u64().is_some_and(|every| every > 0) && config[reference] == "validation"
        };
        let test_part = match config.get("test_part") {
            // What is held out where nothing is said: by encoders a part, by generators nothing.
            Some(Value::Null) if config.get("encoder").is_some() => TestPart::DEFAULT,
            Some(part) => part.as_f64().and_then(|part| part.try_into().ok()).unwrap_or(TestPart::NONE),
            None => TestPart::NONE,
        };
        Some(Self {
            test_part,
            data: config["data"].as_str()?.to_string(),
            first: config["train_images"].as_u64().map(|images| images as usize),
            holds_out: watches("evaluate_every", "evaluate_reference") || watches("knn_every", "knn_reference"),
            balanced: !metadata.contains_key(CONFIG) || config["balanced_parts"] == true,
        })
    }

    /// Whether it is the set that `spec` names.
    pub fn is(&self, spec: &str) -> bool {
        let resolved = |spec: &str| Path::new(spec).canonicalize().ok();
        self.data == spec || resolved(spec).is_some_and(|path| resolved(&self.data) == Some(path))
    }

    /// A warning where it has seen the images of `dataset`, of which `name` was trained on, that are held out to test on.
    pub fn has_seen_tests(&self, name: &str, dataset: &Dataset) -> Option<String> {
        // A smaller part is the beginning of a larger one.
        let part = dataset.held_out_to_test.filter(|part| f64::from(*part) > f64::from(self.test_part))?;
        Some(format!(
            "{name} was trained on images of {} that are held out to test on here; with a test part of {part} in its \
             training it would not have seen them",
            dataset.name
        ))
    }

    /// What was held out of `dataset` to test on; `None` where nothing was, for one that brings test or validation images
    /// too.
    pub fn test_part(&self, dataset: &Dataset) -> Option<TestPart> {
        let brings_none = dataset.test.is_empty() && dataset.validation.is_empty();
        Some(self.test_part).filter(|part| brings_none && *part != TestPart::NONE)
    }

    /// The places of the training images of `dataset`, which must be the set that it was trained on.
    pub fn places(&self, dataset: &Dataset) -> Range<usize> {
        let all = dataset.train.len();
        let part = match self.first {
            Some(first) if dataset.is_canonical || self.balanced => first.min(all),
            _ => all, // of a part in the order of the files, any place may be
        };
        0..if self.holds_out { part.min(dataset.held_out().start) } else { part }
    }

    /// How many images it was trained on of the first `count` places of a set of `all`, which are held out to test on where
    /// a set brings no test images.
    pub fn seen_of_test_part(&self, count: usize, all: usize) -> usize {
        let held_out = (f64::from(self.test_part) * all as f64).round() as usize;
        let part = self.first.filter(|_| self.balanced).unwrap_or(all);
        count.saturating_sub(held_out).min(part)
    }
}
