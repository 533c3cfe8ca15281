//! Rows that rot under a running node.

use lamella_tables::{Bodies, Database, Key as _, OpenMode, Options, Signatures, Table as _};
use lamella_testing_devnet::{Network, NetworkPlan};

use crate::TWO;

/// A reading every 3.6 seconds.
const PLAN: NetworkPlan = NetworkPlan { flags: &["--scrub-hours", "0.001"], ..TWO };

/// Symptom: a body that rotted on disk was met when somebody asked for it, perhaps years later, and nobody had it any more.
/// Mechanism: nothing read the store but requests.
/// Fix: the store is read whole time and again; what rotted is made again from other rows, or fetched from peers, who
/// still have it, and believed by its hash.
#[test]
fn rows_that_rotted_are_found_and_fetched_from_a_peer_while_the_node_runs() {
    let mut network = Network::make(PLAN);
    network.start_all();
    // What rots is of two of these, so the other one has it.
    network.until("seven blocks are final", |network| {
        let finalized = network.views()?.iter().map(|view| view.finalized_slot).min()?;
        let blocks = network.blocks(1).into_iter().filter(|(slot, _)| *slot <= finalized);
        (blocks.count() > 6).then_some(())
    });
    network.stop(1);
    let before = rot(&network, 1);
    network.start(1);
    for said in [
        "Scrubbing found damage",
        "A block that was damaged is whole again",
        "A proof that was bad or missing is good now",
        "Read the whole store: nothing is wrong",
    ] {
        network.until(said, |network| network.logged(1).contains(said).then_some(()));
    }
    let scraped = network.client(1).metrics().unwrap();
    let value = |name: &str| -> f64 {
        let line = scraped.text().lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name}")).rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    for name in ["runs_total", "checks_total", "findings_total", "repaired_rows_total"] {
        assert!(value(&format!("lean_scrub_{name}")) > 0.0, "{name}");
    }
    assert!(value("lean_scrub_last_end_time_seconds") > 0.0);
    network.stop(1);
    network.verify(1);
    assert!(rows(&network, 1).into_iter().take(before.len()).eq(before), "the rows that they were");
    network.start(1);
    network.stop_and_verify_all();
}

type Row = (&'static str, Vec<u8>, Vec<u8>);

fn rows(network: &Network, index: usize) -> Vec<Row> {
    let path = network.data_dir(index).join("db");
    let database = Database::open(&path, Options::new(OpenMode::Existing)).unwrap();
    let txn = database.read().unwrap();
    let of = |(table, skipped): (&'static str, usize)| {
        let rows = txn.raw_rows(table).unwrap().unwrap().map(Result::unwrap);
        rows.skip(skipped).take(1).map(|row| (table, row.key, row.stored)).collect::<Vec<_>>()
    };
    // Of two blocks.
    [(Bodies::NAME, 2), (Signatures::NAME, 6)].into_iter().flat_map(of).collect()
}

/// Flips a bit in one body and one proof of a stopped node; what they were.
fn rot(network: &Network, index: usize) -> Vec<Row> {
    let before = rows(network, index);
    assert_eq!(before.len(), 2);
    let path = network.data_dir(index).join("db");
    let database = Database::open(&path, Options::new(OpenMode::Existing)).unwrap();
    let mut txn = database.write().unwrap();
    for (table, key, stored) in &before {
        assert!(lamella_tables::SlotRoot::decode(key).is_some_and(|key| key.slot > 0));
        let mut rotten = stored.clone();
        rotten[stored.len() / 2] ^= 8;
        txn.put_raw(table, key, &rotten).unwrap();
    }
    txn.commit().unwrap();
    before
}
