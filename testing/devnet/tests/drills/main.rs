//! What operators do to nodes, done to real ones. Each drill ends with every database verified.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a drill fails by panicking"
)]

mod answers;
mod archive;
mod clock;
mod foreign;
mod join;
mod keys;
mod kills;
mod many;
mod mend;
mod metrics;
mod partition;
#[path = "../../../archive-reader/run.rs"]
mod reader;
#[path = "../../../archive/tests/it/rows.rs"]
mod rows;
#[path = "../../../archive/tests/it/server.rs"]
mod s3_server;
mod scrub;
mod soak;
mod strangers;
mod window;

use lamella_testing_devnet::NetworkPlan;

/// Four nodes with a validator each, on slots that two busy cores can keep up with.
const FOUR: NetworkPlan = NetworkPlan {
    program: env!("CARGO_BIN_EXE_lamella-under-test"),
    nodes: 4,
    validators: 4,
    slot_ms: 600,
    key_slots: 1000,
    past_slots: 0,
    flags: &[],
};

/// Two nodes with two validators each, for drills about a third one.
const TWO: NetworkPlan = NetworkPlan { nodes: 2, slot_ms: 500, ..FOUR };

/// A plan whose keys sign so many slots more: for a drill that lasts as much longer, so that it does not outlive them.
const fn longer(plan: NetworkPlan, slots: u64) -> NetworkPlan {
    NetworkPlan { key_slots: plan.key_slots + slots, ..plan }
}
