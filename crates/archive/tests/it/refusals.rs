//! What a writer hands in that is not one canonical segment is refused, each by its own error.

use lamella_archive::{BuildError, Frontier, Network, PostState, SegmentBuilder};
use lamella_types::{BlockBody, BlockHeader, Root, State};

use crate::chain::{Chain, Stored};

/// The segment's entry, its first blocks, and a builder that has the first.
fn begun(chain: &Chain) -> (SegmentBuilder<'_>, &Stored) {
    let entry = &chain.blocks[0];
    let mut builder =
        SegmentBuilder::new(&chain.network, 0, Some((&entry.header, &entry.state))).unwrap();
    let Stored { header, body, state, .. } = &chain.blocks[1];
    builder.push(header, body, PostState::State(state)).unwrap();
    (builder, &chain.blocks[2])
}

#[test]
fn each_broken_promise_has_its_own_error() {
    let chain = crate::damage::small();
    let push = |header: &BlockHeader, body: &BlockBody, state: &State| {
        let (mut builder, _) = begun(&chain);
        builder.push(header, body, PostState::State(state)).unwrap_err()
    };
    let (_, Stored { header, body, state, .. }) = begun(&chain);
    let missing = push(&chain.blocks[3].header, &chain.blocks[3].body, &chain.blocks[3].state);
    assert!(matches!(missing, BuildError::NotTheChild { slot: 3, .. }), "{missing}");
    let again = push(&chain.blocks[1].header, &chain.blocks[1].body, &chain.blocks[1].state);
    assert!(matches!(again, BuildError::Range { what: "slot", got: 1, low: 2, .. }), "{again}");
    let later = BlockHeader { slot: 1024, ..*header };
    let later = push(&later, body, state);
    assert!(matches!(later, BuildError::Range { what: "slot", high: 1023, .. }), "{later}");
    let other = push(header, &BlockBody::default(), state);
    assert!(matches!(other, BuildError::OtherBody { slot: 2, .. }), "{other}");
    let other = push(header, body, &chain.blocks[3].state);
    assert!(matches!(other, BuildError::OtherState { slot: 2 }), "{other}");
    let votes = vec![body.attestations[0].clone(); 9];
    let body = BlockBody::new(votes).unwrap();
    let many = push(header, &body, state);
    assert!(matches!(many, BuildError::Range { what: "votes", got: 9, high: 8, .. }), "{many}");
}

#[test]
fn an_entry_that_is_not_the_last_block_before_the_segment_is_refused() {
    let chain = crate::damage::small();
    let (genesis, block) = (&chain.blocks[0], &chain.blocks[2]);
    let new = |network: &Network, index, stored: Option<&Stored>| {
        let entry = stored.map(|block| (&block.header, &*block.state));
        SegmentBuilder::new(network, index, entry).map(|_| ()).unwrap_err()
    };
    let none = new(&chain.network, 0, None);
    assert_eq!(none, BuildError::NoEntry { index: 0 });
    let later = new(&chain.network, 0, Some(block));
    assert!(
        matches!(later, BuildError::Range { what: "slot of the entry", got: 2, .. }),
        "{later}"
    );
    let far = new(&chain.network, 256, Some(block));
    assert!(matches!(far, BuildError::Range { what: "segment", .. }), "{far}");
    let other = Network::new(1, chain.network.validators().clone());
    let other = new(&other, 0, Some(genesis));
    assert_eq!(other, BuildError::OtherState { slot: 0 });
    // A segment without blocks takes none, and one with an entry has some.
    let mut empty = SegmentBuilder::new(&chain.network, 1, None).unwrap();
    let Stored { header, body, state, .. } = block;
    let refused = empty.push(header, body, PostState::State(state)).unwrap_err();
    assert_eq!(refused, BuildError::NoEntry { index: 1 });
    let begun = SegmentBuilder::new(&chain.network, 1, Some((header, state))).unwrap();
    let refused = begun.finish().unwrap_err();
    assert!(matches!(refused, BuildError::Range { what: "last slot", .. }), "{refused}");
}

#[test]
fn a_frontier_of_another_state_is_not_made() {
    let chain = crate::damage::small();
    let (one, other) = (&chain.blocks[2], &chain.blocks[3]);
    assert!(Frontier::of(&one.header, &one.state).is_ok());
    let refused = BuildError::OtherState { slot: 2 };
    assert_eq!(Frontier::of(&one.header, &other.state), Err(refused.clone()));
    let unsealed = BlockHeader { state_root: Root::ZERO, ..one.header };
    assert_eq!(Frontier::of(&unsealed, &one.state), Err(refused));
}
