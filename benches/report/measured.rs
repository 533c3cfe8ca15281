//! What the last run measured: criterion's medians, and the figures that are not times.

use std::{collections::BTreeMap, fs, path::Path};

use lamella_benches::figures;
use serde_json::Value;

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Measured {
    /// Median seconds by criterion's name.
    seconds: BTreeMap<String, f64>,
    /// What is not a time of criterion's, by its path.
    figures: BTreeMap<String, f64>,
}

impl Measured {
    /// Reads what the benches left in the target directory.
    pub fn read() -> Self {
        let mut measured = Self { figures: figures::all(), ..Self::default() };
        measured.collect(&figures::target_directory().join("criterion"));
        measured
    }

    /// Median seconds of a benchmark.
    pub fn seconds(&self, name: &str) -> Option<f64> {
        self.seconds.get(name).copied()
    }

    /// A figure that is not criterion's.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }

    /// As if this had been measured.
    #[cfg(test)]
    pub fn of<const S: usize, const F: usize>(
        seconds: [(&str, f64); S],
        figures: [(&str, f64); F],
    ) -> Self {
        let owned = |(name, value): (&str, f64)| (name.to_owned(), value);
        Self {
            seconds: seconds.map(owned).into_iter().collect(),
            figures: figures.map(owned).into_iter().collect(),
        }
    }

    /// Walks criterion's directories: group, function, parameter, and in each the latest run as `new`.
    fn collect(&mut self, directory: &Path) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if entry.file_name() == "new" {
                if let Some((name, seconds)) = estimate(&path) {
                    self.seconds.insert(name, seconds);
                }
            } else if path.is_dir() {
                self.collect(&path);
            }
        }
    }
}

fn estimate(run: &Path) -> Option<(String, f64)> {
    let json =
        |file| -> Option<Value> { serde_json::from_slice(&fs::read(run.join(file)).ok()?).ok() };
    let name = json("benchmark.json")?["full_id"].as_str()?.to_owned();
    let nanoseconds = json("estimates.json")?["median"]["point_estimate"].as_f64()?;
    Some((name, nanoseconds / 1e9))
}
