//! What the rest of the node tells the API, and what the API may change of it.

use std::sync::atomic::{AtomicBool, Ordering};

use lamella_types::{Slot, SlotClock};
use parking_lot::RwLock;
use serde::Serialize;

/// Peers listed at most. libp2p keeps far fewer connections than this.
const PEERS_MAX: usize = 1024;

/// Whether a node is catching up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SyncStatus {
    /// It has no peer to learn from, or has not looked yet.
    #[default]
    Idle,
    /// Its peers are ahead, and it fetches their blocks.
    Syncing,
    /// It is where its peers are.
    Synced,
}

impl SyncStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Idle, Self::Syncing, Self::Synced];

    /// Its name in JSON and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Syncing => "syncing",
            Self::Synced => "synced",
        }
    }
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// Its libp2p identity.
    pub peer_id: String,
    /// Where it is, as a multiaddress.
    pub address: String,
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// What it calls itself, shortened to the program's name; unknown before it has said so.
    pub client: Option<String>,
    /// Its head's slot, from its last status.
    pub head_slot: Option<Slot>,
    /// Its finalized slot, from its last status.
    pub finalized_slot: Option<Slot>,
    /// Whether it is in our gossip mesh for blocks.
    pub is_in_mesh: bool,
}

/// Facts of the running node that are not in the chain. Written by the node, read by the API; only the aggregator
/// role goes the other way.
#[derive(Debug)]
pub struct NodeFacts {
    /// Name of the node in its network.
    pub node_id: String,
    /// Its libp2p identity; none without a network.
    pub peer_id: Option<String>,
    /// Its clock.
    pub clock: SlotClock,
    is_aggregator: AtomicBool,
    sync_status: RwLock<SyncStatus>,
    peers: RwLock<Vec<Peer>>,
}

impl NodeFacts {
    /// The facts of a node that starts.
    #[must_use]
    pub fn new(
        node_id: &str,
        peer_id: Option<String>,
        clock: SlotClock,
        is_aggregator: bool,
    ) -> Self {
        Self {
            node_id: node_id.to_owned(),
            peer_id,
            clock,
            is_aggregator: AtomicBool::new(is_aggregator),
            sync_status: RwLock::default(),
            peers: RwLock::default(),
        }
    }

    /// Whether the node aggregates. To be asked at each interval: an operator may change it.
    #[must_use]
    pub fn is_aggregator(&self) -> bool {
        self.is_aggregator.load(Ordering::Relaxed)
    }

    /// Changes the role; says what it was.
    pub fn set_aggregator(&self, is_aggregator: bool) -> bool {
        self.is_aggregator.swap(is_aggregator, Ordering::Relaxed)
    }

    /// Whether the node is catching up.
    #[must_use]
    pub fn sync_status(&self) -> SyncStatus {
        *self.sync_status.read()
    }

    /// The node's decision whether it is catching up.
    pub fn set_sync_status(&self, status: SyncStatus) {
        *self.sync_status.write() = status;
    }

    /// The connected peers.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.peers.read().clone()
    }

    /// Replaces the connected peers.
    pub fn set_peers(&self, mut peers: Vec<Peer>) {
        peers.truncate(PEERS_MAX);
        *self.peers.write() = peers;
    }

    /// The slot of the wall clock.
    #[must_use]
    pub fn current_slot(&self) -> Slot {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now_ms = u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        self.clock.current_slot(now_ms)
    }
}
