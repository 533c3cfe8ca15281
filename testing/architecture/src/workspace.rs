//! The workspace's packages as cargo sees them, and their sources.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::source::Code;

/// A package of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder, from the workspace's root.
    pub folder: PathBuf,
    /// What it depends on, of the workspace or not.
    pub dependencies: Vec<Dependency>,
    /// Its suites of tests, one binary each.
    pub suites: Vec<String>,
}

/// A dependency, by the package's own name even where it is renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Name of the package.
    pub name: String,
    /// Whether only tests, examples and benchmarks have it.
    pub is_dev: bool,
}

impl Package {
    /// The name without the prefix that all but the binary share.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.strip_prefix("lamella-").unwrap_or(&self.name)
    }

    /// Whether it exists for tests or measurements only.
    #[must_use]
    pub fn is_for_tests(&self) -> bool {
        self.folder.starts_with("testing") || self.folder.starts_with("benches")
    }

    /// Every file of its `src`, by path, with its code.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn sources(&self) -> io::Result<Vec<(PathBuf, Code)>> {
        let mut found = Vec::new();
        let mut folders = vec![root().join(&self.folder).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                // Unit tests that are long stand in `tests.rs` or below `tests/`.
                if path.file_stem().is_some_and(|stem| stem == "tests") {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let code = Code::of(&fs::read_to_string(&path)?);
                    found.push((path, code));
                }
            }
        }
        Ok(found)
    }
}

/// The workspace's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every package of the workspace.
///
/// # Errors
/// When cargo cannot be run, or says something else than expected.
pub fn packages() -> io::Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    packages_of(&metadata).ok_or_else(|| io::Error::other("cargo metadata has another shape"))
}

fn packages_of(metadata: &Value) -> Option<Vec<Package>> {
    let root = Path::new(metadata["workspace_root"].as_str()?);
    let packages = metadata["packages"].as_array()?.iter();
    packages
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str()?);
            let dependencies = package["dependencies"].as_array()?.iter().map(dependency);
            Some(Package {
                name: package["name"].as_str()?.to_owned(),
                folder: manifest.parent()?.strip_prefix(root).ok()?.to_owned(),
                dependencies: dependencies.collect::<Option<_>>()?,
                suites: package["targets"].as_array()?.iter().filter_map(suite).collect(),
            })
        })
        .collect()
}

fn dependency(dependency: &Value) -> Option<Dependency> {
    let is_dev = dependency["kind"].as_str() == Some("dev");
    Some(Dependency { name: dependency["name"].as_str()?.to_owned(), is_dev })
}

fn suite(target: &Value) -> Option<String> {
    let is_suite = target["kind"].as_array()?.iter().any(|kind| kind == "test");
    is_suite.then(|| target["name"].as_str().map(str::to_owned)).flatten()
}
