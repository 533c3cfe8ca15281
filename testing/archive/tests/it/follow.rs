//! A follower: it has the writer's chain, or says by name why not.

use std::{
    fs::{self, File},
    ops::ControlFlow,
    path::Path,
};

use lamella_archive::{ObjectName, Tail, TailFile, WriterId};
use lamella_chain::Progress;
use lamella_shipping::{
    ShippingError,
    follower::{Begun, Step, Theirs, begin, beginning},
    remote::Remote,
    store::{Access, Store},
};
use lamella_types::{Root, Slot, limits::SLOT_MS};
use lamella_xmss::scheme::{ProofScheme as _, Trust};

use crate::{
    grown::{OTHER_CHAIN, SMALL_CHAIN, go_on},
    world::{Outcome, Reader, Writer, assert_equal, assert_sound},
};

/// Blocks of the small chain up to somewhere in its second segment, the first sealed.
const INTO_SECOND: usize = 120;

fn open(folder: &Path) -> Store {
    Store::open(folder.to_str().unwrap(), Access::Write).unwrap()
}

/// The path of a tail object.
fn object(folder: &Path, writer: WriterId, sequence: u64) -> std::path::PathBuf {
    let remote = Remote::of(open(folder), SMALL_CHAIN.network());
    folder.join(remote.path(&ObjectName::Tail { writer, sequence }))
}

/// Flips a bit of a tail object, for good.
fn rot(folder: &Path, writer: WriterId, sequence: u64) {
    let path = object(folder, writer, sequence);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Has a writer tell something else in one object, and continue that with all later ones.
fn tell_instead(folder: &Path, writer: WriterId, sequence: u64, change: impl FnOnce(&mut Tail)) {
    let (mut change, mut before) = (Some(change), None);
    for sequence in sequence.. {
        let path = object(folder, writer, sequence);
        let Ok(bytes) = fs::read(&path) else { break };
        let file = TailFile::decode("tail", &bytes, SMALL_CHAIN.network()).unwrap();
        let mut tail = file.into_tail();
        tail.previous = before.unwrap_or(tail.previous);
        if let Some(change) = change.take() {
            change(&mut tail);
        }
        let sealed = tail.seal().unwrap();
        before = Some(sealed.link.digest);
        fs::write(path, sealed.bytes).unwrap();
    }
}

/// A writer that has shipped so many times five blocks, and a reader at the end of its tail.
fn at_tail(open: &dyn Fn() -> Store, ships: usize) -> (Writer, Reader) {
    let (mut writer, mut reader) = (Writer::new(&SMALL_CHAIN, 1), Reader::new());
    for _ in 0..ships {
        writer.import(&SMALL_CHAIN, 5);
        writer.ship(open).unwrap();
    }
    assert_eq!(reader.follow(open), Outcome::Tail);
    (writer, reader)
}

#[test]
fn a_follower_begins_with_genesis_where_nothing_is_sealed_and_keeps_up() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let mut reader = Reader::new();
    assert!(matches!(reader.follow(&open), Outcome::Empty(_)), "no archive yet");
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.ship(&open).unwrap();
    assert!(matches!(reader.follow(&open), Outcome::Stale(_)), "an archive without a tail");
    for blocks in [1, 30, 90, 200] {
        writer.import(&SMALL_CHAIN, blocks);
        writer.ship(&open).unwrap();
        assert_eq!(reader.follow(&open), Outcome::Tail);
        assert_equal(&reader, &writer, "after each piece");
    }
    assert_sound(reader.chain(), "followed from genesis");
}

#[test]
fn a_follower_begins_with_what_is_sealed_and_goes_on_with_the_tail() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    while writer.imported < INTO_SECOND {
        writer.import(&SMALL_CHAIN, 10);
        writer.ship(&open).unwrap();
    }
    let mut reader = Reader::new();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_equal(&reader, &writer, "from segments");
    assert_sound(reader.chain(), "followed from segments");
}

#[test]
fn a_follower_that_is_killed_after_each_step_comes_to_the_same_place() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    let mut reader = Reader::new();
    for _ in 0..12 {
        writer.import(&SMALL_CHAIN, 4);
        writer.ship(&open).unwrap();
        reader.start(&open).unwrap();
        let before = reader.position().map_or(0, |position| position.next);
        while !matches!(reader.step(false).unwrap(), Step::Took { .. }) {}
        reader.kill();
        reader.start(&open).unwrap();
        assert_eq!(reader.position().unwrap().next, before + 1, "rows and position together");
        reader.kill();
    }
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_equal(&reader, &writer, "killed often");
}

/// Symptom (litestream 1515): replication stopped silently where a piece was missing. Here it is named, with both positions,
/// what is served stays, and the segments lead past it once they reach.
#[test]
fn a_gap_is_named_with_both_positions_and_filled_from_segments_when_they_reach() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let (mut writer, mut reader) = at_tail(&open, 3);
    let kept = reader.chain().fork_choice().head();
    for _ in 0..2 {
        writer.import(&SMALL_CHAIN, 5);
        writer.ship(&open).unwrap();
    }
    fs::remove_file(object(folder.path(), writer.id, 3)).unwrap();
    let Outcome::Stale(reason) = reader.follow(&open) else { panic!("a gap") };
    assert!(reason.contains("object 3 of") && reason.contains("object 4 is"), "{reason}");
    assert_eq!(reader.chain().fork_choice().head(), kept, "the last consistent view");
    writer.import(&SMALL_CHAIN, INTO_SECOND);
    writer.ship(&open).unwrap();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_equal(&reader, &writer, "past the gap");
    assert_sound(reader.chain(), "filled from segments");
}

/// Symptom: objects of a tail after one that stayed damaged were never read, and the state changed between stale and tail every few
/// seconds. Mechanism: when segments had led past it, the follower began with the damaged object itself, or with the first of the tail,
/// and met it again. Fix: it goes on behind it, past as many as there are under one frontier.
#[test]
fn objects_that_stay_damaged_are_left_out_once_segments_hold_what_they_told() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let (mut writer, mut reader) = at_tail(&open, 3);
    for _ in 0..5 {
        writer.import(&SMALL_CHAIN, 5);
        writer.ship(&open).unwrap();
    }
    rot(folder.path(), writer.id, 3);
    rot(folder.path(), writer.id, 4);
    rot(folder.path(), writer.id, 6);
    let longer = ObjectName::Tail { writer: writer.id, sequence: 7 }.bytes_max() + 1;
    let overlong = File::options().write(true).open(object(folder.path(), writer.id, 7));
    overlong.unwrap().set_len(longer).unwrap();
    let Outcome::Stale(reason) = reader.follow(&open) else { panic!("a damaged object") };
    assert!(reason.contains("000000000003.ltal"), "{reason}");
    for _ in 0..100 {
        let step = reader.step(false).unwrap();
        assert!(matches!(step, Step::Waiting(_)), "{step:?}");
    }
    assert_eq!(reader.troubles(), 1, "it is one");
    writer.import(&SMALL_CHAIN, INTO_SECOND);
    writer.ship(&open).unwrap();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_equal(&reader, &writer, "past the damaged objects");
    assert_eq!(reader.met.filled, 1, "under one frontier");
    // The next one is not behind what no segment holds yet.
    for _ in 0..2 {
        writer.import(&SMALL_CHAIN, 5);
        writer.ship(&open).unwrap();
    }
    let damaged = reader.position().unwrap().next;
    rot(folder.path(), writer.id, damaged);
    let Outcome::Stale(reason) = reader.follow(&open) else { panic!("it is in no segment") };
    assert!(reason.contains(&format!("{damaged:012}.ltal")), "{reason}");
    assert_eq!(reader.position().unwrap().next, damaged);
    writer.import(&SMALL_CHAIN, SMALL_CHAIN.blocks.len());
    writer.ship(&open).unwrap();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_equal(&reader, &writer, "under the next frontier");
    assert_sound(reader.chain(), "filled from segments");
}

/// Symptom, mechanism and fix as above, of a follower that has just begun: where the oldest object is damaged it had no place to go on
/// behind.
#[test]
fn a_follower_begins_behind_a_damaged_oldest_object_once_segments_hold_what_it_told() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    for _ in 0..2 {
        writer.import(&SMALL_CHAIN, 5);
        writer.ship(&open).unwrap();
    }
    rot(folder.path(), writer.id, 0);
    let mut reader = Reader::new();
    let outcome = reader.follow(&open);
    let says = "000000000000.ltal";
    assert!(matches!(&outcome, Outcome::Stale(why) if why.contains(says)), "{outcome:?}");
    writer.import(&SMALL_CHAIN, INTO_SECOND);
    writer.ship(&open).unwrap();
    for mut reader in [reader, Reader::new()] {
        assert_eq!(reader.follow(&open), Outcome::Tail);
        assert_equal(&reader, &writer, "behind the oldest");
    }
}

/// The damaged object told blocks that the segments do not hold yet, and nothing that comes after it can be imported.
#[test]
fn what_a_damaged_object_told_beyond_the_segments_is_a_hole_until_they_reach() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let (mut writer, reader) = at_tail(&open, 3);
    for blocks in [30, 50, 5] {
        writer.import(&SMALL_CHAIN, blocks);
        writer.ship(&open).unwrap();
    }
    rot(folder.path(), writer.id, 1);
    rot(folder.path(), writer.id, 4);
    let mut readers = [Reader::new(), reader];
    for reader in &mut readers {
        for _ in 0..2 {
            let outcome = reader.follow(&open);
            let says = "is not here after object 5";
            assert!(matches!(&outcome, Outcome::Stale(why) if why.contains(says)), "{outcome:?}");
            // What it told is known to the process that took it alone.
            reader.kill();
        }
    }
    writer.import(&SMALL_CHAIN, SMALL_CHAIN.blocks.len());
    writer.ship(&open).unwrap();
    for reader in &mut readers {
        assert_eq!(reader.follow(&open), Outcome::Tail);
        assert_equal(reader, &writer, "past the hole");
    }
}

/// An object that is whole and holds an invalid block stays in the way as a damaged one does.
#[test]
fn an_object_with_an_invalid_block_is_left_out_once_segments_hold_what_it_told() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let (mut writer, mut reader) = at_tail(&open, 3);
    reader.kill();
    for blocks in [5, 5, 30] {
        writer.import(&SMALL_CHAIN, blocks);
        writer.ship(&open).unwrap();
    }
    tell_instead(folder.path(), writer.id, 3, |tail| {
        tail.blocks.truncate(1);
        tail.blocks[0].block.state_root = Root::ZERO;
    });
    let Outcome::Stale(reason) = reader.follow(&open) else { panic!("an invalid block") };
    assert!(reason.contains("in object 3 of") && reason.contains("is invalid"), "{reason}");
    // Somebody else seals the first segment, and tells nothing.
    let mut other = Writer::new(&SMALL_CHAIN, 2);
    other.import(&SMALL_CHAIN, INTO_SECOND);
    other.ship(&open).unwrap();
    fs::remove_dir_all(object(folder.path(), other.id, 0).parent().unwrap()).unwrap();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_eq!(reader.position().unwrap().next, 6, "the objects after it were read");
}

/// Symptom: a follower was led past a damaged object by the tail of a writer that had stopped, and read no more of the one that went on.
/// Mechanism: it came back to the damaged object, and waited there for segments. Fix: it goes on behind it, as behind a gap.
#[test]
fn behind_a_damaged_object_that_another_writer_led_past_the_first_one_is_followed_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let (mut writer, mut reader) = at_tail(&open, 1);
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&open).unwrap();
    let mut stopped = writer.clone_directory(&SMALL_CHAIN);
    stopped.id = WriterId([2; 8]);
    stopped.ship_tail(&open, true).unwrap();
    writer.import(&SMALL_CHAIN, 7);
    writer.ship(&open).unwrap();
    rot(folder.path(), writer.id, 1);
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_equal(&reader, &writer, "behind the damaged object");
}

/// Symptom: a follower that was killed while it began ended at its next start, with the advice to run another command. Mechanism: its
/// store showed no segment any more, so it was to begin with genesis, where a restoration had begun. Fix: that is told by name, and
/// tried again.
#[test]
fn a_beginning_with_segments_that_are_not_shown_any_more_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, INTO_SECOND);
    writer.ship(&open).unwrap();
    let database = folder.path().join("none");
    let begin = |before, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>| {
        let restore = beginning(&database, None, SLOT_MS, Trust.name());
        begin(&Remote::find(open(), None).unwrap(), &restore, before, progress)
    };
    let mut steps = 0;
    let stopped = begin(Slot::MAX, &mut |_| {
        steps += 1;
        if folder.path().join("none.restoring").exists() && steps > 3 {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    assert!(stopped.is_err() && folder.path().join("none.restoring").exists(), "{stopped:?}");
    let none = begin(1, &mut go_on).unwrap_err();
    assert!(matches!(none, ShippingError::NoneLeft { .. }), "{none}");
    assert!(matches!(begin(Slot::MAX, &mut go_on), Ok(Begun::Restored(_))));
}

/// Symptom: `lamella follow --trusted` took genesis and registry from any archive in which nothing was sealed, and said that they were
/// proven under the root that was given. Mechanism: where no frontier has that root the greatest one was taken, and nothing that is
/// begun with genesis was compared with it. Fix: only a frontier of that root will do.
#[test]
fn a_trusted_root_that_is_no_frontiers_is_refused_where_nothing_sealed_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 10);
    writer.ship(&open).unwrap();
    let database = folder.path().join("none");
    let begin = |trusted, before| {
        let restore = beginning(&database, trusted, SLOT_MS, Trust.name());
        begin(&Remote::find(open(), None).unwrap(), &restore, before, &mut go_on)
    };
    let is_genesis = |trusted, before| {
        let begun = begin(trusted, before).unwrap();
        matches!(begun, Begun::Genesis(network) if network.id() == SMALL_CHAIN.network())
    };
    let refused = |trusted, before| begin(Some(trusted), before).unwrap_err();
    let is_unknown = |trusted, before| matches!(refused(trusted, before), ShippingError::UnknownRoot { root, .. } if root == trusted);
    let frontier = || {
        let inventory = Remote::find(open(), None).unwrap().inventory().unwrap();
        inventory.frontiers()[0]
    };
    let wrong = Root::new([7; 32]);
    let before = SMALL_CHAIN.root_at(1).unwrap();
    assert!(is_genesis(None, Slot::MAX));
    assert!(frontier().slot > 1 && is_genesis(Some(frontier().root), Slot::MAX));
    assert!(is_unknown(wrong, Slot::MAX));
    // The frontier names it, which anybody can write.
    assert!(matches!(refused(before, Slot::MAX), ShippingError::NoTarget { .. }));
    // With a sealed segment, of which nothing is wanted.
    writer.import(&SMALL_CHAIN, INTO_SECOND);
    writer.ship(&open).unwrap();
    assert!(is_genesis(None, 1_023) && is_genesis(Some(frontier().root), 1_023));
    assert!(is_unknown(wrong, 1_023));
    assert!(matches!(refused(before, 1_023), ShippingError::NoTarget { .. }));
    assert!(!database.exists());
}

/// Symptom: pieces of an earlier lineage were applied on top of a newer one. Here an object that does not name the digest of
/// the one before is refused whole.
#[test]
fn an_object_of_another_lineage_is_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let (mut writer, mut reader) = (Writer::new(&SMALL_CHAIN, 1), Reader::new());
    let copy = writer.copy();
    for _ in 0..2 {
        writer.import(&SMALL_CHAIN, 5);
        writer.ship(&open).unwrap();
    }
    assert_eq!(reader.follow(&open), Outcome::Tail);
    // The writer begins again from an older copy, and somebody deletes its objects so that it can.
    for sequence in 0..2 {
        fs::remove_file(object(folder.path(), writer.id, sequence)).unwrap();
    }
    writer.put_back(&copy);
    for blocks in [3, 3, 6] {
        writer.import(&SMALL_CHAIN, blocks);
        writer.ship(&open).unwrap();
    }
    let Outcome::Stale(reason) = reader.follow(&open) else { panic!("another lineage") };
    assert!(reason.contains("000000000002.ltal"), "{reason}");
    assert_eq!(reader.chain().fork_choice().head_summary().slot, {
        SMALL_CHAIN.blocks[9].block.slot
    });
    writer.import(&SMALL_CHAIN, INTO_SECOND);
    writer.ship(&open).unwrap();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_equal(&reader, &writer, "past the lineage");
}

#[test]
fn a_follower_goes_on_with_another_writer_where_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let (_, mut reader) = at_tail(&open, 4);
    let mut other = Writer::new(&SMALL_CHAIN, 2);
    other.import(&SMALL_CHAIN, 40);
    other.ship(&open).unwrap();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_equal(&reader, &other, "the other's");
}

#[test]
fn a_writer_that_finalized_another_chain_is_not_followed_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let (mut writer, mut reader) = (Writer::new(&SMALL_CHAIN, 1), Reader::new());
    writer.import(&SMALL_CHAIN, 25);
    writer.ship(&open).unwrap();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    let ours = reader.chain().fork_choice().latest_finalized();
    assert!(ours.slot > 14, "past the fork");
    // Its directory is lost, and it comes back on another chain of the same network.
    let mut other = Writer::new(&OTHER_CHAIN, 2);
    other.import(&OTHER_CHAIN, 20);
    fs::remove_dir_all(folder.path().join(SMALL_CHAIN.network().to_string()).join("tail")).unwrap();
    other.ship_tail(&open, false).unwrap();
    assert_eq!(reader.follow(&open), Outcome::Diverged);
    let kept = reader.chain().fork_choice().latest_finalized();
    assert_eq!(kept, ours, "nothing of it was written");
    let Step::Diverged(divergence) = reader.step(false).unwrap() else { panic!("for good") };
    assert_eq!(divergence.ours, ours);
    assert!(matches!(divergence.theirs, Theirs::Finalized(_)));
    assert!(divergence.to_string().contains("--rebuild"), "{divergence}");
}

/// Symptom: a follower stood at the end of a tail that nobody went on with, and called it the tail. Mechanism: it had met a hole in the
/// tail of another writer, was started again, and turned to one that it had read before its start; that nothing new came of that did not
/// bring it back to what it had met. Fix: what was met is kept until something new is imported.
#[test]
fn a_hole_is_not_forgotten_for_a_writer_that_tells_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&open).unwrap();
    let mut reader = Reader::new();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    writer.id = WriterId([2; 8]);
    for as_new_writer in [true, false] {
        writer.import(&SMALL_CHAIN, 3);
        writer.ship_tail(&open, as_new_writer).unwrap();
    }
    fs::remove_file(object(folder.path(), writer.id, 0)).unwrap();
    for _ in 0..2 {
        let outcome = reader.follow(&open);
        let says = "blocks before it are in no object";
        assert!(matches!(&outcome, Outcome::Stale(why) if why.contains(says)), "{outcome:?}");
        reader.kill();
    }
    writer.import(&SMALL_CHAIN, SMALL_CHAIN.blocks.len());
    writer.ship(&open).unwrap();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_equal(&reader, &writer, "past the hole by segments");
}

/// Symptom: a follower was at the tail's end, as it said, and behind. Mechanism: the last object that it took was deleted; the writer, started
/// again, put what it had to tell then under the same number. Fix: a follower that starts looks at the object that it took last.
/// Symptom: a follower stood at the end of the tail of a writer that had stopped, and called it the tail, while another one went on
/// (simulated seed 6,300,001,796). Mechanism: an object of the other's was gone; the stopped one's tail led past that with blocks that
/// were new, and what comes behind the hole nobody looked at again. Fix: it goes on there, and the last head must be here.
#[test]
fn behind_a_hole_that_another_writer_led_past_the_first_one_is_followed_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let (mut writer, mut reader) = at_tail(&open, 1);
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&open).unwrap();
    let mut stopped = writer.clone_directory(&SMALL_CHAIN);
    stopped.id = WriterId([2; 8]);
    stopped.import(&SMALL_CHAIN, 2);
    stopped.ship_tail(&open, true).unwrap();
    for blocks in [1, 7] {
        writer.import(&SMALL_CHAIN, blocks);
        writer.ship(&open).unwrap();
    }
    fs::remove_file(object(folder.path(), writer.id, 1)).unwrap();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    assert_equal(&reader, &writer, "behind the hole");
    // What only the object had that is gone now is in no other.
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&open).unwrap();
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&open).unwrap();
    fs::remove_file(object(folder.path(), writer.id, 4)).unwrap();
    let Outcome::Stale(reason) = reader.follow(&open) else { panic!("a hole") };
    assert!(reason.contains("object 4 of"), "{reason}");
}

#[test]
fn a_last_object_that_is_another_one_now_is_named_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(folder.path());
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&open).unwrap();
    let mut reader = Reader::new();
    assert_eq!(reader.follow(&open), Outcome::Tail);
    fs::remove_file(object(folder.path(), writer.id, 0)).unwrap();
    writer.start();
    writer.import(&SMALL_CHAIN, 3);
    writer.ship(&open).unwrap();
    reader.kill();
    let outcome = reader.follow(&open);
    let says = "the last that was followed, is another one now";
    assert!(matches!(&outcome, Outcome::Stale(why) if why.contains(says)), "{outcome:?}");
}
