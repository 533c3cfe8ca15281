//! Runs in which one call fails: by a library before the system's own, compiled here and put under the unmodified program.
//!
//! `strace` can make calls fail too, but not cut a write short, and it counts calls of each thread apart.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Longest time for a run; then it is killed, which is a finding. A healthy one takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks at it.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

const SOURCE: &str = include_str!("failing.c");

/// Kinds of calls, as the library names them.
pub const KINDS: &[&str] =
    &["write", "pwrite", "pwritev", "synced", "flush", "length", "open", "rename", "names", "map"];

/// The kinds that flush.
const FLUSHES: &[&str] = &["synced", "flush"];

/// How a call fails: EIO, ENOSPC and EINTR by their numbers, a write that is cut to half, and EIO after the call has happened.
const WAYS: &[&str] = &["5", "28", EINTR, "short", "done"];

const EINTR: &str = "4";

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which kind of call.
    pub kind: &'static str,
    /// Which of them, from 1 on; 0 is none.
    pub at: u64,
    /// How: an errno's number, `short` or `done`.
    pub how: &'static str,
    /// Whether all later ones of the kind fail too.
    pub is_for_ever: bool,
}

impl Fault {
    /// Every way in which this call can fail.
    pub fn ways(kind: &'static str, at: u64, is_for_ever: bool) -> impl Iterator<Item = Self> {
        let can = move |how: &str| match how {
            // No system interrupts every call for ever.
            EINTR => !is_for_ever,
            "short" => kind.contains("write") || kind == "synced",
            "done" => !matches!(kind, "open" | "map"),
            _ => true,
        };
        let ways = WAYS.iter().filter(move |how| can(how));
        ways.map(move |how| Self { kind, at, how, is_for_ever })
    }

    /// Whether these words say why this call failed, or that an earlier failure is why this one is refused.
    #[must_use]
    pub fn is_named_in(&self, words: &str) -> bool {
        let names: &[&str] = match self.how {
            "28" => &["No space left", "is full"],
            EINTR => &["Interrupted"],
            // The engine takes a write that is cut short for one that failed, or goes on with the rest.
            "short" => &["Input/output error", "failed to write whole buffer"],
            _ => &["Input/output error"],
        };
        names.iter().chain(&["MDBX_PANIC"]).any(|name| words.contains(name))
    }

    /// Whether a flush fails: then nothing that waited for it is known to be on the disk.
    #[must_use]
    pub fn is_of_flush(&self) -> bool {
        FLUSHES.contains(&self.kind) && !matches!(self.how, EINTR | "short")
    }
}

/// The library, compiled. A C compiler is there: the engine is made with it.
pub struct Failing {
    library: PathBuf,
    log: PathBuf,
}

/// How a run with a fault ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its lines.
    pub said: String,
    /// Whether the call was ever made, and failed.
    pub has_failed: bool,
}

impl Ended {
    /// What it says of steps that failed, and why it ended.
    pub fn told(&self) -> impl Iterator<Item = &str> {
        let lines = self.said.lines();
        lines.filter(|line| line.starts_with("failed ") || line.starts_with("error: "))
    }

    /// Whether it ended as a program may: well, or with an error in words. Not by a signal and not by a panic.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        let is_named = self.said.lines().any(|line| line.starts_with("error: "));
        self.status.signal().is_none()
            && !self.said.contains("panicked")
            && (self.status.success() || is_named)
    }
}

impl Failing {
    /// Compiles it into this folder.
    ///
    /// # Panics
    /// When the compiler fails.
    #[must_use]
    pub fn make(folder: &Path) -> Self {
        let (source, library) = (folder.join("failing.c"), folder.join("failing.so"));
        fs::write(&source, SOURCE).unwrap();
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .args(["-ldl", "-lpthread"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { library, log: folder.join("failed.log") }
    }

    /// Runs a program in which calls on files below `root` fail so.
    #[must_use]
    pub fn run(&self, command: &mut Command, root: &Path, fault: &Fault) -> Ended {
        self.run_until(command, root, fault, |_| false)
    }

    /// The same of a program that ends with its standard input, which is closed after a line that is enough.
    #[must_use]
    pub fn run_until(
        &self,
        command: &mut Command,
        root: &Path,
        fault: &Fault,
        mut is_enough: impl FnMut(&str) -> bool + Send + 'static,
    ) -> Ended {
        let _ = fs::remove_file(&self.log);
        let Fault { kind, at, how, is_for_ever } = fault;
        let when = if *is_for_ever { "ever" } else { "once" };
        let mut child = command
            .env("LD_PRELOAD", &self.library)
            .env("LAMELLA_FAIL", format!("{} {kind} {at} {how} {when}", root.display()))
            .env("LAMELLA_FAIL_LOG", &self.log)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, errors) = (child.stdin.take(), child.stderr.take().unwrap());
        let said = thread::spawn(move || {
            let mut said = String::new();
            for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if is_enough(&line) {
                    stdin = None;
                }
                said.extend([&*line, "\n"]);
            }
            drop(stdin);
            said
        });
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => child.kill().unwrap(),
                None => thread::sleep(LOOK_INTERVAL),
            }
        };
        Ended { status, said: said.join().unwrap(), has_failed: self.log.exists() }
    }

    /// How many calls of each kind a run makes.
    #[must_use]
    pub fn count(&self, command: &mut Command, root: &Path) -> Vec<(&'static str, u64)> {
        self.count_of(|none| self.run(command, root, none))
    }

    /// The same of a run with a fault that is none.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn count_of(&self, run: impl FnOnce(&Fault) -> Ended) -> Vec<(&'static str, u64)> {
        let ended = run(&Fault { kind: KINDS[0], at: 0, how: "5", is_for_ever: false });
        assert!(ended.status.success(), "{ended:?}");
        let log = fs::read_to_string(&self.log).unwrap();
        let count = |kind: &str| -> Option<u64> {
            log.lines().find_map(|line| line.strip_prefix(kind)?.trim().parse().ok())
        };
        KINDS.iter().map(|kind| (*kind, count(kind).unwrap())).collect()
    }
}
