//! What one block changes in the state, as bytes, and the full states (anchors) that diffs rest on.
//!
//! A post-state repeats almost all of its parent: the registry and configuration are fixed, the history grows by
//! one root and a zero for each skipped slot, and the header is the block's own. So a [`StateDiff`] holds only
//! the checkpoints, the justified slots and the tally of votes; the reader supplies the history and the header,
//! which the chain stores anyway. [`DiffBase`] proves, before anything is written, that a state really is its
//! parent plus these parts; an assumption that does not hold is a [`BuildError`], never a wrong diff.
//!
//! This crate reads and writes no tables. Whoever reconstructs a state hashes it against its block.

mod anchor;
mod base;
mod diff;
mod tally;

pub use anchor::{Anchor, AnchorError};
pub use base::{BuildError, DiffBase};
pub use diff::{BranchCheckpoint, StateDiff};
pub use lamella_types::packed::FormatError;
pub use tally::{TALLY_DELTAS_MAX, TallyDiff, TallyError};
