//! What the rest of the node tells the API, and what the API may change of it.

use std::sync::atomic::{AtomicBool, Ordering};

use lamella_network::standing::{Peer, SyncStatus};
use lamella_types::{Slot, SlotClock};
use parking_lot::RwLock;

/// Peers listed at most. libp2p keeps far fewer connections than this.
const PEERS_MAX: usize = 1024;

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
