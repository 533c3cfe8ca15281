//! Whole processes beside an archive, recorded: a node that seals a segment and ships it, one that begins at a checkpoint and
//! fetches what is before, and a follower.
//!
//! A segment is 1,024 slots. They need not pass: genesis lies in the past, the node's first block has a thousand empty slots
//! before it, and what is sealed begins with those. That node runs until they are finalized; then recording begins.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

use lamella_network_dir::genesis::NodePorts;

use crate::{
    campaign::Campaign,
    judge::Subject,
    network::{Lone, NetworkPlan, Programs, VALIDATORS, campaign},
    process::{field, stopped},
    record::Recorder,
};

/// Slots of the first segment.
const SEGMENT_SLOTS: u64 = 1_024;

/// Empty slots before the first block. A node signs some slots after its first start, and slot 1,024 is one that may be justified.
const EMPTY_SLOTS: u64 = 1_016;

/// Slots that the keys sign: 170 s from the first block on.
const KEY_SLOTS: u64 = 1_700;

/// Milliseconds of a slot: forty of them have to pass.
const SLOT_MS: u64 = 250;

/// The recordings' names.
pub const RUNS: [&str; 3] = ["node-seals", "node-fetches", "follow"];

/// How the name of a tail's object ends.
const TAIL: &str = "ltal";

/// Blocks that are imported in a recording after what it is about.
const MORE_BLOCKS: usize = 2;

/// A node's network whose first segment is finalized, and its archive.
pub struct Grown {
    programs: Programs,
    folder: PathBuf,
    lone: Lone,
}

impl Grown {
    /// Makes it, the node stopped.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn make(programs: &Programs, folder: &Path) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let quic = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let plan = NetworkPlan {
            key_slots: KEY_SLOTS,
            slot_ms: SLOT_MS,
            genesis_time: Some(now - EMPTY_SLOTS * SLOT_MS / 1_000),
            ports: Some(vec![NodePorts { quic, api: 0, metrics: 0 }]),
        };
        let lone = Lone::make(folder, plan);
        let grown = Self { programs: programs.clone(), folder: folder.to_owned(), lone };
        let mut node = Command::new(&programs.lamella);
        let _ = stopped(grown.lone.node(&mut node, &["--no-api"]), |line| {
            field(line, "finalized").and_then(|slot| slot.parse().ok()) >= Some(SEGMENT_SLOTS)
        });
        grown
    }

    fn archive(&self) -> PathBuf {
        self.lone.root.join("archive")
    }

    /// The node goes on and begins an archive: a segment is sealed and shipped, then the tail.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn seals(&self) -> Campaign {
        let recorder = Recorder::begin(&self.lone.root, &self.folder.join("seals.log"));
        let mut command = recorder.command(&self.programs.lamella);
        let archive = self.archive().display().to_string();
        self.lone.node(&mut command, &["--no-api", "--archive", &archive]);
        let mut more = and_more(" Archived and confirmed ");
        // On a busy machine a tail's object comes later than the blocks that it is about.
        let _ = stopped(&mut command, |line| {
            more(line) && tail_objects(&self.archive()).next().is_some()
        });
        let subject = self.lone.subject(false);
        campaign(RUNS[0], recorder.end(), subject, VALIDATORS, &self.programs)
    }

    /// Another node begins at the first one's finalized block, and fetches what is before from the archive and what comes after
    /// from the node.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn fetches(&self) -> Campaign {
        let archive = self.archive().display().to_string();
        let mut node = Command::new(&self.programs.lamella);
        let beside = Beside::start(self.lone.node(&mut node, &["--api-port", "0"]));
        let root = self.folder.join("fetches");
        fs::create_dir_all(&root).unwrap();
        let recorder = Recorder::begin(&root, &self.folder.join("fetches.log"));
        let mut command = recorder.command(&self.programs.lamella);
        let url = format!("http://{}", beside.api);
        self.lone.node_of("another", &root, &mut command).args([
            "--no-api",
            "--checkpoint-sync-url",
            &url,
            "--history",
            &archive,
        ]);
        let _ = stopped(&mut command, and_more("istory is here"));
        drop(beside);
        let subject = self.lone.subject(false);
        campaign(RUNS[1], recorder.end(), subject, 0, &self.programs)
    }

    /// A follower of the archive, until it is at its end.
    ///
    /// # Panics
    /// When it does not get there.
    #[must_use]
    pub fn follows(&self) -> Campaign {
        let root = self.folder.join("follows");
        fs::create_dir_all(&root).unwrap();
        let recorder = Recorder::begin(&root, &self.folder.join("follows.log"));
        let mut command = recorder.command(&self.programs.lamella);
        command
            .args(["follow", "--api-port", "0", "--exit-with-parent", "--from"])
            .arg(self.archive())
            .args(["--slot-ms", &SLOT_MS.to_string(), "--data-dir"])
            .arg(root.join("data"))
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let _ = stopped(&mut command, |line| line.contains("to=\"tail\""));
        let subject = Subject::Follower { archive: self.archive(), slot_ms: SLOT_MS };
        campaign(RUNS[2], recorder.end(), subject, 0, &self.programs)
    }
}

/// Whether a line said this, and some blocks were imported since.
fn and_more(wanted: &'static str) -> impl FnMut(&str) -> bool {
    let (mut was_said, mut more) = (false, 0);
    move |line| {
        was_said |= line.contains(wanted);
        more += usize::from(was_said && line.contains(" imported successfully "));
        more >= MORE_BLOCKS
    }
}

/// A node that runs beside a recorded one, until this is dropped.
struct Beside {
    process: Child,
    /// Where its API listens.
    api: String,
    reader: Option<JoinHandle<()>>,
}

impl Beside {
    fn start(command: &mut Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines =
            BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listens = |line: String| field(&line, "api").map(str::to_owned);
        let api = lines.by_ref().find_map(listens).expect("its API listens");
        let reader = thread::spawn(move || lines.for_each(drop));
        Self { process, api, reader: Some(reader) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// The objects of every tail that a folder with archives has.
pub fn tail_objects(archives: &Path) -> impl Iterator<Item = PathBuf> {
    let inside = |folder: PathBuf| {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
    };
    let writers = inside(archives.to_owned()).flat_map(move |network| inside(network.join("tail")));
    writers.flat_map(inside).filter(|object| object.extension().is_some_and(|end| end == TAIL))
}
