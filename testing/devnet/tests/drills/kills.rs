//! One node killed again and again while the others finalize.

use lamella_testing_devnet::log;

use crate::FOUR;
use lamella_testing_devnet::Network;

/// Kills of one drill.
const KILLS: u64 = 5;

#[test]
fn a_killed_node_comes_back_where_it_was_and_fetches_only_what_it_missed() {
    // Given four nodes that finalize.
    let mut network = Network::make(FOUR);
    network.start_all();
    network.wait("all finalize", |views| views.iter().all(|view| view.finalized_slot > 0));
    let victim = 3;
    for round in 0..KILLS {
        // When one is killed, at another moment of a slot each time,
        let head = network.view(victim).unwrap().head_slot;
        let lines = network.logged(victim).lines().count();
        network.until("it goes on", |network| {
            let moved = network.view(victim)?.head_slot > head;
            let more = network.logged(victim).lines().count() as u64 > lines as u64 + round;
            (moved && more).then_some(())
        });
        let acknowledged = log::last_head_slot(&network.kill(victim)).unwrap();
        // the others go on finalizing.
        network.wait("the others finalize without it", |views| {
            views.len() == 3 && views.iter().all(|view| view.finalized_slot > acknowledged)
        });
        // Then it comes back where it was,
        network.start(victim);
        let resumed = network.resumed_at(victim);
        assert!(resumed >= acknowledged, "round {round}: {resumed} < {acknowledged}");
        // is where the others are soon,
        network.wait("it catches up", |views| {
            views.len() == 4 && views.iter().all(|view| view.head == views[0].head)
        });
        // and has imported no block a second time.
        let imported = log::imported_slots(&network.logged(victim));
        let again = imported.iter().find(|slot| **slot <= resumed);
        assert_eq!(again, None, "round {round}: resumed at {resumed}");
        assert!(!imported.is_empty());
    }
    let finalized = network.views().unwrap().iter().map(|view| view.finalized_slot).min().unwrap();
    network.stop_and_verify_all();
    (1..4).for_each(|other| network.same_chain(0, other, 0, finalized));
}
