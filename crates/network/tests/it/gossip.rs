//! Messages travel as far as their verdicts let them.

use std::sync::{Arc, atomic::Ordering};

use lamella_network::service::{
    Command, GossipId, GossipMessage, NetworkEvent, Observation, Verdict,
};
use lamella_types::{
    AttestationData, Block, SignedAggregatedAttestation, SignedAttestation, SignedBlock,
};

use crate::support::{Node, SIGNATURE_BYTES};

fn block(slot: u64) -> GossipMessage {
    let block = Block { slot, ..Block::default() };
    GossipMessage::Block(Arc::new(SignedBlock { block, ..SignedBlock::default() }))
}

fn slot(message: &GossipMessage) -> u64 {
    match message {
        GossipMessage::Block(block) => block.block.slot,
        other => other.data().unwrap().slot,
    }
}

fn next(node: &Node) -> (GossipId, GossipMessage) {
    node.wait("gossip", |event| match event {
        NetworkEvent::Gossip { id, message, .. } => Some((id, message)),
        _ => None,
    })
}

/// Three nodes in a line, meshed.
fn line(key: u8) -> [Node; 3] {
    let first = Node::start(key, &[]);
    let middle = Node::start(key + 1, &[&first]);
    let last = Node::start(key + 2, &[&middle]);
    let is_meshed = |node: &Node, peers: usize| {
        node.network.peers().all().iter().filter(|peer| peer.is_in_mesh).count() == peers
    };
    Node::until("the mesh", || {
        is_meshed(&first, 1) && is_meshed(&middle, 2) && is_meshed(&last, 1)
    });
    [first, middle, last]
}

#[test]
fn only_what_is_accepted_goes_on() {
    let [first, middle, last] = line(20);
    let verdicts = [Verdict::Reject, Verdict::Ignore, Verdict::Accept];
    for (slot_sent, verdict) in (1..).zip(verdicts) {
        assert!(first.network.send(Command::Publish(block(slot_sent))));
        let (id, message) = next(&middle);
        assert_eq!((id.peer(), slot(&message)), (first.peer(), slot_sent));
        assert!(middle.network.send(Command::Verdict(id, verdict)));
    }
    let (id, message) = next(&last);
    assert_eq!((id.peer(), slot(&message)), (middle.peer(), 3));
}

#[test]
fn votes_and_aggregates_arrive_on_their_topics() {
    let [first, middle, _last] = line(30);
    let data = AttestationData { slot: 9, ..AttestationData::default() };
    let vote = SignedAttestation { validator_index: 4, data, signature: vec![5; SIGNATURE_BYTES] };
    for subnet in [1, 0] {
        // Nobody listens to subnet 1, whatever exists.
        let attestation = Arc::new(vote.clone());
        let message = GossipMessage::Attestation { subnet, attestation };
        assert!(first.network.send(Command::Publish(message)));
    }
    match next(&middle) {
        (_, GossipMessage::Attestation { subnet: 0, attestation }) => {
            assert_eq!(*attestation, vote)
        }
        other => panic!("{other:?}"),
    }
    let aggregate = SignedAggregatedAttestation { data, ..Default::default() };
    let aggregate = Arc::new(aggregate);
    assert!(first.network.send(Command::Publish(GossipMessage::Aggregate(aggregate.clone()))));
    match next(&middle) {
        (_, GossipMessage::Aggregate(got)) => assert_eq!(got, aggregate),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_busy_node_misses_gossip_but_no_answer() {
    let [first, middle, last] = line(40);
    middle.queue.is_full.store(true, Ordering::SeqCst);
    assert!(first.network.send(Command::Publish(block(1))));
    Node::until("the message to be dropped", || {
        middle.has_observed(|seen| *seen == Observation::Busy)
    });
    let gone = last.peer();
    drop(last);
    Node::until("the peer to be gone", || middle.network.peers().count() == 1);
    middle.queue.is_full.store(false, Ordering::SeqCst);
    middle.wait_gone(gone);
}
