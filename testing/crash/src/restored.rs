//! What a crash left of a restoration, judged.

use std::{fs, ops::ControlFlow, path::Path, process, sync::Arc};

use lamella_chain::{Chain, Found, Identity, Opened, verify};

use crate::{
    archiving::{restore, source},
    scenario::{SHIP, Scenario},
    verdict::{Verdict, rows},
};

/// Makes the archive that is restored: of this variant of the run that ships.
///
/// # Errors
/// What failed, in words.
pub fn make(folder: &Path, variant: u64) -> Result<(), String> {
    let scenario = Scenario::of(SHIP, variant);
    let database = folder.join("db");
    let chain = Arc::new(scenario.open(&database)?);
    scenario.run(&chain, 0, |_, _| {})
}

/// Makes the archive that a database of this place fetches from, unless somebody else has.
///
/// # Errors
/// What failed, in words.
pub fn make_source(database: &Path, variant: u64) -> Result<(), String> {
    let folder = source(database);
    if folder.exists() {
        return Ok(());
    }
    let unfinished = folder.with_extension(process::id().to_string());
    make(&unfinished, variant)?;
    // Another process was first.
    if fs::rename(&unfinished, &folder).is_err() {
        fs::remove_dir_all(&unfinished).map_err(text)?;
    }
    Ok(())
}

/// Digest of all rows of a restored directory.
///
/// # Errors
/// Why it cannot be opened, in words.
pub fn restored_rows(database: &Path) -> Result<String, String> {
    let Found::Chain(identity) = Chain::find(database).map_err(text)? else {
        return Err("there is no chain".to_owned());
    };
    rows(open(database, &identity)?.0.database())
}

fn open(database: &Path, identity: &Identity) -> Result<(Chain, Opened), String> {
    Chain::resume(database, identity, Scenario::named(SHIP).settings).map_err(text)
}

/// Judges what a crash left of a restoration: the whole directory under its name, or none; and then the same command
/// makes it whole.
///
/// # Errors
/// What must not be, in words.
pub fn judge(
    archive: &Path,
    expected: &str,
    database: &Path,
    verdict: &mut Verdict,
) -> Result<(), String> {
    verdict.is_chain = database.exists();
    if verdict.is_chain {
        verdict.rows = restored_rows(database)?;
    } else {
        restore(archive, database)?;
    }
    let Found::Chain(identity) = Chain::find(database).map_err(text)? else {
        return Err("there is no chain after it was made again".to_owned());
    };
    let (chain, opened) = open(database, &identity)?;
    verdict.is_derived = opened.recovered.is_something();
    let report = verify(chain.database(), &mut |_| ControlFlow::Continue(())).map_err(text)?;
    verdict.findings = report.findings.iter().map(ToString::to_string).collect();
    let now = rows(chain.database())?;
    if now != expected {
        verdict.findings.push("other rows than those of a restoration without a crash".to_owned());
    }
    verdict.rows_at_end = Some(now.clone());
    if verdict.is_chain {
        verdict.rows_again = now;
    }
    Ok(())
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
