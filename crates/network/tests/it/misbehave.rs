//! Peers that send garbage, flood, answer nonsense or nothing: limited, dropped, and no harm to anybody else.

use std::time::Duration;

use lamella_network::{
    peers::{Offence, limits::STATUS_BURST},
    requests::{BlocksRequest, REQUEST_BLOCKS_MAX, RequestFailure},
    service::{Command, GossipId, NetworkEvent, Observation, Verdict},
    wire::{
        chunk::{ResponseChunk, ResponseCode, encode_payload},
        snappy::compress_block,
        topic::{Topic, TopicKind},
    },
};
use lamella_types::{Block, SignedBlock, Status, to_ssz};

use crate::{
    rogue::{Act, Answer, RANGE, Rogue, STATUS},
    support::{DEADLINE, Node, chain},
};

fn honest() -> Answer {
    Answer::Bytes(ResponseChunk::success(to_ssz(&Status::default())).encode().unwrap())
}

fn meshed(node: &Node, rogue: &Rogue) {
    Node::until("the mesh", || {
        node.network.peers().all().iter().any(|peer| peer.peer == rogue.peer && peer.is_in_mesh)
    });
}

fn topic(kind: TopicKind) -> String {
    Topic::new(kind).to_string()
}

/// A block that the rogue gossips, as the node hears it.
fn is_heard(node: &Node, rogue: &Rogue, slot: u64) -> GossipId {
    let block = SignedBlock { block: Block { slot, ..Block::default() }, ..Default::default() };
    let bytes = compress_block(&to_ssz(&block)).unwrap();
    rogue.act(Act::Gossip(topic(TopicKind::Block), bytes));
    let id = node.wait("the block", |event| match event {
        NetworkEvent::Gossip { id, .. } => Some(id),
        _ => None,
    });
    assert_eq!(id.peer(), rogue.peer);
    id
}

fn offences(node: &Node, offence: Offence) -> usize {
    let observed = node.queue.observed.lock().unwrap();
    observed.iter().filter(|seen| **seen == Observation::Offence(offence)).count()
}

/// Symptom: five garbage messages made us ban an honest relay.
/// Mechanism: lean clients forward before they validate, and the forwarder was taken for the author.
/// Fix: what anybody may have made bans nobody.
#[test]
fn a_relay_of_garbage_stays_and_is_heard() {
    let node = Node::start(80, &[]);
    let relay = Rogue::dial(node.network.address(), &honest());
    node.wait_status(relay.peer);
    meshed(&node, &relay);
    // No snappy; snappy of no SSZ; a bomb that announces itself.
    let bomb = compress_block(&vec![0; 20 << 20]).unwrap();
    let no_block = compress_block(b"no block").unwrap();
    let cut = no_block[1..].to_vec();
    let garbage = [vec![0xff; 100], no_block, bomb, cut, vec![1; 7]];
    for (kind, bytes) in [TopicKind::Block, TopicKind::Aggregation].iter().cycle().zip(garbage) {
        relay.act(Act::Gossip(topic(*kind), bytes));
    }
    Node::until("the garbage", || offences(&node, Offence::Garbage) == 5);
    is_heard(&node, &relay, 5);
}

#[test]
fn a_relay_of_blocks_that_the_node_rejects_stays_and_is_heard() {
    let node = Node::start(82, &[]);
    let relay = Rogue::dial(node.network.address(), &honest());
    node.wait_status(relay.peer);
    meshed(&node, &relay);
    for slot in 0..6 {
        let id = is_heard(&node, &relay, slot);
        assert!(node.network.send(Command::Verdict(id, Verdict::Reject)));
    }
    Node::until("all to be rejected", || offences(&node, Offence::Invalid) == 6);
    is_heard(&node, &relay, 6);
}

/// Symptom: a peer that did not answer `status` was banned after 143 s while its blocks were imported.
/// Mechanism: each question that was not answered in time cost it points, as an attack does.
/// Fix: silence costs its claims in sync, and nothing else.
#[test]
fn a_peer_that_leaves_status_unanswered_is_heard_on() {
    let node = Node::start(94, &[]);
    let silent = Rogue::dial(node.network.address(), &Answer::Silence);
    meshed(&node, &silent);
    // The first question came at connection; libp2p lets eight be open at once.
    for round in 1..=2 {
        for _ in 0..7 {
            assert!(node.network.send(Command::AskStatus(silent.peer)));
        }
        Node::until("no answer", || offences(&node, Offence::Stalled) >= 7 * round);
    }
    is_heard(&node, &silent, 1);
}

fn ask_status(rogue: &Rogue) -> ResponseCode {
    let status = encode_payload(&to_ssz(&Status::default())).unwrap();
    rogue.act(Act::Ask(STATUS, status));
    let answer = rogue.answers.recv_timeout(DEADLINE).unwrap();
    ResponseChunk::decode(&answer).unwrap().code
}

/// Symptom: who connected again had all its limits anew.
/// Mechanism: they were forgotten with its connection.
/// Fix: they are kept until they would be full again.
#[test]
fn coming_again_does_not_reset_a_strangers_limits() {
    let node = Node::start(95, &[]);
    let keypair = libp2p::identity::Keypair::generate_secp256k1();
    let come = || {
        let rogue = Rogue::dial_as(keypair.clone(), node.network.address(), &honest());
        node.wait_status(rogue.peer);
        rogue
    };
    let rogue = come();
    for _ in 0..STATUS_BURST {
        ask_status(&rogue);
    }
    let peer = rogue.peer;
    drop(rogue);
    node.wait_gone(peer);
    let rogue = come();
    let answers: Vec<_> = (0..STATUS_BURST).map(|_| ask_status(&rogue)).collect();
    assert!(answers.contains(&ResponseCode::ServerError), "{answers:?}");
}

#[test]
fn a_flood_of_requests_is_answered_with_a_refusal_and_then_not_at_all() {
    let server = Node::start(83, &[]);
    let (served, blocks) = chain(10);
    server.chain(|chain| *chain = served);
    let rogue = Rogue::dial(server.network.address(), &honest());
    server.wait_status(rogue.peer);
    let mut client = Node::start(84, &[&server]);
    client.wait_status(server.peer());
    let mut asked = 0;
    while ask_status(&rogue) == ResponseCode::Success {
        asked += 1;
        assert!(asked < 100_000, "never refused");
    }
    // It goes on, for as long as it is let.
    while server.network.peers().all().iter().any(|info| info.peer == rogue.peer) {
        rogue.act(Act::Ask(STATUS, encode_payload(&to_ssz(&Status::default())).unwrap()));
        // None comes any more when it has gone too far.
        let _ = rogue.answers.recv_timeout(Duration::from_millis(500));
        asked += 1;
        assert!(asked < 100_000, "never banned");
    }
    server.wait_gone(rogue.peer);
    assert!(offences(&server, Offence::Haste) > 0);
    let all = BlocksRequest::Range { start_slot: 0, count: 64 };
    assert_eq!(client.ask(server.peer(), all).unwrap(), blocks);
}

#[test]
fn malformed_requests_are_told_so() {
    let server = Node::start(85, &[]);
    let rogue = Rogue::dial(server.network.address(), &honest());
    server.wait_status(rogue.peer);
    for request in [encode_payload(&[1; 15]).unwrap(), vec![0xff; 20], vec![5, 1, 2, 3, 4]] {
        rogue.act(Act::Ask(RANGE, request));
        let answer = rogue.answers.recv_timeout(DEADLINE).unwrap();
        assert_eq!(ResponseChunk::decode(&answer).unwrap().code, ResponseCode::InvalidRequest);
    }
}

#[test]
fn nonsense_for_an_answer_is_misbehaviour_and_silence_a_timeout() {
    let mut node = Node::start(86, &[]);
    let range = BlocksRequest::Range { start_slot: 0, count: 2 };
    let block = ResponseChunk::success(to_ssz(&SignedBlock::default())).encode().unwrap();
    let cases = [
        vec![0xff; 64],
        ResponseChunk::success(vec![1; 99]).encode().unwrap(),
        block.repeat(3),
        block.repeat(REQUEST_BLOCKS_MAX + 1),
    ];
    for bytes in cases {
        // The same bytes answer our question for its status.
        let rogue = Rogue::dial(node.network.address(), &Answer::Bytes(bytes));
        Node::until("the rogue", || {
            node.network.peers().all().iter().any(|peer| peer.peer == rogue.peer)
        });
        let answer = node.ask(rogue.peer, range.clone());
        assert!(matches!(answer, Err(RequestFailure::Misbehaved(_))), "{answer:?}");
    }
    let rogue = Rogue::dial(node.network.address(), &Answer::Silence);
    Node::until("the rogue", || {
        node.network.peers().all().iter().any(|peer| peer.peer == rogue.peer)
    });
    assert_eq!(node.ask(rogue.peer, range), Err(RequestFailure::Timeout));
}
