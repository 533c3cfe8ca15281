//! Figures that are not times: bytes, counts, ratios. One file each, read by the report beside criterion's own.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

/// Where figures are kept: `target/figures`.
#[must_use]
pub fn directory() -> PathBuf {
    target_directory().join("figures")
}

/// Where cargo builds, and criterion keeps its estimates.
#[must_use]
pub fn target_directory() -> PathBuf {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../target");
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from(workspace), PathBuf::from)
}

/// Keeps a figure, replacing an earlier run's, and prints it. The name is a path such as `diffs/stalled/mean_bytes`.
pub fn record(name: &str, value: f64) {
    keep(name, value);
    eprintln!("{name}: {value:.1}");
}

/// Keeps a figure without a word.
pub fn keep(name: &str, value: f64) {
    let path = directory().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, value.to_string()).unwrap();
}

/// Every figure of the last run, by its name.
#[must_use]
pub fn all() -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    collect(&directory(), "", &mut figures);
    figures
}

fn collect(folder: &Path, prefix: &str, figures: &mut BTreeMap<String, f64>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().display()));
        if path.is_dir() {
            collect(&path, &format!("{name}/"), figures);
        } else if let Some(value) =
            fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok())
        {
            figures.insert(name, value);
        }
    }
}
