//! Gossipsub as the lean network runs it, and its messages as values.

use std::{collections::HashSet, time::Duration};

use lamella_types::{Decode, SignedAggregatedAttestation, SignedAttestation, SignedBlock};
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, IdentityTransform, MaxCountSubscriptionFilter, Message,
    MessageAuthenticity, MessageId, ValidationMode, WhitelistSubscriptionFilter,
};

use super::{
    config::{NetworkConfig, NetworkError, SUBNETS_MAX},
    message::GossipMessage,
};
use crate::wire::{
    MAX_PAYLOAD_BYTES,
    message_id::message_id,
    snappy::decompress_block,
    topic::{Topic, TopicKind},
};

/// Bytes of one gossip frame: the worst case of 10 MiB compressed (32 + n + n/6) and its envelope, as leanSpec.
const TRANSMIT_BYTES_MAX: usize = 32 + MAX_PAYLOAD_BYTES + MAX_PAYLOAD_BYTES / 6 + 1_024;

/// leanSpec `gossipsub/parameters.py`: the mesh's degree, and the bounds at which it is mended.
const MESH_PEERS: usize = 8;
const MESH_PEERS_LOW: usize = 6;
const MESH_PEERS_HIGH: usize = 12;
const LAZY_PEERS: usize = 6;

/// Time between two looks at the mesh.
const HEARTBEAT: Duration = Duration::from_millis(700);

/// Messages in one RPC.
const RPC_MESSAGES_MAX: usize = 500;

/// Topics in one subscription message of a peer.
const SUBSCRIPTIONS_PER_MESSAGE_MAX: usize = 128;

/// Time a message is remembered, so that it is not taken twice: two windows of justification, 4 s x 3 x 2.
const SEEN: Duration = Duration::from_secs(24);

/// Gossipsub that accepts only the topics of this network.
pub(super) type Gossip = gossipsub::Behaviour<
    IdentityTransform,
    MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>,
>;

/// A gossipsub with our parameters, subscribed to what the configuration names.
pub(super) fn gossip(config: &NetworkConfig) -> Result<Gossip, NetworkError> {
    if config.committee_count > SUBNETS_MAX {
        return Err(NetworkError::Subnets(config.committee_count));
    }
    let kinds = || {
        let subnets = (0..config.committee_count).map(|subnet| TopicKind::Attestation { subnet });
        [TopicKind::Block, TopicKind::Aggregation].into_iter().chain(subnets)
    };
    let topics: HashSet<_> = kinds().map(|kind| topic(kind).hash()).collect();
    let filter = MaxCountSubscriptionFilter {
        max_subscribed_topics: topics.len(),
        max_subscriptions_per_request: topics.len().max(SUBSCRIPTIONS_PER_MESSAGE_MAX),
        filter: WhitelistSubscriptionFilter(topics),
    };
    let parameters = ConfigBuilder::default()
        .mesh_n(MESH_PEERS)
        .mesh_n_low(MESH_PEERS_LOW)
        .mesh_n_high(MESH_PEERS_HIGH)
        .gossip_lazy(LAZY_PEERS)
        .heartbeat_initial_delay(HEARTBEAT)
        .heartbeat_interval(HEARTBEAT)
        .fanout_ttl(Duration::from_secs(60))
        .history_length(6)
        .history_gossip(3)
        .duplicate_cache_time(SEEN)
        .prune_backoff(Duration::from_secs(60))
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(id)
        .max_transmit_size(TRANSMIT_BYTES_MAX)
        .max_publish_messages(RPC_MESSAGES_MAX)
        .allow_self_origin(true)
        .flood_publish(false)
        .idontwant_message_size_threshold(1_000)
        .build()
        .map_err(|error| NetworkError::Gossip(error.to_string()))?;
    let mut gossip = gossipsub::Behaviour::new_with_subscription_filter(
        MessageAuthenticity::Anonymous,
        parameters,
        filter,
    )
    .map_err(|error| NetworkError::Gossip(error.to_owned()))?;
    let wanted = kinds().filter(|kind| match kind {
        TopicKind::Attestation { subnet } => config.subnets.contains(subnet),
        TopicKind::Block | TopicKind::Aggregation => true,
    });
    for kind in wanted {
        let subscribed = gossip.subscribe(&topic(kind));
        subscribed.map_err(|error| NetworkError::Gossip(error.to_string()))?;
    }
    Ok(gossip)
}

/// A topic as gossipsub names it.
pub(super) fn topic(kind: TopicKind) -> IdentTopic {
    IdentTopic::new(Topic::new(kind).to_string())
}

fn id(message: &Message) -> MessageId {
    MessageId::new(&message_id(message.topic.as_str(), &message.data))
}

/// What a gossiped message says; also the bytes of its SSZ.
///
/// # Errors
/// What is wrong with its bytes.
pub(super) fn decode(
    kind: TopicKind,
    data: &[u8],
    signature_bytes: usize,
) -> Result<(GossipMessage, usize), String> {
    let ssz = decompress_block(data, MAX_PAYLOAD_BYTES).map_err(|error| error.to_string())?;
    let message = match kind {
        TopicKind::Block => {
            SignedBlock::from_ssz(&ssz).map(|block| GossipMessage::Block(block.into()))
        }
        TopicKind::Attestation { subnet } => {
            SignedAttestation::from_ssz(&ssz, signature_bytes).map(|attestation| {
                GossipMessage::Attestation { subnet, attestation: attestation.into() }
            })
        }
        TopicKind::Aggregation => SignedAggregatedAttestation::from_ssz(&ssz)
            .map(|aggregate| GossipMessage::Aggregate(aggregate.into())),
    };
    Ok((message.map_err(|error| error.to_string())?, ssz.len()))
}
