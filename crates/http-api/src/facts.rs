//! What the rest of the node tells the API, and what the API may change of it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use lamella_network::standing::{Peer, SyncStatus};
use lamella_types::{Slot, SlotClock};
use parking_lot::RwLock;

use super::Standing;

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
    standing: RwLock<Standing>,
    now_ms: fn() -> u64,
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
            standing: RwLock::default(),
            now_ms: system_ms,
        }
    }

    /// The same by another wall clock than the system's: Unix milliseconds.
    #[must_use]
    pub fn with_now(self, now_ms: fn() -> u64) -> Self {
        Self { now_ms, ..self }
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

    /// What the node last said of itself.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.read().clone()
    }

    /// The node says something of itself.
    pub fn tell(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing.write());
    }

    /// The slot of the wall clock.
    #[must_use]
    pub fn current_slot(&self) -> Slot {
        self.clock.current_slot(self.now_ms())
    }

    pub(super) fn now_ms(&self) -> u64 {
        (self.now_ms)()
    }
}

fn system_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
