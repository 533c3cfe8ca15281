//! An anonymous peer: it says whatever bytes it is given, keeps what it hears, and answers as it was told to.
//!
//! libp2p by hand, with none of a node's limits. Everything is bytes: nothing is decoded on its way in or out.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use lamella_network::wire::{
    snappy::{compress_block, decompress_block},
    topic::{Topic, TopicKind},
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    gossipsub::{self, ConfigBuilder, IdentTopic, MessageAuthenticity, MessageId, ValidationMode},
    identity::Keypair,
    request_response::{self, Message, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent},
};
use tokio::sync::mpsc;

/// Bytes of the largest frame that it sends or hears.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// Bytes of an answer that it reads.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Acts that wait for their turn: who is faster waits.
const ACTS_MAX: usize = 256;

/// Messages heard that nobody has taken: what comes then is lost.
const HEARD_MAX: usize = 4_096;

/// How long it keeps an exchange open: far longer than any node waits.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// The protocol that asks where a chain is.
pub const STATUS: &str = "/leanconsensus/req/status/1/ssz_snappy";
/// The protocol that asks for slots.
pub const RANGE: &str = "/leanconsensus/req/blocks_by_range/1/ssz_snappy";
/// The protocol that asks for roots.
pub const ROOTS: &str = "/leanconsensus/req/blocks_by_root/1/ssz_snappy";

/// What it does.
enum Act {
    Gossip(TopicKind, Vec<u8>),
    Ask(&'static str, Vec<u8>),
}

/// How it answers who asks for blocks. Who asks for its status never hears anything.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Nothing, ever.
    Silence,
    /// These bytes, then the end of the stream.
    Bytes(Vec<u8>),
}

/// A peer of one node. Dropping it ends its connection.
#[derive(Debug)]
pub struct Stranger {
    acts: Option<mpsc::Sender<Act>>,
    heard: Receiver<(TopicKind, Vec<u8>)>,
    standing: Arc<Standing>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Standing {
    is_heard: AtomicBool,
    is_over: AtomicBool,
}

impl Stranger {
    /// Dials a node under a name that nobody knows.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn dial(address: SocketAddr, answer: &Answer) -> io::Result<Self> {
        let (acts, to_do) = mpsc::channel(ACTS_MAX);
        let (hears, heard) = sync_channel(HEARD_MAX);
        let standing = Arc::<Standing>::default();
        let (shared, answer) = (Arc::clone(&standing), answer.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            runtime.block_on(live(address, &answer, to_do, &hears, &shared));
            shared.is_over.store(true, Ordering::SeqCst);
        };
        let thread = thread::Builder::new().name("stranger".into()).spawn(run)?;
        Ok(Self { acts: Some(acts), heard, standing, thread: Some(thread) })
    }

    /// Whether the node would hear what it gossips.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.standing.is_heard.load(Ordering::SeqCst)
    }

    /// Whether its connection is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.standing.is_over.load(Ordering::SeqCst)
    }

    /// Gossips these bytes as they are.
    pub fn say_raw(&self, kind: TopicKind, bytes: Vec<u8>) {
        self.act(Act::Gossip(kind, bytes));
    }

    /// Gossips this SSZ, packed. What snappy cannot pack is not said.
    pub fn say(&self, kind: TopicKind, ssz: &[u8]) {
        if let Ok(bytes) = compress_block(ssz) {
            self.say_raw(kind, bytes);
        }
    }

    /// Writes these bytes as a request of a protocol.
    pub fn ask(&self, protocol: &'static str, bytes: Vec<u8>) {
        self.act(Act::Ask(protocol, bytes));
    }

    fn act(&self, act: Act) {
        // A node that has had enough of it does not hear it.
        if let Some(acts) = &self.acts {
            let _ = acts.blocking_send(act);
        }
    }

    /// The SSZ of all that it heard since the last time, and on which topic.
    #[must_use]
    pub fn heard(&self) -> Vec<(TopicKind, Vec<u8>)> {
        let unpack = |(kind, bytes): (TopicKind, Vec<u8>)| {
            Some((kind, decompress_block(&bytes, FRAME_BYTES_MAX).ok()?))
        };
        self.heard.try_iter().filter_map(unpack).collect()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.acts = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Lives until it is dropped or its connection ends.
async fn live(
    address: SocketAddr,
    answer: &Answer,
    mut to_do: mpsc::Receiver<Act>,
    hears: &SyncSender<(TopicKind, Vec<u8>)>,
    standing: &Standing,
) {
    let Some(mut swarm) = swarm(answer) else { return };
    let address = format!("/ip4/{}/udp/{}/quic-v1", address.ip(), address.port());
    let Ok(address) = address.parse::<Multiaddr>() else { return };
    if swarm.dial(address).is_err() {
        return;
    }
    let mut node = None;
    loop {
        tokio::select! {
            act = to_do.recv() => match act {
                None => return,
                Some(act) => perform(&mut swarm, node, act),
            },
            event = swarm.select_next_some() => match event {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => node = Some(peer_id),
                SwarmEvent::ConnectionClosed { num_established: 0, .. }
                | SwarmEvent::OutgoingConnectionError { .. } => return,
                SwarmEvent::Behaviour(event) => happened(&mut swarm, event, answer, hears, standing),
                _ => {}
            },
        }
    }
}

fn perform(swarm: &mut Swarm<Behaviour>, node: Option<PeerId>, act: Act) {
    let behaviour = swarm.behaviour_mut();
    match (act, node) {
        // Nobody may be there to hear it.
        (Act::Gossip(kind, bytes), _) => drop(behaviour.gossip.publish(topic(kind), bytes)),
        (Act::Ask(protocol, bytes), Some(node)) => {
            let to = match protocol {
                STATUS => &mut behaviour.status,
                RANGE => &mut behaviour.range,
                _ => &mut behaviour.roots,
            };
            to.send_request(&node, bytes);
        }
        (Act::Ask(..), None) => {}
    }
}

fn happened(
    swarm: &mut Swarm<Behaviour>,
    event: BehaviourEvent,
    answer: &Answer,
    hears: &SyncSender<(TopicKind, Vec<u8>)>,
    standing: &Standing,
) {
    let (is_range, event) = match event {
        BehaviourEvent::Gossip(gossipsub::Event::Subscribed { topic: subscribed, .. }) => {
            if subscribed == topic(TopicKind::Block).hash() {
                standing.is_heard.store(true, Ordering::SeqCst);
            }
            return;
        }
        BehaviourEvent::Gossip(gossipsub::Event::Message { message, .. }) => {
            if let Ok(topic) = message.topic.as_str().parse::<Topic>() {
                // Nobody may be listening.
                let _ = hears.try_send((topic.kind, message.data));
            }
            return;
        }
        BehaviourEvent::Range(event) => (true, event),
        BehaviourEvent::Roots(event) => (false, event),
        BehaviourEvent::Gossip(_) | BehaviourEvent::Status(_) => return,
    };
    let (Answer::Bytes(bytes), request_response::Event::Message { message, .. }) = (answer, event)
    else {
        return;
    };
    if let Message::Request { channel, .. } = message {
        let behaviour = swarm.behaviour_mut();
        let to = if is_range { &mut behaviour.range } else { &mut behaviour.roots };
        // The node may have had enough.
        let _ = to.send_response(channel, bytes.clone());
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    gossip: gossipsub::Behaviour,
    status: request_response::Behaviour<RawCodec>,
    range: request_response::Behaviour<RawCodec>,
    roots: request_response::Behaviour<RawCodec>,
}

fn swarm(answer: &Answer) -> Option<Swarm<Behaviour>> {
    let parameters = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .max_transmit_size(FRAME_BYTES_MAX)
        // Anonymous messages have no id of their own.
        .message_id_fn(|message| {
            let mut hasher = DefaultHasher::new();
            message.data.hash(&mut hasher);
            MessageId::new(&hasher.finish().to_le_bytes())
        })
        // What it said once it says again when it likes.
        .duplicate_cache_time(Duration::from_secs(1))
        .heartbeat_initial_delay(Duration::from_millis(100))
        .build()
        .ok()?;
    let mut gossip: gossipsub::Behaviour =
        gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, parameters).ok()?;
    for kind in [TopicKind::Block, TopicKind::Aggregation, TopicKind::Attestation { subnet: 0 }] {
        gossip.subscribe(&topic(kind)).ok()?;
    }
    let raw = |protocol, is_silent| {
        let protocol = [(StreamProtocol::new(protocol), ProtocolSupport::Full)];
        let config = request_response::Config::default().with_request_timeout(PATIENCE);
        request_response::Behaviour::with_codec(RawCodec { is_silent }, protocol, config)
    };
    let is_silent = matches!(answer, Answer::Silence);
    let behaviour = Behaviour {
        gossip,
        status: raw(STATUS, true),
        range: raw(RANGE, is_silent),
        roots: raw(ROOTS, is_silent),
    };
    let built = libp2p::SwarmBuilder::with_existing_identity(Keypair::generate_secp256k1())
        .with_tokio()
        .with_quic()
        .with_behaviour(|_| behaviour);
    let Ok(built) = built;
    Some(built.with_swarm_config(|s| s.with_idle_connection_timeout(Duration::MAX)).build())
}

fn topic(kind: TopicKind) -> IdentTopic {
    IdentTopic::new(Topic::new(kind).to_string())
}

/// Bytes in, bytes out. A silent one reads no request, and leaves the stream open.
#[derive(Clone)]
struct RawCodec {
    is_silent: bool,
}

impl request_response::Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        if self.is_silent {
            return futures::future::pending().await;
        }
        let mut byte = [0];
        io.read_exact(&mut byte).await?;
        Ok(byte.to_vec())
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await?;
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
        io.write_all(&bytes).await
    }
}
