//! What follows from headers, states and votes is derived again; what does not is named. Rows here carry valid seals:
//! they are old, or of another block, or gone, and only other rows say so.

use std::{collections::BTreeMap, ops::ControlFlow, path::Path};

use lamella_chain::{
    Chain, ChainOpenError, ForkChoiceRow, Identity, Opened, Report, Settings, verify,
};
use lamella_state_diff::{StateDiff, TallyDiff};
use lamella_tables::{
    Bodies, Bytes, Canonical, Database, DatabaseView, Diffs, Durability, DutyKey, Headers, History,
    KeyKind, Meta, MetaName, OpenMode, Options, Read as _, Registries, SegmentKey, SignGuard,
    Signatures, SlotRoot, Slots, TABLES, Votes, WriteTxn,
};
use lamella_types::{BlockBody, Root, Segment};

use crate::{
    blocks::{Blocks, Voting, registry},
    random::Random,
    run::Run,
};

type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

fn settings() -> Settings {
    Settings { durability: Durability::Lazy, ..Settings::default() }
}

/// A chain of some thirty blocks with votes and forks, and its fork choice row halfway.
fn chain() -> (Run, ForkChoiceRow) {
    let mut random = Random::new(3);
    let blocks = Blocks::genesis(&mut random, 7);
    let mut run = Run::begin(random, settings(), blocks);
    run.voting = Voting { participation: 60, votes_max: 4 };
    let mut halfway = None;
    for step in 0..30 {
        let back = if step % 5 == 4 { 2 } else { 1 };
        let parent = run.imported[run.imported.len() - back.min(run.imported.len())];
        let block = run.child(parent, step % 2);
        run.import(block);
        if step == 15 {
            halfway = Some(run.stored_row());
        }
    }
    (run, halfway.unwrap())
}

fn open(path: &Path) -> Database {
    let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Existing) };
    Database::open(path, options).unwrap()
}

fn change(path: &Path, change: impl FnOnce(&mut WriteTxn<'_>)) {
    let database = open(path);
    let mut txn = database.write().unwrap();
    change(&mut txn);
    txn.commit().unwrap();
}

fn rows(database: &DatabaseView) -> Rows {
    let txn = database.read().unwrap();
    let of_table = |name: &'static str| {
        let rows = txn.raw_rows(name).unwrap().unwrap().map(Result::unwrap);
        rows.map(|row| ((name, row.key), row.stored)).collect::<Vec<_>>()
    };
    TABLES.iter().flat_map(|table| of_table(table.name)).collect()
}

fn report(path: &Path) -> Report {
    verify(&open(path), &mut |_| ControlFlow::Continue(())).unwrap()
}

fn found(path: &Path, invariant: &str, words: &str) {
    let findings = report(path).findings;
    let found = findings.iter().any(|f| f.invariant == invariant && f.what.contains(words));
    assert!(found, "no finding of {invariant} says {words}: {findings:#?}");
}

fn resume(path: &Path, identity: &Identity) -> Result<(Chain, Opened), ChainOpenError> {
    Chain::resume(path, identity, settings())
}

/// The start gives exactly these rows, and the checker is content with them.
fn derives_to(path: &Path, identity: &Identity, before: &Rows) -> Opened {
    let (chain, opened) = resume(path, identity).unwrap();
    assert!(rows(chain.database()) == *before, "{:?}: other rows", opened.recovered);
    drop(chain);
    assert!(report(path).is_clean());
    assert!(!resume(path, identity).unwrap().1.recovered.is_something(), "once is enough");
    opened
}

/// Symptom: any change of fork choice's rules, and an old fork choice row put back, keep a node from starting for ever.
/// Mechanism: the head is recomputed at start and had to be the stored one (F1).
/// Fix: the stored head is a finding of the checker; the start goes on with the recomputed one, and stores it.
#[test]
fn a_start_goes_on_with_the_head_that_blocks_and_votes_give() {
    let (run, halfway) = chain();
    let (identity, newest) = (run.identity.clone(), run.stored_row());
    let before = rows(run.chain().database());
    let (_, _, _, directory) = run.close();
    let path = directory.path();
    let fork_choice = MetaName::new("fork_choice");
    let row = |row: &ForkChoiceRow| Bytes(lamella_chain::rows::put_fork_choice(row));

    assert_ne!(halfway.head, newest.head);
    change(path, |txn| txn.put::<Meta>(&fork_choice, &row(&halfway)).unwrap());
    found(path, "F1", "fork choice gives head");
    let opened = resume(path, &identity).unwrap().1;
    assert!(opened.recovered.fork_choice);
    assert_eq!(opened.fork_choice.head, newest.head);
    assert!(report(path).is_clean());

    let other = ForkChoiceRow { head: halfway.head, ..newest };
    change(path, |txn| txn.put::<Meta>(&fork_choice, &row(&other)).unwrap());
    found(path, "F1", "fork choice gives head");
    let opened = derives_to(path, &identity, &before);
    assert_eq!(opened.fork_choice, newest);
}

#[test]
fn rows_that_contradict_the_headers_are_derived_again() {
    let (run, _) = chain();
    let identity = run.identity.clone();
    let before = rows(run.chain().database());
    let (blocks, imported, _, directory) = run.close();
    let path = directory.path();
    let key = |root: &Root| SlotRoot::new(blocks.get(root).summary.slot, *root);
    let (one, other) = (key(&imported[12]), key(&imported[20]));

    change(path, |txn| txn.put::<Canonical>(&one.slot, &other.root).unwrap());
    found(path, "C1", "Canonical has");
    assert_eq!(derives_to(path, &identity, &before).recovered.canonical, 1);

    change(path, |txn| txn.put::<Slots>(&one.root, &other.slot).unwrap());
    found(path, "S1", "Slots");
    assert_eq!(derives_to(path, &identity, &before).recovered.slots, 1);

    change(path, |txn| {
        for (table, key) in before.keys() {
            let derived = ["Canonical", "Slots"].contains(table);
            if derived || (*table == "Meta" && key == b"fork_choice") {
                txn.delete_raw(table, key).unwrap();
            }
        }
    });
    let (chain, opened) = resume(path, &identity).unwrap();
    let stale: Vec<_> = ["Canonical", "Slots"].into_iter().collect();
    let now = rows(chain.database());
    let of = |rows: &Rows| {
        let kept = rows.iter().filter(|((table, _), _)| stale.contains(table));
        kept.map(|(key, stored)| (key.clone(), stored.clone())).collect::<Rows>()
    };
    assert!(of(&now) == of(&before), "{:?}", opened.recovered);
    drop(chain);
    assert!(report(path).is_clean());
}

/// A derived row may be all that is left to say that a block was acknowledged.
#[test]
fn nothing_is_derived_over_a_lost_header() {
    let (run, _) = chain();
    let (identity, head) = (run.identity.clone(), run.naive.head);
    let (blocks, imported, _, directory) = run.close();
    let path = directory.path();
    for root in [head, imported[9], imported[0]] {
        let key = SlotRoot::new(blocks.get(&root).summary.slot, root);
        let header = blocks.get(&root).signed.block.header();
        change(path, |txn| assert!(txn.delete::<Headers>(&key).unwrap()));
        let before = rows(&open(path));
        let Err(error) = resume(path, &identity) else { panic!("started without {key}") };
        let said = error.to_string();
        assert!(said.contains(&root.to_string()) || said.contains("header"), "{said}");
        assert!(rows(&open(path)) == before, "{key}: left as it was");
        change(path, |txn| txn.put::<Headers>(&key, &header).unwrap());
    }
    assert!(!resume(path, &identity).unwrap().1.recovered.is_something());
}

#[test]
fn two_votes_in_one_place_cost_one_vote() {
    let (run, _) = chain();
    let identity = run.identity.clone();
    let (_, _, _, directory) = run.close();
    let path = directory.path();
    let opened = resume(path, &identity).unwrap().1;
    assert!(opened.votes > 1);
    let votes: Vec<_> = {
        let database = open(path);
        let txn = database.read().unwrap();
        txn.scan::<Votes>(SlotRoot::first_of(0)).unwrap().map(Result::unwrap).collect()
    };
    // Behind format, data and pools.
    let places = 130..138;
    let (known, (key, row)) = (&votes[0].1.0[places.clone()], &votes[1]);
    let mut row = row.0.clone();
    row[places].copy_from_slice(known);
    change(path, |txn| txn.put::<Votes>(key, &Bytes(row)).unwrap());
    found(path, "F1", "another vote holds its place");
    let again = resume(path, &identity).unwrap().1;
    assert_eq!((again.recovered.votes, again.votes), (1, opened.votes - 1));
    assert!(report(path).is_clean());
}

/// Symptom: the checker is content with states that a cold read cannot put together.
/// Mechanism: it read states in order through one cache, which gave each its parent's tally; the number of a delta,
/// by which a cold read knows where to begin, was looked at by nobody.
/// Fix: each number must follow the base's, and the longest chains are read cold.
#[test]
fn a_tally_chain_that_only_a_warm_cache_hides_is_found() {
    let (run, _) = chain();
    let (blocks, imported, _, directory) = run.close();
    let path = directory.path();
    let root = imported[20];
    let parent = blocks.get(&root).summary.parent_root;
    let key = SlotRoot::new(blocks.get(&root).summary.slot, root);
    let (base, target) = (blocks.state(&parent), blocks.state(&root));
    let mut lost = None;
    change(path, |txn| {
        let Bytes(bytes) = txn.get::<Diffs>(&key).unwrap().unwrap();
        let mut diff = StateDiff::decode(&bytes, key.slot).unwrap();
        let (from, to) = (&base.justifications, &target.justifications);
        diff.tally = TallyDiff::delta(31, from, to, target.validators.len());
        txn.put::<Diffs>(&key, &Bytes(diff.encode())).unwrap();
        lost = Some(bytes);
    });
    found(path, "S2", "its tally delta is number 31");
    change(path, |txn| txn.put::<Diffs>(&key, &Bytes(lost.unwrap())).unwrap());
    assert!(report(path).is_clean());
}

#[test]
fn rows_that_nobody_names_are_found_and_unknown_names_are_listed() {
    let (mut run, _) = chain();
    run.voting = Voting { participation: 0, votes_max: 0 };
    let empty = run.child(run.naive.head, 0);
    run.import(empty);
    let (identity, foreign) = (run.identity.clone(), registry(&mut run.random, 3));
    let key = SlotRoot::new(run.blocks.get(&empty).summary.slot, empty);
    let (_, _, _, directory) = run.close();
    let path = directory.path();
    let nobody = SlotRoot::new(5, Root::new([9; 32]));
    let segment = Segment::new(vec![8; 32 * 1024]).unwrap();
    let segment_key = SegmentKey { index: 0, root: segment.root() };
    let stranger = DutyKey { validator_index: 7, kind: KeyKind::Proposal };
    let other = Identity { genesis_time: identity.genesis_time + 1, ..identity.clone() };
    let identity_row = |identity: &Identity| Bytes(lamella_chain::rows::put_identity(identity));

    change(path, |txn| {
        txn.put::<Bodies>(&key, &BlockBody::default()).unwrap();
        txn.put::<Signatures>(&nobody, &Bytes(vec![1])).unwrap();
        txn.put::<Slots>(&nobody.root, &nobody.slot).unwrap();
        txn.put::<Diffs>(&nobody, &Bytes(vec![1])).unwrap();
        txn.put::<History>(&segment_key, &segment).unwrap();
        txn.put::<Registries>(&foreign.root(), &foreign).unwrap();
        txn.put::<SignGuard>(&stranger, &3).unwrap();
        txn.put::<Meta>(&MetaName::new("of_a_later_version"), &Bytes(vec![1])).unwrap();
        txn.put::<Meta>(&MetaName::new("identity"), &identity_row(&other)).unwrap();
    });
    for (invariant, words) in [
        ("S1", "whose body is empty"),
        ("S1", "Signatures holds a row of"),
        ("S1", "Slots names block"),
        ("S1", "Diffs holds a row of"),
        ("S4", "History holds segment"),
        ("S4", "Registries holds"),
        ("G1", "which the registry lacks"),
        ("I1", "has genesis time"),
    ] {
        found(path, invariant, words);
    }
    assert_eq!(report(path).unknown_meta, ["of_a_later_version"]);
}
