//! A node without a chain that says it has one: our own service over a source that lies.
//!
//! It claims a head of now, so whoever is behind asks it, and hears another lie each time: blocks of no chain, bytes that
//! are no block, an answer that ends too early, proofs that are pruned. It asks for more than anybody is served.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lamella_network::{
    requests::BlocksRequest,
    service::{
        BlockSource, Command, Dial, Glance, GossipMessage, Listener, Network, NetworkConfig,
        NetworkError, NetworkEvent, Observation, SourceBlock, SourceFailure, SourceRange, Worth,
    },
};
use lamella_types::{
    Block, Checkpoint, Root, SignedBlock, Slot, Status, limits::MAX_REQUEST_BLOCKS, to_ssz,
};
use lamella_xmss::PRODUCTION;

use crate::rubbish::root;

/// Time between two attempts to dial who is not connected.
const REDIAL: Duration = Duration::from_secs(1);

/// Roots that it asks for at once: none of them is anywhere.
const ROOTS_ASKED: u64 = 64;

/// A chain that is not there.
#[derive(Debug, Default)]
struct Lies {
    /// The slot of the head that is claimed.
    slot: AtomicU64,
    /// Lies told.
    told: AtomicU64,
}

impl BlockSource for Lies {
    fn status(&self) -> Status {
        let slot = self.slot.load(Ordering::Relaxed);
        let head = Checkpoint { root: root(slot), slot };
        Status { finalized: Checkpoint { root: root(slot / 2), slot: slot / 2 }, head }
    }

    fn block(&self, named: &Root) -> Result<SourceBlock, SourceFailure> {
        match self.told.fetch_add(1, Ordering::Relaxed) % 5 {
            // Of no chain; its slot is the one asked for, where a range was.
            0 | 1 => {
                let slot = u64::from_le_bytes(named.as_bytes()[..8].try_into().unwrap_or_default());
                let block =
                    Block { slot, parent_root: root(slot - slot.min(1)), ..Block::default() };
                Ok(SourceBlock::Found(to_ssz(&SignedBlock { block, ..SignedBlock::default() })))
            }
            2 => Ok(SourceBlock::Found(vec![7; 5_000])),
            // The answer ends there.
            3 => Err(SourceFailure),
            _ => Ok(SourceBlock::Pruned("so it says".to_owned())),
        }
    }

    fn canonical_roots(&self, start_slot: Slot, count: u64) -> Result<SourceRange, SourceFailure> {
        let slots = start_slot..start_slot.saturating_add(count.min(MAX_REQUEST_BLOCKS as u64));
        Ok(SourceRange::Roots(slots.map(root).collect()))
    }
}

/// Hears everything and keeps nothing.
struct Deaf;

impl Listener for Deaf {
    fn event(&self, _: NetworkEvent) -> Result<(), Box<NetworkEvent>> {
        Ok(())
    }

    fn worth(&self, _: &Glance) -> Worth {
        Worth::Nothing
    }

    fn observe(&self, _: Observation) {}
}

/// A running liar. Dropping it ends it.
pub(crate) struct Liar {
    network: Network,
    lies: Arc<Lies>,
}

impl Liar {
    /// Dials every node.
    pub(crate) fn start(dial: Vec<Dial>, secret_key: [u8; 32]) -> Result<Self, NetworkError> {
        let config = NetworkConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            secret_key,
            dial,
            redial: REDIAL,
            committee_count: 1,
            subnets: vec![0],
            signature_bytes: PRODUCTION.signature_bytes(),
            agent: "lamella-hostile".to_owned(),
        };
        let lies = Arc::<Lies>::default();
        let source: Arc<dyn BlockSource> = lies.clone();
        Ok(Self { network: Network::start(&config, source, Arc::new(Deaf))?, lies })
    }

    /// Claims a head of this slot from now on.
    pub(crate) fn claim(&self, slot: Slot) {
        self.lies.slot.store(slot, Ordering::Relaxed);
    }

    /// Tells every node its lie again, and asks each for what nobody has and for as much as there can be.
    pub(crate) fn ask(&self, number: u64) -> u64 {
        let mut asked = 0;
        for info in self.network.peers().all() {
            let roots = (0..ROOTS_ASKED).map(|at| root(number * ROOTS_ASKED + at)).collect();
            let all = BlocksRequest::Range { start_slot: 0, count: 64 };
            for blocks in [BlocksRequest::Roots(roots), all] {
                let request = number;
                let peer = info.peer;
                asked += u64::from(self.network.send(Command::Request { request, peer, blocks }));
            }
            asked += u64::from(self.network.send(Command::AskStatus(info.peer)));
        }
        asked
    }

    /// Gossips what is signed.
    pub(crate) fn say(&self, message: GossipMessage) {
        let _ = self.network.send(Command::Publish(message));
    }
}
