//! A log that cannot be written: nobody reads it, nobody is there, or its disk is full. The node goes on.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Error, ErrorKind, Write, pipe},
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
};

use crate::{
    node::{BINARY, get, network},
    wait::until,
};

/// More than a pipe holds.
const FILL_BYTES: usize = 1 << 20;

/// A node of a network of its own, whose API is at `address`.
struct Unheard {
    process: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Unheard {
    fn start(log: Stdio) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (net, data) = (directory.path().join("net"), directory.path().join("data"));
        network(&net);
        // Free a moment ago; the log that would tell of a free one may not be heard.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = Command::new(BINARY)
            .args(["node", "--node-id", "lamella_0", "--exit-with-parent"])
            .args(["--gossipsub-port", "0", "--metrics-port", "0"])
            .args(["--api-port", &address.port().to_string()])
            .arg("--network-dir")
            .arg(net)
            .arg("--data-dir")
            .arg(data)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, address: address.to_string(), _directory: directory }
    }

    /// Waits until the node has imported blocks of so many more slots.
    fn advances(&mut self, slots: u64) {
        let from = until("the API answers", || self.head_slot());
        until("its head advances", || self.head_slot().filter(|slot| *slot >= from + slots));
    }

    fn head_slot(&mut self) -> Option<u64> {
        assert_eq!(self.process.try_wait().unwrap(), None, "the node ended");
        std::net::TcpStream::connect(&self.address).ok()?;
        let (_, metrics) = get(&self.address, "/metrics");
        let metrics = String::from_utf8(metrics).unwrap();
        metrics.lines().find_map(|line| line.strip_prefix("lean_head_slot "))?.parse().ok()
    }

    /// Ends in order, and soon.
    fn stops(mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = until("the node ends", || self.process.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_node_goes_on_behind_a_pipe_that_nobody_reads() {
    // Symptom: the node stood still for as long as nobody read its log, and no signal ended it.
    // Mechanism: the consensus thread wrote each line to stderr itself, and a full pipe holds a writer back.
    // Fix: lines wait in a bounded queue for a thread that only writes.
    let (reader, mut writer) = pipe().unwrap();
    let mut node = Unheard::start(writer.try_clone().unwrap().into());
    node.advances(1);
    // Whatever room the pipe has is taken.
    let filler = thread::spawn(move || -> Error {
        let filling = vec![b'\n'; FILL_BYTES];
        loop {
            if let Err(error) = writer.write_all(&filling) {
                return error;
            }
        }
    });
    node.advances(8);
    assert!(!filler.is_finished(), "the pipe was full all the time");
    let last = node.head_slot().unwrap();

    // Read again, it has every line.
    let imported = format!(" slot={last} block_root=");
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("Block imported") && line.contains(&imported)));
    // And a node that nobody reads ends when it is told to.
    assert!(!filler.is_finished());
    node.stops();
    drop(lines);
    assert_eq!(filler.join().unwrap().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_node_goes_on_when_its_log_has_no_room_or_no_reader() {
    // Symptom: log and data on one full disk, or a log reader that ended, and the node was gone: "failed printing to
    // stderr". Mechanism: what could not be logged was told of on stderr, which panics where that cannot be written.
    // Fix: a line that cannot be written is lost and counted.
    let full: File = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    for log in [Stdio::from(full), Stdio::from(writer)] {
        let mut node = Unheard::start(log);
        node.advances(3);
        // And whoever reads the metrics knows.
        until("lost lines are counted", || {
            let (_, metrics) = get(&node.address, "/metrics");
            let metrics = String::from_utf8(metrics).unwrap();
            let lost =
                metrics.lines().find_map(|line| line.strip_prefix("lean_log_lost_lines_total "));
            lost.filter(|lost| *lost != "0").map(drop)
        });
        node.stops();
    }
}

#[test]
fn a_tool_whose_reader_has_seen_enough_ends_quietly() {
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut node = crate::node::Node::start(&net, &data);
    node.wait_for(|line| line.contains("Block imported"));
    node.kill();
    let tools: [&[&str]; 6] = [
        &["info"],
        &["stats", "--json"],
        &["verify"],
        &["get", "state", "head"],
        &["get", "state", "head", "--ssz", "-"],
        &["inspect", "Headers"],
    ];
    for tool in tools {
        let run = |stdout: Stdio| {
            let mut command = Command::new(BINARY);
            command.arg("db").args(tool).arg("--data-dir").arg(&data);
            command.stdout(stdout).output().unwrap()
        };
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let ended = run(writer.into());
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), said.as_str()), (Some(0), ""), "{tool:?}");

        // Output that is lost for want of room is a failure, and is told.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = run(full.into());
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{tool:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains("No space"), "{tool:?}: {said}");
    }
}
