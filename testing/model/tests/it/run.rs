//! One run: a chain in a directory, the model of it, and what an import must do to both.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use lamella::import::{ImportError, Imported, Importer};
use lamella_chain::{
    Bootstrap, Chain, ForkChoiceRow, Identity, PRUNED_NODES_MAX, Persisted, PruneMode, Settings,
};
use lamella_tables::{Durability, SlotRoot, TABLES};
use lamella_types::{RejectionReason, Root, SignedBlock, hash_tree_root};
use lamella_xmss::scheme::Trust;

use crate::{
    blocks::{Blocks, Voting},
    naive::{Naive, Pool},
    random::Random,
};

/// What runs have done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    pub blocks: u64,
    pub states_read: u64,
    pub blocks_read: u64,
    pub verify_runs: u64,
    pub checks: u64,
    pub restarts: u64,
    pub reorgs: u64,
    pub finality_moved_back: u64,
    pub refused: u64,
    pub pruned_nodes: u64,
    pub pruned_proofs: u64,
    pub full_prune_steps: u64,
    pub anchors: u64,
    pub pruned_states: u64,
    pub pruned_bodies: u64,
    pub slots: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.states_read += other.states_read;
        self.blocks_read += other.blocks_read;
        self.verify_runs += other.verify_runs;
        self.checks += other.checks;
        self.restarts += other.restarts;
        self.reorgs += other.reorgs;
        self.finality_moved_back += other.finality_moved_back;
        self.refused += other.refused;
        self.pruned_nodes += other.pruned_nodes;
        self.pruned_proofs += other.pruned_proofs;
        self.full_prune_steps += other.full_prune_steps;
        self.anchors += other.anchors;
        self.pruned_states += other.pruned_states;
        self.pruned_bodies += other.pruned_bodies;
        self.slots += other.slots;
    }
}

pub struct Run {
    pub random: Random,
    pub directory: tempfile::TempDir,
    pub settings: Settings,
    chain: Option<Arc<Chain>>,
    pub identity: Identity,
    pub blocks: Blocks,
    /// Every block imported, in order.
    pub imported: Vec<Root>,
    /// Built, not offered yet.
    pub held: Vec<Root>,
    pub naive: Naive,
    /// Both pools as of the last commit.
    pub durable: (Pool, Pool),
    /// Blocks whose proof must be there.
    pub proofs: BTreeSet<Root>,
    pub floor: SlotRoot,
    /// What is kept of states and bodies.
    pub mode: PruneMode,
    /// Below this slot there are no states.
    pub states_floor: u64,
    /// Below this slot there are no bodies.
    pub bodies_floor: u64,
    pub voting: Voting,
    pub figures: Figures,
    /// The step under way.
    pub doing: &'static str,
}

impl Run {
    /// A new chain; everything about it follows from the seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let validators = random.between(1, 40);
        let settings = Settings {
            durability: if seed % 16 == 5 { Durability::Durable } else { Durability::Lazy },
            signature_window_slots: match random.below(4) {
                0 => random.between(100, 3000),
                _ => random.between(0, 30),
            },
            // So few that a step is full, and the next goes on where it ended.
            prune_rows_max: match seed % 3 {
                0 => Settings::default().prune_rows_max,
                few => few as usize,
            },
            ..Settings::default()
        };
        let mut blocks = Blocks::genesis(&mut random, validators);
        if random.percent(25) {
            blocks = checkpoint(&mut random, blocks);
        }
        let mut run = Self::begin(random, settings, blocks);
        match seed % 4 {
            1 => run.keep(PruneMode::States(seed % 3 * 700)),
            3 => run.keep(PruneMode::Light),
            _ => {}
        }
        run
    }

    /// Another mode of pruning from the next import on.
    pub fn keep(&mut self, mode: PruneMode) {
        self.chain().set_prune_mode(mode).unwrap();
        self.mode = mode;
    }

    pub fn begin(random: Random, settings: Settings, blocks: Blocks) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = blocks.bootstrap;
        let block = blocks.get(&root).signed.clone();
        let bootstrap = Bootstrap { block, state: Arc::new(blocks.state(&root)) };
        let opened = Chain::create(directory.path(), bootstrap, "trust", settings);
        let (chain, opened) = opened.unwrap();
        assert!(opened.created);
        let naive = Naive::new(blocks.get(&root).summary);
        Self {
            random,
            directory,
            settings,
            identity: chain.identity().clone(),
            chain: Some(Arc::new(chain)),
            blocks,
            imported: vec![root],
            held: Vec::new(),
            naive,
            durable: (Pool::new(), Pool::new()),
            proofs: BTreeSet::from([root]),
            floor: SlotRoot::first_of(0),
            mode: PruneMode::Archive,
            states_floor: 0,
            bodies_floor: 0,
            voting: Voting { participation: 90, votes_max: 3 },
            figures: Figures::default(),
            doing: "begin",
        }
    }

    pub fn chain(&self) -> &Arc<Chain> {
        self.chain.as_ref().unwrap()
    }

    pub fn importer(&self) -> Importer {
        Importer::new(Arc::clone(self.chain()), Arc::new(Trust))
    }

    pub fn is_live(&self, root: &Root) -> bool {
        self.naive.blocks.contains_key(root)
    }

    /// Blocks of the tree, oldest slot first.
    pub fn live(&self) -> Vec<Root> {
        let mut live: Vec<_> = self.naive.blocks.values().map(|b| (b.slot, b.root)).collect();
        live.sort_unstable();
        live.into_iter().map(|(_, root)| root).collect()
    }

    /// Offers a block and holds the outcome against the model's.
    pub fn import(&mut self, root: Root) {
        let signed = self.blocks.get(&root).signed.clone();
        if self.is_live(&root) {
            let unchanged = self.mark();
            let outcome = self.importer().import(signed).unwrap();
            assert!(matches!(outcome, Imported::Known(known) if known == root), "{outcome:?}");
            assert_eq!(self.mark(), unchanged, "a known block changes nothing");
        } else if !self.is_live(&signed.block.parent_root) {
            self.refuse(signed, RejectionReason::UnknownParentBlock);
        } else {
            let outcome = self.importer().import(signed).unwrap();
            let Imported::New(new) = outcome else { panic!("{root} was not known: {outcome:?}") };
            assert_eq!(new.root, root);
            self.imported_now(&[root], &new.persisted);
        }
    }

    /// Offers a bad block: it is refused for this reason, and nothing has changed, on disk or in memory.
    pub fn refuse(&mut self, signed: SignedBlock, expected: RejectionReason) {
        let before = self.digest();
        let outcome = self.importer().import(signed);
        self.refused(outcome.map(drop), expected);
        assert_eq!(self.digest(), before, "a refused block changed the disk");
    }

    /// As [`Run::refuse`], for blocks in one transaction.
    pub fn refuse_batch(&mut self, blocks: Vec<SignedBlock>, expected: RejectionReason) {
        let before = self.digest();
        let outcome = self.importer().import_batch(blocks);
        self.refused(outcome.map(drop), expected);
        assert_eq!(self.digest(), before, "a refused batch changed the disk");
    }

    fn refused(&mut self, outcome: Result<(), ImportError>, expected: RejectionReason) {
        match outcome {
            Err(ImportError::Rejected { reason, .. }) => assert_eq!(reason, expected),
            other => panic!("expected {expected}, got {other:?}"),
        }
        self.figures.refused += 1;
    }

    /// Offers blocks, each the child of the one before, in one transaction.
    pub fn import_batch(&mut self, roots: &[Root]) {
        let signed = roots.iter().map(|root| self.blocks.get(root).signed.clone()).collect();
        let new: Vec<_> = roots.iter().copied().filter(|root| !self.is_live(root)).collect();
        let outcome = self.importer().import_batch(signed).unwrap();
        match outcome {
            None => assert_eq!(new, []),
            Some(persisted) => self.imported_now(&new, &persisted),
        }
    }

    /// The model's side of an import.
    fn imported_now(&mut self, roots: &[Root], persisted: &Persisted) {
        assert_eq!(persisted.imported, roots);
        let before = self.naive.clone();
        for root in roots {
            let votes = self.blocks.votes(root);
            self.naive.on_block(self.blocks.get(root).summary, &votes);
            self.figures.anchors += u64::from(self.is_anchor(root));
        }
        let kept: BTreeSet<_> = self.naive.chain(self.naive.head).iter().map(|b| b.root).collect();
        let left = before.chain(before.head).iter().filter(|b| !kept.contains(&b.root)).count();
        assert_eq!(persisted.reorg_depth, left, "blocks that left the head's chain");
        let pruned = self.naive.prune(PRUNED_NODES_MAX);
        assert_eq!(persisted.pruned_nodes, pruned);
        self.imported.extend(roots);
        self.proofs.extend(roots);
        self.figures.blocks += roots.len() as u64;
        self.figures.pruned_nodes += pruned as u64;
        self.moved(&before);
        let deleted = self.prune_proofs();
        assert_eq!(persisted.pruned_signatures.as_ref().unwrap().deleted, deleted);
        self.prune_states();
        let step = persisted.pruned_states.as_ref().unwrap();
        assert!(self.mode == PruneMode::Archive || step.floor == self.states_floor, "{step:?}");
    }

    fn is_anchor(&self, root: &Root) -> bool {
        let block = self.blocks.get(root).summary;
        block.slot / 1024 > self.blocks.get(&block.parent_root).summary.slot / 1024
    }

    /// Something was committed: what the pools hold is on disk.
    pub fn moved(&mut self, before: &Naive) {
        self.durable = (self.naive.known.clone(), self.naive.pending.clone());
        self.figures.reorgs += u64::from(
            before.head != self.naive.head
                && !self.blocks.chain(self.naive.head).iter().any(|b| b.root == before.head),
        );
        self.figures.finality_moved_back +=
            u64::from(self.naive.finalized.slot < before.finalized.slot);
    }

    fn prune_proofs(&mut self) -> usize {
        let tip = self.blocks.get(&self.naive.head).summary.slot;
        let cutoff = tip.saturating_sub(self.settings.signature_window_slots);
        // Whole steps: up to 32 slots, a 64th of the window.
        let step = (self.settings.signature_window_slots / 64).clamp(1, 32);
        let cutoff = cutoff / step * step;
        if cutoff > self.naive.finalized.slot || cutoff <= self.floor.slot {
            return 0;
        }
        let key = |root: &Root| SlotRoot::new(self.blocks.get(root).summary.slot, *root);
        let mut below: Vec<_> = self.proofs.iter().map(key).collect();
        below.retain(|key| *key >= self.floor && key.slot < cutoff);
        below.sort_unstable();
        let next = below.get(self.settings.prune_rows_max).copied();
        below.truncate(self.settings.prune_rows_max);
        for key in &below {
            self.proofs.remove(&key.root);
        }
        self.floor = next.unwrap_or(SlotRoot::first_of(cutoff));
        let deleted = below.len();
        self.figures.full_prune_steps += u64::from(next.is_some());
        self.figures.pruned_proofs += deleted as u64;
        deleted
    }

    /// Whole segments that finality and the tree's root have passed.
    fn prune_states(&mut self) {
        let finalized = self.naive.finalized.slot;
        let wanted = match self.mode {
            PruneMode::Archive => return,
            PruneMode::States(slots) => finalized.saturating_sub(slots),
            PruneMode::Light => finalized,
        };
        let root = self.naive.blocks[&self.naive.tree_root].slot;
        let floor = wanted.min(root) / 1024 * 1024;
        // A floor that the directory's first block has passed says nothing.
        if floor > self.states_floor.max(self.blocks.get(&self.blocks.bootstrap).summary.slot) {
            self.states_floor = floor;
        }
        let floor = floor.min(self.states_floor);
        if self.mode == PruneMode::Light && floor > self.bodies_floor {
            self.bodies_floor = floor;
            self.floor = self.floor.max(SlotRoot::first_of(floor));
            let blocks = &self.blocks;
            self.proofs.retain(|root| blocks.get(root).summary.slot >= floor);
        }
    }

    /// Closes the directory and goes on with it. The view must be the one that was stored.
    pub fn restart(&mut self) {
        let stored = self.stored_row();
        drop(self.chain.take().map(|chain| Arc::into_inner(chain).unwrap()));
        let resumed = Chain::resume(self.directory.path(), &self.identity, self.settings);
        let (chain, opened) = resumed.unwrap_or_else(|error| panic!("cannot go on: {error}"));
        assert!(!opened.created);
        assert_eq!(opened.fork_choice, stored);
        assert_eq!(ForkChoiceRow::of(&chain.fork_choice()), stored);
        assert_eq!(opened.live_blocks, self.naive.blocks.len());
        assert_eq!(opened.votes, self.durable.0.len() + self.durable.1.len());
        self.chain = Some(Arc::new(chain));
        (self.naive.known, self.naive.pending) = self.durable.clone();
        self.naive.time = stored.time;
        assert_eq!(self.naive.ghost_head(), self.naive.head, "the model is settled");
        self.figures.restarts += 1;
    }

    pub fn stored_row(&self) -> ForkChoiceRow {
        ForkChoiceRow::read(&self.chain().read().unwrap()).unwrap().unwrap()
    }

    /// Closes the chain and leaves its directory.
    pub fn close(mut self) -> (Blocks, Vec<Root>, BTreeSet<Root>, tempfile::TempDir) {
        self.chain = None;
        (self.blocks, self.imported, self.proofs, self.directory)
    }

    /// Number of the last transaction, and the view: cheap evidence that nothing happened.
    fn mark(&self) -> (u64, Root) {
        let transaction = self.chain().database().stats().unwrap().last_transaction;
        (transaction, self.chain().fork_choice().head())
    }

    /// Every stored byte, and the view.
    fn digest(&self) -> (u64, u64) {
        let mut hasher = DefaultHasher::new();
        let txn = self.chain().read().unwrap();
        for table in TABLES {
            for row in txn.raw_rows(table.name).unwrap().unwrap() {
                let row = row.unwrap();
                (table.name, row.key, row.stored).hash(&mut hasher);
            }
        }
        let view = self.chain().fork_choice().snapshot();
        let votes = view.votes.iter().map(|vote| hash_tree_root(&vote.data));
        let votes: Vec<_> = votes.collect();
        (view.blocks.len(), votes, view.safe_target, view.time).hash(&mut hasher);
        (hasher.finish(), self.mark().0)
    }
}

/// A chain that begins somewhere in the middle.
fn checkpoint(random: &mut Random, mut blocks: Blocks) -> Blocks {
    let voting = Voting { participation: 85, votes_max: 3 };
    let mut root = blocks.bootstrap;
    for _ in 0..random.between(1, 25) {
        let skip = if random.percent(15) { random.below(700) } else { random.below(3) };
        let slot = blocks.child_slot(random, &root, skip);
        root = blocks.build(random, root, slot, voting);
    }
    blocks.begin_at(root)
}
