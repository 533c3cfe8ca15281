//! Two nodes as processes: one has all history, the other began at a checkpoint and fetches it over HTTP.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use lamella_chain::PruneMode;
use lamella_shipping::restorer::Target;
use tempfile::TempDir;

use crate::{
    backfill::{BEGAN, assert_whole},
    grown::{SMALL_CHAIN, from_checkpoint, restore, small},
    prune::{copied, prune},
};

pub const BINARY: &str = env!("CARGO_BIN_EXE_lamella-under-archive");

/// A node whose log is read line by line. It ends with this process, however that ends.
pub struct Process {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Process {
    fn start(network: &Path, data: &TempDir, flags: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command
            .args(["node", "--node-id", "follower", "--proof-scheme", "trust"])
            .args(["--gossipsub-port", "0", "--api-port", "0", "--metrics-port", "0"])
            .args(["--bootnodes", "none", "--lazy-commits", "--genesis"])
            .arg(network)
            .arg("--data-dir")
            .arg(data.path())
            .args(flags);
        Self::spawn(command)
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .arg("--exit-with-parent")
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Asks it to stop; its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// Reads on until a line says this.
    pub fn wait_for(&mut self, wanted: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "it ended: {seen}");
            if line.contains(wanted) {
                return line;
            }
            seen += &line;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `config.yaml` of the small chain's network.
fn write_config(path: &Path) {
    let genesis = &SMALL_CHAIN.genesis;
    let mut text = format!("GENESIS_TIME: {}\nGENESIS_VALIDATORS:\n", genesis.config.genesis_time);
    for index in 0..genesis.validators.len() as u64 {
        let validator = genesis.validators.get(index).unwrap();
        let hex =
            |key: &[u8]| key.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let (attestation, proposal) =
            (hex(&validator.attestation_public_key.0), hex(&validator.proposal_public_key.0));
        writeln!(text, "  - attestation_pubkey: {attestation}\n    proposal_pubkey: {proposal}")
            .unwrap();
    }
    fs::write(path, text).unwrap();
}

pub fn lamella(arguments: &[&str], data: &TempDir) -> String {
    let mut command = Command::new(BINARY);
    let output = command.args(arguments).arg("--data-dir").arg(data.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Symptom: `lamella follow` took minutes to end after SIGTERM. Mechanism: its main thread asked a source that took the
/// connection and never answered, four times until each wait was over. Fix: what asks has a thread of its own.
///
/// Symptom: it ended with the words that there was no chain. Mechanism: what it had was known to that thread alone. Fix: it is told
/// after each step.
#[test]
fn a_follower_whose_source_never_answers_ends_when_it_is_told_to() {
    let (_folder, remote, _) = small();
    for has_begun in [false, true] {
        let data = tempfile::tempdir().unwrap();
        if has_begun {
            restore(&remote, &data.path().join("db"), Target::Finalized).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = format!("http://{}", listener.local_addr().unwrap());
        let (asks, asked) = mpsc::channel();
        thread::spawn(move || {
            // Each connection stays open, and is not answered.
            let mut open = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                open.push(stream);
                if line.contains("/lean/v0/archive") && asks.send(line).is_err() {
                    break;
                }
            }
        });
        let mut command = Command::new(BINARY);
        command.args(["follow", "--api-port", "0", "--proof-scheme", "trust", "--from", &source]);
        command.arg("--data-dir").arg(data.path());
        let said = data.path().join("said");
        command.stdout(fs::File::create(&said).unwrap());
        let process = Process::spawn(command);
        asked.recv().unwrap();
        assert_eq!(process.stop(), Some(0));
        // What it has, though it was in the midst of a step.
        let said = fs::read_to_string(said).unwrap();
        assert_eq!(said.contains("there is no chain here yet"), !has_begun, "{said}");
        assert_eq!(said.contains("; head 0x"), has_begun, "{said}");
        // Had it waited for the answer, it would have asked again.
        assert_eq!(asked.try_iter().count(), 0, "begun: {has_begun}");
    }
}

/// Killed and started again until all is there; then both directories verify and have one digest.
#[test]
fn a_node_that_began_at_a_checkpoint_holds_all_history_after_a_backfill_over_http() {
    let network = tempfile::tempdir().unwrap();
    let config = network.path().join("config.yaml");
    write_config(&config);
    let (whole, later) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    SMALL_CHAIN.copy_to(&whole.path().join("db"));
    // A copy, since this process wrote the original under lazy commits, and the engine remembers who had a file open how.
    let made = from_checkpoint(&SMALL_CHAIN, BEGAN);
    fs::create_dir(later.path().join("db")).unwrap();
    fs::copy(made.path().join("db/mdbx.dat"), later.path().join("db/mdbx.dat")).unwrap();
    let mut source = Process::start(&config, &whole, &[]);
    let url = url(&mut source);

    let before = lamella(&["db", "info"], &later);
    assert!(before.contains("slots        2040 to 2300"), "{before}");
    let verified = lamella(&["db", "verify"], &later);
    assert!(verified.contains("slots 2040 to 2300 are here; the others"), "{verified}");
    for _ in 0..3 {
        let mut node = Process::start(&config, &later, &["--history", &url]);
        node.wait_for("HTTP API listening");
    }
    let is_whole = lamella(&["db", "info"], &later).contains("slots        0 to 2300");
    let mut node = Process::start(&config, &later, &["--history", &url]);
    if !is_whole {
        node.wait_for("All history is here");
    }
    drop((node, source));
    let after = lamella(&["db", "info"], &later);
    assert!(after.contains("slots        0 to 2300"), "{after}");
    let verified = lamella(&["db", "verify"], &later);
    assert!(verified.contains(": clean") && !verified.contains("slots 0"), "{verified}");
    let checksum = ["db", "checksum", "--from", "0"];
    assert_eq!(lamella(&checksum, &later), lamella(&checksum, &whole));
    assert_whole(&later.path().join("db"));
}

/// Where a process serves its API.
fn url(process: &mut Process) -> String {
    let listening = process.wait_for("HTTP API listening");
    let (_, address) = listening.split_once(" api=").unwrap();
    format!("http://{}", address.split_whitespace().next().unwrap())
}

/// Who keeps little serves what others begin with; who wants all of its history is told that it is not there, and by whom it
/// may be.
#[test]
fn a_checkpoint_of_a_node_that_pruned_is_begun_at_and_whoever_follows_it_is_told_what_it_lacks() {
    let network = tempfile::tempdir().unwrap();
    let config = network.path().join("config.yaml");
    write_config(&config);
    for mode in [PruneMode::States(0), PruneMode::Light] {
        let (pruned, later) = (copied(&SMALL_CHAIN), tempfile::tempdir().unwrap());
        prune(&pruned.path().join("db"), mode);
        let mut source = Process::start(&config, &pruned, &[]);
        let from = url(&mut source);

        let mut node = Process::start(&config, &later, &["--checkpoint-sync-url", &from]);
        node.wait_for("HTTP API listening");
        assert_eq!(node.stop(), Some(0));
        let info = lamella(&["db", "info"], &later);
        assert!(info.contains(" to 2") && !info.contains("slots        0 to"), "{mode}: {info}");
        assert!(lamella(&["db", "verify"], &later).contains(": clean"));

        let following = tempfile::tempdir().unwrap();
        let mut command = Command::new(BINARY);
        command.args(["follow", "--proof-scheme", "trust", "--api-port", "0", "--from", &from]);
        let ended = command.arg("--data-dir").arg(following.path()).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{mode}: {said}");
        assert!(said.contains("slots 1024 to 2300 with their states"), "{mode}: {said}");
        assert!(said.contains("ask a node that began earlier and keeps all"), "{mode}: {said}");
    }
}
