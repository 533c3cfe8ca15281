//! What a failure of our store means for the node. Every path that touches the store fails with [`StoreFailure`], and
//! every one ends in [`Node::settle`], the one place that decides between going on and stopping.

use lamella_state_store::StateReadError;
use lamella_tables::Consequence;
use lamella_types::{Root, Slot};
use tracing::{error, warn};

use super::{Node, NodeError, StoreFailure, unix_ms};

/// Slots in which the store may go on failing with what is worth another try. Then it is not.
const RETRY_SLOTS_MAX: u64 = 4;

/// What the store failed at lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pause {
    /// Slot of the last failure.
    last: Option<Slot>,
    /// Slot of the first failure worth another try since something was made permanent.
    retried_since: Option<Slot>,
}

impl Pause {
    /// The pause after a failure in this slot; `None` if the store is not worth another try.
    fn after(self, consequence: Consequence, slot: Slot) -> Option<Self> {
        let retried_since = match consequence {
            Consequence::NoSpace => self.retried_since,
            Consequence::Retry => Some(self.retried_since.unwrap_or(slot)),
            Consequence::Unusable => return None,
        };
        let is_over = retried_since.is_some_and(|since| slot >= since + RETRY_SLOTS_MAX);
        (!is_over).then_some(Self { last: Some(slot), retried_since })
    }

    /// Something was made permanent.
    pub(super) const fn succeeded(&mut self) {
        self.retried_since = None;
    }
}

impl Node {
    /// A change that could not be made permanent pauses the node: nothing is signed before the next slot, and blocks
    /// are tried again. A store that is unusable ends it.
    pub(super) fn settle<T: Default>(
        &mut self,
        outcome: Result<T, StoreFailure>,
    ) -> Result<T, NodeError> {
        let failure = match outcome {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        let slot = self.clock.current_slot(unix_ms());
        match self.pause.after(failure.consequence(), slot) {
            Some(pause) => {
                self.pause = pause;
                warn!(%failure, "Paused: nothing was changed; blocks are tried again");
                Ok(T::default())
            }
            None => {
                error!(%failure, "Stopping: the store cannot be used");
                Err(NodeError::Store(failure))
            }
        }
    }

    /// The state of a block's parent could not be read. Damage away from our head costs the blocks that need it, not the
    /// node; where it is our head's, nothing can follow.
    ///
    /// # Errors
    /// The failure, if the node needs what failed.
    pub(super) fn parent_failed(
        &self,
        parent: Root,
        failure: StateReadError,
    ) -> Result<(), StoreFailure> {
        let failure = StoreFailure::from(failure);
        if failure.is_damage() && parent != self.chain.fork_choice().head() {
            error!(%parent, %failure, "Blocks not imported: our store");
            return Ok(());
        }
        Err(failure)
    }

    /// Whether the store has failed in this slot. Who cannot keep what it says says nothing.
    pub(super) fn is_paused(&self, slot: Slot) -> bool {
        self.pause.last.is_some_and(|last| last >= slot)
    }
}

#[cfg(test)]
mod tests {
    use lamella_chain::PersistError;

    use super::*;

    #[test]
    fn what_another_try_cannot_mend_stops_the_node() {
        let rejected = lamella_types::RejectionReason::UnknownParentBlock;
        let failures = [
            StoreFailure::NoHeadState(Root::default()),
            StoreFailure::State(StateReadError::NoState { root: Root::default(), slot: 1 }),
            StoreFailure::Persist(PersistError::Rejected(rejected)),
        ];
        for failure in failures {
            assert_eq!(failure.consequence(), Consequence::Unusable, "{failure}");
        }
    }

    #[test]
    fn a_store_is_tried_again_for_some_slots_and_a_full_disk_for_ever() {
        let (mut pause, mut slot) = (Pause::default(), 7);
        while let Some(next) = pause.after(Consequence::Retry, slot) {
            (pause, slot) = (next, slot + 1);
            assert_eq!(pause.last, Some(slot - 1));
        }
        assert_eq!(slot, 7 + RETRY_SLOTS_MAX);
        pause.succeeded();
        assert!(pause.after(Consequence::Retry, slot).is_some());
        let full = (0..1_000)
            .try_fold(Pause::default(), |pause, slot| pause.after(Consequence::NoSpace, slot));
        assert!(full.is_some());
        assert_eq!(Pause::default().after(Consequence::Unusable, 0), None);
    }
}
