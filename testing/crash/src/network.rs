//! A node of its own network, recorded: one node with every validator, so that blocks, votes and finality need nobody
//! else, and every line of its log is about what it did itself.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lamella_network_dir::genesis::{GenesisOptions, create};

use crate::{
    campaign::{Campaign, Promise, field, walk},
    enumerate::{Choice, image},
    judge::{Request, Subject},
    record::Recorder,
    trace::Event,
    workers::Worker,
};

/// Validators of the node.
pub const VALIDATORS: u64 = 2;

/// Milliseconds of a slot: two flushes and a signature take a few of them.
pub const SLOT_MS: u64 = 400;

/// Slots that the keys sign.
const KEY_SLOTS: u64 = 256;

/// How a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it does by itself.
    Durable,
    /// With `--lazy-commits`.
    Lazy,
    /// With `--archive`, into a folder that is not there yet. No segment is sealed in so few slots: what proves them is shipped.
    Archiving,
}

/// Programs of this package.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The node.
    pub lamella: PathBuf,
    /// What drives scenarios and judges images.
    pub driver: PathBuf,
}

/// A network of one node.
#[derive(Debug)]
pub struct Lone {
    network: PathBuf,
    /// The node's folder: its keys, and where it runs its data, and its archive if it has one.
    pub root: PathBuf,
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
}

impl Lone {
    /// Makes keys that sign so many slots, and genesis in a moment.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn make(folder: &Path, key_slots: u64) -> Self {
        let (network, root) = (folder.join("network"), folder.join("root"));
        let options = GenesisOptions {
            nodes: 1,
            validators: VALIDATORS,
            out: network.clone(),
            genesis_time: None,
            lead_s: 2,
            ports: None,
            key_slots,
            slot_ms: SLOT_MS,
        };
        let genesis_time = create(&options, &|_| {}).unwrap().genesis_time;
        fs::create_dir_all(&root).unwrap();
        fs::rename(network.join("hash-sig-keys"), root.join("keys")).unwrap();
        Self { network, root, genesis_time }
    }

    /// Makes a command one that runs its node, which ends with its standard input.
    pub fn node<'a>(&self, command: &'a mut Command, kind: Kind) -> &'a mut Command {
        command
            .args(["node", "--node-id", "lamella_0", "--no-api", "--gossipsub-port", "0"])
            .args(["--gossipsub-address", "127.0.0.1", "--exit-with-parent"])
            .args(["--slot-ms", &SLOT_MS.to_string(), "--network-dir"])
            .arg(&self.network)
            .arg("--hash-sig-keys-dir")
            .arg(self.root.join("keys"))
            .arg("--data-dir")
            .arg(self.root.join("data"))
            .args((kind == Kind::Lazy).then_some("--lazy-commits"))
            .args((kind == Kind::Archiving).then_some("--archive"))
            .args((kind == Kind::Archiving).then(|| self.root.join("archive")))
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
    }
}

/// Records a node from its first start until its head is at this slot and it was stopped in order.
///
/// # Panics
/// When it does not get there.
#[must_use]
pub fn node(
    name: &str,
    programs: &Programs,
    folder: &Path,
    until_slot: u64,
    kind: Kind,
) -> Campaign {
    let is_lazy = kind == Kind::Lazy;
    let lone = Lone::make(folder, KEY_SLOTS);
    let recorder = Recorder::begin(&lone.root, &folder.join("strace.log"));
    let mut command = recorder.command(&programs.lamella);
    lone.node(&mut command, kind).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        let head = field(&line, "head_slot").and_then(|slot| slot.parse::<u64>().ok());
        if head >= Some(until_slot) {
            // Closing its standard input stops it.
            stdin = None;
        }
    }
    assert!(child.wait().unwrap().success() && stdin.is_none(), "it did not get to {until_slot}");

    let subject = Subject::Node {
        config: lone.network.join("config.yaml"),
        slot_ms: SLOT_MS,
        is_lazy,
        guard: format!("sign-guard-lamella_0-{}.txt", lone.genesis_time),
    };
    let promise =
        Promise::Node { reference: Vec::new(), is_durable: !is_lazy, validators: VALIDATORS };
    let recording = recorder.end();
    let mut campaign = Campaign { name: name.to_owned(), recording, subject, promise };
    let reference = reference(&campaign, &programs.driver, &folder.join("reference"));
    campaign.promise = Promise::Node { reference, is_durable: !is_lazy, validators: VALIDATORS };
    campaign
}

/// What all rows are before the first commit, where a start makes them, and after each: of the folder as it was when the
/// commit's last write had returned and nothing was lost.
fn reference(campaign: &Campaign, judge: &Path, folder: &Path) -> Vec<String> {
    let trace = &campaign.recording.trace;
    let mut worker = Worker::new(judge, campaign.subject.clone());
    let mut reference = Vec::new();
    walk(&campaign.recording, |at, disk| {
        let is_committed = match at.checked_sub(1).map(|last| &trace.events[last]) {
            None => true,
            Some(Event::End(number)) => trace.operations[*number].is_meta_write(),
            Some(_) => false,
        };
        if is_committed {
            image(disk, Choice::All, &campaign.recording.last, 0).write(folder);
            let request = Request { folder: folder.to_owned(), finish_from: None };
            let verdict = worker.judge(&request);
            assert_eq!(verdict.error, None, "a commit without a crash");
            reference.push(verdict.rows);
        }
        true
    });
    reference
}
