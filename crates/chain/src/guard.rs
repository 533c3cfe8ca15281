//! The sign guard: both keys of a validator are one-time per slot, so a second message at one slot gives the key
//! away. The highest slot signed is durable before any signature leaves the process (G1).
//!
//! A damaged row silences its own key and no other: what that key has signed is not known, what the others have is.

use lamella_tables::{
    Damage, Durability, DutyKey, EngineError, KeyKind, Read as _, ReadError, Registries, SignGuard,
    WriteTxn,
};
use lamella_types::Slot;

use crate::{
    mark::{BACKUP_SILENT_SLOTS, BackupMark},
    meta::content,
    open::Chain,
};

/// Why nothing may be signed now.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The guard cannot be read or made durable. Not signing is always safe.
    #[error("not signing: {0}")]
    Store(#[from] ReadError),
    /// A restored backup knows less than its keys have signed, and nothing beyond the clock is reserved yet.
    #[error(
        "not signing: the database is a backup, and its keys have signed since; start a node on it"
    )]
    Backup,
}

impl From<EngineError> for GuardError {
    fn from(error: EngineError) -> Self {
        Self::Store(error.into())
    }
}

/// Which of the keys asked for may sign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Keys that may sign at the slot.
    pub allowed: Vec<DutyKey>,
    /// Rows that cannot be read: their keys sign nothing, and the rows stay as they are.
    pub damaged: Vec<Damage>,
}

impl Chain {
    /// Reserves `slot` for these keys and says which may sign at it: the ones that have not signed at it or later.
    /// When this returns, the reservation is durable.
    ///
    /// # Errors
    /// [`GuardError`]; nothing may be signed.
    pub fn reserve_slot(&self, slot: Slot, keys: &[DutyKey]) -> Result<Reserved, GuardError> {
        let mut txn = self.database.write()?;
        // Upholds G1: what the original signed since is unknown.
        if BackupMark::read(&txn)?.is_some_and(|mark| mark.is_fresh()) {
            return Err(GuardError::Backup);
        }
        let Reserved { mut allowed, mut damaged } = Reserved::default();
        for key in keys {
            let signed = match txn.get::<SignGuard>(key) {
                Ok(signed) => signed,
                Err(ReadError::Damaged(damage)) => {
                    damaged.push(damage);
                    continue;
                }
                Err(error @ ReadError::Engine(_)) => return Err(error.into()),
            };
            if signed.is_none_or(|signed| signed < slot) && !allowed.contains(key) {
                txn.put::<SignGuard>(key, &slot)?;
                allowed.push(*key);
            }
        }
        if !allowed.is_empty() {
            self.commit_flushed(txn)?;
        }
        Ok(Reserved { allowed, damaged })
    }

    /// Where this is a backup with which no node with keys has begun yet: reserves for every key there is the slots up to
    /// [`BACKUP_SILENT_SLOTS`] beyond the clock, the head and the time of the backup. `None` elsewhere.
    ///
    /// # Errors
    /// [`GuardError`]; nothing may be signed.
    ///
    /// # Atomicity
    /// One transaction, durable when this returns.
    pub fn silence_backup(&self, clock_slot: Slot) -> Result<Option<BackupMark>, GuardError> {
        let mark = BackupMark::read(&self.read()?)?;
        let Some(mark) = mark.filter(BackupMark::is_fresh) else { return Ok(None) };
        let identity = self.identity();
        let since_genesis_s = mark.taken_unix_s.saturating_sub(identity.genesis_time);
        let taken_slot = since_genesis_s.saturating_mul(1000) / identity.slot_ms.max(1);
        let head_slot = self.fork_choice().head_summary().slot;
        let newest = clock_slot.max(taken_slot).max(head_slot);
        let mark = BackupMark { silent_until: newest + BACKUP_SILENT_SLOTS, ..mark };
        let mut txn = self.database.write()?;
        let registry = txn.get::<Registries>(&identity.registry_root)?;
        let lost = || content::<Registries>(&identity.registry_root, "no row");
        for validator_index in 0..registry.ok_or_else(lost)?.len() as u64 {
            for kind in [KeyKind::Attestation, KeyKind::Proposal] {
                let key = DutyKey { validator_index, kind };
                match txn.get::<SignGuard>(&key) {
                    // It silences its key for ever.
                    Err(ReadError::Damaged(_)) => {}
                    Err(error) => return Err(error.into()),
                    Ok(Some(signed)) if signed >= mark.silent_until => {}
                    Ok(_) => txn.put::<SignGuard>(&key, &mark.silent_until)?,
                }
            }
        }
        mark.put(&mut txn)?;
        self.commit_flushed(txn)?;
        Ok(Some(mark))
    }

    /// Lazy commits are for blocks, which can be had again. What was signed or shipped has left this process, and is known.
    pub(crate) fn commit_flushed(&self, txn: WriteTxn<'_>) -> Result<(), EngineError> {
        txn.commit()?;
        if self.settings.durability == Durability::Lazy {
            self.database.flush()?;
        }
        Ok(())
    }
}
