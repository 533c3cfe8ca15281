//! What a follower says when it ends: how far it is, what this run saw proven, and what it took by the import.

use lamella_archive::WriterId;
use lamella_shipping::{follower::Divergence, restorer::Restored};
use lamella_types::Checkpoint;

/// The end of a run.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// Where the chain here stands; `None` if there is none yet.
    pub at: Option<Position>,
    /// The segments that the directory was begun with, in this run.
    pub segments: Option<Restored>,
    /// Objects of tails that were taken in this run.
    pub objects: u64,
    /// Blocks of them that were new: imported as by a node.
    pub blocks: u64,
    /// Blocks that segments brought past a hole of a tail, in this run.
    pub filled: u64,
    /// The chain here has parted from the source's.
    pub diverged: Option<Divergence>,
}

/// How far a follower is.
#[derive(Debug, Clone)]
pub struct Position {
    /// The newest block.
    pub head: Checkpoint,
    /// The finalized one.
    pub finalized: Checkpoint,
    /// The object that comes next, and whose; `None` before the first.
    pub next: Option<(WriterId, u64)>,
    /// The state's name.
    pub state: &'static str,
    /// Why it is not at the writer's last object; empty if it is.
    pub reason: String,
}
