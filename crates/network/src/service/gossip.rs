//! Gossipsub as the lean network runs it, and its messages as values.

use std::{collections::HashSet, sync::Arc, time::Duration};

use lamella_types::{
    Decode, SignedAggregatedAttestation, SignedAttestation, SignedBlock,
    limits::SIGNED_BLOCK_BYTES_MAX,
};
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, MaxCountSubscriptionFilter, MessageAuthenticity,
    ValidationMode, WhitelistSubscriptionFilter,
};

use super::{
    config::{NetworkConfig, NetworkError, SUBNETS_MAX},
    content::{self, Unpack},
    listener::Listener,
    message::GossipMessage,
};
use crate::wire::topic::{Topic, TopicKind};

/// Bytes of the largest valid message as it is sent: the worst case of snappy (32 + n + n/6), and the envelope.
const MESSAGE_BYTES_MAX: usize = 32 + SIGNED_BLOCK_BYTES_MAX + SIGNED_BLOCK_BYTES_MAX / 6 + 1_024;

/// Bytes of one gossip frame: three of the largest messages, 1.8 MiB. leanSpec allows 11.7 MiB, which 96 strangers
/// that each leave a frame unfinished would make 1.1 GB.
const TRANSMIT_BYTES_MAX: usize = 3 * MESSAGE_BYTES_MAX;

/// Messages that wait for a peer that does not read: what comes after them is not sent to it.
const UNREAD_MESSAGES_MAX: usize = 1_024;

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
pub(super) type Gossip =
    gossipsub::Behaviour<Unpack, MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>>;

/// A gossipsub with our parameters, subscribed to what the configuration names.
pub(super) fn gossip(
    config: &NetworkConfig,
    listener: Arc<dyn Listener>,
) -> Result<Gossip, NetworkError> {
    if config.committee_count > SUBNETS_MAX {
        return Err(NetworkError::Subnets(config.committee_count));
    }
    let kinds = || {
        let subnets = (0..config.committee_count).map(|subnet| TopicKind::Attestation { subnet });
        [TopicKind::Block, TopicKind::Aggregation].into_iter().chain(subnets)
    };
    let topics = content::topics(kinds());
    let names: HashSet<_> = topics.keys().cloned().collect();
    let filter = MaxCountSubscriptionFilter {
        max_subscribed_topics: names.len(),
        max_subscriptions_per_request: names.len().max(SUBSCRIPTIONS_PER_MESSAGE_MAX),
        filter: WhitelistSubscriptionFilter(names),
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
        .message_id_fn(content::id)
        .max_transmit_size(TRANSMIT_BYTES_MAX)
        .max_publish_messages(RPC_MESSAGES_MAX)
        .connection_handler_queue_len(UNREAD_MESSAGES_MAX)
        .allow_self_origin(true)
        .flood_publish(false)
        .idontwant_message_size_threshold(1_000)
        .build()
        .map_err(|error| NetworkError::Gossip(error.to_string()))?;
    let unpack = Unpack { topics, signature_bytes: config.signature_bytes, listener };
    let mut gossip = gossipsub::Behaviour::new_with_subscription_filter_and_transform(
        MessageAuthenticity::Anonymous,
        parameters,
        filter,
        unpack,
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

/// What a gossiped message says.
///
/// # Errors
/// What is wrong with its bytes.
pub(super) fn decode(
    kind: TopicKind,
    ssz: &[u8],
    signature_bytes: usize,
) -> Result<GossipMessage, String> {
    let message = match kind {
        TopicKind::Block => {
            SignedBlock::from_ssz(ssz).map(|block| GossipMessage::Block(block.into()))
        }
        TopicKind::Attestation { subnet } => {
            SignedAttestation::from_ssz(ssz, signature_bytes).map(|attestation| {
                GossipMessage::Attestation { subnet, attestation: attestation.into() }
            })
        }
        TopicKind::Aggregation => SignedAggregatedAttestation::from_ssz(ssz)
            .map(|aggregate| GossipMessage::Aggregate(aggregate.into())),
    };
    message.map_err(|error| error.to_string())
}
