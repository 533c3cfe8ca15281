//! An anonymous peer: it gossips whatever bytes a drill gives it, and keeps what it hears on the topic of blocks.
//!
//! libp2p by hand, with none of a node's limits. It answers no request and has no chain.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
    net::SocketAddr,
    sync::mpsc::{Receiver, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use futures::StreamExt;
use lamella_network::wire::{
    snappy::{compress_block, decompress_block},
    topic::{Topic, TopicKind},
};
use libp2p::{
    Multiaddr, Swarm,
    gossipsub::{
        Behaviour, ConfigBuilder, Event, IdentTopic, MessageAuthenticity, MessageId, ValidationMode,
    },
    identity::Keypair,
    swarm::SwarmEvent,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::wait::until;

/// Bytes of the largest frame that it sends or hears.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// A connected stranger. Dropping it ends its connection.
pub struct Stranger {
    says: Option<UnboundedSender<(TopicKind, Vec<u8>)>>,
    heard: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

impl Stranger {
    /// Dials a node, and waits until it would hear what is said.
    #[must_use]
    pub fn dial(address: SocketAddr) -> Self {
        let (says, to_say) = unbounded_channel();
        let (hears, heard) = channel();
        let (is_ready, ready) = channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(live(address, to_say, &hears, &is_ready));
        });
        until("the stranger is heard", || ready.try_recv().ok());
        Self { says: Some(says), heard, thread: Some(thread) }
    }

    /// Gossips this as it is.
    pub fn say_raw(&self, kind: TopicKind, bytes: Vec<u8>) {
        self.says.as_ref().unwrap().send((kind, bytes)).unwrap();
    }

    /// Gossips this SSZ, packed.
    pub fn say(&self, kind: TopicKind, ssz: &[u8]) {
        self.say_raw(kind, compress_block(ssz).unwrap());
    }

    /// The SSZ of all blocks heard since the last time.
    #[must_use]
    pub fn heard(&self) -> Vec<Vec<u8>> {
        let blocks = self.heard.try_iter();
        blocks.map(|bytes| decompress_block(&bytes, FRAME_BYTES_MAX).unwrap()).collect()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.says = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn live(
    address: SocketAddr,
    mut to_say: UnboundedReceiver<(TopicKind, Vec<u8>)>,
    hears: &Sender<Vec<u8>>,
    is_ready: &Sender<()>,
) {
    let mut swarm = swarm();
    let (ip, port) = (address.ip(), address.port());
    let address: Multiaddr = format!("/ip4/{ip}/udp/{port}/quic-v1").parse().unwrap();
    swarm.dial(address).unwrap();
    loop {
        tokio::select! {
            said = to_say.recv() => match said {
                None => return,
                // A node that has had enough does not hear it.
                Some((kind, bytes)) => drop(swarm.behaviour_mut().publish(topic(kind), bytes)),
            },
            event = swarm.select_next_some() => match event {
                SwarmEvent::Behaviour(Event::Subscribed { topic: subscribed, .. })
                    if subscribed == topic(TopicKind::Block).hash() =>
                {
                    let _ = is_ready.send(());
                }
                SwarmEvent::Behaviour(Event::Message { message, .. }) => {
                    let _ = hears.send(message.data);
                }
                _ => {}
            },
        }
    }
}

fn swarm() -> Swarm<Behaviour> {
    let parameters = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .max_transmit_size(FRAME_BYTES_MAX)
        // Anonymous messages have no id of their own.
        .message_id_fn(|message| {
            let mut hasher = DefaultHasher::new();
            message.data.hash(&mut hasher);
            MessageId::new(&hasher.finish().to_le_bytes())
        })
        .heartbeat_initial_delay(Duration::from_millis(100))
        .build()
        .unwrap();
    let mut gossip: Behaviour = Behaviour::new(MessageAuthenticity::Anonymous, parameters).unwrap();
    gossip.subscribe(&topic(TopicKind::Block)).unwrap();
    libp2p::SwarmBuilder::with_existing_identity(Keypair::generate_secp256k1())
        .with_tokio()
        .with_quic()
        .with_behaviour(|_| gossip)
        .unwrap()
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(Duration::MAX))
        .build()
}

fn topic(kind: TopicKind) -> IdentTopic {
    IdentTopic::new(Topic::new(kind).to_string())
}
