//! Anchors, history and registry of a whole chain, 2^18 slots, at the largest registry.
//!
//! The states are made up (random block roots, finality two slots behind), so that nobody has to import 262,144
//! blocks; what is written for each of them is what the first block after every 1,024 slots writes.

use std::sync::Arc;

use lamella_benches::{Finality, LARGE, Random, anchor};
use lamella_state_store::{ANCHOR_INTERVAL_SLOTS, PreparedState};
use lamella_tables::{Database, Durability, OpenMode, Options};
use lamella_testing_sizes::DiskBytes;
use lamella_types::{BlockHeader, Checkpoint, State, limits::HISTORICAL_ROOTS_LIMIT};

/// Anchors of the longest chain: one for each interval, the last at slot 2^18.
const ANCHORS: u64 = HISTORICAL_ROOTS_LIMIT as u64 / ANCHOR_INTERVAL_SLOTS;

/// Limit of the three tables together. The history is 8.4 MB; full states would be 1.2 GB.
const BYTES_MAX: u64 = 14_000_000;

/// The state an interval later.
fn next_anchor(state: &State, random: &mut Random) -> State {
    let mut history = state.historical_block_hashes.clone();
    for _ in 0..ANCHOR_INTERVAL_SLOTS {
        history.push(random.root()).unwrap();
    }
    let slot = state.slot + ANCHOR_INTERVAL_SLOTS;
    let at = |slot| Checkpoint { root: history.get(slot).unwrap(), slot };
    State {
        slot,
        latest_block_header: BlockHeader {
            slot,
            parent_root: history.get(slot - 1).unwrap(),
            ..state.latest_block_header
        },
        latest_justified: at(slot - 1),
        latest_finalized: at(slot - 2),
        historical_block_hashes: history,
        ..state.clone()
    }
}

#[test]
fn anchors_history_and_registry_of_a_whole_chain() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Create) };
    let database = Database::open(directory.path(), options).unwrap();
    let mut random = Random::new(7);
    let mut state = State::clone(&anchor(LARGE, ANCHOR_INTERVAL_SLOTS, Finality::Healthy).state);
    for index in 1..=ANCHORS {
        let header = BlockHeader { state_root: state.root(), ..state.latest_block_header };
        let prepared = PreparedState::bootstrap(header.root(), &header, Arc::new(state.clone()));
        let mut txn = database.write().unwrap();
        prepared.unwrap().put(&mut txn).unwrap();
        txn.commit().unwrap();
        if index < ANCHORS {
            state = next_anchor(&state, &mut random);
        }
    }
    assert_eq!(state.slot, HISTORICAL_ROOTS_LIMIT as u64);
    let disk = DiskBytes::of(&database);
    let [anchors, history, registry] =
        ["Anchors", "History", "Registries"].map(|table| disk.table(table));
    println!("{ANCHORS} anchors {anchors} B, history {history} B, registry {registry} B");
    assert_eq!(disk.live(), anchors + history + registry, "nothing else was written");
    assert!(disk.live() <= BYTES_MAX, "{} B", disk.live());
}
