//! What a saved network was trained on, as far as its file says: so that nobody judges it by what it has seen.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::checkpoint::header::{CONFIG, MADE, saved_place};
use crate::checkpoint::saved_runs::CONFIG_FILE;
use crate::data::splits::Split;
use crate::data::test_part::TestPart;
use crate::data::{Dataset, ImageSet};

/// The training images of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedOn {
    /// `--data` of its run.
    pub data: String,
    /// Where that lies, if its run has kept it.
    place: Option<String>,
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
            place: None,
            test_part,
            data: config["data"].as_str()?.to_string(),
            first: config["train_images"].as_u64().map(|images| images as usize),
            holds_out: watches("evaluate_every", "evaluate_reference") || watches("knn_every", "knn_reference"),
            balanced: !metadata.contains_key(CONFIG) || config["balanced_parts"] == true,
        })
    }

    /// Of a network in `file`, beside which its run may say where the set lies.
    pub fn placed(self, file: &Path) -> Self {
        let config = file.parent().and_then(|run| fs::read_to_string(run.join(CONFIG_FILE)).ok());
        let place = config.and_then(|config| saved_place(&config, "data"));
        let is_here = Path::new(&self.data).exists();
        Self { place: place.filter(|place| !is_here && Path::new(place).exists()), ..self }
    }

    /// What to open to have the set.
    pub fn found(&self) -> &str {
        self.place.as_deref().unwrap_or(&self.data)
    }

    /// Whether it is the set that `spec` names.
    pub fn is(&self, spec: &str) -> bool {
        let resolved = |spec: &str| Path::new(spec).canonicalize().ok();
        self.data == spec || resolved(spec).is_some_and(|path| resolved(self.found()) == Some(path))
    }

    /// Whether its training images were taken from where a picture of the gallery `spec` lies: the picture at `path`, of that
    /// `part` of the gallery. Some of these may have been held out.
    pub fn draws_from(&self, spec: &str, path: &str, part: Option<Split>) -> bool {
        if self.is(spec) && part.is_some() {
            return part == Some(Split::Train);
        }
        let (set, gallery) = (Path::new(self.found()).canonicalize(), Path::new(spec).canonicalize());
        let (Ok(set), Ok(gallery), Ok(below)) = (set, gallery, Path::new(path).strip_prefix(spec)) else {
            return false;
        };
        let picture = gallery.join(below);
        let Ok(in_set) = picture.strip_prefix(set) else { return false };
        let part = in_set.components().next().and_then(|first| Split::of(Path::new(&first)));
        part.is_none_or(|part| part == Split::Train)
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

    /// The images of `dataset`, which must be the set that it was trained on and uncut, that it was trained on.
    ///
    /// # Errors
    /// As [`Dataset::without_test_part`].
    pub fn images(&self, dataset: &Dataset) -> Result<ImageSet> {
        let held_out = Some(self.test_part).filter(|part| dataset.test.is_empty() && *part != TestPart::NONE);
        let of_run = match held_out {
            Some(_) => dataset.clone().without_test_part(held_out)?,
            None => dataset.clone(),
        };
        let mut chosen = of_run.train.at(self.places(&of_run), of_run.is_canonical);
        chosen.sort_unstable(); // those in a row are not copied
        Ok(of_run.train.select(&chosen))
    }

    /// How many images it was trained on of the first `count` places of a set of `all`, which are held out to test on where
    /// a set brings no test images.
    pub fn seen_of_test_part(&self, count: usize, all: usize) -> usize {
        let held_out = (f64::from(self.test_part) * all as f64).round() as usize;
        let part = self.first.filter(|_| self.balanced).unwrap_or(all);
        count.saturating_sub(held_out).min(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;

    fn pixels(config: &str, dataset: &Dataset) -> Vec<u8> {
        let trained = TrainedOn::of(&[(CONFIG.to_string(), config.to_string())].into()).unwrap();
        trained.images(dataset).unwrap().to_images().unwrap().pixels
    }

    #[test]
    fn pictures_are_known_by_where_they_lie() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(&path).unwrap();
            path.to_str().unwrap().to_string()
        };
        let [parted, train, test] = ["parted", "parted/Train", "parted/test"].map(place);
        let [flat, class, other] = ["flat", "flat/cat", "other/cat"].map(place);
        let draws = |data: &str, spec: &str, part: Option<Split>| {
            let config = serde_json::json!({ "data": data }).to_string();
            let trained = TrainedOn::of(&[(CONFIG.to_string(), config)].into()).unwrap();
            trained.draws_from(spec, &format!("{spec}/1.png"), part)
        };
        assert!(draws(&parted, &parted, Some(Split::Train)) && !draws(&parted, &parted, Some(Split::Test)));
        assert!(draws(&parted, &train, None) && !draws(&parted, &test, None));
        assert!(draws(&flat, &flat, None) && draws(&flat, &class, None) && !draws(&flat, &other, None));
        assert!(draws("mnist", "mnist", Some(Split::Train)) && !draws("mnist", &flat, None));
        assert!(!draws(&class, &flat, None) && !draws(&other, "mnist", Some(Split::Train)));
    }

    #[test]
    fn the_images_of_a_run_are_those_that_it_neither_held_out_nor_left() {
        let images = |count: u8| Images {
            height: 1,
            width: 1,
            channels: 1,
            pixels: (0..count).collect(),
            labels: (0..count).map(|index| u32::from(index % 2)).collect(),
        };
        let dataset = Dataset::new("some", vec!["a".into(), "b".into()], images(20), images(0));
        let all: Vec<u8> = (0..20).collect();
        assert_eq!(pixels(r#"{"data": "some"}"#, &dataset), all);
        assert_eq!(pixels(r#"{"data": "some", "train_images": 30, "balanced_parts": true}"#, &dataset), all);
        let part = dataset.clone().without_test_part(Some(TestPart::DEFAULT)).unwrap();
        let held_out = r#"{"data": "some", "test_part": 0.2}"#;
        assert_eq!(pixels(held_out, &dataset), part.train.to_images().unwrap().pixels);
        assert_eq!(pixels(held_out, &dataset).len(), 16);
        let first = dataset.clone().cut(Some(6), true).unwrap();
        let watched = r#"{"data": "some", "train_images": 6, "balanced_parts": true, "evaluate_every": 1,
            "evaluate_reference": "validation"}"#;
        assert_eq!(pixels(watched, &dataset), first.train.to_images().unwrap().pixels);
        let tested = Dataset { test: images(3).into(), ..dataset };
        assert_eq!(pixels(held_out, &tested), all, "a test part that came later");
    }
}
