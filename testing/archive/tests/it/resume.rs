//! Killed at every step, and run again: the same directory as without.

use std::{fs, ops::ControlFlow, path::Path};

use lamella_chain::{Chain, ChainOpenError, Found, ReadOnlyChain};
use lamella_shipping::{ShippingError, restorer::Target};

use crate::grown::{
    GROWN, LAST, SMALL_CHAIN, SMALL_SEGMENTS, restore, restore_to, rows, settings, shipped, small,
};

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
