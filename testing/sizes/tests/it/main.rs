//! Sizes on disk. `cargo test -p lamella-testing-sizes -- --nocapture` prints what is measured.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod anchors;
mod file;
mod slots;
