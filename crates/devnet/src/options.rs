//! What a run is asked for, and what is told of it.

use std::{path::PathBuf, sync::Arc};

use lamella_network_dir::genesis::GenesisOptions;
use serde::Serialize;

use super::checks::Check;

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
    /// The archive that every node ships to.
    pub archive: Option<String>,
    /// Whether a peer that keeps no rule attacks every node.
    pub is_hostile: bool,
    /// Whether a third of the nodes comes and goes.
    pub has_churn: bool,
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
    /// Where a browser sees all nodes on one page.
    pub pages: String,
}
