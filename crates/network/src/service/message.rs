//! What goes between the node and its network: events in, commands out.

use std::sync::Arc;

use lamella_types::{
    AttestationData, SignedAggregatedAttestation, SignedAttestation, SignedBlock, Status,
};
use libp2p::{PeerId, gossipsub};

use crate::{
    peers::Offence,
    requests::{BlocksRequest, RequestFailure, RequestId},
    wire::topic::{Topic, TopicKind},
};

/// What is gossiped. Decoded from SSZ, not yet believed.
#[derive(Debug, Clone)]
pub enum GossipMessage {
    /// On `block`.
    Block(Arc<SignedBlock>),
    /// On `attestation_{subnet}`.
    Attestation {
        /// Where it came, or belongs.
        subnet: u64,
        /// The vote.
        attestation: Arc<SignedAttestation>,
    },
    /// On `aggregation`.
    Aggregate(Arc<SignedAggregatedAttestation>),
}

impl GossipMessage {
    /// The topic that it belongs to.
    #[must_use]
    pub fn topic(&self) -> Topic {
        Topic::new(match self {
            Self::Block(_) => TopicKind::Block,
            Self::Attestation { subnet, .. } => TopicKind::Attestation { subnet: *subnet },
            Self::Aggregate(_) => TopicKind::Aggregation,
        })
    }

    /// Its SSZ bytes.
    #[must_use]
    pub fn to_ssz(&self) -> Vec<u8> {
        match self {
            Self::Block(block) => lamella_types::to_ssz(&**block),
            Self::Attestation { attestation, .. } => attestation.to_ssz(),
            Self::Aggregate(aggregate) => lamella_types::to_ssz(&**aggregate),
        }
    }

    /// Bytes that it holds in memory, from which queues take their budgets.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let rest = match self {
            Self::Block(block) => block.memory_bytes(),
            Self::Attestation { attestation, .. } => {
                size_of::<SignedAttestation>() + attestation.signature.len()
            }
            Self::Aggregate(aggregate) => {
                let SignedAggregatedAttestation { proof, .. } = &**aggregate;
                size_of::<SignedAggregatedAttestation>()
                    + proof.participants.as_bytes().len()
                    + proof.proof.as_bytes().len()
            }
        };
        size_of::<Self>() + rest
    }

    /// The vote, if it is not a block.
    #[must_use]
    pub fn data(&self) -> Option<&AttestationData> {
        match self {
            Self::Block(_) => None,
            Self::Attestation { attestation, .. } => Some(&attestation.data),
            Self::Aggregate(aggregate) => Some(&aggregate.data),
        }
    }
}

/// Names a gossiped message until its verdict.
#[derive(Debug, Clone)]
pub struct GossipId {
    pub(crate) message: gossipsub::MessageId,
    pub(crate) peer: PeerId,
    /// What it takes of the budgets until then.
    pub(crate) bytes: usize,
}

impl GossipId {
    /// Who forwarded it.
    #[must_use]
    pub const fn peer(&self) -> PeerId {
        self.peer
    }
}

/// What the node thinks of a gossiped message. Each [`NetworkEvent::Gossip`] gets exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Valid: goes on to others.
    Accept,
    /// Invalid whatever one knows: its forwarder is at fault.
    Reject,
    /// Not to be judged here and now: goes nowhere, is nobody's fault.
    Ignore,
}

/// What the network tells the node.
#[derive(Debug)]
pub enum NetworkEvent {
    /// A peer said where its chain is: at connection, and whenever asked.
    Status {
        /// The peer.
        peer: PeerId,
        /// Its claim.
        status: Status,
    },
    /// The last connection to a peer ended.
    Gone {
        /// The peer.
        peer: PeerId,
    },
    /// A message was gossiped; it goes no further before its verdict.
    Gossip {
        /// For the verdict.
        id: GossipId,
        /// What was said.
        message: GossipMessage,
    },
    /// The answer to a request. Blocks are decoded, at most as many as were asked for, and otherwise unchecked.
    Blocks {
        /// Which request.
        request: RequestId,
        /// The answer.
        outcome: Result<Vec<SignedBlock>, RequestFailure>,
    },
}

impl NetworkEvent {
    /// Whether nobody waits for it, so that it may be dropped by a node that is too busy.
    #[must_use]
    pub const fn is_optional(&self) -> bool {
        matches!(self, Self::Gossip { .. })
    }
}

/// What the node tells the network.
#[derive(Debug)]
pub enum Command {
    /// Gossip this. Only what is committed is published.
    Publish(GossipMessage),
    /// The verdict on a message.
    Verdict(GossipId, Verdict),
    /// Ask a peer for blocks.
    Request {
        /// Comes back with the answer.
        request: RequestId,
        /// Whom.
        peer: PeerId,
        /// For what.
        blocks: BlocksRequest,
    },
    /// Ask a peer where its chain is.
    AskStatus(PeerId),
    /// Hold something against a peer.
    Penalise(PeerId, Offence),
}
