//! Builds the chain, reads it back cold, checks its invariants, restarts it, and comes to its end. With
//! `-- --nocapture` it says how long each took and how large the file is: 741 bytes a slot, 58 of them rows of empty
//! proofs.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use lamella::import::{BATCH_BLOCKS_MAX, ImportError, Importer};
use lamella_benches::{Random, SMALL, registry};
use lamella_block_store as block_store;
use lamella_chain::{Bootstrap, Chain, Identity, Settings, verify};
use lamella_state_transition::{BlockRequest, build_block, state_transition};
use lamella_tables::{Durability, Read as _};
use lamella_types::{
    Block, RejectionReason, Root, Slot, State, genesis_state, hash_tree_root, latest_block_root,
    limits::{CHAIN_LAST_SLOT, SLOT_MS},
};
use lamella_xmss::scheme::{ProofScheme as _, Trust};
use tempfile::TempDir;

use crate::{
    archive,
    script::{STALL, Script, unproved},
};

/// Slot of the last block that a chain can have: its history holds a root for each slot before.
pub const LAST_SLOT: Slot = CHAIN_LAST_SLOT;

/// Slots behind the head at which a healthy chain is finalized.
const FINALITY_SLOTS: u64 = 2;

/// Slots after a stall, or after empty slots, within which finality has caught up with the head.
const RECOVERY_SLOTS: u64 = 400;

/// States that are kept whole beside the store, one in so many slots, to compare with what it gives back.
const KEPT_EVERY_SLOTS: u64 = 4_099;

/// Cold reads of slots drawn at random.
const RANDOM_READS: usize = 2_000;

struct LongChain {
    chain: Arc<Chain>,
    importer: Importer,
    identity: Identity,
    settings: Settings,
    directory: TempDir,
}

impl LongChain {
    fn begin(genesis: &State) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { durability: Durability::Lazy, ..Settings::default() };
        let bootstrap = Bootstrap::genesis(genesis.clone());
        let created = Chain::create(directory.path(), bootstrap, Trust.name(), settings);
        let chain = Arc::new(created.unwrap().0);
        let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
        let identity = Identity::of(genesis, Trust.name(), SLOT_MS);
        Self { chain, importer, identity, settings, directory }
    }

    fn reopen(self) -> Self {
        let Self { chain, importer, identity, settings, directory } = self;
        drop(importer);
        assert_eq!(Arc::strong_count(&chain), 1, "the database closes");
        drop(chain);
        let (chain, opened) = Chain::resume(directory.path(), &identity, settings).unwrap();
        assert!(!opened.created);
        let chain = Arc::new(chain);
        let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
        Self { chain, importer, identity, settings, directory }
    }

    fn canonical_root(&self, slot: Slot) -> Option<Root> {
        block_store::canonical_root(&self.chain.read().unwrap(), slot).unwrap()
    }

    /// Reads the state of a slot past every cache of states, and holds it to its block's own words.
    fn read_cold(&self, slot: Slot) -> Option<Arc<State>> {
        let root = self.canonical_root(slot)?;
        self.chain.states().clear_states();
        let state = self.chain.state(&root).unwrap().unwrap();
        let header = block_store::header(&self.chain.read().unwrap(), &root).unwrap().unwrap();
        assert_eq!(state.root(), header.state_root, "slot {slot}");
        assert_eq!(latest_block_root(&state), root, "slot {slot}");
        assert_eq!((state.slot, state.historical_block_hashes.len() as u64), (slot, slot));
        Some(state)
    }
}

/// Imports the whole script. Gives the states kept on the way.
fn build(long: &LongChain, script: &mut Script) -> Vec<State> {
    let mut kept = Vec::new();
    let mut unsettled_until = 3;
    let started = Instant::now();
    let mut importing = Duration::ZERO;
    loop {
        let before = script.state().slot;
        let blocks = script.take(BATCH_BLOCKS_MAX);
        let Some(last) = blocks.last().map(|block| hash_tree_root(&block.block)) else { break };
        let count = blocks.len();
        let began = Instant::now();
        let persisted = long.importer.import_batch(blocks).unwrap().unwrap();
        importing += began.elapsed();
        assert_eq!((persisted.imported.len(), persisted.after.head()), (count, last));

        let state = script.state();
        if STALL.start <= state.slot && before < STALL.end {
            unsettled_until = state.slot + RECOVERY_SLOTS;
        }
        if state.slot > unsettled_until {
            let lag = state.slot - persisted.after.latest_finalized().slot;
            assert!(lag <= RECOVERY_SLOTS, "slot {} is {lag} slots ahead of finality", state.slot);
        }
        if before / KEPT_EVERY_SLOTS != state.slot / KEPT_EVERY_SLOTS {
            kept.push(state.clone());
        }
    }
    println!("built in {:?}, of that import {importing:?}", started.elapsed());
    kept
}

#[test]
fn the_longest_chain_is_kept_whole_and_ends_with_a_rejection() {
    let genesis = genesis_state(1_700_000_000, registry(SMALL));
    let mut script = Script::new(&genesis, LAST_SLOT);
    let long = LongChain::begin(&genesis);
    let kept = build(&long, &mut script);
    check_size(&long);

    let long = long.reopen();
    let head = *long.chain.fork_choice().head_summary();
    assert_eq!((head.slot, head.root), (LAST_SLOT, latest_block_root(script.state())));
    assert_eq!(LAST_SLOT - head.finalized.slot, FINALITY_SLOTS);
    check_reads(&long, &kept);
    check_invariants(&long);
    check_end(&long, script.state());
}

/// Minutes more, so not with the others but in `make torture`.
#[test]
#[ignore = "builds the chain once more"]
fn the_longest_chain_comes_back_from_its_archive_row_by_row() {
    let genesis = genesis_state(1_700_000_000, registry(SMALL));
    let mut script = Script::new(&genesis, LAST_SLOT);
    let long = LongChain::begin(&genesis);
    build(&long, &mut script);
    archive::check(&long.chain);
}

fn check_size(long: &LongChain) {
    let database = long.chain.database();
    let (stats, tables) = (database.stats().unwrap(), database.read().unwrap().table_stats());
    let live: u64 = tables.unwrap().iter().map(|table| table.bytes).sum();
    // The file itself is longer: under lazy commits it grows by 32 MiB at a time.
    println!("used {} B, tables {live} B: {} B a slot", stats.used_bytes, live / LAST_SLOT);
    assert!(stats.used_bytes * 100 <= live * 110, "{} B for {live} B", stats.used_bytes);
}

fn check_reads(long: &LongChain, kept: &[State]) {
    let started = Instant::now();
    for expected in kept {
        assert_eq!(*long.read_cold(expected.slot).unwrap(), *expected);
    }
    let mut random = Random::new(8);
    let mut found = 0;
    for _ in 0..RANDOM_READS {
        let slot = random.number() % (LAST_SLOT + 1);
        let state = long.read_cold(slot);
        // A slot is empty here exactly if every later state says so.
        let recorded = kept.last().unwrap().historical_block_hashes.get(slot);
        if let Some(recorded) = recorded {
            assert_eq!(state.is_none(), recorded.is_zero(), "slot {slot}");
        }
        found += usize::from(state.is_some());
    }
    println!("{} and {found} cold reads in {:?}", kept.len(), started.elapsed());
    assert!(found > RANDOM_READS * 9 / 10);
}

fn check_invariants(long: &LongChain) {
    let started = Instant::now();
    let report = verify(long.chain.database(), &mut |_| ControlFlow::Continue(())).unwrap();
    println!("{} checks in {:?}", report.check_count(), started.elapsed());
    assert_eq!(report.findings, []);
    assert!(report.is_clean());
    assert!(report.checks["S3"] > LAST_SLOT * 99 / 100, "{:?}", report.checks);
}

/// After the last slot there is no block: neither another's nor ours, and neither is worth a panic or a change.
fn check_end(long: &LongChain, last: &State) {
    let limit = RejectionReason::HistoryLimitReached;
    let next_slot = LAST_SLOT + 1;
    // Right in every way but its slot, as far as a block can be that no state follows.
    let block = Block {
        slot: next_slot,
        proposer_index: next_slot % SMALL,
        parent_root: latest_block_root(last),
        ..Block::default()
    };
    assert_eq!(state_transition(last, &block), Err(limit));

    let before = long.chain.fork_choice();
    let rejected = |outcome: ImportError| match outcome {
        ImportError::Rejected { reason, .. } => reason,
        other => panic!("{other}"),
    };
    let block = unproved(block);
    assert_eq!(rejected(long.importer.import(block.clone()).unwrap_err()), limit);
    assert_eq!(rejected(long.importer.import_batch(vec![block]).unwrap_err()), limit);
    assert!(Arc::ptr_eq(&before, &long.chain.fork_choice()), "nothing has changed");

    let request = BlockRequest {
        slot: next_slot,
        proposer_index: next_slot % SMALL,
        parent_root: latest_block_root(last),
        known_block: &|root| before.contains(root),
        participants_max: usize::MAX,
    };
    assert_eq!(build_block(last, &request, &[], &mut |_, _, _| None).err(), Some(limit));
}
