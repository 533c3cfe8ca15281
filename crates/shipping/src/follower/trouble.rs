//! Why a follower does not go on: for now, or for good. Each says where it is and what is there.

use lamella_archive::{ArchiveError, WriterId};
use lamella_types::{Checkpoint, Root};

/// Why a follower cannot go on for now. What it has it serves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody has shipped a tail.
    #[error("no tail is there: is a node shipping to this address?")]
    NoTail,
    /// An object is gone, and later ones are there.
    #[error("object {next} of writer {writer} is not there, object {found} is")]
    Gap {
        /// The writer.
        writer: WriterId,
        /// What comes next here.
        next: u64,
        /// What is there.
        found: u64,
    },
    /// The next object continues another chain of objects than the one that was followed.
    #[error("{0}")]
    Mismatch(Box<ArchiveError>),
    /// The next object is damaged.
    #[error("{0}")]
    Damaged(Box<ArchiveError>),
    /// The last object that was taken was deleted, and its writer has put another one there.
    #[error("object {sequence} of writer {writer}, the last that was followed, is another one now")]
    Replaced {
        /// The writer.
        writer: WriterId,
        /// The object.
        sequence: u64,
    },
    /// All objects were imported, and the writer's head is not here.
    #[error("the head {} of writer {writer} at slot {} is not here after object {sequence}: blocks before it are in no object", .head.root, .head.slot)]
    Hole {
        /// The writer.
        writer: WriterId,
        /// Its last object.
        sequence: u64,
        /// Its head.
        head: Checkpoint,
    },
    /// A block is invalid.
    #[error("block {root} in object {sequence} of writer {writer} is invalid: {reason}")]
    Refused {
        /// The writer.
        writer: WriterId,
        /// The object.
        sequence: u64,
        /// The block.
        root: Root,
        /// Why.
        reason: String,
    },
}

impl Trouble {
    /// Whether it is the next object itself that cannot be taken.
    pub(super) const fn is_of_object(&self) -> bool {
        matches!(self, Self::Mismatch(_) | Self::Damaged(_) | Self::Refused { .. })
    }
}

/// The source's chain is not a continuation of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the chains have parted: here block {} is finalized at slot {}, there {theirs}; nothing is written any more. Compare both with a node that you trust; --rebuild begins again from the source", .ours.root, .ours.slot
)]
pub struct Divergence {
    /// What is finalized here.
    pub ours: Checkpoint,
    /// What is in its place there.
    pub theirs: Theirs,
}

/// What a source has in the place of our finalized block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theirs {
    /// Its writer has finalized this block.
    Finalized(Checkpoint),
    /// Its frontier at this slot proves this root there: zero for an empty slot.
    Proven(Checkpoint, Root),
}

impl std::fmt::Display for Theirs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Finalized(block) => write!(f, "block {} at slot {}", block.root, block.slot),
            Self::Proven(by, root) if root.is_zero() => {
                write!(f, "the frontier of slot {} proves an empty slot", by.slot)
            }
            Self::Proven(by, root) => {
                write!(f, "the frontier of slot {} proves block {root}", by.slot)
            }
        }
    }
}
