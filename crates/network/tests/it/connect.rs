//! Who finds whom, and what they learn of each other.

use std::sync::Arc;

use lamella_network::service::{
    Command, Direction, GossipMessage, Network, NetworkConfig, NetworkError, NetworkEvent,
    Observation, SUBNETS_MAX,
};
use lamella_types::{Checkpoint, Root, SignedBlock, Status};

use crate::{
    rogue::{Answer, Rogue},
    support::{Node, config},
};

fn status(slot: u64) -> Status {
    let root = Root::from_slice(&[7; 32]).unwrap();
    Status { finalized: Checkpoint::default(), head: Checkpoint { root, slot } }
}

#[test]
fn two_nodes_tell_each_other_where_they_are_and_when_they_go() {
    let first = Node::start(1, &[]);
    first.chain(|chain| chain.status = status(11));
    let second = Node::start(2, &[&first]);
    assert_eq!(second.wait_status(first.peer()), status(11));
    assert_eq!(first.wait_status(second.peer()), Status::default());
    Node::until("both to know the other's name", || {
        let seen = |node: &Node| node.network.peers().all().first().and_then(|p| p.agent.clone());
        seen(&first).as_deref() == Some("lamella-test/2")
            && seen(&second).as_deref() == Some("lamella-test/1")
    });
    let seen = second.network.peers().all();
    assert_eq!(
        (seen.len(), seen[0].peer, seen[0].direction),
        (1, first.peer(), Direction::Outbound)
    );
    assert_eq!(seen[0].status, Some(status(11)));
    assert!(first.has_observed(|seen| *seen == Observation::Connected(Direction::Inbound)));
    let peer = second.peer();
    drop(second);
    first.wait_gone(peer);
    assert_eq!(first.network.peers().count(), 0);
}

#[test]
fn a_node_that_comes_back_is_dialled_again() {
    let first = Node::start(3, &[]);
    let second = Node::start(4, &[&first]);
    second.wait_status(first.peer());
    let (port, peer) = (first.network.address().port(), first.peer());
    drop(first);
    second.wait_gone(peer);
    let first = Node::with(config(3, port, vec![]));
    second.wait_status(peer);
    first.wait_status(second.peer());
}

#[test]
fn a_node_does_not_dial_itself() {
    let first = Node::start(5, &[]);
    let mut own = config(6, 0, vec![first.dial()]);
    own.dial.push(Node::start(6, &[]).dial());
    let second = Node::with(own);
    second.wait_status(first.peer());
    assert_eq!(second.network.peers().count(), 1);
}

#[test]
fn a_port_in_use_and_an_impossible_key_are_named() {
    let first = Node::start(7, &[]);
    let start = |config| {
        let (source, queue) = (first.source.clone(), first.queue.clone());
        Network::start(&config, source, queue).unwrap_err()
    };
    let error = start(config(8, first.network.address().port(), vec![]));
    assert!(error.to_string().contains("--gossipsub-port"), "{error}");
    assert!(matches!(start(config(0, 0, vec![])), NetworkError::Key));
    let mut dial = first.dial();
    dial.public_key = [9; 33];
    assert!(matches!(start(config(8, 0, vec![dial])), NetworkError::DialKey(_)));
}

/// Symptom: a node whose files named 2^64 - 1 attestation subnets panicked: "Hash table capacity overflow".
/// Mechanism: a topic was made for each subnet, however many there were.
/// Fix: there are at most as many as validators.
#[test]
fn more_subnets_than_validators_are_refused() {
    let other = Node::start(9, &[]);
    let start = |committee_count| {
        let config = NetworkConfig { committee_count, ..config(10, 0, vec![]) };
        Network::start(&config, other.source.clone(), other.queue.clone())
    };
    assert!(matches!(start(u64::MAX), Err(NetworkError::Subnets(u64::MAX))));
    assert!(matches!(start(SUBNETS_MAX + 1), Err(NetworkError::Subnets(_))));
    start(SUBNETS_MAX).unwrap();
}

/// Symptom: two nodes of which one was killed and started again stayed apart for 10 s and more.
/// Mechanism: the other took the old connection for alive until QUIC's timeout. Half of what it sent went there, and
/// gossipsub, which says hello on a peer's first connection only, never told the new process what it listens to.
/// Fix: who dials again has lost its connections, so all of them end and both sides begin anew.
#[test]
fn a_node_that_comes_back_before_it_is_missed_is_heard() {
    let first = Node::start(96, &[]);
    // A process that is gone without a word: it stays silent, and its connection open.
    let secret = libp2p::identity::secp256k1::SecretKey::try_from_bytes([97; 32]).unwrap();
    let keypair = libp2p::identity::secp256k1::Keypair::from(secret).into();
    let dead = Rogue::dial_as(keypair, first.network.address(), &Answer::Silence);
    Node::until("its mesh", || {
        first.network.peers().all().iter().any(|info| info.peer == dead.peer && info.is_in_mesh)
    });
    let again = Node::start(97, &[&first]);
    assert_eq!(again.peer(), dead.peer);
    Node::until("what the other listens to", || {
        again.network.peers().all().iter().any(|info| info.is_in_mesh)
    });
    let block = Arc::new(SignedBlock::default());
    assert!(again.network.send(Command::Publish(GossipMessage::Block(block))));
    first.wait("its block", |event| match event {
        NetworkEvent::Gossip { message: GossipMessage::Block(_), .. } => Some(()),
        _ => None,
    });
}
