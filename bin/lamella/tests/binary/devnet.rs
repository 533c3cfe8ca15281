//! `lamella devnet` as a user meets it: it runs, judges, goes on, and leaves no process behind.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::Value;

use crate::wait::{Lines, PATIENCE, output, until as wait_until};

/// One network at a time: another one would take a port as soon as its owner lets go of it.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn command(dir: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lamella"));
    command.args(["devnet", "--dir"]).arg(dir).args(flags).env_remove("RUST_LOG");
    command
}

fn run(dir: &Path, flags: &[&str]) -> Output {
    output(&mut command(dir, flags))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A new network whose keys last a few minutes.
const NEW: [&str; 10] = [
    "--nodes",
    "1",
    "--validators",
    "1",
    "--slot-ms",
    "400",
    "--slots",
    "300",
    "--key-slots",
    "400",
];

/// A run whose JSON lines are read.
struct Running {
    process: Child,
    lines: Lines,
    errors: Lines,
}

impl Running {
    fn start(dir: &Path, flags: &[&str]) -> Self {
        let mut process = command(dir, flags)
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(process.stdout.take().unwrap());
        let errors = Lines::of(process.stderr.take().unwrap());
        Self { process, lines, errors }
    }

    fn line(&mut self) -> Value {
        let line = self.lines.next_before(Instant::now() + PATIENCE).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn signal(id: u64, signal: &str) {
        let sent = Command::new("kill").args([signal, &id.to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; also what it said on standard error.
    fn end(&mut self) -> (ExitStatus, String) {
        let status = wait_until("the run ends", || self.process.try_wait().unwrap());
        (status, self.errors.rest().join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until nobody listens where the node was.
fn is_gone(line: &Value) {
    let url = line["nodes"][0]["url"].as_str().unwrap().to_owned();
    let address = url.strip_prefix("http://").unwrap().to_owned();
    wait_until("the node is gone", || TcpStream::connect(&address).is_err().then_some(()));
}

#[test]
fn a_run_is_judged_goes_on_and_refuses_other_flags() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--nodes", "1", "--validators", "1", "--slot-ms", "1000", "--json"];
    let archive = tempfile::tempdir().unwrap();
    let url = archive.path().to_str().unwrap();
    let new = ["--slots", "12", "--seed", "7", "--key-slots", "400", "--archive", url];
    let first = run(dir.path(), &[&flags[..], &new].concat());
    assert_eq!(first.status.code(), Some(0), "{}{}", text(&first.stdout), text(&first.stderr));
    let lines: Vec<Value> =
        text(&first.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (verdict, slots) = lines.split_last().unwrap();
    let slots: Vec<_> = slots.iter().map(|line| line["slot"].as_u64().unwrap()).collect();
    assert!(slots.is_sorted() && slots.len() >= 6 && slots.last() >= Some(&12), "{slots:?}");
    let verdict = &verdict["verdict"];
    assert_eq!(verdict["passed"], true);
    let checks: Vec<_> =
        verdict["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    assert_eq!(
        checks,
        ["agreement", "finality", "distance", "states", "stop", "databases", "checksum"]
    );
    // Its node told the archive what it imported.
    let listed = Command::new(env!("CARGO_BIN_EXE_lamella"))
        .args(["archive", "ls", "--json", url])
        .output()
        .unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let objects = listed["objects"].as_array().unwrap();
    let told = objects.iter().filter(|object| object["kind"] == "tail").count();
    assert!(told >= 3, "{listed}");

    // What is not asked for is as it was.
    let again = run(dir.path(), &["--slots", "3"]);
    assert_eq!(again.status.code(), Some(0), "{}{}", text(&again.stdout), text(&again.stderr));
    assert!(text(&again.stdout).contains("going on at slot "), "{}", text(&again.stdout));
    let log = fs::read_to_string(dir.path().join("logs/lamella_0.log")).unwrap();
    assert!(log.contains("a chain, resumed"), "{log}");

    for (flags, said) in [
        (["--nodes", "2"], "--nodes 1, not 2; leave --nodes out"),
        (["--slot-ms", "500"], "--slot-ms 1000, not 500"),
        (["--slots", "2000"], "sign up to slot 399, and this run ends at slot"),
    ] {
        let refused = run(dir.path(), &flags);
        assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(2), ""));
        assert!(text(&refused.stderr).contains(said), "{}", text(&refused.stderr));
    }
}

/// Everything that peers have done to nodes, at once: each of it once cost memory, finality, or an honest peer.
#[test]
fn strangers_and_a_third_that_comes_and_goes_cost_nobody_else_a_duty() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let network = ["--nodes", "3", "--validators", "3", "--slot-ms", "1000", "--slots", "42"];
    let ended = run(dir.path(), &[&network[..], &["--hostile", "--churn", "--json"]].concat());
    let said = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(0), "{said}{}", text(&ended.stderr));
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (verdict, slots) = lines.split_last().unwrap();
    let here = |line: &Value| line["nodes"].as_array().unwrap().len();
    let here: Vec<_> = slots.iter().map(here).collect();
    assert!(here.contains(&2) && here.last() == Some(&3), "{here:?}");
    let checks = verdict["verdict"]["checks"].as_array().unwrap();
    for name in ["duties", "attack", "memory", "bans"] {
        assert!(checks.iter().any(|check| check["name"] == name), "{name}");
    }
}

#[test]
fn a_run_without_end_ends_with_its_keys() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--nodes", "1", "--validators", "1", "--slot-ms", "400", "--key-slots", "6"];
    for flags in [&flags[..], &[]] {
        let ended = run(dir.path(), flags);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains("sign up to slot 5, and it is slot "), "{said}");
        assert!(said.contains("; delete "), "{said}");
    }
}

#[test]
fn a_folder_that_is_refused_is_left_as_it_is() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new");
    for flags in [
        &["--nodes", "0"][..],
        &["--validators", "0"],
        &["--key-slots", "0"],
        &["--churn", "--nodes", "2"],
    ] {
        let refused = run(&new, flags);
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(flags[0]), "{}", text(&refused.stderr));
        assert!(!new.exists());
    }

    fs::write(dir.path().join("config.yaml"), "GENESIS_TIME: 1\n").unwrap();
    let refused = run(dir.path(), &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("did not make"), "{}", text(&refused.stderr));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn no_node_outlives_the_run_however_it_ends() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    for (flags, signal, code) in
        [(&NEW[..], "-TERM", Some(130)), (&[], "-INT", Some(0)), (&[], "-KILL", None)]
    {
        let mut running = Running::start(dir.path(), flags);
        let line = running.line();
        let busy = run(dir.path(), &[]);
        assert_eq!(busy.status.code(), Some(1));
        assert!(text(&busy.stderr).contains("another `lamella devnet`"), "{}", text(&busy.stderr));
        Running::signal(running.process.id().into(), signal);
        let (status, said) = running.end();
        assert_eq!(status.code(), code, "{signal}: {said}");
        is_gone(&line);
    }
}

#[test]
fn a_node_that_dies_ends_the_run_and_its_log_is_shown() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(dir.path(), &NEW);
    let line = running.line();
    Running::signal(line["nodes"][0]["pid"].as_u64().unwrap(), "-KILL");
    let (status, said) = running.end();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("lamella_0 ended by itself (signal: 9"), "{said}");
    let last: Value = serde_json::from_str(running.lines.rest().last().unwrap()).unwrap();
    assert_eq!(last["failed_node"], "lamella_0");
    assert!(!last["last_lines"].as_array().unwrap().is_empty());
}

#[test]
fn a_signal_ends_it_while_keys_are_made_and_while_nodes_start() {
    let _turn = turn();
    // Symptom: Ctrl-C did nothing before the first slot, since only the watching read what the handler was told.
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // Keys for so many validators take hours.
    let endless = ["--nodes", "1", "--validators", "4096", "--slots", "300"];
    for (dir, (flags, signal, code)) in
        dirs.iter().zip([(&endless[..4], "-TERM", 0), (&endless[..], "-INT", 130)])
    {
        let mut running = Running::start(dir.path(), flags);
        let begun = dir.path().join(".lamella-genesis-unfinished");
        wait_until("keys are made", || begun.exists().then_some(()));
        Running::signal(running.process.id().into(), signal);
        let (status, said) = running.end();
        assert_eq!(status.code(), Some(code), "{signal}: {said}");
    }

    // What is left of the keys is made anew.
    let dir = dirs[1].path();
    let mut running = Running::start(dir, &NEW);
    let log = dir.join("logs/lamella_0.log");
    wait_until("the node starts", || log.exists().then_some(()));
    Running::signal(running.process.id().into(), "-INT");
    let (status, said) = running.end();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("stopped by a signal before the slots"), "{said}");

    // No node is left: it would have its port and its directory.
    let again = run(dir, &["--slots", "3"]);
    assert_eq!(again.status.code(), Some(0), "{}{}", text(&again.stdout), text(&again.stderr));
}
