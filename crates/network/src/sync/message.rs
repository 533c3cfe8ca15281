//! What goes between the machine and the node that drives it.

use std::{fmt, sync::Arc};

use lamella_types::{Checkpoint, RejectionReason, Root, SignedBlock, Slot};

use crate::{
    peers::Offence,
    requests::{BlocksRequest, RequestId},
};

/// Names a batch of blocks until its outcome.
pub type BatchId = u64;

/// Whether a block is in the chain, of whatever fork. Asked a few times in each [`Syncer::poll`](super::Syncer::poll).
pub type Has<'a> = &'a dyn Fn(&Root) -> bool;

/// Where our chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its head.
    pub head: Checkpoint,
    /// Its finalized block.
    pub finalized: Checkpoint,
    /// The slot that it is now.
    pub current_slot: Slot,
}

/// What the node is to do.
#[derive(Debug, Clone)]
pub enum Action<P> {
    /// Ask a peer for blocks, and bring the outcome to [`Syncer::response`](super::Syncer::response).
    Request {
        /// Comes back with the answer.
        request: RequestId,
        /// Whom.
        peer: P,
        /// For what.
        blocks: BlocksRequest,
    },
    /// Import these blocks, all or none, and tell [`Syncer::imported`](super::Syncer::imported). Each is the child of
    /// the one before, and the first is the child of a block that is here. One batch at a time.
    Import {
        /// Comes back with the outcome.
        batch: BatchId,
        /// Oldest first.
        blocks: Vec<Arc<SignedBlock>>,
        /// Who delivered them, each once.
        peers: Vec<P>,
    },
    /// Hold something against a peer.
    Penalise {
        /// Whom.
        peer: P,
        /// What.
        offence: Offence,
        /// Why, for the log.
        why: String,
    },
    /// Ask a peer for its status, and bring it to [`Syncer::peer_status`](super::Syncer::peer_status).
    AskStatus {
        /// Whom.
        peer: P,
    },
    /// Tell the operator.
    Report(Report),
}

/// What an operator should know; each is said once in ten minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Every peer that has the chain has pruned the proofs of its next slots.
    Pruned {
        /// The first slot that is missing.
        start_slot: Slot,
        /// The head that peers claim.
        target_slot: Slot,
        /// What one of them says.
        said: String,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Pruned { start_slot, target_slot, said } = self;
        write!(
            f,
            "every peer has pruned proofs between slot {start_slot} and slot {target_slot} (\"{said}\"); \
             start a fresh data directory with --checkpoint-sync-url, or connect to a peer that keeps them"
        )
    }
}

/// How the import of a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All blocks are here now, and some of them are new.
    Imported,
    /// All blocks were here already.
    Known,
    /// One block is invalid. None of the batch was imported: what precedes that block comes again.
    Rejected {
        /// Its place in the batch.
        index: usize,
        /// leanSpec's reason.
        reason: RejectionReason,
    },
    /// The store cannot write for now. Nobody's fault: the batch comes again.
    Paused,
}

/// How far the node is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No peer has a believable chain.
    Idle,
    /// Believable peers are ahead: duties wait.
    Syncing {
        /// Our head.
        head: Slot,
        /// The highest head that is believed.
        target: Slot,
    },
    /// At the head of what believable peers have.
    Synced,
}
