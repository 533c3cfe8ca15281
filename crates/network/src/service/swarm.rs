//! The protocols that a connection speaks, and the swarm of connections.

use std::{
    error::Error,
    iter,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, allow_block_list, connection_limits, identify, identity,
    multiaddr::Protocol,
    ping, request_response,
    swarm::{NetworkBehaviour, Swarm, SwarmEvent},
};

use super::{
    config::{Dial, NetworkConfig, NetworkError},
    gossip::{self, Gossip},
    limits::{CONNECTIONS_PER_PEER, INBOUND_MAX, PEERS_MAX, STREAMS_PER_PEER},
    listener::Listener,
    protocols::{BlocksCodec, By, StatusCodec},
};

/// Connections being made, each way.
const CONNECTING_MAX: u32 = 32;

/// Time for a whole answer: leanSpec.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which a connection is dead. Pings and QUIC's keep-alive are twice as fast.
const SILENCE_MAX_MS: u32 = 10_000;

/// Streams that one connection may have open at once, of all protocols together.
const STREAMS_PER_CONNECTION: u32 = 64;

/// Bytes that a peer may send ahead of our reading, on a stream and on a connection: 2 MiB bring 20 MB/s across
/// 100 ms. libp2p's 10 and 15 MB would let 96 strangers fill 1.4 GB.
const UNREAD_STREAM_BYTES_MAX: u32 = 2 << 20;
const UNREAD_CONNECTION_BYTES_MAX: u32 = 2 * UNREAD_STREAM_BYTES_MAX;

/// Everything that a connection speaks.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) gossip: Gossip,
    // One behaviour each: one with three protocols would offer all of them for every request.
    pub(super) status: request_response::Behaviour<StatusCodec>,
    pub(super) range: request_response::Behaviour<BlocksCodec>,
    pub(super) roots: request_response::Behaviour<BlocksCodec>,
}

/// The peer id of a secp256k1 public key, compressed.
#[must_use]
pub fn peer_id(public_key: &[u8; 33]) -> Option<PeerId> {
    let key = identity::secp256k1::PublicKey::try_from_bytes(public_key).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

pub(super) fn keypair(mut secret: [u8; 32]) -> Result<identity::Keypair, NetworkError> {
    let secret = identity::secp256k1::SecretKey::try_from_bytes(&mut secret);
    let secret = secret.map_err(|_| NetworkError::Key)?;
    Ok(identity::secp256k1::Keypair::from(secret).into())
}

pub(super) fn dial_list(
    nodes: &[Dial],
    ourselves: PeerId,
) -> Result<Vec<(PeerId, Multiaddr)>, NetworkError> {
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

pub(super) fn swarm(
    config: &NetworkConfig,
    keypair: identity::Keypair,
    dial: &[(PeerId, Multiaddr)],
    listener: Arc<dyn Listener>,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let mut behaviour = Behaviour {
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
        gossip: gossip::gossip(config, listener)?,
        status: request_response::Behaviour::with_codec(
            StatusCodec,
            [(StatusCodec::PROTOCOL, request_response::ProtocolSupport::Full)],
            answer_config(),
        ),
        range: blocks(BlocksCodec::new(By::Range)),
        roots: blocks(BlocksCodec::new(By::Roots)),
    };
    // However many strangers are here, there is room for them.
    dial.iter().for_each(|(peer, _)| behaviour.limits.bypass_peer_id(peer));
    let Ok(built) = libp2p::SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_quic_config(|mut quic| {
            quic.max_idle_timeout = SILENCE_MAX_MS;
            quic.max_concurrent_stream_limit = STREAMS_PER_CONNECTION;
            quic.max_stream_data = UNREAD_STREAM_BYTES_MAX;
            quic.max_connection_data = UNREAD_CONNECTION_BYTES_MAX;
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

pub(super) async fn listen(
    swarm: &mut Swarm<Behaviour>,
    address: SocketAddr,
) -> Result<SocketAddr, NetworkError> {
    let failed = |reason: String| NetworkError::Listen { address, reason };
    swarm.listen_on(multiaddr(address)).map_err(|error| failed(causes(&error)))?;
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

/// What an error says, and what it says was the cause: libp2p's own says nothing where a transport failed.
fn causes(error: &dyn Error) -> String {
    let all = iter::successors(Some(error), |&error| error.source());
    let mut said: Vec<String> = all.map(ToString::to_string).collect();
    said.retain(|text| !text.is_empty());
    said.dedup();
    said.join(": ")
}

pub(super) fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
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
