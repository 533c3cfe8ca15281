//! History as files, written and read back, step by step as the node and `lamella archive` do.
//!
//! `ship` is a scenario like the others whose last steps ship: the archive lies beside the database in the recorded folder,
//! so a crash leaves any pair of them that it can. `restore` makes a database of a whole archive that lies elsewhere, and
//! `fetch` fetches from such a one what is below a checkpoint.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use lamella_chain::{Archived, Chain, Progress};
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known, Shipment},
    backfill::Backfill,
    remote::Remote,
    restorer::{Restore, Target},
    seal::Shipped,
    store::{Access, Store},
};
use lamella_types::limits::SLOT_MS;
use lamella_xmss::scheme::{ProofScheme as _, Trust};

/// What the directory keeps as the archive's address: the same wherever the run is.
const ADDRESS: &str = "archive";

/// The run that restores.
pub const RESTORE: &str = "restore";

/// Where the archive of a database in this place is.
#[must_use]
pub fn beside(database: &Path) -> PathBuf {
    database.with_file_name("archive")
}

/// Ships the next segment, and what proves all of them after the last, and keeps in the database that it was confirmed, as a
/// node does.
///
/// # Errors
/// What failed, in words; or that there was nothing to ship.
pub fn ship(chain: &Chain, archive: &Path) -> Result<(), String> {
    let confirmed = confirmed(chain)?;
    let mut one = |progress: Progress| match progress.done > confirmed {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let mut keep = |segments: u64| {
        let archived = Archived { address: ADDRESS.to_owned(), segments, ..Archived::default() };
        let kept = chain.put_archived(&archived);
        kept.map_err(|error| ShippingError::NotShippable { what: error.to_string() })
    };
    match put(chain, archive, Known { confirmed, ..Known::default() }, &mut one, &mut keep) {
        Ok(_) | Err(ShippingError::Stopped) if self::confirmed(chain)? > confirmed => Ok(()),
        Ok(_) | Err(ShippingError::Stopped) => Err("nothing was shipped".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Segments that a database says are in its archive.
pub(crate) fn confirmed(chain: &Chain) -> Result<u64, String> {
    let txn = chain.read().map_err(text)?;
    let archived = Archived::read(&txn).map_err(text)?;
    Ok(archived.map_or(0, |archived| archived.segments))
}

fn put(
    chain: &Chain,
    archive: &Path,
    known: Known,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    keep: &mut dyn FnMut(u64) -> Result<(), ShippingError>,
) -> Result<Shipment, ShippingError> {
    let store = Store::open(&archive.display().to_string(), Access::Write)?;
    let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
    archiver::ship(shipped, store, known, progress, keep).map(|(_, shipment)| shipment)
}

/// What is wrong with an archive beside a database: each segment that was confirmed must be there, and whatever has the
/// name of an object must be one. Reads every object, and puts those that are missing.
///
/// # Errors
/// It, in words.
pub fn check(chain: &Chain, archive: &Path) -> Result<(), String> {
    let confirmed = confirmed(chain)?;
    let mut go_on = |_| ControlFlow::Continue(());
    let shipment =
        put(chain, archive, Known::default(), &mut go_on, &mut |_| Ok(())).map_err(text)?;
    if shipment.verified < confirmed {
        let whole = shipment.verified;
        return Err(format!("{confirmed} segments were confirmed, {whole} are there"));
    }
    Ok(())
}

/// Blocks that are fetched in one transaction: fewer than a node takes, so that a small chain needs some.
const FETCHED_BLOCKS: usize = 16;

/// Fetches the next blocks below a chain's first, and makes them permanent.
///
/// # Errors
/// What failed, in words; or that nothing is missing.
pub fn fetch(chain: &Chain) -> Result<(), String> {
    let source = beside(&source(chain.database().path()).join("db")).display().to_string();
    let mut is_first = true;
    let fetched = Backfill::of(chain).map_err(text)?.fill(&source, &mut |mut blocks| {
        if !std::mem::take(&mut is_first) {
            return Ok(ControlFlow::Break(()));
        }
        blocks.truncate(FETCHED_BLOCKS);
        let put = chain.put_history(&blocks);
        put.map_err(|error| ShippingError::NotShippable { what: error.to_string() })?;
        Ok(ControlFlow::Break(()))
    });
    match fetched {
        Err(ShippingError::Stopped) if !is_first => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(left) if is_first => Err(format!("nothing was fetched: {left:?}")),
        Ok(_) => Ok(()),
    }
}

/// The folder of the archive that is fetched from: beside the folder of the run or of the image, so that it is in no recording.
#[must_use]
pub fn source(database: &Path) -> PathBuf {
    database.with_file_name("..").join("source")
}

/// Makes a directory of an archive, as `lamella archive restore` does.
///
/// # Errors
/// What failed, in words.
pub fn restore(archive: &Path, database: &Path) -> Result<(), String> {
    let store = Store::open(&archive.display().to_string(), Access::Read).map_err(text)?;
    let remote = Remote::find(store, None).map_err(text)?;
    let restore = Restore {
        database,
        target: Target::Finalized,
        trusted: None,
        slot_ms: SLOT_MS,
        proof_scheme: Trust.name(),
    };
    restore.run(&remote, &mut |_| ControlFlow::Continue(())).map(drop).map_err(text)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
