//! The full state of every block ever imported: anchors, diffs, history segments, registries.
//!
//! Reading a state never costs the distance to its anchor beyond one contiguous scan: the anchor gives
//! everything fixed and the history so far, the canonical index gives the block roots since, the diff gives the
//! checkpoints and justified slots, and at most 31 earlier diffs give the tally. The result is hashed and
//! compared with the `state_root` of its block before anybody sees it, so a wrong state is never served.
//!
//! ```text
//! anchor (slot 1024) ── diff ── diff ── … ── diff (slot 1900)
//!    │ registry, segments, history < 1024      │ checkpoints, justified slots, tally (≤ 31 deltas)
//!    └───────── Canonical[1024..1900] ─────────┘ history since
//! ```
//!
//! Functions take a transaction and never open or commit one. The cache is filled from committed data only.

mod anchors;
mod cache;
mod error;
mod links;
mod reconstruct;
mod store;
mod stored_state;
mod write;

pub use cache::CacheStats;
pub use error::{StateReadError, StateWriteError};
pub use lamella_state_diff::{BranchCheckpoint, BuildError, DiffBase, TALLY_DELTAS_MAX};
pub use links::{AnchorLinks, DiffLinks, anchor_links, diff_links};
pub use store::{StateCheckpoints, StateStore};
pub use stored_state::StoredState;
pub use write::{PreparedState, StateRow, crosses_anchor, delete_state};

/// Slots between the multiples at which a branch stores a full state. Equal to a segment's length, so that
/// segments are complete exactly when an anchor needs them.
pub const ANCHOR_INTERVAL_SLOTS: u64 = lamella_types::SEGMENT_ROOTS as u64;
