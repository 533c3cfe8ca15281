//! States that are pruned: what goes, what stays, what a kill leaves, and that a node keeps to the mode.

use std::{
    collections::BTreeMap,
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    ops::ControlFlow,
    path::Path,
    process::Command,
    sync::Arc,
};

use lamella::import::Importer;
use lamella_benches::blocks::child;
use lamella_block_store::{self as block_store, Extent};
use lamella_chain::{
    Archived, Bootstrap, Chain, Progress, PruneMode, Pruning, ReadOnlyChain, Settings,
    copy::CopyJob,
    migrate::Migration,
    prune::{PruneError, PruneJob, Pruned},
    repair::{self, Mode, Source},
    verify,
};
use lamella_inspect::{
    InspectError, LookupError, PrunedPart, checksum, seal, stored, which::Located,
};
use lamella_tables::{
    Anchors, Bodies, Bytes, Canonical, Database, DatabaseView, Diffs, Headers, History, Key as _,
    Meta, MetaName, OpenMode, Options, Read as _, Signatures, SlotRoot, TABLES, Table as _,
    WriteTxn,
};
use lamella_types::{Block, Root, SignedBlock, Slot, State, limits::SLOT_MS};
use lamella_xmss::scheme::{ProofScheme as _, Trust};
use tempfile::TempDir;

use crate::grown::{GROWN, Grown, SMALL_CHAIN, from_checkpoint, go_on, import};

/// The floor of the large chain with every mode that keeps fewer than 500 slots: three whole anchors below its live tree.
pub const FLOOR: Slot = 3_072;

type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// A copy of a chain's database, alone in a data directory.
pub fn copied(grown: &Grown) -> TempDir {
    let data = tempfile::tempdir().unwrap();
    grown.copy_to(&data.path().join("db"));
    data
}

fn all_rows(path: &Path) -> Rows {
    let database = DatabaseView::open(path).unwrap();
    let txn = database.read().unwrap();
    let mut all = Rows::new();
    for table in TABLES {
        for row in txn.raw_rows(table.name).unwrap().into_iter().flatten().map(Result::unwrap) {
            all.insert((table.name, row.key), row.stored);
        }
    }
    all
}

/// Without what pruning writes into Meta.
fn without_marks(mut rows: Rows) -> Rows {
    rows.retain(|(table, key), _| {
        !(*table == Meta::NAME && [&b"pruning"[..], b"extent"].contains(&&key[..]))
    });
    rows
}

fn is_state_below(floor: Slot) -> impl Fn(&(&'static str, Vec<u8>)) -> bool {
    move |(table, key)| {
        [Anchors::NAME, Diffs::NAME].contains(table)
            && SlotRoot::decode(&key[..40]).is_some_and(|key| key.slot < floor)
    }
}

pub fn prune(path: &Path, mode: PruneMode) -> Pruned {
    PruneJob::new(Some(mode)).run(path, &mut go_on).unwrap()
}

fn findings(path: &Path) -> Vec<String> {
    let view = DatabaseView::open(path).unwrap();
    let report = verify(&view, &mut go_on).unwrap();
    report.findings.iter().map(ToString::to_string).collect()
}

fn change(path: &Path, change: impl FnOnce(&mut WriteTxn<'_>)) {
    let database = Database::open(path, Options::new(OpenMode::Existing)).unwrap();
    let mut txn = database.write().unwrap();
    change(&mut txn);
    txn.commit().unwrap();
}

/// Every block, on every branch.
fn headers(chain: &ReadOnlyChain) -> Vec<Located> {
    let txn = chain.database().read().unwrap();
    let rows = txn.scan::<Headers>(SlotRoot::first_of(0)).unwrap().map(Result::unwrap);
    rows.map(|(key, header)| Located { key, header }).collect()
}

#[test]
fn states_below_the_floor_go_and_nothing_else_and_every_state_from_it_on_is_the_one_it_was() {
    let data = copied(&GROWN);
    let path = data.path().join("db");
    let before = all_rows(&path);
    let look = PruneJob::new(Some(PruneMode::States(100))).look(&path).unwrap();
    assert_eq!(all_rows(&path), before, "a look changes nothing");
    let done = prune(&path, PruneMode::States(100));
    assert_eq!((done.floor_before, done.floor, done.rows), (0, FLOOR, look.rows));
    assert_eq!((look.floor, done.mode_before), (FLOOR, PruneMode::Archive));
    assert!(done.rows > 1_900, "{done:?}");
    let mut expected = before;
    let gone = is_state_below(FLOOR);
    expected.retain(|key, _| !gone(key));
    assert!(without_marks(all_rows(&path)) == without_marks(expected), "only states went");
    assert_eq!(findings(&path), Vec::<String>::new());

    let chain = ReadOnlyChain::open(&path).unwrap();
    let txn = chain.database().read().unwrap();
    let whole = GROWN.chain.database().read().unwrap();
    let (mut kept, mut pruned) = (0, 0);
    for block in headers(&chain) {
        assert!(stored::block(&txn, &block).is_ok());
        let asked = [
            stored::state(chain.states(), &txn, &block).map(|state| state.root()),
            stored::diff(&txn, &block).map(|_| block.header.state_root),
        ];
        for answer in asked {
            match answer {
                Ok(root) => assert!(block.key.slot >= FLOOR && root == block.header.state_root),
                Err(LookupError::PartPruned { part: PrunedPart::State, slot, floor, .. }) => {
                    assert!(slot < FLOOR && floor == FLOOR);
                }
                Err(error) => panic!("{}: {error}", block.key),
            }
        }
        if block.key.slot >= FLOOR {
            let original = stored::state(GROWN.chain.states(), &whole, &block).unwrap();
            let ours = stored::state(chain.states(), &txn, &block).unwrap();
            assert!(*original == *ours, "{}", block.key);
        }
        *(if block.key.slot < FLOOR { &mut pruned } else { &mut kept }) += 1;
    }
    assert!(kept > 1_500 && pruned > 1_900, "{kept} {pruned}");
}

#[test]
fn killed_at_any_commit_it_goes_on_to_the_same_rows_and_a_node_may_run_in_between() {
    for mode in [PruneMode::States(0), PruneMode::Light] {
        killed_at_any_commit(Some(mode));
    }
}

fn killed_at_any_commit(mode: Option<PruneMode>) {
    let job = PruneJob { commit_blocks_max: 5, drop_forks: Some(200), ..PruneJob::new(mode) };
    let undisturbed = copied(&SMALL_CHAIN);
    let mut stages = Vec::new();
    let done = job.run(&undisturbed.path().join("db"), &mut |progress: Progress| {
        stages.push(progress.stage);
        ControlFlow::Continue(())
    });
    assert_eq!(done.unwrap().floor, 1_024);
    let expected = all_rows(&undisturbed.path().join("db"));
    assert!(stages.iter().filter(|stage| **stage == "states").count() > 6, "{stages:?}");
    for kill in 0..stages.len() {
        let data = copied(&SMALL_CHAIN);
        let path = data.path().join("db");
        let mut calls = 0;
        let stopped = job.run(&path, &mut |_| {
            calls += 1;
            if calls > kill { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(PruneError::Stopped)), "{stopped:?}");
        assert_eq!(findings(&path), Vec::<String>::new(), "after {kill} commits");
        // A node that opens it derives nothing again.
        let identity = SMALL_CHAIN.identity();
        let (chain, opened) = Chain::resume(&path, &identity, Settings::default()).unwrap();
        assert_eq!(opened.recovered, lamella_chain::Recovered::default());
        drop(chain);
        // Without a mode it goes on with that which was begun.
        let again = PruneJob { mode: None, ..job };
        again.run(&path, &mut go_on).unwrap();
        assert!(all_rows(&path) == expected, "after {kill} commits");
    }
}

/// A chain that is to be grown by the large one's blocks, with this mode from the beginning on.
fn begun(data: &TempDir, mode: PruneMode) -> Arc<Chain> {
    let path = data.path().join("db");
    let bootstrap = Bootstrap::genesis(GROWN.genesis.clone());
    drop(Chain::create(&path, bootstrap, Trust.name(), Settings::default()).unwrap());
    prune(&path, mode);
    Arc::new(Chain::resume(&path, &GROWN.identity(), Settings::default()).unwrap().0)
}

#[test]
fn a_node_keeps_to_the_mode_while_it_imports_and_ends_where_the_job_ends() {
    for mode in [PruneMode::States(100), PruneMode::Light] {
        keeps_to(mode);
    }
}

fn keeps_to(mode: PruneMode) {
    let data = tempfile::tempdir().unwrap();
    let chain = begun(&data, mode);
    assert_eq!(chain.prune_mode(), mode);
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    let mut floors = Vec::new();
    for part in GROWN.blocks.chunks(200) {
        import(&importer, part);
        let floor = Extent::read(&chain.read().unwrap()).unwrap().states_floor();
        let view = chain.fork_choice();
        assert!(
            floor <= view.tree_root().slot && floor + 100 <= view.latest_finalized().slot.max(100)
        );
        for block in view.nodes() {
            assert!(chain.states().state(&chain.read().unwrap(), &block.root).unwrap().is_some());
        }
        floors.push(floor);
    }
    assert!(floors.is_sorted() && floors.contains(&1_024) && floors.last() == Some(&FLOOR));
    drop((importer, chain));
    let path = data.path().join("db");
    assert_eq!(findings(&path), Vec::<String>::new());
    let left = PruneJob::new(None).run(&path, &mut go_on).unwrap();
    assert_eq!((left.rows, left.floor, left.mode), (0, FLOOR, mode));

    let offline = copied(&GROWN);
    prune(&offline.path().join("db"), mode);
    let (ours, theirs) = (all_rows(&path), all_rows(&offline.path().join("db")));
    let blocks = |rows: Rows| -> Rows {
        rows.into_iter().filter(|((table, _), _)| *table != Meta::NAME).collect()
    };
    assert!(blocks(ours) == blocks(theirs), "the same rows, of whatever steps");
}

#[test]
fn states_that_an_archive_lacks_are_held_and_a_mode_can_be_widened_again() {
    let data = tempfile::tempdir().unwrap();
    let chain = begun(&data, PruneMode::States(0));
    // One segment is confirmed: the next one begins with the state of the last block before it.
    chain.hold_states_from(1_023);
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    let (first, rest) = GROWN.blocks.split_at(GROWN.blocks.len() - 100);
    import(&importer, first);
    let floor = |chain: &Chain| Extent::read(&chain.read().unwrap()).unwrap().states_floor();
    assert_eq!((floor(&chain), chain.held_states()), (0, FLOOR));
    chain.hold_states_from(2_047);
    assert_eq!(chain.held_states(), FLOOR - 1_024);
    import(&importer, &rest[..50]);
    assert_eq!(floor(&chain), 1_024);
    drop((importer, chain));

    let path = data.path().join("db");
    let widened = prune(&path, PruneMode::Archive);
    assert_eq!((widened.floor, widened.mode), (1_024, PruneMode::Archive));
    let (chain, _) = Chain::resume(&path, &GROWN.identity(), Settings::default()).unwrap();
    let importer = Importer::new(Arc::new(chain), Arc::new(Trust));
    import(&importer, &rest[50..]);
    let chain = importer.chain();
    assert_eq!((floor(chain), chain.held_states()), (1_024, 0), "what is gone stays gone");
    assert!(!chain.takes_history());
    drop(importer);
    assert_eq!(findings(&path), Vec::<String>::new());
}

/// What a directory says that an archive was confirmed to hold.
fn shipped(path: &Path, segments: u64, proofs: u64) {
    let (chain, _) = Chain::resume(path, &GROWN.identity(), Settings::default()).unwrap();
    chain
        .put_archived(&Archived { address: "s3://far/away".to_owned(), segments, proofs })
        .unwrap();
}

/// Symptom: `db prune` deleted the states, bodies and proofs of segments that the archive had not got yet, which the running node
/// had held; it could never be shipped then. Mechanism: only the node's import knew what the archive lacked, the job did not
/// read the row. Fix: both take their floor from the same `Hold`.
#[test]
fn what_the_archive_lacks_that_a_directory_ships_to_stays_and_is_said_to() {
    for mode in [PruneMode::States(0), PruneMode::Light] {
        let data = copied(&GROWN);
        let path = data.path().join("db");
        // Nothing, then two segments of which one has its proofs, then all.
        for (segments, proofs, states, light) in
            [(0, 0, 0, 0), (2, 1, 1_024, 1_024), (9, 9, FLOOR, FLOOR)]
        {
            shipped(&path, segments, proofs);
            let expected = if mode == PruneMode::Light { light } else { states };
            let look = PruneJob::new(Some(mode)).look(&path).unwrap();
            let done = prune(&path, mode);
            assert_eq!((done.floor, done.held), (expected, FLOOR - expected), "{mode} {done:?}");
            assert_eq!((look.floor, look.held, look.rows), (done.floor, done.held, done.rows));
            assert_eq!(done.archive.as_deref(), Some("s3://far/away"));
            assert_eq!(findings(&path), Vec::<String>::new());
        }
    }
}

/// Symptom: rows left before `swept` were findings (P3) for ever: the job passed them each time and failed at its own check.
/// Mechanism: it believed the row over the tables. Fix: it begins at the first row that is there, and says so.
#[test]
fn a_frontier_beyond_the_tables_is_not_believed_and_the_rows_go() {
    let old = headers(&SMALL_CHAIN.chain)[5].key;
    let whole = SMALL_CHAIN.chain.database().read().unwrap();
    let diff: Bytes = whole.get::<Diffs>(&old).unwrap().unwrap();
    let body = whole.get::<Bodies>(&old).unwrap().unwrap();
    for mode in [PruneMode::States(0), PruneMode::Light] {
        let data = copied(&SMALL_CHAIN);
        let path = data.path().join("db");
        prune(&path, mode);
        let expected = all_rows(&path);
        let restore = || {
            change(&path, |txn| {
                txn.put::<Diffs>(&old, &diff).unwrap();
                if mode == PruneMode::Light {
                    txn.put::<Bodies>(&old, &body).unwrap();
                }
            });
        };
        restore();
        assert!(findings(&path).iter().all(|finding| finding.starts_with("P3")));
        let look = PruneJob::new(None).look(&path).unwrap();
        let done = PruneJob::new(None).run(&path, &mut go_on).unwrap();
        let rows = if mode == PruneMode::Light { 2 } else { 1 };
        assert_eq!((done.rows, look.rows), (rows, rows));
        assert_eq!(
            (done.diverged, look.diverged),
            (Some(SlotRoot::first_of(1_024)), done.diverged)
        );
        assert!(all_rows(&path) == expected);
        assert_eq!(findings(&path), Vec::<String>::new());
        assert_eq!(PruneJob::new(None).run(&path, &mut go_on).unwrap().diverged, None);
    }
}

/// Symptom: a node that prunes states and ships stopped shipping, for ever. Mechanism: it held the states from the last slot
/// before the next segment on, and where all slots of that last segment were empty, the state that the next one begins with
/// is older. Fix: the block is looked up.
#[test]
fn a_segment_after_an_empty_one_begins_with_a_state_that_is_held() {
    let data = tempfile::tempdir().unwrap();
    let genesis = &SMALL_CHAIN.genesis;
    let (path, bootstrap) = (data.path().join("db"), Bootstrap::genesis(genesis.clone()));
    let chain = Chain::create(&path, bootstrap, Trust.name(), Settings::default()).unwrap();
    let chain = Arc::new(chain.0);
    let entry = |index| seal::entry_slot(&chain.read().unwrap(), index).unwrap();
    assert_eq!((entry(0), entry(1)), (0, 0));
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    let mut state = genesis.clone();
    for slot in [7, 2_100] {
        let block;
        (block, state) = child(&state, slot, Vec::new());
        importer.import(SignedBlock { block, ..SignedBlock::default() }).unwrap();
    }
    assert_eq!((entry(0), entry(1), entry(2), entry(3)), (0, 7, 7, 2_100));
}

#[test]
fn what_pruning_must_never_leave_is_a_finding() {
    let data = copied(&SMALL_CHAIN);
    let path = data.path().join("db");
    let old = headers(&SMALL_CHAIN.chain)[5].key;
    let row: Bytes =
        SMALL_CHAIN.chain.database().read().unwrap().get::<Diffs>(&old).unwrap().unwrap();
    prune(&path, PruneMode::States(0));
    let sound = fs::read(path.join("mdbx.dat")).unwrap();
    let finds = |damage: &dyn Fn(&mut WriteTxn<'_>), text: &str| {
        change(&path, damage);
        let found = findings(&path);
        assert!(found.iter().any(|finding| finding.contains(text)), "{text}: {found:?}");
        fs::write(path.join("mdbx.dat"), &sound).unwrap();
    };
    finds(&|txn| txn.put::<Diffs>(&old, &row).unwrap(), "P3: Diffs holds a row of slot");
    let anchor = {
        let database = DatabaseView::open(&path).unwrap();
        let txn = database.read().unwrap();
        txn.scan_keys::<Anchors>(SlotRoot::first_of(0)).unwrap().next().unwrap().unwrap()
    };
    assert!(anchor.slot >= 1_024);
    finds(&|txn| assert!(txn.delete::<Anchors>(&anchor).unwrap()), "has neither anchor nor diff");
    // Bodies and proofs of a light directory.
    let body = SMALL_CHAIN.chain.database().read().unwrap().get::<Bodies>(&old).unwrap().unwrap();
    let light = copied(&SMALL_CHAIN);
    let light_path = light.path().join("db");
    prune(&light_path, PruneMode::Light);
    change(&light_path, |txn| txn.put::<Bodies>(&old, &body).unwrap());
    let found = findings(&light_path);
    assert!(found.len() == 1 && found[0].contains("P3: Bodies holds a row of slot"), "{found:?}");
    let raised = |to: Slot| {
        move |txn: &mut WriteTxn<'_>| {
            let mut extent = Extent::read(txn).unwrap();
            assert!(extent.raise_states_floor(to));
            extent.put(txn).unwrap();
        }
    };
    finds(&raised(2_048), "P3: the floor of states is slot 2048, above the live tree's root");
    finds(&raised(1_025), "S2: the extent has states from slot 1025 on");
    let name = MetaName::new("pruning");
    finds(&|txn| assert!(txn.delete::<Meta>(&name).unwrap()), "P3: states are pruned below");
    finds(&|txn| txn.put::<Meta>(&name, &Bytes(vec![9])).unwrap(), "P3: damaged row in table Meta");
    // A mode that cannot be read is said anew.
    change(&path, |txn| txn.put::<Meta>(&name, &Bytes(vec![9])).unwrap());
    let again = prune(&path, PruneMode::States(7));
    assert_eq!((again.floor, again.rows), (1_024, 0));
    assert_eq!(findings(&path), Vec::<String>::new());
}

/// The transition, and whoever has every state.
struct Whole;

impl Source for Whole {
    fn transition(&self, parent: &State, block: &Block) -> Option<State> {
        Alone.transition(parent, block)
    }

    fn state(&mut self, key: &SlotRoot) -> Option<State> {
        let txn = SMALL_CHAIN.chain.database().read().unwrap();
        let state = SMALL_CHAIN.chain.states().state(&txn, &key.root).unwrap();
        state.map(|state| State::clone(&state))
    }
}

/// The transition, and no archive.
struct Alone;

impl Source for Alone {
    fn transition(&self, parent: &State, block: &Block) -> Option<State> {
        lamella_state_transition::compute_post_state(parent, block).ok().map(|(post, _)| post)
    }
}

#[test]
fn repairs_derivations_and_copies_leave_what_is_pruned_and_no_older_schema_can_say_it() {
    let data = copied(&SMALL_CHAIN);
    let path = data.path().join("db");
    prune(&path, PruneMode::States(0));
    let pruned = all_rows(&path);
    let report = repair::repair(&path, &mut Alone, Mode::Apply, &mut go_on).unwrap();
    assert_eq!((report.row_count(), report.unrepaired_count), (0, 0), "{report:?}");
    assert_eq!(Chain::derive(&path).unwrap(), lamella_chain::Recovered::default());

    // The first kept state rests on a pruned one, and is named; who has it gives it.
    let first = {
        let database = DatabaseView::open(&path).unwrap();
        let txn = database.read().unwrap();
        txn.scan_keys::<Anchors>(SlotRoot::first_of(0)).unwrap().next().unwrap().unwrap()
    };
    assert_eq!(first.slot / 1_024, 1, "{first}");
    change(&path, |txn| assert!(txn.delete::<Anchors>(&first).unwrap()));
    let report = repair::repair(&path, &mut Alone, Mode::Apply, &mut go_on).unwrap();
    let named = |row: &repair::Unrepaired| row.key == first.encode() && row.why.contains("--from");
    assert!(report.unrepaired.iter().any(named) && report.row_count() == 0, "{report:?}");
    let report = repair::repair(&path, &mut Whole, Mode::Apply, &mut go_on).unwrap();
    assert_eq!((report.row_count(), report.unrepaired_count), (1, 0), "{report:?}");
    assert!(all_rows(&path) == pruned);

    // A kept state is made again as before.
    let lost = |txn: &DatabaseView, skip: usize| {
        let txn = txn.read().unwrap();
        txn.scan_keys::<Diffs>(SlotRoot::first_of(0)).unwrap().nth(skip).unwrap().unwrap()
    };
    let diff = lost(&DatabaseView::open(&path).unwrap(), 40);
    change(&path, |txn| assert!(txn.delete::<Diffs>(&diff).unwrap()));
    let report = repair::repair(&path, &mut Alone, Mode::Apply, &mut go_on).unwrap();
    assert_eq!((report.row_count(), report.unrepaired_count), (1, 0), "{report:?}");
    assert!(all_rows(&path) == pruned);

    // A lost head is derived without asking for a state that is gone.
    change(&path, |txn| assert!(txn.delete::<Meta>(&MetaName::new("fork_choice")).unwrap()));
    assert!(Chain::derive(&path).unwrap().fork_choice);
    assert_eq!(findings(&path), Vec::<String>::new());

    let to = data.path().join("copy").join("db");
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    CopyJob::default().backup(&path, &to, 1_700_000_000, &mut go_on).unwrap();
    assert_eq!(findings(&to), Vec::<String>::new());
    let mode = |path: &Path| {
        Pruning::read(&DatabaseView::open(path).unwrap().read().unwrap()).unwrap().mode
    };
    assert_eq!(mode(&to), PruneMode::States(0), "a copy keeps to the mode too");
    CopyJob::default().compact(&path, &mut go_on).unwrap();
    assert_eq!((findings(&path), mode(&path)), (Vec::new(), PruneMode::States(0)));

    let down = Migration::to(2, SLOT_MS).run(&path, &mut go_on).unwrap_err().to_string();
    assert!(down.contains("cannot say the row of table Meta, key extent"), "{down}");
}

#[test]
fn what_began_at_a_checkpoint_is_pruned_too_and_takes_no_history_any_more() {
    let made = from_checkpoint(&GROWN, 900);
    // A copy: the original was written under lazy commits, and the engine remembers who had a file open how.
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("db")).unwrap();
    fs::copy(made.path().join("db/mdbx.dat"), data.path().join("db/mdbx.dat")).unwrap();
    let path = data.path().join("db");
    let done = prune(&path, PruneMode::States(0));
    assert_eq!(done.floor, FLOOR);
    assert_eq!(findings(&path), Vec::<String>::new());
    let (chain, _) = Chain::resume(&path, &GROWN.identity(), Settings::default()).unwrap();
    assert!(!chain.takes_history());
    let extent = Extent::read(&chain.read().unwrap()).unwrap();
    assert_eq!((extent.oldest().slot, extent.states_floor()), (900, FLOOR));
    let root = chain.read().unwrap().get::<Canonical>(&900).unwrap().unwrap();
    assert!(chain.state(&root).unwrap().is_none() && chain.diff_base(&root).unwrap().is_none());
}

#[test]
fn light_keeps_of_what_is_below_the_floor_only_what_proves_roots() {
    let data = copied(&GROWN);
    let path = data.path().join("db");
    let mut expected = all_rows(&path);
    let direct = copied(&GROWN);
    let direct_path = direct.path().join("db");
    let look = PruneJob::new(Some(PruneMode::Light)).look(&direct_path).unwrap();
    let done = prune(&direct_path, PruneMode::Light);
    assert_eq!((done.floor, done.rows), (FLOOR, look.rows));
    // A sweep of states that has passed the bodies begins again.
    let states = prune(&path, PruneMode::States(100)).rows;
    assert_eq!(prune(&path, PruneMode::Light).rows, done.rows - states);
    assert!(all_rows(&path) == all_rows(&direct_path), "by whichever way");
    let goes = [Anchors::NAME, Diffs::NAME, Bodies::NAME, Signatures::NAME];
    expected.retain(|(table, key), _| {
        !goes.contains(table) || SlotRoot::decode(&key[..40]).is_some_and(|key| key.slot >= FLOOR)
    });
    assert!(without_marks(all_rows(&path)) == without_marks(expected), "and nothing else");
    assert_eq!(findings(&path), Vec::<String>::new());

    let chain = ReadOnlyChain::open(&path).unwrap();
    let txn = chain.database().read().unwrap();
    for block in headers(&chain) {
        let is_gone = block.key.slot < FLOOR && block_store::has_body_row(&block.header);
        match stored::block(&txn, &block) {
            Ok(_) => assert!(!is_gone, "{}", block.key),
            Err(LookupError::PartPruned { part: PrunedPart::Body, floor, .. }) => {
                assert!(is_gone && floor == FLOOR, "{}", block.key);
            }
            Err(error) => panic!("{}: {error}", block.key),
        }
        match stored::signed_block(&txn, &block) {
            Ok(_) => assert!(block.key.slot >= FLOOR, "{}", block.key),
            Err(LookupError::PartPruned { .. } | LookupError::Pruned { .. }) => {
                assert!(block.key.slot < FLOOR, "{}", block.key);
            }
            Err(error) => panic!("{}: {error}", block.key),
        }
    }
    // What is whole has a digest, the same as of the whole chain.
    let digest = |database: &DatabaseView, from| checksum::of(database, Some(from), None);
    assert_eq!(checksum::of(chain.database(), None, None).unwrap().from_slot, FLOOR);
    let whole = digest(GROWN.chain.database(), FLOOR).unwrap();
    assert_eq!(digest(chain.database(), FLOOR).unwrap(), whole);
    let refused = digest(chain.database(), 5);
    assert!(matches!(refused, Err(InspectError::Lookup(LookupError::PartPruned { .. }))));
    drop(txn);
    drop(chain);

    // Widened, states are kept again, and bodies; what is gone stays gone.
    let widened = prune(&path, PruneMode::Archive);
    assert_eq!((widened.rows, widened.floor), (0, FLOOR));
    let report = repair::repair(&path, &mut Alone, Mode::Apply, &mut go_on).unwrap();
    assert_eq!((report.row_count(), report.unrepaired_count), (0, 0), "{report:?}");
    assert_eq!(findings(&path), Vec::<String>::new());
}

/// What a fork's blocks and all that is stored of them are.
fn rows_of_blocks<'a>(
    rows: &'a Rows,
    roots: &'a [Root],
) -> impl Iterator<Item = &'a (&'static str, Vec<u8>)> {
    rows.keys().filter(|(_, key)| {
        roots.iter().any(|root| key.windows(32).any(|part| part == root.as_bytes()))
    })
}

#[test]
fn old_forks_go_with_all_their_rows_and_nothing_that_a_kept_block_descends_from() {
    let data = tempfile::tempdir().unwrap();
    let chain = begun(&data, PruneMode::Archive);
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    let at = GROWN.blocks.iter().position(|signed| signed.block.slot > 1_040).unwrap();
    import(&importer, &GROWN.blocks[..at]);
    // A fork of four blocks over the end of a segment, which has a segment of its own; and two more on its first block.
    let state_at = |slot: Slot| {
        let root = GROWN.root_at(slot).unwrap();
        State::clone(&chain.state(&root).unwrap().unwrap())
    };
    let mut roots = Vec::new();
    let mut grow = |mut state: State, slots: &[Slot]| {
        let mut states = Vec::new();
        for slot in slots {
            let (block, post) = child(&state, *slot, Vec::new());
            roots.push(block.header().root());
            importer.import(SignedBlock { block, ..SignedBlock::default() }).unwrap();
            states.push(post.clone());
            state = post;
        }
        states
    };
    let first = grow(state_at(1_020), &[1_022, 1_025, 1_026, 1_030]).swap_remove(0);
    grow(first, &[1_023, 1_039]);
    import(&importer, &GROWN.blocks[at..]);
    drop((importer, chain));
    let path = data.path().join("db");
    assert_eq!(findings(&path), Vec::<String>::new());
    let before = all_rows(&path);
    let segments = |rows: &Rows| rows.keys().filter(|(table, _)| *table == History::NAME).count();

    // Old enough is the first branch but for its first block, on which a younger one rests.
    let job = |age: u64| PruneJob { drop_forks: Some(age), ..PruneJob::new(None) };
    let slot = Chain::resume(&path, &GROWN.identity(), Settings::default())
        .unwrap()
        .1
        .fork_choice
        .finalized
        .slot;
    let look = job(slot - 1_031).look(&path).unwrap();
    let done = job(slot - 1_031).run(&path, &mut go_on).unwrap();
    assert_eq!((look.forks, look.rows), (done.forks, 0));
    assert_eq!(look.left.blocks - done.left.blocks, done.forks, "counted in the tables");
    assert!(done.checked_all, "blocks went, so every invariant is checked");
    let after = all_rows(&path);
    let gone: Vec<Root> = roots[1..4].to_vec();
    assert_eq!(
        rows_of_blocks(&after, &gone).count(),
        0,
        "all their rows, and those that name them"
    );
    assert!(rows_of_blocks(&after, &roots[..1]).count() >= 3, "an ancestor of what stays");
    assert!(rows_of_blocks(&after, &roots[5..]).count() >= 3, "too young");
    assert_eq!(segments(&after), segments(&before) - 1, "their segment goes with them");
    assert_eq!(findings(&path), Vec::<String>::new());

    // Then all that is below the live tree.
    let all = job(0).run(&path, &mut go_on).unwrap();
    assert!(all.forks > 3 && all.fork_rows > 3 * all.forks, "{all:?}");
    let after = all_rows(&path);
    assert_eq!(rows_of_blocks(&after, &roots).count(), 0);
    assert_eq!(findings(&path), Vec::<String>::new());
    assert_eq!(job(0).run(&path, &mut go_on).unwrap().forks, 0, "nothing is left");
    // Everything canonical is as it was.
    let chain = ReadOnlyChain::open(&path).unwrap();
    let txn = chain.database().read().unwrap();
    for row in txn.scan::<Canonical>(0).unwrap() {
        let (slot, root) = row.unwrap();
        assert_eq!(GROWN.root_at(slot), Some(root));
        assert!(chain.states().state(&txn, &root).unwrap().is_some());
    }
}

/// Diffs lie among headers and bodies, so hardly a page comes free until the database is written anew.
#[test]
fn what_states_took_is_given_back_by_a_compaction() {
    let compacted = |mode: PruneMode| {
        let data = copied(&GROWN);
        let path = data.path().join("db");
        let rows = prune(&path, mode).rows;
        let done = CopyJob::default().compact(&path, &mut go_on).unwrap();
        let bytes: u64 = done.after.trees.iter().map(|tree| tree.bytes).sum();
        println!("{mode}: {rows} rows deleted, {bytes} bytes in trees");
        bytes
    };
    let modes = [PruneMode::Archive, PruneMode::States(100), PruneMode::Light];
    assert!(modes.map(compacted).windows(2).all(|pair| pair[1] < pair[0]));
}

/// Room for the engine's table of readers, without which nobody opens the database for writing.
const OPENING_BYTES: u64 = 128 << 10;

#[test]
fn on_a_full_disk_states_go_all_the_same() {
    let disk = tempfile::tempdir().unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=24m", "tmpfs"];
    let mounted = Command::new("mount").args(mount).arg(disk.path()).output();
    if !mounted.is_ok_and(|out| out.status.success()) {
        println!("skipped: a full disk: this process may not mount one");
        return;
    }
    // Written anew, so that hardly a page is free.
    let data = copied(&GROWN);
    CopyJob::default().compact(&data.path().join("db"), &mut go_on).unwrap();
    let path = disk.path().join("db");
    fs::create_dir(&path).unwrap();
    fs::copy(data.path().join("db/mdbx.dat"), path.join("mdbx.dat")).unwrap();
    // As a node that was stopped leaves it.
    drop(Chain::resume(&path, &GROWN.identity(), Settings::default()).unwrap());
    let mut filler = fs::File::create(disk.path().join("filler")).unwrap();
    while filler.write(&[1; 4_096]).is_ok_and(|written| written > 0) {}
    let full = filler.metadata().unwrap().len();
    filler.set_len(full - OPENING_BYTES).unwrap();
    filler.seek(SeekFrom::End(0)).unwrap();
    let done = prune(&path, PruneMode::Light);
    assert_eq!(done.floor, FLOOR);
    let room = (0..).take_while(|_| filler.write(&[1; 4_096]).is_ok()).count() as u64;
    assert!(room * 4_096 <= OPENING_BYTES, "{room} pages: the disk was not full");
    assert_eq!(findings(&path), Vec::<String>::new());
    assert!(Command::new("umount").arg("-l").arg(disk.path()).status().unwrap().success());
}
