//! Peers that nobody knows, and validators that sign what they should not.

use std::{thread, time::Duration};

use lamella_hostile::{
    Thief,
    attack::altered,
    rubbish::{FarFuture, forged_aggregate, forged_block},
};
use lamella_network::wire::topic::TopicKind;
use lamella_testing_devnet::{Network, NetworkPlan, log, stranger};
use lamella_types::{Decode as _, SignedBlock, hash_tree_root, to_ssz};

use crate::{TWO, longer};

/// Memory that a node may have under attack: 300 MB.
const MEMORY_BYTES_MAX: u64 = 300_000_000;

/// Blocks that one proposer signs for one slot.
const EQUIVOCATIONS: u64 = 40;

/// Votes that one validator signs for one slot.
const DOUBLE_VOTES: u64 = 20;

/// Symptom: one anonymous peer with blocks of 157 KB of a far future took 3.6 GB and both cores of a node, and cost
/// finality.
/// Mechanism: each unpacked to 3.2 MB, twice, was decoded, hashed, and queued by number, not by bytes, before anyone
/// looked at its slot.
/// Fix: limits by topic before unpacking, slot and proposer read before decoding, budgets in bytes.
#[test]
fn rubbish_from_a_stranger_costs_neither_memory_nor_finality() {
    drill(400);
}

/// A stranger says so many of each kind of rubbish.
pub fn drill(messages: u64) {
    // Given two nodes that finalize,
    let mut network = Network::make(longer(TWO, messages));
    network.start_all();
    network.wait("both finalize", |views| views.iter().all(|view| view.finalized_slot > 0));
    let calm = network.memory_bytes(0);

    // when a stranger sends one of them blocks of a far future, forged blocks of now, forged aggregates and bombs,
    let stranger = stranger(network.address(0));
    let mut far = FarFuture::default();
    let (mut peak, began) = (calm, network.slot());
    for number in 0..messages {
        stranger.say_raw(TopicKind::Block, far.packed(number));
        stranger.say(TopicKind::Block, &forged_block((1 << 41) + number, 4, number));
        stranger.say(TopicKind::Block, &forged_block(network.slot(), 4, number));
        stranger.say(TopicKind::Aggregation, &forged_aggregate(network.slot(), 4, number));
        peak = peak.max(network.memory_bytes(0));
    }
    let attacked = network.slot();
    network.until("finality goes on", |network| {
        peak = peak.max(network.memory_bytes(0));
        network.views().filter(|views| views.iter().all(|view| view.finalized_slot > attacked))
    });

    // then it stays small,
    assert!(peak <= MEMORY_BYTES_MAX, "{peak} bytes, {calm} before the attack");
    // and nothing of it is in a database.
    drop(stranger);
    network.stop_and_verify_all();
    let blocks = network.blocks(0);
    assert!(blocks.iter().all(|(slot, _)| *slot < 1 << 40));
    let proposed = blocks.iter().filter(|(slot, _)| (began..attacked).contains(slot)).count();
    let slots = attacked - began;
    println!(
        "{calm} bytes before, at most {peak} under attack; {proposed} blocks in {slots} slots"
    );
}

/// Symptom: 600 of 600 blocks that a proposer signed for one slot were imported, forwarded and kept for ever; a
/// validator's votes for one slot were each verified, and kept where their heads were unknown.
/// Mechanism: gossip took whatever was valid.
/// Fix: gossip takes the first block of a slot and proposer and the first vote of a slot and validator.
#[test]
fn of_many_blocks_and_votes_signed_for_one_slot_gossip_takes_the_first() {
    // Given a node with half of the validators, and strangers with the keys of the others.
    const LONE: NetworkPlan = NetworkPlan { slot_ms: 2_000, ..TWO };
    let mut network = Network::make(LONE);
    network.start(0);
    let rogue = Thief::of(&network.paths(), "lamella_1", usize::MAX).unwrap();
    let [stranger, listener] = [(), ()].map(|()| stranger(network.address(0)));

    // When the proposer of a slot signs many blocks for it, and the next one of ours only one,
    let slot = (network.slot() + 2) | 1;
    let block = |slot, number| rogue.block(slot, number).unwrap().unwrap();
    let many: Vec<_> = (0..EQUIVOCATIONS).map(|number| block(slot, number)).collect();
    let one = block(slot + 2, 0);
    let voter = &rogue.validators()[0];
    let votes: Vec<_> =
        (0..DOUBLE_VOTES).map(|number| rogue.vote(voter, slot, number).unwrap()).collect();
    network.until("the slot", |network| (network.slot() >= slot).then_some(()));
    // A copy whose proof was altered comes first, and shuts nothing out.
    stranger.say(TopicKind::Block, &to_ssz(&altered(&many[0])));
    stranger.say(TopicKind::Block, &to_ssz(&many[0]));
    // Two workers look at proofs, and who is done first is the first.
    network.until("the altered one is rejected", |network| {
        network.logged(0).contains(" Block rejected ").then_some(())
    });
    many[1..].iter().for_each(|block| stranger.say(TopicKind::Block, &to_ssz(block)));
    let verified = |network: &Network| {
        let series = "lean_pq_sig_attestation_signatures_valid_total";
        network.client(0).metrics().unwrap().value(series)
    };
    // Votes that come together are verified together, so the first comes alone.
    for (number, vote) in votes.iter().enumerate() {
        stranger.say(TopicKind::Attestation { subnet: 0 }, &vote.to_ssz());
        if number == 0 {
            network.until("a vote is verified", |network| {
                (verified(network) == Some(1.0)).then_some(())
            });
        }
    }
    network.until("the next slot", |network| (network.slot() >= slot + 2).then_some(()));
    stranger.say(TopicKind::Block, &to_ssz(&one));
    let last = hash_tree_root(&one.block);
    let mut heard = Vec::new();
    network.until("the last block goes on", |_| {
        thread::sleep(Duration::from_millis(20));
        let blocks = listener.heard().into_iter().filter(|(kind, _)| *kind == TopicKind::Block);
        heard.extend(blocks.map(|(_, ssz)| SignedBlock::from_ssz(&ssz).unwrap().block));
        heard.iter().any(|block| hash_tree_root(block) == last).then_some(())
    });

    // then others hear of the first alone, and one vote was worth verifying,
    let of_slot: Vec<_> = heard.iter().filter(|block| block.slot == slot).collect();
    assert_eq!(of_slot, [&many[0].block]);
    assert_eq!(verified(&network), Some(1.0));
    // the proposer is named once, and the database has the first.
    let logged = network.stop(0);
    let said = logged.lines().filter(|line| line.contains("A proposer signed a second block"));
    let said: Vec<_> = said.map(|line| log::field(line, "slot").unwrap()).collect();
    assert_eq!(said, [slot.to_string()]);
    network.verify(0);
    let stored: Vec<_> =
        network.blocks(0).into_iter().filter(|(stored, _)| *stored == slot).collect();
    assert_eq!(stored, [(slot, hash_tree_root(&many[0].block))]);
}
