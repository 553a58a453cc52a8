//! In f64 and on one thread: there is one score an image, and waking another thread takes longer.

use super::Rule;

impl Rule {
    fn loss(self, score: f64, target: f64) -> f64 {
        match self {
            // `max` alone would lose NaN; the product keeps it.
            Rule::CrossEntropy => score.max(0.0) - score * target + (-score.abs()).exp().ln_1p(),
            Rule::HalfSquare => (score - target) * (score - target) * 0.5,
            Rule::Hinge if target * score >= 1.0 => 0.0, // false of NaN
            Rule::Hinge => 1.0 - target * score,
            Rule::Product => target * score,
        }
    }

    fn slope(self, score: f64, target: f64) -> f64 {
        match self {
            Rule::CrossEntropy => {
                let exp = (-score.abs()).exp();
                (if score >= 0.0 { 1.0 } else { exp }) / (1.0 + exp) - target
            }
            Rule::HalfSquare => score - target,
            Rule::Hinge if target * score >= 1.0 => 0.0,
            Rule::Hinge => -target,
            Rule::Product => target,
        }
    }
}

/// The mean loss of the scores.
pub fn mean(rule: Rule, scores: &[f32], target: f64) -> f64 {
    scores.iter().map(|score| rule.loss(f64::from(*score), target)).sum::<f64>() / scores.len() as f64
}

/// The gradient of [`mean`], times `factor`.
pub fn gradient(rule: Rule, scores: &[f32], target: f64, factor: f64) -> Vec<f32> {
    let share = factor / scores.len() as f64;
    scores.iter().map(|score| (rule.slope(f64::from(*score), target) * share) as f32).collect()
}
