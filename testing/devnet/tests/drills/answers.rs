//! What peers answer to requests for blocks.

use lamella_hostile::{
    Stranger, Thief,
    stranger::{Answer, STATUS},
};
use lamella_network::wire::{
    chunk::{ResponseChunk, encode_payload},
    topic::TopicKind,
};
use lamella_network_dir::GenesisConfig;
use lamella_state_transition::compute_post_state;
use lamella_testing_devnet::{Network, NetworkPlan, log, stranger, wait::until};
use lamella_types::{
    Checkpoint, MultiMessageAggregate, Root, SignedBlock, Slot, State, Status, genesis_state,
    hash_tree_root, to_ssz,
};

use crate::TWO;

/// The node under test has no validators, so its head stays where it is until a peer brings blocks.
const PLAN: NetworkPlan = NetworkPlan { slot_ms: 1_000, ..TWO };

/// Slots behind which a node asks for ranges.
const BEHIND_SLOTS: Slot = 10;

/// The metric of a node that is where its peers are.
const SYNCED: &str = "lean_node_sync_status{status=\"synced\"} 1\n";

/// Only the follower runs; who has the other nodes' keys.
fn follower() -> (Network, usize, Thief) {
    let mut network = Network::make(PLAN);
    let node = network.add_follower("follower");
    network.start(node);
    let thief = Thief::of(&network.paths(), "lamella_1", usize::MAX).unwrap();
    (network, node, thief)
}

fn genesis(network: &Network) -> State {
    let config = GenesisConfig::load(&network.paths().config).unwrap();
    genesis_state(config.genesis_time, config.validators)
}

/// A peer that answers every request for blocks with this one.
fn answering(network: &Network, node: usize, block: &SignedBlock) -> Stranger {
    let answer = ResponseChunk::success(to_ssz(block)).encode().unwrap();
    let peer = Stranger::dial(network.address(node), &Answer::Bytes(answer)).unwrap();
    until("the peer is heard", || peer.is_heard().then_some(()));
    peer
}

/// The peer says that its head is this, and that nothing is finalized.
fn claim(peer: &Stranger, root: Root, slot: Slot) {
    let status = Status { head: Checkpoint { root, slot }, ..Status::default() };
    peer.ask(STATUS, encode_payload(&to_ssz(&status)).unwrap());
}

/// Symptom: a peer that answered a request for slots with one block of its own making kept a node from taking the real
/// one from gossip.
/// Mechanism: a block that was the whole answer to a range was noted as its proposer's first for the slot, which only a block
/// whose proposer's signature holds may be; that of a block asked for by root was checked, that of a range's was not.
/// Fix: only answers to requests by root are noted.
#[test]
fn a_forged_block_that_answers_a_range_shuts_no_real_one_out() {
    // Given a node that is behind,
    let (mut network, node, thief) = follower();
    network.until("slots to ask for", |network| (network.slot() > BEHIND_SLOTS).then_some(()));
    let slot = (network.slot() - 1) | 1;
    let real = thief.block(slot, 0).unwrap().unwrap();
    // and a liar, who makes a block for the same slot that nobody signed,
    let forged = SignedBlock {
        block: thief.block(slot, 1).unwrap().unwrap().block,
        proof: MultiMessageAggregate::default(),
    };
    assert!(real.block.parent_root == forged.block.parent_root && real.block != forged.block);

    // when the node asks it for a range, hears that block alone, and finds it out,
    let liar = answering(&network, node, &forged);
    claim(&liar, Root::new([1; 32]), slot);
    let rejected = network.until("the forged block is rejected", |network| {
        let log = network.logged(node);
        Some(log.lines().find(|line| line.contains(" Block rejected "))?.to_owned())
    });
    let root = hash_tree_root(&forged.block).to_string();
    assert_eq!(log::field(&rejected, "block_root"), Some(root.as_str()), "{rejected}");
    let (starts, roots) = log::asked_for(&network.logged(node));
    assert!(!starts.is_empty() && roots.is_empty(), "{starts:?} {roots:?}");

    // then the real one is taken from gossip.
    let honest = stranger(network.address(node));
    honest.say(TopicKind::Block, &to_ssz(&real));
    network.wait("the real block is the head", |views| views[0].head_slot == slot);
    let (head, _) = network.client(node).header(slot).unwrap().unwrap();
    assert_eq!(head, hash_tree_root(&real.block));
    let logged = network.stop(node);
    assert!(!logged.contains("A proposer signed a second block"));
    network.verify(node);
}

/// Symptom: the consensus thread checked who signed a block that it had asked for by its root, a millisecond each, for as
/// many as a peer liked to bring.
/// Mechanism: the check came where the answer arrived.
/// Fix: a worker makes it. A debug build, as this is, ends if its consensus thread begins one.
#[test]
fn who_signed_a_block_asked_for_by_root_is_not_checked_on_the_consensus_thread() {
    // Given two blocks, the second of them the child of the first, of which a peer has the first,
    let (mut network, node, mut thief) = follower();
    network.until("two slots", |network| (network.slot() > 4).then_some(()));
    let parent = thief.block(1, 0).unwrap().unwrap();
    let genesis = genesis(&network);
    let genesis_root = parent.block.parent_root;
    let (state, _) = compute_post_state(&genesis, &parent.block).unwrap();
    thief.follow(state);
    let child = thief.block(3, 0).unwrap().unwrap();
    assert_eq!(child.block.parent_root, hash_tree_root(&parent.block));
    let peer = answering(&network, node, &parent);
    // which has said that it is where the node is, so there is nothing else to ask it for,
    claim(&peer, genesis_root, 0);
    network.until("the node heard where the peer is", |network| {
        network.client(node).metrics().unwrap().text().contains(SYNCED).then_some(())
    });

    // when the peer gossips the second,
    peer.say(TopicKind::Block, &to_ssz(&child));

    // then the node asks for the first by its root, and imports both.
    network.wait("both are imported", |views| views[0].head_slot == 3);
    let (starts, roots) = log::asked_for(&network.logged(node));
    assert_eq!((starts, roots), (vec![], vec![child.block.parent_root]));
    let blocks: Vec<_> = network.blocks(node).into_iter().map(|(slot, _)| slot).collect();
    assert_eq!(blocks, [0, 1, 3]);
    network.stop_and_verify_all();
}
