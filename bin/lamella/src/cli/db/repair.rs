//! `lamella db repair`: the job is `lamella_chain::repair`; here are whom it asks, its words and its verdict.

use std::path::Path;

use lamella_chain::repair::{self, Mode, RepairReport, Source};
use lamella_inspect as inspect;
use serde_json::json;

use super::{CommandError, DbError, print_line, report_json, stoppable};
use crate::source;

/// Repairs the database of a data directory, or says what would be.
pub(super) fn run(
    data_dir: &Path,
    from: Option<&str>,
    mode: Mode,
    json: bool,
) -> Result<(), CommandError> {
    let path = inspect::database_path(data_dir);
    let (repaired, verified) = stoppable(|progress| {
        let work = |source: &mut dyn Source| repair::repair(&path, source, mode, progress);
        let (repaired, failures) = source::with(from, work).map_err(DbError::from)?;
        let repaired = repaired.map_err(DbError::from)?;
        for failure in failures {
            print_line(&format!("not there: {failure}"))?;
        }
        let is_verified = mode == Mode::Apply && !repaired.stopped;
        let verified = is_verified.then(|| inspect::verify::run(data_dir, progress)).transpose()?;
        Ok::<_, CommandError>((repaired, verified))
    })??;
    if json {
        let mut printed = json_of(&repaired, mode);
        printed["verified"] = verified.as_ref().map(report_json).into();
        print_line(&printed)?;
    } else {
        print(&repaired, mode)?;
        if let Some(verified) = &verified {
            super::print_report(verified)?;
        }
    }
    if repaired.stopped || verified.as_ref().is_some_and(|report| report.stopped) {
        return Err(DbError::Stopped.into());
    }
    let left = match &verified {
        Some(report) => report.finding_count,
        None => repaired.row_count() + repaired.unrepaired_count,
    };
    match (left, mode) {
        (0, _) => Ok(()),
        (_, Mode::DryRun) => Err(DbError::ToRepair {
            repairs: repaired.row_count(),
            unrepaired: repaired.unrepaired_count,
        }
        .into()),
        (count, Mode::Apply) => Err(DbError::NotRepaired { count }.into()),
    }
}

fn print(report: &RepairReport, mode: Mode) -> Result<(), CommandError> {
    for repair in &report.repairs {
        print_line(repair)?;
    }
    for row in &report.unrepaired {
        print_line(&format!("not repaired: {row}"))?;
    }
    let derived = report.derived;
    if derived.is_something() {
        let head = if derived.fork_choice { ", head and checkpoints" } else { "" };
        print_line(&format!(
            "derived: {} rows of Slots, {} of Canonical{head}; {} votes dropped",
            derived.slots, derived.canonical, derived.votes
        ))?;
    }
    let (rows, left) = (report.row_count(), report.unrepaired_count);
    print_line(&match mode {
        Mode::DryRun if report.is_clean() => "nothing to repair".to_owned(),
        Mode::DryRun => format!(
            "{rows} rows can be repaired, {left} cannot; nothing was changed: --apply repairs"
        ),
        Mode::Apply => format!("{rows} rows repaired in {} commits, {left} not", report.commits),
    })
}

fn json_of(report: &RepairReport, mode: Mode) -> serde_json::Value {
    let hex = |key: &[u8]| format!("0x{}", hex::encode(key));
    let repairs: Vec<_> = report
        .repairs
        .iter()
        .map(|repair| {
            let to = match repair.to {
                repair::To::Row => "row",
                repair::To::Mark => "mark",
                repair::To::Nothing => "nothing",
            };
            json!({ "table": repair.table, "key": hex(&repair.key), "from": repair.from, "to": to, "proof": repair.proof })
        })
        .collect();
    let unrepaired: Vec<_> = report
        .unrepaired
        .iter()
        .map(|row| json!({ "table": row.table, "key": hex(&row.key), "why": row.why }))
        .collect();
    let derived = report.derived;
    json!({
        "applied": mode == Mode::Apply,
        "repairs": repairs,
        "repair_count": report.repair_count,
        "derived": {
            "votes_dropped": derived.votes,
            "slots": derived.slots,
            "canonical": derived.canonical,
            "fork_choice": derived.fork_choice,
        },
        "unrepaired": unrepaired,
        "unrepaired_count": report.unrepaired_count,
        "commits": report.commits,
        "stopped": report.stopped,
    })
}
