//! A node whose clock is wrong, in a network whose clocks are right.

use std::fs;

use lamella_testing_devnet::{Network, log};
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
    // An empty file would be a clock that is right.
    let set = |skew: String| {
        let new = file.with_extension("new");
        fs::write(&new, skew).unwrap();
        fs::rename(new, &file).unwrap();
    };
    set(format!("-{skew_ms}"));
    (0..wrong).for_each(|index| network.spawn(index, &[]));
    network.start_with(wrong, &["--clock-skew-file", file.to_str().unwrap()]);
    // Then the others finalize without it, and it says what is wrong.
    network.wait("the others finalize", |views| {
        views.iter().filter(|view| view.finalized_slot > 0).count() >= wrong
    });
    said(&mut network, wrong, 0, |line| {
        line.contains("Peers have heads after the slot of our clock")
    });

    // When its clock is ahead, it says so again, and its head is not of the future. What a busy machine makes it miss is less.
    let before = network.logged(wrong).len();
    set(skew_ms.to_string());
    said(&mut network, wrong, before, |line| {
        let leapt = log::field(line, "slots").and_then(|slots| slots.parse::<u64>().ok());
        line.contains("Slots have passed unlived") && leapt > Some(slots + slots / 2)
    });

    // When its clock is right, it follows at once and votes: with one of the others gone, finality needs it. Not the first,
    // which alone aggregates.
    let before = network.logged(wrong).len();
    set("0".to_owned());
    said(&mut network, wrong, before, |line| line.contains("The clock was set back"));
    network.wait("all have one head", |views| views.iter().all(|view| view.head == views[0].head));
    let goal = network.views().unwrap().iter().map(|view| view.finalized_slot).max().unwrap() + 2;
    network.kill(1);
    let is_there = |finalized: Slot| finalized >= goal;
    network.wait("it votes again", |views| views.iter().all(|view| is_there(view.finalized_slot)));
    network.stop_and_verify_all();
}

/// Waits for a line behind so many bytes of a node's log.
fn said(network: &mut Network, index: usize, before: usize, is_it: impl Fn(&str) -> bool) {
    network.until("it says so", |network| {
        network.logged(index)[before..].lines().any(&is_it).then_some(())
    });
}
