//! libp2p: a task of its own that gossips, asks, answers, and keeps the connections.
//!
//! The node hears of everything through a [`Listener`] that never blocks, and speaks through [`Network::send`]. The
//! network asks for what it serves through a [`BlockSource`]. Nothing here decides whether a block is good.
//!
//! | question | file |
//! |---|---|
//! | how to take part | `config`, `limits` |
//! | events, commands | `message` |
//! | the loop | `task` |
//! | questions to peers and from peers | `exchange` |
//! | what both work on | `hub` |
//! | connections and their protocols | `swarm` |
//! | gossipsub's parameters, messages | `gossip` |
//! | what is unpacked, and what is worth decoding | `content`, `glance` |
//! | what waits for the node's verdict | `pending` |
//! | requests and answers on a stream | `protocols`, `stream` |
//! | answers read block by block, and what they may weigh | `source`, `meter` |
//! | which connections of a peer are alive | `connections` |
//! | who is connected | `book`; what they did wrong: [`crate::peers`] |
//!
//! ## Bounds
//!
//! Undecided gossip: [`GOSSIP_PENDING_MAX`] messages and [`GOSSIP_PENDING_BYTES_MAX`] bytes in all,
//! [`GOSSIP_PENDING_PER_PEER`] and [`GOSSIP_PENDING_BYTES_PER_PEER`] of one peer. Requests of ours:
//! [`REQUESTS_MAX`](crate::requests::REQUESTS_MAX), each of
//! [`REQUEST_BLOCKS_MAX`](crate::requests::REQUEST_BLOCKS_MAX) blocks. Streams that one peer may open at once:
//! [`STREAMS_PER_PEER`] for each protocol. Connections: [`PEERS_MAX`], of which [`INBOUND_MAX`] begun by others, beside
//! those of nodes that we dial. Bytes and requests of an address: [`crate::peers::limits`].

mod book;
#[cfg(feature = "simulation")]
mod by_hand;
mod config;
mod connections;
mod content;
mod exchange;
mod glance;
mod gossip;
mod hub;
mod limits;
mod listener;
mod message;
mod meter;
mod pending;
mod protocols;
mod source;
mod stream;
mod swarm;
mod task;

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
};

use libp2p::PeerId;
use tokio::{runtime::Builder, sync::mpsc};

pub use book::{Direction, PeerBook, PeerInfo};
#[cfg(feature = "simulation")]
pub use by_hand::Hand;
pub use config::{Dial, NetworkConfig, NetworkError, SUBNETS_MAX};
pub use glance::{Glance, Worth};
pub use limits::{
    GOSSIP_PENDING_BYTES_MAX, GOSSIP_PENDING_BYTES_PER_PEER, GOSSIP_PENDING_MAX,
    GOSSIP_PENDING_PER_PEER, INBOUND_MAX, PEERS_MAX, STREAMS_PER_PEER,
};
pub use listener::{Listener, Observation};
pub use message::{Command, GossipId, GossipMessage, NetworkEvent, Verdict};
pub use source::{BlockSource, Serving, SourceBlock, SourceFailure, SourceRange};
/// For the fuzzer, which has no stream to a peer.
#[doc(hidden)]
pub use stream::{read_chunk, read_payload};
pub use swarm::peer_id;

use task::Task;

/// Commands waiting for the task: a verdict for each undecided message, and some.
const COMMANDS_MAX: usize = GOSSIP_PENDING_MAX + 1_024;

/// Threads that serve connections.
const WORKERS: usize = 2;

/// Threads that read what is served.
const READERS: usize = 4;

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
        let keypair = swarm::keypair(config.secret_key)?;
        let peer_id = keypair.public().to_peer_id();
        let dial = swarm::dial_list(&config.dial, peer_id)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(READERS)
            .thread_name("network")
            .enable_all()
            .build()?;
        let mut swarm = {
            let _entered = runtime.enter();
            swarm::swarm(config, keypair, &dial, Arc::clone(&listener))?
        };
        let address = runtime.block_on(swarm::listen(&mut swarm, config.listen))?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let peers = PeerBook::default();
        let ends = Ends(Arc::clone(&listener));
        let task = Task::new(swarm, config, dial, source, listener, peers.clone());
        let run = move || {
            let _ends = ends;
            runtime.block_on(task.run(receiver));
        };
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

/// Tells the node when the network's thread is over, by a panic, too.
struct Ends(Arc<dyn Listener>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ended();
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct Heard(AtomicBool);

    impl Listener for Heard {
        fn event(&self, event: NetworkEvent) -> Result<(), Box<NetworkEvent>> {
            Err(event.into())
        }

        fn observe(&self, _: Observation) {}

        fn ended(&self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Symptom: a panic on the network's thread left a node that signed and imported nothing any more, and said only that
    /// the network could not keep up. Mechanism: nobody asked whether the thread was still there.
    /// Fix: its end, whatever ends it, tells the node, which ends with it.
    #[test]
    fn a_thread_that_panics_tells_the_node() {
        let heard = Arc::new(Heard::default());
        let ends = Ends(Arc::clone(&heard) as Arc<dyn Listener>);
        let thread = thread::spawn(move || {
            let _ends = ends;
            assert_eq!(1, 2, "a bug");
        });
        assert!(thread.join().is_err());
        assert!(heard.0.load(Ordering::Relaxed));
    }
}
