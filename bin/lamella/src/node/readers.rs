//! Other processes that read the database and do not go on: the file grows for as long as they hold their snapshot.

use lamella_types::Slot;
use tracing::warn;

use super::Node;

/// Slots between two looks, and so between two warnings about one reader.
const LOOK_SLOTS: u64 = 16;

/// Bytes that a reader may hold back unsaid: some dozen slots' worth.
const HELD_BYTES_MAX: u64 = 1 << 20;

impl Node {
    /// Warns of each process that holds much back, once in so many slots.
    pub(super) fn look_at_readers(&self, slot: Slot) {
        if !slot.is_multiple_of(LOOK_SLOTS) {
            return;
        }
        let readers = match self.chain.database().other_readers() {
            Ok(readers) => readers.unwrap_or_default(),
            Err(error) => {
                warn!(%error, "Cannot see who else reads the database");
                return;
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
    }
}
