//! Nodes that come later.

use lamella_devnet::client::NodeView;
use lamella_testing_devnet::Network;

use crate::{TWO, longer};

/// Slots that are over when the joiner of a short drill comes.
const SLOTS: u64 = 30;

/// The joiner is where the others are, and they finalize on.
fn wait_for_joiner(network: &mut Network) {
    let finalized = network.view(0).unwrap().finalized_slot;
    network.wait("the joiner is where the others are", |views| {
        views.len() == 3
            && views
                .iter()
                .all(|view| view.head == views[0].head && view.finalized_slot > finalized)
    });
}

#[test]
fn a_joiner_from_genesis_gets_the_whole_chain() {
    from_genesis(SLOTS);
}

#[test]
fn a_joiner_by_checkpoint_keeps_its_beginning_when_started_without_the_flag() {
    by_checkpoint(SLOTS);
}

/// So many slots are over when the joiner comes.
pub fn from_genesis(slots: u64) {
    let mut network = Network::make(longer(TWO, slots));
    network.start_all();
    network.pass_slots(slots);
    network.wait("a chain to fetch", |views| views.iter().all(|view| view.head_slot >= slots));
    let joiner = network.add_follower("joiner");
    network.start(joiner);
    wait_for_joiner(&mut network);
    assert_eq!(network.client(joiner).database().unwrap().first_slot, 0);

    // Every state is there, byte for byte.
    let finalized = network.view(joiner).unwrap().finalized_slot;
    for slot in 0..=finalized {
        let [ours, theirs] = [joiner, 0].map(|node| network.client(node).state(slot).unwrap());
        assert_eq!(ours, theirs, "slot {slot}");
    }
    network.stop_and_verify_all();
    network.same_chain(0, joiner, 0, finalized);
}

/// The checkpoint is at this slot or later.
pub fn by_checkpoint(slots: u64) {
    let mut network = Network::make(longer(TWO, slots));
    network.start_all();
    network.pass_slots(slots);
    let is_over = |view: &NodeView| view.finalized_slot >= slots;
    network.wait("a chain to leave out", |views| views.iter().all(is_over));
    let url = network.client(0).url();
    let joiner = network.add_follower("joiner");
    network.start_with(joiner, &["--checkpoint-sync-url", &url]);
    wait_for_joiner(&mut network);
    let first_slot = network.client(joiner).database().unwrap().first_slot;
    assert!(first_slot >= slots, "{first_slot}");

    // Stopped and started again, it goes on from disk: nothing begins at genesis over it.
    network.stop(joiner);
    network.verify(joiner);
    network.start(joiner);
    assert!(network.resumed_at(joiner) > first_slot);
    assert_eq!(network.client(joiner).database().unwrap().first_slot, first_slot);
    wait_for_joiner(&mut network);

    let finalized = network.view(joiner).unwrap().finalized_slot;
    network.stop_and_verify_all();
    network.same_chain(0, joiner, first_slot, finalized);
}
