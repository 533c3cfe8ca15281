//! The loop: one event of the swarm, one command of the node, or one tick at a time.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    gossipsub, identify,
    swarm::{
        ConnectionError, DialError, Swarm, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, info, warn};

use super::{
    Behaviour, BehaviourEvent, BlockSource, Command, Direction, GOSSIP_PENDING_MAX,
    GOSSIP_PENDING_PER_PEER, GossipId, GossipMessage, Listener, NetworkConfig, NetworkEvent,
    Observation, PeerBook, Verdict, answers::Outstanding, book::printable, gossip,
};
use crate::{
    peers::{Demand, Offence, Peers},
    wire::{
        snappy::compress_block,
        topic::{Topic, TopicKind},
    },
};

/// Time between two looks at what can wait: events that the node had no room for, bans that end, the mesh.
const HOUSEKEEPING: Duration = Duration::from_millis(200);

/// Of the gossip that may wait, what only blocks may fill.
const KEPT_FOR_BLOCKS: usize = 256;

/// Events kept for a node that has no room for them. Beyond it the oldest is lost, and with it one answer or one
/// peer's news: sync gives a request up after 30 s, and asks for old statuses.
const BACKLOG_MAX: usize = 1_024;

/// The network's own thread of control.
pub(super) struct Task {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) source: Arc<dyn BlockSource>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) book: PeerBook,
    pub(super) peers: Peers,
    pub(super) outstanding: Outstanding,
    dial: Vec<(PeerId, Multiaddr)>,
    redial: Duration,
    signature_bytes: usize,
    /// Undecided gossip by forwarder.
    pending: HashMap<PeerId, usize>,
    topics: HashMap<gossipsub::TopicHash, TopicKind>,
    backlog: VecDeque<NetworkEvent>,
    started: Instant,
}

impl Task {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        config: &NetworkConfig,
        dial: Vec<(PeerId, Multiaddr)>,
        source: Arc<dyn BlockSource>,
        listener: Arc<dyn Listener>,
        book: PeerBook,
    ) -> Self {
        let topics = swarm.behaviour().gossip.topics();
        let topics = topics
            .filter_map(|hash| Some((hash.clone(), hash.as_str().parse::<Topic>().ok()?.kind)))
            .collect();
        Self {
            swarm,
            source,
            listener,
            book,
            peers: Peers::default(),
            outstanding: Outstanding::default(),
            dial,
            redial: config.redial,
            signature_bytes: config.signature_bytes,
            pending: HashMap::new(),
            topics,
            backlog: VecDeque::new(),
            started: Instant::now(),
        }
    }

    pub(super) async fn run(mut self, mut commands: Receiver<Command>) {
        let mut redial = interval(self.redial);
        let mut housekeeping = interval(HOUSEKEEPING);
        redial.set_missed_tick_behavior(MissedTickBehavior::Delay);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                event = self.swarm.select_next_some() => self.swarm_event(event),
                _ = redial.tick() => self.dial_missing(),
                _ = housekeeping.tick() => self.keep_house(),
            }
        }
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

    fn flush(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            if let Err(event) = self.listener.event(event) {
                self.backlog.push_front(*event);
                return;
            }
        }
    }

    fn keep_house(&mut self) {
        self.flush();
        for peer in self.peers.forget(self.now_ms()) {
            self.swarm.behaviour_mut().blocked.unblock_peer(peer);
        }
        let blocks = gossip::topic(TopicKind::Block).hash();
        self.book.mesh(self.swarm.behaviour().gossip.mesh_peers(&blocks));
    }

    fn dial_missing(&mut self) {
        for (peer, address) in &self.dial {
            let options = DialOpts::peer_id(*peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![address.clone()])
                .build();
            match self.swarm.dial(options) {
                Ok(()) => debug!(%peer, %address, "Dialling"),
                Err(DialError::DialPeerConditionFalse(_)) => {}
                Err(error) => debug!(%peer, %error, "Not dialling"),
            }
        }
    }

    /// Holds an offence against a peer, and ends its connections if that was one too many.
    pub(super) fn penalise(&mut self, peer: PeerId, offence: Offence, detail: &str) {
        self.listener.observe(Observation::Offence(offence));
        debug!(%peer, offence = offence.name(), detail, "Offence");
        if self.peers.penalise(peer, offence, self.now_ms()) {
            warn!(%peer, offence = offence.name(), detail, "Peer banned");
            self.swarm.behaviour_mut().blocked.block_peer(peer);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Publish(message) => self.publish(&message),
            Command::Verdict(id, verdict) => self.verdict(&id, verdict),
            Command::Request { request, peer, blocks } => self.request(request, peer, blocks),
            Command::AskStatus(peer) => self.ask_status(peer),
            Command::Penalise(peer, offence) => self.penalise(peer, offence, "as the node found"),
        }
    }

    fn publish(&mut self, message: &GossipMessage) {
        let topic = message.topic();
        let bytes = match compress_block(&message.to_ssz()) {
            Ok(bytes) => bytes,
            Err(error) => return warn!(%topic, %error, "Not published"),
        };
        let published = self.swarm.behaviour_mut().gossip.publish(gossip::topic(topic.kind), bytes);
        match published {
            Ok(_) | Err(gossipsub::PublishError::Duplicate) => {}
            // A lone node has nobody to tell.
            Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => {
                debug!(%topic, "Nobody listens");
            }
            Err(error) => warn!(%topic, %error, "Not published"),
        }
    }

    fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, num_established, .. }
                if num_established.get() == 1 =>
            {
                self.connected(peer_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                self.gone(peer_id, cause.as_ref());
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                debug!(peer = ?peer_id, %error, "Dialling failed");
                let is_timeout = error.to_string().to_ascii_lowercase().contains("timed out");
                let direction = Direction::Outbound;
                self.listener.observe(Observation::ConnectFailed { direction, is_timeout });
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                debug!(address = %send_back_addr, %error, "Incoming connection failed");
                let direction = Direction::Inbound;
                self.listener.observe(Observation::ConnectFailed { direction, is_timeout: false });
            }
            _ => {}
        }
    }

    fn connected(&mut self, peer: PeerId, endpoint: &ConnectedPoint) {
        let direction = if endpoint.is_dialer() { Direction::Outbound } else { Direction::Inbound };
        let address = endpoint.get_remote_address();
        info!(%peer, %address, direction = direction.name(), "Peer connected");
        self.book.add(peer, address.clone(), direction);
        self.peers.connected(peer, self.now_ms());
        self.listener.observe(Observation::Connected(direction));
        self.ask_status(peer);
    }

    fn gone(&mut self, peer: PeerId, cause: Option<&ConnectionError>) {
        let reason = match cause {
            None => "local_close",
            Some(ConnectionError::KeepAliveTimeout) => "timeout",
            Some(ConnectionError::IO(error)) => {
                let text = error.to_string().to_ascii_lowercase();
                if text.contains("timed out") {
                    "timeout"
                } else if text.contains("closed") {
                    "remote_close"
                } else {
                    "error"
                }
            }
        };
        info!(%peer, reason, "Peer gone");
        self.peers.gone(&peer);
        self.pending.remove(&peer);
        if let Some(info) = self.book.remove(&peer) {
            let direction = info.direction;
            self.listener.observe(Observation::Disconnected { direction, reason });
        }
        self.tell(NetworkEvent::Gone { peer });
    }

    fn behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => {
                let id = GossipId { message: message_id, peer: propagation_source };
                self.gossiped(id, &message);
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let agent = printable(&info.agent_version);
                self.book.update(&peer_id, |entry| entry.agent = Some(agent));
            }
            BehaviourEvent::Status(event) => self.status_event(event),
            BehaviourEvent::Range(event) => self.blocks_event(true, event),
            BehaviourEvent::Roots(event) => self.blocks_event(false, event),
            BehaviourEvent::Gossip(_)
            | BehaviourEvent::Identify(_)
            | BehaviourEvent::Ping(_)
            | BehaviourEvent::Limits(_)
            | BehaviourEvent::Blocked(_) => {}
        }
    }

    fn gossiped(&mut self, id: GossipId, message: &gossipsub::Message) {
        let (peer, now_ms) = (id.peer, self.now_ms());
        let Some(kind) = self.topics.get(&message.topic).copied() else {
            return self.report(&id, Verdict::Ignore);
        };
        let is_too_much = self.pending.get(&peer).is_some_and(|n| *n >= GOSSIP_PENDING_PER_PEER);
        if is_too_much || !self.peers.allows(&peer, Demand::Gossip, now_ms) {
            self.report(&id, Verdict::Ignore);
            self.listener.observe(Observation::GossipDropped(Offence::Flood));
            return self.penalise(peer, Offence::Flood, "gossip");
        }
        match gossip::decode(kind, &message.data, self.signature_bytes) {
            Ok((decoded, ssz_bytes)) => {
                let snappy_bytes = message.data.len();
                self.listener.observe(Observation::Gossip { kind, snappy_bytes, ssz_bytes });
                self.offer(id, decoded, ssz_bytes);
            }
            Err(reason) => {
                self.report(&id, Verdict::Reject);
                self.listener.observe(Observation::GossipDropped(Offence::Garbage));
                self.penalise(peer, Offence::Garbage, &reason);
            }
        }
    }

    /// Hands gossip to the node if it has room. What a busy node misses does not come again, so room is kept for
    /// blocks.
    fn offer(&mut self, id: GossipId, message: GossipMessage, ssz_bytes: usize) {
        let peer = id.peer;
        let kept = if matches!(message, GossipMessage::Block(_)) { 0 } else { KEPT_FOR_BLOCKS };
        let is_full = self.pending.values().sum::<usize>() >= GOSSIP_PENDING_MAX - kept;
        let event = NetworkEvent::Gossip { id: id.clone(), message, ssz_bytes };
        if is_full || self.listener.event(event).is_err() {
            self.listener.observe(Observation::Busy);
            return self.report(&id, Verdict::Ignore);
        }
        *self.pending.entry(peer).or_default() += 1;
    }

    fn verdict(&mut self, id: &GossipId, verdict: Verdict) {
        if let Some(pending) = self.pending.get_mut(&id.peer) {
            *pending = pending.saturating_sub(1);
        }
        self.report(id, verdict);
        if verdict == Verdict::Reject {
            self.penalise(id.peer, Offence::Invalid, "gossip");
        }
    }

    fn report(&mut self, id: &GossipId, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => gossipsub::MessageAcceptance::Accept,
            Verdict::Reject => gossipsub::MessageAcceptance::Reject,
            Verdict::Ignore => gossipsub::MessageAcceptance::Ignore,
        };
        // Too late for a message that the cache has dropped: then nobody asks for it any more.
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        let _ = gossip.report_message_validation_result(&id.message, &id.peer, acceptance);
    }
}
