//! What stands before the names of a network's tensors, and which of several networks is meant.

use std::collections::BTreeSet;

/// What scripts call the network that is meant, the most usual first. Compared without case and without a last
/// `_state_dict`.
const USUAL: [&str; 27] = [
    "state_dict",
    "model",
    "net",
    "network",
    "module",
    "_orig_mod",
    "model_state",
    "weights",
    "params",
    "generator",
    "gen",
    "netg",
    "g",
    "encoder",
    "backbone",
    "f",
    "classifier",
    "online",
    "online_encoder",
    "online_network",
    "online_net",
    "student",
    "encoder_q",
    "query_encoder",
    "base_encoder",
    "base_model",
    "feature_extractor",
];

/// Words in the names of averaged copies.
const AVERAGED: [&str; 7] = ["ema", "swa", "avg", "average", "averaged", "shadow", "moving"];

/// Where `names` has one of `anchors`, what stands before it: empty, or ending in a dot.
pub fn of<'a>(names: impl Iterator<Item = &'a String>, anchors: &[&str]) -> BTreeSet<String> {
    let before = |name: &'a str, anchor: &str| {
        name.strip_suffix(anchor).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
    };
    names.flat_map(|name| anchors.iter().filter_map(move |anchor| before(name, anchor))).map(str::to_owned).collect()
}

/// Smaller for the network that is meant more usually: whether it is an average, then how usual the names are that it lies
/// under, the outermost first. Without a prefix it is what the file is about.
pub fn rank(prefix: &str, prefers_average: bool) -> (bool, Vec<usize>) {
    let segments: Vec<&str> = prefix.split('.').filter(|segment| !segment.is_empty()).collect();
    let is_average = segments.iter().any(|segment| segment.split(['_', '-']).any(is_averaged));
    let ranks = segments.iter().map(|segment| usualness(segment));
    // What stands behind an unusual name says nothing.
    let end = ranks.clone().position(|rank| rank == USUAL.len()).map_or(segments.len(), |unusual| unusual + 1);
    let ranks = ranks.take(end).collect();
    (is_average != prefers_average, ranks)
}

fn is_averaged(word: &str) -> bool {
    AVERAGED.iter().any(|averaged| word.eq_ignore_ascii_case(averaged))
}

fn usualness(segment: &str) -> usize {
    let lower = segment.to_ascii_lowercase();
    let short = lower.strip_suffix("_state_dict").unwrap_or(&lower);
    USUAL.iter().position(|usual| *usual == short).unwrap_or(USUAL.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_a_dot() {
        let names = ["0.weight", "net.0.weight", "net.10.weight", "net.0.bias", "a.b.0.weight", "x0.weight"];
        let names = names.map(str::to_owned);
        assert_eq!(of(names.iter(), &["0.weight"]), ["", "a.b.", "net."].map(str::to_owned).into());
    }

    #[test]
    fn the_usual_one_comes_first() {
        let first = |prefixes: &[&'static str], average| {
            let mut sorted = prefixes.to_vec();
            sorted.sort_by_key(|prefix| rank(prefix, average));
            sorted[0]
        };
        assert_eq!(first(&["best.", "state_dict."], false), "state_dict.");
        assert_eq!(first(&["generator_ema.", "generator."], true), "generator_ema.");
        assert_eq!(first(&["generator_ema.", "generator."], false), "generator.");
        assert_eq!(first(&["netG_EMA.", "netG."], true), "netG_EMA.");
        assert_eq!(first(&["state_dict.encoder_k.", "state_dict.encoder_q."], false), "state_dict.encoder_q.");
        assert_eq!(first(&["model_best.", "model_state_dict.module."], false), "model_state_dict.module.");
        assert_eq!(first(&["", "net."], false), "");
        assert_eq!(rank("G_A.", false), rank("G_B.net", false), "neither is more usual");
    }
}
