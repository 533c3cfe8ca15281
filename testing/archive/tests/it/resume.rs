//! Killed at every step, and run again: the same directory, and the same archive, as without.

use std::{fs, ops::ControlFlow, path::Path, time::Duration};

use lamella_chain::{Chain, ChainOpenError, Found, ReadOnlyChain};
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known},
    cleaner::clean,
    proofs::ship_proofs,
    remote::Remote,
    restorer::Target,
    seal::Shipped,
    store::Store,
};

use crate::{
    faulty::Backing,
    grown::{
        GROWN, LAST, SMALL_CHAIN, SMALL_SEGMENTS, go_on, restore, restore_to, rows, settings,
        shipped, small,
    },
    world::Writer,
};

/// Ships the small chain with its proofs, from what a cursor says, and moves that.
fn export(store: Store, cursor: &mut u64) -> Result<(), ShippingError> {
    let chain = &SMALL_CHAIN.chain;
    let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
    let known = Known { confirmed: *cursor, is_hurried: true };
    let confirmed = &mut |segments| {
        *cursor = segments;
        Ok(())
    };
    let (remote, shipment) = archiver::ship(shipped, store, known, &mut go_on, confirmed)?;
    let (database, segments) = (chain.database(), shipment.segments);
    ship_proofs(database, shipped, &remote, 0, segments, &mut go_on, &mut |_| Ok(())).map(drop)
}

#[test]
fn an_export_that_was_killed_at_any_operation_goes_on_to_the_same_bytes() {
    let undisturbed = Backing::default();
    export(undisturbed.honest(u64::MAX), &mut 0).unwrap();
    let expected = undisturbed.contents();
    for keeps_cursor in [false, true] {
        for operations in 0.. {
            let backing = Backing::default();
            let mut cursor = 0;
            let is_whole = export(backing.honest(operations), &mut cursor).is_ok();
            if !keeps_cursor {
                cursor = 0;
            }
            export(backing.honest(u64::MAX), &mut cursor).unwrap();
            assert!(backing.contents() == expected, "killed at operation {operations}");
            if is_whole {
                assert!(operations > 20, "{operations} operations");
                break;
            }
        }
    }
}

/// More than a tail object has to be before it is deleted.
const AGE: Duration = Duration::from_secs(2 * 3_600);

/// An archive with tails that segments cover, and with objects that nobody can use.
fn untidy() -> Backing {
    let backing = Backing::default();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    while writer.imported < SMALL_CHAIN.blocks.len() {
        // Only the first fifty blocks are in the first segment.
        writer.import(&SMALL_CHAIN, if writer.imported < 45 { 10 } else { 120 });
        writer.ship(&|| backing.honest(u64::MAX)).unwrap();
    }
    let mut contents = backing.contents();
    let network = SMALL_CHAIN.network();
    for kind in ["frontier", "registry"] {
        let folder = format!("{network}/{kind}/");
        let name = contents.keys().find(|name| name.starts_with(&folder)).unwrap().clone();
        let torn = contents[&name][..9].to_vec();
        // Another hash: its last digit changed.
        let (stem, end) = name.split_at(name.rfind('.').unwrap());
        let digit = if stem.ends_with('0') { '1' } else { '0' };
        contents.insert(format!("{}{digit}{end}", &stem[..stem.len() - 1]), torn);
    }
    Backing::of(&contents).older_by(AGE)
}

#[test]
fn a_cleaning_that_was_killed_at_any_operation_deletes_nothing_else_and_goes_on() {
    let before = untidy();
    let contents = before.contents();
    let run = |backing: &Backing, operations| {
        let remote = Remote::of(backing.honest(operations), SMALL_CHAIN.network());
        clean(&remote, true, &mut go_on)
    };
    let cleaned = run(&before, u64::MAX).unwrap();
    assert_eq!(cleaned.unusable.len(), 2);
    assert!(cleaned.expired.len() > 2, "{}", cleaned.expired.len());
    let expected = before.contents();
    for operations in 0.. {
        let backing = Backing::of(&contents).older_by(AGE);
        let is_whole = run(&backing, operations).is_ok();
        let between = backing.contents();
        assert!(expected.iter().all(|(name, bytes)| between.get(name) == Some(bytes)));
        run(&backing, u64::MAX).unwrap();
        assert!(backing.contents() == expected, "killed at operation {operations}");
        if is_whole {
            assert!(between == expected && operations > 20, "{operations} operations");
            break;
        }
    }
}

/// Stops a restoration the `steps`th time that it tells how far it is. `false`: it came to its end first.
fn is_stopped_at(remote: &lamella_shipping::remote::Remote, database: &Path, steps: usize) -> bool {
    let mut told = 0;
    let outcome = restore_to(database, Target::Finalized).run(remote, &mut |_| {
        told += 1;
        if told > steps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match outcome {
        Ok(_) => false,
        Err(ShippingError::Stopped | ShippingError::Restore(_)) => true,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_restoration_that_was_stopped_at_any_step_goes_on_to_the_same_rows() {
    let (_folder, remote, _) = small();
    let expected = SMALL_CHAIN.rows(SMALL_SEGMENTS * 1024 - 1);
    let mut steps = 0;
    loop {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("db");
        if !is_stopped_at(&remote, &database, steps) {
            break;
        }
        assert!(!database.exists(), "nothing in place after {steps} steps");
        let restored = restore(&remote, &database, Target::Finalized).unwrap();
        assert_eq!(restored.resumed, steps > 0, "{steps} steps");
        assert!(rows(&database, LAST) == expected, "after {steps} steps");
        steps += 1;
    }
    assert!(steps > 8, "{steps} steps");
}

#[test]
fn a_restoration_that_is_stopped_after_each_single_step_comes_to_its_end() {
    let (_folder, remote, _) = shipped();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    let mut runs = 0;
    while is_stopped_at(&remote, &database, 1) && runs < 4 {
        runs += 1;
    }
    // Segments go one at a time; the checks at the end need a run of their own.
    restore(&remote, &database, Target::Finalized).unwrap();
    assert!(rows(&database, LAST) == GROWN.rows(4_095));
}

#[test]
fn a_directory_under_way_is_no_chain_and_says_how_to_go_on() {
    let (_folder, remote, _) = shipped();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    assert!(is_stopped_at(&remote, &database, 2));
    let says = |error: ChainOpenError| error.to_string().contains("lamella archive restore");
    assert!(Chain::find(&database).is_err_and(says));
    assert!(ReadOnlyChain::open(&database).err().is_some_and(says));
    let bootstrap = lamella_chain::Bootstrap::genesis(GROWN.genesis.clone());
    assert!(Chain::open(&database, bootstrap, "trust", settings()).err().is_some_and(says));
    assert!(!database.exists());
}

#[test]
fn killed_before_the_renaming_only_the_renaming_is_left_to_do() {
    let (_folder, remote, _) = shipped();
    let directory = tempfile::tempdir().unwrap();
    let (database, unfinished) =
        (directory.path().join("db"), directory.path().join("db.restoring"));
    restore(&remote, &database, Target::Slot(1500)).unwrap();
    let before = rows(&database, LAST);
    fs::rename(&database, &unfinished).unwrap();
    let other = restore(&remote, &database, Target::Slot(1501)).unwrap_err();
    assert!(other.to_string().contains("give that target"), "{other}");
    let restored = restore(&remote, &database, Target::Slot(1500)).unwrap();
    assert_eq!((restored.segments, restored.resumed), (0, true));
    assert!(rows(&database, LAST) == before && !unfinished.exists());
}

#[test]
fn a_restoration_keeps_its_target_and_never_overwrites() {
    let (_folder, remote, _) = shipped();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    assert!(is_stopped_at(&remote, &database, 2));
    let other = restore(&remote, &database, Target::Slot(1500)).unwrap_err();
    assert!(other.to_string().contains("give that target"), "{other}");
    restore(&remote, &database, Target::Finalized).unwrap();
    let again = restore(&remote, &database, Target::Finalized).unwrap_err();
    assert!(again.to_string().contains("is in the way"), "{again}");
    assert!(matches!(Chain::find(&database).unwrap(), Found::Chain(_)));

    // Nor a database that a node made.
    let other = tempfile::tempdir().unwrap();
    let database = other.path().join("db");
    let bootstrap = lamella_chain::Bootstrap::genesis(GROWN.genesis.clone());
    drop(Chain::create(&database, bootstrap, "trust", settings()).unwrap());
    let refused = restore(&remote, &database, Target::Finalized).unwrap_err();
    assert!(refused.to_string().contains("is in the way"));
}
