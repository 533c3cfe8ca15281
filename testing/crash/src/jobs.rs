//! Commands that move a whole database or write many of its rows, and what a crash left of one judged. `recorded_jobs` records them.
//!
//! The hard idea: what such a command promises is about names. So an image is looked at as whoever comes next looks at it, and
//! what is seen, the digest of all rows or the name of what is unfinished, must be what the run without a crash had at that
//! point. Then the same command must come to what that run ended with: the same rows, the guard's among them, and the
//! same names beside them, so that there are never two databases and never none. On a sample `db clean --delete` comes before,
//! which must not delete the only one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lamella_chain::{Chain, ChainOpenError, Found, Settings};
use lamella_tables::{Canonical, Database, Diffs, OpenMode, Options, Read as _, SlotRoot, Slots};
use lamella_types::{Root, Slot};
use serde::{Deserialize, Serialize};

use crate::{
    archiving,
    process::{ended, field},
    verdict::{Verdict, rows_but},
};

/// A command.
#[derive(Debug)]
pub struct Job {
    /// Its run's name.
    pub name: &'static str,
    /// What is recorded, but for the data directory.
    arguments: &'static [&'static str],
    /// What is done before that.
    pub(crate) before: Before,
    /// The flag before the data directory that is recorded: `--to` where the command makes a copy there.
    pub(crate) flag: &'static str,
    pub(crate) end: End,
}

/// When a command ends.
#[derive(Debug)]
pub(crate) enum End {
    ByItself,
    /// When it is told to, which it is once its log has named a head at or after this slot.
    After(Slot),
}

/// What is done to a directory before a command is recorded.
#[derive(Debug)]
pub(crate) enum Before {
    Nothing,
    /// Another command, and the folders that it leaves are deleted.
    Command(&'static [&'static str]),
    /// Rows are lost that follow from others.
    Damage,
    /// It is another chain's than the archive in `source`, which has segments and no tail.
    Part,
}

pub(crate) const TO: &str = "--to";
pub(crate) const DATA_DIR: &str = "--data-dir";

/// The follower that begins again.
pub(crate) const REBUILD: &str = "follow-rebuild";

/// Whoever has the archive's chain has a head after this slot; who parted from it has not.
const FIRST_SEGMENT_END: Slot = 1_024;

/// Every command.
pub const JOBS: &[Job] = &[
    Job {
        name: "db-compact",
        arguments: &["db", "compact"],
        before: Before::Nothing,
        flag: DATA_DIR,
        end: End::ByItself,
    },
    Job {
        name: "db-migrate",
        arguments: &["db", "migrate"],
        before: Before::Command(&["db", "migrate", "--to", "2"]),
        flag: DATA_DIR,
        end: End::ByItself,
    },
    Job {
        name: "db-backup",
        arguments: &["db", "backup"],
        before: Before::Nothing,
        flag: TO,
        end: End::ByItself,
    },
    Job {
        name: "db-repair",
        arguments: &["db", "repair", "--apply"],
        before: Before::Damage,
        flag: DATA_DIR,
        end: End::ByItself,
    },
    Job {
        name: "db-prune",
        arguments: &["db", "prune", "--mode", "light", "--drop-forks", "1", "--apply"],
        before: Before::Nothing,
        flag: DATA_DIR,
        end: End::ByItself,
    },
    Job {
        name: REBUILD,
        arguments: &[
            "follow",
            "--rebuild",
            "--proof-scheme",
            "trust",
            "--api-port",
            "0",
            "--exit-with-parent",
        ],
        before: Before::Part,
        flag: DATA_DIR,
        end: End::After(FIRST_SEGMENT_END),
    },
];

/// The row of a backup that says when it was taken.
pub(crate) const TAKEN: &str = "backup";

/// One row of so many is lost before a repair.
pub(crate) const DAMAGED_EVERY: usize = 3;

/// What is seen where a command is named as unfinished.
const UNFINISHED: &str = "unfinished";

/// What is seen where nothing is.
const NOTHING: &str = "nothing";

/// A command, and what it comes to without a crash.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    /// The command's name in [`JOBS`].
    pub(crate) job: String,
    /// The program.
    pub(crate) lamella: PathBuf,
    /// The data directory that a copy is made of.
    pub(crate) source: PathBuf,
    /// What is seen in the end.
    pub(crate) seen: String,
    /// What then lies in the data directory, and of a database what is seen there.
    pub(crate) names: BTreeMap<String, String>,
}

impl Job {
    /// The command of this name.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn named(name: &str) -> &'static Self {
        JOBS.iter().find(|job| job.name == name).expect("a job of JOBS")
    }

    /// Adds what the command is told, of this data directory; a copy is made of `source`.
    pub(crate) fn told<'a>(
        &self,
        command: &'a mut Command,
        source: &Path,
        data: &Path,
    ) -> &'a mut Command {
        command.args(self.arguments).arg(self.flag).arg(data);
        if self.flag == TO {
            command.arg(DATA_DIR).arg(source);
        }
        if let Before::Part = self.before {
            command.arg("--from").arg(archiving::beside(&source.join("db")));
        }
        command
    }

    /// Runs it to its good end.
    pub(crate) fn run(&self, command: &mut Command) -> Result<(), String> {
        let End::After(slot) = self.end else { return succeed(command) };
        let is_there =
            |line: &str| field(line, "head_slot").and_then(|slot| slot.parse().ok()) >= Some(slot);
        // It would try again for ever.
        let mut failed = None;
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.env("NO_COLOR", "1").env_remove("RUST_LOG");
        ended(command, |line| {
            failed = line.contains("beginning again failed").then(|| line.to_owned());
            is_there(line) || failed.is_some()
        })?;
        failed.map_or(Ok(()), Err)
    }
}

/// Loses one of so many rows of Slots, Canonical and Diffs: all follow from others.
///
/// # Errors
/// The database's, in words.
pub fn damage(database: &Path, every: usize) -> Result<(), String> {
    let database = Database::open(database, Options::new(OpenMode::Existing)).map_err(text)?;
    let mut txn = database.write().map_err(text)?;
    let keys: Vec<Root> = thinned(txn.scan_keys::<Slots>(Root::ZERO).map_err(text)?, every)?;
    for key in keys {
        txn.delete::<Slots>(&key).map_err(text)?;
    }
    let keys: Vec<u64> = thinned(txn.scan_keys::<Canonical>(0).map_err(text)?, every)?;
    for key in keys {
        txn.delete::<Canonical>(&key).map_err(text)?;
    }
    let first = SlotRoot::first_of(0);
    let keys: Vec<SlotRoot> = thinned(txn.scan_keys::<Diffs>(first).map_err(text)?, every)?;
    for key in keys {
        txn.delete::<Diffs>(&key).map_err(text)?;
    }
    txn.commit().map_err(text)
}

fn thinned<K, E: ToString>(
    keys: impl Iterator<Item = Result<K, E>>,
    every: usize,
) -> Result<Vec<K>, String> {
    keys.step_by(every).map(|key| key.map_err(text)).collect()
}

/// What whoever comes next sees: all rows but the one of this name in Meta, an older schema, or what is said to be unfinished.
pub(crate) fn seen(database: &Path, but: Option<&str>) -> Result<String, String> {
    match Chain::find(database) {
        Ok(Found::Nothing) => Ok(NOTHING.to_owned()),
        Ok(Found::Chain(_)) => {
            let database = lamella_tables::DatabaseView::open(database).map_err(text)?;
            rows_but(&database, but)
        }
        Err(ChainOpenError::Older { found, .. }) => Ok(format!("schema {found}")),
        Err(
            ChainOpenError::Migrating { .. }
            | ChainOpenError::Compacting { .. }
            | ChainOpenError::BackingUp { .. },
        ) => Ok(UNFINISHED.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What lies in a folder, and what is seen there where it is a database.
pub(crate) fn names(folder: &Path) -> Result<BTreeMap<String, String>, String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let named = entries.map(|entry| {
        let entry = entry.map_err(text)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        Ok((name, seen(&entry.path(), Some(TAKEN))?))
    });
    named.collect()
}

/// Judges what a crash left of a command. With `is_cleaned`, leftovers are deleted before it is run again.
///
/// # Errors
/// What must not be, in words.
pub fn judge(
    done: &Done,
    folder: &Path,
    is_cleaned: bool,
    verdict: &mut Verdict,
) -> Result<(), String> {
    let (job, data) = (Job::named(&done.job), folder.join("data"));
    let database = data.join("db");
    verdict.rows = seen(&database, Some(TAKEN))?;
    verdict.rows_again = seen(&database, Some(TAKEN))?;
    // Whether it may be nothing, the run without a crash says.
    verdict.is_chain = true;
    if is_cleaned {
        let clean = ["db", "clean", "--delete", DATA_DIR];
        succeed(Command::new(&done.lamella).args(clean).arg(&data))?;
    }
    // A copy that has its name is not made again.
    if job.flag != TO || verdict.rows != done.seen {
        job.run(job.told(&mut Command::new(&done.lamella), &done.source, &data))?;
    }
    let Found::Chain(identity) = Chain::find(&database).map_err(text)? else {
        return Err("there is no chain after the same command".to_owned());
    };
    let opened = Chain::resume(&database, &identity, Settings::default()).map_err(text)?;
    verdict.is_derived = opened.1.recovered.is_something();
    drop(opened);
    let end = seen(&database, Some(TAKEN))?;
    if end != done.seen {
        verdict.findings.push("other rows after the same command".to_owned());
    }
    let (names, mut expected) = (names(&data)?, done.names.clone());
    if is_cleaned && job.name == REBUILD {
        // What parted goes with the cleaning, and does not part again.
        expected.retain(|name, _| names.contains_key(name) || name == "db");
    }
    if names != expected {
        verdict.findings.push(format!("{names:?} are there after the same command"));
    }
    verdict.rows_at_end = Some(end);
    Ok(())
}

/// Runs a command to its good end.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(text)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {}: {said}", output.status))
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
