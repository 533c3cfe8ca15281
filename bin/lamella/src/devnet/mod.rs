//! A whole network on one machine: `lamella devnet`.
//!
//! Makes the network or goes on with it, starts one process per node, watches them slot by slot, and at the end of a
//! run of so many slots judges it. Whoever shows what happens implements [`Show`].
//!
//! | question | file |
//! |---|---|
//! | where things are, and whether a network found is the one asked for | `folder`, `ports` |
//! | a node as a child that does not outlive this process | `process` |
//! | what a node says over HTTP | `client` |
//! | whether that is well | `health` |
//! | watching, slot by slot | `watch` |
//! | what must hold at the end | `checks` |
//! | a terminal, lines, JSON | `show` |
//! | ending at any moment | `stop` |
//!
//! Absent on purpose: nodes on other machines, and anything that a node does not do when started by hand.

mod checks;
pub mod client;
mod error;
mod folder;
pub mod health;
pub mod ports;
pub mod process;
pub mod random;
pub mod show;
mod stop;
mod watch;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use lamella_network_dir::genesis::GenesisOptions;
use serde::Serialize;

pub use checks::Check;
pub use error::DevnetError;
pub use show::Show;
pub use stop::Stop;

use folder::Folder;
use watch::Watch;

/// Told of key generation: what is being made, and the leaves so far.
pub type KeyProgress = Arc<dyn Fn(&GenesisOptions, u64) + Send + Sync>;

/// The run asked for. What is `None` is as an existing network has it, or as the constants say for a new one.
#[derive(Debug, Clone)]
pub struct DevnetOptions {
    /// Nodes.
    pub nodes: Option<u64>,
    /// Validators, dealt to the nodes in turn.
    pub validators: Option<u64>,
    /// Milliseconds of a slot.
    pub slot_ms: Option<u64>,
    /// Slots after which the run is judged; `None` runs until told to stop.
    pub slots: Option<u64>,
    /// Slots that the keys of a new network sign, if not as many as usual.
    pub key_slots: Option<u64>,
    /// Folder of the network.
    pub dir: PathBuf,
    /// Slots of signatures that the nodes keep, if not as many as usual.
    pub signature_window: Option<u64>,
    /// What chooses the states that are compared at the end.
    pub seed: u64,
    /// The `lamella` binary.
    pub program: PathBuf,
}

impl DevnetOptions {
    /// Nodes of a new network.
    pub const NODES: u64 = 4;
    /// Validators of a new network.
    pub const VALIDATORS: u64 = 4;
}

/// How a run ended that was to be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether every check passed.
    pub passed: bool,
    /// Slot of the wall clock at the end.
    pub slot: u64,
    /// The checks, in the order they were made.
    pub checks: Vec<Check>,
}

/// A network about to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Whether it was there already.
    pub resumed: bool,
    /// Nodes.
    pub nodes: u64,
    /// Validators.
    pub validators: u64,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// Last slot that the keys can sign.
    pub last_signable_slot: u64,
    /// Slot of the wall clock.
    pub slot: u64,
    /// The folder.
    pub dir: PathBuf,
}

/// Runs a network until its slots are over or `stop` is told; no node is left running.
///
/// # Errors
/// [`DevnetError`]; [`DevnetError::Failed`] after a verdict that was shown, [`DevnetError::Stopped`] if told to stop
/// before the slots asked for were over.
pub fn run(
    options: &DevnetOptions,
    stop: &Stop,
    show: &mut dyn Show,
    progress: &KeyProgress,
) -> Result<(), DevnetError> {
    match run_to_the_end(options, stop, show, progress) {
        Err(DevnetError::Stopped) if options.slots.is_none() => Ok(()),
        ended => ended,
    }
}

fn run_to_the_end(
    options: &DevnetOptions,
    stop: &Stop,
    show: &mut dyn Show,
    progress: &KeyProgress,
) -> Result<(), DevnetError> {
    let (asked, progress) = (options.clone(), Arc::clone(progress));
    let folder = stop.or_abandon(move || Folder::prepare(&asked, &progress))??;
    show.announced(&announced(options, &folder))?;
    let mut watch = Watch::start(options, folder, stop, show)?;
    watch.run()?;
    let verdict = watch.judge(options.seed)?;
    match verdict.checks.iter().filter(|check| !check.passed).count() {
        0 => Ok(()),
        failed => Err(DevnetError::Failed { failed, checks: verdict.checks.len() }),
    }
}

fn announced(options: &DevnetOptions, folder: &Folder) -> Announced {
    Announced {
        resumed: folder.resumed,
        nodes: folder.record.nodes,
        validators: folder.record.validators,
        slot_ms: folder.record.slot_ms,
        last_signable_slot: folder.record.last_signable_slot(),
        slot: folder.now(),
        dir: options.dir.clone(),
    }
}

/// Milliseconds since 1970.
fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
