//! Runs of the import path that a small program drives, always the same blocks: what a node would need hours or peers for.
//! What only a node does (its start, its duties, its orderly stop) the node itself does, in [`crate::network`].

use std::{path::Path, sync::Arc};

use lamella::import::{Imported, Importer};
use lamella_benches::{BlockSource, Finality, SMALL, blocks::child, registry};
use lamella_chain::{Bootstrap, Chain, PruneMode, Settings};
use lamella_tables::{Durability, DutyKey, KeyKind};
use lamella_types::{
    Block, MultiMessageAggregate, ProofBytes, SignedBlock, Slot, State, genesis_state,
};
use lamella_xmss::scheme::{ProofScheme as _, Trust};
use rand_xoshiro::rand_core::Rng as _;

use crate::{archiving, enumerate::random};

/// Bytes of a proof where nothing depends on them.
const PROOF_BYTES: usize = 3_000;

/// Bytes of a proof where there are many blocks.
const WIDE_PROOF_BYTES: usize = 100;

/// Bytes of a proof where the file is to grow.
const LARGE_PROOF_BYTES: usize = 300_000;

/// Bytes of a proof, and blocks, with which a lazy run fills 4 MiB twice and is flushed for it.
const LAZY_PROOF_BYTES: usize = 500_000;
const LAZY_BLOCKS: usize = 20;

/// Blocks with proofs of that size after which a lazy file of 128 MiB, as it begins, is about to have no room at its end.
const FULL_BLOCKS: usize = 240;

/// Slots of proofs kept where proofs are to be pruned.
const SHORT_WINDOW_SLOTS: u64 = 3;

/// Blocks after the first and the second gap of a thousand slots by which what is before it is finalized: after the second
/// the next slot that may be justified is 1,024 after the finalized one.
const SETTLED_BLOCKS: [usize; 2] = [40, 48];

/// What a run does next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Imports one block, as from gossip.
    Import(Box<SignedBlock>),
    /// Imports a run of blocks in one transaction, as in catch-up.
    Batch(Vec<SignedBlock>),
    /// Reserves a slot for some keys.
    Reserve(Slot),
    /// Keeps fewer states from the next import on.
    Keep(PruneMode),
    /// Ships the next segment into the folder beside the database.
    Ship,
    /// Fetches the next blocks of what is missing below the directory's first, in one transaction.
    Fetch,
    /// A planted fault: promises a block and a reservation as one step, and makes them durable one after the other.
    Two(Box<SignedBlock>),
}

/// A run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Which of the runs of that name: `head@7` has other proofs than `head`, and so other pages in each of its calls.
    pub variant: u64,
    /// What the directory begins with.
    pub bootstrap: Bootstrap,
    /// How it is kept.
    pub settings: Settings,
    /// What happens.
    pub steps: Vec<Step>,
    /// The steps before this one are done before recording begins; `None` records the making of the directory too.
    pub recorded_from: Option<usize>,
}

/// The scenario of single blocks.
pub(crate) const HEAD: &str = "head";

/// The scenario that ships.
pub const SHIP: &str = "ship";

/// The scenario that fetches what is below its first block.
pub const FETCH: &str = "fetch";

/// Steps in which all of that is fetched.
const FETCHES: usize = 4;

/// The scenario whose database is moved: forks below the finalized block, votes signed, proofs pruned.
pub const MOVED: &str = "moved";

/// The scenario of few blocks whose first segment may be sealed.
pub const SEALED: &str = "sealed";

/// The scenario of so few blocks that each byte of its directory can be tried.
pub const TINY: &str = "tiny";

/// Its blocks: the fewest after which every table but History has a row.
const TINY_BLOCKS: usize = 3;

/// The scenario of more blocks than one commit of a repair makes again.
pub const WIDE: &str = "wide";

/// Its blocks, of little more than [`lamella_chain::repair::ROWS_PER_COMMIT`], and those of one commit.
const WIDE_RUNS: usize = 18;
const WIDE_RUN_BLOCKS: usize = 64;

/// The scenario whose driver is wrong.
pub const TWO: &str = "two";

/// The scenario whose last step moves the floor of pruning in a transaction before it prunes.
pub const FLOOR: &str = "floor";

/// The scenario of lazy commits that are flushed for what they wrote.
const LONG: &str = "lazy-long";

/// The scenario in which a full file is made longer.
pub const FULL: &str = "lazy-full";

/// The scenario whose calls fail.
pub const SIXTY: &str = "sixty";

/// Every scenario that must survive.
pub const NAMES: &[&str] = &[
    "create",
    HEAD,
    "batch",
    "reorg",
    "prune",
    "prune-states",
    "prune-light",
    "anchor",
    "growth",
    "lazy",
    "checkpoint",
    SHIP,
    FETCH,
];

/// Scenarios whose flushes are looked at, and whose images are too large to be judged: pages used again after flushes, and a
/// full file that is made longer.
pub const HEAVY: &[&str] = &[LONG, FULL];

impl Scenario {
    /// The scenario of this name: `head`, or `head@7` for its seventh variant.
    ///
    /// # Panics
    /// For any other.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name.split_once('@') {
            Some((name, variant)) => Self::of(name, variant.parse().expect("a number")),
            None => Self::of(name, 0),
        }
    }

    /// A variant of the scenario of this name.
    ///
    /// # Panics
    /// For a name of none.
    #[must_use]
    pub fn of(name: &str, variant: u64) -> Self {
        let mut known =
            NAMES.iter().chain(HEAVY).chain([&TWO, &FLOOR, &SIXTY, &MOVED, &SEALED, &TINY, &WIDE]);
        let name = known.find(|known| **known == name).expect("a scenario of NAMES");
        let genesis = genesis_state(1_700_000_000, registry(SMALL));
        let mut chain = Blocks { state: genesis.clone(), variant };
        let mut settings = Settings::default();
        let mut bootstrap = Bootstrap::genesis(genesis);
        let (steps, recorded_from) = match *name {
            "create" => (chain.singles(2), None),
            HEAD => (chain.singles(16), Some(4)),
            "batch" => {
                let runs = [3, 8, 24, 40];
                (runs.map(|run| Step::Batch(chain.take(run, PROOF_BYTES))).into(), Some(1))
            }
            "reorg" => (chain.reorg(), Some(4)),
            "prune" => {
                settings.signature_window_slots = SHORT_WINDOW_SLOTS;
                settings.prune_rows_max = 2;
                (chain.singles(16), Some(4))
            }
            "prune-states" => chain.pruned(PruneMode::States(0)),
            "prune-light" => chain.pruned(PruneMode::Light),
            "anchor" => (chain.anchor(), Some(5)),
            "growth" => {
                let blocks = chain.take(16, LARGE_PROOF_BYTES);
                (blocks.into_iter().map(Box::new).map(Step::Import).collect(), Some(11))
            }
            "lazy" => {
                settings.durability = Durability::Lazy;
                (chain.with_duties(), Some(4))
            }
            LONG => {
                settings.durability = Durability::Lazy;
                settings.signature_window_slots = SHORT_WINDOW_SLOTS;
                let blocks = chain.take(LAZY_BLOCKS, LAZY_PROOF_BYTES);
                (blocks.into_iter().map(Box::new).map(Step::Import).collect(), Some(2))
            }
            "checkpoint" => {
                bootstrap = chain.checkpoint();
                (chain.singles(3), None)
            }
            FULL => {
                settings.durability = Durability::Lazy;
                let blocks = chain.take(FULL_BLOCKS + 16, LAZY_PROOF_BYTES);
                let steps = blocks.into_iter().map(Box::new).map(Step::Import);
                (steps.collect(), Some(FULL_BLOCKS))
            }
            SHIP => chain.shipped(),
            FETCH => {
                let (begun, steps, recorded_from) = chain.fetched();
                bootstrap = begun;
                (steps, Some(recorded_from))
            }
            SIXTY => (chain.singles(61), Some(1)),
            SEALED => (chain.sealed(), None),
            TINY => {
                let blocks = chain.take(TINY_BLOCKS, WIDE_PROOF_BYTES);
                (blocks.into_iter().map(Box::new).map(Step::Import).collect(), None)
            }
            WIDE => {
                let run = |_| Step::Batch(chain.take(WIDE_RUN_BLOCKS, WIDE_PROOF_BYTES));
                ((0..WIDE_RUNS).map(run).collect(), Some(WIDE_RUNS))
            }
            MOVED => {
                settings.signature_window_slots = SHORT_WINDOW_SLOTS;
                let mut steps = chain.reorg();
                steps.extend(chain.singles(6));
                steps.push(Step::Reserve(chain.state.slot));
                let all = steps.len();
                (steps, Some(all))
            }
            FLOOR => {
                let (mut steps, from) = chain.pruned(PruneMode::States(0));
                steps.truncate(from.map_or(0, |from| from + 2));
                let last = steps.len() - 1;
                (steps, Some(last))
            }
            TWO => {
                let blocks = chain.take(6, PROOF_BYTES).into_iter().map(Box::new);
                (blocks.map(Step::Two).collect(), Some(2))
            }
            _ => panic!("{name} has no steps"),
        };
        Self { name, variant, bootstrap, settings, steps, recorded_from }
    }

    /// Opens its directory, and makes it where there is none.
    ///
    /// # Errors
    /// As [`Chain::open`], in words.
    pub fn open(&self, path: &Path) -> Result<Chain, String> {
        let opened = Chain::open(path, self.bootstrap.clone(), Trust.name(), self.settings);
        opened.map(|(chain, _)| chain).map_err(|error| error.to_string())
    }

    /// Takes the steps from this one on, and says each before and after.
    ///
    /// # Errors
    /// The first step that failed, in words.
    pub fn run(
        &self,
        chain: &Arc<Chain>,
        from: usize,
        mut say: impl FnMut(Said, usize),
    ) -> Result<(), String> {
        let importer = Importer::new(Arc::clone(chain), Arc::new(Trust));
        for (at, step) in self.steps.iter().enumerate().skip(from) {
            say(Said::Begin, at + 1);
            // As a node does, what failed is tried once more by the same process.
            if let Err(error) = take(chain, &importer, step) {
                say(Said::Failed(error), at + 1);
                take(chain, &importer, step)
                    .map_err(|error| format!("step {}: {error}", at + 1))?;
            }
            // A lazy commit promises nothing, but a reservation is flushed, and all that came before it.
            let is_durable =
                self.settings.durability == Durability::Durable || matches!(step, Step::Reserve(_));
            say(if is_durable { Said::Acknowledged } else { Said::Done }, at + 1);
        }
        Ok(())
    }
}

/// What a run says of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It begins.
    Begin,
    /// It is done, and durable.
    Acknowledged,
    /// It is done, and a crash may undo it.
    Done,
    /// It failed with these words, and is tried once more.
    Failed(String),
}

impl Said {
    /// The line that says it of a step.
    #[must_use]
    pub fn line(&self, step: usize) -> String {
        match self {
            Self::Begin => format!("begin {step}"),
            Self::Acknowledged => format!("acknowledged {step}"),
            Self::Done => format!("done {step}"),
            Self::Failed(why) => format!("failed {step}: {}", why.replace('\n', " ")),
        }
    }
}

fn take(chain: &Chain, importer: &Importer, step: &Step) -> Result<(), String> {
    match step {
        Step::Import(block) => match importer.import(SignedBlock::clone(block)) {
            Ok(Imported::New(new)) => {
                new.persisted.pruned_signatures.map(drop).map_err(text)?;
                new.persisted.pruned_states.map(drop).map_err(text)
            }
            Ok(Imported::Known(root)) => Err(format!("{root} is known")),
            Err(error) => Err(error.to_string()),
        },
        Step::Batch(blocks) => {
            importer.import_batch(blocks.clone()).map_err(text)?.map(drop).ok_or("all known".into())
        }
        Step::Keep(mode) => chain.set_prune_mode(*mode).map_err(text),
        Step::Fetch => archiving::fetch(chain),
        Step::Ship => archiving::ship(chain, &archiving::beside(chain.database().path())),
        Step::Two(block) => {
            let slot = block.block.slot;
            take(chain, importer, &Step::Import(block.clone()))?;
            take(chain, importer, &Step::Reserve(slot))
        }
        Step::Reserve(slot) => {
            let keys = (0..SMALL).flat_map(|validator_index| {
                [KeyKind::Attestation, KeyKind::Proposal]
                    .map(|kind| DutyKey { validator_index, kind })
            });
            let keys: Vec<_> = keys.collect();
            let reserved = chain.reserve_slot(*slot, &keys).map_err(text)?;
            if reserved.allowed == keys { Ok(()) } else { Err(format!("{reserved:?}")) }
        }
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Makes blocks.
struct Blocks {
    state: State,
    variant: u64,
}

impl Blocks {
    /// The next blocks, one a slot; the first two have nothing to vote for.
    fn take(&mut self, count: usize, proof_bytes: usize) -> Vec<SignedBlock> {
        let mut source = None;
        (0..count)
            .map(|_| {
                if self.state.slot < 2 {
                    let block = self.child(self.state.slot + 1);
                    return self.signed(block, proof_bytes);
                }
                let source =
                    source.get_or_insert_with(|| BlockSource::new(&self.state, Finality::Healthy));
                let block = source.next_block();
                self.state = source.state().clone();
                self.signed(block, proof_bytes)
            })
            .collect()
    }

    fn singles(&mut self, count: usize) -> Vec<Step> {
        self.take(count, PROOF_BYTES).into_iter().map(Box::new).map(Step::Import).collect()
    }

    /// A block without votes.
    fn child(&mut self, slot: Slot) -> Block {
        let (block, post_state) = child(&self.state, slot, Vec::new());
        self.state = post_state;
        block
    }

    /// Two blocks, and then a branch beside them that everybody votes for.
    fn reorg(&mut self) -> Vec<Step> {
        let mut steps = self.singles(5);
        let fork = self.state.clone();
        steps.extend(self.singles(3));
        self.state = fork;
        let empty = [9, 10].map(|slot| self.far(slot));
        steps.extend(empty.map(Box::new).map(Step::Import));
        steps.extend(self.singles(4));
        steps
    }

    /// Over a multiple of 1,024 slots, most of which are empty: an anchor, and a history segment that is full.
    fn anchor(&mut self) -> Vec<Step> {
        let mut steps = self.singles(4);
        let far = [1_021, 1_022].map(|slot| self.far(slot));
        steps.extend(far.map(Box::new).map(Step::Import));
        steps.extend(self.singles(5));
        steps
    }

    /// The same, on to the next slot that may be justified, by which the anchor is finalized.
    fn sealed(&mut self) -> Vec<Step> {
        let mut steps = self.anchor();
        let far = [1_056, 1_057].map(|slot| self.far(slot));
        let settled = self.take(6, WIDE_PROOF_BYTES);
        steps.extend(far.into_iter().chain(settled).map(Box::new).map(Step::Import));
        steps
    }

    /// A few blocks, a gap that ends at this slot, and what finalizes all of that.
    fn segment(&mut self, end: Slot, settled: usize) -> Vec<Step> {
        let mut steps = self.singles(4);
        steps.extend([end - 1, end].map(|slot| Step::Import(Box::new(self.far(slot)))));
        steps.extend(self.singles(settled));
        steps
    }

    fn far(&mut self, slot: Slot) -> SignedBlock {
        let block = self.child(slot);
        self.signed(block, PROOF_BYTES)
    }

    /// Two segments of a few blocks each, shipped one after the other.
    fn shipped(&mut self) -> (Vec<Step>, Option<usize>) {
        let mut steps = self.segment(1_022, SETTLED_BLOCKS[0]);
        steps.extend(self.segment(2_046, SETTLED_BLOCKS[1]));
        let recorded_from = steps.len();
        steps.extend([Step::Ship, Step::Ship]);
        (steps, Some(recorded_from))
    }

    /// The chain of [`Self::shipped`], of whose first segment goes what this mode does not keep, with the first imports after it
    /// was chosen.
    fn pruned(&mut self, mode: PruneMode) -> (Vec<Step>, Option<usize>) {
        let mut steps = self.segment(1_022, SETTLED_BLOCKS[0]);
        steps.extend(self.segment(2_046, SETTLED_BLOCKS[1]));
        let recorded_from = steps.len();
        steps.push(Step::Keep(mode));
        steps.extend(self.singles(3));
        (steps, Some(recorded_from))
    }

    /// The chain of [`Self::shipped`] from a checkpoint in its second segment on; then what is below that is fetched, a
    /// block imported meanwhile.
    fn fetched(&mut self) -> (Bootstrap, Vec<Step>, usize) {
        let _ = self.segment(1_022, SETTLED_BLOCKS[0]);
        let _ = self.singles(4);
        let block = self.far(2_045);
        let bootstrap = Bootstrap { block, state: Arc::new(self.state.clone()) };
        let mut steps = vec![Step::Import(Box::new(self.far(2_046)))];
        steps.extend(self.singles(SETTLED_BLOCKS[1]));
        let recorded_from = steps.len();
        for _ in 0..FETCHES {
            steps.push(Step::Fetch);
            steps.extend(self.singles(1));
        }
        (bootstrap, steps, recorded_from)
    }

    /// A block, then both duties of its slot.
    fn with_duties(&mut self) -> Vec<Step> {
        let blocks = self.take(24, PROOF_BYTES);
        let mut steps = Vec::new();
        for (at, block) in blocks.into_iter().enumerate() {
            let slot = block.block.slot;
            steps.push(Step::Import(Box::new(block)));
            // Every third slot, so that some lazy commits stand between two reservations.
            if at % 3 == 2 {
                steps.push(Step::Reserve(slot));
            }
        }
        steps
    }

    /// Begins at a block that is not the first.
    fn checkpoint(&mut self) -> Bootstrap {
        let block = self.take(12, PROOF_BYTES).pop().unwrap();
        Bootstrap { block, state: Arc::new(self.state.clone()) }
    }

    /// A block with a proof of so many bytes; in a variant, of half as many to half as many again.
    fn signed(&self, block: Block, proof_bytes: usize) -> SignedBlock {
        let length = match self.variant {
            0 => proof_bytes,
            variant => {
                proof_bytes / 2 + random(variant, block.slot).next_u64() as usize % proof_bytes
            }
        };
        let byte = |at: usize| (at as u64 * 7 + block.slot * 13 + self.variant) as u8;
        let proof = ProofBytes::new((0..length).map(byte).collect::<Vec<_>>()).unwrap();
        SignedBlock { block, proof: MultiMessageAggregate { proof } }
    }
}
