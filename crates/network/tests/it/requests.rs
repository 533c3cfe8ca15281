//! Blocks asked for and served.

use lamella_network::{
    requests::{BlocksRequest, REQUEST_BLOCKS_MAX, RequestFailure},
    service::SourceBlock,
};
use lamella_types::{Root, hash_tree_root};

use crate::support::{Node, chain};

fn range(start_slot: u64, count: u64) -> BlocksRequest {
    BlocksRequest::Range { start_slot, count }
}

#[test]
fn ranges_and_roots_bring_the_blocks_that_are_there() {
    let server = Node::start(50, &[]);
    let (served, blocks) = chain(100);
    server.chain(|chain| *chain = served);
    let mut client = Node::start(51, &[&server]);
    let peer = server.peer();
    assert_eq!(client.wait_status(peer).head.slot, 99);
    assert_eq!(client.ask(peer, range(10, 64)).unwrap(), blocks[10..74]);
    assert_eq!(client.ask(peer, range(90, 64)).unwrap(), blocks[90..]);
    assert_eq!(client.ask(peer, range(500, 64)).unwrap(), []);
    let root = |slot: usize| hash_tree_root(&blocks[slot].block);
    let asked = vec![root(3), Root::from_slice(&[9; 32]).unwrap(), root(1)];
    let got = client.ask(peer, BlocksRequest::Roots(asked)).unwrap();
    assert_eq!(got, [blocks[3].clone(), blocks[1].clone()], "unknown roots are skipped");
}

#[test]
fn pruned_failed_and_refused_are_different_answers() {
    let server = Node::start(60, &[]);
    let (served, blocks) = chain(20);
    server.chain(|chain| *chain = served);
    let mut client = Node::start(61, &[&server]);
    let peer = server.peer();
    client.wait_status(peer);
    let pruned = SourceBlock::Pruned("proofs below slot 15 are pruned".to_owned());
    server.chain(|chain| {
        chain.blocks.insert(hash_tree_root(&blocks[14].block), pruned);
    });
    // A range that begins where proofs are, and meets the gap, is not passed off as whole.
    let answer = client.ask(peer, range(10, 10));
    let told = RequestFailure::Unavailable("proofs below slot 15 are pruned".to_owned());
    assert_eq!(answer, Err(told));
    assert_eq!(client.ask(peer, range(15, 10)).unwrap(), blocks[15..]);
    let refused = RequestFailure::Refused("count must be 1 to 1024".to_owned());
    assert_eq!(client.ask(peer, range(15, 0)), Err(refused));
    server.chain(|chain| chain.first_slot = 16);
    let told = RequestFailure::Unavailable("begins at 16".to_owned());
    assert_eq!(client.ask(peer, range(15, 10)), Err(told));
    server.chain(|chain| chain.is_broken = true);
    let failed = RequestFailure::Refused("storage failure".to_owned());
    assert_eq!(client.ask(peer, range(16, 10)), Err(failed));
}

#[test]
fn what_cannot_be_asked_fails_at_once() {
    let server = Node::start(70, &[]);
    let mut client = Node::start(71, &[&server]);
    client.wait_status(server.peer());
    let stranger = lamella_network::PeerId::random();
    assert_eq!(client.ask(stranger, range(0, 1)), Err(RequestFailure::Disconnected));
    let beyond = range(0, REQUEST_BLOCKS_MAX as u64 + 1);
    assert!(matches!(client.ask(server.peer(), beyond), Err(RequestFailure::Refused(_))));
}
