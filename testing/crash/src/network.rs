//! A node of its own network, recorded: one node with every validator, so that blocks, votes and finality need nobody
//! else, and every line of its log is about what it did itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lamella_network_dir::genesis::{GenesisOptions, NodePorts, create};

use crate::{
    campaign::{Campaign, Promise, walk},
    enumerate::{Choice, image},
    judge::{Request, Subject},
    process::{field, stopped},
    record::{Recorder, Recording},
    trace::Event,
    workers::Worker,
};

/// Validators of the node.
pub const VALIDATORS: u64 = 2;

/// Milliseconds of a slot: two flushes and a signature take a few of them.
pub const SLOT_MS: u64 = 400;

/// Slots that the keys sign.
const KEY_SLOTS: u64 = 256;

/// Blocks that a node imports after a crash.
const MORE_BLOCKS: u64 = 2;

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

/// A network to make.
#[derive(Debug, Clone)]
pub struct NetworkPlan {
    /// Slots that the keys sign.
    pub key_slots: u64,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// Unix seconds of slot 0; `None`: in a moment.
    pub genesis_time: Option<u64>,
    /// Where its node is said to listen.
    pub ports: Option<Vec<NodePorts>>,
}

impl NetworkPlan {
    /// Slots of [`SLOT_MS`], the first in a moment.
    #[must_use]
    pub const fn of(key_slots: u64) -> Self {
        Self { key_slots, slot_ms: SLOT_MS, genesis_time: None, ports: None }
    }
}

/// A network of one node.
#[derive(Debug, Clone)]
pub struct Lone {
    network: PathBuf,
    /// The node's folder: its keys, and where it runs its data, and its archive if it has one.
    pub root: PathBuf,
    genesis_time: u64,
    slot_ms: u64,
    /// UDP port that its record names.
    quic: u16,
}

impl Lone {
    /// Makes it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn make(folder: &Path, plan: NetworkPlan) -> Self {
        let (network, root) = (folder.join("network"), folder.join("root"));
        let quic = plan.ports.iter().flatten().next().map_or(0, |ports| ports.quic);
        let options = GenesisOptions {
            nodes: 1,
            validators: VALIDATORS,
            out: network.clone(),
            genesis_time: plan.genesis_time,
            lead_s: 2,
            ports: plan.ports,
            key_slots: plan.key_slots,
            slot_ms: plan.slot_ms,
        };
        let genesis_time = create(&options, &|_| {}).unwrap().genesis_time;
        fs::create_dir_all(&root).unwrap();
        fs::rename(network.join("hash-sig-keys"), root.join("keys")).unwrap();
        Self { network, root, genesis_time, slot_ms: plan.slot_ms, quic }
    }

    /// Makes a command one that runs its node, which ends with its standard input.
    pub fn node<'a>(&self, command: &'a mut Command, flags: &[&str]) -> &'a mut Command {
        let port = self.quic.to_string();
        self.node_of("lamella_0", &self.root, command)
            .args(["--gossipsub-port", &port, "--hash-sig-keys-dir"])
            .arg(self.root.join("keys"))
            .args(flags)
    }

    /// The same of a node of this name below another folder.
    pub fn node_of<'a>(
        &self,
        name: &str,
        root: &Path,
        command: &'a mut Command,
    ) -> &'a mut Command {
        command
            .args(["node", "--node-id", name, "--gossipsub-address", "127.0.0.1"])
            .args(["--exit-with-parent", "--slot-ms", &self.slot_ms.to_string(), "--network-dir"])
            .arg(&self.network)
            .arg("--data-dir")
            .arg(root.join("data"))
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
    }

    /// Its nodes' directories.
    #[must_use]
    pub fn subject(&self, is_lazy: bool) -> Subject {
        Subject::Node {
            config: self.network.join("config.yaml"),
            slot_ms: self.slot_ms,
            is_lazy,
            guard: format!("sign-guard-lamella_0-{}.txt", self.genesis_time),
        }
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
    let lone = Lone::make(folder, NetworkPlan::of(KEY_SLOTS));
    lived(name, programs, &lone, until_slot, kind)
}

/// The same of the node of this network.
///
/// # Panics
/// When it does not get there.
#[must_use]
pub fn lived(
    name: &str,
    programs: &Programs,
    lone: &Lone,
    until_slot: u64,
    kind: Kind,
) -> Campaign {
    let recorder = Recorder::begin(&lone.root, &lone.root.with_file_name("strace.log"));
    let mut command = recorder.command(&programs.lamella);
    let archive = lone.root.join("archive").display().to_string();
    lone.node(&mut command, &["--no-api"]);
    match kind {
        Kind::Durable => &mut command,
        Kind::Lazy => command.arg("--lazy-commits"),
        Kind::Archiving => command.args(["--archive", &archive]),
    };
    let _ = stopped(&mut command, |line| {
        field(line, "head_slot").and_then(|slot| slot.parse().ok()) >= Some(until_slot)
    });
    let subject = lone.subject(kind == Kind::Lazy);
    campaign(name, recorder.end(), subject, VALIDATORS, programs)
}

impl Lone {
    /// Starts its node on what a crash left of it in this folder, until it has imported some blocks more.
    ///
    /// # Panics
    /// When it does not.
    pub fn go_on(&self, programs: &Programs, recorder: &Recorder, root: &Path) {
        let mut command = recorder.command(&programs.lamella);
        let mut imported = 0;
        let _ = stopped(self.elsewhere(root, &mut command), |line| {
            imported += u64::from(line.contains(" imported successfully "));
            imported >= MORE_BLOCKS
        });
    }

    /// Makes a command one that runs its node below another folder, which gets its keys.
    ///
    /// # Panics
    /// When they cannot be copied.
    pub fn elsewhere<'a>(&self, root: &Path, command: &'a mut Command) -> &'a mut Command {
        let (from, keys) = (self.root.join("keys"), root.join("keys"));
        fs::create_dir_all(&keys).unwrap();
        for name in fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().file_name()) {
            // Images have what a run wrote there, its guard, and not what it read.
            if !name.to_string_lossy().starts_with("sign-guard") {
                fs::copy(from.join(&name), keys.join(&name)).unwrap();
            }
        }
        self.node_of("lamella_0", root, command)
            .args(["--no-api", "--gossipsub-port", "0", "--hash-sig-keys-dir"])
            .arg(keys)
    }
}

/// The recording of a process with its promise.
#[must_use]
pub fn campaign(
    name: &str,
    recording: Recording,
    subject: Subject,
    validators: u64,
    programs: &Programs,
) -> Campaign {
    let is_durable = !matches!(subject, Subject::Node { is_lazy: true, .. });
    let promise = |reference| Promise::Node { reference, is_durable, validators };
    let name = name.to_owned();
    let campaign = Campaign { name, recording, subject, promise: promise(Vec::new()) };
    let reference = reference(&campaign, &programs.driver);
    Campaign { promise: promise(reference), ..campaign }
}

/// What all rows are before the first commit, where a start makes them, and after each: of the folder as it was when the
/// commit's last write had returned and nothing was lost.
fn reference(campaign: &Campaign, judge: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
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
