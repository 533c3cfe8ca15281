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

use super::{Case, SCENARIO};
use crate::scenario::Scenario;

/// What commands and a start made of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answers {
    /// What each command said, or why it said nothing.
    pub(super) answers: Vec<Result<String, String>>,
    /// Objects that `archive export` left in an empty folder, and a digest of each.
    pub(super) objects: BTreeMap<String, u64>,
    /// Whether `db diff` finds the rows of the sound file.
    pub(super) is_same: Result<bool, String>,
    /// The first finding after a repair that left nothing.
    pub(super) repaired: Option<String>,
    /// Whether `verify` was content; its first finding, or why it could not check.
    pub(super) is_clean: Result<bool, String>,
    /// The head after a start, and whether it had derived something; or why it did not start.
    pub(super) start: Result<(String, bool), String>,
    /// Most memory that the process has had.
    pub(super) memory_kib: u64,
}

/// The judging process: a line of changes in, a line of answers out.
///
/// # Errors
/// What keeps it from working.
pub fn answer_lines(folder: &Path) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let file = fs::read(folder.join("sound")).map_err(text)?;
    let place = |name: &str| -> Result<PathBuf, String> {
        fs::create_dir_all(folder.join(name).join("db")).map_err(text)?;
        Ok(folder.join(name))
    };
    let (read, started, changed) = (place("read")?, place("started")?, place("changed")?);
    let (migrated, pruned, whole) = (place("migrated")?, place("pruned")?, place("whole")?);
    write(&whole.join("db"), &file, &[]).map_err(text)?;
    for line in stdin().lock().lines() {
        let line = line.map_err(text)?;
        let cases: Vec<Case> = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        for data in [&read, &started, &changed, &migrated, &pruned] {
            // What an earlier file left beside it.
            fs::remove_dir_all(data).map_err(text)?;
            fs::create_dir_all(data.join("db")).map_err(text)?;
            write(&data.join("db"), &file, &cases).map_err(text)?;
        }
        let answers = answers(&Places {
            read: &read,
            started: &started,
            changed: &changed,
            migrated: &migrated,
            pruned: &pruned,
            whole: &whole,
        });
        let answers = serde_json::to_string(&answers).map_err(|error| error.to_string())?;
        writeln!(stdout().lock(), "{answers}").map_err(text)?;
    }
    Ok(())
}

fn write(database: &Path, file: &[u8], cases: &[Case]) -> std::io::Result<()> {
    let _ = fs::remove_file(database.join("mdbx.lck"));
    let data = fs::File::create(database.join("mdbx.dat"))?;
    // What lies behind is zeros.
    let zeros = file.iter().rev().take_while(|byte| **byte == 0).count();
    data.write_all_at(&file[..file.len() - zeros], 0)?;
    data.set_len(file.len() as u64)?;
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

fn answers(places: &Places<'_>) -> Answers {
    let Places { read, started, changed, migrated, pruned, whole } = *places;
    let told = |answer: String| format!("{:.60} {:016x}", answer, xxh3_64(answer.as_bytes()));
    let go_on = &mut |_| ControlFlow::Continue(());
    let is_clean = text(inspect::verify::run(read, go_on)).and_then(|report| {
        report.findings.first().map_or(Ok(report.is_clean()), |first| Err(first.to_string()))
    });
    let mut answers = Vec::new();
    let chain = inspect::info::read(read).map(|info| {
        let engine = inspect::info::EngineFigures { file_bytes: 0, free_pages: 0 };
        format!("{}", inspect::info::Info { engine, path: String::new(), ..info })
    });
    answers.push(text(chain).map(told));
    let sum = text(inspect::checksum::compute(read, None, None));
    answers.push(sum.map(|sum| told(format!("{sum:?}"))));
    for id in ["3", "head"] {
        for part in [get::Part::Block, get::Part::State, get::Part::Header, get::Part::Diff] {
            let got = get::get(read, part, id.parse().unwrap(), part == get::Part::Block);
            answers.push(text(got).map(|got| told(format!("{} {:?}", got.json, got.ssz))));
        }
    }
    answers.push(guard(read));
    answers.push(copied(read, changed).map(told));
    let archive = changed.join("archive");
    answers.push(exported(read, &archive).map(told));
    let objects = files(&archive);
    answers.push(there_and_back(migrated).map(told));
    answers.push(lightened(pruned).map(told));
    let is_same =
        text(inspect::diff::compare(read, whole, 1, go_on)).map(|diff| diff.differing == 0);
    // What is not checked may say anything; it ends, and in time.
    let _ = inspect::stats::read(read);
    let path = started.join("db");
    let mut repaired = None;
    if is_clean != Ok(true) {
        for table in TABLES {
            let _ = inspect::rows::rows(read, table.name, 0, 10_000, true);
        }
        let _ = repair(&path, &mut Alone, Mode::DryRun, go_on);
        let _ = Chain::derive(&read.join("db"));
        if repair(&changed.join("db"), &mut Alone, Mode::Apply, go_on)
            .is_ok_and(|done| done.unrepaired_count == 0)
        {
            let report = text(inspect::verify::run(changed, go_on));
            repaired =
                report.map_or_else(Some, |report| report.findings.first().map(ToString::to_string));
            // What is sound can be copied.
            let again = changed.join("again");
            repaired =
                repaired.or_else(|| fs::create_dir(&again).err().map(|error| error.to_string()));
            let copy = CopyJob::default().backup(&changed.join("db"), &again.join("db"), 0, go_on);
            repaired = repaired.or_else(|| copy.err().map(|error| error.to_string()));
        }
    }
    let scenario = Scenario::named(SCENARIO);
    let opened = Chain::open(&path, scenario.bootstrap, "trust", scenario.settings);
    let start = text(opened).map(|(_, opened)| {
        let head = format!("{:?}, created: {}", opened.fork_choice.head, opened.created);
        (head, opened.recovered.is_something())
    });
    Answers { answers, objects, is_same, repaired, is_clean, start, memory_kib: memory_kib() }
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
