//! The node as a process: it finalizes, is killed, resumes where it was, and refuses other networks.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use lamella_chain::ReadOnlyChain;
use lamella_tables::{DutyKey, KeyKind, Read as _, SignGuard};
use lamella_types::{Decode, State, limits::CHAIN_LAST_SLOT};

use crate::wait::{Lines, PATIENCE};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_lamella");

/// A one-node network of four validators that can sign 400 slots. Its keys take seconds to make, and are made once.
static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-node-network");
    if root.exists() {
        fs::remove_dir_all(&root).unwrap();
    }
    let mut command = Command::new(BINARY);
    let out = command
        .args(["genesis", "--key-slots", "400", "--slot-ms", "400", "--out"])
        .arg(&root)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    root
});

/// Such a network with genesis in a moment. The networks of different calls differ in their genesis time.
pub(crate) fn network(root: &Path) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    copy_folder(&MADE, root);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let unused = |last: u64| Some((now + 2).max(last + 1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, unused).unwrap();
    let genesis_time = unused(last).unwrap();
    configure(root, "GENESIS_TIME", genesis_time);
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Sets a number of the network's `config.yaml`.
pub(crate) fn configure(root: &Path, key: &str, value: u64) {
    let path = root.join("config.yaml");
    let config = fs::read_to_string(&path).unwrap();
    let lines = config.lines().map(|line| match line.split_once(": ") {
        Some((found, _)) if found == key => format!("{key}: {value}\n"),
        _ => format!("{line}\n"),
    });
    fs::write(&path, lines.collect::<String>()).unwrap();
}

pub(crate) struct Node {
    pub(crate) process: Child,
    log: Lines,
}

impl Node {
    pub(crate) fn start(network: &Path, data: &Path) -> Self {
        Self::start_with(network, data, &[])
    }

    pub(crate) fn start_with(network: &Path, data: &Path, flags: &[&str]) -> Self {
        Self::start_as("lamella_0", network, data, flags)
    }

    pub(crate) fn start_as(node_id: &str, network: &Path, data: &Path, flags: &[&str]) -> Self {
        Self::spawn(Self::command_as(node_id, network, data, flags))
    }

    /// What [`Self::start_with`] spawns.
    pub(crate) fn command(network: &Path, data: &Path, flags: &[&str]) -> Command {
        Self::command_as("lamella_0", network, data, flags)
    }

    fn command_as(node_id: &str, network: &Path, data: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(["node", "--node-id", node_id])
            .args(["--gossipsub-port", "0", "--api-port", "0", "--metrics-port", "0"])
            .arg("--network-dir")
            .arg(network)
            .arg("--data-dir")
            .arg(data)
            .args(flags);
        command
    }

    /// Runs a `lamella node` whose stderr is the log. It ends with this process, however that ends.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut process = command
            .arg("--exit-with-parent")
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Lines::of(process.stderr.take().unwrap());
        Self { process, log }
    }

    /// Reads on until a line says what is wanted; how the node ended if it did without.
    pub(crate) fn find(
        &mut self,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Result<String, ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(line) = self.log.next_before(deadline) {
            if wanted(&line) {
                return Ok(line);
            }
        }
        Err(self.process.wait().unwrap())
    }

    /// Reads on until a line says what is wanted.
    pub(crate) fn wait_for(&mut self, mut wanted: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut last = String::new();
        while let Some(line) = self.log.next_before(deadline) {
            if wanted(&line) {
                return line;
            }
            assert!(Instant::now() < deadline, "the node goes on without it; last line: {line}");
            last = line;
        }
        panic!("the node ended without it; last line: {last}");
    }

    pub(crate) fn kill(&mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.log.rest()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a log line acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Acknowledged {
    head_slot: u64,
    head: String,
    justified: u64,
    finalized: u64,
    votes: u64,
}

pub(crate) fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(" {name}="))? + name.len() + 2;
    line[start..].split_whitespace().next()
}

/// The head that a log line acknowledges.
pub(crate) fn head_slot(line: &str) -> Option<u64> {
    field(line, "head_slot")?.parse().ok()
}

fn acknowledged(line: &str) -> Option<Acknowledged> {
    let number = |name| field(line, name)?.parse().ok();
    Some(Acknowledged {
        head_slot: number("head_slot")?,
        head: field(line, "head")?.to_owned(),
        justified: number("justified")?,
        finalized: number("finalized")?,
        votes: number("votes")?,
    })
}

pub(crate) fn verify(data: &Path) {
    let chain = ReadOnlyChain::open(&data.join("db")).unwrap();
    let report =
        lamella_chain::verify(chain.database(), &mut |_| std::ops::ControlFlow::Continue(()));
    let report = report.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert!(report.check_count() > 30, "{report:?}");
}

#[test]
fn a_node_finalizes_and_resumes_where_each_kill_left_it() {
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut last: Option<Acknowledged> = None;
    for round in 0..4 {
        let mut node = Node::start(&net, &data);
        let started = node.wait_for(|line| line.contains(" Started "));
        let found = acknowledged(&started).unwrap();
        if let Some(last) = &last {
            // A commit whose line was not printed yet may be newer; nothing may be older or different.
            let newer = found.head_slot > last.head_slot || found.votes != last.votes;
            assert!(
                found == *last || newer,
                "round {round}: found {found:?}, acknowledged {last:?}"
            );
            assert!(found.finalized >= last.finalized && found.justified >= last.justified);
        }
        verify(&data);
        let mut seen = found.clone();
        let goal = found.finalized + 3;
        let mut first_slot = None;
        let reached = node.wait_for(|line| {
            acknowledged(line).is_some_and(|line| {
                let first_slot = first_slot.get_or_insert(line.head_slot);
                // Keys made slowly on a busy machine cost the first slots, not finality.
                let slots = line.head_slot - *first_slot;
                assert!(
                    round > 0 || slots <= 20 || line.finalized > 0,
                    "finality is late: {line:?}"
                );
                line.finalized >= goal
            })
        });
        let mut lines = vec![reached];
        verify(&data);
        lines.extend(node.kill());
        for line in lines {
            seen = acknowledged(&line).unwrap_or(seen);
        }
        assert!(seen.finalized > found.finalized, "round {round} finalized nothing");
        last = Some(seen);
        verify(&data);
    }
}

#[test]
fn sigterm_stops_it_cleanly() {
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut node = Node::start(&net, &data);
    node.wait_for(|line| line.contains("Block imported successfully"));
    let pid = node.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    node.wait_for(|line| line.contains("Stopped"));
    assert_eq!(node.process.wait().unwrap().code(), Some(0));
    verify(&data);
}

/// The guard's slots by key.
fn guard(data: &Path) -> Vec<u64> {
    let chain = ReadOnlyChain::open(&data.join("db")).unwrap();
    let txn = chain.database().read().unwrap();
    (0..4)
        .flat_map(|validator_index| {
            [KeyKind::Attestation, KeyKind::Proposal]
                .map(|kind| txn.get::<SignGuard>(&DutyKey { validator_index, kind }).unwrap())
        })
        .flatten()
        .collect()
}

#[test]
fn keys_whose_directory_was_deleted_sign_no_slot_that_they_may_have_signed() {
    // Symptom: lean-quickstart deletes a node's data and starts it again within the same slot. The new directory's
    // guard was empty, so both keys could sign that slot a second time.
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut node = Node::start(&net, &data);
    let attested = node.wait_for(|line| line.contains("Attested slot=3"));
    let signed = field(&attested, "slot").unwrap().parse().unwrap();
    node.kill();
    fs::remove_dir_all(&data).unwrap();

    let mut again = Node::start(&net, &data);
    again.wait_for(|line| line.contains(" Started "));
    let guard = guard(&data);
    assert_eq!(guard.len(), 8, "both keys of each validator");
    assert!(guard.iter().all(|slot| *slot >= signed), "{guard:?} after signing {signed}");
    // It takes part from the next slot on.
    let attested =
        again.wait_for(|line| line.contains("Attested") && !line.contains("validators=0"));
    assert!(field(&attested, "slot").unwrap().parse::<u64>().unwrap() > signed, "{attested}");
}

#[test]
fn a_node_at_the_end_of_its_chain_says_so_and_goes_on_serving() {
    let directory = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let chain_seconds = CHAIN_LAST_SLOT * 2 / 5; // slots of 400 ms
    let net = directory.path().join("net");
    network(&net);
    // A minute before the end and a minute after it.
    for (genesis_time, said) in [
        (now + 60 - chain_seconds, "The chain nears its last slot"),
        (now - 60 - chain_seconds, "The chain has ended"),
    ] {
        let data = directory.path().join(said);
        configure(&net, "GENESIS_TIME", genesis_time);
        let mut node = Node::start(&net, &data);
        let line = node.wait_for(|line| line.contains("HTTP API listening"));
        let address = field(&line, "api").unwrap().to_owned();
        let line = node.wait_for(|line| line.contains(said));
        assert!(line.contains("last_slot=262144"), "{line}");
        let (_, metrics) = get(&address, "/metrics");
        let metrics = String::from_utf8(metrics).unwrap();
        let left =
            metrics.lines().find_map(|line| line.strip_prefix("lean_storage_chain_slots_left "));
        let left: u64 = left.unwrap().parse().unwrap();
        // 150 slots a minute, and three for the second that rounding may add.
        assert!(left <= 153 && (left > 0) == said.contains("nears"), "{left} slots left");
        assert_eq!(get(&address, "/lean/v0/states/head").0, "HTTP/1.1 200 OK");
        let lines = node.kill();
        assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:?}");
        verify(&data);
    }
}

#[test]
fn a_directory_of_another_network_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (ours, other) = (directory.path().join("ours"), directory.path().join("other"));
    network(&ours);
    network(&other);
    let mut node = Node::start(&ours, &data);
    node.wait_for(|line| line.contains(" Started "));
    node.kill();
    let before = fs::read(data.join("db/mdbx.dat")).unwrap();
    let mut stranger = Node::start(&other, &data);
    let line = stranger.wait_for(|line| line.starts_with("error:"));
    assert!(line.contains("another network") && line.contains("--data-dir"), "{line}");
    assert_eq!(stranger.process.wait().unwrap().code(), Some(1));
    assert_eq!(fs::read(data.join("db/mdbx.dat")).unwrap(), before);
}

#[test]
fn a_second_node_on_the_same_directory_is_told_who_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut first = Node::start(&net, &data);
    first.wait_for(|line| line.contains(" Started "));
    let mut second = Node::start(&net, &data);
    let line = second.wait_for(|line| line.starts_with("error:"));
    assert!(line.contains(&format!("in use by process {}", first.process.id())), "{line}");
}

/// The status line and body of a GET.
pub(crate) fn get(address: &str, path: &str) -> (String, Vec<u8>) {
    let (head, body) = answer(address, path);
    (head.lines().next().unwrap().to_owned(), body)
}

/// The whole head, and the body, of the answer to a GET.
pub(crate) fn answer(address: &str, path: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..head].to_vec()).unwrap(), answer[head + 4..].to_vec())
}

#[test]
fn the_api_serves_what_the_running_node_has() {
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut node = Node::start(&net, &data);
    let line = node.wait_for(|line| line.contains("HTTP API listening"));
    let address = field(&line, "api").unwrap().to_owned();
    node.wait_for(|line| line.contains("Finalized slot=2"));

    let ok = "HTTP/1.1 200 OK";
    assert_eq!(get(&address, "/lean/v0/health").0, ok);
    let (status, ssz) = get(&address, "/lean/v0/states/finalized");
    assert_eq!(status, ok);
    let state = State::from_ssz(&ssz).unwrap();
    let (_, header) = get(&address, &format!("/lean/v0/headers/{}", state.slot));
    let header = String::from_utf8(header).unwrap();
    assert!(header.contains(&state.root().to_string()), "{header} is not of {}", state.root());
    let (status, metrics) = get(&address, "/metrics");
    assert_eq!(status, ok);
    let metrics = String::from_utf8(metrics).unwrap();
    for name in ["lean_head_slot", "lean_table_bytes", "lean_storage_", "lean_connected_peers"] {
        assert!(metrics.contains(name), "{name} is not in the metrics");
    }
    assert!(get(&address, "/lean/v0/states/999999").0.starts_with("HTTP/1.1 404"));
}
