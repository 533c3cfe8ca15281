//! A proof that is bad on disk.

use lamella_tables::{Bytes, Database, Meta, MetaName, OpenMode, Options, Signatures, SlotRoot};
use lamella_testing_devnet::{Network, log};
use lamella_types::Slot;

use crate::TWO;

/// Symptom: a proof that a peer had spoilt, of a block that later votes proved, was marked and never served, for ever,
/// though every other node had the real one.
/// Mechanism: the audit marked it, and nobody asked for it again.
/// Fix: the block is asked for by root, checked, and its proof stored as the mark goes.
#[test]
fn a_proof_that_is_bad_is_fetched_again_and_served() {
    // Given a node with a bad proof that nobody has checked,
    let mut network = Network::make(TWO);
    network.start_all();
    let views =
        network.wait("both finalize", |views| views.iter().all(|view| view.finalized_slot > 2));
    let finalized = views.iter().map(|view| view.finalized_slot).min().unwrap();
    network.stop(1);
    let slot = spoil(&network, 1, finalized);

    // when it starts, finds that, and asks the other one,
    network.start(1);
    let said = "A proof that was bad or missing is good now";
    network.until(said, |network| network.logged(1).contains(said).then_some(()));

    // then it serves what the other one does, also after the next start.
    let logged = network.logged(1);
    let found = logged.lines().find(|line| line.contains("came with this block is bad")).unwrap();
    assert!(log::field(found, "block").is_some(), "{found}");
    for _ in 0..2 {
        let blocks = [0, 1].map(|index| network.client(index).block(slot).unwrap());
        assert!(blocks[0].is_some() && blocks[0] == blocks[1], "slot {slot}");
        network.stop(1);
        network.verify(1);
        network.start(1);
    }
    network.stop_and_verify_all();
}

/// Spoils the newest proof up to a slot that a stopped node has, as one that came with a run and that nobody has checked.
fn spoil(network: &Network, index: usize, last: Slot) -> Slot {
    let path = network.data_dir(index).join("db");
    let database = Database::open(&path, Options::new(OpenMode::Existing)).unwrap();
    let mut txn = database.write().unwrap();
    let (key, Bytes(mut proof)) = {
        let rows = lamella_tables::Read::scan::<Signatures>(&txn, SlotRoot::first_of(0)).unwrap();
        rows.map(Result::unwrap).take_while(|(key, _)| key.slot <= last).last().unwrap()
    };
    proof[100] ^= 1;
    txn.put::<Signatures>(&key, &Bytes(proof)).unwrap();
    let (first, end) = (key.slot.to_be_bytes(), (key.slot + 1).to_be_bytes());
    let unchecked = [&[1][..], &first, &end].concat();
    txn.put::<Meta>(&MetaName::new("unchecked_proofs"), &Bytes(unchecked)).unwrap();
    txn.commit().unwrap();
    key.slot
}
