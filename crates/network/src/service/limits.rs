//! What the service allows peers and itself. Limits of requests: [`crate::requests`].

/// Gossiped messages whose verdict is awaited. At most as many are in the node's queue.
pub const GOSSIP_PENDING_MAX: usize = 8_192;

/// Of these, messages that one peer forwarded: what all validators vote in one slot.
pub const GOSSIP_PENDING_PER_PEER: usize = 4_096;

/// Bytes in memory of gossip whose verdict is awaited: 64 MiB, 120 of the largest blocks or as many votes as may wait
/// and more.
pub const GOSSIP_PENDING_BYTES_MAX: usize = 64 << 20;

/// Of these, bytes that one peer forwarded: 16 MiB, what all votes of 4,096 validators take (2.75 KB each), and blocks.
pub const GOSSIP_PENDING_BYTES_PER_PEER: usize = 16 << 20;

/// Streams of one protocol that one peer may have open: an honest node has one or two.
pub const STREAMS_PER_PEER: usize = 8;

/// Connections to one peer: each side may have dialled, and a peer that was restarted comes with new ones before the old
/// are noticed to be dead.
pub const CONNECTIONS_PER_PEER: u32 = 4;

/// Connected peers.
pub const PEERS_MAX: u32 = 128;

/// Connections begun by others. The rest is kept for nodes that we dial.
pub const INBOUND_MAX: u32 = 96;
