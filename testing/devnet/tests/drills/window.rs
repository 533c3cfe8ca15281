//! A node stopped for longer than the others keep signatures.

use lamella_testing_devnet::{Network, NetworkPlan};
use lamella_types::{Root, Slot};

use crate::TWO;

/// Slots of signatures that the nodes keep.
const WINDOW: u64 = 8;

#[test]
fn a_node_that_was_away_too_long_says_so_and_serves_what_it_has() {
    drill();
}

/// A follower is away until its next block's proof is pruned everywhere.
pub fn drill() {
    // Given a follower that stops,
    let mut network = Network::make(NetworkPlan { flags: &["--signature-window", "8"], ..TWO });
    let away = network.add_follower("away");
    network.start_all();
    network.wait("the follower follows", |views| views.iter().all(|view| view.finalized_slot > 2));
    network.stop(away);
    let had = network.blocks(away);
    let (last, _) = *had.last().unwrap();
    // and others that have pruned what it would need next.
    network.until("the proofs are pruned", |network| {
        let from = |node| network.client(node).database().ok().map(|view| view.proofs_from_slot);
        (from(0)? > last + WINDOW && from(1)? > last + WINDOW).then_some(())
    });

    // When it comes back, it says what is wrong and what to do,
    network.start(away);
    let said = network.until("it says so", |network| {
        let log = network.logged(away);
        let line =
            log.lines().find(|line| line.contains("pruned") && line.contains("checkpoint"))?;
        Some(line.to_owned())
    });
    assert!(said.contains("--checkpoint-sync-url"), "{said}");
    // loses nothing and serves what it has. A late block that the others left may be beside their chain.
    assert!(network.blocks(away).is_superset(&had));
    let is_shared = |(slot, root): &&(Slot, Root)| {
        let served = network.client(0).header(slot).unwrap();
        served.is_some_and(|(served, _)| served == *root)
    };
    let (has, _) = *had.iter().rev().find(is_shared).unwrap();
    let [ours, theirs] = [away, 0].map(|node| network.client(node).state(has).unwrap());
    assert!(ours.is_some() && ours == theirs);
    network.stop(away);
    network.verify(away);

    // A new directory and a checkpoint work.
    let url = network.client(0).url();
    let fresh = network.add_follower("fresh");
    network.start_with(fresh, &["--checkpoint-sync-url", &url]);
    network.wait("the fresh node is where the others are", |views| {
        views.len() == 3 && views.iter().all(|view| view.head == views[0].head)
    });
    network.stop_and_verify_all();
}
