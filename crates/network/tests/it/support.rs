//! A network with a block source in memory, whose events wait in a queue.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use lamella_network::{
    PeerId,
    requests::{BlocksRequest, RequestFailure},
    service::{
        BlockSource, Command, Dial, Listener, Network, NetworkConfig, NetworkEvent, Observation,
        SourceBlock, SourceFailure, SourceRange, peer_id,
    },
};
use lamella_types::{Block, Checkpoint, Root, SignedBlock, Slot, Status, hash_tree_root, to_ssz};

/// No event takes longer, on the busiest machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Bytes of the signatures of these tests.
pub const SIGNATURE_BYTES: usize = 424;

/// A chain in memory: what a node would read from its store.
#[derive(Default)]
pub struct Chain {
    pub status: Status,
    pub blocks: HashMap<Root, SourceBlock>,
    pub canonical: Vec<(Slot, Root)>,
    pub is_broken: bool,
    /// First slot that it can serve by range.
    pub first_slot: Slot,
}

pub struct Source(pub Mutex<Chain>);

impl BlockSource for Source {
    fn status(&self) -> Status {
        self.0.lock().unwrap().status
    }

    fn block(&self, root: &Root) -> Result<SourceBlock, SourceFailure> {
        let chain = self.0.lock().unwrap();
        if chain.is_broken {
            return Err(SourceFailure);
        }
        Ok(chain.blocks.get(root).cloned().unwrap_or(SourceBlock::Unknown))
    }

    fn canonical_roots(&self, start_slot: Slot, count: u64) -> Result<SourceRange, SourceFailure> {
        let chain = self.0.lock().unwrap();
        if start_slot < chain.first_slot {
            return Ok(SourceRange::Unavailable(format!("begins at {}", chain.first_slot)));
        }
        let is_asked = |slot: Slot| (start_slot..start_slot + count).contains(&slot);
        let asked = chain.canonical.iter().filter(|(slot, _)| is_asked(*slot));
        Ok(SourceRange::Roots(asked.map(|(_, root)| *root).collect()))
    }
}

pub struct Queue {
    sender: SyncSender<NetworkEvent>,
    pub is_full: AtomicBool,
    pub observed: Mutex<Vec<Observation>>,
}

impl Listener for Queue {
    fn event(&self, event: NetworkEvent) -> Result<(), Box<NetworkEvent>> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(Box::new(event));
        }
        self.sender.send(event).unwrap();
        Ok(())
    }

    fn observe(&self, observation: Observation) {
        self.observed.lock().unwrap().push(observation);
    }
}

pub struct Node {
    pub network: Network,
    pub source: Arc<Source>,
    pub queue: Arc<Queue>,
    pub public_key: [u8; 33],
    events: Receiver<NetworkEvent>,
    requests: u64,
}

pub fn config(key: u8, port: u16, dial: Vec<Dial>) -> NetworkConfig {
    NetworkConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        secret_key: [key; 32],
        dial,
        redial: Duration::from_millis(300),
        committee_count: 2,
        subnets: vec![0],
        signature_bytes: SIGNATURE_BYTES,
        agent: format!("lamella-test/{key}"),
    }
}

impl Node {
    pub fn start(key: u8, dial: &[&Node]) -> Self {
        let dial = dial.iter().map(|node| node.dial()).collect();
        Self::with(config(key, 0, dial))
    }

    pub fn with(config: NetworkConfig) -> Self {
        let (sender, events) = sync_channel(100_000);
        let source = Arc::new(Source(Mutex::new(Chain::default())));
        let queue =
            Arc::new(Queue { sender, is_full: AtomicBool::new(false), observed: Mutex::default() });
        let secret = libp2p::identity::secp256k1::SecretKey::try_from_bytes(config.secret_key);
        let keypair = libp2p::identity::secp256k1::Keypair::from(secret.unwrap());
        let public_key = keypair.public().to_bytes();
        let network = Network::start(&config, source.clone(), queue.clone()).unwrap();
        assert_eq!(peer_id(&public_key), Some(network.peer_id()));
        Self { network, source, queue, public_key, events, requests: 0 }
    }

    pub fn dial(&self) -> Dial {
        Dial { address: self.network.address(), public_key: self.public_key }
    }

    pub fn peer(&self) -> PeerId {
        self.network.peer_id()
    }

    pub fn chain(&self, change: impl FnOnce(&mut Chain)) {
        change(&mut self.source.0.lock().unwrap());
    }

    /// The first event of which `wanted` makes something; others are dropped.
    pub fn wait<T>(&self, what: &str, mut wanted: impl FnMut(NetworkEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left);
            let event = event.unwrap_or_else(|_| panic!("waited in vain for {what}"));
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    pub fn wait_status(&self, of: PeerId) -> Status {
        self.wait("a status", |event| match event {
            NetworkEvent::Status { peer, status } if peer == of => Some(status),
            _ => None,
        })
    }

    pub fn wait_gone(&self, of: PeerId) {
        self.wait("a peer to go", |event| match event {
            NetworkEvent::Gone { peer } if peer == of => Some(()),
            _ => None,
        });
    }

    pub fn ask(
        &mut self,
        peer: PeerId,
        blocks: BlocksRequest,
    ) -> Result<Vec<SignedBlock>, RequestFailure> {
        self.requests += 1;
        let asked = self.requests;
        assert!(self.network.send(Command::Request { request: asked, peer, blocks }));
        self.wait("an answer", |event| match event {
            NetworkEvent::Blocks { request, outcome } if request == asked => Some(outcome),
            _ => None,
        })
    }

    /// Waits until `is_so`, which nothing announces.
    pub fn until(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so() {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn has_observed(&self, wanted: impl Fn(&Observation) -> bool) -> bool {
        self.queue.observed.lock().unwrap().iter().any(wanted)
    }
}

/// A chain of blocks, one a slot, as a source has it.
pub fn chain(blocks: u64) -> (Chain, Vec<SignedBlock>) {
    let mut chain = Chain::default();
    let mut parent_root = Root::default();
    let mut made = Vec::new();
    for slot in 0..blocks {
        let block = SignedBlock {
            block: Block { slot, parent_root, ..Block::default() },
            ..SignedBlock::default()
        };
        parent_root = hash_tree_root(&block.block);
        chain.blocks.insert(parent_root, SourceBlock::Found(to_ssz(&block)));
        chain.canonical.push((slot, parent_root));
        chain.status.head = Checkpoint { root: parent_root, slot };
        made.push(block);
    }
    (chain, made)
}
