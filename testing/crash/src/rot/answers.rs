//! The judging process: what every command that reads, and a start, answer.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, Write as _, stdin, stdout},
    ops::ControlFlow,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use lamella_chain::{
    Chain, PruneMode, SCHEMA_VERSION,
    copy::CopyJob,
    migrate::{Migrated, Migration},
    prune::PruneJob,
    repair::{Mode, Source, repair},
};
use lamella_inspect::{self as inspect, get};
use lamella_shipping::{
    archiver::{self, Known},
    proofs::ship_proofs,
    seal::Shipped,
    store::{Access, Store},
};
use lamella_state_transition::compute_post_state;
use lamella_tables::{DatabaseView, DutyKey, KeyKind, Read as _, ReadError, SignGuard, TABLES};
use lamella_types::{Block, State, limits::SLOT_MS};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::Case;
use crate::scenario::{SEALED, Scenario, TINY};

/// Which commands are tried, over which directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commands {
    /// Those that read every row, and a start, over one of a few blocks.
    Reading,
    /// All that read, copy, ship, compare, migrate, prune and repair, and a start, over one of more than a segment.
    All,
}

impl Commands {
    /// The driver's word for them.
    pub(super) const fn verb(self) -> &'static str {
        match self {
            Self::Reading => "rot-reading",
            Self::All => "rot",
        }
    }

    /// The run whose directory rots.
    pub(super) const fn scenario(self) -> &'static str {
        match self {
            Self::Reading => TINY,
            Self::All => SEALED,
        }
    }
}

/// What commands and a start made of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answers {
    /// What each command said, or why it said nothing.
    pub(super) answers: Vec<Result<String, String>>,
    /// What those that change, copy or compare left; none where only those were tried that read.
    pub(super) left: Option<Left>,
    /// Whether `verify` was content; its first finding, or why it could not check.
    pub(super) is_clean: Result<bool, String>,
    /// The head after a start, and whether it had derived something; or why it did not start.
    pub(super) start: Result<(String, bool), String>,
    /// Most memory that the process has had.
    pub(super) memory_kib: u64,
}

/// What the commands left that do more than read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Left {
    /// Objects that `archive export` left in an empty folder, and a digest of each.
    pub(super) objects: BTreeMap<String, u64>,
    /// Whether `db diff` finds the rows of the sound file.
    pub(super) is_same: Result<bool, String>,
    /// The first finding after a repair that left nothing.
    pub(super) repaired: Option<String>,
}

/// The judging process: a line of changes in, a line of answers out.
///
/// # Errors
/// What keeps it from working.
pub fn answer_lines(folder: &Path, commands: Commands) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut file = fs::read(folder.join("sound")).map_err(text)?;
    let length = file.len() as u64;
    // What lies behind is zeros.
    file.truncate(file.len() - file.iter().rev().take_while(|byte| **byte == 0).count());
    let write =
        |database: &Path, cases: &[Case]| write(database, &file, length, cases).map_err(text);
    let place = |name: &str| -> Result<PathBuf, String> {
        fs::create_dir_all(folder.join(name).join("db")).map_err(text)?;
        Ok(folder.join(name))
    };
    let (read, started, changed) = (place("read")?, place("started")?, place("changed")?);
    let (migrated, pruned, whole) = (place("migrated")?, place("pruned")?, place("whole")?);
    write(&whole.join("db"), &[])?;
    let scenario = Scenario::named(commands.scenario());
    for line in stdin().lock().lines() {
        let line = line.map_err(text)?;
        let cases: Vec<Case> = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        let all = [&read, &started, &changed, &migrated, &pruned];
        let written = match commands {
            Commands::Reading => &all[..2],
            Commands::All => &all[..],
        };
        for data in written {
            // What an earlier file left beside it.
            fs::remove_dir_all(data).map_err(text)?;
            fs::create_dir_all(data.join("db")).map_err(text)?;
            write(&data.join("db"), &cases)?;
        }
        let places = Places {
            read: &read,
            started: &started,
            changed: &changed,
            migrated: &migrated,
            pruned: &pruned,
            whole: &whole,
        };
        let answers = answers(&places, &scenario, commands);
        let answers = serde_json::to_string(&answers).map_err(|error| error.to_string())?;
        writeln!(stdout().lock(), "{answers}").map_err(text)?;
    }
    Ok(())
}

fn write(database: &Path, file: &[u8], length: u64, cases: &[Case]) -> std::io::Result<()> {
    let _ = fs::remove_file(database.join("mdbx.lck"));
    let data = fs::File::create(database.join("mdbx.dat"))?;
    data.write_all_at(file, 0)?;
    data.set_len(length)?;
    for case in cases {
        data.write_all_at(&case.bytes, case.at as u64)?;
        if let Some(length) = case.length {
            data.set_len(length)?;
        }
    }
    Ok(())
}

/// Directories with the file: to read, to start on, to change in three ways; and the sound one.
struct Places<'a> {
    read: &'a Path,
    started: &'a Path,
    changed: &'a Path,
    migrated: &'a Path,
    pruned: &'a Path,
    whole: &'a Path,
}

fn text<T>(result: Result<T, impl ToString>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn answers(places: &Places<'_>, scenario: &Scenario, commands: Commands) -> Answers {
    let is_clean = text(inspect::verify::run(places.read, &mut go_on)).and_then(|report| {
        report.findings.first().map_or(Ok(report.is_clean()), |first| Err(first.to_string()))
    });
    let mut answers = rows_read(places.read, commands);
    let left = (commands == Commands::All).then(|| {
        let Places { read, changed, migrated, pruned, whole, .. } = *places;
        let archive = changed.join("archive");
        let made = [copied(read, changed), exported(read, &archive)];
        let objects = files(&archive);
        answers.extend(
            made.into_iter().chain([there_and_back(migrated), lightened(pruned)]).map(told),
        );
        let is_same = text(inspect::diff::compare(read, whole, 1, &mut go_on))
            .map(|diff| diff.differing == 0);
        // What is not checked may say anything; it ends, and in time.
        let _ = inspect::stats::read(read);
        let repaired = if is_clean == Ok(true) { None } else { repaired(places) };
        Left { objects, is_same, repaired }
    });
    let (path, bootstrap) = (places.started.join("db"), scenario.bootstrap.clone());
    let opened = Chain::open(&path, bootstrap, "trust", scenario.settings);
    let start = text(opened).map(|(_, opened)| {
        let head = format!("{:?}, created: {}", opened.fork_choice.head, opened.created);
        (head, opened.recovered.is_something())
    });
    Answers { answers, left, is_clean, start, memory_kib: memory_kib() }
}

fn go_on<T>(_: T) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The beginning of what was said, and a digest of all of it.
fn told(said: Result<String, String>) -> Result<String, String> {
    said.map(|said| format!("{said:.60} {:016x}", xxh3_64(said.as_bytes())))
}

/// What each command says that reads rows; of some, those that read all.
fn rows_read(data: &Path, commands: Commands) -> Vec<Result<String, String>> {
    let sum = inspect::checksum::compute(data, None, None).map(|sum| format!("{sum:?}"));
    let mut answers = vec![told(text(sum)), guard(data)];
    let got = |id: &str, part| {
        let got = get::get(data, part, id.parse().unwrap(), part == get::Part::Block);
        told(text(got.map(|got| format!("{:016x} {}", xxh3_64(&got.ssz), got.json))))
    };
    if commands == Commands::Reading {
        answers.push(got("head", get::Part::State));
        return answers;
    }
    let info = inspect::info::read(data).map(|info| {
        let engine = inspect::info::EngineFigures { file_bytes: 0, free_pages: 0 };
        format!("{}", inspect::info::Info { engine, path: String::new(), ..info })
    });
    answers.push(told(text(info)));
    for id in ["3", "head"] {
        let parts = [get::Part::Block, get::Part::State, get::Part::Header, get::Part::Diff];
        answers.extend(parts.map(|part| got(id, part)));
    }
    answers
}

/// The first finding after a repair that left nothing. Each row is looked at, too, and what a start would derive.
fn repaired(places: &Places<'_>) -> Option<String> {
    let Places { read, started, changed, .. } = *places;
    for table in TABLES {
        let _ = inspect::rows::rows(read, table.name, 0, 10_000, true);
    }
    let _ = repair(&started.join("db"), &mut Alone, Mode::DryRun, &mut go_on);
    let _ = Chain::derive(&read.join("db"));
    let done = repair(&changed.join("db"), &mut Alone, Mode::Apply, &mut go_on);
    if !done.is_ok_and(|done| done.unrepaired_count == 0) {
        return None;
    }
    let sound = || {
        let report = text(inspect::verify::run(changed, &mut go_on))?;
        report.findings.first().map_or(Ok(()), |first| Err(first.to_string()))?;
        // What is sound can be copied.
        let again = changed.join("again");
        text(fs::create_dir(&again))?;
        let (from, to) = (changed.join("db"), again.join("db"));
        text(CopyJob::default().backup(&from, &to, 0, &mut go_on)).map(drop)
    };
    sound().err()
}

/// What the guard knows of each key, or which of its rows cannot be read. Whoever acts on it has walked the
/// pages, since a tree does not show what a page has lost.
fn guard(data: &Path) -> Result<String, String> {
    let view = text(DatabaseView::open_locked(&data.join("db")))?;
    let txn = text(view.read())?;
    let first = DutyKey { validator_index: 0, kind: KeyKind::Attestation };
    let rows = text(txn.scan::<SignGuard>(first))?;
    let rows: Vec<_> = text(rows.collect::<Result<_, ReadError>>())?;
    Ok(format!("{rows:?}"))
}

/// What a backup holds, and after that what the compacted directory does.
fn copied(data: &Path, changed: &Path) -> Result<String, String> {
    let (go_on, job) = (&mut |_| ControlFlow::Continue(()), CopyJob::default());
    let sum = |data: &Path| text(inspect::checksum::compute(data, None, None));
    let backup = changed.join("backup");
    text(fs::create_dir(&backup))?;
    text(job.backup(&data.join("db"), &backup.join("db"), 0, go_on))?;
    text(job.compact(&changed.join("db"), go_on))?;
    Ok(format!("{:?} {:?}", sum(&backup)?, sum(changed)?))
}

/// What a directory holds that was brought to the schema before this one and back.
fn there_and_back(data: &Path) -> Result<String, String> {
    for to in [SCHEMA_VERSION - 1, SCHEMA_VERSION] {
        let migration = Migration::to(to, SLOT_MS);
        let migrated = migration.run(&data.join("db"), &mut |_| ControlFlow::Continue(()));
        if let Migrated::Done(done) = text(migrated)? {
            if done.keys_silenced > 0 {
                return Err(format!("{} keys sign no more", done.keys_silenced));
            }
            text(fs::remove_dir_all(done.old))?;
        }
    }
    let sum = text(inspect::checksum::compute(data, None, None))?;
    Ok(format!("{sum:?} {}", guard(data)?))
}

/// What is left of a directory as `db prune --mode light` leaves it.
fn lightened(data: &Path) -> Result<String, String> {
    let job = PruneJob::new(Some(PruneMode::Light));
    text(job.run(&data.join("db"), &mut |_| ControlFlow::Continue(())))?;
    let mut left = guard(data)?;
    for part in [get::Part::State, get::Part::Header] {
        let got = text(get::get(data, part, text("head".parse())?, false))?;
        left.push_str(&format!(" {} {:?}", got.json, got.ssz));
    }
    Ok(left)
}

/// What an export with proofs says that it put into an empty folder.
fn exported(data: &Path, archive: &Path) -> Result<String, String> {
    let go_on = &mut |_| ControlFlow::Continue(());
    let chain = text(inspect::open_chain(data))?;
    let store = text(Store::open(&archive.display().to_string(), Access::Write))?;
    let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
    let (remote, shipment) =
        text(archiver::ship(shipped, store, Known::default(), go_on, &mut |_| Ok(())))?;
    let (segments, keep) = (shipment.segments, &mut |_| Ok(()));
    let proofs = text(ship_proofs(chain.database(), shipped, &remote, 0, segments, go_on, keep))?;
    Ok(format!("{shipment:?} {proofs:?}"))
}

/// Every file below a folder, and a digest of what it holds.
fn files(folder: &Path) -> BTreeMap<String, u64> {
    let (mut left, mut files) = (vec![folder.to_owned()], BTreeMap::new());
    while let Some(place) = left.pop() {
        let Ok(bytes) = fs::read(&place) else {
            let entries = fs::read_dir(&place).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path()));
            continue;
        };
        let name = place.strip_prefix(folder).unwrap_or(&place).display().to_string();
        files.insert(name, xxh3_64(&bytes));
    }
    files
}

/// The transition, and nobody to ask.
struct Alone;

impl Source for Alone {
    fn transition(&self, parent: &State, block: &Block) -> Option<State> {
        compute_post_state(parent, block).ok().map(|(state, _)| state)
    }
}

/// Most memory that this process has had.
fn memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
