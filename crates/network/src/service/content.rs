//! A gossiped message between the wire and its decoding: unpacked once, named, and glanced at.
//!
//! gossipsub asks for a message's id whenever a copy of it comes, and the id is over what the message unpacks to. So a
//! message is unpacked where gossipsub lets data be transformed, before anything else, and [`Content`] carries the id
//! and the payload on from there: no bomb is unpacked twice, and what is not worth reading leaves nothing but its name.

use std::{collections::HashMap, io, sync::Arc};

use lamella_types::limits::{SIGNED_AGGREGATE_BYTES_MAX, SIGNED_BLOCK_BYTES_MAX};
use libp2p::gossipsub::{DataTransform, Message, MessageId, RawMessage, TopicHash};

use super::{
    glance::{Glance, Worth},
    listener::Listener,
};
use crate::wire::{
    message_id::{DOMAIN_INVALID_SNAPPY, DOMAIN_VALID_SNAPPY, MESSAGE_ID_BYTES, hash},
    snappy::{compress_block, decompress_block},
    topic::{Topic, TopicKind},
};

/// Bytes of a vote without its signature.
const VOTE_BYTES: usize = 136;

/// Bytes in front of what a content carries: the message's id, what it unpacked to, and a mark.
const HEADER_BYTES: usize = MESSAGE_ID_BYTES + 4 + 1;

/// Marks: an SSZ payload follows; nothing does; the reason why the message is valid for nobody does.
const PAYLOAD: u8 = 0;
const NOTHING: u8 = 1;
const NEVER: u8 = 2;

/// What became of a message. In gossipsub it is bytes: `[id: 20 | bytes: u32 BE | mark: u8 | rest]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// Worth reading: its SSZ.
    Payload(&'a [u8]),
    /// Not worth reading here and now.
    Nothing,
    /// Valid for nobody; why.
    Never(&'a str),
}

impl<'a> Content<'a> {
    /// What these bytes carry, and how many bytes the message cost us: those that it unpacked to, else those sent.
    pub(super) fn read(data: &'a [u8]) -> (Self, usize) {
        let parts = data.get(MESSAGE_ID_BYTES..).and_then(<[u8]>::split_first_chunk);
        let Some((bytes, rest)) = parts else { return (Self::Nothing, data.len()) };
        let content = match rest.split_first() {
            Some((&PAYLOAD, ssz)) => Self::Payload(ssz),
            Some((&NEVER, why)) => Self::Never(str::from_utf8(why).unwrap_or_default()),
            _ => Self::Nothing,
        };
        (content, u32::from_be_bytes(*bytes) as usize)
    }

    fn write(self, id: [u8; MESSAGE_ID_BYTES], bytes: usize) -> Vec<u8> {
        let (mark, rest) = match self {
            Self::Payload(ssz) => (PAYLOAD, ssz),
            Self::Nothing => (NOTHING, &[][..]),
            Self::Never(why) => (NEVER, why.as_bytes()),
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut data = Vec::with_capacity(HEADER_BYTES + rest.len());
        data.extend_from_slice(&id);
        data.extend_from_slice(&bytes.to_be_bytes());
        data.push(mark);
        data.extend_from_slice(rest);
        data
    }
}

/// A message of ours, as gossipsub takes it.
pub(super) fn of_ours(topic: &str, ssz: &[u8]) -> Vec<u8> {
    Content::Payload(ssz).write(hash(topic.as_bytes(), ssz, DOMAIN_VALID_SNAPPY), ssz.len())
}

/// The id that a content carries in front.
pub(super) fn id(message: &Message) -> MessageId {
    MessageId::new(message.data.get(..MESSAGE_ID_BYTES).unwrap_or_default())
}

/// SSZ bytes of the largest valid message on a topic.
pub(super) const fn ssz_bytes_max(kind: TopicKind, signature_bytes: usize) -> usize {
    match kind {
        TopicKind::Block => SIGNED_BLOCK_BYTES_MAX,
        TopicKind::Attestation { .. } => VOTE_BYTES + signature_bytes,
        TopicKind::Aggregation => SIGNED_AGGREGATE_BYTES_MAX,
    }
}

/// Unpacks what comes, and packs what goes.
pub(super) struct Unpack {
    /// The topics that there are.
    pub(super) topics: HashMap<TopicHash, TopicKind>,
    pub(super) signature_bytes: usize,
    pub(super) listener: Arc<dyn Listener>,
}

impl Unpack {
    fn unpack(&self, topic: &TopicHash, data: &[u8]) -> Vec<u8> {
        let name = topic.as_str().as_bytes();
        let refused = |content: Content<'_>| {
            content.write(hash(name, data, DOMAIN_INVALID_SNAPPY), data.len())
        };
        let Some(kind) = self.topics.get(topic).copied() else {
            return refused(Content::Nothing);
        };
        let limit = ssz_bytes_max(kind, self.signature_bytes);
        let ssz = match decompress_block(data, limit) {
            Ok(ssz) => ssz,
            Err(error) => return refused(Content::Never(&error.to_string())),
        };
        let id = hash(name, &ssz, DOMAIN_VALID_SNAPPY);
        let content = match Glance::at(kind, &ssz).map(|glance| self.listener.worth(&glance)) {
            None => Content::Never("too short for what it is said to be"),
            Some(Worth::Reading) => Content::Payload(&ssz),
            Some(Worth::Nothing) => Content::Nothing,
            Some(Worth::Never(why)) => Content::Never(why),
        };
        content.write(id, ssz.len())
    }
}

impl DataTransform for Unpack {
    fn inbound_transform(&self, raw: RawMessage) -> io::Result<Message> {
        let data = self.unpack(&raw.topic, &raw.data);
        let RawMessage { source, sequence_number, topic, .. } = raw;
        Ok(Message { source, data, sequence_number, topic })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        let ssz = data.get(HEADER_BYTES..).unwrap_or_default();
        compress_block(ssz).map_err(io::Error::other)
    }
}

/// The topics of these kinds, as gossipsub names them.
pub(super) fn topics(kinds: impl Iterator<Item = TopicKind>) -> HashMap<TopicHash, TopicKind> {
    kinds.map(|kind| (TopicHash::from_raw(Topic::new(kind).to_string()), kind)).collect()
}

#[cfg(test)]
mod tests {
    use lamella_types::{Block, SignedBlock, to_ssz};

    use super::*;
    use crate::{
        service::{NetworkEvent, Observation},
        wire::message_id::message_id,
    };

    /// Wants blocks of slot 1, has no use for those of slot 2, and knows that others are bad.
    struct Picky;

    impl Listener for Picky {
        fn event(&self, event: NetworkEvent) -> Result<(), Box<NetworkEvent>> {
            Err(Box::new(event))
        }

        fn observe(&self, _: Observation) {}

        fn worth(&self, glance: &Glance) -> Worth {
            match glance {
                Glance::Block { slot: 1, .. } => Worth::Reading,
                Glance::Block { slot: 2, .. } => Worth::Nothing,
                _ => Worth::Never("no such slot"),
            }
        }
    }

    fn unpack(topic: &TopicHash, data: &[u8]) -> Vec<u8> {
        let kinds = [TopicKind::Block, TopicKind::Attestation { subnet: 0 }];
        let (topics, listener) = (topics(kinds.into_iter()), Arc::new(Picky));
        Unpack { topics, signature_bytes: 24, listener }.unpack(topic, data)
    }

    fn topic(kind: TopicKind) -> TopicHash {
        TopicHash::from_raw(Topic::new(kind).to_string())
    }

    #[test]
    fn only_what_is_worth_reading_is_carried_on_and_every_message_keeps_its_name() {
        let topic = topic(TopicKind::Block);
        let ssz = |slot| {
            to_ssz(&SignedBlock { block: Block { slot, ..Block::default() }, ..Default::default() })
        };
        for slot in 1..4 {
            let packed = compress_block(&ssz(slot)).unwrap();
            let content = unpack(&topic, &packed);
            assert_eq!(content[..MESSAGE_ID_BYTES], message_id(topic.as_str(), &packed));
            assert_eq!(of_ours(topic.as_str(), &ssz(slot))[..20], content[..20], "either way");
            let expected = ssz(slot);
            let (content, bytes) = Content::read(&content);
            assert_eq!(bytes, expected.len(), "what it cost, read or not");
            assert_eq!(
                content,
                match slot {
                    1 => Content::Payload(&expected),
                    2 => Content::Nothing,
                    _ => Content::Never("no such slot"),
                }
            );
        }
        assert_eq!(
            Content::read(&unpack(&TopicHash::from_raw("x"), &[1, 2])),
            (Content::Nothing, 2)
        );
        assert_eq!(Content::read(&[0; 7]), (Content::Nothing, 7));
    }

    /// Symptom: one peer made a node keep 3.6 GB with blocks of 157 KB, which unpacked to 3.2 MB each.
    /// Mechanism: whatever unpacked to at most 10 MiB was unpacked, twice, and decoded, on every topic.
    /// Fix: a topic lets through what its largest valid message has, and compares before it unpacks.
    #[test]
    fn what_unpacks_to_more_than_the_largest_valid_message_is_refused_unread() {
        let votes = topic(TopicKind::Attestation { subnet: 0 });
        for (topic, limit) in [(topic(TopicKind::Block), SIGNED_BLOCK_BYTES_MAX), (votes, 160)] {
            let bomb = compress_block(&vec![0; limit + 1]).unwrap();
            let content = unpack(&topic, &bomb);
            let (Content::Never(why), bytes) = Content::read(&content) else {
                panic!("{content:?}")
            };
            assert_eq!(bytes, bomb.len());
            assert!(why.contains("the limit is"), "{why}");
            assert_eq!(
                content[..20],
                hash(topic.as_str().as_bytes(), &bomb, DOMAIN_INVALID_SNAPPY)
            );
            let fits = compress_block(&vec![0; limit]).unwrap();
            let content = unpack(&topic, &fits);
            assert_eq!(Content::read(&content), (Content::Never("no such slot"), limit), "read");
        }
    }
}
