//! Random chains in the real store and in a naive model, and rows damaged one by one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]

mod beside;
mod blocks;
mod checks;
mod damage;
mod finality;
mod invalid;
mod naive;
mod named;
mod random;
mod recover;
mod repair;
mod repair_hole;
mod repair_pruned;
mod run;
mod seeds;
mod steps;
