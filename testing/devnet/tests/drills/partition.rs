//! Two against two.

use lamella_testing_devnet::Network;

use crate::FOUR;

/// Slots of the partition. Connections die of 10 s of silence, so both sides know that they are alone.
const SLOTS: u64 = 24;

/// Slots after the cut in which votes that were already everywhere may still finalize.
const SETTLING_SLOTS: u64 = 4;

#[test]
fn halves_do_not_finalize_and_become_one_chain_again() {
    // Given four nodes that finalize.
    let mut network = Network::make(FOUR);
    network.start_all();
    network.wait("all finalize", |views| views.iter().all(|view| view.finalized_slot >= 2));

    // When the links between the first two and the last two are cut,
    network.set_cut(&[0, 1], &[2, 3], true);
    let cut_at = network.slot();
    let until_slot = |network: &mut Network, target| {
        network.until("slots pass", |network| (network.slot() >= target).then_some(()));
    };
    until_slot(&mut network, cut_at + SETTLING_SLOTS);
    let before = network.views().unwrap();
    until_slot(&mut network, cut_at + SLOTS);
    let after = network.views().unwrap();

    // then no side finalizes, and they are not on one head.
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.finalized_slot, after.finalized_slot);
    }
    assert_ne!(after[0].head, after[2].head);
    assert_eq!((after[0].peers, after[2].peers), (1, 1));

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
