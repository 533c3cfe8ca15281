//! As [`crate::repair`], over a directory with a hole: it began at a checkpoint, and history below it was fetched as far as a
//! crash let it.

use std::{collections::BTreeSet, sync::Arc};

use lamella_chain::{PastBlock, Settings};
use lamella_tables::{Durability, Headers, Read as _, SlotRoot, TABLES};

use crate::{
    blocks::{Blocks, Voting},
    random::Random,
    repair::{Place, Small, assert_all_proven, campaign, open, print},
    run::Run,
};

/// Slots of the blocks that are fetched, after genesis: two anchors among them.
const FETCHED: [u64; 6] = [1, 2, 4, 1_025, 1_026, 1_028];

/// Slots of those that are missing.
const MISSING: [u64; 3] = [1_029, 1_031, 2_050];

/// Slot of the block that the directory began with.
const BEGUN: u64 = 2_052;

/// A directory as above, with blocks above the hole and the fetched ones below it.
fn holed() -> Small {
    let mut random = Random::new(53);
    let voting = Voting { participation: 100, votes_max: 2 };
    let mut blocks = Blocks::genesis(&mut random, 4);
    let mut roots = vec![blocks.bootstrap];
    for slot in FETCHED.into_iter().chain(MISSING).chain([BEGUN]) {
        roots.push(blocks.build(&mut random, roots[roots.len() - 1], slot, voting));
    }
    let others = blocks.clone();
    let settings = Settings { durability: Durability::Lazy, ..Settings::default() };
    let mut run = Run::begin(random, settings, blocks.begin_at(roots[roots.len() - 1]));
    run.voting = voting;
    for _ in 0..4 {
        let block = run.child(run.naive.head, 0);
        run.import(block);
    }
    let mut base = None;
    for root in &roots[..=FETCHED.len()] {
        let block = &others.get(root).signed.block;
        let state = Arc::new(others.state(root));
        let past =
            PastBlock::new(base.as_ref(), block.header(), block.body.clone(), state).unwrap();
        base = Some(past.base());
        run.chain().put_history(&[past]).unwrap();
    }
    let hole = run.chain().history_hole().unwrap().unwrap();
    assert_eq!((hole.after.unwrap().slot, hole.until.slot), (FETCHED[FETCHED.len() - 1], BEGUN));
    let mut small = Small::of(run);
    small.others_have(others);
    small
}

/// Of each table the rows on both sides of the hole, and the first and the last one.
fn places(small: &Small) -> Vec<Place> {
    let mut places = BTreeSet::new();
    for table in TABLES {
        let mut rows: Vec<_> =
            small.before.keys().filter(|(name, _)| *name == table.name).cloned().collect();
        if rows.len() > 6 {
            let below = rows.partition_point(|(_, key)| {
                key.first_chunk().is_some_and(|slot| u64::from_be_bytes(*slot) < BEGUN)
            });
            let kept = [0, below.saturating_sub(2), below.saturating_sub(1), below, below + 1];
            let last = rows.len() - 1;
            rows = kept.into_iter().chain([last]).map(|row| rows[row.min(last)].clone()).collect();
        }
        places.extend(rows);
    }
    places.into_iter().collect()
}

/// Symptom: the state of genesis did not come back, though its registry was there and a source had the block. Mechanism: a state
/// that rests on no other was made again only at the oldest block above the hole. Fix: at the oldest block of each range.
#[test]
fn rows_on_both_sides_of_a_hole_are_made_again_and_the_hole_stays() {
    let small = holed();
    let outcomes = campaign(&small, &places(&small));
    print(&outcomes);
    assert_all_proven(&outcomes);
    let database = open(small.path());
    let txn = database.read().unwrap();
    let missing: Vec<_> = txn
        .scan_keys::<Headers>(SlotRoot::first_of(MISSING[0]))
        .unwrap()
        .map(Result::unwrap)
        .take_while(|key| key.slot < BEGUN)
        .collect();
    assert_eq!(missing, []);
}
