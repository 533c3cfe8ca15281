//! The loop: one event of the swarm, one command of the node, or one tick at a time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    gossipsub, identify,
    swarm::{
        ConnectionError, ConnectionId, DialError, Swarm, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    sync::mpsc::Receiver,
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, info, warn};

use super::{
    book::{Direction, PeerBook, printable},
    config::NetworkConfig,
    connections::Connections,
    content::{self, Content},
    exchange::Exchange,
    gossip,
    hub::Hub,
    listener::{Listener, Observation},
    message::{Command, GossipId, GossipMessage, NetworkEvent, Verdict},
    pending::Pending,
    source::BlockSource,
    swarm::{Behaviour, BehaviourEvent, socket_address},
};
use crate::{
    peers::{Demand, Dialler, Offence, Peers},
    wire::topic::{Topic, TopicKind},
};

/// Time between two looks at what can wait: events that the node had no room for, bans that end, whom to dial, the mesh.
const HOUSEKEEPING: Duration = Duration::from_millis(200);

/// The network's own thread of control.
pub(super) struct Task {
    hub: Hub,
    exchange: Exchange,
    /// Nodes that we dial, and where.
    dial: BTreeMap<PeerId, Multiaddr>,
    dialler: Dialler<PeerId>,
    connections: Connections<PeerId, ConnectionId>,
    signature_bytes: usize,
    /// Undecided gossip.
    pending: Pending,
    topics: HashMap<gossipsub::TopicHash, TopicKind>,
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
        let dial: BTreeMap<PeerId, Multiaddr> = dial.into_iter().collect();
        let redial_ms = u64::try_from(config.redial.as_millis()).unwrap_or(u64::MAX);
        Self {
            hub: Hub::new(swarm, listener, book, Peers::new(dial.keys().copied())),
            exchange: Exchange::new(source),
            dialler: Dialler::new(dial.keys().copied(), redial_ms),
            dial,
            connections: Connections::default(),
            signature_bytes: config.signature_bytes,
            pending: Pending::default(),
            topics,
        }
    }

    pub(super) async fn run(mut self, mut commands: Receiver<Command>) {
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                event = self.hub.swarm.select_next_some() => self.swarm_event(event),
                _ = housekeeping.tick() => self.keep_house(),
            }
        }
    }

    fn keep_house(&mut self) {
        self.hub.flush();
        self.dial_missing();
        for peer in self.hub.peers.forget(self.hub.now_ms()) {
            self.hub.swarm.behaviour_mut().blocked.unblock_peer(peer);
        }
        let blocks = gossip::topic(TopicKind::Block).hash();
        self.hub.book.mesh(self.hub.swarm.behaviour().gossip.mesh_peers(&blocks));
    }

    fn dial_missing(&mut self) {
        for peer in self.dialler.due(self.hub.now_ms()) {
            let Some(address) = self.dial.get(&peer) else { continue };
            let options = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![address.clone()])
                .build();
            match self.hub.swarm.dial(options) {
                Ok(()) => debug!(%peer, %address, "Dialling"),
                Err(DialError::DialPeerConditionFalse(_)) => {}
                Err(error) => debug!(%peer, %error, "Not dialling"),
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Publish(message) => self.publish(&message),
            Command::Verdict(id, verdict) => self.verdict(&id, verdict),
            Command::Request { request, peer, blocks } => {
                self.exchange.request(&mut self.hub, request, peer, blocks);
            }
            Command::AskStatus(peer) => self.exchange.ask_status(&mut self.hub, peer),
            Command::Penalise(peer, offence) => {
                self.hub.penalise(peer, offence, "as the node found")
            }
        }
    }

    fn publish(&mut self, message: &GossipMessage) {
        let topic = message.topic();
        let name = gossip::topic(topic.kind).hash();
        let content = content::of_ours(name.as_str(), &message.to_ssz());
        let published = self.hub.swarm.behaviour_mut().gossip.publish(name, content);
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
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                num_established,
                ..
            } => self.opened(peer_id, connection_id, &endpoint, num_established.get() == 1),
            SwarmEvent::ConnectionClosed {
                peer_id, connection_id, cause, num_established, ..
            } => self.closed(peer_id, &connection_id, cause.as_ref(), num_established == 0),
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                debug!(peer = ?peer_id, %error, "Dialling failed");
                self.connect_failed(Direction::Outbound, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                debug!(address = %send_back_addr, %error, "Incoming connection failed");
                self.connect_failed(Direction::Inbound, &error);
            }
            _ => {}
        }
    }

    /// libp2p keeps the transport's error as a text.
    fn connect_failed(&self, direction: Direction, error: &dyn std::error::Error) {
        let is_timeout = std::iter::successors(Some(error), |error| error.source())
            .any(|error| error.to_string().to_ascii_lowercase().contains("timed out"));
        self.hub.listener.observe(Observation::ConnectFailed { direction, is_timeout });
    }

    fn opened(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        is_first: bool,
    ) {
        let now_ms = self.hub.now_ms();
        let direction = if endpoint.is_dialer() { Direction::Outbound } else { Direction::Inbound };
        let address = endpoint.get_remote_address();
        let shows_dead = self.connections.opened(peer, connection, direction, now_ms);
        if is_first {
            info!(%peer, %address, direction = direction.name(), "Peer connected");
            self.hub.book.add(peer, address.clone(), direction);
            self.hub.listener.observe(Observation::Connected(direction));
            self.dialler.connected(&peer, now_ms);
            let ip = socket_address(address).map(|address| address.ip());
            if self.hub.peers.connected(peer, ip, now_ms) {
                return self.exchange.ask_status(&mut self.hub, peer);
            }
            debug!(%peer, %address, "Too many of this address");
        } else if shows_dead {
            info!(%peer, %address, "Peer dials again: its old connections are dead");
        } else {
            return;
        }
        self.end(peer);
    }

    /// Ends all connections of a peer. It is told to everybody when they are.
    fn end(&mut self, peer: PeerId) {
        // An error says that there is none.
        let _ = self.hub.swarm.disconnect_peer_id(peer);
    }

    fn closed(
        &mut self,
        peer: PeerId,
        connection: &ConnectionId,
        cause: Option<&ConnectionError>,
        is_last: bool,
    ) {
        let reason = reason(cause);
        let ends_rest = self.connections.closed(&peer, connection, reason == "timeout");
        if is_last {
            self.gone(peer, reason);
        } else if ends_rest {
            self.end(peer);
        }
    }

    fn gone(&mut self, peer: PeerId, reason: &'static str) {
        info!(%peer, reason, "Peer gone");
        let now_ms = self.hub.now_ms();
        self.hub.peers.gone(&peer, now_ms);
        self.dialler.gone(&peer, now_ms);
        if let Some(info) = self.hub.book.remove(&peer) {
            let direction = info.direction;
            self.hub.listener.observe(Observation::Disconnected { direction, reason });
        }
        self.hub.tell(NetworkEvent::Gone { peer });
    }

    fn behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => {
                let id = GossipId { message: message_id, peer: propagation_source, bytes: 0 };
                self.gossiped(id, &message);
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let agent = printable(&info.agent_version);
                self.hub.book.update(&peer_id, |entry| entry.agent = Some(agent));
            }
            BehaviourEvent::Status(event) => self.exchange.status_event(&mut self.hub, event),
            BehaviourEvent::Range(event) => self.exchange.blocks_event(&mut self.hub, true, event),
            BehaviourEvent::Roots(event) => self.exchange.blocks_event(&mut self.hub, false, event),
            BehaviourEvent::Gossip(_)
            | BehaviourEvent::Identify(_)
            | BehaviourEvent::Ping(_)
            | BehaviourEvent::Limits(_)
            | BehaviourEvent::Blocked(_) => {}
        }
    }

    fn gossiped(&mut self, id: GossipId, message: &gossipsub::Message) {
        let peer = id.peer;
        // Bytes are those unpacked: a bomb pays for what it costs.
        let (content, bytes) = Content::read(&message.data);
        let Some(kind) = self.topics.get(&message.topic).copied() else {
            return self.report(&id, Verdict::Ignore);
        };
        if !self.hub.allows(&peer, Demand::Gossip { bytes: bytes as u64 }) {
            self.report(&id, Verdict::Ignore);
            self.hub.listener.observe(Observation::GossipDropped(Offence::Flood));
            return self.hub.penalise(peer, Offence::Flood, "gossip");
        }
        let (ssz, refused) = match content {
            Content::Payload(ssz) => (ssz, None),
            Content::Nothing => {
                self.hub.listener.observe(Observation::NotWorthReading);
                return self.report(&id, Verdict::Ignore);
            }
            Content::Never(why) => (&[][..], Some(why.to_owned())),
        };
        let decoded = match refused {
            Some(why) => Err(why),
            None => gossip::decode(kind, ssz, self.signature_bytes),
        };
        match decoded {
            Ok(decoded) => {
                let ssz_bytes = ssz.len();
                self.hub.listener.observe(Observation::Gossip { kind, ssz_bytes });
                self.offer(id, decoded);
            }
            Err(reason) => {
                self.report(&id, Verdict::Reject);
                self.hub.listener.observe(Observation::GossipDropped(Offence::Garbage));
                self.hub.penalise(peer, Offence::Garbage, &reason);
            }
        }
    }

    /// Hands gossip to the node if it has room. That it is busy is nobody else's fault.
    fn offer(&mut self, mut id: GossipId, message: GossipMessage) {
        id.bytes = message.memory_bytes();
        let is_block = matches!(message, GossipMessage::Block(_));
        let has_room = self.pending.has_room(&id.peer, id.bytes, is_block);
        let event = NetworkEvent::Gossip { id: id.clone(), message };
        if !has_room || self.hub.listener.event(event).is_err() {
            self.hub.listener.observe(Observation::Busy);
            return self.report(&id, Verdict::Ignore);
        }
        self.pending.add(id.peer, id.bytes);
    }

    fn verdict(&mut self, id: &GossipId, verdict: Verdict) {
        self.pending.remove(&id.peer, id.bytes);
        self.report(id, verdict);
        if verdict == Verdict::Reject {
            self.hub.penalise(id.peer, Offence::Invalid, "gossip");
        }
    }

    fn report(&mut self, id: &GossipId, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => gossipsub::MessageAcceptance::Accept,
            Verdict::Reject => gossipsub::MessageAcceptance::Reject,
            Verdict::Ignore => gossipsub::MessageAcceptance::Ignore,
        };
        // Too late for a message that the cache has dropped: then nobody asks for it any more.
        let gossip = &mut self.hub.swarm.behaviour_mut().gossip;
        let _ = gossip.report_message_validation_result(&id.message, &id.peer, acceptance);
    }
}

/// Why a connection ended.
fn reason(cause: Option<&ConnectionError>) -> &'static str {
    match cause {
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
    }
}
