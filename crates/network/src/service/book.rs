//! Who is connected, for people and programs to look at: `/lean/v0/node/peers` and the metrics.

use std::{collections::BTreeMap, sync::Arc};

use lamella_types::Status;
use libp2p::{Multiaddr, PeerId};
use parking_lot::RwLock;

/// Characters kept of what a peer calls itself.
const AGENT_CHARS_MAX: usize = 64;

/// Who began a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The peer.
    Inbound,
    /// We.
    Outbound,
}

impl Direction {
    /// The name that metrics and the API use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// A connected peer.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Its identity.
    pub peer: PeerId,
    /// The other end of its first connection.
    pub address: Multiaddr,
    /// Who began that.
    pub direction: Direction,
    /// What it says it is, in printable characters.
    pub agent: Option<String>,
    /// Where it last said its chain is.
    pub status: Option<Status>,
    /// Whether it is in the mesh of the block topic.
    pub is_in_mesh: bool,
}

/// The connected peers, shared between the network's task, which writes it, and whoever looks.
#[derive(Debug, Clone, Default)]
pub struct PeerBook(Arc<RwLock<BTreeMap<PeerId, PeerInfo>>>);

impl PeerBook {
    /// Peers that have not said where their chain is.
    #[must_use]
    pub fn silent(&self) -> Vec<PeerId> {
        let is_silent = |info: &&PeerInfo| info.status.is_none();
        self.0.read().values().filter(is_silent).map(|info| info.peer).collect()
    }

    /// A copy of all entries, by peer id.
    #[must_use]
    pub fn all(&self) -> Vec<PeerInfo> {
        self.0.read().values().cloned().collect()
    }

    /// Connected peers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.read().len()
    }

    pub(super) fn add(&self, peer: PeerId, address: Multiaddr, direction: Direction) {
        let info =
            PeerInfo { peer, address, direction, agent: None, status: None, is_in_mesh: false };
        self.0.write().entry(peer).or_insert(info);
    }

    pub(super) fn remove(&self, peer: &PeerId) -> Option<PeerInfo> {
        self.0.write().remove(peer)
    }

    pub(super) fn update(&self, peer: &PeerId, change: impl FnOnce(&mut PeerInfo)) {
        if let Some(info) = self.0.write().get_mut(peer) {
            change(info);
        }
    }

    pub(super) fn mesh<'a>(&self, mesh: impl Iterator<Item = &'a PeerId>) {
        let mesh: Vec<&PeerId> = mesh.collect();
        self.0.write().values_mut().for_each(|info| info.is_in_mesh = mesh.contains(&&info.peer));
    }
}

/// What a peer calls itself, cut and stripped of what could upset a terminal or a log.
pub(super) fn printable(agent: &str) -> String {
    agent.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(AGENT_CHARS_MAX).collect()
}
