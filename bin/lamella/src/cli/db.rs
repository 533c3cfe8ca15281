//! `lamella db`.

mod clean;
mod copy;
mod derive;
mod diff;
mod error;
mod export;
mod migrate;
mod prune;
mod repair;
mod told;

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::PathBuf,
};

use clap::{Args, Subcommand, ValueEnum, builder::PossibleValuesParser};
use lamella_chain::{Progress, PruneMode, Report, migrate::Migration, repair::Mode};
use lamella_inspect::{
    self as inspect,
    block_id::BlockId,
    get,
    held::{HeldSlots, HeldText},
};
use lamella_interrupt::Interrupt;
use lamella_tables::TABLES;
use lamella_types::limits::SLOT_MS;
use serde::Serialize;
use serde_json::json;

use super::CommandError;

pub use error::DbError;
#[cfg(feature = "archive")]
pub(super) use error::{ExitCode, of_inspect, of_open, of_read, of_state};
pub(super) use told::Told;

/// What `lamella db --help` says last.
pub(super) const EXIT_CODES: &str = "\
Everything here but clean, compact, migrate, derive, prune and repair only reads, and works beside a running node. What it may create is
the engine's table of readers: an empty .lck file in db where there is none, or, on a full disk,
a file in /dev/shm or TMPDIR while the command runs. A database whose --lazy-commits node was
killed is recovered first, if no node holds it.

A snapshot keeps the pages that it sees from being reused. verify takes short ones, but for the
walk over the pages, which it gives up after ten minutes if a node commits meanwhile.

Exit codes:
  0  done
  1  failed, verify or repair has findings, or diff a difference
  2  wrong usage
  3  not stored: an unknown root, a skipped slot, a slot beyond the head
  4  pruned, or a proof that was not checked yet
  5  damaged
  130  stopped by a signal

Examples:
  lamella db info --data-dir data/lamella_0
  lamella db get state 1023 --ssz state.ssz --data-dir data/lamella_0
  lamella db verify --json --data-dir data/lamella_0
  lamella db backup --to /backup/lamella_0 --data-dir data/lamella_0";

/// The flags.
#[derive(Debug, Args)]
pub struct DbArgs {
    #[command(subcommand)]
    command: DbCommand,

    /// Folder of the node's data; the database is its `db`.
    #[arg(long, value_name = "DIR", alias = "datadir", default_value = "./data", global = true)]
    data_dir: PathBuf,

    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Which chain the directory holds, how far it is, and what of it can be served.
    Info,
    /// Rows and bytes of each tree, as the engine counts them: no row is looked at, and no checksum covers the counts.
    Stats,
    /// Check every invariant that a directory can show: each row is read, each state reconstructed and hashed.
    ///
    /// E1 is checked by a walk over the pages of the file. S1 to S4, C1, L1, P1, P3 and I1 are checked whole, and that every
    /// row has its block. F1 is checked as far as votes go that are stored: a vote that is gone, or an older one put
    /// back, shows only if the head moves. G1, that no key signs twice for one slot, is a promise about what left the
    /// process: here every row of the sign guard must be undamaged and of a validator that there is; a lost one, or an
    /// older one put back, is not seen. Nor is a lost block of which no row is left and that is nobody's parent, or an older fork choice
    /// row that votes and blocks still bear out. Names in Meta that this version does not know are listed, not judged.
    Verify,
    /// One block, header, state or diff.
    Get {
        /// What to get.
        #[arg(value_enum)]
        part: Part,
        /// A slot, a root (0x and 64 hex digits), head, justified, finalized or genesis.
        #[arg(value_name = "BLOCK")]
        id: BlockId,
        /// Write the exact SSZ bytes to this file; `-` is stdout. For a diff, the bytes stored.
        #[arg(long, value_name = "FILE")]
        ssz: Option<PathBuf>,
        /// With --ssz: the block with its proof.
        #[arg(long, requires = "ssz")]
        signed: bool,
        /// Replace the file if it exists.
        #[arg(long, requires = "ssz")]
        force: bool,
    },
    /// One digest over the canonical chain; equal on two nodes exactly if they hold the same one.
    ///
    /// Every header is hashed, every body is checked against its header, and the links between the blocks prove that none
    /// of the range is missing. A range that is not stored whole has no digest. States are checked by `verify`.
    Checksum {
        /// First slot [default: the oldest].
        #[arg(long, value_name = "SLOT")]
        from: Option<u64>,
        /// Last slot [default: the finalized one].
        #[arg(long, value_name = "SLOT")]
        to: Option<u64>,
    },
    /// Bring a database to another schema: 1, 2 or 3, up or down. Without --to, to that which this program needs.
    ///
    /// The new database is made in `db.migrating` beside `db`, and takes its place when every row has been moved,
    /// compared and checked; the old one is kept as `db.schema-N`. No node may run. It can be stopped or killed at any
    /// instant: the same command goes on. The disk needs room for both. An older schema may have no place for a row: then
    /// the row is named and nothing is done. It has none for the slot length, which the way back up asks for again.
    ///
    /// Once a node has run on the new database, never start one on the old: it does not know what has been signed since.
    Migrate {
        /// The schema to reach [default: that of a migration under way, else the newest].
        #[arg(long, value_name = "SCHEMA")]
        to: Option<u32>,
        /// Read every row and say what would be done; works beside a node.
        #[arg(long)]
        dry_run: bool,
        /// Milliseconds of a slot of this network, which schemas 1 and 2 do not store.
        #[arg(long, value_name = "MS", default_value_t = SLOT_MS, value_parser = clap::value_parser!(u64).range(5..=3_600_000))]
        slot_ms: u64,
        /// Delete first what an interrupted run left.
        #[arg(long, conflicts_with = "dry_run")]
        no_resume: bool,
    },
    /// Copy the database into another folder while its node runs, verified row by row. The copy signs nothing at first.
    ///
    /// Rows are read in short snapshots, with rests between them; then every invariant of the copy is checked. A damaged row
    /// ends it with its name. It can be stopped or killed at any instant: the same command goes on. The copy is a data directory
    /// of its own: `lamella node --data-dir DIR` begins with it, once the original will never run again.
    ///
    /// A backup does not know what its keys have signed since. So the first node with keys that begins with it says so, reserves for
    /// every key the next 64 slots of its clock, and is silent in them. That covers an original that has ended and whose
    /// clock was no more than that ahead; nothing covers one that still runs.
    Backup {
        /// Folder to make the copy in: its `db`. Nothing is overwritten.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Delete first what an interrupted run left there.
        #[arg(long)]
        no_resume: bool,
    },
    /// Write the database anew, without the pages that pruning and growth left free.
    ///
    /// The new one is made in `db.compacting` beside `db`, compared with it row by row, checked, and takes its place; then the
    /// old one is deleted. No node may run. It can be stopped or killed at any instant: the same command goes on. The disk needs
    /// room for both.
    Compact {
        /// Delete first what an interrupted run left.
        #[arg(long)]
        no_resume: bool,
    },
    /// Say what interrupted jobs left beside the database, with its bytes; --delete deletes it.
    ///
    /// What a process holds, and what may be the only database (a job killed between its two renamings), is named and stays.
    Clean {
        /// Delete it.
        #[arg(long)]
        delete: bool,
    },
    /// Which rows two data directories do not have in common, by table; either may be a running node's. --data-dir is not used.
    Diff {
        /// One data directory.
        #[arg(value_name = "DIR")]
        first: PathBuf,
        /// The other.
        #[arg(value_name = "OTHER")]
        second: PathBuf,
        /// Rows of each table to name, at most 10000; all are counted.
        #[arg(long, value_name = "ROWS", default_value_t = 20)]
        limit: usize,
    },
    /// Derive again what follows from headers, states and votes: Slots, Canonical, the head and its checkpoints.
    ///
    /// A start does so by itself where it finds such a row damaged, lost or at odds, but it looks at the newest blocks
    /// only; `verify` looks at all. No node may run. One commit: a vote that cannot be read is dropped, else nothing is touched that
    /// does not follow.
    Derive,
    /// Choose which states and bodies are kept, and delete the others. Says what it would do; --apply does it.
    ///
    /// The mode is written into the directory, and a node that runs on it keeps to it. `archive` keeps every state, for ever;
    /// `states:N` at least those of the last N slots before the finalized one, from a multiple of 1,024 slots on, and always
    /// what fork choice needs: 1,024 slots and more. `light` keeps those, the bodies and proofs of the same slots, and of all
    /// before only headers and history. So every root can still be proven. A mode can be changed again; what is gone stays gone, and is answered as pruned.
    ///
    /// No node may run. It can be stopped or killed at any instant: the same command goes on, and so does a node. It needs
    /// no room on the disk but what opening needs. The rows lie among those of headers and bodies, so the room is given back by `lamella db compact`.
    Prune {
        /// archive, states:N or light [default: the mode that the directory has].
        #[arg(long, value_name = "MODE")]
        mode: Option<PruneMode>,
        /// Also drop the blocks of forks that are this many slots and more below the finalized one, with all their rows.
        ///
        /// Never what fork choice has or what a block that stays descends from. They are unknown then, as if they had never come.
        #[arg(long, value_name = "SLOTS")]
        drop_forks: Option<u64>,
        /// Delete them.
        #[arg(long)]
        apply: bool,
    },
    /// Make damaged and lost rows again, as far as they can be proven. Says what it would do; --apply does it.
    ///
    /// Slots, Canonical and the head follow from headers and votes; diffs, anchors and most headers from a block's body and
    /// its parent's state; segments from the blocks. Bodies and the registry come from an archive or a node, and must hash to
    /// what the directory says, and so does the state that a directory began with, from a node; proofs are checked. Without one a block's proof is marked, and a node asks
    /// its peers for it. A vote that is damaged is dropped. A row of the sign guard is never touched. No node may run. It can be stopped or killed at any instant: the same command goes
    /// on, and ends with verify. Damaged pages, another than the rows on them, are not repaired: use a backup or
    /// `lamella archive restore`.
    Repair {
        /// An archive to take from what the directory has lost: a folder, s3://bucket/prefix, or the API of a node,
        /// http://host:5052, which has also the newest blocks, forks, and the state that a directory began with.
        #[arg(long, value_name = "URL")]
        from: Option<String>,
        /// Write it.
        #[arg(long)]
        apply: bool,
    },
    /// Rows of a table, unverified.
    Inspect {
        /// Name of the table.
        #[arg(value_parser = PossibleValuesParser::new(TABLES.iter().map(|table| table.name)))]
        table: String,
        /// Rows to leave out first.
        #[arg(long, value_name = "ROWS", default_value_t = 0)]
        skip: usize,
        /// Rows to show, at most 10000.
        #[arg(long, value_name = "ROWS", default_value_t = 20)]
        limit: usize,
        /// Show the stored bytes too.
        #[arg(long)]
        values: bool,
    },
}

/// What to get of a block.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    /// The block: header and votes.
    Block,
    /// Its header.
    Header,
    /// Its full post-state.
    State,
    /// What it changed in its parent's state.
    Diff,
}

impl From<Part> for get::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Block => Self::Block,
            Part::Header => Self::Header,
            Part::State => Self::State,
            Part::Diff => Self::Diff,
        }
    }
}

impl DbArgs {
    /// Runs the tool and prints what it found.
    pub(super) fn run(self) -> Result<(), CommandError> {
        let (dir, json) = (&self.data_dir, self.json);
        match self.command {
            DbCommand::Info => print(&inspect::info::read(dir)?, json),
            DbCommand::Stats => print(&inspect::stats::read(dir)?, json),
            DbCommand::Verify => verify(dir, json),
            DbCommand::Get { part, id, ssz, signed, force } => {
                let got = get::get(dir, part.into(), id, signed)?;
                match ssz {
                    Some(file) => Ok(export::write(&file, &got.ssz, force)?),
                    None if json => print_line(&got.json),
                    None => print_line(&got.text),
                }
            }
            DbCommand::Checksum { from, to } => {
                let checksum = inspect::checksum::compute(dir, from, to)?;
                if json {
                    return print_line(&json!(checksum));
                }
                let inspect::checksum::Checksum { from_slot, to_slot, blocks, digest } = checksum;
                print_line(&format!("{digest}  {blocks} blocks, slots {from_slot} to {to_slot}"))
            }
            DbCommand::Migrate { to, dry_run, slot_ms, no_resume } => {
                let migration = Migration { to, resume: !no_resume, ..Migration::new(slot_ms) };
                if dry_run {
                    migrate::look(dir, migration, json)
                } else {
                    migrate::run(dir, migration, json)
                }
            }
            DbCommand::Backup { to, no_resume } => copy::back_up(dir, &to, !no_resume, json),
            DbCommand::Compact { no_resume } => copy::compact(dir, !no_resume, json),
            DbCommand::Clean { delete } => clean::run(dir, delete, json),
            DbCommand::Diff { first, second, limit } => diff::run(&first, &second, limit, json),
            DbCommand::Derive => derive::run(dir, json),
            DbCommand::Prune { mode, drop_forks, apply } => {
                prune::run(dir, mode, drop_forks, apply, json)
            }
            DbCommand::Repair { from, apply } => {
                let mode = if apply { Mode::Apply } else { Mode::DryRun };
                repair::run(dir, from.as_deref(), mode, json)
            }
            DbCommand::Inspect { table, skip, limit, values } => {
                let rows = inspect::rows::rows(dir, &table, skip, limit, values)?;
                if json {
                    return print_line(&json!(rows));
                }
                for row in rows {
                    let stored = row.stored.map(|bytes| format!("  {bytes}")).unwrap_or_default();
                    print_line(&format!("{}  {} bytes{stored}", row.key, row.stored_bytes))?;
                }
                Ok(())
            }
        }
    }
}

fn print<T: Serialize + std::fmt::Display>(value: &T, json: bool) -> Result<(), CommandError> {
    if json { print_line(&json!(value)) } else { print_line(value) }
}

pub(super) fn print_line(value: &dyn std::fmt::Display) -> Result<(), CommandError> {
    Ok(writeln!(io::stdout().lock(), "{value}")?)
}

/// Does long work with a progress bar, until a signal says that it should stop.
fn stoppable<T>(
    work: impl FnOnce(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> T,
) -> Result<T, CommandError> {
    let stop = Interrupt::default();
    let ordered = stop.clone();
    ctrlc::set_handler(move || ordered.trigger()).map_err(DbError::from)?;
    let mut told = Told::new();
    let done = work(&mut |progress| {
        told.tell(progress);
        if stop.is_triggered() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    told.end();
    Ok(done)
}

fn verify(dir: &std::path::Path, json: bool) -> Result<(), CommandError> {
    let report = stoppable(|progress| inspect::verify::run(dir, progress))?;
    let report = report?;
    // Where damage hides it, a finding says so.
    let held = inspect::verify::held(dir).ok();
    let printed = if json {
        let mut printed = report_json(&report);
        printed["held"] = json!(held);
        print_line(&printed)
    } else {
        let gaps = held.filter(|held| !matches!(held[..], [HeldSlots { from_slot: 0, .. }]));
        let said = gaps.map_or(Ok(()), |held| {
            let slots = HeldText(&held);
            print_line(&format!("slots {slots} are here; the others are not stored, nor checked"))
        });
        said.and_then(|()| print_report(&report))
    };
    // The verdict counts even where nobody read the report to its end.
    if report.stopped {
        return Err(DbError::Stopped.into());
    }
    match report.finding_count {
        0 => printed,
        count => Err(DbError::Findings { count }.into()),
    }
}

fn print_report(report: &Report) -> Result<(), CommandError> {
    for (name, meaning) in inspect::verify::MEANINGS {
        let checks = report.checks.get(name).copied().unwrap_or(0);
        print_line(&format!("{name}  {checks:>9} checks  {meaning}"))?;
    }
    for finding in &report.findings {
        print_line(finding)?;
    }
    for name in &report.unknown_meta {
        print_line(&format!("Meta has {name}, which this version does not know"))?;
    }
    let count = report.check_count();
    let verdict = match (report.finding_count, report.stopped) {
        (0, false) => "clean".to_owned(),
        (0, true) => "stopped, clean so far".to_owned(),
        (findings, _) => format!("{findings} findings"),
    };
    print_line(&format!("{count} checks: {verdict}"))
}

fn report_json(report: &Report) -> serde_json::Value {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| json!({ "invariant": finding.invariant, "what": finding.what }))
        .collect();
    json!({
        "checks": report.checks,
        "check_count": report.check_count(),
        "findings": findings,
        "finding_count": report.finding_count,
        "unknown_meta": report.unknown_meta,
        "stopped": report.stopped,
    })
}
