//! What a failure of our store means for the node. Every path that touches the store fails with [`StoreFailure`], and
//! every one ends in [`Node::settle`], the one place that decides between going on and stopping.

use lamella_chain::{GuardError, PersistError};
use lamella_state_store::{StateReadError, StateWriteError};
use lamella_tables::{Consequence, EngineError, ReadError};
use lamella_types::{Root, Slot};
use tracing::{error, warn};

use super::{Node, NodeError, unix_ms};

/// Our store could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailure {
    /// A change could not be made permanent.
    #[error(transparent)]
    Persist(#[from] PersistError),
    /// A slot could not be reserved.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// A state could not be read.
    #[error(transparent)]
    State(#[from] StateReadError),
    /// A state is not what a child of its parent can have.
    #[error(transparent)]
    Prepare(#[from] StateWriteError),
    /// A row could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Fork choice has a head that the store has not.
    #[error("the state of head {0} is not stored; run `lamella db verify`")]
    NoHeadState(Root),
}

impl From<EngineError> for StoreFailure {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

impl StoreFailure {
    /// What it means. What is damaged or contradicts itself is not made better by another try.
    fn consequence(&self) -> Consequence {
        let read = match self {
            Self::Persist(PersistError::Read(read))
            | Self::Guard(GuardError::Store(read))
            | Self::State(StateReadError::Read(read))
            | Self::Read(read) => read,
            _ => return Consequence::Unusable,
        };
        match read {
            ReadError::Engine(error) => error.consequence,
            ReadError::Damaged(_) => Consequence::Unusable,
        }
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
        match failure.consequence() {
            Consequence::NoSpace | Consequence::Retry => {
                self.paused_in = Some(self.clock.current_slot(unix_ms()));
                warn!(%failure, "Paused: nothing was changed; blocks are tried again");
                Ok(T::default())
            }
            Consequence::Unusable => {
                error!(%failure, "Stopping: the store cannot be used");
                Err(NodeError::Store(failure))
            }
        }
    }

    /// Whether the store has failed in this slot. Who cannot keep what it says says nothing.
    pub(super) fn is_paused(&self, slot: Slot) -> bool {
        self.paused_in.is_some_and(|paused| paused >= slot)
    }
}

#[cfg(test)]
mod tests {
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
}
