//! Recording a run: the program, unmodified, under `strace`.
//!
//! `strace` and not a library before the system's own: it sees every call whoever makes it, it needs no code of ours in
//! the process, and its text can be read by a person when something is doubted. A filter in the kernel (`--seccomp-bpf`)
//! lets all other calls pass at full speed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    image::Image,
    strace,
    trace::{Operation, Trace},
};

/// Bytes of one write that are written down: more than the engine ever writes at once.
const TEXT_BYTES_MAX: &str = "67108864";

/// A recorded run.
#[derive(Debug, Clone)]
pub struct Recording {
    /// What was in the folder before, as far as the run touched it.
    pub before: Image,
    /// What happened.
    pub trace: Trace,
    /// What was in the folder afterwards, as far as the run touched it.
    pub last: Image,
}

/// A recording under way.
pub struct Recorder {
    root: PathBuf,
    log: PathBuf,
    before: Image,
}

impl Recorder {
    /// Records what happens below `root` from now on, in `log`.
    #[must_use]
    pub fn begin(root: &Path, log: &Path) -> Self {
        let root = root.canonicalize().unwrap();
        let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(&root).output().unwrap();
        let kind = String::from_utf8_lossy(&kind.stdout).into_owned();
        // Symptom: a lazy run whose newest commits were lost could not be opened. Mechanism: it was recorded in /dev/shm,
        // where the engine leaves the flush of its meta page out. Fix: runs are recorded where it would be done.
        assert!(!matches!(kind.trim(), "tmpfs" | "ramfs"), "{} is in memory", root.display());
        let before = Image::read(&root);
        Self { root, log: log.to_owned(), before }
    }

    /// The command of a program that is recorded, for its arguments to be added.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-yy", "-xx", "--seccomp-bpf", "-e", "signal=none", "-s", TEXT_BYTES_MAX])
            .args(["-e", &format!("trace={}", strace::CALLS), "-o"])
            .arg(&self.log)
            .arg("--")
            .arg(program);
        command
    }

    /// What was recorded. The program has ended.
    ///
    /// # Panics
    /// Where the folder is not what the trace makes of it: then something was not recorded.
    #[must_use]
    pub fn end(self) -> Recording {
        let text = fs::read_to_string(&self.log).unwrap();
        let trace = strace::read(&text, &self.root, &self.before.paths());
        let (mut before, mut last) = (self.before, Image::read(&self.root));
        // Keys, which a run only reads, need not be in every image.
        let touched = touched(&trace);
        for image in [&mut before, &mut last] {
            image.files.retain(|path, _| touched.contains(path) || !path.starts_with("keys/"));
        }
        let recording = Recording { before, trace, last };
        recording.check_complete();
        recording
    }
}

/// Every path that a trace names, and those that files got with their folder's new name.
fn touched(trace: &Trace) -> BTreeSet<String> {
    let mut touched = BTreeSet::new();
    for operation in &trace.operations {
        touched.insert(operation.path().to_owned());
        if let Operation::Rename { from, .. } | Operation::Link { from, .. } = operation {
            touched.insert(from.clone());
        }
        if let Operation::Rename { from, to } = operation {
            let inside = |path: &String| {
                let rest = path.strip_prefix(from.as_str())?.strip_prefix('/')?;
                Some(format!("{to}/{rest}"))
            };
            let moved: Vec<String> = touched.iter().filter_map(inside).collect();
            touched.extend(moved);
        }
    }
    touched
}

impl Recording {
    /// The trace, applied as a whole, gives the folder that the run left, byte for byte. Of lock files, which are changed
    /// through a map, only the names.
    fn check_complete(&self) {
        let mut made = self.image_at_end();
        let mut found = self.last.clone();
        for image in [&mut made, &mut found] {
            for (path, contents) in &mut image.files {
                if path.ends_with("mdbx.lck") {
                    *contents = Default::default();
                }
            }
        }
        assert_eq!(made.paths(), found.paths(), "names that were not recorded");
        for (path, contents) in &made.files {
            assert!(*contents == found.files[path], "{path} was changed by what is not recorded");
        }
    }

    fn image_at_end(&self) -> Image {
        let mut disk = crate::disk::Disk::of(&self.before);
        for event in &self.trace.events {
            disk.step(&self.trace, event);
        }
        disk.image(|change| vec![change.effect.clone()])
    }
}
