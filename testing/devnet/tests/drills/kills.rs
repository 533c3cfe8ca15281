//! One node killed again and again while the others finalize.

use lamella_testing_devnet::{Network, log};
use lamella_types::{Root, Slot};

use crate::{FOUR, longer};

/// Slots that a kill takes at most on a busy machine: three of four nodes finalize on, and the fourth catches up.
const KILL_SLOTS: u64 = 40;

#[test]
fn a_killed_node_comes_back_where_it_was_and_fetches_only_what_it_missed() {
    drill(5);
}

/// Symptom: of a local network one node aggregated, and when it died nothing was finalized any more, with three quarters of
/// the validators voting.
/// Mechanism: lean-quickstart names one aggregator, and so did we. Fix: two nodes of a network made here aggregate.
#[test]
fn finality_goes_on_when_an_aggregator_dies() {
    let mut network = Network::make(FOUR);
    network.start_all();
    network.wait("all finalize", |views| views.iter().all(|view| view.finalized_slot > 0));
    for aggregator in [0, 1] {
        network.kill(aggregator);
        let died = network.slot();
        network.wait("the others finalize without it", |views| {
            views.len() == 3 && views.iter().all(|view| view.finalized_slot > died)
        });
        network.start(aggregator);
        network.wait("it comes back", |views| {
            views.len() == 4 && views.iter().all(|view| view.head == views[0].head)
        });
    }
    network.stop_and_verify_all();
}

/// So many kills.
pub fn drill(kills: u64) {
    // Given four nodes that finalize.
    let mut network = Network::make(longer(FOUR, KILL_SLOTS * kills));
    network.start_all();
    network.wait("all finalize", |views| views.iter().all(|view| view.finalized_slot > 0));
    let victim = 3;
    for round in 0..kills {
        // When one is killed, at another moment of a slot each time,
        let head = network.view(victim).unwrap().head_slot;
        let lines = network.logged(victim).lines().count();
        network.until("it goes on", |network| {
            let moved = network.view(victim)?.head_slot > head;
            let more = network.logged(victim).lines().count() as u64 > lines as u64 + round;
            (moved && more).then_some(())
        });
        let acknowledged = log::last_head_slot(&network.kill(victim)).unwrap();
        let had = network.blocks(victim);
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
        // and has neither asked for nor imported what it had. A block of its own that nobody got may be beside the
        // others' chain, so what it had of that is looked for.
        let is_shared = |(slot, root): &&(Slot, Root)| {
            let served = network.client(0).header(slot).unwrap();
            served.is_some_and(|(served, _)| served == *root)
        };
        let (shared, _) = had.iter().rev().find(is_shared).unwrap();
        let log = network.logged(victim);
        let (starts, roots) = log::asked_for(&log);
        assert!(!starts.is_empty() || !roots.is_empty());
        let imported = log::imported_slots(&log);
        let again = imported.iter().chain(&starts).find(|slot| *slot <= shared);
        assert_eq!(again, None, "round {round}: it had up to {shared}");
        let again = had.iter().find(|(_, root)| roots.contains(root));
        assert_eq!(again, None, "round {round}");
    }
    let finalized = network.views().unwrap().iter().map(|view| view.finalized_slot).min().unwrap();
    network.stop_and_verify_all();
    (1..4).for_each(|other| network.same_chain(0, other, 0, finalized));
}
