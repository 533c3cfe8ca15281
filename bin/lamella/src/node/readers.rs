//! Other processes that read the database and do not go on: the file grows for as long as they hold their snapshot.

use lamella_tables::OpenError;
use lamella_types::Slot;
use tracing::warn;

use super::{Node, StoreFailure};

/// Slots between two looks, and so between two warnings about one reader.
const LOOK_SLOTS: u64 = 16;

/// Bytes that a reader may hold back unsaid: some dozen slots' worth.
const HELD_BYTES_MAX: u64 = 1 << 20;

impl Node {
    /// Warns of each process that holds much back, once in so many slots.
    ///
    /// # Errors
    /// The engine's. That `mdbx.lck` cannot be read is only warned of.
    pub(super) fn look_at_readers(&self, slot: Slot) -> Result<(), StoreFailure> {
        if !slot.is_multiple_of(LOOK_SLOTS) {
            return Ok(());
        }
        let readers = match self.chain.database().other_readers() {
            Ok(readers) => readers.unwrap_or_default(),
            Err(OpenError::Engine { source, .. }) => return Err(source.into()),
            Err(error) => {
                warn!(%error, "Cannot see who else reads the database");
                return Ok(());
            }
        };
        for reader in readers.iter().filter(|reader| reader.held_bytes > HELD_BYTES_MAX) {
            warn!(
                process_id = reader.process_id,
                held_bytes = reader.held_bytes,
                transactions = reader.lag_transactions,
                "A process reads the database and does not go on: the file grows. Stop it, or let it end"
            );
        }
        Ok(())
    }
}
