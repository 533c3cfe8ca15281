//! Who listens to the network: the node, its metrics.

use super::{
    book::Direction,
    glance::{Glance, Worth},
    message::NetworkEvent,
};
use crate::{peers::Offence, wire::topic::TopicKind};

/// Takes what happens. Called on the network's own task: it must not block.
pub trait Listener: Send + Sync + 'static {
    /// Takes an event, or gives it back if there is no room for it now. Gossip that comes back is dropped; other
    /// events are offered again.
    ///
    /// # Errors
    /// The event.
    fn event(&self, event: NetworkEvent) -> Result<(), Box<NetworkEvent>>;

    /// Whether a gossiped message is worth its decoding. Asked for every copy that comes, so it must be cheap.
    fn worth(&self, _glance: &Glance) -> Worth {
        Worth::Reading
    }

    /// Counts something.
    fn observe(&self, observation: Observation);

    /// The network's own task is over, since it was told to stop or because of a fault of ours.
    fn ended(&self) {}
}

/// Something to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// A peer connected.
    Connected(Direction),
    /// A connection could not be made.
    ConnectFailed {
        /// Who began it.
        direction: Direction,
        /// Whether nobody answered in time.
        is_timeout: bool,
    },
    /// A peer is gone.
    Disconnected {
        /// Who began the connection.
        direction: Direction,
        /// `timeout`, `remote_close`, `local_close` or `error`.
        reason: &'static str,
    },
    /// A gossiped message arrived that was not seen before.
    Gossip {
        /// On which topic.
        kind: TopicKind,
        /// Bytes of its SSZ.
        ssz_bytes: usize,
    },
    /// A gossiped message was dropped unread, or could not be read.
    GossipDropped(Offence),
    /// A gossiped message was too early, too late, or nothing new.
    NotWorthReading,
    /// The node is too busy for a gossiped message.
    Busy,
    /// A request for blocks was answered to us.
    Received {
        /// Blocks.
        blocks: usize,
        /// Bytes of their SSZ.
        ssz_bytes: usize,
    },
    /// A peer asked for this many blocks or slots.
    Asked {
        /// Blocks or slots.
        blocks: usize,
    },
    /// A peer did something wrong.
    Offence(Offence),
}
