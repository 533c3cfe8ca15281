//! The sign guard: both keys of a validator are one-time per slot, so a second message at one slot gives the key
//! away. The highest slot signed is durable before any signature leaves the process (G1).
//!
//! A damaged row silences its own key and no other: what that key has signed is not known, what the others have is.

use lamella_tables::{Damage, Durability, DutyKey, EngineError, Read as _, ReadError, SignGuard};
use lamella_types::Slot;

use crate::open::Chain;

/// Why nothing may be signed now.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The guard cannot be read or made durable. Not signing is always safe.
    #[error("not signing: {0}")]
    Store(#[from] ReadError),
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
            txn.commit()?;
            // Lazy commits are for blocks, which can be had again; a one-time key cannot.
            if self.settings.durability == Durability::Lazy {
                self.database.flush()?;
            }
        }
        Ok(Reserved { allowed, damaged })
    }
}
