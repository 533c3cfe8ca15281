//! leanSpec's state transition and block building for the fork `lstar`. Pure: no I/O, clock, lock or log.
//!
//! The hard idea: the next state is the last one plus a few hundred bytes, so a transition must cost the change and
//! not the history. A [`State`](lamella_types::State) shares its history, registry and tally with its parent; the
//! history is only searched when finality moves; a tally that no vote changed stays the same allocation, so that
//! its cached root survives.
//!
//! | question | file |
//! |---|---|
//! | slots, headers, blocks, the state root | `transition` |
//! | votes, justification, finality | `attestations` |
//! | the votes for each root that is not justified yet | `tally` |
//! | which votes a proposer packs | `build` |
//!
//! Absent on purpose: signatures (checked before the transition) and which block to build on (fork choice). The
//! state root of the parent is hashed here once more although its block states it: checking costs about 60 hashes.
//!
//! Where this differs from leanSpec: [`process_slots`], [`process_attestations`] and [`build_block`] say so.

mod attestations;
mod build;
mod tally;
#[cfg(test)]
mod tests;
mod transition;

pub use attestations::process_attestations;
pub use build::{BlockRequest, BuiltBlock, Candidate, Combine, build_block};
pub use transition::{
    compute_post_state, process_block, process_block_header, process_slots, state_transition,
};
