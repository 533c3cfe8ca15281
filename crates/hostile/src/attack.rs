//! All of it at once, against every node of a network on this machine, at a rate that leaves the nodes their processor.
//!
//! Every node has four strangers of one address, each with a part to play; one whose connection the node ends comes
//! again under another name. Beside them one liar knows every node, a visitor its API, and a thief signs with the keys of one
//! node's last validator.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lamella_network::{
    service::{Dial, GossipMessage, NetworkError, peer_id},
    wire::{
        chunk::{ResponseChunk, encode_payload},
        topic::TopicKind,
    },
};
use lamella_network_dir::{Bootnode, GenesisConfig, NetworkDir, NetworkFileError, NodeKey};
use lamella_types::{
    Checkpoint, MultiMessageAggregate, ProofBytes, SignedBlock, Slot, SlotClock, State, Status,
    to_ssz,
};

use crate::{
    liar::Liar,
    rubbish::{FarFuture, forged_aggregate, forged_block, root, undecodable},
    stranger::{Answer, RANGE, ROOTS, STATUS, Stranger},
    thief::{KeyTheftError, Thief},
    visitor::Visitor,
};

/// Identities at each node. Each has a part: [`rubbish`](Attackers::rubbish), [`replays`](Attackers::replays),
/// [`floods`](Attackers::floods), [`claims`](Attackers::claims).
const SYBILS: usize = 4;
const RUBBISH: usize = 0;
const REPLAY: usize = 1;
const FLOOD: usize = 2;
const CLAIM: usize = 3;

/// Time between two rounds.
const ROUND: Duration = Duration::from_millis(200);

/// Rounds between two messages of half a megabyte each.
const LARGE_ROUNDS: u64 = 5;

/// Requests of a flood in one round: fifty times what a node answers.
const FLOOD_REQUESTS: u64 = 10;

/// Valid messages of others that are remembered, and those said again in one round.
const REMEMBERED_MAX: usize = 512;
const REPLAYED: usize = 16;

/// Blocks and votes that the thief signs for one slot.
const EQUIVOCATIONS: u64 = 4;

/// Keys stolen: those of so many validators.
const STOLEN: usize = 1;

/// Why there is no attack.
#[derive(Debug, thiserror::Error)]
pub enum AttackError {
    /// The network's files.
    #[error(transparent)]
    Files(#[from] NetworkFileError),
    /// The keys that it would sign with.
    #[error(transparent)]
    Keys(#[from] KeyTheftError),
    /// Its own node.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Randomness for its identity.
    #[error("no randomness: {0}")]
    Identity(String),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// What is attacked.
pub struct Plan {
    /// The network's files: whom to dial, and the keys.
    pub paths: NetworkDir,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// The nodes' APIs.
    pub apis: Vec<SocketAddr>,
    /// The node whose keys are stolen.
    pub robbed: String,
    /// The state of the network's head, if somebody tells.
    pub head: Box<dyn Fn() -> Option<State> + Send>,
}

/// What is done.
const KINDS: [&str; 9] = [
    "identities",
    "far-future blocks",
    "undecodable",
    "forgeries",
    "replays",
    "requests",
    "claims",
    "equivocations",
    "visits",
];

/// How often each thing was done.
pub type Done = BTreeMap<&'static str, u64>;

/// An attack under way. Dropping it ends it.
#[derive(Debug)]
pub struct Attack {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Done>>,
}

impl Attack {
    /// Begins.
    ///
    /// # Errors
    /// [`AttackError`].
    pub fn start(plan: Plan) -> Result<Self, AttackError> {
        let mut attackers = Attackers::new(plan)?;
        let (stop, stopped) = channel();
        let run = move || {
            for round in 0.. {
                attackers.round(round);
                if stopped.recv_timeout(ROUND) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            attackers.done
        };
        let thread = thread::Builder::new().name("hostile".into()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Ends it, and says what was done.
    #[must_use]
    pub fn stop(mut self) -> Done {
        self.end()
    }

    fn end(&mut self) -> Done {
        self.stop = None;
        // A thread that panicked has said so, and has done nothing that counts.
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.end();
    }
}

/// Everyone who takes part.
struct Attackers {
    clock: SlotClock,
    validators: u64,
    head: Box<dyn Fn() -> Option<State> + Send>,
    nodes: Vec<SocketAddr>,
    /// [`SYBILS`] at each node, where they could be started.
    strangers: Vec<[Option<Stranger>; SYBILS]>,
    liar: Liar,
    visitors: Vec<Visitor>,
    thief: Thief,
    far: FarFuture,
    /// What was heard from validators, oldest first.
    heard: VecDeque<(TopicKind, Vec<u8>)>,
    last_slot: Slot,
    /// Strangers so far that claimed a head.
    claimants: u64,
    done: Done,
}

impl Attackers {
    fn new(plan: Plan) -> Result<Self, AttackError> {
        let Plan { paths, slot_ms, apis, robbed, head } = plan;
        let config = GenesisConfig::load(&paths.config)?;
        let bootnodes = Bootnode::load_all(&paths.nodes)?;
        let dial = bootnodes.iter().filter_map(|node| {
            Some(Dial { address: node.address()?, public_key: node.public_key })
        });
        let dial: Vec<Dial> = dial.collect();
        let key = NodeKey::random().map_err(|error| AttackError::Identity(error.to_string()))?;
        let nodes: Vec<SocketAddr> = dial.iter().map(|dial| dial.address).collect();
        Ok(Self {
            clock: SlotClock::new(config.genesis_time, slot_ms),
            validators: config.validators.len() as u64,
            head,
            strangers: nodes.iter().map(|_| Default::default()).collect(),
            nodes,
            liar: Liar::start(dial, *key.as_bytes())?,
            visitors: apis.into_iter().map(Visitor::new).collect::<io::Result<_>>()?,
            thief: Thief::of(&paths, &robbed, STOLEN)?,
            far: FarFuture::default(),
            heard: VecDeque::new(),
            last_slot: 0,
            claimants: 0,
            done: KINDS.map(|what| (what, 0)).into(),
        })
    }

    fn did(&mut self, what: &'static str, times: u64) {
        debug_assert!(KINDS.contains(&what), "{what} is not announced");
        *self.done.entry(what).or_default() += times;
    }

    fn round(&mut self, round: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let slot = self.clock.current_slot(u64::try_from(now.as_millis()).unwrap_or_default());
        self.come_again();
        if slot > self.last_slot {
            self.last_slot = slot;
            self.equivocate(slot);
        }
        self.listen();
        self.rubbish(round, slot);
        self.replays(round);
        self.floods(round);
        self.claims(round, slot);
        let visits = self.visitors.iter_mut().map(|visitor| visitor.visit(round)).sum();
        self.did("visits", visits);
    }

    /// Whoever was sent away comes again under another name. Who claims a head answers with lies, or is asked and never
    /// answers, in turn.
    fn come_again(&mut self) {
        let mut came = 0;
        for (node, sybils) in self.nodes.iter().zip(&mut self.strangers) {
            for (part, sybil) in sybils.iter_mut().enumerate() {
                if sybil.as_ref().is_none_or(Stranger::is_over) {
                    self.claimants += u64::from(part == CLAIM);
                    let lies = part == CLAIM && self.claimants % 2 == 1;
                    let answer = if lies { cut_answer() } else { Answer::Silence };
                    *sybil = Stranger::dial(*node, &answer).ok();
                    came += 1;
                }
            }
        }
        self.did("identities", came);
    }

    /// Those of the strangers that play a part and are heard.
    fn playing(&self, part: usize) -> impl Iterator<Item = &Stranger> {
        let strangers = self.strangers.iter().filter_map(move |sybils| sybils[part].as_ref());
        strangers.filter(|stranger| stranger.is_heard())
    }

    fn listen(&mut self) {
        for sybils in &self.strangers {
            for (part, sybil) in sybils.iter().enumerate() {
                let heard = sybil.as_ref().map(Stranger::heard).unwrap_or_default();
                // One of them is enough to know what is said.
                self.heard.extend(heard.into_iter().filter(|_| part == REPLAY));
            }
        }
        let too_many = self.heard.len().saturating_sub(REMEMBERED_MAX);
        self.heard.drain(..too_many);
    }

    /// Blocks of a far future, bytes that are nothing, and the largest forgeries of now.
    fn rubbish(&mut self, round: u64, slot: Slot) {
        let far = self.far.packed(round);
        let is_large = round.is_multiple_of(LARGE_ROUNDS);
        let large = is_large.then(|| {
            let block = forged_block(slot, self.validators, round);
            (block, forged_aggregate(slot, self.validators, round))
        });
        let garbage = [TopicKind::Block, TopicKind::Aggregation].map(|k| (k, undecodable(round)));
        let vote = (TopicKind::Attestation { subnet: 0 }, undecodable(round + 1));
        let mut said = [0; 3];
        for stranger in self.playing(RUBBISH) {
            stranger.say_raw(TopicKind::Block, far.clone());
            for (kind, bytes) in garbage.iter().chain([&vote]) {
                stranger.say_raw(*kind, bytes.clone());
            }
            if let Some((block, aggregate)) = &large {
                stranger.say(TopicKind::Block, block);
                stranger.say(TopicKind::Aggregation, aggregate);
            }
            said = [said[0] + 1, said[1] + 3, said[2] + 2 * u64::from(is_large)];
        }
        self.did("far-future blocks", said[0]);
        self.did("undecodable", said[1]);
        self.did("forgeries", said[2]);
    }

    /// Valid messages of others, old and new.
    fn replays(&mut self, round: u64) {
        let count = self.heard.len().max(1) as u64;
        let chosen = |at: u64| usize::try_from((round * 37 + at * 101) % count).unwrap_or_default();
        let chosen = (0..REPLAYED as u64).filter_map(|at| self.heard.get(chosen(at)));
        let mut said = 0;
        for (kind, ssz) in chosen {
            for stranger in self.playing(REPLAY) {
                stranger.say(*kind, ssz);
                said += 1;
            }
        }
        self.did("replays", said);
    }

    /// Requests, one after the other, some of them no request at all.
    fn floods(&mut self, round: u64) {
        let Ok(status) = encode_payload(&to_ssz(&Status::default())) else { return };
        let mut asked = 0;
        for stranger in self.playing(FLOOD) {
            for _ in 0..FLOOD_REQUESTS {
                stranger.ask(STATUS, status.clone());
            }
            stranger.ask(RANGE, undecodable(round));
            stranger.ask(ROOTS, vec![0xff; 20]);
            asked += FLOOD_REQUESTS + 2;
        }
        asked += self.liar.ask(round);
        self.did("requests", asked);
    }

    /// Heads that are not there; whoever asks for them hears lies.
    fn claims(&mut self, round: u64, slot: Slot) {
        self.liar.claim(slot);
        if !round.is_multiple_of(LARGE_ROUNDS) {
            return;
        }
        let head = Checkpoint { root: root(slot), slot };
        let status = Status { finalized: Checkpoint::default(), head };
        let Ok(status) = encode_payload(&to_ssz(&status)) else { return };
        let mut claimed = 0;
        for stranger in self.playing(CLAIM) {
            stranger.ask(STATUS, status.clone());
            claimed += 1;
        }
        self.did("claims", claimed);
    }

    /// Several blocks and votes for one slot, another one first at each node.
    fn equivocate(&mut self, slot: Slot) {
        if let Some(state) = (self.head)() {
            self.thief.follow(state);
        }
        let mut signed = Vec::new();
        for number in 0..EQUIVOCATIONS {
            if self.thief.proposes(slot)
                && let Ok(Some(block)) = self.thief.block(slot, number)
            {
                signed.push((TopicKind::Block, to_ssz(&altered(&block))));
                signed.push((TopicKind::Block, to_ssz(&block)));
            }
            for keys in self.thief.validators() {
                let Ok(vote) = self.thief.vote(keys, slot, number) else { continue };
                signed.push((TopicKind::Attestation { subnet: 0 }, vote.to_ssz()));
                if number == 0 {
                    // The liar's is one that everyone hears.
                    let attestation = vote.into();
                    self.liar.say(GossipMessage::Attestation { subnet: 0, attestation });
                }
            }
        }
        let mut said = 0;
        for (at, stranger) in self.playing(RUBBISH).enumerate() {
            let turned = signed.iter().cycle().skip(at * 3).take(signed.len());
            turned.for_each(|(kind, ssz)| stranger.say(*kind, ssz));
            said += signed.len() as u64;
        }
        self.did("equivocations", said);
    }
}

/// What libp2p, and so a log, calls the nodes of a network.
///
/// # Errors
/// [`AttackError::Files`].
pub fn names(paths: &NetworkDir) -> Result<Vec<String>, AttackError> {
    let nodes = Bootnode::load_all(&paths.nodes)?;
    let names = nodes.iter().filter_map(|node| peer_id(&node.public_key));
    Ok(names.map(|name| name.to_string()).collect())
}

/// The same block, and its proposer's signature, with a vote's signature altered.
#[must_use]
pub fn altered(signed: &SignedBlock) -> SignedBlock {
    let mut proof = signed.proof.proof.as_bytes().to_vec();
    if let Some(byte) = proof.get_mut(1_000) {
        *byte ^= 1;
    }
    let proof = MultiMessageAggregate { proof: ProofBytes::new(proof).unwrap_or_default() };
    SignedBlock { block: signed.block.clone(), proof }
}

/// A block, and half of another one.
fn cut_answer() -> Answer {
    let block = ResponseChunk::success(to_ssz(&SignedBlock::default()));
    let mut bytes = block.encode().unwrap_or_default().repeat(2);
    bytes.truncate(bytes.len() * 3 / 4);
    Answer::Bytes(bytes)
}
