//! A data directory after a kill, beside deleted lock files, and where the system refuses disk or address space.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use lamella_chain::{Chain, Found};
use lamella_tables::{Canonical, Database, DatabaseView, OpenMode, Options};
use lamella_types::Root;

use crate::{
    disk::{FlushLog, SmallDisk},
    node::{BINARY, Node, field, get, head_slot, network},
    wait::{output, until},
};

/// `lamella db ...` on a data directory.
fn tool(data: &Path, command: &str) -> Output {
    output(Command::new(BINARY).args(["db", command, "--data-dir"]).arg(data))
}

/// The first head that a start tells, which is the one that it found.
fn resumed_head(network: &Path, data: &Path, flags: &[&str]) -> u64 {
    let mut node = Node::start_with(network, data, flags);
    let line = node.wait_for(|line| head_slot(line).is_some());
    node.kill();
    head_slot(&line).unwrap()
}

/// Kills that must be seen to have come before the first commit.
const EARLY_KILLS: u32 = 24;

/// Symptom: 41 of 200 nodes killed in their first 45 ms left a directory that no start accepted. Mechanism: the engine
/// grew the data file before it wrote its first pages. Fix: a database is made under another name, and then renamed.
#[test]
fn a_node_killed_before_its_first_commit_starts_again() {
    let root = tempfile::tempdir().unwrap();
    let network_dir = root.path().join("net");
    network(&network_dir);
    let (mut early, mut unfinished, mut unit) = (0, 0, Duration::from_micros(100));
    for kill in 0..10 * EARLY_KILLS {
        let data = root.path().join(format!("data-{kill}"));
        let mut node = Node::start(&network_dir, &data);
        // The writer is in its directory; some while later the kill comes, most often while the database is made.
        // Without a pause between looks: on a quick disk the making takes less than one.
        let begun = Instant::now();
        while !data.join("db/LOCK").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the writer's lock");
            thread::yield_now();
        }
        thread::sleep(unit * (kill % EARLY_KILLS));
        node.kill();
        if Chain::find(&data.join("db")).unwrap() != Found::Nothing {
            // Too late: the machine is quicker than the pauses.
            unit = unit * 7 / 8;
            fs::remove_dir_all(&data).unwrap();
            continue;
        }
        early += 1;
        unfinished += u32::from(data.join("db/unfinished").exists());
        resumed_head(&network_dir, &data, &[]);
        assert!(!data.join("db/unfinished").exists());
        fs::remove_dir_all(&data).unwrap();
        if early == EARLY_KILLS {
            break;
        }
    }
    assert_eq!(early, EARLY_KILLS, "kills before the first commit");
    assert!(unfinished > 0, "no kill came while the database was made");
}

/// Symptom: after a power cut a directory could be without the database that its node had acknowledged blocks in. Mechanism:
/// files were flushed, and the folders that name them were not; or the node that made them was killed before it flushed them, and
/// the next one took them for flushed. Fix: each folder on the way to the database, and its own, is flushed before a block is
/// acknowledged, by whoever opens it.
#[test]
fn every_folder_that_names_something_new_is_flushed() {
    let root = tempfile::tempdir().unwrap();
    let root_path = root.path().canonicalize().unwrap();
    let (network_dir, data) = (root_path.join("net"), root_path.join("new/deeper/data"));
    network(&network_dir);
    let flushed = flushed_until_a_block(&network_dir, &data, &root_path.join("first"));
    let named_folders = ["", "new", "new/deeper", "new/deeper/data", "new/deeper/data/db"];
    let is_flushed = |flushed: &[PathBuf], folder: &str| {
        let folder = root_path.join(folder);
        flushed.iter().any(|path| path.components().eq(folder.components()))
    };
    for folder in named_folders {
        assert!(is_flushed(&flushed, folder), "{folder}: {flushed:?}");
    }
    // The database was whole and flushed before it got its name.
    let at = |end: &str| flushed.iter().position(|path| path.ends_with(end));
    let (made, named) = (at("unfinished/mdbx.dat"), at("data/db"));
    assert!(made.is_some() && made < named, "{flushed:?}");

    let again = flushed_until_a_block(&network_dir, &data, &root_path.join("again"));
    for folder in named_folders {
        assert!(is_flushed(&again, folder), "started again, {folder}: {again:?}");
    }
}

/// What a node flushes until it has imported a block, and is killed.
fn flushed_until_a_block(network_dir: &Path, data: &Path, log: &Path) -> Vec<PathBuf> {
    fs::create_dir(log).unwrap();
    let log = FlushLog::make(log);
    let mut command = Node::command(network_dir, data, &[]);
    log.under(&mut command);
    let mut node = Node::spawn(command);
    node.wait_for(|line| line.contains("Block imported"));
    let flushed = log.flushed();
    node.kill();
    flushed
}

/// Symptom: a killed node with `--lazy-commits` left a directory that no command opened. Mechanism: the engine recovers
/// only for a writer, and the first look was a reader's. Fix: whoever opens recovers, if no other process writes.
#[test]
fn a_killed_lazy_node_loses_nothing_and_opens_for_node_and_tools() {
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), root.path().join("data"));
    network(&network_dir);
    let mut last = 0;
    for round in 0..6 {
        let mut node = Node::start_with(&network_dir, &data, &["--lazy-commits"]);
        let goal = last + 3;
        let line = node.wait_for(|line| head_slot(line).is_some_and(|slot| slot >= goal));
        let rest = node.kill();
        let told = rest.iter().filter_map(|line| head_slot(line)).max();
        last = told.max(head_slot(&line)).unwrap();
        if round % 2 == 0 {
            for command in ["info", "verify", "stats"] {
                let out = tool(&data, command);
                assert!(
                    out.status.success(),
                    "{command}: {}{}",
                    String::from_utf8_lossy(&out.stdout),
                    String::from_utf8_lossy(&out.stderr)
                );
            }
        }
    }
    assert!(resumed_head(&network_dir, &data, &[]) >= last, "acknowledged {last}");
    // A durable writer has the file grow by smaller steps: what it makes of a larger one is whole, too.
    let out = tool(&data, "verify");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

/// Symptom: with `mdbx.lck` deleted under a node, tools span at full speed, deaf to signals; with `LOCK` deleted, a second
/// node wrote beside the first. Fix: the directory is locked, and the engine is not let at a database in that state.
#[test]
fn deleted_lock_files_let_no_second_writer_in_and_no_tool_spin() {
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), root.path().join("data"));
    network(&network_dir);
    let mut node = Node::start(&network_dir, &data);
    node.wait_for(|line| head_slot(line).is_some());
    fs::remove_file(data.join("db/LOCK")).unwrap();
    let mut second = Node::start(&network_dir, &data);
    second.wait_for(|line| line.contains("is in use by process"));
    assert!(!second.process.wait().unwrap().success());

    fs::remove_file(data.join("db/mdbx.lck")).unwrap();
    let begun = Instant::now();
    for command in ["info", "verify"] {
        let out = tool(&data, command);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains("mdbx.lck"), "{said}");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "they end by themselves");
    // The node itself goes on, as safe as before.
    let line = node.wait_for(|line| line.contains("Block imported"));
    let first = head_slot(&line).unwrap();
    node.wait_for(|line| head_slot(line).is_some_and(|slot| slot > first + 2));
    node.kill();
    crate::node::verify(&data);
    assert!(tool(&data, "info").status.success());
}

/// Symptom: with the node down and its disk full, no tool opened the database. Mechanism: the engine wants a table of
/// readers beside it. Fix: it gets one elsewhere.
#[test]
fn tools_read_a_full_disk_whose_node_is_down() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), disk.path().join("data"));
    network(&network_dir);
    let mut node = Node::start(&network_dir, &data);
    node.wait_for(|line| head_slot(line).is_some_and(|slot| slot >= 2));
    node.kill();
    for is_absent in [false, true] {
        if is_absent {
            fs::remove_file(data.join("db/mdbx.lck")).unwrap();
        } else {
            fs::write(data.join("db/mdbx.lck"), []).unwrap();
        }
        disk.fill();
        for command in ["info", "verify", "stats"] {
            let out = tool(&data, command);
            assert!(out.status.success(), "{command}: {out:?}");
        }
    }
    assert!(!data.join("db/mdbx.lck").exists(), "nothing was created there");
}

/// Symptom: a node that was stopped cleanly ended by SIGBUS when it was started on a full tmpfs. Mechanism: the engine
/// maps its table of readers, which a clean end leaves empty, and takes it for granted there that it has room. Fix: the
/// disk is asked first.
#[test]
fn a_start_on_a_full_disk_says_so_and_works_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), disk.path().join("data"));
    network(&network_dir);
    let mut node = Node::start(&network_dir, &data);
    let line = node.wait_for(|line| head_slot(line).is_some_and(|slot| slot >= 2));
    let pid = node.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(node.process.wait().unwrap().success());
    disk.fill();
    let mut refused = Node::start(&network_dir, &data);
    let said = refused.wait_for(|line| line.starts_with("error: "));
    assert!(said.contains("is full; free some disk space"), "{said}");
    assert_eq!(refused.process.wait().unwrap().code(), Some(1));
    disk.free();
    assert!(resumed_head(&network_dir, &data, &[]) >= head_slot(&line).unwrap());
}

/// Symptom: a stopped `db verify` grew the file by 0.2 MB a slot, and nothing said why. Mechanism: its snapshot keeps
/// pages from being reused. Fix: the node can name it, its lag and what it holds back.
#[test]
fn a_stopped_reader_of_another_process_is_named() {
    let root = tempfile::tempdir().unwrap();
    let database = Database::open(root.path(), Options::new(OpenMode::Create)).unwrap();
    let commit = |slot: u64| {
        let mut txn = database.write().unwrap();
        for offset in 0..200 {
            txn.put::<Canonical>(&(slot + offset), &Root::new([7; 32])).unwrap();
        }
        txn.commit().unwrap();
    };
    commit(0);
    assert_eq!(database.other_readers().unwrap(), Some(vec![]));
    let _own = database.read().unwrap();
    let mut reader = holding_reader(root.path());
    let opened = until("the other's snapshot", || {
        let readers = database.other_readers().unwrap().unwrap();
        (!readers.is_empty()).then_some(readers)
    });
    assert_eq!((opened[0].process_id, opened[0].lag_transactions), (reader.id(), 0));
    (1..=50).for_each(commit);
    let lagging = database.other_readers().unwrap().unwrap();
    assert_eq!((lagging[0].process_id, lagging[0].lag_transactions), (reader.id(), 50));
    assert!(lagging[0].held_bytes >= 50 * 4096, "{lagging:?}");
    reader.kill().unwrap();
    reader.wait().unwrap();
}

#[test]
fn a_node_warns_of_a_process_that_reads_and_does_not_go_on() {
    // Symptom: a stopped `db verify` grew the file by 0.2 MB a slot, unseen.
    // Mechanism: nobody looked who holds pages back. Fix: the node looks every 16 slots and names the process.
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), root.path().join("data"));
    network(&network_dir);
    let mut node = Node::start(&network_dir, &data);
    let listening = node.wait_for(|line| line.contains("HTTP API listening"));
    let address = field(&listening, "api").unwrap();
    node.wait_for(|line| line.contains("Block imported"));
    let mut reader = holding_reader(&data.join("db"));
    let warned = node.wait_for(|line| line.contains("reads the database and does not go on"));
    assert!(warned.contains(&format!("process_id={} ", reader.id())), "{warned}");
    // Metrics and readiness say so too, until it is gone.
    let held = || {
        let metrics = String::from_utf8(get(address, "/metrics").1).unwrap();
        let name = "lean_storage_held_bytes ";
        let held = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        held.parse::<u64>().unwrap()
    };
    let ready = || String::from_utf8(get(address, "/lean/v0/node/ready").1).unwrap();
    assert!(held() > 1 << 20, "{}", held());
    let reason = format!("process {} holds ", reader.id());
    assert!(ready().contains(&reason), "{}", ready());
    reader.kill().unwrap();
    reader.wait().unwrap();
    until("nothing is held back", || (held() == 0 && !ready().contains(&reason)).then_some(()));
}

/// Where a process of this test binary is told to hold a snapshot.
const HOLD: &str = "LAMELLA_TEST_HOLD_A_SNAPSHOT";

fn holding_reader(database: &Path) -> Child {
    let itself = std::env::current_exe().unwrap();
    let mut command = Command::new(itself);
    command.args(["--exact", "opening::holds_a_snapshot_if_told_to"]).env(HOLD, database);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// Not a test by itself: what [`holding_reader`] runs, until its stdin ends.
#[test]
fn holds_a_snapshot_if_told_to() {
    let Some(path) = std::env::var_os(HOLD) else {
        return;
    };
    let view = DatabaseView::open(Path::new(&path)).unwrap();
    let _snapshot = view.read().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Symptom: under `ulimit -v` no node started. Mechanism: it asked for a tebibyte of address space. Fix: less is asked
/// for by default, half of that where it is refused, and the error for a size that was named names the flag.
#[test]
fn a_node_starts_in_little_address_space() {
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), root.path().join("data"));
    network(&network_dir);
    let limited = |flags: &[&str]| {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -v 6000000; exec \"$0\" \"$@\"", BINARY])
            .args(["node", "--node-id", "lamella_0"])
            .args(["--gossipsub-port", "0", "--api-port", "0", "--metrics-port", "0"])
            .args(flags)
            .arg("--network-dir")
            .arg(&network_dir)
            .arg("--data-dir")
            .arg(&data);
        Node::spawn(command)
    };
    let mut node = limited(&[]);
    node.wait_for(|line| head_slot(line).is_some_and(|slot| slot >= 2));
    node.kill();
    let mut node = limited(&["--db-size-max", "64GiB"]);
    node.wait_for(|line| line.contains("--db-size-max") && line.contains("address space"));
    assert!(!node.process.wait().unwrap().success());
    assert!(resumed_head(&network_dir, &data, &["--db-size-max", "1GiB"]) >= 2);
}
