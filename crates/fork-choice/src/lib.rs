//! Fork choice of leanSpec's fork `lstar`: block tree, vote pools, head, safe target, vote targets.
//!
//! Pure and in memory: no clock, lock, log or cryptography. A caller clones [`ForkChoice`], changes the clone and
//! publishes it when its transaction has committed; states stay outside, a node carries the few fields of a
//! post-state that fork choice reads ([`BlockSummary`]).
//!
//! The hard idea: leanSpec derives every validator's latest vote and every weight from its pools each time.
//! Here both are kept and adjusted (`votes`, `tree`); the model test holds the two to the same answers.
//!
//! Shape: nodes in insertion order (parents first) linked by index; one latest vote for each validator, resolved
//! to a node; two ordered pools of distinct attestation data ([`pool`]); raw signatures ([`signatures`]).
//!
//! Not here: verification of signatures and proofs (the caller's, between `check_*` and `record_*`), the state
//! transition, disk. What must be written is handed out by [`ForkChoice::drain_vote_changes`].

mod attest;
mod block_votes;
mod checks;
mod fork_choice;
mod head;
pub mod limits;
pub mod pool;
mod pools;
mod prune;
mod restore;
pub mod signatures;
mod tick;
mod tree;
mod votes;

pub use block_votes::BlockVote;
pub use checks::BlockStatus;
pub use fork_choice::{ForkChoice, HeadChange};
pub use pool::{PoolEntry, Recorded};
pub use pools::Pools;
pub use restore::{PoolVotes, RestoreError, Snapshot, VoteChange, VoteRow};
pub use tick::{Aggregation, AggregationTask, Combine, Tick};
pub use tree::BlockSummary;
