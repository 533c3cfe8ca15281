//! Runs the second reader of archives, where a Python has its zstd module.

use std::{
    env,
    io::Write as _,
    path::Path,
    process::{Command, Output},
};

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/archive-reader/read.py");

/// Debian's python3-zstandard is installed for Debian's own Python, which need not be the first in the path.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// A Python that has the zstd module. There has to be one in continuous integration.
pub fn python() -> Option<&'static str> {
    let has_module = |python: &&str| {
        let run = Command::new(python).args(["-c", "import zstandard"]).output();
        run.is_ok_and(|run| run.status.success())
    };
    let python = PYTHONS.into_iter().find(has_module);
    if python.is_none() {
        assert!(env::var_os("CI").is_none(), "no python3 with the module zstandard: sh .ci/deps");
        // Not `println`: the runner would keep it to itself.
        let text = "skipped: no python3 with the module zstandard (Debian: python3-zstandard)";
        writeln!(std::io::stdout().lock(), "{text}").unwrap();
    }
    python
}

/// What the reader says of an archive in a folder, under a root.
pub fn read(python: &str, folder: &Path, root: &str) -> Output {
    Command::new(python).arg(READER).arg(folder).arg(root).output().unwrap()
}
