//! Followers as processes: of a bucket, and of a source whose chain has parted from theirs.

use std::{fs, net::SocketAddr, process::Command};

use lamella_inspect::checksum;
use lamella_shipping::store::{Access, Store};
use tempfile::TempDir;

use crate::{
    grown::{OTHER_CHAIN, SMALL_CHAIN},
    processes::{BINARY, Process, lamella},
    s3::{self, BUCKET, Server},
    world::{Writer, digest},
};

/// Follows, in slots so short that it looks often.
fn follower(from: &str, data: &TempDir, flags: &[&str], bucket: Option<SocketAddr>) -> Process {
    let mut command = Command::new(BINARY);
    command
        .args(["follow", "--proof-scheme", "trust", "--slot-ms", "400", "--api-port", "0"])
        .args(["--from", from])
        .args(flags)
        .arg("--data-dir")
        .arg(data.path());
    for (name, value) in bucket.into_iter().flat_map(s3::settings) {
        command.env(name.to_uppercase(), value);
    }
    Process::spawn(command)
}

/// What its log says once it has the writer's head.
fn head_of(writer: &Writer) -> String {
    format!(" head_slot={} ", writer.chain().fork_choice().head_summary().slot)
}

/// That a follower which is not running has the writer's chain.
fn assert_equal(data: &TempDir, writer: &Writer) {
    let end = writer.chain().fork_choice().head_summary().slot;
    let ours = checksum::compute(data.path(), Some(0), Some(end)).unwrap().digest;
    assert_eq!(ours, digest(writer.chain(), end));
    assert!(lamella(&["db", "verify"], data).contains(": clean"));
}

#[test]
fn a_follower_of_a_bucket_goes_on_after_each_kill_with_equal_rows() {
    let server = Server::start();
    let open = || s3::store(server.address, "net");
    let (mut writer, data) = (Writer::new(&SMALL_CHAIN, 1), tempfile::tempdir().unwrap());
    let url = format!("s3://{BUCKET}/net");
    for blocks in [12, 40, 90] {
        writer.import(&SMALL_CHAIN, blocks);
        writer.ship(&open).unwrap();
        let mut following = follower(&url, &data, &[], Some(server.address));
        following.wait_for(&head_of(&writer));
        // What comes while it runs.
        writer.import(&SMALL_CHAIN, 3);
        writer.ship(&open).unwrap();
        following.wait_for(&head_of(&writer));
        drop(following);
        assert_equal(&data, &writer);
    }
}

/// Symptom: a follower that had diverged, started again with `--rebuild`, waited at the tail for ever. Mechanism: what the last
/// object tells of its writer's finality was known to the process that took it alone. Fix: it is read again.
///
/// Symptom: a rebuilding that was killed after its last renaming left an empty folder for ever, and nothing tried a kill between
/// the two. Mechanism: what was left was only looked at where the database was missing. Fix: at each start.
#[test]
fn a_follower_whose_source_has_parted_says_so_or_begins_again_whenever_it_is_killed() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = folder.path().to_str().unwrap();
    let open = || Store::open(url, Access::Write).unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 25);
    writer.ship(&open).unwrap();
    follower(url, &data, &[], None).wait_for(&head_of(&writer));
    // The source is lost, and comes back with another chain of the same network.
    let mut other = Writer::new(&OTHER_CHAIN, 2);
    other.import(&OTHER_CHAIN, 20);
    fs::remove_dir_all(folder.path().join(SMALL_CHAIN.network().to_string()).join("tail")).unwrap();
    other.ship_tail(&open, false).unwrap();

    let mut following = follower(url, &data, &[], None);
    following.wait_for("the chains have parted");
    assert_eq!(following.stop(), Some(3));
    assert_equal(&data, &writer);

    let again = || follower(url, &data, &["--rebuild"], None);
    let mut rebuilding = again();
    rebuilding.wait_for("Began with genesis");
    rebuilding.wait_for(&head_of(&other));
    drop(rebuilding);
    let path = |name: &str| data.path().join(name);
    let is_done = || path("db.diverged").exists() && !path("rebuilding").exists();
    assert!(is_done());
    assert_equal(&data, &other);

    // As kills leave it between the two renamings, and after them.
    for is_between in [true, false] {
        fs::create_dir(path("rebuilding")).unwrap();
        if is_between {
            fs::rename(path("db"), path("rebuilding/db")).unwrap();
        }
        again().wait_for(&head_of(&other));
        assert!(is_done());
        assert_equal(&data, &other);
    }

    // Parted once more: what the first rebuilding kept may be the only copy.
    let mut third = Writer::new(&SMALL_CHAIN, 3);
    third.import(&SMALL_CHAIN, 15);
    fs::remove_dir_all(folder.path().join(SMALL_CHAIN.network().to_string()).join("tail")).unwrap();
    third.ship_tail(&open, false).unwrap();
    let mut waiting = again();
    waiting.wait_for("move it elsewhere");
    assert_eq!(waiting.stop(), Some(3));
    assert_equal(&data, &other);
    let mut waiting = again();
    waiting.wait_for("move it elsewhere");
    fs::rename(path("db.diverged"), path("kept")).unwrap();
    waiting.wait_for(&head_of(&third));
    drop(waiting);
    assert!(is_done());
    assert_equal(&data, &third);
}
