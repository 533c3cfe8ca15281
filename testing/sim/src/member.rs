//! A node of the simulation: its folder, its clocks, its lives.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use lamella::{
    config::{GossipConfig, IdentityKey, KeySource, NodeConfig},
    node::{Clocks, NodeError, SimulatedNode},
};
use lamella_chain::Settings;
use lamella_network::{
    PeerId,
    requests::RequestId,
    service::{Dial, Hand, peer_id},
    wire::message_id::MESSAGE_ID_BYTES,
};
use lamella_network_dir::{GenesisConfig, NodeKey};
use lamella_tables::Durability;
use lamella_xmss::scheme::{ProofScheme, SchemeName};

use crate::{
    folder,
    gossip::Message,
    keys,
    laws::Had,
    plan::{Kind, Plan, SLOT_MS},
};

/// Unix seconds of genesis.
const GENESIS_S: u64 = 1_700_000_000;

/// Milliseconds from the beginning of a run to genesis.
pub(crate) const LEAD_MS: u64 = 1_000;

/// Real signatures of small keys.
pub(crate) const SCHEME: SchemeName = SchemeName::RawTest;

/// Of this many nodes the first aggregate, so that one may be away.
const AGGREGATORS: usize = 2;

/// Largest database: nothing of a run's 80 slots comes near it.
const DATABASE_BYTES_MAX: usize = 256 << 20;

/// The monotonic clocks' beginning. Only differences count.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A node that runs, and its network's other end.
pub(crate) struct Running {
    pub(crate) node: SimulatedNode,
    pub(crate) hand: Hand,
}

pub(crate) struct Member {
    pub(crate) peer_id: PeerId,
    folder: PathBuf,
    config: NodeConfig,
    scheme: Arc<dyn ProofScheme>,
    pub(crate) running: Option<Running>,
    /// How often it was started. What was meant for an earlier life does not reach it.
    pub(crate) life: u64,
    /// By how much its clock is wrong.
    pub(crate) skew_ms: i64,
    pub(crate) paused_until_ms: u64,
    pub(crate) is_slow: bool,
    /// Steps until it dies.
    pub(crate) dies_in: Option<u64>,
    /// When its next turn is due.
    pub(crate) wake_ms: u64,
    pub(crate) works_at_ms: Option<u64>,
    /// Whether a power cut is planned for it, and it commits lazily.
    keeps_flushed: bool,
    /// The interval up to which its last flushed image goes.
    flushed_interval: u64,
    /// What that image has.
    pub(crate) flushed: Option<Had>,
    pub(crate) seen: BTreeSet<[u8; MESSAGE_ID_BYTES]>,
    pub(crate) undecided: BTreeMap<(Vec<u8>, PeerId), Rc<Message>>,
    /// Its requests under way, and whom it asked.
    pub(crate) asked: BTreeMap<RequestId, usize>,
}

impl Member {
    pub(crate) fn new(
        plan: &Plan,
        index: usize,
        root: &Path,
        scheme: Arc<dyn ProofScheme>,
    ) -> Self {
        let folder = root.join(format!("node-{index}"));
        let live = folder.join("live");
        let is_its =
            |validator: &u64| plan.has_twins || validator % plan.nodes as u64 == index as u64;
        let keys_dir = live.join("keys");
        let assigned = keys::write(&keys_dir, (0..plan.validators).filter(is_its));
        let config = NodeConfig {
            node_id: format!("node-{index}"),
            data_dir: live.join("data"),
            genesis: GenesisConfig {
                genesis_time: GENESIS_S,
                validators: keys::registry(plan.validators),
                attestation_committee_count: 1,
                slot_ms: None,
            },
            assigned: Some(assigned),
            keys_dir,
            slot_ms: SLOT_MS,
            is_aggregator: index < AGGREGATORS,
            duty_sync_gate: true,
            proof_scheme: SCHEME,
            settings: Settings {
                durability: if plan.is_lazy { Durability::Lazy } else { Durability::Durable },
                slot_ms: SLOT_MS,
                size_bytes_max: Some(DATABASE_BYTES_MAX),
                ..Settings::default()
            },
            gossip: gossip(plan, index),
            api: None,
            checkpoint_urls: Vec::new(),
            checkpoint_root: None,
            archive: None,
            archive_proofs: false,
            archive_required: false,
            history: Vec::new(),
            archive_new_writer: false,
            scrub: None,
            lost_log_lines: Arc::default(),
        };
        Self {
            peer_id: peer_id(&node_key(index).public_key()).unwrap(),
            folder,
            config,
            scheme,
            running: None,
            life: 0,
            skew_ms: 0,
            paused_until_ms: 0,
            is_slow: false,
            dies_in: None,
            wake_ms: 0,
            works_at_ms: None,
            keeps_flushed: plan.is_lazy
                && plan.faults.iter().any(|fault| fault.kind == Kind::PowerCut(index)),
            flushed_interval: 0,
            flushed: None,
            seen: BTreeSet::new(),
            undecided: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    /// The folder of its data and keys.
    pub(crate) fn live(&self) -> PathBuf {
        self.folder.join("live")
    }

    fn image(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes this thread's clocks those of its machine.
    pub(crate) fn set_clocks(&self, now_ms: u64) {
        let true_ms = GENESIS_S * 1_000 - LEAD_MS + now_ms;
        let unix_ms = true_ms.saturating_add_signed(self.skew_ms);
        Clocks { unix_ms, monotonic: *BEGAN + Duration::from_millis(now_ms) }.set();
    }

    pub(crate) fn start(&mut self, now_ms: u64) -> Result<(), NodeError> {
        self.set_clocks(now_ms);
        let (node, hand) = SimulatedNode::open(&self.config, Arc::clone(&self.scheme))?;
        self.running = Some(Running { node, hand });
        self.life += 1;
        self.wake_ms = now_ms;
        self.flushed_interval = 0;
        Ok(())
    }

    /// After a step of a lazy node: keeps what a power cut would leave. The guard flushes whenever it reserves, which is
    /// when an interval begins.
    pub(crate) fn keep_flushed(&mut self) {
        let Some(running) = &self.running else { return };
        let view = running.node.chain().fork_choice();
        let interval = view.time();
        if self.keeps_flushed && interval != self.flushed_interval {
            self.flushed_interval = interval;
            self.flushed = Some(Had::of(&view));
            folder::copy(&self.live(), &self.image("flushed"));
        }
    }

    /// Keeps a copy for a planted fault.
    pub(crate) fn keep_old(&self) {
        folder::copy(&self.live(), &self.image("old"));
    }

    /// Kills it. On its disk is what was there at this moment, or what an earlier image had.
    pub(crate) fn kill(&mut self, image: Image) {
        let live = self.live();
        let kept = match image {
            Image::Now => self.image("killed"),
            Image::Flushed => self.image("flushed"),
            Image::Old => self.image("old"),
        };
        if matches!(image, Image::Now) || !kept.exists() {
            folder::copy(&live, &kept);
        }
        self.running = None;
        self.works_at_ms = None;
        self.dies_in = None;
        self.seen.clear();
        self.undecided.clear();
        self.asked.clear();
        fs::remove_dir_all(&live).unwrap();
        fs::rename(kept, live).unwrap();
    }

    /// What a power cut leaves of it.
    pub(crate) fn image_of_power_cut(&self) -> Image {
        match self.config.settings.durability {
            Durability::Durable => Image::Now,
            Durability::Lazy => Image::Flushed,
        }
    }
}

/// What is on the disk of a node that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    /// All that it had written.
    Now,
    /// All until the last flush.
    Flushed,
    /// A copy from before.
    Old,
}

fn node_key(index: usize) -> NodeKey {
    let byte = u8::try_from(index + 1).unwrap();
    NodeKey::from_bytes([byte; 32]).unwrap()
}

fn gossip(plan: &Plan, index: usize) -> GossipConfig {
    let listen = |index: usize| {
        let port = 9_000 + u16::try_from(index).unwrap();
        ([127, 0, 0, 1], port).into()
    };
    let others = (0..plan.nodes).filter(|other| *other != index);
    let dial = others
        .map(|other| Dial { address: listen(other), public_key: node_key(other).public_key() });
    GossipConfig {
        listen: listen(index),
        identity: IdentityKey {
            key: node_key(index),
            source: KeySource::File(PathBuf::from("none")),
        },
        dial: dial.collect(),
        committee_count: 1,
        subnets: vec![0],
    }
}
