//! A follower's directory: begun with what is sealed, or made anew beside the one whose chain has parted from the source's.

use std::{
    fs,
    io::ErrorKind::{DirectoryNotEmpty, NotFound},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use lamella_chain::{
    Bootstrap, Chain, ChainOpenError, Found, Progress,
    beside::{self, DIVERGED, REBUILDING},
};
use lamella_inspect::database_path;
use lamella_interrupt::Interrupt;
use lamella_shipping::{
    ShippingError,
    follower::{Begun, begin, beginning},
    remote::Remote,
    restorer::Restored,
    store::{Access, Store},
};
use lamella_types::{Slot, genesis_state};
use tracing::{info, warn};

use super::{FollowError, ReplicaConfig};

/// First and longest wait for an archive that is not there, or a source that does not answer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Where a new database grows while the old one is served.
pub(super) fn beside(data_dir: &Path) -> PathBuf {
    database_path(&data_dir.join(REBUILDING))
}

/// Makes sure that there is a chain at `database`, and says what of it is `restored`. `false`: stopped before that.
pub(super) fn directory(
    config: &ReplicaConfig,
    database: &Path,
    stop: &Interrupt,
    restored: &mut Option<Restored>,
) -> Result<bool, FollowError> {
    let (mut pause, mut said) = (FIRST_PAUSE, String::new());
    while !stop.is_triggered() {
        match once(config, database, Slot::MAX, &mut |_| go_on(stop)) {
            Ok(begun) => {
                *restored = begun;
                return Ok(true);
            }
            Err(FollowError::Source(ShippingError::Stopped)) => return Ok(false),
            Err(FollowError::Source(error)) if may_pass(&error) => {
                let reason = error.to_string();
                if said != reason {
                    warn!(state = "empty", reason, "Not following yet; this is tried again");
                    said = reason;
                }
                let _ = stop.pause(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Makes the new database beside the old one. `false`: stopped before that.
pub(super) fn anew(
    config: &ReplicaConfig,
    stop: &Interrupt,
    restored: &mut Option<Restored>,
) -> Result<bool, FollowError> {
    free_place(&config.data_dir)?;
    directory(config, &beside(&config.data_dir), stop, restored)
}

/// Where the old database goes, which nothing may hold: it may be the only copy of what it is.
fn free_place(data_dir: &Path) -> Result<PathBuf, FollowError> {
    let diverged = beside::beside(&database_path(data_dir), DIVERGED);
    match diverged.exists() {
        true => Err(FollowError::Kept { path: diverged }),
        false => Ok(diverged),
    }
}

/// Whether another time an archive may be there, whole.
const fn may_pass(error: &ShippingError) -> bool {
    match error {
        ShippingError::Nothing { .. }
        | ShippingError::Zero { .. }
        | ShippingError::NoneLeft { .. }
        | ShippingError::Missing { .. }
        | ShippingError::Damaged { .. } => true,
        ShippingError::Store(error) => error.is_transport(),
        _ => false,
    }
}

fn go_on(stop: &Interrupt) -> ControlFlow<()> {
    match stop.is_triggered() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// Makes the chain at `database` of the whole segments before a slot, unless there is one. Says what was restored.
pub(super) fn once(
    config: &ReplicaConfig,
    database: &Path,
    before: Slot,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Option<Restored>, FollowError> {
    match Chain::find(database) {
        Ok(Found::Chain(_)) => return Ok(None),
        Ok(Found::Nothing) | Err(ChainOpenError::Restoring { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let store = Store::open(&config.source, Access::Read).map_err(ShippingError::from)?;
    let remote = Remote::find(store, config.network)?;
    let scheme = config.proof_scheme.name();
    let restore = beginning(database, config.trusted, config.slot_ms, scheme);
    info!(state = "bootstrap", source = config.source, "Beginning with what is sealed");
    match begin(&remote, &restore, before, progress)? {
        Begun::Restored(restored) => {
            let (segments, blocks, slot) =
                (restored.segments, restored.blocks, restored.target.slot);
            info!(segments, blocks, slot, "Began with the sealed segments");
            Ok(Some(restored))
        }
        Begun::Genesis(network) => {
            let state = genesis_state(network.genesis_time(), network.validators().clone());
            drop(Chain::create(database, Bootstrap::genesis(state), scheme, config.settings)?);
            info!("Began with genesis: no segment is sealed yet");
            Ok(None)
        }
    }
}

/// Gives the new database the place of the old one, which stays beside it.
pub(super) fn replace(data_dir: &Path) -> Result<(), FollowError> {
    // It may have its name from a run that was killed since.
    let new = beside(data_dir);
    beside::flush_name(&new).map_err(|source| io(&new, source))?;
    rename(&database_path(data_dir), &free_place(data_dir)?)?;
    finish_replacing(data_dir)
}

/// The second half of [`replace`], also where a kill came between two of its steps.
pub(super) fn finish_replacing(data_dir: &Path) -> Result<(), FollowError> {
    let (database, new) = (database_path(data_dir), beside(data_dir));
    if !database.exists() && new.exists() {
        rename(&new, &database)?;
    }
    let folder = data_dir.join(REBUILDING);
    // A database that still grows there keeps it.
    match fs::remove_dir(&folder) {
        Err(error) if !matches!(error.kind(), NotFound | DirectoryNotEmpty) => {
            Err(io(&folder, error))
        }
        _ => Ok(()),
    }
}

/// Gives a database, which nobody has open, another place, and flushes the folder that names it.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), FollowError> {
    lamella_chain::rename(from, to).map_err(|source| io(from, source))
}

fn io(path: &Path, source: std::io::Error) -> FollowError {
    FollowError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these databases, each told by what it holds.
    fn folder(databases: &[(&Path, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, holds) in databases {
            let path = folder.path().join(path);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("mdbx.dat"), holds).unwrap();
        }
        folder
    }

    fn held(folder: &Path, database: &Path) -> Option<String> {
        fs::read_to_string(folder.join(database).join("mdbx.dat")).ok()
    }

    #[test]
    fn a_replacing_that_was_killed_between_any_two_steps_is_finished_by_the_next_start() {
        let (database, new) = (database_path(Path::new("")), beside(Path::new("")));
        let diverged = beside::beside(&database, DIVERGED);
        let places = [&database, &diverged, &new];
        let holds = |folder: &Path| places.map(|place| held(folder, place));
        let some = |name: &str| Some(name.to_owned());

        let begun = folder(&[(&database, "old"), (&new, "new")]);
        replace(begun.path()).unwrap();
        assert_eq!(holds(begun.path()), [some("new"), some("old"), None]);
        assert!(!begun.path().join(REBUILDING).exists());

        // What a rebuilding before it kept is not replaced.
        let kept = folder(&[(&database, "old"), (&diverged, "older"), (&new, "new")]);
        let before = holds(kept.path());
        assert!(matches!(replace(kept.path()), Err(FollowError::Kept { .. })));
        assert_eq!(holds(kept.path()), before);

        // Before its first step: the new one may still grow.
        let killed = folder(&[(&database, "old"), (&new, "new")]);
        let before = holds(killed.path());
        finish_replacing(killed.path()).unwrap();
        assert_eq!(holds(killed.path()), before);
        // Between the two renamings, and before the last folder went.
        let between = folder(&[(&diverged, "old"), (&new, "new")]);
        let after = folder(&[(&database, "new"), (&diverged, "old")]);
        fs::create_dir(after.path().join(REBUILDING)).unwrap();
        for killed in [between, after] {
            finish_replacing(killed.path()).unwrap();
            assert_eq!(holds(killed.path()), [some("new"), some("old"), None]);
            assert!(!killed.path().join(REBUILDING).exists());
        }
    }
}
