//! How well the samples of a conditional generator are of the classes that they were drawn as.

use serde::{Deserialize, Serialize};

/// Scores of samples by their classes, in the order of these.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ClassScores {
    /// The part of the samples that the classifier takes for the class that they were drawn as, a fraction of 1.
    pub class_agreement: f64,
    /// The same of the samples of each class.
    pub agreement_by_class: Vec<f64>,
    /// The Fréchet distance between the samples of each class and the reference images of it; `None` where there are fewer
    /// than two of either.
    pub frechet_by_class: Vec<Option<f64>>,
}

impl ClassScores {
    /// For people: two lines without a break at the end. `whose` follows the name of each.
    pub(super) fn lines(&self, whose: &str) -> String {
        let joined = |values: Vec<String>| values.join(" ");
        let agreement = self.agreement_by_class.iter().map(|part| format!("{:.1}", 100.0 * part)).collect();
        let distance = |value: &Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.2}"));
        format!(
            "agreement with the class drawn{whose}: {:.2} %; of each class: {}\nFréchet distance of each class{whose}: {}",
            100.0 * self.class_agreement,
            joined(agreement),
            joined(self.frechet_by_class.iter().map(distance).collect())
        )
    }
}
