//! libp2p: a task of its own that gossips, asks, answers, and keeps the connections.
//!
//! The node hears of everything through a [`Listener`] that never blocks, and speaks through [`Network::send`]. The
//! network asks for what it serves through a [`BlockSource`]. Nothing here decides whether a block is good.
//!
//! | question | file |
//! |---|---|
//! | events, commands | `message` |
//! | the loop | `task`, `answers` |
//! | gossipsub's parameters, messages | `gossip` |
//! | requests and answers on a stream | `protocols`, `stream` |
//! | answers read block by block | `source` |
//! | who is connected | `book`; what they did wrong: [`crate::peers`] |
//!
//! ## Bounds
//!
//! Undecided gossip: [`GOSSIP_PENDING_MAX`] in all and [`GOSSIP_PENDING_PER_PEER`] of one peer. Requests of ours:
//! [`REQUESTS_MAX`], each of [`REQUEST_BLOCKS_MAX`] blocks. Streams that one peer may open at once:
//! [`STREAMS_PER_PEER`] for each protocol. Connections: [`PEERS_MAX`], of which [`INBOUND_MAX`] begun by others.

mod answers;
mod book;
mod gossip;
mod listener;
mod message;
mod protocols;
mod source;
mod stream;
mod task;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, allow_block_list, connection_limits, identify, identity,
    multiaddr::Protocol,
    ping, request_response,
    swarm::{NetworkBehaviour, Swarm},
};
use tokio::{runtime::Builder, sync::mpsc};

pub use book::{Direction, PeerBook, PeerInfo};
pub use listener::{Listener, Observation};
pub use message::{
    BlocksRequest, Command, GossipId, GossipMessage, NetworkEvent, RequestFailure, RequestId,
    Verdict,
};
pub use protocols::REQUEST_BLOCKS_MAX;
pub use source::{BlockSource, Serving, SourceBlock, SourceFailure, SourceRange};
/// For the fuzzer, which has no stream to a peer.
#[doc(hidden)]
pub use stream::{read_chunk, read_payload};

use gossip::Gossip;
use protocols::{BlocksCodec, StatusCodec};

/// Gossiped messages whose verdict is awaited. At most as many are in the node's queue.
pub const GOSSIP_PENDING_MAX: usize = 8_192;

/// Of these, messages that one peer forwarded: what all validators vote in one slot.
pub const GOSSIP_PENDING_PER_PEER: usize = 4_096;

/// Requests of ours under way.
pub const REQUESTS_MAX: usize = 16;

/// Streams of one protocol that one peer may have open: an honest node has one or two.
pub const STREAMS_PER_PEER: usize = 8;

/// Connected peers.
pub const PEERS_MAX: u32 = 128;

/// Connections begun by others. The rest is kept for nodes that we dial.
pub const INBOUND_MAX: u32 = 96;

/// Connections to one peer: both sides may dial at once.
const CONNECTIONS_PER_PEER: u32 = 2;

/// Connections being made, each way.
const CONNECTING_MAX: u32 = 32;

/// Time for a whole answer: leanSpec.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which a connection is dead. Pings and QUIC's keep-alive are twice as fast.
const SILENCE_MAX_MS: u32 = 10_000;

/// Streams that one connection may have open at once, of all protocols together.
const STREAMS_PER_CONNECTION: u32 = 64;

/// Commands waiting for the task: a verdict for each undecided message, and some.
const COMMANDS_MAX: usize = GOSSIP_PENDING_MAX + 1_024;

/// Threads that serve connections.
const WORKERS: usize = 2;

/// Threads that read what is served.
const READERS: usize = 4;

/// A node to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// Where.
    pub address: SocketAddr,
    /// Compressed secp256k1 public key, 33 bytes.
    pub public_key: [u8; 33],
}

/// How to take part in the network.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// UDP address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// secp256k1 private key: our identity.
    pub secret_key: [u8; 32],
    /// Whom to dial, again and again. Ourselves among them is ignored.
    pub dial: Vec<Dial>,
    /// Time between two attempts to dial whoever is not connected: 12 s on the lean network.
    pub redial: Duration,
    /// Attestation subnets that exist.
    pub committee_count: u64,
    /// Attestation subnets that we listen to.
    pub subnets: Vec<u64>,
    /// Bytes of a validator's signature.
    pub signature_bytes: usize,
    /// What we call ourselves, as `name/version`.
    pub agent: String,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The key is no secp256k1 key.
    #[error("the node key is no secp256k1 private key")]
    Key,
    /// A node to dial has an impossible identity.
    #[error("the public key of {0} is no secp256k1 key; check nodes.yaml")]
    DialKey(SocketAddr),
    /// Gossipsub does not take its parameters.
    #[error("gossip cannot be set up: {0}")]
    Gossip(String),
    /// The port cannot be had.
    #[error("cannot listen on UDP {address}: {reason}; choose another --gossipsub-port")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The transport's reason.
        reason: String,
    },
    /// The network's threads cannot be started.
    #[error("cannot start the network: {0}")]
    Start(#[from] io::Error),
}

/// Everything that a connection speaks.
#[derive(NetworkBehaviour)]
struct Behaviour {
    limits: connection_limits::Behaviour,
    blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    gossip: Gossip,
    // One behaviour each: one with three protocols would offer all of them for every request.
    status: request_response::Behaviour<StatusCodec>,
    range: request_response::Behaviour<BlocksCodec>,
    roots: request_response::Behaviour<BlocksCodec>,
}

/// A running network. Dropping it stops it.
#[derive(Debug)]
pub struct Network {
    commands: Option<mpsc::Sender<Command>>,
    peers: PeerBook,
    peer_id: PeerId,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    /// Listens, and begins to dial, on threads of its own.
    ///
    /// # Errors
    /// [`NetworkError`]: the port is bound before it returns.
    pub fn start(
        config: &NetworkConfig,
        source: Arc<dyn BlockSource>,
        listener: Arc<dyn Listener>,
    ) -> Result<Self, NetworkError> {
        let keypair = keypair(config.secret_key)?;
        let peer_id = keypair.public().to_peer_id();
        let dial = dial_list(&config.dial, peer_id)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(READERS)
            .thread_name("network")
            .enable_all()
            .build()?;
        let mut swarm = {
            let _entered = runtime.enter();
            swarm(config, keypair)?
        };
        let address = runtime.block_on(listen(&mut swarm, config.listen))?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let peers = PeerBook::default();
        let task = task::Task::new(swarm, config, dial, source, listener, peers.clone());
        let run = move || runtime.block_on(task.run(receiver));
        let thread = thread::Builder::new().name("network-main".to_owned()).spawn(run)?;
        Ok(Self { commands: Some(commands), peers, peer_id, address, thread: Some(thread) })
    }

    /// Who we are.
    #[must_use]
    pub const fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Where we listen.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who is connected.
    #[must_use]
    pub const fn peers(&self) -> &PeerBook {
        &self.peers
    }

    /// Tells the network something, without waiting. `false` if it cannot keep up: then nothing was told.
    pub fn send(&self, command: Command) -> bool {
        self.commands.as_ref().is_some_and(|commands| commands.try_send(command).is_ok())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The task ends with its last sender.
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// The peer id of a secp256k1 public key, compressed.
#[must_use]
pub fn peer_id(public_key: &[u8; 33]) -> Option<PeerId> {
    let key = identity::secp256k1::PublicKey::try_from_bytes(public_key).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

fn keypair(mut secret: [u8; 32]) -> Result<identity::Keypair, NetworkError> {
    let secret = identity::secp256k1::SecretKey::try_from_bytes(&mut secret);
    let secret = secret.map_err(|_| NetworkError::Key)?;
    Ok(identity::secp256k1::Keypair::from(secret).into())
}

fn dial_list(nodes: &[Dial], ourselves: PeerId) -> Result<Vec<(PeerId, Multiaddr)>, NetworkError> {
    let mut list = Vec::with_capacity(nodes.len());
    for node in nodes {
        let peer = peer_id(&node.public_key).ok_or(NetworkError::DialKey(node.address))?;
        if peer != ourselves {
            list.push((peer, multiaddr(node.address)));
        }
    }
    Ok(list)
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => Protocol::Ip4(ip),
        IpAddr::V6(ip) => Protocol::Ip6(ip),
    };
    Multiaddr::empty().with(ip).with(Protocol::Udp(address.port())).with(Protocol::QuicV1)
}

fn swarm(
    config: &NetworkConfig,
    keypair: identity::Keypair,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(
            connection_limits::ConnectionLimits::default()
                .with_max_pending_incoming(Some(CONNECTING_MAX))
                .with_max_pending_outgoing(Some(CONNECTING_MAX))
                .with_max_established_incoming(Some(INBOUND_MAX))
                .with_max_established(Some(PEERS_MAX))
                .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER)),
        ),
        blocked: allow_block_list::Behaviour::default(),
        identify: identify::Behaviour::new(
            identify::Config::new("/ipfs/0.1.0".to_owned(), keypair.public())
                .with_agent_version(config.agent.clone()),
        ),
        ping: ping::Behaviour::default(),
        gossip: gossip::gossip(config)?,
        status: request_response::Behaviour::with_codec(
            StatusCodec,
            [(StatusCodec::PROTOCOL, request_response::ProtocolSupport::Full)],
            answer_config(),
        ),
        range: blocks(BlocksCodec::Range),
        roots: blocks(BlocksCodec::Roots),
    };
    let Ok(built) = libp2p::SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_quic_config(|mut quic| {
            quic.max_idle_timeout = SILENCE_MAX_MS;
            quic.max_concurrent_stream_limit = STREAMS_PER_CONNECTION;
            quic
        })
        .with_behaviour(|_| behaviour);
    // Connections stay until somebody ends them.
    let forever = Duration::MAX;
    Ok(built.with_swarm_config(|swarm| swarm.with_idle_connection_timeout(forever)).build())
}

fn blocks(codec: BlocksCodec) -> request_response::Behaviour<BlocksCodec> {
    let protocol = (codec.protocol(), request_response::ProtocolSupport::Full);
    request_response::Behaviour::with_codec(codec, [protocol], answer_config())
}

fn answer_config() -> request_response::Config {
    request_response::Config::default()
        .with_request_timeout(ANSWER_TIMEOUT)
        .with_max_concurrent_streams(STREAMS_PER_PEER)
}

async fn listen(
    swarm: &mut Swarm<Behaviour>,
    address: SocketAddr,
) -> Result<SocketAddr, NetworkError> {
    use futures::StreamExt;
    use libp2p::swarm::SwarmEvent;

    let failed = |reason: String| NetworkError::Listen { address, reason };
    swarm.listen_on(multiaddr(address)).map_err(|error| failed(error.to_string()))?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                return socket_address(&address).ok_or_else(|| failed(address.to_string()));
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                return Err(failed(format!("{reason:?}")));
            }
            _ => {}
        }
    }
}

fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Udp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}
