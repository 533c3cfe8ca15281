//! Page size of the database: the real import of blocks with proofs of three sizes.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use lamella_benches::{
    BenchChain, BlockSource, Finality, LARGE, SHORT, anchor, bare::written_bytes, directory,
    figures::record,
};
use lamella_chain::Settings;
use lamella_state_store::StateStore;
use lamella_tables::{Durability, Read as _, Signatures, SlotRoot};
use lamella_types::{Root, latest_block_root};
use lamella_xmss::scheme::Trust;

use crate::median_us;

/// Pages of the engine: its smallest sensible one is the system's.
const PAGES: [usize; 3] = [4 << 10, 8 << 10, 16 << 10];

/// Proofs: one XMSS signature, an aggregate of a small network, one of 4,096 validators.
const PROOFS: [usize; 3] = [3_000, 64 << 10, 190 << 10];

/// Blocks, each a commit of its own.
const BLOCKS: usize = 600;

pub fn profile() {
    for page_bytes in PAGES {
        for proof_bytes in PROOFS {
            measure(page_bytes, proof_bytes);
        }
    }
}

fn measure(page_bytes: usize, proof_bytes: usize) {
    let bootstrap = anchor(LARGE, SHORT, Finality::Healthy);
    let mut source = BlockSource::new(&bootstrap.state, Finality::Healthy);
    source.set_proof_bytes(proof_bytes);
    let settings =
        Settings { page_bytes: Some(page_bytes), ..directory::settings(Durability::Lazy) };
    let chain = BenchChain::begin_with(bootstrap, Arc::new(Trust), settings);
    let (mut imports, mut keys, mut written) = (Vec::new(), Vec::new(), 0);
    for _ in 0..BLOCKS {
        let block = source.next_signed();
        let before = written_bytes().unwrap_or(0);
        let started = Instant::now();
        chain.importer.import(block).unwrap();
        imports.push(started.elapsed());
        written += written_bytes().unwrap_or(0) - before;
        keys.push(SlotRoot::new(source.state().slot, latest_block_root(source.state())));
    }
    assert_eq!(chain.chain.fork_choice().head(), keys[BLOCKS - 1].root);
    let database = chain.chain.database();
    let tables = database.read().unwrap().table_stats().unwrap();
    let live: u64 = tables.iter().map(|table| table.bytes).sum();
    let payload: u64 = payload_bytes(&chain, &keys);
    let proofs = keys.iter().map(|key| proof_read(&chain, key, proof_bytes)).collect();
    let states = keys.iter().skip(BLOCKS / 2).map(|key| state_read(&chain, key.root)).collect();

    let figure = |what: &str, value: f64| {
        record(&format!("profiles/page/{page_bytes}/{proof_bytes}/{what}"), value);
    };
    figure("import_us", median_us(imports));
    figure("written_bytes", written as f64 / BLOCKS as f64);
    figure("pages_over_payload", live as f64 / payload as f64);
    figure("file_over_payload", database.stats().unwrap().file_bytes as f64 / payload as f64);
    figure("read_proof_us", median_us(proofs));
    figure("read_state_us", median_us(states));
}

/// Keys and values of every row.
fn payload_bytes(chain: &BenchChain, keys: &[SlotRoot]) -> u64 {
    let txn = chain.chain.read().unwrap();
    let mut total = 0;
    for table in lamella_tables::TABLES {
        for row in txn.raw_keys(table.name, &[]).unwrap().unwrap() {
            let row = row.unwrap();
            total += row.key.len() + row.stored_bytes;
        }
    }
    assert!(total > keys.len(), "rows");
    total as u64
}

fn proof_read(chain: &BenchChain, key: &SlotRoot, proof_bytes: usize) -> Duration {
    let txn = chain.chain.read().unwrap();
    let started = Instant::now();
    let found = black_box(txn.get::<Signatures>(key).unwrap().unwrap());
    let time = started.elapsed();
    assert!(found.0.len() >= proof_bytes, "the whole proof");
    time
}

/// A cold read of a state, its anchor in memory.
fn state_read(chain: &BenchChain, root: Root) -> Duration {
    let store = StateStore::default();
    let txn = chain.chain.read().unwrap();
    store.state(&txn, &root).unwrap();
    store.clear_states();
    let started = Instant::now();
    let state = store.state(&txn, &root).unwrap().unwrap();
    let time = started.elapsed();
    assert_eq!(latest_block_root(&state), root);
    time
}
