//! Networks that talk over QUIC on loopback, and peers that do not behave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests say what they expect by failing"
)]

mod connect;
mod gossip;
mod misbehave;
mod requests;
mod rogue;
mod support;
