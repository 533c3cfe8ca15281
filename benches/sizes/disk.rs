//! Bytes on disk of a whole chain of states, and of a healthy slot.

use std::sync::Arc;

use lamella_benches::{
    BenchChain, BlockSource, Finality, LARGE, Random, SHORT, anchor, figures::record,
    sweep::HISTORIES,
};
use lamella_state_store::{ANCHOR_INTERVAL_SLOTS, PreparedState};
use lamella_tables::{Database, DatabaseView, Durability, OpenMode, Options, Read as _};
use lamella_types::{BlockHeader, Checkpoint, State, limits::HISTORICAL_ROOTS_LIMIT};

use crate::diffs::MeanBytes;

/// Slots of the longest chain.
const SLOTS_MAX: u64 = HISTORICAL_ROOTS_LIMIT as u64;

/// Blocks of the chain whose slots are weighed: two anchor intervals.
const BLOCKS: usize = 2_048;

/// Blocks before them, after which a healthy chain holds as many live blocks as it ever will.
const WARM_UP_BLOCKS: usize = 1_100;

/// Anchors, history and registry as they are stored, up to each length of the chain; and what all its states take by
/// this and by other designs: a diff for each slot beside them, full snapshots with walked diffs, and a full state for
/// each slot.
pub fn over_history(diff_bytes: &MeanBytes) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Create) };
    let database = Database::open(directory.path(), options).unwrap();
    let mut random = Random::new(7);
    let mut state = State::clone(&anchor(LARGE, ANCHOR_INTERVAL_SLOTS, Finality::Healthy).state);
    let (mut snapshots_bytes, mut full_bytes) = (0, 0);
    loop {
        let header = BlockHeader { state_root: state.root(), ..state.latest_block_header };
        let prepared = PreparedState::bootstrap(header.root(), &header, Arc::new(state.clone()));
        let mut txn = database.write().unwrap();
        prepared.unwrap().put(&mut txn).unwrap();
        txn.commit().unwrap();
        let ssz_bytes = state.to_ssz().len() as u64;
        snapshots_bytes += ssz_bytes;
        // The states of the interval before this one, half an interval's history shorter on average.
        full_bytes += ANCHOR_INTERVAL_SLOTS * (ssz_bytes - ANCHOR_INTERVAL_SLOTS * 32 / 2);
        let slot = state.slot;
        if slot == SLOTS_MAX || HISTORIES.contains(&slot) {
            let anchors = table_bytes(&database) as f64;
            record(&format!("disk/anchors_history_registry/{slot}"), anchors);
            record(&format!("disk/baseline_snapshots/{slot}"), snapshots_bytes as f64);
            let with = |parts: f64, diff_bytes: f64| parts + diff_bytes * slot as f64;
            record(&format!("disk/all_states/{slot}"), with(anchors, diff_bytes.ours));
            let linear = with(snapshots_bytes as f64, diff_bytes.linear);
            record(&format!("disk/baseline_all_states_linear/{slot}"), linear);
            record(&format!("disk/baseline_all_states_full/{slot}"), full_bytes as f64);
        }
        if slot == SLOTS_MAX {
            return;
        }
        state = next_anchor(&state, &mut random);
    }
}

/// The state an interval later, on random blocks.
fn next_anchor(state: &State, random: &mut Random) -> State {
    let mut history = state.historical_block_hashes.clone();
    for _ in 0..ANCHOR_INTERVAL_SLOTS {
        history.push(random.root()).unwrap();
    }
    let slot = state.slot + ANCHOR_INTERVAL_SLOTS;
    let at = |slot| Checkpoint { root: history.get(slot).unwrap(), slot };
    let parent_root = history.get(slot - 1).unwrap();
    State {
        slot,
        latest_block_header: BlockHeader { slot, parent_root, ..state.latest_block_header },
        latest_justified: at(slot - 1),
        latest_finalized: at(slot - 2),
        historical_block_hashes: history,
        ..state.clone()
    }
}

/// Bytes of the pages of every table but those of block proofs.
fn table_bytes(database: &DatabaseView) -> u64 {
    let tables = database.read().unwrap().table_stats().unwrap();
    tables.iter().filter(|table| table.name != "Signatures").map(|table| table.bytes).sum()
}

/// Bytes of pages that a slot adds without its proof, and the file over what lives in it.
pub fn healthy_slot() {
    let bootstrap = anchor(LARGE, SHORT, Finality::Healthy);
    let mut source = BlockSource::new(&bootstrap.state, Finality::Healthy);
    let chain = BenchChain::begin(bootstrap, Durability::Lazy);
    chain.import_all(source.take(WARM_UP_BLOCKS));
    let database = chain.chain.database();
    let tables = |database: &DatabaseView| database.read().unwrap().table_stats().unwrap();
    let before = tables(database);
    chain.import_all(source.take(BLOCKS));
    let mut total = 0.0;
    for (before, after) in before.iter().zip(tables(database)) {
        let per_slot = (after.bytes as f64 - before.bytes as f64) / BLOCKS as f64;
        record(&format!("disk/bytes_per_healthy_slot/{}", after.name), per_slot);
        if after.name != "Signatures" {
            total += per_slot;
        }
    }
    record("disk/bytes_per_healthy_slot/without_signatures", total);
    let live: u64 = tables(database).iter().map(|table| table.bytes).sum();
    let file = database.stats().unwrap().file_bytes;
    record("disk/file_over_live_bytes", file as f64 / live as f64);
}
