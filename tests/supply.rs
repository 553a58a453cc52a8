//! What the program is made of: licences and sources of its packages, as `.deny.toml` allows them, and where code is
//! `unsafe`. The first two are read from `cargo metadata`, and ignored where it does not work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::repository;

/// The packages of every feature and platform.
fn packages() -> Vec<serde_json::Value> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository()).args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--offline",
        "--all-features",
    ]);
    let output = cargo.output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// The texts in quotes between `begin` and `end` of .deny.toml.
fn listed(begin: &str, end: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(&repository()).join(".deny.toml")).unwrap();
    let part = text.split_once(begin).unwrap().1.split_once(end).unwrap().0;
    let lines = part.lines().filter_map(|line| line.trim().strip_prefix('"'));
    lines.map(|line| line.split_once('"').unwrap().0.to_string()).collect()
}

/// Whether one of an expression's alternatives is allowed in all its parts. Nested ones read as they are written here:
/// parentheses only around alternatives.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let mut text = expression.replace('/', " OR ");
    // Alternatives in parentheses first.
    while let Some((before, rest)) = text.split_once('(') {
        let (inner, after) = rest.split_once(')').unwrap();
        let verdict = if is_allowed(inner, allowed) { "MIT" } else { "none" };
        text = format!("{before}{verdict}{after}");
    }
    let allowed = |license: &str| allowed.iter().any(|known| known == license.trim());
    text.split(" OR ").any(|alternative| alternative.split(" AND ").all(allowed))
}

#[test]
#[cfg_attr(not(has_metadata), ignore = "needs cargo metadata of all platforms\' packages")]
fn every_licence_is_one_that_is_allowed() {
    let allowed = listed("allow = [", "]");
    assert!(allowed.contains(&"MIT".to_string()) && allowed.contains(&"Unicode-3.0".to_string()));
    assert!(is_allowed("(GPL-3.0 OR MIT) AND ISC", &allowed) && !is_allowed("GPL-3.0 OR MIT AND GPL-2.0", &allowed));
    let excluded = listed("exclude = [", "]");
    let is_in = |package: &serde_json::Value| !excluded.iter().any(|name| package["name"] == name.as_str());
    for package in packages().into_iter().filter(is_in) {
        let license = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(license, &allowed), "{}: {license}", package["name"]);
    }
}

#[test]
#[cfg_attr(not(has_metadata), ignore = "needs cargo metadata of all platforms\' packages")]
fn every_package_comes_from_the_registry() {
    for package in packages().into_iter().filter(|package| package["name"] != "gan") {
        let source = package["source"].as_str().unwrap_or("a path");
        assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{}", package["name"]);
    }
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.extend(Some(path).filter(|path| path.extension().is_some_and(|end| end == "rs"))),
        }
    }
}

/// The compiler denies `unsafe` but where a module allows it: those are the kernels, `startup` and `file_system`.
#[test]
fn unsafe_code_stays_in_the_kernels() {
    let (root, mut files) = (Path::new(&repository()).join("src"), Vec::new());
    sources(&root, &mut files);
    for path in files {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().map(|line| line.split("//").next().unwrap());
        let is_unsafe =
            code.clone().any(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe"));
        let places = ["ops/", "kernels/", "startup/", "file_system.rs", "data/augment/cuda.rs"];
        let may = places.iter().any(|place| name.starts_with(place));
        assert!(may || !is_unsafe, "{name}: unsafe code outside the kernels");
    }
    let lib = fs::read_to_string(root.join("lib.rs")).unwrap();
    assert!(lib.contains("#![deny(unsafe_code)]"));
}
