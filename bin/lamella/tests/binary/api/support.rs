//! A small real chain, a server over it, and the plainest possible HTTP client.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lamella::import::{Effort, Imported, Importer, NewBlock};
use lamella_chain::{Bootstrap, Chain, Settings};
use lamella_http_api::{ApiContext, ApiServer, Events, Limits, NodeFacts, ServerConfig, serve};
use lamella_inspect::served::Change;
use lamella_metrics::Metrics;
use lamella_state_transition::compute_post_state;
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, Checkpoint,
    MultiMessageAggregate, ProofBytes, PublicKeyBytes, Root, SignedBlock, SingleMessageAggregate,
    SlotClock, State, Validator, Validators, genesis_state, slot::proposer_for_slot,
};
use lamella_xmss::scheme::Trust;
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything; a healthy run needs a thousandth of it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Slots of proofs kept by the test chain.
const WINDOW: u64 = 3;

/// A block as it was made, and the SSZ of its post-state as the transition left it.
pub struct Made {
    pub signed: SignedBlock,
    pub state: Vec<u8>,
}

pub struct Node {
    pub chain: Arc<Chain>,
    pub facts: Arc<NodeFacts>,
    pub metrics: Arc<Metrics>,
    pub events: Events,
    pub made: BTreeMap<Root, Made>,
    importer: Importer,
    _directory: TempDir,
}

impl Node {
    /// A chain at genesis, ten slots ago.
    pub fn new(validators: u64) -> Self {
        let key = |index: u64, kind: u8| {
            let mut key = PublicKeyBytes([kind; 52]);
            key.0[..8].copy_from_slice(&index.to_le_bytes());
            key
        };
        let validators = (0..validators).map(|index| Validator {
            attestation_public_key: key(index, 1),
            proposal_public_key: key(index, 2),
            index,
        });
        let validators = Validators::new(&validators.collect::<Vec<_>>()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let genesis_time = now - 40;
        let genesis = Bootstrap::genesis(genesis_state(genesis_time, validators));
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { signature_window_slots: WINDOW, ..Settings::default() };
        let path = directory.path().join("db");
        let (chain, _) = Chain::create(&path, genesis.clone(), "trust", settings).unwrap();
        let chain = Arc::new(chain);
        let made = Made { state: genesis.state.to_ssz(), signed: genesis.block };
        let clock = SlotClock::new(genesis_time, 4000);
        Self {
            importer: Importer::new(Arc::clone(&chain), Arc::new(Trust)),
            made: BTreeMap::from([(chain.fork_choice().head(), made)]),
            chain,
            facts: Arc::new(NodeFacts::new("lamella_0", None, clock, false)),
            metrics: Arc::new(Metrics::new("lamella_0", &lamella_http_api::version(), 2)),
            events: Events::new(),
            _directory: directory,
        }
    }

    /// Genesis, slots 1, 2, 3, 5, 6, 7, 8 with everyone's votes, and a side block at slot 7. Slots up to 6 are
    /// finalized; 4 is empty; the head is at 8.
    pub fn with_chain() -> (Self, Root) {
        let mut node = Self::new(4);
        for slot in [1, 2, 3, 5, 6] {
            node.extend(slot);
        }
        let fork = node.chain.fork_choice().head();
        let side = node.import(fork, 7, false).root;
        let main = node.import(fork, 7, true).root;
        node.vote_for(Checkpoint { root: main, slot: 7 });
        assert_eq!(node.chain.fork_choice().head(), main);
        node.extend(8);
        (node, side)
    }

    /// A child of the head with everyone's votes for it.
    pub fn extend(&mut self, slot: u64) -> Box<NewBlock> {
        let head = self.chain.fork_choice().head();
        self.import(head, slot, true)
    }

    /// A child of `parent`, through the import that every block takes; and told to metrics and events.
    pub fn import(&mut self, parent: Root, slot: u64, has_votes: bool) -> Box<NewBlock> {
        let state = self.chain.state(&parent).unwrap().unwrap();
        let votes = has_votes.then(|| vote(&state, parent)).into_iter().collect();
        let mut block = Block {
            slot,
            proposer_index: proposer_for_slot(slot, state.validators.len() as u64).unwrap(),
            parent_root: parent,
            state_root: Root::ZERO,
            body: BlockBody::new(votes).unwrap(),
        };
        let (post_state, state_root) = compute_post_state(&state, &block).unwrap();
        block.state_root = state_root;
        let proof = ProofBytes::new(vec![slot.to_le_bytes()[0]; 500]).unwrap();
        let signed = SignedBlock { block, proof: MultiMessageAggregate { proof } };
        let Imported::New(new) = self.importer.import(signed.clone()).unwrap() else {
            panic!("the block of slot {slot} is not new");
        };
        self.metrics.observe_block(&new.root, &signed.block, &new.persisted.after);
        let Effort { proof, transition } = new.effort;
        self.metrics.observe_import(proof, transition, &new.persisted);
        let change = Change::of_import(&new.persisted);
        self.events.changed(&Arc::clone(&self.chain).into(), &change, self.facts.current_slot());
        self.made.insert(new.root, Made { signed, state: post_state.to_ssz() });
        new
    }

    /// Everyone's votes, as if gossiped and accepted.
    fn vote_for(&self, head: Checkpoint) {
        let view = self.chain.fork_choice();
        let source = view.latest_justified();
        let data = AttestationData { slot: head.slot, head, target: head, source };
        let change = self.chain.change(|view| {
            view.insert_known_aggregate(&data, everyone(4));
            view.update_head()
        });
        change.unwrap();
    }

    pub fn context(&self, limits: Limits) -> Arc<ApiContext> {
        Arc::new(ApiContext::new(
            Arc::clone(&self.chain).into(),
            Arc::clone(&self.facts),
            Arc::clone(&self.metrics),
            self.events.clone(),
            limits,
            Arc::new(|_| {}),
        ))
    }

    pub fn serve(&self) -> ApiServer {
        serve(&any_port(None), self.context(Limits::default())).unwrap()
    }

    /// The canonical block of a slot.
    pub fn canonical(&self, slot: u64) -> Root {
        let view = self.chain.fork_choice();
        let found = view.chain(&view.head()).find(|block| block.slot == slot).unwrap();
        found.root
    }
}

pub fn any_port(metrics_port: Option<u16>) -> ServerConfig {
    ServerConfig::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, metrics_port)
}

fn everyone(validators: u64) -> Arc<SingleMessageAggregate> {
    let participants = AggregationBits::from_indices(0..validators).unwrap();
    Arc::new(SingleMessageAggregate { participants, proof: ProofBytes::default() })
}

/// Everyone's votes for `head`, whose post-state is given.
fn vote(state: &State, root: Root) -> AggregatedAttestation {
    let head = Checkpoint { root, slot: state.latest_block_header.slot };
    // The first block makes genesis justified; until then its root is not in the state.
    let genesis = state.historical_block_hashes.get(0).unwrap_or(root);
    let source = state.latest_justified;
    let source = if source.slot == 0 { Checkpoint { root: genesis, slot: 0 } } else { source };
    let data = AttestationData { slot: head.slot, head, target: head, source };
    let aggregation_bits = everyone(state.validators.len() as u64).participants.clone();
    AggregatedAttestation { aggregation_bits, data }
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.content_type(), "application/json", "{}", self.head);
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code of a refusal.
    pub fn refusal(&self) -> (u16, String) {
        let json = self.json();
        assert!(json["error"].as_str().is_some_and(|error| !error.is_empty()), "{json}");
        (self.status, json["code"].as_str().unwrap().to_owned())
    }
}

/// Sends a request; one whose head names no host asks for `localhost`.
pub fn send(server: SocketAddr, head: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let host = if head.contains("\r\nHost: ") { "" } else { "\r\nHost: localhost" };
    write!(socket, "{head}{host}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    socket
}

pub fn request(server: SocketAddr, head: &str, body: &str) -> Answer {
    let mut socket = send(server, &format!("{head}\r\nConnection: close"), body);
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

pub fn get(server: SocketAddr, path: &str) -> Answer {
    request(server, &format!("GET {path} HTTP/1.1"), "")
}

pub fn get_as(server: SocketAddr, path: &str, accept: &str) -> Answer {
    request(server, &format!("GET {path} HTTP/1.1\r\nAccept: {accept}"), "")
}

/// Asks again until it holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
