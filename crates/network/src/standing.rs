//! How a node stands to its network, in words for people, the API and the metrics.

use lamella_types::Slot;

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
