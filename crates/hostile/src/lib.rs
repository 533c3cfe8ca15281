//! A peer that keeps no rule, for drills and for `lamella devnet --hostile`: what a node must live with.
//!
//! The hard idea: nothing here pretends. What an honest codec can say is said by our own network service with a source
//! that lies (`liar`); what it cannot say, raw bytes on a topic or a stream, by libp2p with none of a node's limits
//! (`stranger`); what needs a key is signed with one (`thief`).
//!
//! | question | file |
//! |---|---|
//! | raw bytes, silence, answers that are cut | `stranger` |
//! | a chain that is not there, floods of requests | `liar` |
//! | two blocks and two votes for one slot | `thief` |
//! | a page that asks the API for a change, connections that are left | `visitor` |
//! | the messages | `rubbish` |
//! | all of it at once, at a steady rate | `attack` |
//!
//! Absent on purpose: attacks on UDP and QUIC, which are the libraries' to withstand, and any rate that would merely
//! use up the processor of the machine that the nodes share with it.

pub mod attack;
mod liar;
pub mod rubbish;
pub mod stranger;
pub mod thief;
mod visitor;

pub use attack::{Attack, AttackError, Plan, names};
pub use stranger::Stranger;
pub use thief::Thief;
