//! As [`crate::repair`], over a directory that knows more of itself: it began at a checkpoint, its states are pruned, it ships
//! and follows.

use std::collections::BTreeSet;

use lamella_block_store::UncheckedProofs;
use lamella_chain::{Archived, PruneMode, Settings, ShippedTail, TailPosition, repair::Mode};
use lamella_tables::{
    Durability, History, Key as _, Meta, MetaName, Read as _, SegmentKey, Signatures, SlotRoot,
    TABLES,
};
use lamella_types::{Root, Segment};

use crate::{
    blocks::{Blocks, Voting},
    random::Random,
    repair::{
        Alone, Place, Rows, Small, assert_all_proven, campaign, open, print, put, repaired, report,
        rows,
    },
    run::Run,
};

/// Blocks until states were pruned; a healthy run takes a third of it.
const BLOCKS_MAX: usize = 120;

/// Before these come a thousand empty slots: what is pruned lies as far below the live tree's root.
const GAPS: [usize; 2] = [5, 12];

/// Rows of each table that are damaged: so many first ones, and the last.
const FIRST: usize = 2;

/// A directory as above.
fn pruned() -> Small {
    let mut random = Random::new(31);
    let mut blocks = Blocks::genesis(&mut random, 4);
    let voting = Voting { participation: 100, votes_max: 2 };
    let mut root = blocks.bootstrap;
    for slot in 1..6 {
        root = blocks.build(&mut random, root, slot, voting);
    }
    let settings = Settings { durability: Durability::Lazy, ..Settings::default() };
    let mut run = Run::begin(random, settings, blocks.begin_at(root));
    run.voting = voting;
    run.keep(PruneMode::States(0));
    let mut left = 4;
    for step in 0..BLOCKS_MAX {
        let skip = if GAPS.contains(&step) { 1_014 } else { 0 };
        let block = run.child(run.naive.head, skip);
        run.import(block);
        left -= usize::from(run.states_floor > 0);
        if left == 0 {
            break;
        }
    }
    assert_eq!(left, 0, "states below slot {} are pruned", run.states_floor);
    let chain = run.chain();
    let address = "s3://bucket/lean".to_owned();
    let (position, underway) =
        (TailPosition { writer: [7; 8], next: 9, digest: Root::new([3; 32]) }, Root::ZERO);
    chain.put_archived(&Archived { address: address.clone(), segments: 1, proofs: 1 }).unwrap();
    chain.put_shipped_tail(&ShippedTail { position, underway, floor: 1_030, address }).unwrap();
    chain.persist_followed(Vec::new(), &position).unwrap();
    let mut small = Small::of(run);
    let database = open(small.path());
    let mut txn = database.write().unwrap();
    let newest = txn.scan_keys::<Signatures>(SlotRoot::first_of(0)).unwrap().last();
    let slot = newest.unwrap().unwrap().slot;
    let mut unchecked = UncheckedProofs::default();
    unchecked.add(slot..slot + 1);
    unchecked.put(&mut txn).unwrap();
    txn.commit().unwrap();
    small.before = rows(&database);
    drop(database);
    small
}

/// Symptom: while `db prune --mode light` went over what `states:N` had passed, `db verify` and a repair found a segment that no
/// anchor names, and `db backup` refused. Mechanism: the segment of a pruned branch stays, and was told from others by how far rows
/// were deleted, which goes back then. Fix: by the floor of states.
#[test]
fn a_segment_of_a_pruned_branch_is_none_too_many_while_bodies_follow_states() {
    let small = pruned();
    let database = open(small.path());
    let mut bytes = small.segments.values().next().unwrap().as_bytes().to_vec();
    bytes[0] ^= 1;
    let other = Segment::new(bytes).unwrap();
    let name = MetaName::new("pruning");
    let mut txn = database.write().unwrap();
    txn.put::<History>(&SegmentKey { index: 0, root: other.root() }, &other).unwrap();
    let mut pruning = txn.get::<Meta>(&name).unwrap().unwrap();
    let swept = pruning.0.len() - 40;
    pruning.0[swept..].fill(0);
    txn.put::<Meta>(&name, &pruning).unwrap();
    txn.commit().unwrap();
    let found = report(&database);
    assert!(found.is_clean(), "{:?}", found.findings);
    assert_eq!(repaired(&database, &mut Alone, Mode::DryRun).unrepaired, []);
}

/// Symptom: a repair could not make a segment again whose bytes were there. Mechanism: its index had rotted, its blocks lie before the
/// checkpoint, and nobody looked under other indices. Fix: it is looked for there.
#[test]
fn a_segment_whose_index_rotted_is_found_under_the_other_one() {
    let small = pruned();
    let database = open(small.path());
    let ((_, key), segment) =
        small.before.iter().find(|((table, _), _)| *table == "History").unwrap();
    let rotten = [&[0xff], &key[1..]].concat();
    let changed = Rows::from([(("History", rotten), segment.clone())]);
    put(&database, &changed, &[("History", key.clone())]);
    let done = repaired(&database, &mut Alone, Mode::Apply);
    assert_eq!(done.unrepaired, []);
    assert!(rows(&database) == small.before, "{done:?}");
}

/// All of Meta and the guard, and the ends of every other table, the first kept anchor among them.
fn places(small: &Small) -> Vec<Place> {
    let mut places = BTreeSet::new();
    for table in TABLES {
        let rows: Vec<_> = small.before.keys().filter(|(name, _)| *name == table.name).collect();
        let all = ["Meta", "SignGuard"].contains(&table.name);
        let count = if all { rows.len() } else { FIRST };
        places.extend(rows.iter().take(count).copied().cloned());
        places.extend(rows.last().copied().cloned());
    }
    places.into_iter().collect()
}

/// Symptom: `db verify` was content with a damaged row of what was shipped, followed, backed up or not checked, and the node that
/// read it then was not; the first state that pruning had kept never came back. Mechanism: nothing read those rows; a source was asked
/// for a state only at the directory's first block. Fix: verify reads each, a repair drops the two that are found out again and
/// names the backup's; the first kept state is asked for.
#[test]
fn rows_of_a_pruned_directory_that_began_at_a_checkpoint_are_made_again_or_told_of() {
    let small = pruned();
    let names = ["archived", "tail_shipped", "followed", "pruning", "extent", "unchecked_proofs"];
    for name in names {
        let place = ("Meta", name.as_bytes().to_vec());
        let mut damaged = small.before[&place].clone();
        damaged[0] ^= 1;
        let database = open(small.path());
        put(&database, &Rows::from([(place.clone(), damaged)]), &[]);
        assert!(!report(&database).is_clean(), "verify is content with a damaged row {name}");
        put(&database, &Rows::from([(place.clone(), small.before[&place].clone())]), &[]);
    }
    let anchors: Vec<_> = small.before.keys().filter(|(table, _)| *table == "Anchors").collect();
    assert!(anchors.iter().all(|(_, key)| SlotRoot::decode(key).unwrap().slot >= 1_024));
    let outcomes = campaign(&small, &places(&small));
    print(&outcomes);
    assert_all_proven(&outcomes);
}
