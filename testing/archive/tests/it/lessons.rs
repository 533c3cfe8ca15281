//! The lessons of others, each a test that names the failure.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use lamella_archive::ObjectName;
use lamella_chain::ReadOnlyChain;
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known},
    cleaner::clean,
    remote::Remote,
    restorer::Target,
    seal::Shipped,
    store::{Access, Store, StoreError},
    verifier::verify,
};
use lamella_types::Root;

use crate::{
    faulty::{Backing, Faults, Faulty},
    grown::{OTHER_CHAIN, SMALL_CHAIN, SMALL_SEGMENTS, go_on, restore, rows, ship, small},
};

/// The files of a kind, in the order of their names.
fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let networks = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let kinds = networks.map(|network| network.join(kind)).filter(|kind| kind.exists());
    let entries = kinds.flat_map(|kind| fs::read_dir(kind).unwrap());
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Restoring ends in an error that says this, and leaves nothing in place.
fn assert_not_restored(remote: &Remote, target: Target, says: &str) {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    let error = restore(remote, &database, target).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    assert!(!database.exists());
}

#[test]
fn a_missing_segment_is_a_gap_with_a_name_for_whoever_verifies_or_restores() {
    let (folder, remote, _) = small();
    let segment = &files(folder.path(), "segments")[0];
    fs::remove_file(segment).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let error = verify(&remote, None, true, &mut go_on).unwrap_err();
    assert!(matches!(error, ShippingError::Missing { .. }) && error.to_string().contains(name));
    assert_not_restored(&remote, Target::Finalized, "has a gap");
    // A restoration that needs nothing of it still does not begin behind it.
    assert_not_restored(&remote, Target::Slot(1_010), "has a gap");
}

#[test]
fn a_target_that_is_not_there_is_an_error_that_says_what_is_and_nothing_is_begun() {
    let (_folder, remote, _) = small();
    assert_not_restored(&remote, Target::Slot(500), "slot 500 is empty; the blocks next to it");
    assert_not_restored(&remote, Target::Slot(2_048), "segment 2 is not proven");
    assert_not_restored(&remote, Target::Slot(u64::MAX), "no chain reaches slot");
    assert_not_restored(
        &remote,
        Target::Root(Root::new([9; 32])),
        "no block of the archive has root",
    );
}

#[test]
fn verified_zero_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), Access::Read).unwrap();
    assert!(matches!(Remote::find(store, None), Err(ShippingError::Nothing { .. })));
    // Of an archive only the describing objects are left.
    let (folder, remote, _) = small();
    for kind in ["segments", "frontier"] {
        for file in files(folder.path(), kind) {
            fs::remove_file(file).unwrap();
        }
    }
    let error = verify(&remote, None, false, &mut go_on).unwrap_err();
    assert!(matches!(error, ShippingError::Zero { .. }), "{error}");
    assert_not_restored(&remote, Target::Finalized, "nothing is proven");
}

#[test]
fn a_folder_that_is_not_there_is_no_archive_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("typo");
    let error = Store::open(missing.to_str().unwrap(), Access::Read).unwrap_err();
    assert!(matches!(error, StoreError::Address { .. }), "{error}");
    assert!(!missing.exists(), "reading makes no folder");
}

#[test]
fn a_failing_store_is_not_an_empty_one() {
    let backing = Backing::default();
    let good = Faulty::new(&backing, Faults::default(), 1, u64::MAX);
    ship(&SMALL_CHAIN.chain, Store::of_objects(Arc::new(good), "good://").unwrap()).unwrap();
    let refused = Faults { refused: 1_000, ..Faults::default() };
    let bad = || {
        Store::of_objects(Arc::new(Faulty::new(&backing, refused, 1, u64::MAX)), "bad://").unwrap()
    };
    let found = Remote::find(bad(), None).unwrap_err();
    assert!(
        matches!(found, ShippingError::Store(StoreError::Failed { attempts: 4, .. })),
        "{found}"
    );
    assert!(found.to_string().contains("bad://, /: cannot list it, tried 4 times"), "{found}");
    let network = SMALL_CHAIN.network();
    let error = verify(&Remote::of(bad(), network), None, false, &mut go_on).unwrap_err();
    assert!(matches!(error, ShippingError::Store(_)), "{error}");
    let shipped = ship(&SMALL_CHAIN.chain, bad()).unwrap_err();
    assert!(matches!(shipped, ShippingError::Store(_)), "{shipped}");
}

#[test]
fn the_cursor_is_the_last_contiguous_upload_and_no_success_is_reported_over_a_failure() {
    // So many operations that the first segment is confirmed and the second is not.
    let mut seen = std::collections::BTreeSet::new();
    for operations in 0..30 {
        let backing = Backing::default();
        let faulty = Faulty::new(&backing, Faults::default(), 1, operations);
        let store = Store::of_objects(Arc::new(faulty), "cut://").unwrap();
        let chain = &SMALL_CHAIN.chain;
        let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
        let mut cursor = 0;
        let confirmed = &mut |segments| {
            assert_eq!(segments, cursor + 1);
            cursor = segments;
            Ok(())
        };
        let outcome = archiver::ship(shipped, store, Known::default(), &mut go_on, confirmed);
        seen.insert((cursor, outcome.is_ok()));
        if let Ok((_, shipment)) = outcome {
            assert_eq!(shipment.segments, SMALL_SEGMENTS);
        }
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        [(0, false), (1, false), (2, true)],
        "past the last segment only once the frontier proves it"
    );
}

#[test]
fn a_cursor_ahead_of_the_archive_stops_it_instead_of_shipping_all_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
    let chain = &SMALL_CHAIN.chain;
    let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
    let known = Known { confirmed: SMALL_SEGMENTS, ..Known::default() };
    let again =
        archiver::ship(shipped, open(), known, &mut go_on, &mut |_| panic!("nothing counts"));
    let error = again.unwrap_err();
    assert!(
        matches!(error, ShippingError::CursorAhead { confirmed: SMALL_SEGMENTS, .. }),
        "{error}"
    );
    assert_eq!(files(folder.path(), "segments"), Vec::<PathBuf>::new());
}

#[test]
fn a_torn_put_that_stays_is_found_named_cleaned_and_repaired() {
    let (folder, remote, _) = small();
    let segment = &files(folder.path(), "segments")[1];
    let whole = fs::read(segment).unwrap();
    for kept in [0, 1, 100, whole.len() - 1] {
        fs::write(segment, &whole[..kept]).unwrap();
        let store = Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
        let error = ship(&SMALL_CHAIN.chain, store).unwrap_err();
        assert!(matches!(error, ShippingError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("/segments/00001-"), "{error}");
        let found = clean(&remote, false, &mut go_on).unwrap();
        assert_eq!((found.unusable.len(), found.deleted), (1, false));
        assert!(segment.exists(), "a dry run deletes nothing");
        clean(&remote, true, &mut go_on).unwrap();
        assert!(!segment.exists());
        let store = Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
        let (_, shipment) = ship(&SMALL_CHAIN.chain, store).unwrap();
        assert_eq!((shipment.put, shipment.verified), (1, SMALL_SEGMENTS - 1));
        assert_eq!(fs::read(segment).unwrap(), whole);
    }
    let good = clean(&remote, true, &mut go_on).unwrap();
    assert_eq!(good.unusable, []);
    assert!(segment.exists());
}

#[test]
fn swapped_renamed_and_foreign_objects_are_refused_whole() {
    let (folder, remote, _) = small();
    let segments = files(folder.path(), "segments");
    let bytes: Vec<_> = segments.iter().map(|file| fs::read(file).unwrap()).collect();
    fs::write(&segments[0], &bytes[1]).unwrap();
    fs::write(&segments[1], &bytes[0]).unwrap();
    let error = verify(&remote, None, false, &mut go_on).unwrap_err();
    assert!(error.to_string().contains("/segments/00000-"), "{error}");
    // An object of an earlier lineage under the right name.
    let other = tempfile::tempdir().unwrap();
    let store = Store::open(other.path().to_str().unwrap(), Access::Write).unwrap();
    ship(&OTHER_CHAIN.chain, store).unwrap();
    fs::write(&segments[0], fs::read(&files(other.path(), "segments")[0]).unwrap()).unwrap();
    fs::write(&segments[1], &bytes[1]).unwrap();
    assert_not_restored(&remote, Target::Finalized, "/segments/00000-");
}

#[test]
fn two_finalized_chains_are_an_error_that_names_both() {
    let (folder, remote, _) = small();
    let store = Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
    let error = ship(&OTHER_CHAIN.chain, store).unwrap_err();
    assert!(matches!(error, ShippingError::TwoChains { .. }), "{error}");
    // Put there by hand.
    let other = tempfile::tempdir().unwrap();
    let store = Store::open(other.path().to_str().unwrap(), Access::Write).unwrap();
    ship(&OTHER_CHAIN.chain, store).unwrap();
    let foreign = &files(other.path(), "segments")[0];
    let place = files(folder.path(), "segments")[0].with_file_name(foreign.file_name().unwrap());
    fs::copy(foreign, &place).unwrap();
    let error = verify(&remote, None, false, &mut go_on).unwrap_err().to_string();
    for name in [&files(folder.path(), "segments")[0], &files(folder.path(), "segments")[1]] {
        let name = name.file_name().unwrap().to_str().unwrap();
        assert!(error.contains(name), "{error}");
    }
    assert_not_restored(&remote, Target::Finalized, "are of two chains");
}

/// Symptom: the message of two chains sent to `verify --root`, which gave the same message. Mechanism: names were compared
/// before the root was looked at. Fix: a frontier that proves the root says which names it contradicts.
#[test]
fn a_trusted_root_tells_which_objects_of_two_chains_are_the_others() {
    let (folder, remote, ours) = small();
    let other = tempfile::tempdir().unwrap();
    let store = Store::open(other.path().to_str().unwrap(), Access::Write).unwrap();
    let (_, theirs) = ship(&OTHER_CHAIN.chain, store).unwrap();
    let names = |folder: &Path| -> Vec<String> {
        let files = ["segments", "frontier"].iter().flat_map(|kind| files(folder, kind));
        files.map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let (of_ours, of_theirs) = (names(folder.path()), names(other.path()));
    assert!(of_ours.iter().all(|name| !of_theirs.contains(name)));
    for kind in ["segments", "frontier"] {
        let place = files(folder.path(), kind)[0].parent().unwrap().to_owned();
        for file in files(other.path(), kind) {
            fs::copy(&file, place.join(file.file_name().unwrap())).unwrap();
        }
    }
    let ask = |root: Root| {
        let error = verify(&remote, Some(root), false, &mut go_on).unwrap_err();
        assert!(matches!(error, ShippingError::TwoChainsUnder { .. }), "{error}");
        error.to_string()
    };
    let (ours, theirs) = (ours.frontier.unwrap().root, theirs.frontier.unwrap().root);
    // The frontier's own, and one within a segment.
    for (grown, root, others) in
        [(&SMALL_CHAIN, ours, &of_theirs), (&OTHER_CHAIN, theirs, &of_ours)]
    {
        for root in [root, grown.root_at(1_100).unwrap()] {
            let said = ask(root);
            let (proven, rest) = said.split_once("of the other chain are").unwrap();
            assert!(proven.contains(&root.to_string()), "{said}");
            assert!(others.iter().all(|name| rest.contains(name)), "{said}");
            let own = if std::ptr::eq(others, &of_ours) { &of_theirs } else { &of_ours };
            assert!(!own.iter().any(|name| rest.contains(name)), "{said}");
        }
    }
    assert!(ask(SMALL_CHAIN.root_at(9).unwrap()).contains("before they part"));
    assert!(ask(Root::new([9; 32])).contains("none of the 2 frontiers"));
    // What is listed is moved: the rest is proven.
    for kind in ["segments", "frontier"] {
        for file in files(folder.path(), kind) {
            if of_theirs.iter().any(|name| file.ends_with(name)) {
                fs::remove_file(file).unwrap();
            }
        }
    }
    assert!(verify(&remote, Some(ours), true, &mut go_on).unwrap().is_trusted);
}

#[test]
fn names_that_say_nothing_are_counted_and_neither_read_nor_deleted() {
    let (folder, remote, _) = small();
    let segments = files(folder.path(), "segments");
    let stem = segments[0].file_name().unwrap().to_str().unwrap().to_owned();
    let strange = [
        stem.replacen("00000", "99999", 1),
        stem.replacen("00000", "0", 1),
        stem.replacen("00000", "-0001", 1),
        stem.to_uppercase(),
        "00000-.lseg".to_owned(),
        "notes.txt".to_owned(),
    ];
    for name in &strange {
        fs::write(segments[0].with_file_name(name), b"what is this?").unwrap();
    }
    let inventory = remote.inventory().unwrap();
    assert_eq!(inventory.unknown.len(), strange.len());
    assert_eq!(inventory.segments().count() as u64, SMALL_SEGMENTS);
    let verified = verify(&remote, None, true, &mut go_on).unwrap();
    assert_eq!(verified.unknown, strange.len() as u64);
    assert_eq!(clean(&remote, true, &mut go_on).unwrap().unusable, []);
    assert!(strange.iter().all(|name| segments[0].with_file_name(name).exists()));
}

#[test]
fn a_frontier_that_does_not_verify_is_told_of_and_an_older_one_serves() {
    let (folder, remote, _) = small();
    let [good] = &files(folder.path(), "frontier")[..] else { panic!("one frontier") };
    let name: ObjectName =
        format!("frontier/{}", good.file_name().unwrap().to_str().unwrap()).parse().unwrap();
    let ObjectName::Frontier { slot, .. } = name else { panic!("a frontier") };
    // A greater one that is torn.
    let greater = ObjectName::Frontier { slot: slot + 1, root: Root::new([7; 32]) };
    let torn = good.parent().unwrap().parent().unwrap().join(greater.to_string());
    fs::write(&torn, &fs::read(good).unwrap()[..90]).unwrap();
    let verified = verify(&remote, None, true, &mut go_on).unwrap();
    assert_eq!((verified.root.slot, verified.bad_frontiers.len()), (slot, 1));
    assert!(verified.bad_frontiers[0].contains("/frontier/"), "{:?}", verified.bad_frontiers);
    // And where no other is, it is the error.
    fs::remove_file(good).unwrap();
    let error = verify(&remote, None, true, &mut go_on).unwrap_err();
    assert!(matches!(error, ShippingError::Damaged { .. }), "{error}");
}

/// Symptom: an archive whose first put was torn had half a description for ever. Mechanism: it was put if there was none, and
/// nobody read it. Fix: it is read, and put again where it is the beginning of ours.
#[test]
fn a_description_that_was_torn_is_put_again_and_a_later_versions_stays() {
    let (folder, remote, _) = small();
    let path = folder.path().join(remote.path(&ObjectName::Format));
    let whole = fs::read(&path).unwrap();
    let store = || Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
    for torn in [0, 1, whole.len() - 1] {
        fs::write(&path, &whole[..torn]).unwrap();
        ship(&SMALL_CHAIN.chain, store()).unwrap();
        assert!(fs::read(&path).unwrap() == whole, "{torn} bytes");
    }
    let later = [&whole[..], b"and more"].concat();
    let too_long = vec![b'x'; ObjectName::Format.bytes_max() as usize + 1];
    for other in [later, b"the format of another version".to_vec(), too_long] {
        fs::write(&path, &other).unwrap();
        ship(&SMALL_CHAIN.chain, store()).unwrap();
        assert!(fs::read(&path).unwrap() == other);
    }
}

#[test]
fn an_object_that_is_too_long_is_not_read() {
    let (folder, remote, _) = small();
    let segment = &files(folder.path(), "segments")[0];
    let name: ObjectName =
        format!("segments/{}", segment.file_name().unwrap().to_str().unwrap()).parse().unwrap();
    // Sparse: nobody has to write what nobody reads.
    fs::File::options().write(true).open(segment).unwrap().set_len(name.bytes_max() + 1).unwrap();
    let error = verify(&remote, None, false, &mut go_on).unwrap_err();
    assert!(matches!(error, ShippingError::Store(StoreError::TooLong { .. })), "{error}");
}

#[test]
fn shipping_again_verifies_what_is_there_and_adds_nothing() {
    let (folder, ..) = small();
    let before = files(folder.path(), "frontier");
    let store = Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
    let (_, shipment) = ship(&SMALL_CHAIN.chain, store).unwrap();
    assert_eq!((shipment.put, shipment.verified, shipment.bytes), (0, SMALL_SEGMENTS, 0));
    assert_eq!(files(folder.path(), "frontier"), before);
}

#[test]
fn an_archive_made_of_a_restored_directory_is_the_same_object_by_object() {
    let (folder, remote, _) = small();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    restore(&remote, &database, Target::Finalized).unwrap();
    assert!(rows(&database, u64::MAX) == SMALL_CHAIN.rows(SMALL_SEGMENTS * 1024 - 1));
    let again = tempfile::tempdir().unwrap();
    let store = Store::open(again.path().to_str().unwrap(), Access::Write).unwrap();
    // Its own finality is not so far: it seals what it may.
    let chain = ReadOnlyChain::open(&database).unwrap();
    let (_, shipment) = ship(&chain, store).unwrap();
    assert_eq!(shipment.segments, SMALL_SEGMENTS - 1);
    let (one, other) = (files(folder.path(), "segments"), files(again.path(), "segments"));
    assert_eq!(one[0].file_name(), other[0].file_name());
    assert_eq!(fs::read(&one[0]).unwrap(), fs::read(&other[0]).unwrap());
}
