//! What is in a data set, as tables for people.

use crate::data::Census;
use crate::data::census::PartCensus;
use crate::error::legible;
use crate::report::numbers::grouped;
use crate::report::table::aligned;

/// Classes, broken pictures and sets of duplicates that are named.
const CLASSES: usize = 50;
const BROKEN: usize = 20;
const DUPLICATES: usize = 10;
/// Names of one picture.
const COPIES: usize = 4;

/// Parts, classes, broken pictures and duplicates, under each other. No line break at the end.
pub fn census_tables(census: &Census) -> String {
    let sections = [Some(parts(census)), classes(census), broken(census), duplicates(census)];
    sections.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn parts(census: &Census) -> String {
    let head = ["part", "formats", "pictures", "smallest", "median", "largest", "grey", "colour", "alpha"];
    let row = |part: &PartCensus| {
        let sizes = |size: fn(&crate::data::census::Sizes) -> String| part.sizes.as_ref().map_or("-".into(), size);
        let formats: Vec<String> = part.formats.iter().map(|(name, count)| format!("{name} {count}")).collect();
        vec![
            part.part.to_string(),
            if formats.is_empty() { "-".into() } else { formats.join(", ") },
            grouped(part.pictures as f64),
            sizes(|sizes| sizes.smallest.to_string()),
            sizes(|sizes| sizes.median.to_string()),
            sizes(|sizes| sizes.largest.to_string()),
            grouped(part.grey as f64),
            grouped(part.colour as f64),
            grouped(part.alpha as f64),
        ]
    };
    let rows = census.parts.iter().map(row);
    aligned(&[head.map(String::from).to_vec()].into_iter().chain(rows).collect::<Vec<_>>(), 2)
}

/// `None` where there are none.
fn classes(census: &Census) -> Option<String> {
    let mut names: Vec<&String> = census.parts.iter().flat_map(|part| part.classes.keys()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return None;
    }
    let mut head = vec!["class".to_string()];
    head.extend(census.parts.iter().map(|part| part.part.to_string()));
    let mut table = vec![head];
    let line = |name: &str, count: &dyn Fn(&PartCensus) -> usize| {
        let counts = census.parts.iter().map(|part| grouped(count(part) as f64));
        [legible(name)].into_iter().chain(counts).collect::<Vec<_>>()
    };
    for name in names.iter().take(CLASSES) {
        table.push(line(name, &|part| part.classes.get(*name).copied().unwrap_or_default()));
    }
    if names.len() > CLASSES {
        table.push(vec![format!("and {} more", names.len() - CLASSES)]);
    }
    if census.parts.iter().any(|part| part.unclassified > 0) {
        table.push(line("(none)", &|part| part.unclassified));
    }
    Some(aligned(&table, 1))
}

fn broken(census: &Census) -> Option<String> {
    let lines = census.broken.iter().take(BROKEN).map(|broken| format!("  {}: {}", broken.path, broken.problem));
    section("broken pictures", String::new(), census.broken.len(), BROKEN, lines)
}

fn duplicates(census: &Census) -> Option<String> {
    // Those between parts first: they make a test too easy.
    let mut sets: Vec<_> = census.duplicates.iter().collect();
    sets.sort_by_key(|set| !set.across_parts);
    let line = |paths: &[String]| match paths {
        // The last is in the other part, where there is one.
        [first @ .., last] if paths.len() > COPIES => {
            format!("  {} = ... = {last} ({} in all)", first[..COPIES - 1].join(" = "), paths.len())
        }
        _ => format!("  {}", paths.join(" = ")),
    };
    let lines = sets.into_iter().take(DUPLICATES).map(|set| line(&set.paths));
    let across = census.duplicates.iter().filter(|set| set.across_parts).count();
    let across = format!(", {across} across parts");
    section("duplicates", across, census.duplicates.len(), DUPLICATES, lines)
}

fn section(
    what: &str,
    more: String,
    count: usize,
    shown: usize,
    lines: impl Iterator<Item = String>,
) -> Option<String> {
    if count == 0 {
        return None;
    }
    let mut section = vec![format!("{what} ({count}{more}):")];
    section.extend(lines.map(|line| legible(&line)));
    if count > shown {
        section.push(format!("  and {} more", count - shown));
    }
    Some(section.join("\n"))
}
