//! Diffs and anchors: what is built comes back, what is not a child is refused, and bytes are pinned.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod chain;
mod format;
mod laws;
mod refusals;
