//! The chain: fork choice over the stores, and every commit.
//!
//! One imported block is one transaction: its header, body, proof, post-state, place in the live tree, the
//! canonical rows that its arrival rewrites, votes, head and checkpoints, and one bounded step of signature pruning
//! become durable together or not at all. Fork choice is changed on a copy; the copy is published, and the state
//! cache filled, after the commit. So whatever a process dies of, disk and memory say the same.
//!
//! ## Invariants
//!
//! | | |
//! |---|---|
//! | E1 | every page of the engine's file is in one tree once, or free once, or a meta page; with its bounds, order and counts |
//! | S1 | every block in Slots has a header at `slot‖root` that hashes to root, and the body that the header names; among the rows of blocks is none that is no table's |
//! | S2 | every block has exactly one of anchor or diff; a diff's base has one too, at a lower slot, within 1,024 slots of an anchor |
//! | S3 | every reconstructed state hashes to its header's `state_root` |
//! | S4 | every segment and registry hashes to its key; those that an anchor names exist |
//! | C1 | Canonical, walked by parent links from the head, is exact and complete down to the oldest block of its range of the extent; so it is in the ranges before |
//! | L1 | the live tree is its root, an ancestor of the finalized block, and all its stored descendants |
//! | P1 | a missing proof lies below the signature floor, and the floor was finalized |
//! | P3 | below the floor of states, a multiple of 1,024 slots that the live tree's root has passed, no row is left of those that were swept; from it on S2 and S3 hold of every block. The floor of bodies is not above it, and proofs are pruned below that |
//! | P2 | a stored proof that was not checked is one of the row of unchecked proofs, and is not served |
//! | F1 | head, justified and finalized are stored blocks, finalized is an ancestor of the head, and fork choice recomputed from the live tree and Votes gives the stored head |
//! | G1 | no key signs two messages for one slot: the guard is durable before a signature leaves the process |
//! | I1 | the identity row names the chain that the states are of, and every row of Meta can be read |
//! | A1 | one import is one transaction |
//! | A2 | caches and fork choice are published after the commit |
//! | A3 | only this crate commits |
//! | A4 | bytes from disk or network never panic |
//!
//! [`verify`] checks the first thirteen but P2 against a directory; the code upholds the others, and tests hold it to them.

mod archived;
pub mod beside;
pub mod copy;
mod error;
mod guard;
mod history;
mod hold;
mod identity;
pub mod invariants;
mod kept;
pub mod leftovers;
mod mark;
mod meta;
pub mod migrate;
mod open;
mod persist;
pub mod prune;
mod recover;
pub mod repair;
pub mod restore;
#[doc(hidden)]
pub mod rows;
pub mod schema1;
pub mod schema2;
mod settle;
mod tail_rows;
mod unchecked;
mod view;
mod vote_rows;

pub use archived::{ADDRESS_BYTES_MAX, Archived, entry_slot};
pub use beside::{explain, rename};
pub use error::{ChainOpenError, PersistError};
pub use guard::{GuardError, Reserved};
pub use history::{HISTORY_BLOCKS_MAX, PastBlock};
pub use hold::{HELD_SLOTS_MAX, Held};
pub use identity::{Identity, SCHEMA_VERSION};
pub use invariants::{Finding, Progress, Report, verify, verify_rows};
pub use kept::{PRUNED_STATES_MAX, PruneMode, Pruning, StatesStep, states_floor};
pub use mark::{BACKUP_SILENT_SLOTS, BackupMark};
pub use meta::{ForkChoiceRow, block_count};
pub use open::{Bootstrap, Chain, Found, Opened, ReadOnlyChain, Settings};
pub use persist::{PRUNED_NODES_MAX, Persisted, PreparedBlock, Timings};
pub use recover::{Recovered, live_block_count};
pub use tail_rows::{ShippedTail, TailPosition};
pub use unchecked::{CheckOutcome, CheckStep, UncheckedBlocks};
