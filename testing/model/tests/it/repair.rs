//! Every row of a small directory, damaged in every way, and repaired: to the same bytes where they can be proven, and
//! else left or marked, never guessed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write as _},
    ops::ControlFlow,
    path::Path,
    slice, thread,
};

use lamella_chain::{
    Chain, Identity, Report, Settings,
    copy::CopyJob,
    repair::{Mode, RepairReport, Source, repair_in},
    verify,
};
use lamella_state_transition::compute_post_state;
use lamella_tables::{
    Database, DatabaseView, Durability, DutyKey, History, Key as _, KeyKind, OpenMode, Options,
    Read as _, SegmentKey, SlotRoot, TABLES,
};
use lamella_types::{
    Block, BlockBody, BlockHeader, MultiMessageAggregate, Root, Segment, State, Validators,
};

use crate::{
    blocks::{Blocks, Voting},
    random::Random,
    run::Run,
};

/// Every stored byte, by table and key.
pub type Rows = BTreeMap<Place, Vec<u8>>;

/// Table and key.
pub type Place = (&'static str, Vec<u8>);

/// Tables whose rows prove themselves or follow: a directory without findings has each of them as it was.
const PROVABLE: &[&str] =
    &["Headers", "Bodies", "Slots", "Canonical", "Anchors", "Diffs", "History", "Registries"];

/// Those that the directory alone makes again.
const FROM_WITHIN: &[&str] = &["Headers", "Slots", "Canonical", "Anchors", "Diffs", "History"];

/// Nobody to ask.
pub struct Alone;

impl Source for Alone {
    fn transition(&self, parent: &State, block: &Block) -> Option<State> {
        compute_post_state(parent, block).ok().map(|(state, _)| state)
    }
}

/// Somebody who has every block, as an archive of the whole chain and peers would together.
struct Everything<'a> {
    blocks: &'a Blocks,
    known: &'a BTreeSet<Root>,
    segments: &'a BTreeMap<SegmentKey, Segment>,
}

impl Source for Everything<'_> {
    fn transition(&self, parent: &State, block: &Block) -> Option<State> {
        Alone.transition(parent, block)
    }

    fn block(&mut self, key: &SlotRoot) -> Option<(BlockHeader, BlockBody)> {
        let block = self.known.get(&key.root).map(|root| &self.blocks.get(root).signed.block)?;
        Some((block.header(), block.body.clone()))
    }

    fn segment(&mut self, key: &SegmentKey) -> Option<Segment> {
        Segment::new(self.segments.get(key)?.as_bytes().to_vec())
    }

    fn state(&mut self, key: &SlotRoot) -> Option<State> {
        self.known.get(&key.root).map(|root| self.blocks.state(root))
    }

    fn registry(&mut self, root: &Root) -> Option<Validators> {
        let validators = self.blocks.state(&self.blocks.bootstrap).validators;
        (validators.root() == *root).then_some(validators)
    }

    fn proof(&mut self, key: &SlotRoot, _: &Block, _: &str) -> Option<MultiMessageAggregate> {
        self.known.get(&key.root).map(|root| self.blocks.get(root).signed.proof.clone())
    }
}

pub struct Small {
    blocks: Blocks,
    known: BTreeSet<Root>,
    pub segments: BTreeMap<SegmentKey, Segment>,
    identity: Identity,
    directory: tempfile::TempDir,
    pub before: Rows,
}

impl Small {
    /// Some twenty blocks with votes, two forks, skipped slots and three anchors.
    fn new() -> Self {
        let mut random = Random::new(12);
        let blocks = Blocks::genesis(&mut random, 5);
        let settings = Settings { durability: Durability::Lazy, ..Settings::default() };
        let mut run = Run::begin(random, settings, blocks);
        run.voting = Voting { participation: 80, votes_max: 2 };
        for step in 0..20 {
            let parent =
                if step % 7 == 5 { run.imported[run.imported.len() - 2] } else { run.naive.head };
            let skip = if [8, 14].contains(&step) { 1_010 } else { step % 3 };
            let block = run.child(parent, skip);
            run.import(block);
        }
        Self::of(run)
    }

    /// The directory of a run, in which two keys have signed.
    pub fn of(run: Run) -> Self {
        let key = |validator_index| DutyKey { validator_index, kind: KeyKind::Proposal };
        run.chain().reserve_slot(9, &[key(0), key(1)]).unwrap();
        let before = rows(run.chain().database());
        let segments = {
            let txn = run.chain().read().unwrap();
            let first = SegmentKey { index: 0, root: Root::ZERO };
            txn.scan::<History>(first).unwrap().map(Result::unwrap).collect()
        };
        let identity = run.identity.clone();
        let (blocks, imported, _, directory) = run.close();
        Self {
            blocks,
            known: imported.into_iter().collect(),
            segments,
            identity,
            directory,
            before,
        }
    }

    /// Whoever has every block has these too.
    pub fn others_have(&mut self, blocks: Blocks) {
        self.known.extend(self.blocks.add(blocks));
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    fn everything(&self) -> Everything<'_> {
        Everything { blocks: &self.blocks, known: &self.known, segments: &self.segments }
    }
}

pub fn rows(database: &DatabaseView) -> Rows {
    let txn = database.read().unwrap();
    let of_table = |name: &'static str| {
        let rows = txn.raw_rows(name).unwrap().unwrap();
        // A row that is too long is no row's bytes.
        rows.map(move |row| match row {
            Ok(row) => ((name, row.key), row.stored),
            Err(lamella_tables::ReadError::Damaged(damage)) => ((name, damage.key), Vec::new()),
            Err(error) => panic!("{error}"),
        })
        .collect::<Vec<_>>()
    };
    TABLES.iter().flat_map(|table| of_table(table.name)).collect()
}

pub fn open(path: &Path) -> Database {
    let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Existing) };
    Database::open(path, options).unwrap()
}

pub fn put(database: &Database, changes: &Rows, lost: &[Place]) {
    let mut txn = database.write().unwrap();
    for ((table, key), stored) in changes {
        txn.put_raw(table, key, stored).unwrap();
    }
    for (table, key) in lost {
        assert!(txn.delete_raw(table, key).unwrap());
    }
    txn.commit().unwrap();
}

/// Makes the directory what it was.
fn put_back(database: &Database, before: &Rows) {
    let now = rows(database);
    let more: Vec<_> = now.keys().filter(|key| !before.contains_key(*key)).cloned().collect();
    let changed = before.iter().filter(|(key, stored)| now.get(*key) != Some(stored));
    put(database, &changed.map(|(key, row)| (key.clone(), row.clone())).collect(), &more);
}

pub fn repaired(database: &Database, source: &mut dyn Source, mode: Mode) -> RepairReport {
    repair_in(database, source, mode, &mut |_| ControlFlow::Continue(())).unwrap()
}

pub fn report(database: &DatabaseView) -> Report {
    verify(database, &mut |_| ControlFlow::Continue(())).unwrap()
}

const WAYS: [&str; 5] = ["flipped", "cut", "removed", "swapped", "grown"];

/// The rows that one damage changes, and the one that it removes.
fn damage(before: &Rows, place: &Place, way: &str) -> Option<(Rows, Vec<Place>)> {
    let stored = &before[place];
    let with = |stored: Vec<u8>| Rows::from([(place.clone(), stored)]);
    let middle = stored.len() / 2;
    Some(match way {
        "flipped" => {
            let mut flipped = stored.clone();
            flipped[middle] ^= 4;
            (with(flipped), vec![])
        }
        "cut" => (with(stored[..middle].to_vec()), vec![]),
        "grown" => (with([&stored[..], &[7; 3]].concat()), vec![]),
        "removed" => (Rows::new(), vec![place.clone()]),
        _ => {
            let mut near = before.range(place.clone()..).skip(1).chain(before.iter().rev());
            let other = near.find(|((table, key), other)| {
                *table == place.0 && *key != place.1 && *other != stored
            });
            let (other, swapped) = other?;
            let mut both = with(swapped.clone());
            both.insert(other.clone(), stored.clone());
            (both, vec![])
        }
    })
}

/// What became of the pairs of rows and ways of one table.
#[derive(Debug, Default)]
pub struct Outcome {
    pub pairs: u32,
    pub equal: u32,
    pub sound: u32,
    pub left: u32,
    pub refused: u32,
    pub equal_with_source: u32,
}

/// One pair. Returns whether the directory is as it was, and whether it has no findings.
fn judge(small: &Small, source: &mut dyn Source, what: &str) -> Result<(bool, bool), String> {
    let database = open(small.path());
    let damaged = rows(&database);
    let dry = repair_in(&database, source, Mode::DryRun, &mut |_| ControlFlow::Continue(()));
    assert!(rows(&database) == damaged, "{what}: a dry run changed rows");
    let dry = dry.map_err(|error| error.to_string())?;
    let done = repaired(&database, source, Mode::Apply);
    assert_eq!((&done.repairs, &done.unrepaired), (&dry.repairs, &dry.unrepaired), "{what}");
    let again = repaired(&database, source, Mode::Apply);
    assert_eq!((again.row_count(), again.commits), (0, 0), "{what}: once is enough: {again:?}");
    let now = rows(&database);
    let is_clean = report(&database).is_clean();
    assert!(
        is_clean || again.unrepaired_count > 0,
        "{what}: findings, and nothing said: {:?}",
        report(&database).findings
    );
    let guard = |rows: &Rows| -> Rows {
        let rows = rows.iter().filter(|((table, _), _)| *table == "SignGuard");
        rows.map(|(key, row)| (key.clone(), row.clone())).collect()
    };
    assert!(guard(&now) == guard(&damaged), "{what}: the sign guard was touched");
    for (place, row) in now.iter().filter(|((table, _), _)| PROVABLE.contains(table)) {
        let may_be = small.before.get(place) == Some(row) || damaged.get(place) == Some(row);
        assert!(may_be, "{what}: {place:?} is neither what it was nor as it was found");
        assert!(!is_clean || small.before.get(place) == Some(row), "{what}: {place:?} is wrong");
    }
    Ok((now == small.before, is_clean))
}

/// Each of these rows in each way.
pub fn campaign(small: &Small, places: &[Place]) -> BTreeMap<&'static str, Outcome> {
    let mut outcomes = BTreeMap::<&str, Outcome>::new();
    for (place, way) in places.iter().flat_map(|place| WAYS.map(|way| (place, way))) {
        let Some((changed, lost)) = damage(&small.before, place, way) else { continue };
        let what = format!("{}, key {:02x?}, {way}", place.0, place.1);
        let outcome = outcomes.entry(place.0).or_default();
        outcome.pairs += 1;
        put(&open(small.path()), &changed, &lost);
        match judge(small, &mut Alone, &what) {
            Ok((true, _)) => {
                // What needs no source is not asked of one.
                outcome.equal += 1;
                outcome.equal_with_source += 1;
                continue;
            }
            Ok((false, true)) => outcome.sound += 1,
            Ok((false, false)) => outcome.left += 1,
            Err(refusal) => {
                assert!(refusal.contains("restore"), "{what}: {refusal}");
                outcome.refused += 1;
            }
        }
        put_back(&open(small.path()), &small.before);
        put(&open(small.path()), &changed, &lost);
        let with_source = judge(small, &mut small.everything(), &what);
        outcome.equal_with_source += u32::from(matches!(with_source, Ok((true, _))));
        put_back(&open(small.path()), &small.before);
    }
    outcomes
}

/// With a source every row came back, but those that no other row proves.
pub fn assert_all_proven(outcomes: &BTreeMap<&str, Outcome>) {
    for (table, outcome) in outcomes {
        match *table {
            // One that cannot be read is told of, or dropped where it is found out again.
            "Meta" | "SignGuard" | "Votes" => {}
            table => assert_eq!(outcome.equal_with_source, outcome.pairs, "{table}: {outcome:?}"),
        }
    }
}

/// Prints the table of a campaign.
pub fn print(outcomes: &BTreeMap<&str, Outcome>) {
    let mut out = io::stdout().lock();
    writeln!(out, "| table | pairs | equal, alone | equal, with a source | sound, not equal | left | refused |").unwrap();
    writeln!(out, "|---|---|---|---|---|---|---|").unwrap();
    for (table, o) in outcomes {
        let Outcome { pairs, equal, sound, left, refused, equal_with_source } = o;
        writeln!(
            out,
            "| {table} | {pairs} | {equal} | {equal_with_source} | {sound} | {left} | {refused} |"
        )
        .unwrap();
    }
}

/// The table of docs/reliability.md. `cargo test -- --nocapture` prints it.
#[test]
fn every_row_damaged_in_every_way_is_made_again_or_told_of_and_never_guessed() {
    let mut outcomes = BTreeMap::new();
    let (one, other): (Vec<_>, Vec<_>) =
        TABLES.iter().map(|table| table.name).partition(|table| table.len() > 7);
    thread::scope(|scope| {
        let parts = [one, other].map(|tables| {
            scope.spawn(move || {
                let small = Small::new();
                let places = small.before.keys().filter(|(table, _)| tables.contains(table));
                campaign(&small, &places.cloned().collect::<Vec<_>>())
            })
        });
        outcomes.extend(parts.into_iter().flat_map(|part| part.join().unwrap()));
    });
    print(&outcomes);
    assert_eq!(outcomes.len(), TABLES.len(), "{outcomes:?}");
    for (table, outcome) in &outcomes {
        if FROM_WITHIN.contains(table) {
            assert_eq!(outcome.equal, outcome.pairs, "{table}: {outcome:?}");
        }
        if PROVABLE.contains(table) || *table == "Signatures" {
            assert_eq!(outcome.equal_with_source, outcome.pairs, "{table}: {outcome:?}");
        }
    }
    assert_eq!(outcomes["Signatures"].left, 0, "a lost proof is marked");
    assert_eq!(outcomes["Votes"].left, 0, "a vote that cannot be read is dropped");
}

/// Symptom: a repair said that nothing was left, and `verify` found a damaged row of Slots. Mechanism: a bit had flipped in the
/// row's key; the true row was derived, and nobody looked at the one under a root that is no block's. Fix: it goes, if no other
/// row knows such a block.
#[test]
fn a_row_of_an_index_whose_key_rotted_goes() {
    let small = Small::new();
    let database = open(small.path());
    let (place, stored) = small.before.iter().find(|((table, _), _)| *table == "Slots").unwrap();
    let mut key = place.1.clone();
    key[9] ^= 4;
    put(&database, &Rows::from([((place.0, key), stored.clone())]), slice::from_ref(place));
    let done = repaired(&database, &mut Alone, Mode::Apply);
    assert_eq!(done.unrepaired, []);
    assert!(rows(&database) == small.before, "{done:?}");
    assert!(report(&database).is_clean());
}

/// More than one row, and what rests on what: whole tables at once, and all that can be made again.
#[test]
fn whole_tables_that_are_gone_come_back() {
    let small = Small::new();
    let of = |tables: &[&str]| -> Vec<_> {
        small.before.keys().filter(|(table, _)| tables.contains(table)).cloned().collect()
    };
    let lost: [(&[&str], bool); 7] = [
        (&["Diffs"], false),
        (&["Slots", "Canonical"], false),
        (&["Diffs", "Anchors", "Slots"], false),
        (&["History", "Anchors", "Canonical"], false),
        (&["Headers"], false),
        (&["Bodies", "Diffs", "Registries"], true),
        (PROVABLE_BUT_HEADERS, true),
    ];
    for (tables, needs_source) in lost {
        let database = open(small.path());
        put(&database, &Rows::new(), &of(tables));
        let mut everything = small.everything();
        let source: &mut dyn Source = if needs_source { &mut everything } else { &mut Alone };
        let done = repaired(&database, source, Mode::Apply);
        assert!(rows(&database) == small.before, "{tables:?}: {done:#?}");
        assert!(report(&database).is_clean(), "{tables:?}");
    }
}

const PROVABLE_BUT_HEADERS: &[&str] =
    &["Bodies", "Slots", "Canonical", "Anchors", "Diffs", "History", "Registries"];

/// What was stopped at any block goes on, and ends in the same rows.
#[test]
fn a_repair_that_was_stopped_goes_on() {
    let small = Small::new();
    let lost = small.before.keys();
    let lost: Vec<_> =
        lost.filter(|(table, _)| ["Diffs", "Canonical"].contains(table)).cloned().collect();
    for stop_at in 0..small.known.len() as u64 {
        let database = open(small.path());
        put(&database, &Rows::new(), &lost);
        let stop = &mut |progress: lamella_chain::Progress| match progress.done >= stop_at {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        assert!(repair_in(&database, &mut Alone, Mode::Apply, stop).unwrap().stopped);
        repaired(&database, &mut Alone, Mode::Apply);
        assert!(rows(&database) == small.before, "stopped at block {stop_at}");
    }
}

/// Under a chain that is open: what its checker names is made again while it goes on.
#[test]
fn rows_that_rot_under_a_running_chain_are_repaired_by_name() {
    let small = Small::new();
    let settings = Settings { durability: Durability::Lazy, ..Settings::default() };
    let (chain, _) = Chain::resume(small.path(), &small.identity, settings).unwrap();
    let flipped = |table: &str| {
        let mut places = small.before.iter().filter(move |((name, _), _)| *name == table);
        let (place, stored) = places.nth(1).unwrap();
        let mut stored = stored.clone();
        stored[3] ^= 64;
        (place.clone(), stored)
    };
    let rotten: Rows =
        PROVABLE.iter().filter(|t| **t != "Registries").map(|t| flipped(t)).collect();
    let mut txn = chain.database().write_raw().unwrap();
    for ((table, key), stored) in &rotten {
        txn.put_raw(table, key, stored).unwrap();
    }
    txn.commit().unwrap();
    // A row may hide another until it is whole.
    for round in 0.. {
        let found = report(chain.database());
        if found.is_clean() {
            break;
        }
        assert!(round < 4 && !found.damaged.is_empty(), "{found:?}");
        chain.repair_rows(&found.damaged, &mut small.everything()).unwrap();
    }
    assert!(rows(chain.database()) == small.before);
}

/// Symptom: `db repair` left nothing, and `db verify` found a row of the guard, or of Meta, damaged (rotten files of the long run).
/// Mechanism: a row whose key is no key was passed over. Fix: it is named, and stays. So it is of one whose key rotted to a name that
/// this version does not know, which `db verify` did not read, and `db backup` did.
#[test]
fn a_row_whose_key_rotted_to_none_is_named_and_stays() {
    let small = Small::new();
    let database = open(small.path());
    let guard = [&1_u64.to_be_bytes()[..], &[0xfe]].concat();
    let [none, unknown] = [&b"bl\x90cks"[..], b"fork_choic"].map(|key| ("Meta", key.to_vec()));
    for (table, key) in [("SignGuard", guard), none, unknown] {
        let rotten = Rows::from([((table, key.clone()), vec![7; 16])]);
        put(&database, &rotten, &[]);
        assert_eq!(report(&database).finding_count, 1);
        let done = repaired(&database, &mut small.everything(), Mode::Apply);
        let named = done.unrepaired.iter().map(|row| (row.table, &row.key)).collect::<Vec<_>>();
        assert_eq!(named, [(table, &key)]);
        assert_eq!(rows(&database).get(&(table, key)), Some(&vec![7; 16]));
        put_back(&database, &small.before);
    }
}

/// Symptom: `db repair` left nothing, and `db verify` found a segment that no anchor names (rotten files of the long run).
/// Mechanism: the index in its key rotted, the segment was made again under its own, and a sound row that nothing names was passed
/// over. Fix: it goes where the same segment has the index that is named, and is told of elsewhere.
#[test]
fn a_segment_whose_index_rotted_goes_once_the_same_has_its_own() {
    let small = Small::new();
    let database = open(small.path());
    let ((_, key), segment) =
        small.before.iter().find(|((table, _), _)| *table == "History").unwrap();
    let rotten = [&[0xff], &key[1..]].concat();
    put(
        &database,
        &Rows::from([(("History", rotten.clone()), segment.clone())]),
        &[("History", key.clone())],
    );
    repaired(&database, &mut small.everything(), Mode::Apply);
    assert!(rows(&database) == small.before);
    // Of a branch whose anchor is nowhere: nobody can say that it is not needed.
    let mut bytes = small.segments.values().next().unwrap().as_bytes().to_vec();
    bytes[0] ^= 1;
    let other = Segment::new(bytes).unwrap();
    let key = SegmentKey { index: 0, root: other.root() };
    let mut txn = database.write().unwrap();
    txn.put::<History>(&key, &other).unwrap();
    txn.commit().unwrap();
    let done = repaired(&database, &mut small.everything(), Mode::Apply);
    let named = done.unrepaired.iter().map(|row| (row.table, &*row.why)).collect::<Vec<_>>();
    assert_eq!(named, [("History", "no readable anchor names it")]);
    assert!(database.read().unwrap().has::<History>(&key).unwrap());
}

/// Symptom: after `db repair` and a `db verify` that found nothing, `db backup` and `db compact` failed for ever. Mechanism: a bit of
/// the table's number in the key of a state's row rotted; the state was made again, and a row that is no table's was passed over by
/// all that walk over a table. Fix: `verify` looks at each key of the tree, and a repair deletes it once nothing is missing.
#[test]
fn a_row_whose_key_is_no_tables_is_found_and_goes_once_nothing_is_missing() {
    let small = Small::new();
    let place = small.before.keys().filter(|(table, _)| *table == "Diffs").nth(2).unwrap();
    let body = small.before.keys().filter(|(table, _)| *table == "Bodies").nth(3).unwrap();
    for rotten in [[0, 3], [0x80, 2]] {
        let database = open(small.path());
        let key = [&place.1[..], &rotten].concat();
        put(&database, &Rows::new(), slice::from_ref(place));
        let mut txn = database.write().unwrap();
        txn.put_unowned(&key, &small.before[place]).unwrap();
        txn.commit().unwrap();
        let found = report(&database);
        assert!(found.findings.iter().any(|finding| finding.to_string().contains("Blocks")));

        put(&database, &Rows::new(), slice::from_ref(body));
        let done = repaired(&database, &mut Alone, Mode::Apply);
        let mut left: Vec<_> = done.unrepaired.iter().map(|row| (row.table, &row.key)).collect();
        left.sort_unstable();
        assert_eq!(left, [("Blocks", &key), ("Bodies", &body.1)]);

        let done = repaired(&database, &mut small.everything(), Mode::Apply);
        assert_eq!(done.unrepaired, []);
        assert!(rows(&database) == small.before);
        assert!(report(&database).is_clean());
        drop(database);
        let copy = tempfile::tempdir().unwrap();
        let copied =
            CopyJob::default().backup(small.path(), &copy.path().join("db"), 0, &mut |_| {
                ControlFlow::Continue(())
            });
        copied.unwrap();
    }
}

/// Symptom: a repair deleted a sound segment of empty slots, and said that its index had rotted. Mechanism: all such segments have one
/// root, and another of them was named. Fix: it is told of, and stays.
#[test]
fn a_segment_of_empty_slots_that_no_anchor_names_stays() {
    let mut random = Random::new(12);
    let blocks = Blocks::genesis(&mut random, 5);
    let settings = Settings { durability: Durability::Lazy, ..Settings::default() };
    let mut run = Run::begin(random, settings, blocks);
    for skip in [0, 0, 2_100, 0] {
        let block = run.child(run.naive.head, skip);
        run.import(block);
    }
    let small = Small::of(run);
    let empty = small.segments.keys().find(|key| key.index == 1).unwrap();
    assert!(small.segments[empty].as_bytes().iter().all(|byte| *byte == 0));
    let loose = SegmentKey { index: 5, root: empty.root };
    let database = open(small.path());
    let mut txn = database.write().unwrap();
    txn.put::<History>(&loose, &small.segments[empty]).unwrap();
    txn.commit().unwrap();
    let done = repaired(&database, &mut Alone, Mode::Apply);
    let told = done.unrepaired.iter().map(|row| (row.table, &row.key)).collect::<Vec<_>>();
    assert_eq!((told, done.repair_count), (vec![("History", &loose.encode())], 0));
}

/// A source that lies gives nothing: what it says is compared with what the directory says.
#[test]
fn a_source_that_lies_is_not_believed() {
    struct Liar<'a>(Everything<'a>);
    impl Source for Liar<'_> {
        fn transition(&self, parent: &State, block: &Block) -> Option<State> {
            self.0.transition(parent, block)
        }
        fn block(&mut self, key: &SlotRoot) -> Option<(BlockHeader, BlockBody)> {
            let other = self.0.known.iter().find(|root| **root != key.root)?;
            let (header, _) = self.0.block(key)?;
            let body = self.0.blocks.get(other).signed.block.body.clone();
            Some((BlockHeader { proposer_index: header.proposer_index + 1, ..header }, body))
        }
        fn registry(&mut self, _: &Root) -> Option<Validators> {
            Validators::new(&[]).ok()
        }
    }
    let small = Small::new();
    let database = open(small.path());
    let place = small.before.keys().filter(|(table, _)| *table == "Bodies").nth(3).unwrap();
    let registry = small.before.keys().find(|(table, _)| *table == "Registries").unwrap();
    put(&database, &Rows::new(), &[place.clone(), registry.clone()]);
    let damaged = rows(&database);
    let done = repaired(&database, &mut Liar(small.everything()), Mode::Apply);
    assert!(rows(&database) == damaged, "{done:?}");
    let told: Vec<_> = done.unrepaired.iter().map(|row| row.table).collect();
    assert!(told.contains(&"Bodies") && told.contains(&"Registries"), "{told:?}");
    assert_eq!(small.identity.registry_root.as_bytes(), &registry.1[..]);
}
