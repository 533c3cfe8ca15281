//! Other processes that read the database and do not go on: the file grows for as long as they hold their snapshot.

use lamella_http_api::HELD_BYTES_MAX;
use lamella_tables::OpenError;
use lamella_types::Slot;
use tracing::warn;

use super::{Node, StoreFailure};

/// Slots between two warnings about one reader.
const WARN_SLOTS: u64 = 16;

impl Node {
    /// Looks, once a slot, which processes hold something back, and warns of those that hold much, once in so many slots.
    ///
    /// # Errors
    /// The engine's. That `mdbx.lck` cannot be read is only warned of.
    pub(super) fn look_at_readers(&self, slot: Slot) -> Result<(), StoreFailure> {
        let readers = match self.chain.database().other_readers() {
            Ok(readers) => readers.unwrap_or_default(),
            Err(OpenError::Engine { source, .. }) => return Err(source.into()),
            Err(error) => {
                warn!(%error, "Cannot see who else reads the database");
                return Ok(());
            }
        };
        let most = readers.iter().max_by_key(|reader| reader.held_bytes);
        let most = most.map(|reader| (reader.process_id, reader.held_bytes));
        self.facts.tell(|standing| standing.held = most);
        // The oldest snapshot holds all back that the newer ones do.
        self.metrics.watch.observe_held_bytes(most.map_or(0, |(_, bytes)| bytes));
        if !slot.is_multiple_of(WARN_SLOTS) {
            return Ok(());
        }
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
