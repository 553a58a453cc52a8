//! What a file says of the best network of a run: which step it is of, by what measure, with what score.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checkpoint::header::BEST;

/// By what the networks of a run are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// The Fréchet distance of samples to real images.
    Frechet,
    /// The part of the real images that have a sample close to them.
    Coverage,
    /// The kNN accuracy of an encoder's features.
    Knn,
}

impl Measure {
    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frechet => "frechet",
            Self::Coverage => "coverage",
            Self::Knn => "knn",
        }
    }

    /// Whether `score` is better than `other`; NaN and infinity never are.
    pub fn is_better(self, score: f32, other: f32) -> bool {
        score.is_finite()
            && match self {
                Self::Frechet => score < other,
                Self::Coverage | Self::Knn => score > other,
            }
    }

    /// The measure of generators of that name.
    ///
    /// # Errors
    /// What is expected, where there is none.
    pub fn of_generators(name: &str) -> Result<Self, String> {
        match name {
            "frechet" => Ok(Self::Frechet),
            "coverage" => Ok(Self::Coverage),
            "knn" => Err("expected frechet or coverage; kNN accuracy is that of an encoder".into()),
            _ => Err("expected frechet or coverage".into()),
        }
    }

    /// The measure of encoders of that name.
    ///
    /// # Errors
    /// What is expected, where there is none.
    pub fn of_encoders(name: &str) -> Result<Self, String> {
        match name {
            "knn" => Ok(Self::Knn),
            "frechet" | "coverage" => Err(format!("expected knn; {name} is that of a generator")),
            _ => Err("expected knn".into()),
        }
    }
}

/// The best evaluation of a run so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps done when it was made.
    pub step: u64,
    /// By what it is the best.
    pub measure: Measure,
    /// In f32, which a decimal gives back to the bit.
    pub score: f32,
}

impl Best {
    /// What the header entries of a file say; `None` where they say nothing.
    pub fn of(metadata: &BTreeMap<String, String>) -> Option<Self> {
        serde_json::from_str(metadata.get(BEST)?).ok()
    }

    /// What is to be said where the validation images judge the network called `name`, which they have chosen.
    pub fn chosen_by_validation(&self, name: &str) -> String {
        format!(
            "{name} was chosen for its {} on the validation images: its scores on them are too good; the test images judge",
            self.measure.name()
        )
    }
}

impl fmt::Display for Best {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {} at step {}", self.measure.name(), self.score, self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_score_depends_on_the_measure_and_is_a_number() {
        for (measure, better, worse) in
            [(Measure::Frechet, 1.0, 2.0), (Measure::Coverage, 0.9, 0.8), (Measure::Knn, 0.6, 0.5)]
        {
            assert!(measure.is_better(better, worse) && !measure.is_better(worse, better), "{measure:?}");
            assert!(!measure.is_better(better, better), "{measure:?}: the first of two equal ones stays");
            for none in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                assert!(!measure.is_better(none, worse), "{measure:?}, {none}");
            }
        }
    }

    #[test]
    fn a_score_is_read_to_the_bit() {
        let mut score = 0.0123_f32;
        for step in 0..2000 {
            score = f32::from_bits(score.to_bits() + 70_001);
            let best = Best { step, measure: Measure::Frechet, score };
            let text = serde_json::to_string(&best).unwrap();
            let read = Best::of(&BTreeMap::from([(BEST.to_string(), text)])).unwrap();
            assert_eq!(read.score.to_bits(), score.to_bits());
        }
    }

    #[test]
    fn a_measure_is_of_generators_or_of_encoders() {
        assert_eq!(Measure::of_generators("frechet"), Ok(Measure::Frechet));
        assert_eq!(Measure::of_encoders("knn"), Ok(Measure::Knn));
        assert!(Measure::of_generators("knn").unwrap_err().contains("of an encoder"));
        assert!(Measure::of_encoders("coverage").unwrap_err().contains("of a generator"));
    }
}
