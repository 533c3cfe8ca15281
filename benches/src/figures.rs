//! Figures that are not times: bytes, counts, ratios. One file each, read by the report beside criterion's own.

use std::{env, fs, path::PathBuf};

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
    let path = directory().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, value.to_string()).unwrap();
    eprintln!("{name}: {value:.1}");
}

/// A figure of the last run, `None` if it was not measured.
#[must_use]
pub fn figure(name: &str) -> Option<f64> {
    fs::read_to_string(directory().join(name)).ok()?.trim().parse().ok()
}
