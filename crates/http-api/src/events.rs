//! Where events are published.
//!
//! Whoever changes the chain publishes into one bounded ring; every stream reads it at its own pace. A reader that
//! is a whole ring behind loses the oldest events and is told how many. Publishing never waits, and costs nothing
//! while nobody listens.

use std::sync::Arc;

use lamella_inspect::{
    LookupError,
    block_id::BlockId,
    json::Json,
    served::{Change, Served},
};
use lamella_types::{
    AggregationBits, AttestationData, Checkpoint, Root, SignedAggregatedAttestation, Slot,
    ValidatorIndex,
};
use serde::Serialize;
use tokio::sync::broadcast;
use tracing::warn;

/// Events that a slow stream may fall behind: at 4,096 votes a slot, two slots. ethlambda's number.
pub const EVENT_CAPACITY: usize = 8192;

/// A head is announced only this close to the wall clock: in catch-up every block is one. ethlambda's number.
const HEAD_EVENT_RECENCY_SLOTS: u64 = 32;

/// What a stream can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Head,
    Block,
    JustifiedCheckpoint,
    FinalizedCheckpoint,
    BlockGossip,
    Attestation,
    Aggregate,
    Scrub,
}

impl Topic {
    pub(super) const ALL: [Self; 8] = [
        Self::Head,
        Self::Block,
        Self::JustifiedCheckpoint,
        Self::FinalizedCheckpoint,
        Self::BlockGossip,
        Self::Attestation,
        Self::Aggregate,
        Self::Scrub,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Block => "block",
            Self::JustifiedCheckpoint => "justified_checkpoint",
            Self::FinalizedCheckpoint => "finalized_checkpoint",
            Self::BlockGossip => "block_gossip",
            Self::Attestation => "attestation",
            Self::Aggregate => "aggregate",
            Self::Scrub => "scrub",
        }
    }
}

/// What a reading of the whole store came to.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Scrubbed {
    /// Whether the engine's pages were all read, and not only the rows.
    pub is_whole: bool,
    /// Checks made.
    pub checks: u64,
    /// What is not as it was written.
    pub findings: u64,
    /// Damaged rows that were made again, or marked to be fetched from peers.
    pub repaired_rows: u64,
    /// Damaged rows that were left.
    pub unrepaired_rows: u64,
}

/// An event, rendered once for all streams.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) topic: Topic,
    pub(super) data: Arc<str>,
}

/// Where events are published. Clones publish into the same ring.
#[derive(Debug, Clone)]
pub struct Events(broadcast::Sender<Published>);

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

/// `{slot, block}`.
#[derive(Serialize)]
struct BlockData<'a> {
    slot: Slot,
    block: Json<'a, Root>,
}

/// `{slot, block, state}`.
#[derive(Serialize)]
struct StateData<'a> {
    slot: Slot,
    block: Json<'a, Root>,
    state: Json<'a, Root>,
}

impl Events {
    /// An empty ring.
    #[must_use]
    pub fn new() -> Self {
        Self(broadcast::channel(EVENT_CAPACITY).0)
    }

    /// What is published from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Published> {
        self.0.subscribe()
    }

    /// The published view is another one: `block` for each that was imported, and `head`, `justified_checkpoint`,
    /// `finalized_checkpoint` for what differs.
    ///
    /// # Cost
    /// Nothing without a listener; else one header for each event.
    pub fn changed(&self, chain: &Served, change: &Change, current_slot: Slot) {
        for block in &change.imported {
            self.publish(Topic::Block, &BlockData { slot: block.slot, block: Json(&block.root) });
        }
        let is_recent =
            |head: &Checkpoint| head.slot.saturating_add(HEAD_EVENT_RECENCY_SLOTS) >= current_slot;
        if let Some(head) = change.head.filter(is_recent) {
            self.publish_state(chain, Topic::Head, head);
        }
        if let Some(justified) = change.justified {
            self.publish_state(chain, Topic::JustifiedCheckpoint, justified);
        }
        if let Some(finalized) = change.finalized {
            self.publish_state(chain, Topic::FinalizedCheckpoint, finalized);
        }
    }

    /// A block arrived by gossip; it is not imported yet.
    pub fn block_gossip(&self, slot: Slot, root: &Root) {
        self.publish(Topic::BlockGossip, &BlockData { slot, block: Json(root) });
    }

    /// A vote was accepted.
    pub fn attestation(&self, validator_id: ValidatorIndex, data: &AttestationData) {
        #[derive(Serialize)]
        struct Data<'a> {
            validator_id: ValidatorIndex,
            data: Json<'a, AttestationData>,
        }
        self.publish(Topic::Attestation, &Data { validator_id, data: Json(data) });
    }

    /// An aggregate was accepted.
    pub fn aggregate(&self, aggregate: &SignedAggregatedAttestation) {
        #[derive(Serialize)]
        struct Data<'a> {
            participants: Json<'a, AggregationBits>,
            data: Json<'a, AttestationData>,
        }
        let participants = Json(&aggregate.proof.participants);
        self.publish(Topic::Aggregate, &Data { participants, data: Json(&aggregate.data) });
    }

    /// The store was read, and what could be repaired was.
    pub fn scrubbed(&self, scrubbed: &Scrubbed) {
        self.publish(Topic::Scrub, scrubbed);
    }

    fn publish_state(&self, chain: &Served, topic: Topic, block: Checkpoint) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let snapshot = chain.snapshot();
        match snapshot.and_then(|snapshot| snapshot.locate(BlockId::Root(block.root))) {
            Ok(located) => {
                let (root, state) = (Json(&block.root), Json(&located.header.state_root));
                self.publish(topic, &StateData { slot: block.slot, block: root, state });
            }
            // A checkpoint older than this node's first block.
            Err(LookupError::NotStored(_)) => {}
            Err(error) => warn!(%error, topic = topic.name(), "Event not published"),
        }
    }

    fn publish(&self, topic: Topic, data: &impl Serialize) {
        if self.0.receiver_count() == 0 {
            return;
        }
        // Our own structs are JSON; and that the last listener has left is no error.
        if let Ok(data) = serde_json::to_string(data) {
            let _ = self.0.send(Published { topic, data: data.into() });
        }
    }
}
