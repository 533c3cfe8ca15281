//! The layers of the workspace as tests: which crate may depend on which, that only `chain` commits, that only
//! `tables` names the engine and only `shipping` object stores, that pure crates stay pure, and that no crate's modules go in a circle ([`circles`]).
//!
//! Dependencies come from `cargo metadata`, so no spelling of a manifest hides one; sources are read as text without
//! comments and unit tests ([`source`]). Each rule is a function that returns its violations, and a test of its own
//! shows it a bad sample.

pub mod circles;
pub mod source;
#[cfg(test)]
mod tests;
pub mod workspace;

use source::{Code, Word};
use workspace::Package;

/// A crate below `crates/` and what it may depend on in the workspace, by name without the `lamella-` prefix.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// The crate.
    pub name: &'static str,
    /// Crates it may name under `[dependencies]`.
    pub may_use: &'static [&'static str],
    /// Crates that its tests may use beyond those.
    pub tests_may_use: &'static [&'static str],
    /// Whether it has no I/O, clock, thread, lock or log.
    pub is_pure: bool,
}

const fn layer(name: &'static str, may_use: &'static [&'static str], is_pure: bool) -> Layer {
    Layer { name, may_use, tests_may_use: &[], is_pure }
}

/// Every crate below `crates/`. The binary may use all of them, tests and benchmarks everything.
pub const LAYERS: &[Layer] = &[
    layer("types", &[], true),
    layer("state-transition", &["types"], true),
    layer("fork-choice", &["types"], true),
    layer("state-diff", &["types"], true),
    // Its tests archive chains that the transition made.
    Layer {
        tests_may_use: &["state-transition"],
        ..layer("archive", &["state-diff", "types"], true)
    },
    // Its tests damage rows, which only a feature of it allows.
    Layer { tests_may_use: &["tables"], ..layer("tables", &["types"], false) },
    layer("block-store", &["tables", "types"], false),
    layer("state-store", &["tables", "state-diff", "types"], false),
    layer("chain", &["fork-choice", "block-store", "state-store", "tables", "types"], false),
    layer("http-api", &["inspect", "metrics", "network", "types"], false),
    layer(
        "inspect",
        &[
            "archive",
            "chain",
            "fork-choice",
            "block-store",
            "state-store",
            "state-diff",
            "tables",
            "types",
        ],
        false,
    ),
    layer(
        "shipping",
        &[
            "archive",
            "inspect",
            "chain",
            "block-store",
            "state-diff",
            "state-store",
            "state-transition",
            "tables",
            "types",
        ],
        false,
    ),
    layer(
        "store",
        &["chain", "fork-choice", "inspect", "state-store", "state-transition", "tables", "types"],
        false,
    ),
    layer("interrupt", &[], false),
    layer("xmss", &["types"], false),
    layer("network", &["types"], false),
    layer("metrics", &["chain", "fork-choice", "network", "state-store", "tables", "types"], false),
    layer("hostile", &["network", "network-dir", "state-transition", "types", "xmss"], false),
    // Files for browsers, and where they are served.
    layer("explorer", &[], true),
    layer(
        "devnet",
        &["explorer", "hostile", "network-dir", "inspect", "interrupt", "state-store", "types"],
        false,
    ),
    layer("network-dir", &["types", "xmss"], false),
];

/// Modules of `std` that a pure crate does not name.
const IMPURE_MODULES: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread", "time"];

/// Crates and macros that a pure crate does not name.
const IMPURE_WORDS: &[&str] =
    &["dbg", "eprint", "eprintln", "log", "parking_lot", "print", "println", "tokio", "tracing"];

/// Arrows between packages of the workspace that their layers do not allow.
#[must_use]
pub fn forbidden_arrows(packages: &[Package], layers: &[Layer]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages.iter().filter(|package| !package.is_for_tests()) {
        let layer = layers.iter().find(|layer| layer.name == package.short_name());
        if layer.is_none() && package.folder.starts_with("crates") {
            found.push(format!("{} has no layer", package.name));
        }
        for dependency in &package.dependencies {
            let Some(target) = packages.iter().find(|other| other.name == dependency.name) else {
                continue;
            };
            let may_use = |names: &[&str]| names.contains(&target.short_name());
            let is_allowed = match layer {
                Some(layer) => {
                    may_use(layer.may_use) || (dependency.is_dev && may_use(layer.tests_may_use))
                }
                None => target.folder.starts_with("crates"),
            };
            if !is_allowed {
                let kind = if dependency.is_dev { "in its tests" } else { "at all" };
                found.push(format!("{} must not use {} {kind}", package.name, target.name));
            }
        }
    }
    let has_crate = |layer: &&Layer| packages.iter().any(|other| other.short_name() == layer.name);
    let stale = layers.iter().filter(|layer| !has_crate(layer));
    found.extend(stale.map(|layer| format!("the layer {} has no crate", layer.name)));
    found
}

/// Packages other than `tables` that depend on the engine, under whatever kind of dependency.
#[must_use]
pub fn engine_dependencies(packages: &[Package]) -> Vec<String> {
    let others = packages.iter().filter(|package| package.short_name() != "tables");
    others
        .filter(|package| package.dependencies.iter().any(|other| other.name.contains("mdbx")))
        .map(|package| format!("{} depends on the engine", package.name))
        .collect()
}

/// Packages other than `shipping` and those of tests that depend on object stores, and the crates that come with them.
#[must_use]
pub fn store_dependencies(packages: &[Package]) -> Vec<String> {
    let held = |package: &&Package| !package.is_for_tests() && package.short_name() != "shipping";
    let names = |package: &&Package| {
        package.dependencies.iter().any(|dependency| dependency.name == "object_store")
    };
    let found = packages.iter().filter(held).filter(names);
    found.map(|package| format!("{} depends on object stores", package.name)).collect()
}

/// Lines that name the engine, in code or in text.
#[must_use]
pub fn engine_names(code: &Code) -> Vec<usize> {
    let lines = code.text.lines().enumerate();
    lines.filter(|(_, line)| line.to_lowercase().contains("mdbx")).map(|(at, _)| at + 1).collect()
}

/// Lines that call a function `commit`, or name one by its path. A field or a declaration of that name is no matter.
#[must_use]
pub fn commits(code: &Code) -> Vec<usize> {
    let is_use = |word: &Word<'_>| {
        let before = word.before.trim_end();
        before.ends_with("::")
            || (word.after.trim_start().starts_with('(') && !before.ends_with("fn"))
    };
    code.words("commit").filter(is_use).map(|word| word.line).collect()
}

/// What in a pure crate's source reaches for the outside.
#[must_use]
pub fn impurities(code: &Code) -> Vec<String> {
    let modules = code.std_modules().into_iter();
    let mut found: Vec<String> = modules
        .filter(|(_, module)| IMPURE_MODULES.contains(module))
        .map(|(line, module)| format!("line {line}: std::{module}"))
        .collect();
    for word in IMPURE_WORDS {
        let used = code.words(word).filter(|word| word.after.starts_with(['!', ':']));
        found.extend(used.map(|used| format!("line {}: {word}", used.line)));
    }
    found
}

/// Whether a manifest takes the workspace's lints.
#[must_use]
pub fn takes_workspace_lints(manifest: &str) -> bool {
    let section = manifest.split("\n[").find_map(|section| section.strip_prefix("lints]"));
    section.is_some_and(|section| section.lines().any(|line| line.trim() == "workspace = true"))
}

/// What a tracked file must not hold: paths of one machine, and notes of work left undone.
#[must_use]
pub fn leftovers(text: &str) -> Vec<&'static str> {
    // In two parts, so that this file does not hold them.
    let paths = [(concat!("/wo", "rk/"), "a machine's path"), (concat!("/ro", "ot/"), "a home")];
    let notes = [(concat!("TO", "DO"), "work left"), (concat!("FIX", "ME"), "work left")];
    let found = paths.iter().chain(&notes).filter(|(part, _)| text.contains(part));
    found.map(|(_, what)| *what).collect()
}
