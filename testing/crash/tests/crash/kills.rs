//! What is killed at random instants and run again until it has ended: the commands that copy a whole chain; and a node and
//! its follower, as long as somebody waits.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::{self, File},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use lamella_chain::ReadOnlyChain;
use lamella_inspect::{
    checksum::{self, Checksum},
    database_path, verify,
};
use lamella_tables::{Read as _, Slots};
use lamella_testing_crash::{
    enumerate::random,
    jobs::damage,
    network::{Lone, NetworkPlan, SLOT_MS, VALIDATORS},
    process::field,
    scenario::{MOVED, WIDE},
    whole::tail_objects,
};
use lamella_types::Slot;
use rand_xoshiro::rand_core::Rng as _;

use crate::support::{disk, number, programs, run};

/// Kills of each command that land before its end.
const KILLS: u32 = 30;

/// Kills of a node and its follower, together.
const NODE_KILLS: u32 = 60;

/// Longest time until a command's kill, at first: some run to their end.
const COMMAND_MAX: Duration = Duration::from_millis(400);

/// Longest life until a kill. A start takes some hundredths of a second.
const LIFE_MS_MAX: u64 = 900;

/// Slots that the node's keys sign: 820 s. On an idle machine a round takes 27.
const KEY_SLOTS: u64 = 2_048;

/// Longest wait for finality after the last kill. Two seconds on an idle machine; one on which nobody keeps up with slots finalizes none.
const PATIENCE: Duration = Duration::from_secs(600);

/// Everything that is killed here, from a seed: how many kills landed.
pub const ROUNDS: [fn(u64) -> u32; 8] =
    [restoration, export, backup, compaction, pruning, migration, repairing, node];

/// Runs of a command in which its kills must land.
const RUNS_MAX: u32 = 600;

#[test]
fn a_restoration_killed_again_and_again_comes_to_the_same_rows() {
    restoration(number("LAMELLA_CRASH_SEED", 12));
}

#[test]
fn an_export_killed_again_and_again_leaves_an_archive_that_restores_to_the_same_rows() {
    export(number("LAMELLA_CRASH_SEED", 12));
}

#[test]
fn a_pruning_killed_again_and_again_comes_to_the_same_rows() {
    pruning(number("LAMELLA_CRASH_SEED", 12));
}

#[test]
#[ignore = "minutes: a part of make torture"]
fn a_migration_killed_again_and_again_comes_to_the_same_rows_at_each_schema() {
    migration(number("LAMELLA_CRASH_SEED", 12));
}

#[test]
#[ignore = "minutes: a part of make torture"]
fn a_repair_over_many_commits_killed_again_and_again_comes_to_the_same_rows() {
    repairing(number("LAMELLA_CRASH_SEED", 12));
}

#[test]
#[ignore = "a minute: a part of make torture"]
fn a_node_and_its_follower_killed_again_and_again_end_with_the_same_chain() {
    node(number("LAMELLA_CRASH_SEED", 12));
}

struct Drill {
    folder: PathBuf,
    expected: String,
}

impl Drill {
    /// A chain with its archive, and what a restoration of it has without a kill.
    fn new(folder: &Path) -> Self {
        let [made, reference] = ["made", "reference"].map(|name| folder.join(name));
        [&made, &reference].iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        run(Command::new(programs().driver).args(["archive", "0"]).arg(&made));
        let drill = Self { folder: folder.to_owned(), expected: String::new() };
        run(Command::new(programs().driver).arg("restore").args([&drill.archive(), &reference]));
        Self { expected: rows(&reference), ..drill }
    }

    fn made(&self) -> PathBuf {
        self.folder.join("made")
    }

    fn archive(&self) -> PathBuf {
        self.made().join("archive")
    }

    /// Where a command writes to.
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(arguments: &[&str]) -> Command {
        let mut command = Command::new(programs().lamella);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn restore(&self) -> Command {
        let trusting = ["archive", "restore", "--finalized", "--proof-scheme", "trust"];
        let mut command = Self::command(&trusting);
        command.arg("--from").arg(self.archive()).arg("--data-dir").arg(self.data());
        command
    }

    /// A command that reads the chain and writes elsewhere.
    fn copy(&self, arguments: &[&str]) -> Command {
        let mut command = Self::command(arguments);
        command.arg("--to").arg(self.data()).arg("--data-dir").arg(self.made());
        command
    }
}

fn rows(folder: &Path) -> String {
    run(Command::new(programs().driver).arg("rows").arg(folder)).trim().to_owned()
}

/// No invariant is broken.
fn check(data: &Path) {
    let report = verify::run(data, &mut |_| ControlFlow::Continue(())).unwrap();
    let first = report.findings.first().map(ToString::to_string);
    assert_eq!((first, report.check_count() > 0), (None, true));
}

/// The chain of a directory in which no invariant is broken, up to this slot.
fn chain(data: &Path, until: Option<Slot>) -> Checksum {
    check(data);
    checksum::compute(data, Some(0), until).unwrap()
}

/// Kills a command again and again. What ended before its kill, or had done all by then, is judged, and begins anew; its
/// kills come sooner then.
fn kill_again_and_again(
    seed: u64,
    at_most: Duration,
    mut command: impl FnMut() -> Command,
    is_done: impl Fn() -> bool,
    mut ended: impl FnMut(),
) -> u32 {
    let mut random = random(seed, 200);
    let (mut killed, mut begun, mut at_most_us) = (0, 0, at_most.as_micros() as u64);
    while killed < KILLS {
        assert!(begun < RUNS_MAX, "{killed} killed of {begun}");
        begun += 1;
        let mut process = command().spawn().unwrap();
        thread::sleep(Duration::from_micros(random.next_u64() % at_most_us));
        process.kill().unwrap();
        let status = process.wait().unwrap();
        assert!(status.success() || status.code().is_none(), "it ended by itself: {status}");
        killed += u32::from(!status.success());
        if status.success() || is_done() {
            ended();
            at_most_us = at_most_us * 7 / 8 + 1;
        }
    }
    assert!(command().status().unwrap().success());
    ended();
    killed
}

fn restoration(seed: u64) -> u32 {
    let disk = disk();
    let drill = Drill::new(disk.path());
    let judge = || {
        assert_eq!(rows(&drill.data()), drill.expected);
        fs::remove_dir_all(drill.data()).unwrap();
    };
    // It gets its name as the last thing, and what has one is not made again.
    kill_again_and_again(
        seed,
        COMMAND_MAX,
        || drill.restore(),
        || drill.data().join("db").exists(),
        judge,
    )
}

fn export(seed: u64) -> u32 {
    let disk = disk();
    let drill = Drill::new(disk.path());
    let judge = || {
        let restored = drill.folder.join("restored");
        fs::create_dir_all(&restored).unwrap();
        run(Command::new(programs().driver).arg("restore").args([&drill.data(), &restored]));
        assert_eq!(rows(&restored), drill.expected);
        [restored, drill.data()].iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
    };
    kill_again_and_again(seed, COMMAND_MAX, || drill.copy(&["archive", "export"]), || false, judge)
}

fn backup(seed: u64) -> u32 {
    let disk = disk();
    let drill = Drill::new(disk.path());
    let expected = chain(&drill.made(), None);
    // It says when it was taken, and has else what the original has.
    let judge = || {
        assert_eq!(chain(&drill.data(), None), expected);
        fs::remove_dir_all(drill.data()).unwrap();
    };
    let command = || drill.copy(&["db", "backup"]);
    // As with a restoration.
    kill_again_and_again(seed, COMMAND_MAX, command, || drill.data().join("db").exists(), judge)
}

fn compaction(seed: u64) -> u32 {
    let disk = disk();
    let drill = Drill::new(disk.path());
    let expected = rows(&drill.made());
    let command = || {
        let mut command = Drill::command(&["db", "compact", "--data-dir"]);
        command.arg(drill.made());
        command
    };
    let judge = || assert_eq!(rows(&drill.made()), expected);
    kill_again_and_again(seed, COMMAND_MAX, command, || false, judge)
}

/// Down to schema 2 and back up, in turn.
fn migration(seed: u64) -> u32 {
    let disk = disk();
    let data = disk.path().join("data");
    run(Command::new(programs().driver).args(["prepare", MOVED]).arg(&data));
    let migrate = |schema: &str| {
        let mut command = Drill::command(&["db", "migrate", "--to", schema, "--data-dir"]);
        command.arg(&data);
        command
    };
    // What was migrated stays beside, under a name that the way back wants.
    let forget =
        |schema: &str| fs::remove_dir_all(data.join(format!("db.schema-{schema}"))).unwrap();
    for (from, to) in [("3", "2"), ("2", "3")] {
        assert!(migrate(to).status().unwrap().success());
        forget(from);
    }
    let expected = rows(&data);
    let way = Cell::new(("3", "2"));
    let judge = || {
        let (from, to) = way.replace((way.get().1, way.get().0));
        forget(from);
        assert!(to == "2" || rows(&data) == expected, "other rows at schema {to}");
    };
    kill_again_and_again(seed, COMMAND_MAX, || migrate(way.get().1), || false, judge)
}

/// Of more rows than one commit takes.
fn repairing(seed: u64) -> u32 {
    let disk = disk();
    let data = disk.path().join("data");
    run(Command::new(programs().driver).args(["prepare", WIDE]).arg(&data));
    let expected = rows(&data);
    let command = || {
        let mut command = Drill::command(&["db", "repair", "--apply", "--data-dir"]);
        command.arg(&data);
        command
    };
    let damaged = || damage(&data.join("db"), 1).unwrap();
    damaged();
    let begun = Instant::now();
    let said = run(command().stdout(Stdio::piped()));
    assert!(said.contains(" commits, ") && !said.contains(" in 1 commits"), "{said}");
    let at_most = begun.elapsed();
    let judge = || {
        assert_eq!(rows(&data), expected);
        damaged();
    };
    judge();
    kill_again_and_again(seed, at_most, command, || false, judge)
}

fn pruning(seed: u64) -> u32 {
    let disk = disk();
    let drill = Drill::new(disk.path());
    let [database, whole] = [drill.made().join("db"), drill.folder.join("whole.dat")];
    let file = database.join("mdbx.dat");
    fs::copy(&file, &whole).unwrap();
    let command = || {
        let mut command = Drill::command(&["db", "prune", "--mode", "light", "--apply"]);
        command.arg("--data-dir").arg(drill.made());
        command
    };
    let begin_anew = || {
        fs::remove_dir_all(&database).unwrap();
        fs::create_dir(&database).unwrap();
        fs::copy(&whole, &file).unwrap();
    };
    let before = rows(&drill.made());
    assert!(command().status().unwrap().success());
    let expected = rows(&drill.made());
    assert_ne!(expected, before, "it deletes something");
    begin_anew();
    let judge = || {
        check(&drill.made());
        assert_eq!(rows(&drill.made()), expected);
        begin_anew();
    };
    kill_again_and_again(seed, COMMAND_MAX, command, || false, judge)
}

/// A process that is killed and started again, and what all its lives said.
struct Victim<'a> {
    command: Box<dyn Fn() -> Command + 'a>,
    log: PathBuf,
    process: Option<Child>,
    /// The highest head that it told. A node that is late for its slots may fork, so a later head may be lower.
    head_slot: u64,
    /// The newest finalized slot that it told.
    finalized: u64,
    /// Blocks that it said were imported, by their roots.
    imported: Vec<String>,
    /// Lives that told the head they began with.
    resumed: u32,
    /// What was signed for each slot: votes and blocks.
    signed: BTreeMap<u64, (u64, u64)>,
}

impl<'a> Victim<'a> {
    fn new(log: PathBuf, command: impl Fn() -> Command + 'a) -> Self {
        Self {
            command: Box::new(command),
            log,
            process: None,
            head_slot: 0,
            finalized: 0,
            imported: Vec::new(),
            resumed: 0,
            signed: BTreeMap::new(),
        }
    }

    fn live(&mut self) {
        if self.process.is_none() {
            let log = File::create(&self.log).unwrap();
            self.process = Some((self.command)().stderr(log).spawn().unwrap());
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The highest number of this name in this life's lines.
    fn told(&self, name: &str) -> Option<u64> {
        self.said().lines().filter_map(|line| field(line, name)?.parse().ok()).max()
    }

    /// Ends this life, and reads what it said: it began with all that the lives before had told.
    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        let ended = process.try_wait().unwrap();
        assert_eq!(ended, None, "it ended by itself: {}", self.said());
        process.kill().unwrap();
        process.wait().unwrap();
        self.read();
    }

    /// Ends this life in order.
    fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        drop(process.stdin.take());
        let status = process.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said());
        self.read();
    }

    fn read(&mut self) {
        let said = self.said();
        let number = |line, name| field(line, name)?.parse::<u64>().ok();
        let first = |name| said.lines().find_map(|line| number(line, name));
        self.resumed += u32::from(first("head_slot").is_some());
        if let Some(found) = first("finalized") {
            assert!(found >= self.finalized, "{found} < {}: {said}", self.finalized);
        }
        self.head_slot = self.head_slot.max(self.told("head_slot").unwrap_or(0));
        self.finalized = self.finalized.max(self.told("finalized").unwrap_or(0));
        let roots = said.lines().filter(|line| line.contains(" Block imported "));
        self.imported.extend(roots.filter_map(|line| field(line, "block_root")).map(str::to_owned));
        for line in said.lines() {
            let Some(slot) = number(line, "slot") else { continue };
            let (votes, blocks) = self.signed.entry(slot).or_default();
            if line.contains(" Attested ") {
                *votes += number(line, "validators").unwrap();
            } else if line.contains(" Block imported ") {
                *blocks += 1;
            }
            assert!(*votes <= VALIDATORS && *blocks <= 1, "slot {slot} signed twice: {line}");
        }
    }

    fn wait(&self, what: &str, name: &str, least: u64) {
        let begun = Instant::now();
        while self.told(name) < Some(least) {
            assert!(begun.elapsed() < PATIENCE, "{what}, {name} {least}: {}", self.said());
            thread::sleep(Duration::from_millis(SLOT_MS / 8));
        }
    }
}

impl Drop for Victim<'_> {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A node with every validator, which ships what it finalizes, and a follower of that: whatever a kill leaves, the next life
/// of each begins with all that was told, no slot is signed twice, and in the end both have one chain. With every other seed
/// the node commits lazily.
fn node(seed: u64) -> u32 {
    let disk = disk();
    let mut random = random(seed, 201);
    let lone = Lone::make(disk.path(), NetworkPlan::of(KEY_SLOTS));
    let (archive, followed) = (lone.root.join("archive"), disk.path().join("followed"));
    fs::create_dir(&archive).unwrap();
    let mut node = Victim::new(disk.path().join("node.log"), || {
        let mut command = Command::new(programs().lamella);
        lone.node(&mut command, &["--no-api", "--archive"]).arg(&archive);
        command.args((seed % 2 == 1).then_some("--lazy-commits"));
        command
    });
    let mut follower = Victim::new(disk.path().join("follower.log"), || {
        let mut command = Command::new(programs().lamella);
        command
            .args(["follow", "--api-port", "0", "--exit-with-parent", "--slot-ms"])
            .args([&SLOT_MS.to_string(), "--from"])
            .arg(&archive)
            .arg("--data-dir")
            .arg(&followed)
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        command
    });
    for _ in 0..NODE_KILLS {
        [&mut node, &mut follower].into_iter().for_each(Victim::live);
        thread::sleep(Duration::from_millis(random.next_u64() % LIFE_MS_MAX));
        if random.next_u64().is_multiple_of(2) { node.kill() } else { follower.kill() }
    }
    [&mut node, &mut follower].into_iter().for_each(Victim::live);
    let goal = node.head_slot + 1;
    node.wait("it finalizes", "finalized", goal);
    follower.wait("it follows", "head_slot", goal);
    [&mut node, &mut follower].into_iter().for_each(Victim::stop);
    assert!(node.resumed > NODE_KILLS / 8, "{} of its kills came late enough", node.resumed);
    let data = lone.root.join("data");
    assert_eq!(chain(&data, Some(goal)), chain(&followed, Some(goal)));
    assert!(!node.imported.is_empty());
    let stored = ReadOnlyChain::open(&database_path(&data)).unwrap();
    let txn = stored.database().read().unwrap();
    for root in &node.imported {
        let slot = txn.get::<Slots>(&root.parse().unwrap()).unwrap();
        assert!(slot.is_some(), "{root} was imported, and is not there");
    }
    NODE_KILLS + restoration_up_to_an_object(seed, disk.path(), &archive)
}

/// What a node had told with the last object of its tail, in a directory again.
fn restoration_up_to_an_object(seed: u64, folder: &Path, archive: &Path) -> u32 {
    let number = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
    let last = tail_objects(archive).max_by_key(|path| number(path)).unwrap();
    let writer = last.parent().unwrap().file_name().unwrap();
    let command = |data: &Path| {
        let mut command = Drill::command(&["archive", "restore", "--slot-ms"]);
        command.arg(SLOT_MS.to_string()).arg("--seq").arg(number(&last).unwrap().to_string());
        command.arg("--writer").arg(writer).arg("--from").arg(archive).arg("--data-dir").arg(data);
        command
    };
    let [data, reference] = ["again", "reference"].map(|name| folder.join(name));
    assert!(command(&reference).status().unwrap().success());
    let expected = rows(&reference);
    let judge = || {
        check(&data);
        assert_eq!(rows(&data), expected);
        fs::remove_dir_all(&data).unwrap();
    };
    kill_again_and_again(seed, COMMAND_MAX, || command(&data), || data.join("db").exists(), judge)
}
