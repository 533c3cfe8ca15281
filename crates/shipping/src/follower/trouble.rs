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
    #[error("{error}")]
    Mismatch {
        /// The writer.
        writer: WriterId,
        /// The object.
        sequence: u64,
        /// Both positions.
        error: Box<ArchiveError>,
    },
    /// The next object is damaged.
    #[error("{error}")]
    Damaged {
        /// The writer.
        writer: WriterId,
        /// The object.
        sequence: u64,
        /// What is wrong, and where.
        error: Box<ArchiveError>,
    },
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
    /// The object that is in the way, or the first one behind what is missing. `None`: none that could be named holds what is.
    pub(super) const fn place(&self) -> Option<(WriterId, u64)> {
        match *self {
            Self::Gap { writer, found, .. } => Some((writer, found)),
            Self::Mismatch { writer, sequence, .. }
            | Self::Damaged { writer, sequence, .. }
            | Self::Refused { writer, sequence, .. } => Some((writer, sequence)),
            Self::NoTail | Self::Replaced { .. } | Self::Hole { .. } => None,
        }
    }

    /// Whether the tail goes on behind that object, and not with it: nothing makes it readable, or valid.
    pub(super) const fn is_left_out(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Refused { .. })
    }

    /// Whether this is still the other one, though it may say another reason at each reading.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        (self.place(), self.is_left_out()) == (other.place(), other.is_left_out())
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
