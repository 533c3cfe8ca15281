//! A node whose clock is wrong, in a network whose clocks are right.

use std::fs;

use lamella_testing_devnet::Network;
use lamella_types::Slot;

use crate::{FOUR, longer};

/// Slots that a drill takes beyond what it counts.
const SLOTS: u64 = 60;

#[test]
fn a_node_with_a_clock_that_is_behind_says_so_and_joins_when_it_is_set_right() {
    drill(12);
}

/// A clock that is so many slots behind, then as many ahead, then right.
pub fn drill(slots: u64) {
    // Given four nodes, of which the last one's clock is behind from its start on.
    let mut network = Network::make(longer(FOUR, SLOTS + 4 * slots));
    let (skew_ms, wrong) = (slots * FOUR.slot_ms, 3);
    let file = network.paths().root.join("skew");
    let set = |skew: String| fs::write(&file, skew).unwrap();
    set(format!("-{skew_ms}"));
    (0..wrong).for_each(|index| network.spawn(index, &[]));
    network.start_with(wrong, &["--clock-skew-file", file.to_str().unwrap()]);
    // Then the others finalize without it, and it says what is wrong.
    network.wait("the others finalize", |views| {
        views.iter().filter(|view| view.finalized_slot > 0).count() >= wrong
    });
    said(&mut network, wrong, "Peers have heads after the slot of our clock");

    // When its clock is ahead, it says so again, and its head is not of the future.
    set(skew_ms.to_string());
    said(&mut network, wrong, "Slots have passed unlived");

    // When its clock is right, it follows at once and votes: with one of the others gone, finality needs it. Not the first,
    // which alone aggregates.
    set("0".to_owned());
    said(&mut network, wrong, "The clock was set back");
    network.wait("all have one head", |views| views.iter().all(|view| view.head == views[0].head));
    let goal = network.views().unwrap().iter().map(|view| view.finalized_slot).max().unwrap() + 2;
    network.kill(1);
    let is_there = |finalized: Slot| finalized >= goal;
    network.wait("it votes again", |views| views.iter().all(|view| is_there(view.finalized_slot)));
    network.stop_and_verify_all();
}

fn said(network: &mut Network, index: usize, what: &str) {
    network.until(what, |network| network.logged(index).contains(what).then_some(()));
}
