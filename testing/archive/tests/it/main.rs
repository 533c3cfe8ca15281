//! Archives: written, verified, restored.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]

mod backfill;
mod commands;
mod faulty;
mod follow;
mod follow_simulation;
mod followed_node;
mod followers;
mod grown;
mod http;
mod lessons;
mod moto;
mod node;
mod processes;
mod proofs;
mod prune;
mod pruned_answers;
mod repair;
mod restore;
mod restore_tail;
mod resume;
mod rows;
mod s3;
mod scrub;
mod server;
mod simulation;
mod tails;
mod torture;
mod transition;
mod world;
