//! One node killed again and again while the others finalize.

use std::{thread, time::Duration};

use lamella_testing_devnet::{Network, log};
use lamella_types::{Root, Slot};

use crate::{FOUR, TWO, longer};

/// Slots that a kill takes at most on a busy machine: three of four nodes finalize on, and the fourth catches up.
const KILL_SLOTS: u64 = 40;

#[test]
fn a_killed_node_comes_back_where_it_was_and_fetches_only_what_it_missed() {
    drill(5);
}

/// Kills of each of two followers, at random instants: of the start, of recovery, of catching up, of an import.
const RANDOM_KILLS: u64 = 30;

/// Longest life until a kill. A start takes some tenths of a second.
const LIFE_MS_MAX: u64 = 900;

/// One of them commits lazily. Whatever a kill leaves, the next start finds what was acknowledged, and in the end both are
/// on the validators' finalized chain.
#[test]
fn followers_killed_at_any_instant_come_to_the_finalized_chain() {
    let mut network = Network::make(longer(TWO, 8 * RANDOM_KILLS));
    let victims = ["durable", "lazy"].map(|name| network.add_follower(name));
    let flags: [&[&str]; 2] = [&[], &["--lazy-commits"]];
    network.spawn(0, &[]);
    network.spawn(1, &[]);
    network
        .wait("the validators finalize", |views| views.iter().all(|view| view.finalized_slot > 0));
    let (mut dice, mut acknowledged, mut found_again) = (0x5eed_u64, [0; 2], 0);
    for round in 0..RANDOM_KILLS {
        for (victim, flags) in victims.iter().zip(flags) {
            network.spawn(*victim, flags);
        }
        for (victim, acknowledged) in victims.iter().zip(&mut acknowledged) {
            // Knuth's MMIX: the same lives in each run.
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            thread::sleep(Duration::from_millis((dice >> 33) % LIFE_MS_MAX));
            let log = network.kill(*victim);
            let started = log.lines().find(|line| line.contains(" Started "));
            if let Some(found) = started.and_then(|line| log::field(line, "head_slot")) {
                let found: Slot = found.parse().unwrap();
                assert!(found >= *acknowledged, "round {round}: {found} < {acknowledged}");
                found_again += 1;
            }
            // The last, not the highest: a head's slot may fall in a reorg.
            *acknowledged = log::last_head_slot(&log).unwrap_or(*acknowledged);
        }
    }
    assert!(found_again > RANDOM_KILLS / 2, "of {RANDOM_KILLS} kills {found_again} came late");
    for (victim, flags) in victims.iter().zip(flags) {
        network.spawn(*victim, flags);
    }
    network.wait("all are where the validators are", |views| {
        views.len() == 4 && views.iter().all(|view| view.head == views[0].head)
    });
    let finalized = network.views().unwrap().iter().map(|view| view.finalized_slot).min().unwrap();
    network.stop_and_verify_all();
    victims.iter().for_each(|victim| network.same_chain(0, *victim, 0, finalized));
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
        // others' chain: what it had of that is looked for, and it steps back to find where it left that.
        let is_shared = |(slot, root): &&(Slot, Root)| {
            let served = network.client(0).header(slot).unwrap();
            served.is_some_and(|(served, _)| served == *root)
        };
        let (shared, _) = had.iter().rev().find(is_shared).unwrap();
        let log = network.logged(victim);
        let (starts, roots) = log::asked_for(&log);
        assert!(!starts.is_empty() || !roots.is_empty());
        let imported = log::imported_slots(&log);
        let is_beside = had.last().is_some_and(|(slot, _)| slot != shared);
        let before_steps = if is_beside { starts.len().min(1) } else { starts.len() };
        let again = imported.iter().chain(&starts[..before_steps]).find(|slot| *slot <= shared);
        assert_eq!(again, None, "round {round}: it had up to {shared}");
        let again = had.iter().find(|(_, root)| roots.contains(root));
        assert_eq!(again, None, "round {round}");
    }
    let finalized = network.views().unwrap().iter().map(|view| view.finalized_slot).min().unwrap();
    network.stop_and_verify_all();
    (1..4).for_each(|other| network.same_chain(0, other, 0, finalized));
}
