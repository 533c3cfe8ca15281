//! Whole nodes on made-up clocks and a made-up network, as one seed says, held to the laws after every step.
//!
//! The nodes are the product's: its loop, its duties, its sync, its import, its store on real directories in memory, its
//! keys and proofs (leanSpec's small test instantiation: real signatures without security). Made up are the two clocks of
//! each machine, when its workers have done a job, and what libp2p does. Time passes from event to event, so nothing
//! sleeps, and one thread does everything, so a seed says the whole run: the same trace, byte for byte.
//!
//! | question | file |
//! |---|---|
//! | what a seed plans, and a random number | `plan`, `dice` |
//! | a node, its folder, its clocks; kills and restarts | `member`, `folder`, `keys` |
//! | who is connected, what comes when and what is lost | `wires`, `gossip` |
//! | time and its events | `world` |
//! | what must hold | `laws` |
//! | faults for the product's code | `plants` |
//! | the smallest plan that still breaks a law | `shrink` |
//!
//! Not made up, and so not attacked here: libp2p and its limits, threads that race, the disk (`testing/crash`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a harness fails its test by panicking, on a 64-bit machine"
)]

mod dice;
mod folder;
mod gossip;
mod keys;
mod laws;
mod member;
pub mod plan;
pub mod plants;
pub mod shrink;
mod wires;
pub mod world;

pub use laws::Violation;
pub use plan::Plan;
pub use shrink::shrink;
pub use world::{Ended, run};
