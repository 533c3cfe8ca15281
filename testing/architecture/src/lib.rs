//! The layers of the workspace as tests: which crate may depend on which, that only `chain` commits, that only
//! `tables` names the engine, and that pure crates stay pure.
//!
//! Sources and manifests are read as text. Each rule is a function from text to its violations, and a test of its
//! own shows that it can fail.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

/// A crate of the workspace and the crates that it may depend on, by folder name.
pub struct Layer {
    /// Folder below the workspace root.
    pub folder: &'static str,
    /// Crates it may name under `[dependencies]`.
    pub may_use: &'static [&'static str],
    /// Whether it has no I/O, clock, thread, lock or log.
    pub is_pure: bool,
}

const fn layer(folder: &'static str, may_use: &'static [&'static str], is_pure: bool) -> Layer {
    Layer { folder, may_use, is_pure }
}

/// Every crate below `crates/`. The binary may use all of them.
pub const LAYERS: &[Layer] = &[
    layer("crates/types", &[], true),
    layer("crates/state-transition", &["types"], true),
    layer("crates/fork-choice", &["types"], true),
    layer("crates/state-diff", &["types"], true),
    layer("crates/tables", &["types"], false),
    layer("crates/block-store", &["tables", "types"], false),
    layer("crates/state-store", &["tables", "state-diff", "types"], false),
    layer("crates/chain", &["fork-choice", "block-store", "state-store", "tables", "types"], false),
    layer("crates/xmss", &["types"], false),
];

/// What a pure crate does not name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::time",
    "std::thread",
    "std::env",
    "parking_lot",
    "tracing::",
    "println!",
];

/// The workspace's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The workspace crates under `[dependencies]` of a manifest, by folder name.
#[must_use]
pub fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter_map(|name| name.strip_prefix("lamella-")).map(str::to_owned).collect()
}

/// Source lines outside comments that contain one of `words`, whatever their case.
#[must_use]
pub fn lines_with<'a>(source: &'a str, words: &[&str]) -> Vec<&'a str> {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.filter(|line| words.iter().any(|word| line.to_lowercase().contains(&word.to_lowercase())))
        .collect()
}

/// The part of a source file before its unit tests.
#[must_use]
pub fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]").next().unwrap_or_default()
}

/// Lines of a pure crate's source that reach for the outside.
#[must_use]
pub fn impurities(source: &str) -> Vec<&str> {
    lines_with(without_tests(source), IMPURE)
}

/// Every `.rs` file below a folder, with its text.
///
/// # Errors
/// When a file cannot be read.
pub fn sources(folder: &Path) -> std::io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path)?;
                found.push((path, text));
            }
        }
    }
    Ok(found)
}
