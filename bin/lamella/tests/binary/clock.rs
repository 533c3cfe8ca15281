//! Clocks that were ahead, are set back, leap and stand still, under the real binary.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command, thread, time::Duration};

use serde_json::Value;

use crate::{
    node::{Node, configure, field, get, head_slot, network},
    wait::until,
};

/// Milliseconds of a slot of these nodes.
const SLOT_MS: i64 = 400;

/// A node of one whose clock the test sets.
struct Drill {
    _directory: tempfile::TempDir,
    net: PathBuf,
    data: PathBuf,
    skew: PathBuf,
    /// Slots in which its validators voted, by what it logged.
    voted: BTreeSet<u64>,
}

impl Drill {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let drill = Self {
            net: path("net"),
            data: path("data"),
            skew: path("skew"),
            voted: BTreeSet::new(),
            _directory: directory,
        };
        network(&drill.net);
        drill
    }

    /// Sets the clock so many slots ahead of the right time.
    fn set_ahead(&self, slots: i64) {
        // Whole in one step: the node reads it at any moment.
        let new = self.skew.with_extension("new");
        fs::write(&new, (slots * SLOT_MS).to_string()).unwrap();
        fs::rename(new, &self.skew).unwrap();
    }

    /// Starts the node; where its API is.
    fn start(&self) -> (Node, String) {
        let flags = ["--clock-skew-file", self.skew.to_str().unwrap()];
        let mut node = Node::start_as("lamella_0", &self.net, &self.data, &flags);
        let line = node.wait_for(|line| line.contains("HTTP API listening"));
        (node, field(&line, "api").unwrap().to_owned())
    }

    /// Waits for a vote after this slot. No slot may be voted for twice.
    fn vote_after(&mut self, node: &mut Node, slot: u64) -> u64 {
        let mut found = 0;
        node.wait_for(|line| {
            found = self.count(line).unwrap_or(0);
            found > slot
        });
        found
    }

    fn count(&mut self, line: &str) -> Option<u64> {
        let is_vote = line.contains(" Attested ") && field(line, "validators") != Some("0");
        let slot = is_vote.then(|| field(line, "slot")?.parse().ok())??;
        assert!(self.voted.insert(slot), "slot {slot} was signed twice: {line}");
        Some(slot)
    }

    fn kill(&mut self, mut node: Node) {
        for line in node.kill() {
            self.count(&line);
        }
    }
}

/// What readiness says of one thing: whether it is so, and why.
fn ready(address: &str, what: &str) -> (bool, String) {
    let (_, body) = get(address, "/lean/v0/node/ready");
    let body: Value = serde_json::from_slice(&body).unwrap();
    let check = &body[what];
    (check["is_ok"].as_bool().unwrap(), check["reason"].as_str().unwrap().to_owned())
}

fn ticks(address: &str) -> u64 {
    let (_, metrics) = get(address, "/metrics");
    let metrics = String::from_utf8(metrics).unwrap();
    let name = "lean_tick_interval_duration_seconds_count ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
}

/// Symptom: a node that was started once with a clock ahead did nothing for as long as it was ahead, across restarts,
/// without a line in the log, and was healthy.
/// Mechanism: the stored time only went forward, and the node waited for the interval after it.
/// Fix: a stored time after the clock's is said and forgotten; only the sign guard remembers what was signed.
#[test]
fn a_node_once_started_with_a_clock_ahead_goes_on_with_the_right_one() {
    let mut drill = Drill::new();
    drill.set_ahead(40);
    let (mut node, _) = drill.start();
    node.wait_for(|line| {
        drill.count(line);
        head_slot(line) > Some(40)
    });
    let ahead = drill.vote_after(&mut node, 40);
    drill.kill(node);

    drill.set_ahead(0);
    let (mut node, address) = drill.start();
    node.wait_for(|line| line.contains("The stored time is ahead of the clock"));
    let line = node.wait_for(|line| line.contains("The head is ahead of the clock"));
    assert!(field(&line, "head_slot").unwrap().parse::<u64>().unwrap() >= 40, "{line}");
    // It ticks, and readiness says what is wrong.
    until("it ticks", || (ticks(&address) > 8).then_some(()));
    until("readiness says so", || ready(&address, "ticks").0.then_some(()));
    let (is_ok, reason) = ready(&address, "clock");
    assert!(!is_ok && reason.contains("one of them is wrong"), "{reason}");
    // And when the clock is where it was, so are the duties: nothing is signed twice.
    drill.vote_after(&mut node, ahead);
    until("it is ready", || ready(&address, "clock").0.then_some(()));
    drill.kill(node);
}

/// Symptom: a clock an hour behind at the start made the node sleep an hour, though it was set right a second later; one
/// set back while the node ran froze it for as long.
/// Mechanism: the loop waited in one go for an interval that the first reading of the clock put far away.
/// Fix: the clock is looked at every second at least, and followed back as well.
#[test]
fn a_clock_that_is_set_while_the_node_runs_is_followed_and_said() {
    let mut drill = Drill::new();
    drill.set_ahead(-9_000);
    let (mut node, address) = drill.start();
    node.wait_for(|line| line.contains("Waiting for genesis"));
    drill.set_ahead(0);
    let first = drill.vote_after(&mut node, 0);

    // Forward: the slots between are lost, and said to be.
    drill.set_ahead(25);
    let line = node.wait_for(|line| {
        drill.count(line);
        line.contains("Slots have passed unlived")
    });
    assert!(line.contains("set forward"), "{line}");
    assert!(field(&line, "slots").unwrap().parse::<u64>().unwrap() >= 20, "{line}");
    let ahead = drill.vote_after(&mut node, first + 20);

    // Back: said, ticking at once, and signing where nothing was signed.
    drill.set_ahead(0);
    node.wait_for(|line| {
        drill.count(line);
        line.contains("The clock was set back")
    });
    let before = ticks(&address);
    until("it ticks", || (ticks(&address) > before + 8).then_some(()));
    until("readiness says so", || ready(&address, "ticks").0.then_some(()));
    drill.vote_after(&mut node, ahead);
    let (_, metrics) = get(&address, "/metrics");
    let metrics = String::from_utf8(metrics).unwrap();
    for direction in ["back", "forward"] {
        let name = format!("lean_clock_leaps_total{{direction=\"{direction}\"}} ");
        let leaps = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        assert_ne!(leaps, "0", "{direction}");
    }
    drill.kill(node);
}

#[test]
fn a_node_that_slept_says_so_and_goes_on() {
    let mut drill = Drill::new();
    drill.set_ahead(0);
    let (mut node, address) = drill.start();
    let before = drill.vote_after(&mut node, 1);
    let signal = |name: &str| {
        let id = node.process.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    signal("-STOP");
    // The sleep itself: ten slots.
    thread::sleep(Duration::from_secs(4));
    signal("-CONT");
    let line = node.wait_for(|line| {
        drill.count(line);
        line.contains("Slots have passed unlived")
    });
    assert!(line.contains("the process was stopped"), "{line}");
    drill.vote_after(&mut node, before + 8);
    until("readiness says so", || ready(&address, "ticks").0.then_some(()));
    drill.kill(node);
}

/// The slot length belongs to the network: its files say it, a flag may only agree, and a directory remembers it, since
/// the same time is another slot by another length.
#[test]
fn another_slot_length_than_the_networks_or_the_directorys_is_refused() {
    let mut drill = Drill::new();
    drill.set_ahead(0);
    let (node, _) = drill.start();
    drill.kill(node);
    let refused = |flags: &[&str]| {
        let mut node = Node::start_as("lamella_0", &drill.net, &drill.data, flags);
        node.wait_for(|line| line.starts_with("error:"))
    };
    let line = refused(&["--slot-ms", "800"]);
    assert!(line.contains("the slots of this network have 400 ms, as"), "{line}");
    configure(&drill.net, "MILLISECONDS_PER_SLOT", 800);
    let line = refused(&["--slot-ms", "800"]);
    assert!(line.contains("its slot length in milliseconds is 400"), "{line}");
}
