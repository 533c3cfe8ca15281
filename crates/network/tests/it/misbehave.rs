//! Peers that send garbage, flood, answer nonsense or nothing: limited, dropped, and no harm to anybody else.

use std::sync::Arc;

use lamella_network::{
    peers::Offence,
    requests::{BlocksRequest, REQUEST_BLOCKS_MAX, RequestFailure},
    service::{Command, GossipMessage, NetworkEvent, Observation, Verdict},
    wire::{
        chunk::{ResponseChunk, ResponseCode, encode_payload},
        snappy::compress_block,
        topic::{Topic, TopicKind},
    },
};
use lamella_types::{Block, BlocksByRangeRequest, SignedBlock, Status, to_ssz};

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

#[test]
fn garbage_on_a_topic_gets_a_peer_banned_while_others_are_heard() {
    let node = Node::start(80, &[]);
    let friend = Node::start(81, &[&node]);
    friend.wait_status(node.peer());
    let rogue = Rogue::dial(node.network.address(), &honest());
    node.wait_status(rogue.peer);
    meshed(&node, &rogue);
    // No snappy; snappy of no SSZ; a bomb that announces itself.
    let bomb = compress_block(&vec![0; 20 << 20]).unwrap();
    let no_block = compress_block(b"no block").unwrap();
    let garbage = [vec![0xff; 100], no_block.clone(), bomb, no_block[1..].to_vec()];
    for (kind, bytes) in [TopicKind::Block, TopicKind::Aggregation].iter().cycle().zip(garbage) {
        rogue.act(Act::Gossip(topic(*kind), bytes));
    }
    node.wait_gone(rogue.peer);
    assert!(node.has_observed(|seen| *seen == Observation::Offence(Offence::Garbage)));
    let again = Rogue::dial(node.network.address(), &honest());
    node.wait_status(again.peer);
    let block = SignedBlock { block: Block { slot: 5, ..Block::default() }, ..Default::default() };
    Node::until("the friend's mesh", || friend.network.peers().all()[0].is_in_mesh);
    assert!(friend.network.send(Command::Publish(GossipMessage::Block(Arc::new(block)))));
    let from = node.wait("the friend's block", |event| match event {
        NetworkEvent::Gossip { id, .. } => Some(id.peer()),
        _ => None,
    });
    assert_eq!(from, friend.peer());
}

#[test]
fn blocks_that_the_node_rejects_get_their_forwarder_banned() {
    let node = Node::start(82, &[]);
    let rogue = Rogue::dial(node.network.address(), &honest());
    node.wait_status(rogue.peer);
    meshed(&node, &rogue);
    for slot in 0..4 {
        let block = SignedBlock { block: Block { slot, ..Block::default() }, ..Default::default() };
        let bytes = compress_block(&to_ssz(&block)).unwrap();
        rogue.act(Act::Gossip(topic(TopicKind::Block), bytes));
        let id = node.wait("the block", |event| match event {
            NetworkEvent::Gossip { id, .. } => Some(id),
            _ => None,
        });
        assert!(node.network.send(Command::Verdict(id, Verdict::Reject)));
    }
    node.wait_gone(rogue.peer);
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
    let range = BlocksByRangeRequest { start_slot: 0, count: 1_024 };
    let range = encode_payload(&to_ssz(&range)).unwrap();
    (0..3).for_each(|_| rogue.act(Act::Ask(RANGE, range.clone())));
    let mut answers: Vec<_> =
        (0..3).map(|_| rogue.answers.recv_timeout(DEADLINE).unwrap()).collect();
    answers.sort_by_key(|answer| answer[0] == 0);
    let refusal = ResponseChunk::decode(&answers[0]).unwrap();
    assert_eq!(refusal.code, ResponseCode::ServerError);
    let chunk = |block| ResponseChunk::success(to_ssz(block)).encode().unwrap();
    let whole: Vec<u8> = blocks.iter().flat_map(chunk).collect();
    assert_eq!(answers[1..], [whole.clone(), whole]);
    // It goes on, for as long as it is let.
    for _ in 0..200 {
        rogue.act(Act::Ask(RANGE, range.clone()));
        rogue.act(Act::Ask(STATUS, encode_payload(&to_ssz(&Status::default())).unwrap()));
    }
    server.wait_gone(rogue.peer);
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
