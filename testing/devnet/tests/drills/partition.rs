//! Two against two.

use lamella_testing_devnet::Network;

use crate::{FOUR, longer};

#[test]
fn halves_do_not_finalize_and_become_one_chain_again() {
    drill(8);
}

/// The halves live apart for so many slots, once they know that they are.
pub fn drill(slots: u64) {
    // Given four nodes that finalize.
    let mut network = Network::make(longer(FOUR, slots));
    network.start_all();
    network.wait("all finalize", |views| views.iter().all(|view| view.finalized_slot >= 2));

    // When the links between the first two and the last two are cut,
    network.set_cut(&[0, 1], &[2, 3], true);
    let alone = "each node knows nobody but the other one of its half";
    let before = network.wait(alone, |views| views.iter().all(|view| view.peers == 1));
    network.pass_slots(slots);
    let after = network.views().unwrap();

    // then no side finalizes, and they are not on one head.
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.finalized_slot, after.finalized_slot);
    }
    assert_ne!(after[0].head, after[2].head);

    // When the links are healed,
    network.set_cut(&[0, 1], &[2, 3], false);
    // then there is one chain again, and it finalizes what came after.
    let healed_at = network.slot();
    network.wait("one chain finalizes", |views| {
        views
            .iter()
            .all(|view| view.finalized_slot > healed_at && view.finalized == views[0].finalized)
    });
    let finalized = network.views().unwrap().iter().map(|view| view.finalized_slot).min().unwrap();
    network.stop_and_verify_all();
    (1..4).for_each(|other| network.same_chain(0, other, 0, finalized));
}
