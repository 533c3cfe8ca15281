//! A follower: it has the writer's chain, or says by name why not.

use std::{fs, path::Path};

use lamella_archive::{ObjectName, WriterId};
use lamella_shipping::{
    follower::{Step, Theirs},
    remote::Remote,
    store::{Access, Store},
};

use crate::{
    grown::{OTHER_CHAIN, SMALL_CHAIN},
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
