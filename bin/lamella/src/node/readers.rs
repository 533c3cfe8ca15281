//! Whoever reads the database and does not go on: the file grows for as long as its snapshot is held.
//!
//! A snapshot cannot be taken from its reader, who looks at its pages. So ours are all bounded by how much they read, and one that
//! stays longer than any should is told, with the line that began it; another's process is told to whoever can end it.

use std::time::Duration;

use lamella_http_api::HELD_BYTES_MAX;
use lamella_tables::{DatabaseView, OldestRead, OpenError};
use lamella_types::Slot;
use tracing::warn;

use super::{Node, StoreFailure};

/// Slots between two warnings about one reader.
const WARN_SLOTS: u64 = 16;

/// Longest read of our own. An answer takes milliseconds, a chunk of a scrub four seconds; the walk over the pages rests two
/// minutes, takes longer on a slow disk, and gives up after ten.
const OWN_READ_MAX: Duration = Duration::from_secs(180);

impl Node {
    /// Looks, once a slot, which processes hold something back, and warns of those that hold much, once in so many slots.
    ///
    /// # Errors
    /// The engine's. That `mdbx.lck` cannot be read is only warned of.
    pub(super) fn look_at_readers(&self, slot: Slot) -> Result<(), StoreFailure> {
        let readers = match self.chain.database().other_readers() {
            Ok(Some(readers)) => readers,
            Ok(None) => {
                self.say_unseen();
                Vec::new()
            }
            Err(OpenError::Engine { source, .. }) => return Err(source.into()),
            Err(error) => {
                if slot.is_multiple_of(WARN_SLOTS) {
                    warn!(%error, "Cannot see who else reads the database");
                }
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
        if let Some(read) = overdue(self.chain.database(), OWN_READ_MAX) {
            warn!(
                seconds = read.age.as_secs(),
                begun_at = %read.begun_at,
                "A read of this node does not end: the file grows. If this is said again after ten minutes, restart \
                 the node and report it"
            );
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

    /// Says once that nobody watches them, and to readiness as long as the process lives: a layout does not change.
    fn say_unseen(&self) {
        if !self.facts.standing().readers_unseen {
            self.facts.tell(|standing| standing.readers_unseen = true);
            warn!(
                "Cannot see who else reads the database: the layout of the table of readers is not known. A process that reads it and \
                 does not go on makes the file grow, and is not named"
            );
        }
    }
}

/// Our read that has been open for longest, if that is longer than this.
fn overdue(database: &DatabaseView, longest: Duration) -> Option<OldestRead> {
    database.oldest_read().filter(|read| read.age > longest)
}

#[cfg(test)]
mod tests {
    use lamella_chain::{Bootstrap, Chain, Settings};
    use lamella_types::{Validator, Validators, genesis_state};

    use super::*;

    #[test]
    fn a_read_of_our_own_that_stays_is_named_by_the_line_that_began_it() {
        let directory = tempfile::tempdir().unwrap();
        let validators = Validators::new(&[Validator::default()]).unwrap();
        let genesis = Bootstrap::genesis(genesis_state(0, validators));
        let chain = Chain::create(directory.path(), genesis, "trust", Settings::default());
        let chain = chain.unwrap().0;
        assert!(overdue(chain.database(), Duration::ZERO).is_none(), "nobody reads");
        let (oldest, line) = (chain.read().unwrap(), line!());
        let newer = chain.read().unwrap();
        let named = overdue(chain.database(), Duration::ZERO).unwrap().begun_at;
        assert_eq!((named.file(), named.line()), (file!(), line));
        assert!(overdue(chain.database(), OWN_READ_MAX).is_none(), "it has just begun");
        drop((oldest, newer));
        assert!(overdue(chain.database(), Duration::ZERO).is_none());
    }
}
