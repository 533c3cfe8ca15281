//! A peer that says whatever a test wants: libp2p by hand, with none of our limits.

use std::{io, net::SocketAddr, thread::JoinHandle, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use lamella_network::wire::topic::{Topic, TopicKind};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, gossipsub, identity, request_response,
    request_response::{Message, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent},
};
use tokio::sync::mpsc;

/// What a rogue does.
pub enum Act {
    /// Gossips these bytes on a topic.
    Gossip(String, Vec<u8>),
    /// Writes these bytes as a request of a protocol.
    Ask(&'static str, Vec<u8>),
}

/// How long the rogue keeps an exchange open: far longer than any node waits, so that it is never the rogue who gives up
/// (libp2p's default is a node's own 10 s) and its end of the stream is not taken for an answer.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// How it answers who asks: these bytes, or nothing, ever.
#[derive(Clone)]
pub enum Answer {
    Bytes(Vec<u8>),
    Silence,
}

#[derive(Clone)]
struct RawCodec(Answer);

impl request_response::Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut byte = [0];
        io.read_exact(&mut byte).await?;
        Ok(byte.to_vec())
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await?;
        match self.0 {
            Answer::Bytes(_) => Ok(()),
            Answer::Silence => futures::future::pending().await,
        }
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    gossip: gossipsub::Behaviour,
    status: request_response::Behaviour<RawCodec>,
    range: request_response::Behaviour<RawCodec>,
}

pub struct Rogue {
    pub peer: PeerId,
    acts: Option<mpsc::UnboundedSender<Act>>,
    pub answers: std::sync::mpsc::Receiver<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

pub const STATUS: &str = "/leanconsensus/req/status/1/ssz_snappy";
pub const RANGE: &str = "/leanconsensus/req/blocks_by_range/1/ssz_snappy";

impl Rogue {
    /// Dials a node and stays, as long as it may.
    pub fn dial(address: SocketAddr, answer: &Answer) -> Self {
        Self::dial_as(identity::Keypair::generate_secp256k1(), address, answer)
    }

    /// The same under a name of its choice.
    pub fn dial_as(keypair: identity::Keypair, address: SocketAddr, answer: &Answer) -> Self {
        let peer = keypair.public().to_peer_id();
        let (acts, mut receiver) = mpsc::unbounded_channel();
        let (answered, answers) = std::sync::mpsc::channel();
        let answer = answer.clone();
        let run = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut swarm = swarm(keypair, &answer);
                let ip = address.ip();
                let address: Multiaddr =
                    format!("/ip4/{ip}/udp/{}/quic-v1", address.port()).parse().unwrap();
                swarm.dial(address).unwrap();
                let mut remote = None;
                loop {
                    tokio::select! {
                        act = receiver.recv() => match (act, remote) {
                            (None, _) => return,
                            (Some(Act::Gossip(topic, bytes)), _) => {
                                let topic = gossipsub::IdentTopic::new(topic);
                                let _ = swarm.behaviour_mut().gossip.publish(topic, bytes);
                            }
                            (Some(Act::Ask(protocol, bytes)), Some(remote)) => {
                                let behaviour = swarm.behaviour_mut();
                                let to = if protocol == RANGE { &mut behaviour.range } else { &mut behaviour.status };
                                to.send_request(&remote, bytes);
                            }
                            (Some(Act::Ask(..)), None) => panic!("not connected"),
                        },
                        event = swarm.select_next_some() => {
                            handle(&mut swarm, event, &answer, &answered, &mut remote);
                        }
                    }
                }
            });
        };
        let thread = Some(std::thread::spawn(run));
        Self { peer, acts: Some(acts), answers, thread }
    }

    pub fn act(&self, act: Act) {
        self.acts.as_ref().unwrap().send(act).unwrap();
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.acts = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

fn swarm(keypair: identity::Keypair, answer: &Answer) -> libp2p::Swarm<Behaviour> {
    let raw = |protocol: &'static str| {
        let protocol = [(StreamProtocol::new(protocol), ProtocolSupport::Full)];
        let config = request_response::Config::default().with_request_timeout(PATIENCE);
        request_response::Behaviour::with_codec(RawCodec(answer.clone()), protocol, config)
    };
    let parameters = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .max_transmit_size(16 << 20)
        // Anonymous messages have no id of their own.
        .message_id_fn(|message| gossipsub::MessageId::new(&message.data))
        .heartbeat_initial_delay(Duration::from_millis(100))
        .build()
        .unwrap();
    let anonymous = gossipsub::MessageAuthenticity::Anonymous;
    let mut gossip: gossipsub::Behaviour =
        gossipsub::Behaviour::new(anonymous, parameters).unwrap();
    for kind in [TopicKind::Block, TopicKind::Aggregation] {
        gossip.subscribe(&gossipsub::IdentTopic::new(Topic::new(kind).to_string())).unwrap();
    }
    let behaviour = Behaviour { gossip, status: raw(STATUS), range: raw(RANGE) };
    libp2p::SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_quic()
        .with_behaviour(|_| behaviour)
        .unwrap()
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(Duration::MAX))
        .build()
}

fn handle(
    swarm: &mut libp2p::Swarm<Behaviour>,
    event: SwarmEvent<BehaviourEvent>,
    answer: &Answer,
    answered: &std::sync::mpsc::Sender<Vec<u8>>,
    remote: &mut Option<PeerId>,
) {
    let bytes = match answer {
        Answer::Bytes(bytes) => bytes.clone(),
        Answer::Silence => Vec::new(),
    };
    let (is_range, event) = match event {
        SwarmEvent::ConnectionEstablished { peer_id, .. } => {
            *remote = Some(peer_id);
            return;
        }
        SwarmEvent::Behaviour(BehaviourEvent::Range(event)) => (true, event),
        SwarmEvent::Behaviour(BehaviourEvent::Status(event)) => (false, event),
        _ => return,
    };
    let request_response::Event::Message { message, .. } = event else { return };
    match message {
        Message::Request { channel, .. } => {
            let behaviour = swarm.behaviour_mut();
            let to = if is_range { &mut behaviour.range } else { &mut behaviour.status };
            // The node may have had enough.
            let _ = to.send_response(channel, bytes);
        }
        Message::Response { response, .. } => {
            // The test may be over.
            let _ = answered.send(response);
        }
    }
}
