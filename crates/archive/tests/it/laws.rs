//! What is archived comes back.

use lamella_archive::{Frontier, PostState, SegmentBuilder, SegmentFile, StateChange};
use lamella_types::{BlockHashes, Root};
use proptest::prelude::*;

use crate::chain::{Chain, SEGMENT_SLOTS, Step, Stored, Vote, any_chain, read};

/// Every block and state of a segment, against the chain that it was made of.
fn check_content(chain: &Chain, file: &SegmentFile) {
    let (entry, inside) = chain.positions(file.index());
    let frontier = chain.frontier();
    let mut replay = file.replay(frontier.segment_roots()).unwrap();
    if inside.is_empty() && file.index() > 0 {
        assert_eq!((file.entry(), file.block_count()), (None, 0));
        assert!(replay.state(&BlockHashes::default()).is_none());
        assert!(replay.advance().unwrap().is_none());
        return;
    }
    let entry = &chain.blocks[entry];
    let mut history = entry.state.historical_block_hashes.clone();
    assert_eq!(replay.state(&history).as_ref(), Some(&*entry.state), "the entry state");
    let mut parent = entry;
    for position in inside {
        let Stored { header, root, body, state } = &chain.blocks[position];
        let block = replay.advance().unwrap().unwrap();
        assert_eq!((&block.header, &block.root, &block.body), (header, root, body));
        let skipped = header.slot - parent.header.slot - 1;
        history.push_parent(parent.root, skipped).unwrap();
        assert_eq!(replay.state(&history).as_ref(), Some(&**state), "slot {}", header.slot);
        parent = &chain.blocks[position];
    }
    assert!(replay.advance().unwrap().is_none());
    let roots = file.roots().as_bytes().chunks(32).map(|root| Root::from_slice(root).unwrap());
    for (slot, root) in (file.first_slot()..).zip(roots) {
        let stored = chain.blocks.iter().find(|block| block.header.slot == slot);
        assert_eq!(root, stored.map_or(Root::ZERO, |block| block.root), "slot {slot}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_block_and_state_comes_back_proven_by_one_root(chain in any_chain()) {
        let head = chain.head();
        let frontier = chain.frontier();
        let decoded = Frontier::verify("frontier", &frontier.encode(), &head.root).unwrap();
        prop_assert_eq!(&decoded, &frontier);
        prop_assert_eq!(decoded.network_id(), chain.network.id());
        for index in 0..chain.complete_segments() {
            let sealed = chain.seal(index);
            let file = read(&chain, &sealed);
            check_content(&chain, &file);
            // Whatever form the store had its states in, the segment is the same.
            let (entry, inside) = chain.positions(index);
            if file.entry().is_some() {
                let entry = &chain.blocks[entry];
                let entry = Some((&entry.header, &*entry.state));
                let mut builder = SegmentBuilder::new(&chain.network, index, entry).unwrap();
                for block in &chain.blocks[inside] {
                    builder.push(&block.header, &block.body, PostState::State(&block.state)).unwrap();
                }
                prop_assert_eq!(builder.finish().unwrap(), sealed);
            }
        }
    }
}

#[test]
fn the_chains_that_are_tried_stall_fork_and_justify() {
    // Half of the validators vote: votes pile up, and nothing is justified.
    let stalled = |back| Step {
        skipped: 0,
        votes: vec![
            Vote::InTime { absent: 0b1111 },
            Vote::Old { back, bits: 8 },
            Vote::Foreign { seed: 7, voters: 3 },
        ],
    };
    let mut steps: Vec<_> = (0..200).map(|slot| stalled(slot % 30)).collect();
    // Then all vote again: the pile is gone.
    steps.extend((0..30).map(|_| Step { skipped: 0, votes: vec![Vote::InTime { absent: 0 }] }));
    steps.push(Step { skipped: SEGMENT_SLOTS, votes: vec![] });
    let chain = Chain::of(8, &steps);
    let tracked = |slot: usize| chain.blocks[slot].state.justifications.roots().len();
    assert!(tracked(200) > 10, "{} pending targets", tracked(200));
    assert_eq!(tracked(230), 0);
    assert!(chain.blocks[230].state.latest_finalized.slot > 200);
    let file = read(&chain, &chain.seal(0));
    check_content(&chain, &file);
    let change = |slot: usize| -> &StateChange { &file.blocks()[slot - 1].change };
    assert!(change(230).tally.number() == 1, "a change, whatever the store had");
}

#[test]
fn empty_segments_and_an_archive_that_begins_later_are_read_alone() {
    let steps = [
        Step { skipped: 9, votes: vec![] },
        // Nothing in segments 1 and 2.
        Step { skipped: 3 * SEGMENT_SLOTS, votes: vec![Vote::InTime { absent: 0 }] },
        Step { skipped: 5, votes: vec![Vote::InTime { absent: 0 }, Vote::Late { voters: 1 }] },
        Step { skipped: SEGMENT_SLOTS, votes: vec![] },
    ];
    let chain = Chain::of(4, &steps);
    let sealed: Vec<_> = (0..chain.complete_segments()).map(|index| chain.seal(index)).collect();
    assert_eq!(sealed.len(), 4);
    assert!(sealed[1].bytes.len() < 256 && sealed[1].root == sealed[2].root);
    // As after a checkpoint start: the last alone, its states too.
    let file = read(&chain, &sealed[3]);
    check_content(&chain, &file);
    assert_eq!(file.entry().map(|entry| entry.slot), Some(10));
}

#[test]
fn a_proposer_out_of_turn_is_kept_and_others_take_no_byte() {
    let chain = Chain::out_of_turn();
    let sealed = chain.seal(0);
    check_content(&chain, &read(&chain, &sealed));
    // Slots 2, 4 and 6: one, one and one block in turn before each; 300 has two bytes.
    let column = [0, 7, 0, 0, 0, 1, 4, 1, 0xac, 2, 1, 0];
    let record = [&[0x09, 0x4c, 12, 0, 0, 0, 0, 0][..], &column].concat();
    assert!(sealed.bytes.windows(record.len()).any(|bytes| bytes == record));
}
