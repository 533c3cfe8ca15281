//! What is archived comes back, proven from one root; whatever else comes is refused by name and place.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod chain;
mod damage;
mod format;
mod laws;
mod objects;
mod proofs;
mod python;
mod refusals;
