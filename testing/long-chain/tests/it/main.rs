//! The longest chain. One test: building it is what takes the time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod archive;
mod chain;
mod script;
