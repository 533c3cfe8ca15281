//! Opening: what is created, what is refused, and who may write.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    ops::Range,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lamella_tables::{
    Bytes, Canonical, Consequence, Database, DatabaseView, Durability, FolderLock, OpenError,
    OpenMode, Options, Read, Signatures, SlotRoot, WriteTxn, trees,
};
use lamella_types::Root;

use crate::new_database;

#[test]
fn a_missing_database_is_refused_and_nothing_is_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let written = Database::open(&path, Options::new(OpenMode::Existing)).map(|_| ());
    for error in [DatabaseView::open(&path).unwrap_err(), written.unwrap_err()] {
        assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    }
    assert!(!path.exists());
}

#[test]
fn strangers_in_the_directory_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("stdout.log"), "hello").unwrap();
    drop(Database::open(directory.path(), Options::new(OpenMode::Create)).unwrap());
    assert_eq!(std::fs::read_to_string(directory.path().join("stdout.log")).unwrap(), "hello");
}

#[test]
fn a_second_writer_is_told_who_holds_the_lock() {
    let (directory, database) = new_database();
    let error = Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap_err();
    let pid = std::process::id().to_string();
    assert!(matches!(&error, OpenError::InUse { holder, .. } if *holder == pid), "{error}");
    drop(database);
    Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap();
}

/// The file of a lazy writer in the folder, as a kill leaves it: its newest commit uses less than the last one that was flushed, and
/// ends where the system's allocation units do. With the last row of Canonical, and the bytes that are used.
fn killed_after_giving_pages_up(folder: &Path, options: Options) -> (Vec<u8>, u64, u64) {
    const UNIT_BYTES: u64 = 64 << 10;
    for pages in 0..UNIT_BYTES as usize / 4_096 {
        let path = folder.join(format!("writer-{pages}"));
        let database = Database::open(&path, options).unwrap();
        let (key, proof) = (SlotRoot::new(1, Root::ZERO), Bytes(vec![7; 400_000 + 4_096 * pages]));
        let commit = |change: &dyn Fn(&mut WriteTxn<'_>)| {
            let mut txn = database.write().unwrap();
            change(&mut txn);
            txn.commit().unwrap();
            database.stats().unwrap().used_bytes
        };
        commit(&|txn| txn.put::<Signatures>(&key, &proof).unwrap());
        commit(&|txn| assert!(txn.delete::<Signatures>(&key).unwrap()));
        // Free pages at the end are given up by a commit that might have used them.
        let given_up = (1..100).find_map(|slot| {
            database.flush().unwrap();
            let flushed = database.stats().unwrap().used_bytes;
            let used = commit(&|txn| txn.put::<Canonical>(&slot, &Root::ZERO).unwrap());
            (used < flushed && used.is_multiple_of(UNIT_BYTES)).then_some((slot, used))
        });
        if let Some((last, used)) = given_up {
            return (fs::read(path.join("mdbx.dat")).unwrap(), last, used);
        }
    }
    panic!("no commit ended where a unit does");
}

/// Symptom: a node with `--lazy-commits` and a `--db-size-max` of its own was killed, and nothing opened its directory any more
/// (simulated seed 6,100,000,921). Mechanism: its newest commit used a page less than the last one that was flushed, and ended where a
/// unit of allocation does; who recovered it asked for another size, so the engine cut the file to that end, and then missed the
/// other's page. Fix: it is recovered with the size that its meta pages say, which makes a file that was cut so whole again too.
#[test]
fn what_a_killed_lazy_writer_left_is_recovered_with_the_size_that_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let of = |mib: usize, mode| Options {
        durability: Durability::Lazy,
        size_bytes_max: Some(mib << 20),
        ..Options::new(mode)
    };
    let (killed, last, used) =
        killed_after_giving_pages_up(directory.path(), of(256, OpenMode::Create));
    let copy = |name: &str, bytes: u64| {
        let copy = directory.path().join(name);
        fs::create_dir(&copy).unwrap();
        fs::write(copy.join("mdbx.dat"), &killed[..bytes as usize]).unwrap();
        copy
    };
    let assert_newest = |view: &DatabaseView| {
        assert_eq!(view.read().unwrap().get::<Canonical>(&last).unwrap(), Some(Root::ZERO));
    };
    let whole = killed.len() as u64;
    let durable = Options::new(OpenMode::Existing);
    assert_newest(&DatabaseView::open(&copy("read", whole)).unwrap());
    assert_newest(&Database::open(&copy("written", whole), durable).unwrap());
    assert_newest(&Database::open(&copy("larger", whole), of(512, OpenMode::Existing)).unwrap());
    // As the engine left it.
    assert_newest(&DatabaseView::open(&copy("cut", used)).unwrap());
    assert_newest(&Database::open(&copy("cut, written", used), durable).unwrap());
}

/// Symptom: a node that was killed and started again while `lamella db info` ran was told that its directory is in use.
/// Mechanism: the tool recovers what a killed lazy writer left, under the writer's locks.
/// Fix: a writer waits for whoever holds them for a moment.
#[test]
fn a_writer_waits_for_a_lock_that_is_held_for_a_moment() {
    let (directory, database) = new_database();
    drop(database);
    let held = FolderLock::take(directory.path()).unwrap();
    let letting_go = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(held);
    });
    Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap();
    letting_go.join().unwrap();
}

#[test]
fn a_read_only_database_reads_and_never_writes() {
    let (directory, database) = new_database();
    let mut txn = database.write().unwrap();
    txn.put::<Canonical>(&1, &Root::new([1; 32])).unwrap();
    txn.commit().unwrap();
    drop(database);
    let reader = DatabaseView::open(directory.path()).unwrap();
    let txn = reader.read().unwrap();
    assert_eq!(txn.get::<Canonical>(&1).unwrap(), Some(Root::new([1; 32])));
    assert_eq!(txn.table_stats().unwrap().len(), trees().count());
    assert!(reader.write_raw().is_err());
}

#[test]
fn garbage_for_a_data_file_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("mdbx.dat"), vec![0x5a; 65_536]).unwrap();
    let write = |mode| Database::open(directory.path(), Options::new(mode)).unwrap_err();
    let refused = [
        DatabaseView::open(directory.path()).unwrap_err(),
        write(OpenMode::Existing),
        write(OpenMode::Create),
    ];
    for error in refused {
        assert!(matches!(error, OpenError::Engine { .. }), "{error}");
    }
    let after = std::fs::read(directory.path().join("mdbx.dat")).unwrap();
    assert_eq!(after, vec![0x5a; 65_536], "left exactly as it was");
}

/// Symptom: 41 of 200 kills in the first 45 ms of a node left a directory that no start accepted. Mechanism: the engine
/// grew the data file before it wrote its first pages into it. Fix: it is made in a folder of its own and then renamed.
#[test]
fn what_an_interrupted_making_leaves_is_made_anew() {
    let ways: [&dyn Fn(&Path); 4] = [
        &|path| fs::write(path.join("mdbx.dat"), []).unwrap(),
        &|path| fs::File::create(path.join("mdbx.dat")).unwrap().set_len(4 << 20).unwrap(),
        &|path| {
            fs::create_dir(path.join("unfinished")).unwrap();
            fs::write(path.join("unfinished/mdbx.dat"), [0x5a; 100_000]).unwrap();
        },
        &|_| {},
    ];
    for leave in ways {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        leave(path);
        let refused = DatabaseView::open(path).unwrap_err();
        assert!(
            matches!(refused, OpenError::Empty { .. } | OpenError::Missing { .. }),
            "{refused}"
        );
        let database = Database::open(path, Options::new(OpenMode::Create)).unwrap();
        assert_eq!(database.read().unwrap().table_stats().unwrap().len(), trees().count());
        drop(database);
        DatabaseView::open(path).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["LOCK", "mdbx.dat", "mdbx.lck"]);
    }
}

/// Symptom: with `LOCK` deleted, a second node wrote to the database of a running one. Mechanism: the lock was on the
/// deleted file. Fix: the directory itself is locked too.
#[test]
fn a_second_writer_is_refused_when_the_lock_file_was_deleted() {
    let (directory, database) = new_database();
    fs::remove_file(directory.path().join("LOCK")).unwrap();
    let error = Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap_err();
    assert!(matches!(&error, OpenError::InUse { holder, .. } if holder == "unknown"), "{error}");
    drop(database);
}

/// Symptom: with `mdbx.lck` deleted under a node, each tool span at full speed, deaf to signals. Mechanism: the engine
/// found the data file locked and a new table of readers empty, and tried again for ever. Fix: looked at before.
#[test]
fn a_reader_is_refused_when_the_table_of_readers_was_deleted_under_the_writer() {
    let (directory, database) = new_database();
    let table = directory.path().join("mdbx.lck");
    fs::remove_file(&table).unwrap();
    for is_empty in [false, true] {
        if is_empty {
            fs::write(&table, []).unwrap();
        }
        let begun = Instant::now();
        let error = DatabaseView::open(directory.path()).unwrap_err();
        assert!(matches!(error, OpenError::ReadersLost { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "bounded");
    }
    drop(database);
    DatabaseView::open(directory.path()).unwrap();
}

/// Symptom: a node whose data file was renamed or replaced went on acknowledging blocks. Mechanism: the engine writes to
/// the file that it opened, whatever is at its name. Fix: each commit looks.
#[test]
fn nothing_is_committed_to_a_file_that_left_its_name() {
    let (directory, database) = new_database();
    let (data, moved) = (directory.path().join("mdbx.dat"), directory.path().join("moved"));
    let commit = || {
        let mut txn = database.write().unwrap();
        txn.put::<Canonical>(&1, &Root::new([1; 32])).unwrap();
        txn.commit()
    };
    commit().unwrap();
    fs::rename(&data, &moved).unwrap();
    let error = commit().unwrap_err();
    assert_eq!(error.consequence, Consequence::Unusable, "{error}");
    fs::copy(&moved, &data).unwrap();
    let error = commit().unwrap_err();
    assert!(error.to_string().contains("replaced"), "{error}");
    assert_eq!(error.consequence, Consequence::Unusable);
    fs::rename(&moved, &data).unwrap();
    commit().unwrap();
}

/// Symptom: 526 of 526 short writes on a full disk were told as input/output errors. Mechanism: the engine gives a short
/// write that name. Fix: then the free space of the disk decides.
#[test]
fn a_full_disk_is_told_as_no_space_and_left_behind() {
    let Some(disk) = SmallDisk::mount("size=9m") else { return };
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![1; 2 << 20]).unwrap();
    let database = Database::open(&disk.path().join("db"), Options::new(OpenMode::Create)).unwrap();
    let commit = |slot: u64| {
        let mut txn = database.write()?;
        txn.put::<Signatures>(&SlotRoot::first_of(slot), &Bytes(vec![7; 500_000]))?;
        txn.commit()
    };
    let error = (0..40).find_map(|slot| commit(slot).err()).unwrap();
    assert_eq!(error.consequence, Consequence::NoSpace, "{error}");
    fs::remove_file(&filler).unwrap();
    commit(50).unwrap();
}

/// Deleting needs pages too: those that it changes are copied. What earlier commits have freed is enough, and what it
/// frees takes other rows.
#[test]
fn on_a_full_disk_rows_are_deleted_and_others_take_their_place() {
    let Some(disk) = SmallDisk::mount("size=24m") else { return };
    let database = Database::open(&disk.path().join("db"), Options::new(OpenMode::Create)).unwrap();
    let put = |slots: Range<u64>| {
        let mut txn = database.write()?;
        for slot in slots {
            txn.put::<Signatures>(&SlotRoot::first_of(slot), &Bytes(vec![7; 3_000]))?;
        }
        txn.commit()
    };
    (0..40).for_each(|batch| put(batch * 50..batch * 50 + 50).unwrap());
    let mut filler = fs::File::create(disk.path().join("filler")).unwrap();
    while filler.write(&[1; 4_096]).is_ok_and(|written| written > 0) {}
    // The file takes what it still has room for, and no byte more.
    let error = (40..).find_map(|batch| put(batch * 50..batch * 50 + 50).err()).unwrap();
    assert_eq!(error.consequence, Consequence::NoSpace, "{error}");
    for batch in 0..8 {
        let mut txn = database.write().unwrap();
        for slot in batch * 256..(batch * 256 + 256).min(2_000) {
            assert!(txn.delete::<Signatures>(&SlotRoot::first_of(slot)).unwrap(), "{slot}");
        }
        txn.commit().unwrap();
    }
    (100..120).for_each(|batch| put(batch * 50..batch * 50 + 50).unwrap());
    assert_eq!(filler.write(&[1]).map_err(|error| error.kind()), Err(ErrorKind::StorageFull));
}

/// A small file system of its own; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, and a line that says so, where this process may not mount.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(folder.path());
        if mount.output().is_ok_and(|out| out.status.success()) {
            return Some(Self(folder));
        }
        let line = "skipped: a full disk: this process may not mount one";
        writeln!(std::io::stdout().lock(), "{line}").unwrap();
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Symptom: a file that had lost its end was told as "corrupted; run `lamella db verify`", which said the same, and where
/// the cut went through a page a tool that only reads shortened the file further. Mechanism: the engine recovers by cutting
/// to whole pages, then sees that too few are left. Fix: lengths are compared first. A file that lacks unused pages alone
/// is made longer again.
#[test]
fn a_file_that_lost_its_end_is_refused_by_name_if_a_page_in_use_is_gone_else_grown_again() {
    let (directory, database) = new_database();
    let mut txn = database.write().unwrap();
    let row = |slot: u64| (SlotRoot::first_of(slot), Bytes(vec![slot as u8; 20_000]));
    for (key, value) in (0..60).map(row) {
        txn.put::<Signatures>(&key, &value).unwrap();
    }
    txn.commit().unwrap();
    let used = database.stats().unwrap().used_bytes as usize;
    drop(database);
    let data = directory.path().join("mdbx.dat");
    let whole = fs::read(&data).unwrap();
    assert!(whole.len() > used + 4_096);
    let open = || Database::open(directory.path(), Options::new(OpenMode::Existing));
    for length in [used - 1, used - 100, used - 4_096, used - 4_096 * 5 + 7] {
        fs::write(&data, &whole[..length]).unwrap();
        let read = DatabaseView::open(directory.path()).unwrap_err();
        for error in [read, open().unwrap_err()] {
            assert!(matches!(error, OpenError::Pages { .. }), "{length} of {used}: {error}");
            let why = format!("the file ends at byte {length}, its pages at {used}");
            assert!(error.to_string().contains(&why), "{error}");
        }
        assert!(fs::read(&data).unwrap() == whole[..length], "left as it was");
    }
    for length in [used, used + 100, used + 4_096] {
        fs::write(&data, &whole[..length]).unwrap();
        let database = open().unwrap();
        assert_eq!(fs::metadata(&data).unwrap().len(), whole.len() as u64);
        let txn = database.read().unwrap();
        for (key, value) in (0..60).map(row) {
            assert_eq!(txn.get::<Signatures>(&key).unwrap(), Some(value));
        }
    }
}

/// The environment variable that says which directory another process opens.
const OPEN: &str = "LAMELLA_TEST_OPEN_LAZY";

/// Not a test by itself: a lazy writer in another process, as the engine lets nobody open a file twice in one.
#[test]
fn opens_a_lazy_writer_if_told_to() {
    let Some(path) = std::env::var_os(OPEN) else { return };
    let durability = Durability::Lazy;
    let options = Options { durability, ..Options::new(OpenMode::Existing) };
    let opened = Database::open(Path::new(&path), options);
    assert!(opened.is_ok(), "{}", opened.unwrap_err());
}

/// Opens for reading, as a tool does, and then begins to open a lazy writer beside it.
fn open_lazy_beside_a_reader() -> (tempfile::TempDir, DatabaseView, Child) {
    let (directory, database) = new_database();
    drop(database);
    let reader = DatabaseView::open(directory.path()).unwrap();
    let writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "opening::opens_a_lazy_writer_if_told_to"])
        .env(OPEN, directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (directory, reader, writer)
}

/// Symptom: a node with `--lazy-commits` that started while `lamella db info` ran ended with `MDBX_INCOMPATIBLE`.
/// Mechanism: who opens the files first says for all how commits are made, a reader too.
/// Fix: a writer waits for such a reader, and names the trouble if it stays.
#[test]
fn a_lazy_writer_waits_for_a_reader_that_was_there_first() {
    let (_directory, reader, mut writer) = open_lazy_beside_a_reader();
    std::thread::sleep(Duration::from_secs(1));
    assert!(writer.try_wait().unwrap().is_none());
    drop(reader);
    assert!(writer.wait().unwrap().success());
}

#[test]
fn a_reader_that_stays_is_named_as_what_keeps_a_lazy_writer_out() {
    let (_directory, _reader, writer) = open_lazy_beside_a_reader();
    let output = writer.wait_with_output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("was there first"), "{said}");
}
