//! What a writer tells: everything that no segment holds, once, chained; and who may not go on.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use lamella_archive::{ObjectName, TailFile, WriterId};
use lamella_shipping::{
    ShippingError,
    cleaner::clean,
    remote::{Limits, Remote},
    restorer::Target,
    store::{Access, Store, StoreError},
    verifier::verify,
};
use lamella_types::{Root, hash_tree_root};
use tempfile::TempDir;

use crate::{
    faulty::{Backing, Faults, Faulty},
    grown::{OTHER_CHAIN, SMALL_CHAIN, SMALL_SEGMENTS, go_on, in_folder, restore},
    world::Writer,
};

/// Blocks of the small chain up to somewhere in its second segment, the first sealed.
const INTO_SECOND: usize = 120;

fn open(folder: &Path) -> Store {
    Store::open(folder.to_str().unwrap(), Access::Write).unwrap()
}

fn remote(folder: &Path) -> Remote {
    Remote::of(open(folder), SMALL_CHAIN.network())
}

/// The tail of a writer, by number.
fn tail(folder: &Path, writer: WriterId) -> BTreeMap<u64, TailFile> {
    let remote = remote(folder);
    let names = remote.tail(writer).unwrap().objects.into_keys();
    let objects = names.filter_map(|name| match name {
        ObjectName::Tail { writer: found, sequence } if found == writer => {
            let bytes = fs::read(folder.join(remote.path(&name))).unwrap();
            let file = TailFile::decode("tail", &bytes, SMALL_CHAIN.network()).unwrap();
            Some((sequence, file))
        }
        _ => None,
    });
    objects.collect()
}

/// Every block of a tail, in order; that each object continues the one before, and each block has its parent before it.
fn blocks_of(tail: &BTreeMap<u64, TailFile>) -> Vec<Root> {
    let (mut before, mut told) = (None, HashSet::from([SMALL_CHAIN.root_at(0).unwrap()]));
    let mut blocks = Vec::new();
    for file in tail.values() {
        file.check_follows(before).unwrap();
        before = Some(file.link());
        for signed in &file.tail().blocks {
            let root = hash_tree_root(&signed.block);
            assert!(told.contains(&signed.block.parent_root), "a parent before its child");
            told.insert(root);
            blocks.push(root);
        }
    }
    blocks
}

#[test]
fn every_block_is_told_once_forks_included_whatever_the_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    assert_eq!(writer.ship_tail(&|| open(folder.path()), false).unwrap(), 0, "idle: nothing");
    for blocks in [1, 2, 7, 70] {
        writer.import(&SMALL_CHAIN, blocks);
        let objects = writer.ship_tail(&|| open(folder.path()), false).unwrap();
        assert_eq!(objects, blocks.div_ceil(64) as u64);
        assert_eq!(writer.ship_tail(&|| open(folder.path()), false).unwrap(), 0);
    }
    let told = blocks_of(&tail(folder.path(), writer.id));
    let imported = SMALL_CHAIN.blocks[..80].iter().map(|signed| hash_tree_root(&signed.block));
    assert_eq!(told, imported.collect::<Vec<_>>());
    let last = tail(folder.path(), writer.id).pop_last().unwrap().1.into_tail();
    assert_eq!(last.head, writer.chain().fork_choice().head_summary().checkpoint());
}

/// Symptom: blocks that a node imported in one run were never told. Mechanism: the run finalized its own first blocks, which
/// left the live tree before anybody looked. Fix: the canonical index is looked at from where telling stood.
#[test]
fn blocks_that_were_finalized_before_anybody_looked_are_told_from_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 10);
    writer.ship_tail(&|| open(folder.path()), false).unwrap();
    writer.import(&SMALL_CHAIN, INTO_SECOND);
    writer.ship_tail(&|| open(folder.path()), false).unwrap();
    let told: HashSet<Root> = blocks_of(&tail(folder.path(), writer.id)).into_iter().collect();
    let end = writer.chain().fork_choice().head_summary().slot;
    let canonical = (1..=end).filter_map(|slot| SMALL_CHAIN.root_at(slot));
    assert!(canonical.into_iter().all(|root| told.contains(&root)));
}

#[test]
fn a_tail_begins_with_the_first_slot_that_no_segment_holds_and_goes_on_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, INTO_SECOND);
    writer.ship(&|| open(folder.path())).unwrap();
    let first = tail(folder.path(), writer.id);
    let slots = first.values().flat_map(|file| &file.tail().blocks);
    assert!(slots.into_iter().all(|signed| signed.block.slot >= 1_024));
    let told = first.len() as u64;
    writer.start();
    writer.import(&SMALL_CHAIN, 3);
    writer.ship(&|| open(folder.path())).unwrap();
    let both = tail(folder.path(), writer.id);
    // The live tree is told again, and the news with it.
    assert!((told + 1..=told + 2).contains(&(both.len() as u64)), "{} after {told}", both.len());
    let mut before = None;
    for file in both.values() {
        file.check_follows(before).unwrap();
        before = Some(file.link());
    }
}

/// A copied directory has the writer id of the original, and both would go on with the same number.
/// Symptom: a follower read the tail of a writer's earlier life to its end, and called that the tail (simulated seed 6,400,002,399).
/// Mechanism: an older copy of the writer's directory was put back, and the objects that would have fenced it off had been deleted; so
/// it told its blocks in objects of numbers that the follower had read. Fix: later objects fence it off too.
#[test]
fn an_older_copy_is_fenced_by_later_objects_where_the_next_one_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&|| open(folder.path())).unwrap();
    let copy = writer.copy();
    for _ in 0..3 {
        writer.import(&SMALL_CHAIN, 5);
        writer.ship(&|| open(folder.path())).unwrap();
    }
    for sequence in 0..2 {
        fs::remove_file(
            folder
                .path()
                .join(SMALL_CHAIN.network().to_string())
                .join(ObjectName::Tail { writer: writer.id, sequence }.to_string()),
        )
        .unwrap();
    }
    writer.put_back(&copy);
    writer.import(&SMALL_CHAIN, 5);
    let fenced = writer.ship(&|| open(folder.path())).unwrap_err();
    assert!(matches!(fenced, ShippingError::Fenced { .. }), "{fenced}");
    writer.id = WriterId([2; 8]);
    writer.ship_tail(&|| open(folder.path()), true).unwrap();
}

#[test]
fn a_second_writer_on_a_copied_directory_is_fenced_and_goes_on_under_another_id() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&|| open(folder.path())).unwrap();
    let mut copy = writer.clone_directory(&SMALL_CHAIN);
    writer.import(&SMALL_CHAIN, 1);
    writer.ship(&|| open(folder.path())).unwrap();
    copy.import(&SMALL_CHAIN, 2);
    for _ in 0..2 {
        let fenced = copy.ship(&|| open(folder.path())).unwrap_err();
        assert!(matches!(fenced, ShippingError::Fenced { .. }), "{fenced}");
        assert!(fenced.to_string().contains("--archive-new-writer"), "{fenced}");
        // A start changes nothing.
        copy.start();
    }
    copy.id = WriterId([2; 8]);
    copy.ship_tail(&|| open(folder.path()), true).unwrap();
    copy.start();
    copy.import(&SMALL_CHAIN, 1);
    copy.ship(&|| open(folder.path())).unwrap();
    assert_eq!(blocks_of(&tail(folder.path(), copy.id))[..8].len(), 8);
    writer.import(&SMALL_CHAIN, 4);
    writer.ship(&|| open(folder.path())).unwrap();
}

/// Symptom: a node that was killed between a put and its own row was fenced off by itself. Mechanism: it had imported more
/// since, so its next object of that number was another. Fix: what is put is written down before.
#[test]
fn an_object_that_was_put_before_a_kill_is_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&|| open(folder.path())).unwrap();
    // Confirmed in memory alone: the row says that it is on its way.
    writer.start();
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&|| open(folder.path())).unwrap();
    let told: HashSet<Root> = blocks_of(&tail(folder.path(), writer.id)).into_iter().collect();
    assert_eq!(told.len(), 10);
}

/// The small chain, shipped as it grew.
fn grown_archive() -> (TempDir, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    while writer.imported < SMALL_CHAIN.blocks.len() {
        writer.import(&SMALL_CHAIN, 20);
        writer.ship(&|| open(folder.path())).unwrap();
    }
    (folder, writer)
}

/// Makes the objects of a writer's tail two hours old.
fn age(folder: &Path, writer: WriterId) {
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3_600);
    for sequence in tail(folder, writer).into_keys() {
        let path = folder.join(remote(folder).path(&ObjectName::Tail { writer, sequence }));
        fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
}

#[test]
fn tails_expire_from_the_oldest_on_once_segments_cover_them_for_an_hour() {
    let (folder, mut writer) = grown_archive();
    let objects = tail(folder.path(), writer.id);
    let young = clean(&remote(folder.path()), true, &mut go_on).unwrap();
    assert_eq!((young.expired.len(), young.unusable.len()), (0, 0));
    age(folder.path(), writer.id);
    let listed = clean(&remote(folder.path()), false, &mut go_on).unwrap();
    assert_eq!(tail(folder.path(), writer.id).len(), objects.len(), "a dry run");
    let old = clean(&remote(folder.path()), true, &mut go_on).unwrap();
    assert_eq!(old.expired, listed.expired);
    let left = tail(folder.path(), writer.id);
    assert_eq!(left.len() + old.expired.len(), objects.len());
    assert!(!old.expired.is_empty() && !left.is_empty());
    // Two segments are sealed: what lies below the second one can go, and nothing of the second.
    let is_covered =
        |file: &TailFile| file.tail().blocks.iter().all(|signed| signed.block.slot < 1_024);
    let first = *left.keys().next().unwrap();
    assert!(objects.range(..first).all(|(_, file)| is_covered(file)));
    assert!(!is_covered(&left[&first]));
    // The writer goes on.
    writer.start();
    writer.ship(&|| open(folder.path())).unwrap();
}

/// Symptom: a tail was deleted, and the segment that should hold its blocks was rotten: they were nowhere. Mechanism: a
/// segment counted as covering a tail when it was listed. Fix: it counts when it was read and is what its name says.
#[test]
fn a_segment_that_is_gone_or_rotten_covers_no_tail() {
    let (folder, writer) = grown_archive();
    age(folder.path(), writer.id);
    let network = folder.path().join(SMALL_CHAIN.network().to_string());
    let entries = fs::read_dir(network.join("segments")).unwrap();
    let mut segments: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    let expired = || clean(&remote(folder.path()), false, &mut go_on).unwrap().expired.len();
    let covered = expired();
    assert!(covered > 0);
    for segment in &segments {
        let whole = fs::read(segment).unwrap();
        let mut rotten = whole.clone();
        rotten[whole.len() / 2] ^= 1;
        for bad in [Some(&whole[..whole.len() / 2]), Some(&rotten[..]), Some(&[]), None] {
            match bad {
                Some(bytes) => fs::write(segment, bytes).unwrap(),
                None => fs::remove_file(segment).unwrap(),
            }
            assert_eq!(expired(), 0, "of two segments one must be there beyond the tail's");
        }
        fs::write(segment, whole).unwrap();
    }
    assert_eq!(expired(), covered);
    // Whose blocks are in the segments nobody can tell where there are another chain's too.
    let (other, other_remote, _) = in_folder(&OTHER_CHAIN);
    let (index, root) = other_remote.inventory().unwrap().segments().next().unwrap();
    let strange = other_remote.path(&ObjectName::Segment { index, root });
    fs::copy(other.path().join(&strange), folder.path().join(&strange)).unwrap();
    assert_eq!(expired(), 0);
}

/// Symptom: `archive clean --delete` deleted a sound segment. Mechanism: a bit was flipped on the way from the store, and one
/// reading was enough. Fix: two readings in a row must be the same bytes.
#[test]
fn what_is_flipped_on_the_way_is_not_deleted() {
    let whole = Backing::default();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    while writer.imported < SMALL_CHAIN.blocks.len() {
        writer.import(&SMALL_CHAIN, 60);
        writer.ship(&|| whole.honest(u64::MAX)).unwrap();
    }
    let contents = whole.contents();
    for seed in 0..20 {
        let backing = Backing::of(&contents);
        let faults = Faults { flipped: 400, ..Faults::default() };
        let faulty = Faulty::new(&backing, faults, seed, u64::MAX);
        let store = Store::of_objects(Arc::new(faulty), "faulty://").unwrap();
        let cleaned = clean(&Remote::of(store, SMALL_CHAIN.network()), true, &mut go_on).unwrap();
        assert!(cleaned.judged > 0);
        assert!(backing.contents() == contents, "seed {seed}: {:?}", cleaned.unusable);
    }
}

/// Symptom: two nodes that shipped into a bucket that nobody cleaned stopped export, verification, restoration and cleaning
/// alike after nine days. Mechanism: one list of everything, bounded by what one writer tells. Fix: each kind is listed by
/// itself, tails by writer, and who needs none lists none.
#[test]
fn tails_of_many_writers_stop_nobody_who_can_do_without_them() {
    let (folder, writer) = grown_archive();
    let mut most = tail(folder.path(), writer.id).len();
    let mut all = most;
    for id in [2, 3] {
        let mut other = Writer::new(&SMALL_CHAIN, id);
        while other.imported < SMALL_CHAIN.blocks.len() {
            other.import(&SMALL_CHAIN, 60);
            other.ship_tail(&|| open(folder.path()), false).unwrap();
        }
        let told = tail(folder.path(), other.id).len();
        (most, all) = (most.max(told), all + told);
    }
    let frontiers = remote(folder.path()).inventory().unwrap().frontiers().len();
    let (segments, entries) = (SMALL_SEGMENTS as usize, 8);
    let just = Limits { entries, segments, frontiers, writers: 3, tail: most, tails: all };
    let with = |limits| remote(folder.path()).with_limits(limits);
    let verified = verify(&with(just), None, false, &mut go_on).unwrap();
    assert_eq!(verified.unproven, all as u64);
    assert_eq!(clean(&with(just), false, &mut go_on).unwrap().unusable, []);
    assert!(with(just).inventory_with_tails().unwrap().objects.len() > all);

    let directory = tempfile::tempdir().unwrap();
    for (number, (over, named)) in [
        (Limits { tail: most - 1, ..just }, "/tail/"),
        (Limits { writers: 2, ..just }, "/tail/"),
        (Limits { segments: 1, ..just }, "/segments"),
        (Limits { frontiers: frontiers - 1, ..just }, "/frontier"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = clean(&with(over), false, &mut go_on).unwrap_err();
        let is_named = matches!(&error, ShippingError::Store(StoreError::TooMany { name, .. })
            if name.contains(named));
        assert!(is_named, "{error}");
        let database = directory.path().join(number.to_string());
        let restored = restore(&with(over), &database, Target::Finalized);
        assert_eq!(restored.is_ok(), named == "/tail/", "{named}");
    }
    let error = with(Limits { tails: all - 1, ..just }).inventory_with_tails().unwrap_err();
    assert!(error.to_string().contains("/tail/"), "{error}");
}

#[test]
fn a_tail_object_that_was_torn_is_named_and_cleaned_and_put_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&|| open(folder.path())).unwrap();
    let name = ObjectName::Tail { writer: writer.id, sequence: 1 };
    let path = folder.path().join(remote(folder.path()).path(&name));
    fs::write(&path, b"torn").unwrap();
    writer.import(&SMALL_CHAIN, 1);
    let torn = writer.ship(&|| open(folder.path())).unwrap_err();
    assert!(matches!(torn, ShippingError::Damaged { .. }), "{torn}");
    let cleaned = clean(&remote(folder.path()), true, &mut go_on).unwrap();
    assert_eq!(cleaned.unusable.len(), 1);
    writer.ship(&|| open(folder.path())).unwrap();
    assert_eq!(blocks_of(&tail(folder.path(), writer.id)).len(), 6);
}
