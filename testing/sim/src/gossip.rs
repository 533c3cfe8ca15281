//! Messages as gossip carries them, and answers as peers give them.

use lamella_network::{
    requests::{BlocksRequest, RequestFailure},
    service::{BlockSource, Glance, GossipMessage, SourceBlock, SourceFailure, SourceRange},
    wire::message_id::{DOMAIN_VALID_SNAPPY, MESSAGE_ID_BYTES, hash},
};
use lamella_types::{Decode as _, SignedBlock};

/// A gossiped message.
pub(crate) struct Message {
    pub(crate) id: [u8; MESSAGE_ID_BYTES],
    pub(crate) message: GossipMessage,
    pub(crate) glance: Glance,
}

impl Message {
    pub(crate) fn new(message: GossipMessage) -> Self {
        let (topic, ssz) = (message.topic(), message.to_ssz());
        let id = hash(topic.to_string().as_bytes(), &ssz, DOMAIN_VALID_SNAPPY);
        let glance = Glance::at(topic.kind, &ssz).unwrap();
        Self { id, message, glance }
    }

    /// A number for the dice.
    pub(crate) fn number(&self) -> u64 {
        u64::from_le_bytes(*self.id.first_chunk().unwrap())
    }
}

/// A node's answer to a request, read as the network's service reads it.
pub(crate) fn serve(
    source: &dyn BlockSource,
    request: &BlocksRequest,
) -> Result<Vec<SignedBlock>, RequestFailure> {
    let failed = |_: SourceFailure| RequestFailure::Refused("storage failure".to_owned());
    let (roots, is_range) = match request {
        BlocksRequest::Roots(roots) => (roots.clone(), false),
        BlocksRequest::Range { start_slot, count } => {
            match source.canonical_roots(*start_slot, *count).map_err(failed)? {
                SourceRange::Roots(roots) => (roots, true),
                SourceRange::Unavailable(text) => return Err(RequestFailure::Unavailable(text)),
            }
        }
    };
    let mut blocks = Vec::new();
    for root in roots {
        match source.block(&root).map_err(failed)? {
            SourceBlock::Found(ssz) => blocks.push(SignedBlock::from_ssz(&ssz).unwrap()),
            SourceBlock::Unknown if is_range => return Err(failed(SourceFailure)),
            SourceBlock::Unknown => {}
            SourceBlock::Pruned(text) => return Err(RequestFailure::Unavailable(text)),
        }
    }
    Ok(blocks)
}
