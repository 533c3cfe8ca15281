//! The loop: one event of the swarm, one command of the node, or one tick at a time.

use std::{collections::HashMap, sync::Arc, time::Duration};

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
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, info, warn};

use super::{
    book::{Direction, PeerBook, printable},
    config::NetworkConfig,
    content::{self, Content},
    exchange::Exchange,
    gossip,
    hub::Hub,
    listener::{Listener, Observation},
    message::{Command, GossipId, GossipMessage, NetworkEvent, Verdict},
    pending::Pending,
    source::BlockSource,
    swarm::{Behaviour, BehaviourEvent},
};
use crate::{
    peers::{Demand, Offence},
    wire::topic::{Topic, TopicKind},
};

/// Time between two looks at what can wait: events that the node had no room for, bans that end, the mesh.
const HOUSEKEEPING: Duration = Duration::from_millis(200);

/// The network's own thread of control.
pub(super) struct Task {
    hub: Hub,
    exchange: Exchange,
    dial: Vec<(PeerId, Multiaddr)>,
    redial: Duration,
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
        Self {
            hub: Hub::new(swarm, listener, book),
            exchange: Exchange::new(source),
            dial,
            redial: config.redial,
            signature_bytes: config.signature_bytes,
            pending: Pending::default(),
            topics,
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
                event = self.hub.swarm.select_next_some() => self.swarm_event(event),
                _ = redial.tick() => self.dial_missing(),
                _ = housekeeping.tick() => self.keep_house(),
            }
        }
    }

    fn keep_house(&mut self) {
        self.hub.flush();
        for peer in self.hub.peers.forget(self.hub.now_ms()) {
            self.hub.swarm.behaviour_mut().blocked.unblock_peer(peer);
        }
        let blocks = gossip::topic(TopicKind::Block).hash();
        self.hub.book.mesh(self.hub.swarm.behaviour().gossip.mesh_peers(&blocks));
    }

    fn dial_missing(&mut self) {
        for (peer, address) in &self.dial {
            let options = DialOpts::peer_id(*peer)
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
                self.hub.listener.observe(Observation::ConnectFailed { direction, is_timeout });
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                debug!(address = %send_back_addr, %error, "Incoming connection failed");
                let direction = Direction::Inbound;
                self.hub
                    .listener
                    .observe(Observation::ConnectFailed { direction, is_timeout: false });
            }
            _ => {}
        }
    }

    fn connected(&mut self, peer: PeerId, endpoint: &ConnectedPoint) {
        let direction = if endpoint.is_dialer() { Direction::Outbound } else { Direction::Inbound };
        let address = endpoint.get_remote_address();
        info!(%peer, %address, direction = direction.name(), "Peer connected");
        self.hub.book.add(peer, address.clone(), direction);
        self.hub.peers.connected(peer, self.hub.now_ms());
        self.hub.listener.observe(Observation::Connected(direction));
        self.exchange.ask_status(&mut self.hub, peer);
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
        self.hub.peers.gone(&peer);
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
        let (content, _) = Content::read(&message.data);
        let Some(kind) = self.topics.get(&message.topic).copied() else {
            return self.report(&id, Verdict::Ignore);
        };
        if !self.hub.allows(&peer, Demand::Gossip) {
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
