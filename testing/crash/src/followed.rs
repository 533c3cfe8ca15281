//! What a crash left of a follower, judged: opened as a follower opens it.

use std::{ops::ControlFlow, path::Path};

use lamella_chain::{Chain, ChainOpenError, Found, Settings, verify};
use lamella_shipping::{
    follower::{Begun, begin, beginning},
    remote::Remote,
    store::{Access, Store},
};
use lamella_types::Slot;

use crate::verdict::{Verdict, blocks, rows};

/// How the blocks of its network are proven.
const SCHEME: &str = "raw";

/// Judges what a crash left of a follower. Where there is no chain yet, it begins with what is sealed, as it would.
///
/// # Errors
/// What must not be, in words.
pub fn judge(
    archive: &Path,
    slot_ms: u64,
    database: &Path,
    verdict: &mut Verdict,
) -> Result<(), String> {
    verdict.is_chain = match Chain::find(database) {
        Ok(Found::Chain(_)) => true,
        Ok(Found::Nothing) | Err(ChainOpenError::Restoring { .. }) => false,
        Err(error) => return Err(error.to_string()),
    };
    if !verdict.is_chain {
        let store = Store::open(&archive.display().to_string(), Access::Read).map_err(text)?;
        let remote = Remote::find(store, None).map_err(text)?;
        let restore = beginning(database, None, slot_ms, SCHEME);
        match begin(&remote, &restore, Slot::MAX, &mut |_| ControlFlow::Continue(()))
            .map_err(text)?
        {
            Begun::Restored(_) => {}
            Begun::Genesis(_) => return Err("it found no segment".to_owned()),
        }
    }
    let Found::Chain(identity) = Chain::find(database).map_err(text)? else {
        return Err("there is no chain after it has begun".to_owned());
    };
    let settings = Settings { slot_ms, ..Settings::default() };
    let open = || Chain::resume(database, &identity, settings).map_err(text);
    let (chain, opened) = open()?;
    verdict.is_derived = opened.recovered.is_something();
    verdict.blocks = blocks(chain.database())?;
    let report = verify(chain.database(), &mut |_| ControlFlow::Continue(())).map_err(text)?;
    verdict.findings = report.findings.iter().map(ToString::to_string).collect();
    if report.check_count() == 0 {
        verdict.findings.push("nothing was checked".to_owned());
    }
    verdict.rows = rows(chain.database())?;
    drop(chain);
    let (chain, _) = open()?;
    verdict.rows_again = rows(chain.database())?;
    // It keeps no guard.
    verdict.copy = Some(verdict.guard.clone());
    Ok(())
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
