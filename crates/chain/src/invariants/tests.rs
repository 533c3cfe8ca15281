//! Bounds on how long the checker holds a snapshot.

use lamella_tables::{
    Bodies, Bytes, Canonical, Database, Diffs, Headers, OpenMode, Options, Signatures, SlotRoot,
    Slots,
};
use lamella_types::{BlockBody, BlockHeader, Root};

use super::*;

/// Enough rows for a walk that says more than once how far it is.
const ROWS: u64 = 200_000;

fn commit(database: &Database, slots: std::ops::Range<u64>) {
    let mut txn = database.write().unwrap();
    for slot in slots {
        txn.put::<Canonical>(&slot, &Root::new([7; 32])).unwrap();
    }
    txn.commit().unwrap();
}

fn within<T>(
    database: &Database,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    check: impl FnOnce(&mut Check<'_>) -> T,
) -> (T, Report) {
    let time_max = Duration::ZERO;
    let bounded = Check::new(database, |txn| Identity::read(txn), 1, progress);
    let mut bounded = Check { chunk_time_max: time_max, page_walk_time_max: time_max, ..bounded };
    let outcome = check(&mut bounded);
    (outcome, bounded.report)
}

#[test]
fn a_walk_over_the_pages_gives_up_beside_a_writer_and_only_there() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path(), Options::new(OpenMode::Create)).unwrap();
    commit(&database, 0..ROWS);
    let alone = &mut |_| ControlFlow::Continue(());
    let (outcome, report) = within(&database, alone, |check| check.check_pages());
    assert!(outcome.unwrap().is_continue() && report.checks["E1"] > 2048, "{report:?}");

    let mut writing = |_| {
        commit(&database, 0..1);
        ControlFlow::Continue(())
    };
    let (outcome, report) = within(&database, &mut writing, |check| check.check_pages());
    let error = outcome.unwrap_err();
    assert!(error.source.is::<lamella_tables::TookTooLong>(), "{error}");
    assert!(error.to_string().contains("while the node is stopped"), "{error}");
    assert_eq!(report.checks.get("E1"), None);
    let rows = verify_rows(&database, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(rows.check_count() > 0 && !rows.stopped, "{rows:?}");
    assert_eq!(rows.checks.get("E1"), None, "the rows are read all the same");
}

/// Blocks of which only headers are left, and in one segment none: each is found, once, in slot order.
#[test]
fn blocks_in_several_lanes_are_judged_as_in_one() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path(), Options::new(OpenMode::Create)).unwrap();
    let mut txn = database.write().unwrap();
    let slots = (0..7_000).step_by(50).filter(|slot| !(2_000..3_100).contains(slot));
    let headers = slots.map(|slot| BlockHeader { slot, ..BlockHeader::default() });
    let headers: Vec<BlockHeader> = headers.collect();
    for header in &headers {
        let key = SlotRoot::new(header.slot, header.root());
        txn.put::<Headers>(&key, header).unwrap();
    }
    txn.commit().unwrap();
    let judge = |lanes: usize| {
        let go_on = &mut |_| ControlFlow::Continue(());
        let (outcome, report) = within(&database, go_on, |check| {
            check.lanes = lanes;
            check.check_blocks()
        });
        assert!(outcome.unwrap().is_continue());
        (report.findings, report.checks, report.finding_count)
    };
    let alone = judge(1);
    assert!(alone.2 >= headers.len() as u64, "{}", alone.2);
    for lanes in [2, 3, LANES_MAX] {
        assert!(judge(lanes) == alone, "{lanes} lanes");
    }
}

/// Loose rows of several tables, an index without blocks, a guard of nobody: each stage finds something.
#[test]
fn stages_beside_each_other_find_what_they_find_one_after_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path(), Options::new(OpenMode::Create)).unwrap();
    let mut txn = database.write().unwrap();
    for byte in 1..=u8::MAX {
        let (slot, root) = (u64::from(byte), Root::new([byte; 32]));
        let key = SlotRoot::new(slot, root);
        txn.put::<Slots>(&root, &slot).unwrap();
        txn.put_slice::<Diffs>(&key, &[1]).unwrap();
        txn.put::<Bodies>(&key, &BlockBody::default()).unwrap();
        txn.put::<Signatures>(&key, &Bytes(vec![1])).unwrap();
    }
    txn.commit().unwrap();
    let check = |lanes, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>| {
        Check::new(&database, |txn| Identity::read(txn), lanes, progress).run_rows().unwrap()
    };
    let alone = check(1, &mut |_| ControlFlow::Continue(()));
    for what in ["Slots names", "Bodies holds", "Diffs holds", "Signatures holds"] {
        assert!(alone.findings.iter().any(|finding| finding.what.contains(what)), "{what}");
    }
    for lanes in [2, LANES_MAX] {
        let (mut stages, mut last) = (Vec::new(), None);
        let report = check(lanes, &mut |told| {
            stages.push(told.stage);
            last = Some(told);
            ControlFlow::Continue(())
        });
        assert_eq!(report, alone, "{lanes} lanes");
        let last = last.unwrap();
        assert!(last.done > 0 && last.done <= last.total, "{last:?}");
        for calls in 1..=stages.len() {
            let mut called = 0;
            let stopped = check(lanes, &mut |_| {
                called += 1;
                if called < calls { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            assert!(stopped.stopped, "stopped at call {calls} of {}", stages.len());
        }
    }
}

#[test]
fn a_chunk_that_is_out_of_time_ends_and_the_next_begins_at_its_next_row() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path(), Options::new(OpenMode::Create)).unwrap();
    commit(&database, 0..100);
    let (mut chunks, mut seen) = (0, Vec::new());
    let mut count = |_| {
        chunks += 1;
        ControlFlow::Continue(())
    };
    let (outcome, _) = within(&database, &mut count, |check| {
        check.walk_keys::<Canonical>("rows", 0, |_, _, slot| {
            seen.push(slot);
            Ok(())
        })
    });
    assert!(outcome.unwrap().is_continue());
    assert_eq!(seen, (0..100).collect::<Vec<u64>>());
    assert!(chunks > 50, "{chunks} chunks of no time each");
}
