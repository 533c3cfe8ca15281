//! The lessons of others, each a test that names the failure.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use lamella_archive::{NetworkId, ObjectName, SidecarIndex};
use lamella_chain::ReadOnlyChain;
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known},
    cleaner::clean,
    follower::{Begun, begin, beginning},
    remote::Remote,
    restorer::Target,
    seal::Shipped,
    store::{Access, Store, StoreError},
    verifier::verify,
};
use lamella_types::{Root, Slot, limits::SLOT_MS};
use lamella_xmss::scheme::{ProofScheme as _, Trust};
use object_store::ObjectStoreExt as _;

use crate::{
    faulty::{Backing, Faults, Faulty},
    grown::{OTHER_CHAIN, SMALL_CHAIN, SMALL_SEGMENTS, go_on, restore, rows, ship, small},
    proofs::ship as ship_proofs,
    world::{Reader, Writer},
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

/// Makes an object one byte longer than any of its kind. Sparse: nobody has to write what nobody reads.
fn lengthen(file: &Path, name: &ObjectName) {
    let file = fs::File::options().create(true).write(true).truncate(false).open(file).unwrap();
    file.set_len(name.bytes_max() + 1).unwrap();
}

/// Symptom: one frontier of a megabyte that anybody put stopped verification, restoration, followers and `archive clean`, which
/// was to find it. Mechanism: an object that is too long was a failure of the store, and only a damaged one was passed over. Fix: it
/// counts as damaged.
#[test]
fn an_overlong_frontier_or_registry_is_told_of_passed_over_and_cleaned() {
    let (folder, remote, _) = small();
    let path = |name: &ObjectName| folder.path().join(remote.path(name));
    let proven = verify(&remote, None, true, &mut go_on).unwrap().root;
    let greater = ObjectName::Frontier { slot: proven.slot + 1, root: Root::new([7; 32]) };
    lengthen(&path(&greater), &greater);
    let verified = verify(&remote, None, true, &mut go_on).unwrap();
    assert_eq!((verified.root, verified.bad_frontiers.len()), (proven, 1));
    assert!(verified.bad_frontiers[0].contains(&greater.to_string()), "{verified:?}");
    let directory = tempfile::tempdir().unwrap();
    restore(&remote, &directory.path().join("db"), Target::Finalized).unwrap();
    let database = directory.path().join("followed");
    let follow = beginning(&database, None, SLOT_MS, Trust.name());
    let begun = begin(&remote, &follow, Slot::MAX, &mut go_on).unwrap();
    assert!(matches!(begun, Begun::Restored(_)));

    let inventory = remote.inventory().unwrap();
    let registry =
        inventory.objects.keys().find(|name| matches!(name, ObjectName::Registry { .. }));
    let registry = *registry.unwrap();
    let sound = fs::read(path(&registry)).unwrap();
    for overlong in [greater, registry] {
        lengthen(&path(&overlong), &overlong);
        for delete in [false, true] {
            let cleaned = clean(&remote, delete, &mut go_on).unwrap();
            let paths: Vec<_> = cleaned.unusable.iter().map(|object| &object.path).collect();
            assert_eq!(paths, [&remote.path(&overlong)]);
            assert_eq!(path(&overlong).exists(), !delete);
        }
    }
    // Without a registry nothing is proven.
    lengthen(&path(&registry), &registry);
    let error = verify(&remote, None, false, &mut go_on).unwrap_err();
    assert!(matches!(error, ShippingError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(&registry.to_string()), "{error}");
    fs::write(path(&registry), sound).unwrap();
    assert_eq!(verify(&remote, None, true, &mut go_on).unwrap().root, proven);
}

/// SHA-256, which the index of a sidecar has of each proof.
fn sha256(bytes: &[u8]) -> [u8; 32] {
    let index = SidecarIndex::build(NetworkId([0; 8]), 0, Root::ZERO, [(0, bytes)]).unwrap();
    index.encode([bytes]).unwrap()[194..226].try_into().unwrap()
}

/// An object in which a byte is another, with the digests of it.
fn rewritten(bytes: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] = byte;
    let end = bytes.len() - 32;
    let digest = sha256(&bytes[..end - 8]);
    bytes[end..].copy_from_slice(&digest);
    bytes
}

/// Symptom: `archive clean --delete` of an older lamella deleted what a newer one had shipped. Mechanism: a version that it did not
/// know was damage. Fix: what says its version under a digest that is right is left, and named.
#[test]
fn what_a_later_lamella_wrote_is_named_and_never_deleted() {
    let (folder, remote, _) = small();
    ship_proofs(&SMALL_CHAIN.chain, &remote, SMALL_SEGMENTS);
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 5);
    let store = || Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
    writer.ship_tail(&store, false).unwrap();
    let sound = clean(&remote, true, &mut go_on).unwrap();
    assert_eq!((&sound.unusable, &sound.newer), (&Vec::new(), &Vec::new()));

    let file = |kind| files(folder.path(), kind).swap_remove(0);
    let segment = fs::read(file("segments")).unwrap();
    let record_end = |bytes: &[u8]| 16 + u32::from_le_bytes(bytes[10..14].try_into().unwrap());
    // Behind the head is the first column, and its record's header.
    let codec = record_end(&segment) as usize + 8;
    let sidecar = fs::read(file("proofs")).unwrap();
    let index_end = record_end(&sidecar) as usize;
    let mut later_sidecar = sidecar.clone();
    later_sidecar[16] = 2;
    let digest = sha256(&later_sidecar[..index_end]);
    later_sidecar[index_end + 8..index_end + 40].copy_from_slice(&digest);
    let tail = file("tail").join("000000000000.ltal");
    let of_version_2 = |path: &Path| rewritten(&fs::read(path).unwrap(), 16, 2);
    let later = [
        (file("segments"), of_version_2(&file("segments")), "format version 2"),
        (file("segments"), rewritten(&segment, 17, 1), "flags 0x01"),
        (file("segments"), rewritten(&segment, codec, 2), "codec 2"),
        (file("frontier"), of_version_2(&file("frontier")), "format version 2"),
        (file("proofs"), later_sidecar, "format version 2"),
        (tail.clone(), of_version_2(&tail), "format version 2"),
    ];
    for (path, bytes, says) in later {
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        let cleaned = clean(&remote, true, &mut go_on).unwrap();
        let context = format!("{}: {says}: {cleaned:?}", path.display());
        assert_eq!((cleaned.unusable.len(), cleaned.newer.len()), (0, 1), "{context}");
        // Without a frontier segments are left too.
        assert!(cleaned.left > sound.left, "{context}");
        let newer = &cleaned.newer[0];
        assert!(path.ends_with(&newer.path) && newer.why.contains(says), "{context}");
        assert!(fs::read(&path).unwrap() == bytes, "{context}");
        // One that is torn says nothing that can be believed.
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let is_sidecar = path == file("proofs");
        let cleaned = clean(&remote, true, &mut go_on).unwrap();
        assert_eq!(cleaned.unusable.len(), usize::from(!is_sidecar), "{context}");
        assert_eq!(path.exists(), is_sidecar, "its index alone says what it is");
        fs::write(&path, whole).unwrap();
    }
}

/// Symptom: `archive clean --delete` deleted a sound segment. Mechanism: what it found torn it deleted when it had judged all
/// others, hours later, and by then somebody had put it again. Fix: it is judged again right before.
#[test]
fn what_was_put_again_since_it_was_judged_is_not_deleted() {
    let whole = Backing::default();
    ship(&SMALL_CHAIN.chain, whole.honest(u64::MAX)).unwrap();
    let contents = whole.contents();
    let (name, bytes) = contents.iter().find(|(name, _)| name.contains("/segments/")).unwrap();
    let mut torn = contents.clone();
    torn.insert(name.clone(), bytes[..bytes.len() / 2].to_vec());
    let path = object_store::path::Path::from(name.as_str());
    let mut gone = Vec::new();
    for operation in 0.. {
        let backing = Backing::of(&torn);
        let (objects, path, bytes) = (Arc::clone(&backing.objects), path.clone(), bytes.clone());
        let acted = Arc::new(AtomicBool::new(false));
        let acts = Arc::clone(&acted);
        let faulty = Faulty::new(&backing, Faults::default(), 1, u64::MAX);
        let faulty = faulty.with_intruder(operation, move || {
            acts.store(true, Ordering::Relaxed);
            futures::executor::block_on(async {
                drop(objects.delete(&path).await);
                objects.put(&path, bytes.into()).await.unwrap();
            });
        });
        let store = Store::of_objects(Arc::new(faulty), "faulty://").unwrap();
        let cleaned = clean(&Remote::of(store, SMALL_CHAIN.network()), true, &mut go_on).unwrap();
        if !acted.load(Ordering::Relaxed) {
            assert_eq!(cleaned.unusable.len(), 1, "nobody put it again");
            assert!(operation > 10, "{operation} operations");
            break;
        }
        if backing.contents() != contents {
            gone.push(operation);
        } else if cleaned.unusable.is_empty() {
            assert_eq!(cleaned.judged, contents.len() as u64 - 1);
        }
    }
    assert_eq!(gone.len(), 1, "only between the last reading and the deletion: {gone:?}");
}

/// Symptom: a follower on a host whose clock was behind read the tail of a writer that was dead, and took it for the end.
/// Mechanism: what was put after our clock's time was all of age zero, and of equals the one with the most objects was chosen. Fix:
/// ages go below zero.
#[test]
fn of_two_writers_the_one_that_shipped_last_is_followed_whatever_our_clock_says() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
    let (mut dead, mut live) = (Writer::new(&SMALL_CHAIN, 1), Writer::new(&SMALL_CHAIN, 2));
    for _ in 0..5 {
        dead.import(&SMALL_CHAIN, 2);
        dead.ship(&open).unwrap();
    }
    live.import(&SMALL_CHAIN, 20);
    live.ship(&open).unwrap();
    let hour = Duration::from_secs(3_600);
    for (writer, ahead) in [(&dead, hour), (&live, 2 * hour)] {
        let remote = Remote::of(open(), SMALL_CHAIN.network());
        for name in remote.tail(writer.id).unwrap().objects.into_keys() {
            let file = fs::File::options().write(true).open(folder.path().join(remote.path(&name)));
            file.unwrap().set_modified(SystemTime::now() + ahead).unwrap();
        }
    }
    let mut reader = Reader::new();
    reader.start(&open).unwrap();
    let mut steps = (0..64).map(|_| {
        reader.step(true).unwrap();
        reader.position()
    });
    assert_eq!(steps.find_map(|position| position).unwrap().writer, live.id.0);
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
