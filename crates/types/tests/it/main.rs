//! The shared-structure state against the plain `ssz_rs` containers, and the decoders against garbage.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod decoding;
mod history;
mod plain;
mod sizes;
mod state;
