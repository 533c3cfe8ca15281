//! What every part of the task works on: the swarm, the record of its peers, and the node that is told.

use std::{collections::VecDeque, sync::Arc};

use libp2p::{PeerId, swarm::Swarm};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    book::PeerBook,
    listener::{Listener, Observation},
    message::NetworkEvent,
    meter::Meter,
    swarm::Behaviour,
};
use crate::peers::{Demand, Offence, Peers};

/// Events kept for a node that has no room for them. Beyond it the oldest is lost, and with it one answer or one
/// peer's news: sync gives a request up after 30 s, and asks for old statuses.
const BACKLOG_MAX: usize = 1_024;

/// The connections, and everybody's account.
pub(super) struct Hub {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) book: PeerBook,
    pub(super) peers: Peers<PeerId>,
    backlog: VecDeque<NetworkEvent>,
    started: Instant,
}

impl Hub {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        listener: Arc<dyn Listener>,
        book: PeerBook,
        peers: Peers<PeerId>,
    ) -> Self {
        Self { swarm, listener, book, peers, backlog: VecDeque::new(), started: Instant::now() }
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Hands an event that somebody waits for to the node, now or as soon as it has room.
    pub(super) fn tell(&mut self, event: NetworkEvent) {
        if self.backlog.len() == BACKLOG_MAX {
            warn!("The node is too busy for its network: an event is lost");
            self.backlog.pop_front();
        }
        self.backlog.push_back(event);
        self.flush();
    }

    /// Offers the node again what it had no room for.
    pub(super) fn flush(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            if let Err(event) = self.listener.event(event) {
                self.backlog.push_front(*event);
                return;
            }
        }
    }

    /// Whether a peer may have this now.
    pub(super) fn allows(&mut self, peer: &PeerId, demand: Demand) -> bool {
        let now_ms = self.now_ms();
        self.peers.allows(peer, demand, now_ms)
    }

    /// What an answer to a peer is drawn from.
    pub(super) fn meter(&mut self, peer: &PeerId) -> Meter {
        Meter::new(self.peers.served(peer), self.started)
    }

    /// Holds an offence against a peer, and ends the connections of whoever did too much. This is the one way in which a
    /// fault is told; what it costs is [`Offence::weight`]'s to say.
    pub(super) fn penalise(&mut self, peer: PeerId, offence: Offence, detail: &str) {
        self.listener.observe(Observation::Offence(offence));
        debug!(%peer, offence = offence.name(), detail, "Offence");
        for banned in self.peers.penalise(peer, offence, self.now_ms()) {
            warn!(peer = %banned, because_of = %peer, offence = offence.name(), detail, "Peer banned");
            self.swarm.behaviour_mut().blocked.block_peer(banned);
        }
    }

    /// Refuses a peer something; who is refused again and again is in too much of a haste.
    pub(super) fn refused(&mut self, peer: PeerId, what: &str) {
        if !self.allows(&peer, Demand::Refusal) {
            self.penalise(peer, Offence::Haste, what);
        }
    }
}
