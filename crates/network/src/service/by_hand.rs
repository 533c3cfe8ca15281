//! A network without libp2p: whoever holds its other end plays the peers. For simulations of whole nodes.

use std::sync::Arc;

use lamella_types::Status;
use libp2p::{Multiaddr, PeerId, gossipsub::MessageId};
use tokio::sync::mpsc::{self, Receiver};

use super::{
    COMMANDS_MAX, Network, NetworkConfig, NetworkError,
    book::{Direction, PeerBook},
    listener::Listener,
    message::{Command, GossipId},
    source::BlockSource,
    swarm,
};
use crate::wire::message_id::MESSAGE_ID_BYTES;

/// What the node believes to be its network, and what the network would have of the node.
pub struct Hand {
    commands: Receiver<Command>,
    book: PeerBook,
    /// Who the node is.
    pub peer_id: PeerId,
    /// What the node serves.
    pub source: Arc<dyn BlockSource>,
    /// The node's ear.
    pub listener: Arc<dyn Listener>,
}

impl Network {
    /// A network that does nothing by itself.
    ///
    /// # Errors
    /// [`NetworkError::Key`].
    pub fn by_hand(
        config: &NetworkConfig,
        source: Arc<dyn BlockSource>,
        listener: Arc<dyn Listener>,
    ) -> Result<(Self, Hand), NetworkError> {
        let peer_id = swarm::keypair(config.secret_key)?.public().to_peer_id();
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let book = PeerBook::default();
        let network = Self {
            commands: Some(sender),
            peers: book.clone(),
            peer_id,
            address: config.listen,
            thread: None,
        };
        Ok((network, Hand { commands, book, peer_id, source, listener }))
    }
}

impl Hand {
    /// The next thing that the node wants of its network.
    pub fn take(&mut self) -> Option<Command> {
        self.commands.try_recv().ok()
    }

    /// A peer is connected.
    pub fn connected(&self, peer: PeerId) {
        self.book.add(peer, Multiaddr::empty(), Direction::Outbound);
    }

    /// A peer is not connected any more.
    pub fn gone(&self, peer: &PeerId) {
        self.book.remove(peer);
    }

    /// A peer said where it is.
    pub fn said(&self, peer: &PeerId, status: Status) {
        self.book.update(peer, |entry| entry.status = Some(status));
    }
}

impl GossipId {
    /// The name of a message of this id that this peer forwarded.
    #[must_use]
    pub fn by_hand(message: &[u8; MESSAGE_ID_BYTES], peer: PeerId) -> Self {
        Self { message: MessageId::new(message), peer, bytes: 0 }
    }

    /// The message's id.
    #[must_use]
    pub fn message_bytes(&self) -> &[u8] {
        &self.message.0
    }
}
