//! The sign guard of a running node: what the database keeps, and a copy of it beside the keys (G1).
//!
//! Data directories are copied, restored and deleted; whoever does that within the slot, or after the clock was set back,
//! has a guard that knows less than the keys have signed. So a slot is reserved twice before anything is signed in it, in
//! the database and in a file beside the keys, and each refuses what it knows; and every start reserves the slot that it
//! falls into, and signs nothing in it.

mod copy;

use std::{collections::BTreeMap, io, sync::Arc};

use lamella_chain::{Chain, GuardError, Reserved};
use lamella_network_dir::ValidatorKeys;
use lamella_tables::{DutyKey, KeyKind, Read as _, ReadError, SignGuard};
use lamella_types::{Slot, SlotClock};
use tracing::{error, info, warn};

use super::{GuardCopyError, NodeError, StoreFailure, unix_ms};
use crate::config::NodeConfig;

use copy::GuardCopy;

/// Both copies.
pub(super) struct Guard {
    chain: Arc<Chain>,
    /// `None` without keys, or where their folder takes no file.
    copy: Option<GuardCopy>,
    /// Why the copy could not be written at the last duty.
    failure: Option<String>,
    /// How often it could not be.
    failures: u64,
    /// Keys that sign nothing, since what they have signed cannot be read.
    silenced: usize,
}

impl Guard {
    /// Compares both copies, and reserves for every key the slot that has begun, and whatever either copy has. What these
    /// keys signed before, wherever that was kept, was signed no later than now.
    ///
    /// # Errors
    /// One of them cannot be read or written. A folder of keys that is read-only costs its copy, with a warning.
    pub(super) fn open(
        chain: Arc<Chain>,
        keys: &ValidatorKeys,
        clock: SlotClock,
        config: &NodeConfig,
    ) -> Result<Self, NodeError> {
        let mut guard = Self { chain, copy: None, failure: None, failures: 0, silenced: 0 };
        let kinds = [KeyKind::Attestation, KeyKind::Proposal];
        let both = |validator_index| kinds.map(|kind| DutyKey { validator_index, kind });
        let keys: Vec<_> = keys.indices().flat_map(both).collect();
        if keys.is_empty() {
            return Ok(guard);
        }
        let mut copy = GuardCopy::load(config, &keys)?;
        let (database, damaged) = guard.in_database(&keys)?;
        report(&keys, &database, &copy);
        let is_silent = |key: &&DutyKey| copy.refuses(key) || damaged.contains(key);
        guard.silenced = keys.iter().filter(is_silent).count();
        let now_ms = unix_ms();
        let begun = (now_ms >= clock.genesis_ms).then(|| clock.current_slot(now_ms));
        let begun = guard.silence_backup(begun.unwrap_or_default())?.or(begun);
        let mut reserved: BTreeMap<Slot, Vec<DutyKey>> = BTreeMap::new();
        for key in keys.iter().filter(|key| !copy.refuses(key)) {
            let highest = [begun, copy.slot(key), database.get(key).copied()].into_iter().flatten();
            if let Some(slot) = highest.max() {
                reserved.entry(slot).or_default().push(*key);
            }
        }
        let kept = copy
            .reserve(reserved.iter().flat_map(|(slot, keys)| keys.iter().map(|key| (*key, *slot))));
        for (slot, keys) in &reserved {
            guard.chain.reserve_slot(*slot, keys)?;
        }
        match kept {
            Ok(()) => guard.copy = Some(copy),
            Err(failure) if is_read_only(&failure.source) => {
                warn!(%failure, "No second guard: only the data directory keeps what was signed");
            }
            Err(failure) => return Err(failure.into()),
        }
        if let Some(slot) = begun {
            info!(slot, keys = keys.len(), "Signing begins after this slot");
        }
        Ok(guard)
    }

    /// A restored backup says so, and up to which slot its keys are silent.
    fn silence_backup(&self, clock_slot: Slot) -> Result<Option<Slot>, GuardError> {
        let mark = self.chain.silence_backup(clock_slot)?;
        if let Some(mark) = mark {
            warn!(
                taken_unix_s = mark.taken_unix_s,
                silent_until = mark.silent_until,
                "This data directory is a restored backup: its keys have signed since. Nothing is signed up to that slot; \
                 stop this node if the original may still run"
            );
        }
        Ok(mark.map(|mark| mark.silent_until))
    }

    /// Reserves `slot` for these keys, durably in both copies, and says which may sign at it.
    ///
    /// # Errors
    /// The database cannot; nothing may be signed. Without the copy beside the keys nothing may be signed either, which is
    /// [`Self::failure`] and no failure of the store; the next duty tries again.
    pub(super) fn reserve(
        &mut self,
        slot: Slot,
        keys: &[DutyKey],
    ) -> Result<Reserved, StoreFailure> {
        let Some(copy) = &mut self.copy else {
            return Ok(self.chain.reserve_slot(slot, keys)?);
        };
        let free = |key: &DutyKey| copy.slot(key).is_none_or(|signed| signed < slot);
        let keys: Vec<_> = keys.iter().copied().filter(free).collect();
        if keys.is_empty() {
            return Ok(Reserved::default());
        }
        if let Err(failure) = copy.reserve(keys.iter().map(|key| (*key, slot))) {
            error!(
                slot,
                keys = keys.len(),
                %failure,
                "Not signing, until the guard beside the keys can be written again"
            );
            self.failures += 1;
            self.failure = Some(failure.to_string());
            return Ok(Reserved::default());
        }
        if self.failure.take().is_some() {
            info!(slot, "The guard beside the keys can be written again: signing goes on");
        }
        Ok(self.chain.reserve_slot(slot, &keys)?)
    }

    /// Why nothing could be signed at the last duty, if that was the copy's fault.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// How often nothing was signed for that.
    pub(super) const fn failures(&self) -> u64 {
        self.failures
    }

    /// Keys that sign nothing, since what they have signed cannot be read.
    pub(super) const fn silenced(&self) -> usize {
        self.silenced
    }

    /// What the database has, and the keys whose rows cannot be read.
    fn in_database(
        &self,
        keys: &[DutyKey],
    ) -> Result<(BTreeMap<DutyKey, Slot>, Vec<DutyKey>), GuardError> {
        let txn = self.chain.read()?;
        let (mut slots, mut damaged) = (BTreeMap::new(), Vec::new());
        for key in keys {
            match txn.get::<SignGuard>(key) {
                Ok(slot) => slots.extend(slot.map(|slot| (*key, slot))),
                // It silences this key at each of its duties, and no other.
                Err(ReadError::Damaged(damage)) => {
                    error!(%damage, "A key that will not sign");
                    damaged.push(*key);
                }
                Err(error @ ReadError::Engine(_)) => return Err(error.into()),
            }
        }
        Ok((slots, damaged))
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Says loudly where the copies differ. The higher slot counts, whichever has it.
fn report(keys: &[DutyKey], database: &BTreeMap<DutyKey, Slot>, copy: &GuardCopy) {
    for key in keys.iter().filter(|key| copy.refuses(key)) {
        error!(
            %key,
            guard = %copy.path().display(),
            "A key that will not sign: its line is damaged. Delete the file once you know that no slot from now on was signed"
        );
    }
    if copy.is_new() {
        return;
    }
    let compared = keys.iter().filter(|key| !copy.refuses(key));
    let (mut ahead, mut behind) = (0, 0);
    for (ours, theirs) in compared.map(|key| (database.get(key).copied(), copy.slot(key))) {
        ahead += u32::from(theirs > ours);
        behind += u32::from(theirs < ours);
    }
    let guard = copy.path().display();
    if ahead > 0 {
        warn!(keys = ahead, %guard, "These keys signed more than this data directory knows: it is new, or an older copy");
    }
    if behind > 0 {
        warn!(keys = behind, %guard, "These keys signed more than the guard beside them knows: it is an older copy");
    }
}
